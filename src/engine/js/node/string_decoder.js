// node:string_decoder

import { Buffer } from "node:buffer";

/** How many bytes at the end belong to a character that is not yet complete. */
function unfinished(bytes, encoding) {
  const length = bytes.length;
  if (encoding === "utf8") {
    for (let back = 1; back <= Math.min(3, length); back++) {
      const byte = bytes[length - back];
      if ((byte & 0xc0) === 0x80) continue;
      const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      return needs > back ? back : 0;
    }
    return 0;
  }
  if (encoding === "utf16le") {
    const odd = length % 2;
    const high = length - odd >= 2 ? bytes[length - odd - 1] : 0;
    return odd + (high >= 0xd8 && high <= 0xdb ? 2 : 0);
  }
  return encoding.startsWith("base64") ? length % 3 : 0;
}

export class StringDecoder {
  #kept = Buffer.alloc(0);

  constructor(encoding = "utf8") {
    if (!Buffer.isEncoding(encoding)) throw Object.assign(new TypeError(`Unknown encoding: ${encoding}`), { code: "ERR_UNKNOWN_ENCODING" });
    const name = encoding.toLowerCase().replace("-", "");
    this.encoding = name === "binary" ? "latin1" : name === "ucs2" ? "utf16le" : name;
  }

  get lastNeed() {
    return this.#kept.length;
  }

  write(chunk) {
    if (typeof chunk === "string") return chunk;
    const bytes = this.#kept.length > 0 ? Buffer.concat([this.#kept, chunk]) : Buffer.from(chunk);
    const end = bytes.length - unfinished(bytes, this.encoding);
    this.#kept = bytes.subarray(end);
    return bytes.toString(this.encoding, 0, end);
  }

  end(chunk) {
    const text = chunk === undefined ? "" : this.write(chunk);
    const rest = this.#kept.length > 0 ? this.#kept.toString(this.encoding) : "";
    this.#kept = Buffer.alloc(0);
    return text + rest;
  }
}

export default { StringDecoder };
