// node:crypto: digests, codes, keys and signatures. The host computes.

import host from "emu:js/host";
import { Buffer } from "node:buffer";
import { Transform } from "node:stream";

const HASHES = { md5: "MD5", sha1: "SHA-1", sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };

function failure(code, message, Kind = Error) {
  return Object.assign(new Kind(message), { code });
}

function compute(op, params, ...inputs) {
  try {
    return host.computeNow(op, JSON.stringify(params), inputs);
  } catch (error) {
    throw failure("ERR_CRYPTO_OPERATION_FAILED", String(error?.message ?? error));
  }
}

/** For work that takes long: the invocation waits, the others do not. */
async function computeLater(op, params, ...inputs) {
  try {
    return await host.compute(op, JSON.stringify(params), inputs);
  } catch (error) {
    throw failure("ERR_CRYPTO_OPERATION_FAILED", String(error?.message ?? error));
  }
}

function bytesOf(value, encoding) {
  if (typeof value === "string") return Buffer.from(value, encoding);
  if (value instanceof KeyObject) return value.bytes;
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw failure("ERR_INVALID_ARG_TYPE", "The data must be a string, a Buffer, a TypedArray or a DataView", TypeError);
}

function hashName(name) {
  const known = HASHES[String(name).toLowerCase().replace(/^rsa-/, "").replace(/^(sha)-/, "$1")];
  if (known === undefined) throw failure("ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}; emu has ${Object.keys(HASHES).join(", ")}`);
  return known;
}

const out = (bytes, encoding) => (encoding === undefined || encoding === "buffer" ? Buffer.from(bytes) : Buffer.from(bytes).toString(encoding));

/** What takes data in parts and computes at its end; also a stream. */
function Parts() {
  Transform.call(this);
  this.parts = [];
  this.done = false;
}
Parts.prototype = Object.create(Transform.prototype, { constructor: { value: Parts } });
Object.assign(Parts.prototype, {
  update(data, encoding) {
    if (this.done) throw failure("ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    this.parts.push(Buffer.from(bytesOf(data, encoding)));
    return this;
  },
  whole() {
    if (this.done) throw failure("ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    this.done = true;
    return Buffer.concat(this.parts);
  },
  _transform(chunk, encoding, callback) {
    this.update(chunk, encoding);
    callback();
  },
  _flush(callback) {
    this.push(this.digest());
    callback();
  },
});

function partsOf(digest) {
  return class extends Parts {
    constructor(...args) {
      super();
      this.args = args;
    }
    digest(encoding) {
      return out(digest(this.whole(), ...this.args), encoding);
    }
    copy() {
      const copy = new this.constructor(...this.args);
      copy.parts = [...this.parts];
      return copy;
    }
  };
}

export const Hash = partsOf((data, hash) => compute(hash === "MD5" ? "md5" : "digest", hash === "MD5" ? {} : { hash }, data)[0]);
export const Hmac = partsOf((data, hash, key) => compute(hash === "MD5" ? "hmac-md5" : "hmac", hash === "MD5" ? {} : { hash }, key, data)[0]);

export const createHash = (name) => new Hash(hashName(name));
export const createHmac = (name, key) => new Hmac(hashName(name), Buffer.from(bytesOf(key)));
export const hash = (name, data, encoding = "hex") => createHash(name).update(data).digest(encoding);
export const getHashes = () => Object.keys(HASHES);
export const getCiphers = () => ["aes-128-cbc", "aes-128-gcm", "aes-256-cbc", "aes-256-gcm"];
export const getCurves = () => ["prime256v1", "secp384r1"];

// Random values

export const { crypto: webcrypto } = globalThis;
export const subtle = webcrypto.subtle;
export const getRandomValues = (array) => webcrypto.getRandomValues(array);
export const randomUUID = () => webcrypto.randomUUID();

export function randomFillSync(target, offset = 0, size = target.byteLength - offset) {
  const bytes = new Uint8Array(target.buffer ?? target, target.byteOffset ?? 0, target.byteLength);
  for (let at = 0; at < size; at += 65536) webcrypto.getRandomValues(bytes.subarray(offset + at, offset + Math.min(size, at + 65536)));
  return target;
}

export function randomFill(target, ...rest) {
  const callback = rest.pop();
  randomFillSync(target, ...rest);
  queueMicrotask(() => callback(null, target));
}

export function randomBytes(size, callback) {
  const bytes = randomFillSync(Buffer.alloc(size));
  if (callback === undefined) return bytes;
  queueMicrotask(() => callback(null, bytes));
}

export function randomInt(low, high, callback) {
  if (high === undefined || typeof high === "function") [callback, high, low] = [high, low, 0];
  const range = high - low;
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || range <= 0 || range > 2 ** 48) {
    throw failure("ERR_OUT_OF_RANGE", `no random integer from ${low} to below ${high}`, RangeError);
  }
  const limit = 2 ** 48 - (2 ** 48 % range);
  let value;
  do value = randomBytes(6).readUIntBE(0, 6);
  while (value >= limit);
  const chosen = low + (value % range);
  if (callback === undefined) return chosen;
  queueMicrotask(() => callback(null, chosen));
}

export function timingSafeEqual(a, b) {
  const [left, right] = [bytesOf(a), bytesOf(b)];
  if (left.length !== right.length) throw failure("ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", "Input buffers must have the same byte length", RangeError);
  let different = 0;
  for (let at = 0; at < left.length; at++) different |= left[at] ^ right[at];
  return different === 0;
}

// Keys from passwords

const pbkdf2Params = (rounds, length, digest) => ["pbkdf2", { rounds, bits: length * 8, hash: hashName(digest) }];

export function pbkdf2Sync(password, salt, rounds, length, digest) {
  return Buffer.from(compute(...pbkdf2Params(rounds, length, digest), bytesOf(password), bytesOf(salt))[0]);
}

export function pbkdf2(password, salt, rounds, length, digest, callback) {
  computeLater(...pbkdf2Params(rounds, length, digest), bytesOf(password), bytesOf(salt)).then(([key]) => callback(null, Buffer.from(key)), callback);
}

export function hkdfSync(digest, key, salt, info, length) {
  const derived = compute("hkdf", { hash: hashName(digest), bits: length * 8 }, bytesOf(key), bytesOf(salt), bytesOf(info))[0];
  return Uint8Array.from(derived).buffer;
}

export function hkdf(digest, key, salt, info, length, callback) {
  queueMicrotask(() => callback(null, hkdfSync(digest, key, salt, info, length)));
}

function absent(name, instead) {
  return () => {
    throw failure("ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", `crypto.${name} is not in emu; use ${instead}`);
  };
}

export const scrypt = absent("scrypt", "pbkdf2, or a package such as @noble/hashes");
export const scryptSync = scrypt;
export const createDiffieHellman = absent("createDiffieHellman", "crypto.subtle with ECDH");
export const createECDH = absent("createECDH", "crypto.subtle with ECDH");
export const generateKeyPairSync = absent("generateKeyPairSync", "crypto.subtle.generateKey");
export const generateKeyPair = absent("generateKeyPair", "crypto.subtle.generateKey");
export const publicEncrypt = absent("publicEncrypt", "crypto.subtle with RSA-OAEP");
export const privateDecrypt = absent("privateDecrypt", "crypto.subtle with RSA-OAEP");
export const createSecureContext = absent("createSecureContext", "fetch");

// Ciphers

const CIPHER = /^(?:id-)?aes-?(128|256)-(cbc|gcm)$/i;

class Cipher extends Parts {
  constructor(encrypt, name, key, iv, options) {
    super();
    const [, bits, mode] = CIPHER.exec(name) ?? [];
    if (mode === undefined) throw failure("ERR_CRYPTO_UNKNOWN_CIPHER", `Unknown cipher: ${name}; emu has ${getCiphers().join(", ")}`);
    this.encrypt = encrypt;
    this.gcm = mode.toLowerCase() === "gcm";
    [this.key, this.iv] = [Buffer.from(bytesOf(key)), Buffer.from(bytesOf(iv))];
    if (this.key.length * 8 !== Number(bits)) throw failure("ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length", RangeError);
    this.aad = Buffer.alloc(0);
    this.tagBytes = options?.authTagLength ?? 16;
  }

  /** What goes in comes out at the end: the host works on the whole. */
  update(data, encoding, outEncoding) {
    super.update(data, encoding);
    return outEncoding ? "" : Buffer.alloc(0);
  }

  setAAD(aad) {
    this.aad = Buffer.from(bytesOf(aad));
    return this;
  }

  setAuthTag(tag) {
    this.tag = Buffer.from(bytesOf(tag));
    return this;
  }

  getAuthTag() {
    return this.tag;
  }

  setAutoPadding(on = true) {
    if (!on) throw failure("ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", "ciphers without padding are not in emu");
    return this;
  }

  final(encoding) {
    const data = this.whole();
    if (!this.gcm) return out(compute("aes-cbc", { encrypt: this.encrypt }, this.key, this.iv, Buffer.alloc(0), data)[0], encoding);
    const tagBits = this.tagBytes * 8;
    const input = this.encrypt ? data : Buffer.concat([data, this.tag ?? Buffer.alloc(0)]);
    const done = Buffer.from(compute("aes-gcm", { encrypt: this.encrypt, tagBits }, this.key, this.iv, this.aad, input)[0]);
    if (!this.encrypt) return out(done, encoding);
    this.tag = done.subarray(done.length - this.tagBytes);
    return out(done.subarray(0, done.length - this.tagBytes), encoding);
  }

  digest() {
    return this.final();
  }
}

export const createCipheriv = (name, key, iv, options) => new Cipher(true, name, key, iv, options);
export const createDecipheriv = (name, key, iv, options) => new Cipher(false, name, key, iv, options);

// Keys

const OIDS = { rsa: "06092a864886f70d010101", ec: "06072a8648ce3d0201", ed25519: "06032b6570" };
const CURVES = { "06082a8648ce3d030107": ["P-256", "prime256v1", 32], "06052b81040022": ["P-384", "secp384r1", 48] };

function der(tag, ...parts) {
  const body = Buffer.concat(parts);
  const size = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const hex = (text) => Buffer.from(text, "hex");
const rsaHead = () => der(0x30, hex(OIDS.rsa), hex("0500"));

/** DER and its format, of PEM or of DER that is told. */
function materialOf(input, wanted) {
  const { key = input, format = "pem", type } = typeof input === "object" && !ArrayBuffer.isView(input) ? input : {};
  if (format === "jwk") throw failure("ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", "keys as JWK are for crypto.subtle.importKey in emu");
  if (format === "der") return [Buffer.from(bytesOf(key)), type ?? (wanted === "private" ? "pkcs8" : "spki")];
  const text = typeof key === "string" ? key : Buffer.from(bytesOf(key)).toString("latin1");
  const [, label, body] = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]+?)-----END \1-----/.exec(text) ?? [];
  const bytes = label === undefined ? undefined : Buffer.from(body.replace(/\s/g, ""), "base64");
  switch (label) {
    case "PRIVATE KEY": return [bytes, "pkcs8"];
    case "PUBLIC KEY": return [bytes, "spki"];
    case "RSA PRIVATE KEY": return [bytes, "pkcs1", "private"];
    case "RSA PUBLIC KEY": return [bytes, "pkcs1"];
    case "EC PRIVATE KEY": return [bytes, "sec1"];
    default: throw failure("ERR_OSSL_UNSUPPORTED", label === undefined ? "the key is no PEM" : `keys of the kind "${label}" are not supported; use PKCS #8 or SPKI`);
  }
}

function standard(bytes, format, isPrivate) {
  if (format === "pkcs1") {
    return isPrivate ? der(0x30, hex("020100"), rsaHead(), der(4, bytes)) : der(0x30, rsaHead(), der(3, Buffer.from([0]), bytes));
  }
  if (format !== "sec1") return bytes;
  const curve = Object.keys(CURVES).find((oid) => bytes.includes(hex(oid)));
  return der(0x30, hex("020100"), der(0x30, hex(OIDS.ec), hex(curve ?? "")), der(4, bytes));
}

function describe(bytes, isPrivate) {
  const kind = Object.keys(OIDS).find((name) => bytes.includes(hex(OIDS[name])));
  const format = isPrivate ? "pkcs8" : "spki";
  if (kind === "rsa") {
    const [material, modulus] = compute("rsa-import", { format }, bytes);
    return { kind, sign: material, verify: material, details: { modulusLength: modulus === undefined ? 2048 : modulus.length * 8, publicExponent: 65537n } };
  }
  if (kind === "ec") {
    const curve = Object.keys(CURVES).find((oid) => bytes.includes(hex(oid)));
    if (curve === undefined) throw failure("ERR_CRYPTO_INVALID_CURVE", "emu has the curves P-256 and P-384");
    const [name, namedCurve, size] = CURVES[curve];
    const parts = compute("ec-import", { curve: name, format, private: isPrivate }, bytes);
    return { kind, curve: name, size, sign: parts[0], verify: parts.at(-1), details: { namedCurve } };
  }
  if (kind === "ed25519") {
    const parts = compute("ed-import", { format, private: isPrivate }, bytes);
    return { kind, sign: parts[0], verify: parts.at(-1), details: {} };
  }
  throw failure("ERR_OSSL_UNSUPPORTED", "the key is not of RSA, of a curve that emu has, or of Ed25519");
}

export class KeyObject {
  constructor(type, bytes, described) {
    this.type = type;
    Object.defineProperty(this, "bytes", { value: bytes });
    Object.defineProperty(this, "described", { value: described });
  }

  get asymmetricKeyType() {
    return this.described?.kind;
  }

  get asymmetricKeyDetails() {
    return this.described?.details;
  }

  get symmetricKeySize() {
    return this.type === "secret" ? this.bytes.length : undefined;
  }

  equals(other) {
    return this.type === other.type && this.bytes.equals(other.bytes);
  }

  export({ format = this.type === "secret" ? "buffer" : "pem" } = {}) {
    if (format === "jwk" && this.type === "secret") return { kty: "oct", k: this.bytes.toString("base64url") };
    if (format !== "pem") return Buffer.from(this.bytes);
    const label = this.type === "private" ? "PRIVATE KEY" : "PUBLIC KEY";
    return `-----BEGIN ${label}-----\n${this.bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
  }
}

export function createSecretKey(key, encoding) {
  return new KeyObject("secret", Buffer.from(bytesOf(key, encoding)));
}

export function createPrivateKey(input) {
  if (input instanceof KeyObject) return input;
  const [bytes, format, more] = materialOf(input, "private");
  if (format === "spki" || (format === "pkcs1" && more === undefined && input?.format !== "der")) throw failure("ERR_OSSL_UNSUPPORTED", "the key is a public one");
  const pkcs8 = standard(bytes, format, true);
  return new KeyObject("private", pkcs8, describe(pkcs8, true));
}

export function createPublicKey(input) {
  if (input instanceof KeyObject && input.type === "public") return input;
  if (input instanceof KeyObject) return publicOf(input);
  const [bytes, format, more] = materialOf(input, "public");
  if (format === "pkcs8" || format === "sec1" || more === "private") return publicOf(createPrivateKey(input));
  const spki = standard(bytes, format, false);
  return new KeyObject("public", spki, describe(spki, false));
}

function publicOf({ described, bytes }) {
  let spki;
  if (described.kind === "rsa") {
    const [n, e] = compute("rsa-export", { private: true }, described.sign);
    const integer = (number) => der(2, number[0] & 0x80 ? Buffer.from([0]) : Buffer.alloc(0), Buffer.from(number));
    spki = standard(der(0x30, integer(n), integer(e)), "pkcs1", false);
  } else if (described.kind === "ec") spki = compute("ec-export", { curve: described.curve, private: false }, described.verify)[0];
  else spki = compute("ed-export", { private: false }, described.verify)[0];
  return new KeyObject("public", Buffer.from(spki), describe(Buffer.from(spki), false));
}

// Signatures

/** A signature of a curve: two numbers side by side, or in DER as Node has it by default. */
function toDer(raw) {
  const integer = (bytes) => {
    let at = 0;
    while (at < bytes.length - 1 && bytes[at] === 0) at++;
    const number = bytes.subarray(at);
    return der(2, number[0] & 0x80 ? Buffer.from([0]) : Buffer.alloc(0), number);
  };
  return der(0x30, integer(raw.subarray(0, raw.length / 2)), integer(raw.subarray(raw.length / 2)));
}

function fromDer(bytes, size) {
  let at = bytes[1] & 0x80 ? 2 + (bytes[1] & 0x7f) : 2;
  const numbers = [0, 1].map(() => {
    const length = bytes[at + 1];
    const number = bytes.subarray(at + 2, at + 2 + length);
    at += 2 + length;
    const padded = Buffer.alloc(size);
    padded.set(number.subarray(Math.max(0, number.length - size)), Math.max(0, size - number.length));
    return padded;
  });
  return Buffer.concat(numbers);
}

export const constants = {
  RSA_PKCS1_PADDING: 1, RSA_PKCS1_OAEP_PADDING: 4, RSA_PKCS1_PSS_PADDING: 6, RSA_PSS_SALTLEN_DIGEST: -1, RSA_PSS_SALTLEN_MAX_SIGN: -2, RSA_PSS_SALTLEN_AUTO: -2,
};

function rsaParams(hash, options) {
  if (options.padding !== constants.RSA_PKCS1_PSS_PADDING) return { hash };
  const digest = { "SHA-1": 20, "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 }[hash];
  return { hash, pss: true, saltBytes: options.saltLength >= 0 ? options.saltLength : digest };
}

const optionsOf = (key) => (typeof key === "object" && !(key instanceof KeyObject) && !ArrayBuffer.isView(key) ? key : {});
const keyOf = (key) => (key?.key instanceof KeyObject ? key.key : key);

function signWhole(hash, data, input) {
  const options = optionsOf(input);
  const { described } = createPrivateKey(keyOf(input));
  if (described.kind === "rsa") return Buffer.from(compute("rsa-sign", rsaParams(hash, options), described.sign, data)[0]);
  if (described.kind === "ed25519") return Buffer.from(compute("ed-sign", {}, described.sign, data)[0]);
  const raw = Buffer.from(compute("ec-sign", { curve: described.curve, hash }, described.sign, data)[0]);
  return options.dsaEncoding === "ieee-p1363" ? raw : toDer(raw);
}

function verifyWhole(hash, data, input, signature) {
  const options = optionsOf(input);
  const { described } = createPublicKey(keyOf(input));
  if (described.kind === "rsa") return compute("rsa-verify", rsaParams(hash, options), described.verify, signature, data)[0][0] === 1;
  if (described.kind === "ed25519") return compute("ed-verify", {}, described.verify, signature, data)[0][0] === 1;
  const raw = options.dsaEncoding === "ieee-p1363" ? signature : fromDer(signature, described.size);
  return compute("ec-verify", { curve: described.curve, hash }, described.verify, raw, data)[0][0] === 1;
}

export class Sign extends Parts {
  constructor(name) {
    super();
    this.hash = hashName(name);
  }
  sign(key, encoding) {
    return out(signWhole(this.hash, this.whole(), key), encoding);
  }
}

export class Verify extends Parts {
  constructor(name) {
    super();
    this.hash = hashName(name);
  }
  verify(key, signature, encoding) {
    return verifyWhole(this.hash, this.whole(), key, Buffer.from(bytesOf(signature, encoding)));
  }
}

export const createSign = (name) => new Sign(name);
export const createVerify = (name) => new Verify(name);

export function sign(name, data, key, callback) {
  const signature = signWhole(name ? hashName(name) : undefined, bytesOf(data), key);
  if (callback === undefined) return signature;
  queueMicrotask(() => callback(null, signature));
}

export function verify(name, data, key, signature, callback) {
  const valid = verifyWhole(name ? hashName(name) : undefined, bytesOf(data), key, bytesOf(signature));
  if (callback === undefined) return valid;
  queueMicrotask(() => callback(null, valid));
}

export default {
  constants, createCipheriv, createDecipheriv, createDiffieHellman, createECDH, createHash, createHmac, createPrivateKey, createPublicKey,
  createSecretKey, createSign, createVerify, generateKeyPair, generateKeyPairSync, getCiphers, getCurves, getHashes, getRandomValues, hash, Hash,
  hkdf, hkdfSync, Hmac, KeyObject, pbkdf2, pbkdf2Sync, privateDecrypt, publicEncrypt, randomBytes, randomFill, randomFillSync, randomInt,
  randomUUID, scrypt, scryptSync, sign, Sign, subtle, timingSafeEqual, verify, Verify, webcrypto,
};
