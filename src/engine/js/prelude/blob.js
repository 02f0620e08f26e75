// Blob and File. Their bytes lie in memory.

import { bytesOf, fromUtf8, utf8 } from "./encoding.js";
import { dictionary, needs, oneOf } from "./idl.js";
import { ReadableStream } from "./readable.js";

const CHUNK_BYTES = 65536;

/** Views joined to one array of their own. */
export function concat(chunks) {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function partBytes(part, endings) {
  if (part instanceof Blob) return blobBytes(part);
  if (part instanceof ArrayBuffer || part instanceof SharedArrayBuffer || ArrayBuffer.isView(part)) return bytesOf(part);
  const text = String(part);
  return utf8(endings === "native" ? text.replace(/\r\n|\r/g, "\n") : text);
}

function typeOf(type) {
  const text = String(type);
  return /[^\x20-\x7e]/.test(text) ? "" : text.toLowerCase();
}

function clamp(value, fallback, size) {
  if (value === undefined) return fallback;
  const whole = Math.trunc(Number(value)) || 0;
  return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
}

let blobBytes;

export class Blob {
  #bytes;
  #type;

  constructor(parts, options) {
    const { endings = "transparent", type = "" } = dictionary(options, "the second argument of Blob");
    oneOf(endings, ["transparent", "native"], "endings");
    if (parts !== undefined && (typeof parts !== "object" || parts === null || typeof parts[Symbol.iterator] !== "function")) {
      throw new TypeError("a Blob is made of an array of parts");
    }
    this.#bytes = concat(Array.from(parts ?? [], (part) => partBytes(part, endings)));
    this.#type = typeOf(type);
  }

  static {
    blobBytes = (blob) => blob.#bytes;
  }

  get size() {
    return this.#bytes.length;
  }

  get type() {
    return this.#type;
  }

  slice(start, end, type = "") {
    const size = this.#bytes.length;
    const from = clamp(start, 0, size);
    const piece = new Blob([], { type });
    piece.#bytes = this.#bytes.subarray(from, Math.max(from, clamp(end, size, size)));
    return piece;
  }

  async text() {
    return fromUtf8(this.#bytes);
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  stream() {
    const bytes = this.#bytes;
    let at = 0;
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += CHUNK_BYTES)));
        if (at >= bytes.length) {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
    });
  }
}

export { blobBytes };

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, options) {
    needs(2, arguments.length, "File");
    if (parts === undefined) throw new TypeError("a File is made of an array of parts");
    super(parts, options);
    this.#name = String(name).toWellFormed();
    const { lastModified = Date.now() } = dictionary(options, "the third argument of File");
    this.#lastModified = Math.trunc(Number(lastModified)) || 0;
  }

  get name() {
    return this.#name;
  }

  get lastModified() {
    return this.#lastModified;
  }

  get webkitRelativePath() {
    return "";
  }
}
