// Key-value stores in `env`, as Cloudflare's KV has them. A value crosses the boundary as text, or as base64 where it is none.

import { atob, btoa } from "./base64.js";
import { bytesOf, fromUtf8, utf8 } from "./encoding.js";
import { ReadableStream } from "./readable.js";

const TYPES = ["text", "json", "arrayBuffer", "stream"];
const PIECE = 8192;

function toBase64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    binary += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  }
  return btoa(binary);
}

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

async function collect(stream) {
  const chunks = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === "string" ? utf8(chunk) : bytesOf(chunk);
    chunks.push(bytes);
    length += bytes.length;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const bytes of chunks) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

async function encoded(value) {
  if (typeof value === "string") return { text: value };
  if (value instanceof ReadableStream) return { base64: toBase64(await collect(value)) };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { base64: toBase64(bytesOf(value)) };
  throw new TypeError("a value is a string, an ArrayBuffer, a view of one, or a ReadableStream; write objects by JSON.stringify");
}

function typeOf(options) {
  const type = (typeof options === "string" ? options : options?.type) ?? "text";
  if (!TYPES.includes(type)) throw new TypeError(`a value is read as ${TYPES.join(", ")}, not as ${type}`);
  return type;
}

function decoded(found, type) {
  const bytes = () => (found.text === undefined ? fromBase64(found.base64) : utf8(found.text));
  const text = () => found.text ?? fromUtf8(fromBase64(found.base64));
  switch (type) {
    case "json":
      return JSON.parse(text());
    case "arrayBuffer":
      return bytes().slice().buffer;
    case "stream":
      return ReadableStream.from([bytes()]);
    default:
      return text();
  }
}

function seconds(options, name) {
  const value = options?.[name];
  if (value === undefined || value === null) return undefined;
  const number = Number(value);
  if (!(number > 0) || number === Infinity) throw new TypeError(`${name} is a number of seconds above 0, not ${value}`);
  return number;
}

export class KeyValue {
  #call;

  /** `call(op, payload)` asks the host. */
  constructor(call) {
    this.#call = call;
  }

  async get(key, options) {
    return (await this.getWithMetadata(key, options)).value;
  }

  async getWithMetadata(key, options) {
    const type = typeOf(options);
    const found = await this.#call("get", { key: String(key) });
    if (found === null) return { value: null, metadata: null, cacheStatus: null };
    return { value: decoded(found, type), metadata: found.metadata ?? null, cacheStatus: null };
  }

  async put(key, value, options) {
    await this.#call("put", {
      key: String(key),
      metadata: options?.metadata,
      expirationTtl: seconds(options, "expirationTtl"),
      expiration: seconds(options, "expiration"),
      ...(await encoded(value)),
    });
  }

  async delete(key) {
    await this.#call("delete", { key: String(key) });
  }

  async list(options = {}) {
    const answer = await this.#call("list", {
      prefix: options?.prefix ?? undefined,
      limit: options?.limit ?? undefined,
      cursor: options?.cursor ?? undefined,
    });
    return { ...answer, cacheStatus: null };
  }
}
