// TextEncoder and TextDecoder. The host does the work.

import host from "emu:js/host";

/** UTF-8 of any string; lone surrogates become U+FFFD. */
export function utf8(text) {
  return text === "" ? new Uint8Array(0) : host.encode(text.toWellFormed());
}

/** Text of UTF-8 bytes, malformed ones replaced, without byte order mark unless that is wanted. */
export function fromUtf8(bytes, keepBom = false) {
  return bytes.length === 0 ? "" : host.decode("UTF-8", bytes, false, keepBom);
}

/** A view of the bytes of a buffer or view. */
export function bytesOf(source) {
  if (source instanceof Uint8Array) return source;
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer || source instanceof SharedArrayBuffer) return new Uint8Array(source);
  throw new TypeError("expected an ArrayBuffer or a view of one");
}

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    return utf8(String(text));
  }

  encodeInto(source, target) {
    if (!(target instanceof Uint8Array)) throw new TypeError("encodeInto writes into a Uint8Array");
    const text = String(source);
    // No character takes less than a byte, so that more text than this cannot fit.
    const bytes = utf8(text.slice(0, target.length + 1));
    if (bytes.length <= target.length) {
      target.set(bytes);
      return { read: text.length, written: bytes.length };
    }
    let written = target.length;
    while ((bytes[written] & 0xc0) === 0x80) written--;
    target.set(bytes.subarray(0, written));
    return { read: fromUtf8(bytes.subarray(0, written), true).length, written };
  }
}

/** How many bytes at the end of `bytes` begin a UTF-8 sequence that is not complete. */
function incompleteTail(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

function join(first, second) {
  if (first.length === 0) return second;
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

export class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #held = new Uint8Array(0);
  #begun = false;

  constructor(label = "utf-8", options) {
    const { fatal = false, ignoreBOM = false } = options ?? {};
    const encoding = host.encoding(String(label));
    if (encoding === null) throw new RangeError(`there is no encoding "${label}"`);
    this.#encoding = encoding;
    this.#fatal = Boolean(fatal);
    this.#ignoreBOM = Boolean(ignoreBOM);
  }

  get encoding() {
    return this.#encoding.toLowerCase();
  }

  get fatal() {
    return this.#fatal;
  }

  get ignoreBOM() {
    return this.#ignoreBOM;
  }

  /** How many bytes at the end have to wait for the next call. Of the legacy encodings all wait until the end. */
  #waiting(bytes) {
    if (this.#encoding === "UTF-8") return incompleteTail(bytes);
    if (this.#encoding.startsWith("UTF-16")) return bytes.length % 2;
    return this.#encoding.startsWith("windows-") || this.#encoding.startsWith("ISO-8859") ? 0 : bytes.length;
  }

  decode(input, options) {
    const stream = Boolean(options?.stream);
    const all = join(this.#held, input === undefined ? new Uint8Array(0) : bytesOf(input));
    const held = stream ? this.#waiting(all) : 0;
    this.#held = all.slice(all.length - held);
    const now = all.subarray(0, all.length - held);
    const keepBom = this.#ignoreBOM || this.#begun;
    this.#begun = stream && (this.#begun || now.length > 0);
    if (now.length === 0) return "";
    const text = host.decode(this.#encoding, now, this.#fatal, keepBom);
    if (text === null) throw new TypeError(`the data is not valid ${this.encoding}`);
    return text;
  }
}
