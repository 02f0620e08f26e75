// node:buffer

import { fromUtf8, utf8 } from "emu:prelude/encoding.js";

const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const STANDARD = `${CHARACTERS}+/`;
const SAFE = `${CHARACTERS}-_`;
const VALUES = new Uint8Array(128).fill(255);
for (let at = 0; at < 64; at++) VALUES[STANDARD.charCodeAt(at)] = VALUES[SAFE.charCodeAt(at)] = at;
const HEX = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));
/** Arguments of one `String.fromCharCode`. */
const CODES_MAX = 8192;

export const kMaxLength = 2 ** 31 - 1;
export const kStringMaxLength = 2 ** 29 - 24;
export const constants = { MAX_LENGTH: kMaxLength, MAX_STRING_LENGTH: kStringMaxLength };
export const INSPECT_MAX_BYTES = 50;

function failure(Kind, code, message) {
  return Object.assign(new Kind(message), { code });
}

function normal(encoding = "utf8") {
  switch (String(encoding).toLowerCase()) {
    case "utf8": case "utf-8": return "utf8";
    case "hex": return "hex";
    case "base64": return "base64";
    case "base64url": return "base64url";
    case "ascii": return "ascii";
    case "latin1": case "binary": return "latin1";
    case "ucs2": case "ucs-2": case "utf16le": case "utf-16le": return "utf16le";
    default: return undefined;
  }
}

function known(encoding) {
  const name = normal(encoding ?? "utf8");
  if (name === undefined) throw failure(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
  return name;
}

function fromBase64(text) {
  const out = new Uint8Array(Math.ceil((text.length * 3) / 4));
  let bits = 0, count = 0, at = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 61) break;
    const value = code < 128 ? VALUES[code] : 255;
    if (value === 255) continue;
    bits = (bits << 6) | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[at++] = (bits >> count) & 255;
    }
  }
  return out.subarray(0, at);
}

function toBase64(bytes, table, padded) {
  let out = "";
  let at = 0;
  for (; at + 2 < bytes.length; at += 3) {
    const group = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
    out += table[group >> 18] + table[(group >> 12) & 63] + table[(group >> 6) & 63] + table[group & 63];
  }
  const left = bytes.length - at;
  if (left === 1) out += table[bytes[at] >> 2] + table[(bytes[at] & 3) << 4] + (padded ? "==" : "");
  if (left === 2) {
    const group = (bytes[at] << 8) | bytes[at + 1];
    out += table[group >> 10] + table[(group >> 4) & 63] + table[(group & 15) << 2] + (padded ? "=" : "");
  }
  return out;
}

/** Bytes of a string. */
function encode(text, encoding) {
  switch (known(encoding)) {
    case "utf8":
      return utf8(text);
    case "hex": {
      const out = new Uint8Array(text.length >> 1);
      for (let at = 0; at < out.length; at++) {
        const pair = text.slice(at * 2, at * 2 + 2);
        if (!/^[0-9a-f]{2}$/i.test(pair)) return out.subarray(0, at);
        out[at] = parseInt(pair, 16);
      }
      return out;
    }
    case "base64":
    case "base64url":
      return fromBase64(text);
    case "utf16le": {
      const out = new Uint8Array(text.length * 2);
      for (let at = 0; at < text.length; at++) {
        const code = text.charCodeAt(at);
        out[at * 2] = code & 255;
        out[at * 2 + 1] = code >> 8;
      }
      return out;
    }
    default: {
      const out = new Uint8Array(text.length);
      for (let at = 0; at < text.length; at++) out[at] = text.charCodeAt(at);
      return out;
    }
  }
}

function fromCodes(length, code) {
  let out = "";
  for (let from = 0; from < length; from += CODES_MAX) {
    const codes = [];
    for (let at = from; at < Math.min(length, from + CODES_MAX); at++) codes.push(code(at));
    out += String.fromCharCode(...codes);
  }
  return out;
}

function decode(bytes, encoding) {
  switch (known(encoding)) {
    case "utf8":
      return bytes.length === 0 ? "" : fromUtf8(bytes, true);
    case "hex":
      return Array.from(bytes, (byte) => HEX[byte]).join("");
    case "base64":
      return toBase64(bytes, STANDARD, true);
    case "base64url":
      return toBase64(bytes, SAFE, false);
    case "ascii":
      return fromCodes(bytes.length, (at) => bytes[at] & 127);
    case "latin1":
      return fromCodes(bytes.length, (at) => bytes[at]);
    default:
      return fromCodes(bytes.length >> 1, (at) => bytes[at * 2] | (bytes[at * 2 + 1] << 8));
  }
}

function view(buffer) {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function plain(value) {
  return value instanceof Buffer ? value : wrap(value);
}

function wrap({ buffer, byteOffset, byteLength }) {
  return new Buffer(buffer, byteOffset, byteLength);
}

class Base extends Uint8Array {
  static poolSize = 8192;

  constructor(value, second, length) {
    if (typeof value === "number") super(value);
    else if (value instanceof ArrayBuffer || Object.prototype.toString.call(value) === "[object SharedArrayBuffer]") {
      if (length !== undefined) super(value, second, length);
      else super(value, second ?? 0);
    } else if (typeof value === "string") super(encode(value, second));
    else if (value?.type === "Buffer" && Array.isArray(value.data)) super(value.data);
    else super(value);
  }

  static from(value, second, third) {
    if (typeof value === "string") return wrap(encode(value, second));
    if (typeof value === "object" && value !== null) {
      if (value instanceof ArrayBuffer) return new Buffer(value, second, third);
      if (ArrayBuffer.isView(value)) {
        const copy = new Buffer(value.length ?? value.byteLength);
        copy.set(value);
        return copy;
      }
      const inner = value.valueOf?.();
      if (inner !== undefined && inner !== null && inner !== value) return Buffer.from(inner, second, third);
      if (value.type === "Buffer" && Array.isArray(value.data)) return new Buffer(value.data);
      if (typeof value.length === "number" || Array.isArray(value)) return new Buffer(Array.from(value, Number));
      const primitive = value[Symbol.toPrimitive]?.("string");
      if (typeof primitive === "string") return Buffer.from(primitive, second);
      if (typeof second === "function") return super.from(value, second, third);
      return new Buffer(Array.from(value));
    }
    throw failure(
      TypeError,
      "ERR_INVALID_ARG_TYPE",
      `The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object. Received ${value === null ? "null" : `type ${typeof value}`}`,
    );
  }

  static of(...items) {
    return new Buffer(items);
  }

  static alloc(size, fill, encoding) {
    if (typeof size !== "number" || !(size >= 0)) throw failure(RangeError, "ERR_INVALID_ARG_VALUE", `The value of "size" is invalid: ${size}`);
    const buffer = new Buffer(Math.trunc(size));
    return fill === undefined || fill === 0 ? buffer : buffer.fill(fill, encoding);
  }

  static allocUnsafe(size) {
    return Buffer.alloc(size);
  }

  static allocUnsafeSlow(size) {
    return Buffer.alloc(size);
  }

  static isBuffer(value) {
    return value instanceof Buffer;
  }

  static isEncoding(encoding) {
    return typeof encoding === "string" && normal(encoding) !== undefined;
  }

  static byteLength(value, encoding) {
    if (typeof value !== "string") return value.byteLength;
    switch (normal(encoding) ?? "utf8") {
      case "utf8": return utf8(value).length;
      case "utf16le": return value.length * 2;
      case "hex": return value.length >> 1;
      case "base64": case "base64url": return fromBase64(value).length;
      default: return value.length;
    }
  }

  static compare(a, b) {
    const length = Math.min(a.length, b.length);
    for (let at = 0; at < length; at++) if (a[at] !== b[at]) return a[at] < b[at] ? -1 : 1;
    return Math.sign(a.length - b.length);
  }

  static concat(list, total = list.reduce((sum, one) => sum + one.length, 0)) {
    const out = Buffer.alloc(total);
    let at = 0;
    for (const one of list) {
      if (at >= total) break;
      out.set(at + one.length > total ? one.subarray(0, total - at) : one, at);
      at += one.length;
    }
    return out;
  }

  static copyBytesFrom(source, offset = 0, length = source.length - offset) {
    const part = source.subarray(offset, offset + length);
    return Buffer.from(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }

  get parent() {
    return this.buffer;
  }

  get offset() {
    return this.byteOffset;
  }

  toString(encoding, start = 0, end = this.length) {
    return decode(start === 0 && end >= this.length ? this : this.subarray(Math.max(0, start), Math.max(0, end)), encoding);
  }

  toLocaleString(encoding, start, end) {
    return this.toString(encoding, start, end);
  }

  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  }

  equals(other) {
    return this === other || Buffer.compare(this, other) === 0;
  }

  compare(target, targetStart = 0, targetEnd = target.length, start = 0, end = this.length) {
    return Buffer.compare(this.subarray(start, end), target.subarray(targetStart, targetEnd));
  }

  subarray(start, end) {
    const part = new Uint8Array(this.buffer, this.byteOffset, this.byteLength).subarray(start, end);
    return wrap(part);
  }

  slice(start, end) {
    return this.subarray(start, end);
  }

  copy(target, targetStart = 0, start = 0, end = this.length) {
    const room = Math.max(0, target.length - targetStart);
    const part = this.subarray(start, Math.min(end, start + room));
    target.set(part, targetStart);
    return part.length;
  }

  write(text, offset = 0, length, encoding) {
    if (typeof offset === "string") [encoding, offset, length] = [offset, 0, undefined];
    else if (typeof length === "string") [encoding, length] = [length, undefined];
    const room = Math.min(length ?? Infinity, this.length - offset);
    let bytes = encode(text, encoding);
    if (bytes.length > room) {
      // A character that does not fit is not begun.
      let end = room;
      if (known(encoding) === "utf8") while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
      bytes = bytes.subarray(0, end);
    }
    this.set(bytes, offset);
    return bytes.length;
  }

  fill(value, offset = 0, end = this.length, encoding) {
    if (typeof offset === "string") [encoding, offset, end] = [offset, 0, this.length];
    else if (typeof end === "string") [encoding, end] = [end, this.length];
    if (typeof value !== "string" && !ArrayBuffer.isView(value)) return super.fill(Number(value) & 255, offset, end);
    const bytes = typeof value === "string" ? encode(value, encoding) : value;
    if (bytes.length === 0) return super.fill(0, offset, end);
    for (let at = offset; at < end; at++) this[at] = bytes[(at - offset) % bytes.length];
    return this;
  }

  indexOf(value, offset = 0, encoding) {
    return search(this, value, offset, encoding, false);
  }

  lastIndexOf(value, offset, encoding) {
    return search(this, value, offset ?? this.length, encoding, true);
  }

  includes(value, offset, encoding) {
    return this.indexOf(value, offset, encoding) >= 0;
  }

  swap16() {
    return swap(this, 2);
  }

  swap32() {
    return swap(this, 4);
  }

  swap64() {
    return swap(this, 8);
  }

  inspect() {
    return this[Symbol.for("nodejs.util.inspect.custom")]();
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    const shown = Array.from(this.subarray(0, INSPECT_MAX_BYTES), (byte) => HEX[byte]).join(" ");
    const rest = this.length - INSPECT_MAX_BYTES;
    return `<${this.constructor.name} ${shown}${rest > 0 ? ` ... ${rest} more byte${rest > 1 ? "s" : ""}` : ""}>`;
  }
}

/** Old code makes them without `new`, which no class allows. */
export function Buffer(...args) {
  return Reflect.construct(Base, args, new.target ?? Buffer);
}
Object.setPrototypeOf(Buffer, Base);
Buffer.prototype = Base.prototype;
Object.defineProperty(Base.prototype, "constructor", { value: Buffer, writable: true, configurable: true });

function search(buffer, value, offset, encoding, last) {
  if (typeof offset === "string") [encoding, offset] = [offset, last ? buffer.length : 0];
  offset = Number.isNaN(Number(offset)) ? (last ? buffer.length : 0) : Math.trunc(offset);
  if (offset < 0) offset = Math.max(0, buffer.length + offset);
  if (typeof value === "number") {
    return last ? Uint8Array.prototype.lastIndexOf.call(buffer, value & 255, offset) : Uint8Array.prototype.indexOf.call(buffer, value & 255, offset);
  }
  const bytes = typeof value === "string" ? encode(value, encoding) : value;
  const end = buffer.length - bytes.length;
  const step = last ? -1 : 1;
  for (let at = last ? Math.min(offset, end) : offset; at >= 0 && at <= end; at += step) {
    let same = 0;
    while (same < bytes.length && buffer[at + same] === bytes[same]) same++;
    if (same === bytes.length) return at;
  }
  return -1;
}

function swap(buffer, size) {
  if (buffer.length % size !== 0) throw failure(RangeError, "ERR_INVALID_BUFFER_SIZE", `Buffer size must be a multiple of ${size * 8}-bits`);
  for (let at = 0; at < buffer.length; at += size) Uint8Array.prototype.reverse.call(buffer.subarray(at, at + size));
  return buffer;
}

function checkRoom(buffer, offset, size) {
  if (typeof offset !== "number") throw failure(TypeError, "ERR_INVALID_ARG_TYPE", `The "offset" argument must be of type number. Received ${typeof offset}`);
  if (Number.isInteger(offset) && offset >= 0 && offset + size <= buffer.length) return;
  if (buffer.length < size) throw failure(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", "Attempt to access memory outside buffer bounds");
  throw failure(RangeError, "ERR_OUT_OF_RANGE", `The value of "offset" is out of range. It must be >= 0 and <= ${buffer.length - size}. Received ${offset}`);
}

function checkValue(value, min, max) {
  if (value < min || value > max) {
    throw failure(RangeError, "ERR_OUT_OF_RANGE", `The value of "value" is out of range. It must be >= ${min} and <= ${max}. Received ${value}`);
  }
}

function defineNumbers() {
  const prototype = Buffer.prototype;
  const define = (names, method) => {
    for (const name of names) Object.defineProperty(prototype, name, { value: method, writable: true, configurable: true });
  };
  const spellings = (name) => (name.includes("UInt") ? [name, name.replace("UInt", "Uint")] : [name]);
  const kinds = [["Int8", 1], ["UInt8", 1], ["Int16", 2], ["UInt16", 2], ["Int32", 4], ["UInt32", 4], ["BigInt64", 8], ["BigUInt64", 8], ["Float", 4], ["Double", 8]];
  for (const [kind, size] of kinds) {
    const isBig = kind.startsWith("Big");
    const isFloat = size === 8 && !isBig || kind === "Float";
    const method = kind === "Float" ? "Float32" : kind === "Double" ? "Float64" : kind.replace("UInt", "Uint");
    const signed = !kind.includes("U");
    const top = isBig ? 2n ** (signed ? 63n : 64n) - 1n : 2 ** (size * 8 - (signed ? 1 : 0)) - 1;
    const bottom = signed ? (isBig ? -(2n ** 63n) : -(2 ** (size * 8 - 1))) : isBig ? 0n : 0;
    for (const end of size === 1 ? [""] : ["LE", "BE"]) {
      define(spellings(`read${kind}${end}`), function (offset = 0) {
        checkRoom(this, offset, size);
        return view(this)[`get${method}`](offset, end === "LE");
      });
      define(spellings(`write${kind}${end}`), function (value, offset = 0) {
        if (!isFloat) checkValue(value, bottom, top);
        checkRoom(this, offset, size);
        view(this)[`set${method}`](offset, value, end === "LE");
        return offset + size;
      });
    }
  }
  for (const signed of [true, false]) {
    const kind = signed ? "Int" : "UInt";
    for (const end of ["LE", "BE"]) {
      define(spellings(`read${kind}${end}`), function (offset, size) {
        checkRoom(this, offset, size);
        let value = 0;
        for (let at = 0; at < size; at++) value = value * 256 + this[end === "LE" ? offset + size - 1 - at : offset + at];
        return signed && value >= 2 ** (size * 8 - 1) ? value - 2 ** (size * 8) : value;
      });
      define(spellings(`write${kind}${end}`), function (value, offset, size) {
        checkValue(value, signed ? -(2 ** (size * 8 - 1)) : 0, 2 ** (size * 8 - (signed ? 1 : 0)) - 1);
        checkRoom(this, offset, size);
        let rest = value < 0 ? value + 2 ** (size * 8) : value;
        for (let at = 0; at < size; at++) {
          this[end === "LE" ? offset + at : offset + size - 1 - at] = rest % 256;
          rest = Math.floor(rest / 256);
        }
        return offset + size;
      });
    }
  }
  for (const name of ["asciiSlice", "base64Slice", "base64urlSlice", "hexSlice", "latin1Slice", "ucs2Slice", "utf8Slice"]) {
    define([name], function (start, end) {
      return this.toString(name.slice(0, -5), start, end);
    });
  }
}

defineNumbers();

export function SlowBuffer(size) {
  return Buffer.alloc(size);
}

export function isUtf8(value) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(value);
    return true;
  } catch {
    return false;
  }
}

export function isAscii(value) {
  return plain(new Uint8Array(value.buffer ?? value)).every((byte) => byte < 128);
}

export function transcode(source, from, to) {
  return Buffer.from(decode(source, from), to);
}

const { atob, Blob, btoa, File } = globalThis;
export { atob, Blob, btoa, File };
Object.defineProperty(globalThis, "Buffer", { value: Buffer, writable: true, configurable: true, enumerable: false });
export default { atob, Blob, btoa, Buffer, constants, File, INSPECT_MAX_BYTES, isAscii, isUtf8, kMaxLength, kStringMaxLength, SlowBuffer, transcode };
