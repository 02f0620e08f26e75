// The body of a Request or Response: text, bytes, a stream, or a handle of the host that nobody has touched yet.

import host from "emu:js/host";
import { Blob, blobBytes, concat } from "./blob.js";
import { read as readChunk, write as writeChunk } from "./calls.js";
import { unpacked } from "./compression.js";
import { bytesOf, fromUtf8, utf8 } from "./encoding.js";
import { hostError } from "./errors.js";
import { decodeMultipart, encodeMultipart, FormData } from "./formdata.js";
import { disturbed, ReadableStream } from "./readable.js";
import { URLSearchParams } from "./url.js";

const NONE = { tag: "none" };

/** A stream over a body that arrives by the host's handle. When the signal aborts, the stream fails with its reason. */
function streamOfHandle(handle, signal) {
  let stop;
  return new ReadableStream(
    {
      type: "bytes",
      start(controller) {
        if (signal === undefined) return;
        stop = () => {
          host.close(handle, null);
          controller.error(signal.reason);
        };
        signal.addEventListener("abort", stop, { once: true });
      },
      async pull(controller) {
        let chunk;
        try {
          chunk = await readChunk(handle);
        } catch (error) {
          throw hostError(error, (text) => new TypeError(text));
        }
        if (signal?.aborted) return;
        if (chunk !== null) return controller.enqueue(chunk);
        signal?.removeEventListener("abort", stop);
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel() {
        signal?.removeEventListener("abort", stop);
        host.close(handle, null);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A stream over bytes in memory, which become its own. */
function streamOfBytes(bytes) {
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
      controller.byobRequest?.respond(0);
    },
  }, { highWaterMark: 0 });
}

/** The bytes of a chunk that a stream of a body gave. */
export function chunkBytes(chunk) {
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk instanceof ArrayBuffer || ArrayBuffer.isView(chunk)) return bytesOf(chunk);
  throw new TypeError(`the stream of a body must hold Uint8Array chunks, got ${typeof chunk}; pipe text through new TextEncoderStream()`);
}

async function drain(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunkBytes(chunk));
  return chunks.length === 1 ? chunks[0] : concat(chunks);
}

/** The stream over a handle; with `coding` what it holds is unpacked. When the signal aborts, the stream fails with its reason. */
export function streamOf({ val, coding }, signal) {
  const stream = streamOfHandle(val, signal);
  return coding === undefined ? stream : unpacked(stream, coding.format);
}

/** What stands behind a message: the content as the host's `body` variant has it, or a stream. */
export class Content {
  /**
   * @param source {tag: "none"|"text"|"bytes"|"handle"|"stream", val?, coding?}; `coding` of a handle is how it was packed: the
   * format, and the headers that say so, for one who hands it on as it is.
   */
  constructor(source = NONE) {
    this.source = source;
    this.taken = false;
  }

  get used() {
    return this.taken || (this.source.tag === "stream" && disturbed(this.source.val));
  }

  get locked() {
    return this.source.tag === "stream" && this.source.val.locked;
  }

  get empty() {
    return this.source.tag === "none";
  }

  /** The content for one reader. */
  take() {
    if (this.used) throw new TypeError("the body has been read already; clone() the message before the first read");
    if (this.locked) throw new TypeError("the body is locked to a reader");
    this.taken = !this.empty;
    return this.source;
  }

  /** The `body` property. From then on the content is a stream. */
  stream() {
    const { tag, val } = this.source;
    if (tag === "none" || tag === "stream") return val ?? null;
    const stream = tag === "handle" ? streamOf(this.source) : streamOfBytes(tag === "text" ? utf8(val) : val.slice());
    if (this.taken) stream.cancel();
    this.source = { tag: "stream", val: stream };
    return stream;
  }

  async bytes() {
    const source = this.take();
    const { tag, val } = source;
    if (tag === "none") return new Uint8Array(0);
    if (tag === "text") return utf8(val);
    if (tag === "bytes") return val.slice();
    return await drain(tag === "handle" ? streamOf(source) : val);
  }

  async text() {
    if (this.source.tag !== "text") return fromUtf8(await this.bytes());
    const text = this.take().val.toWellFormed();
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }

  clone() {
    if (this.used || this.locked) throw new TypeError("the body has been read already: clone() before the first read");
    const { tag, val } = this.source;
    if (tag === "handle" || tag === "stream") {
      const [one, other] = this.stream().tee();
      this.source = { tag: "stream", val: one };
      return new Content({ tag: "stream", val: other });
    }
    return new Content(tag === "bytes" ? { tag, val: val.slice() } : this.source);
  }
}

/** The content of a `BodyInit` and the media type it brings. */
export function extract(init) {
  if (init === undefined || init === null) return { content: new Content(), type: null };
  if (typeof init === "string") return { content: new Content({ tag: "text", val: init }), type: "text/plain;charset=UTF-8" };
  if (init instanceof ArrayBuffer || ArrayBuffer.isView(init)) {
    return { content: new Content({ tag: "bytes", val: bytesOf(init).slice() }), type: null };
  }
  if (init instanceof URLSearchParams) {
    return {
      content: new Content({ tag: "text", val: init.toString() }),
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    };
  }
  if (init instanceof Blob) {
    return { content: new Content({ tag: "bytes", val: blobBytes(init) }), type: init.type === "" ? null : init.type };
  }
  if (init instanceof FormData) {
    const { bytes, type } = encodeMultipart(init);
    return { content: new Content({ tag: "bytes", val: bytes }), type };
  }
  if (init instanceof ReadableStream) {
    if (init.locked || disturbed(init)) throw new TypeError("the stream has been read from or is locked");
    return { content: new Content({ tag: "stream", val: init }), type: null };
  }
  if (typeof init === "object" && typeof init[Symbol.asyncIterator] === "function") {
    return { content: new Content({ tag: "stream", val: ReadableStream.from(init) }), type: null };
  }
  return { content: new Content({ tag: "text", val: String(init) }), type: "text/plain;charset=UTF-8" };
}

/** The media type of a message without parameters, in lower case, and with them as it is. */
function mediaType(message) {
  const type = message.headers.get("content-type") ?? "";
  return { essence: type.split(";", 1)[0].trim().toLowerCase(), type };
}

async function readForm(message, content) {
  const { essence, type } = mediaType(message);
  if (essence === "multipart/form-data") return decodeMultipart(await content.bytes(), type);
  if (essence !== "application/x-www-form-urlencoded") {
    throw new TypeError(`a body of type "${type}" is no form: it must be multipart/form-data or application/x-www-form-urlencoded`);
  }
  const form = new FormData();
  for (const [name, value] of new URLSearchParams(`&${await content.text()}`)) form.append(name, value);
  return form;
}

/** The members that Request and Response share. Their content is found by `contentOf`. */
export function mixBody(Class, contentOf) {
  const members = {
    get body() {
      return contentOf(this).stream();
    },
    get bodyUsed() {
      return contentOf(this).used;
    },
    async text() {
      return await contentOf(this).text();
    },
    async json() {
      return JSON.parse(await contentOf(this).text());
    },
    async bytes() {
      return await contentOf(this).bytes();
    },
    async arrayBuffer() {
      const bytes = await contentOf(this).bytes();
      return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
    },
    async blob() {
      const content = contentOf(this);
      return new Blob([await content.bytes()], { type: mediaType(this).type });
    },
    async formData() {
      return await readForm(this, contentOf(this));
    },
  };
  Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(members));
}

/** What one call hands to the host: what waits there counts for nobody's memory, so it is kept small. */
const PIECE_BYTES_MAX = 65536;

/** Writes bytes to a handle of the host, piece by piece. False when nobody reads any more. */
export async function writeAll(handle, bytes) {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES_MAX) {
    const whole = bytes.length <= PIECE_BYTES_MAX;
    try {
      await writeChunk(handle, whole ? bytes : bytes.subarray(at, at + PIECE_BYTES_MAX));
    } catch {
      return false;
    }
  }
  return true;
}

/**
 * Writes a stream to a handle of the host and ends it; an error of the stream ends it with that error. A reader that has gone
 * cancels the stream, which is no error.
 */
export async function pump(stream, handle) {
  let gone = false;
  try {
    for await (const chunk of stream) {
      if (await writeAll(handle, chunkBytes(chunk))) continue;
      gone = true;
      // Not `break`: what the stream's own cancel throws, nobody wants to know.
      throw undefined;
    }
  } catch (error) {
    if (!gone) {
      host.close(handle, String(error?.message ?? error));
      throw error;
    }
  }
  host.close(handle, null);
}
