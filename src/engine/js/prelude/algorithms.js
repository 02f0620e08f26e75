// The algorithms of crypto.subtle: which keys they have and what they do. The host computes (`host.compute`); keys are kept as
// bytes: secret ones raw, RSA as DER, elliptic ones as point and scalar.

import host from "emu:js/host";
import { compute as callCompute } from "./calls.js";
import { bytesOf } from "./encoding.js";
import { checkUsages, makeKey, materialOf } from "./cryptokey.js";
import { DOMException } from "./errors.js";
import { decode64, encode64, jwkOf } from "./jwk.js";
import { namedError } from "./tools.js";

const EMPTY = new Uint8Array(0);
const BLOCK_BITS = { "SHA-1": 512, "SHA-256": 512, "SHA-384": 1024, "SHA-512": 1024 };
const HASHES = Object.keys(BLOCK_BITS);

export const fail = (name, message) => new DOMException(message, name);

/** An operation of the host; its errors carry the name of a DOMException. */
export async function compute(op, params, inputs) {
  try {
    return await callCompute(op, JSON.stringify(params), inputs);
  } catch (error) {
    throw namedError(error);
  }
}

/** A buffer argument as bytes of our own: the caller may change it meanwhile. */
export function copied(data, what) {
  if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) throw new TypeError(`${what} must be an ArrayBuffer or a view of one`);
  return bytesOf(data).slice();
}

function hashName(hash) {
  const given = typeof hash === "string" ? hash : hash?.name;
  if (given === undefined) throw new TypeError("the algorithm needs a hash");
  const name = HASHES.find((known) => known === String(given).toUpperCase());
  if (name === undefined) throw fail("NotSupportedError", `there is no hash ${given}; use ${HASHES.join(", ")}`);
  return name;
}

function integer(value, what, max = 0xffffffff) {
  const number = Math.trunc(Number(value));
  if (value === undefined || !(number >= 0 && number <= max)) throw new TypeError(`${what} must be a number from 0 to ${max}`);
  return number;
}

function needUsages(usages, type) {
  if (usages.length === 0) throw fail("SyntaxError", `a ${type} key needs usages`);
}

function equalBytes(one, other) {
  let differs = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) differs |= one[at] ^ other[at];
  return differs === 0;
}

// ---- secret keys: AES and HMAC

function aesBits(bits) {
  if (![128, 192, 256].includes(bits)) throw fail("OperationError", `an AES key has 128, 192 or 256 bits, not ${bits}`);
  return bits;
}

function randomBytes(length) {
  const pieces = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) pieces.set(host.random(Math.min(65536, length - at)), at);
  return pieces;
}

/** The bytes of a secret key in one of its formats. */
function importSecret(format, data, alg, extractable, usages, use) {
  if (format === "raw") return copied(data, "a raw key");
  if (format !== "jwk") throw fail("NotSupportedError", `a secret key has no format ${format}; use raw or jwk`);
  const jwk = jwkOf(data, "oct", extractable, usages, use);
  const bytes = decode64(jwk.k, "k");
  const expected = alg(bytes.length);
  if (jwk.alg !== undefined && expected !== undefined && jwk.alg !== expected) throw fail("DataError", `the key is for ${jwk.alg}, not for ${expected}`);
  return bytes;
}

function exportSecret(format, key, alg) {
  const bytes = materialOf(key);
  if (format === "raw") return bytes.slice().buffer;
  if (format !== "jwk") throw fail("NotSupportedError", `a secret key has no format ${format}; use raw or jwk`);
  return { kty: "oct", k: encode64(bytes), alg: alg(bytes.length), key_ops: [...key.usages], ext: key.extractable };
}

function aes(name, suffix, usages, members) {
  const alg = (length) => `A${length * 8}${suffix}`;
  return {
    name,
    length: ({ length }) => aesBits(integer(length, "length")),
    generate({ length }, extractable, asked) {
      checkUsages(asked, usages);
      const bits = aesBits(integer(length, "length"));
      needUsages(asked, "secret");
      return makeKey("secret", { name, length: bits }, extractable, asked, randomBytes(bits / 8));
    },
    import(format, data, _, extractable, asked) {
      checkUsages(asked, usages);
      const bytes = importSecret(format, data, alg, extractable, asked, "enc");
      if (![16, 24, 32].includes(bytes.length)) throw fail("DataError", `an AES key has 128, 192 or 256 bits, not ${bytes.length * 8}`);
      needUsages(asked, "secret");
      return makeKey("secret", { name, length: bytes.length * 8 }, extractable, asked, bytes);
    },
    export: (format, key) => exportSecret(format, key, alg),
    ...members,
  };
}

const CRYPT = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];

function iv(params, length, what = "iv") {
  const bytes = copied(params[what], what);
  if (length !== undefined && bytes.length !== length) throw fail("OperationError", `${what} must have ${length} bytes, not ${bytes.length}`);
  return bytes;
}

async function gcm(encrypt, params, key, data) {
  const tagBits = params.tagLength === undefined ? 128 : integer(params.tagLength, "tagLength", 255);
  if (![32, 64, 96, 104, 112, 120, 128].includes(tagBits)) throw fail("OperationError", `there is no tag of ${tagBits} bits`);
  const more = params.additionalData === undefined ? EMPTY : copied(params.additionalData, "additionalData");
  return (await compute("aes-gcm", { encrypt, tagBits }, [materialOf(key), iv(params), more, data]))[0];
}

async function cbc(encrypt, params, key, data) {
  return (await compute("aes-cbc", { encrypt }, [materialOf(key), iv(params, 16), data]))[0];
}

async function ctr(params, key, data) {
  const counterBits = integer(params.length, "length", 255);
  if (counterBits < 1 || counterBits > 128) throw fail("OperationError", "the counter has 1 to 128 bits");
  return (await compute("aes-ctr", { counterBits }, [materialOf(key), iv(params, 16, "counter"), data]))[0];
}

const hmac = {
  name: "HMAC",
  length({ hash, length }) {
    if (length === undefined) return BLOCK_BITS[hashName(hash)];
    if (integer(length, "length") === 0) throw new TypeError("an HMAC key needs a length");
    return integer(length, "length");
  },
  alg: (hash) => `HS${hash.slice(4)}`,
  generate(params, extractable, usages) {
    checkUsages(usages, ["sign", "verify"]);
    const hash = hashName(params.hash);
    const length = params.length === undefined ? BLOCK_BITS[hash] : integer(params.length, "length");
    if (length === 0) throw fail("OperationError", "an HMAC key needs a length");
    needUsages(usages, "secret");
    return makeKey("secret", { name: "HMAC", hash: { name: hash }, length }, extractable, usages, randomBytes(Math.ceil(length / 8)));
  },
  import(format, data, params, extractable, usages) {
    checkUsages(usages, ["sign", "verify"]);
    const hash = hashName(params.hash);
    const bytes = importSecret(format, data, () => hmac.alg(hash), extractable, usages, "sig");
    if (bytes.length === 0) throw fail("DataError", "an HMAC key must not be empty");
    const length = params.length === undefined ? bytes.length * 8 : integer(params.length, "length");
    if (length > bytes.length * 8 || length <= bytes.length * 8 - 8) throw fail("DataError", `the key has ${bytes.length * 8} bits, not ${length}`);
    needUsages(usages, "secret");
    return makeKey("secret", { name: "HMAC", hash: { name: hash }, length }, extractable, usages, bytes);
  },
  export: (format, key) => exportSecret(format, key, () => hmac.alg(key.algorithm.hash.name)),
  sign: async (_, key, data) => (await compute("hmac", { hash: key.algorithm.hash.name }, [materialOf(key), data]))[0],
  verify: async (_, key, signature, data) => equalBytes(await hmac.sign(_, key, data), signature),
};

// ---- key pairs

/** Splits asked usages between the halves of a pair. */
function pairUsages(usages, publicOnes, privateOnes) {
  checkUsages(usages, [...publicOnes, ...privateOnes]);
  const ofPrivate = usages.filter((usage) => privateOnes.includes(usage));
  if (ofPrivate.length === 0) throw fail("SyntaxError", "the private key needs usages");
  return { ofPublic: usages.filter((usage) => publicOnes.includes(usage)), ofPrivate };
}

/** The type of key that a format holds, with its usages checked. */
function typeOfFormat(format, jwk, usages, publicOnes, privateOnes, raw) {
  let type;
  if (format === "jwk") type = jwk.d === undefined ? "public" : "private";
  else if (format === "spki" || (format === "raw" && raw)) type = "public";
  else if (format === "pkcs8") type = "private";
  else throw fail("NotSupportedError", `a key of this algorithm has no format ${format}`);
  checkUsages(usages, type === "public" ? publicOnes : privateOnes);
  if (type === "private") needUsages(usages, type);
  return type;
}

function rsaAlg(name, hash) {
  const bits = hash.slice(4);
  if (name === "RSASSA-PKCS1-v1_5") return `RS${bits}`;
  if (name === "RSA-PSS") return `PS${bits}`;
  return bits === "1" ? "RSA-OAEP" : `RSA-OAEP-${bits}`;
}

function rsaKey(name, hash, type, extractable, usages, [der, modulus, exponent]) {
  let modulusLength = modulus.length * 8;
  for (let bit = 0x80; bit > 0 && (modulus[0] & bit) === 0; bit >>= 1) modulusLength--;
  const algorithm = { name, modulusLength, publicExponent: exponent, hash: { name: hash } };
  return makeKey(type, algorithm, extractable, usages, der);
}

function rsa(name, publicOnes, privateOnes, members) {
  return {
    name,
    async generate(params, extractable, usages) {
      const { ofPublic, ofPrivate } = pairUsages(usages, publicOnes, privateOnes);
      const hash = hashName(params.hash);
      const bits = integer(params.modulusLength, "modulusLength");
      if (!(params.publicExponent instanceof Uint8Array)) throw new TypeError("publicExponent must be a Uint8Array");
      const exponent = params.publicExponent.reduce((sum, byte) => sum * 256 + byte, 0);
      if (exponent < 3 || exponent % 2 === 0 || exponent > 0xffffffff) throw fail("OperationError", "publicExponent must be odd and above 2, such as 65537");
      const parts = await compute("rsa-generate", { bits, exponent }, []);
      return {
        publicKey: rsaKey(name, hash, "public", true, ofPublic, parts.slice(3)),
        privateKey: rsaKey(name, hash, "private", extractable, ofPrivate, parts.slice(0, 3)),
      };
    },
    async import(format, data, params, extractable, usages) {
      const hash = hashName(params.hash);
      const jwk = format === "jwk" ? jwkOf(data, "RSA", extractable, usages, name === "RSA-OAEP" ? "enc" : "sig") : null;
      const type = typeOfFormat(format, jwk, usages, publicOnes, privateOnes, false);
      if (jwk === null) return rsaKey(name, hash, type, extractable, usages, await compute("rsa-import", { format }, [copied(data, "the key")]));
      if (jwk.alg !== undefined && jwk.alg !== rsaAlg(name, hash)) throw fail("DataError", `the key is for ${jwk.alg}, not for ${rsaAlg(name, hash)}`);
      if (jwk.oth !== undefined) throw fail("NotSupportedError", "RSA keys of more than two primes");
      const numbers = (type === "private" ? ["n", "e", "d", "p", "q"] : ["n", "e"]).map((part) => decode64(jwk[part], part));
      const parts = await compute("rsa-import", { format, private: type === "private" }, numbers);
      return rsaKey(name, hash, type, extractable, usages, parts);
    },
    async export(format, key) {
      const isPrivate = key.type === "private";
      if (format === (isPrivate ? "pkcs8" : "spki")) return materialOf(key).slice().buffer;
      if (format !== "jwk") throw wrongFormat(format, key);
      const numbers = await compute("rsa-export", { private: isPrivate }, [materialOf(key)]);
      const jwk = { kty: "RSA", alg: rsaAlg(name, key.algorithm.hash.name), key_ops: [...key.usages], ext: key.extractable };
      ["n", "e", "d", "p", "q", "dp", "dq", "qi"].slice(0, numbers.length).forEach((part, at) => { jwk[part] = encode64(numbers[at]); });
      return jwk;
    },
    ...members,
  };
}

function wrongFormat(format, key) {
  const known = ["raw", "spki", "pkcs8"].includes(format);
  return fail(known ? "InvalidAccessError" : "NotSupportedError", `a ${key.type} key cannot be exported as ${format}`);
}

function needType(key, type) {
  if (key.type !== type) throw fail("InvalidAccessError", `this needs a ${type} key`);
}

function rsaSignature(name, more) {
  return rsa(name, ["verify"], ["sign"], {
    async sign(params, key, data) {
      needType(key, "private");
      return (await compute("rsa-sign", { hash: key.algorithm.hash.name, ...more(params) }, [materialOf(key), data]))[0];
    },
    async verify(params, key, signature, data) {
      needType(key, "public");
      return (await compute("rsa-verify", { hash: key.algorithm.hash.name, ...more(params) }, [materialOf(key), signature, data]))[0][0] === 1;
    },
  });
}

async function oaep(encrypt, params, key, data) {
  needType(key, encrypt ? "public" : "private");
  const label = params.label === undefined ? EMPTY : copied(params.label, "label");
  return (await compute("rsa-oaep", { encrypt, hash: key.algorithm.hash.name }, [materialOf(key), label, data]))[0];
}

const CURVES = { "P-256": 32, "P-384": 48 };

function curveOf({ namedCurve }) {
  if (namedCurve === undefined) throw new TypeError("the algorithm needs a namedCurve");
  if (!Object.hasOwn(CURVES, namedCurve)) throw fail("NotSupportedError", `there is no curve ${namedCurve}; use P-256 or P-384`);
  return namedCurve;
}

/** Keys of curves: `family` is the host's name for the operations, their material `{point, scalar?}`. */
function curveKeys({ name, family, kty, publicOnes, privateOnes, algorithm, hostParams, jwkParts, rawParts, checkJwk }) {
  const make = (alg, extractable, usages, parts) => {
    const [type, material] = parts.length === 2 ? ["private", { scalar: parts[0], point: parts[1] }] : ["public", { point: parts[0] }];
    return makeKey(type, alg, extractable, usages, material);
  };
  return {
    name,
    async generate(params, extractable, usages) {
      const alg = algorithm(params);
      const { ofPublic, ofPrivate } = pairUsages(usages, publicOnes, privateOnes);
      const parts = await compute(`${family}-generate`, hostParams(alg), []);
      return { publicKey: make(alg, true, ofPublic, parts.slice(1)), privateKey: make(alg, extractable, ofPrivate, parts) };
    },
    async import(format, data, params, extractable, usages) {
      const alg = algorithm(params);
      const jwk = format === "jwk" ? jwkOf(data, kty, extractable, usages, name.startsWith("ECDH") ? "enc" : "sig") : null;
      const type = typeOfFormat(format, jwk, usages, publicOnes, privateOnes, true);
      const isPrivate = type === "private";
      if (jwk !== null) checkJwk(jwk, alg);
      const inputs = jwk === null ? [copied(data, "the key")] : jwkParts(jwk, isPrivate);
      return make(alg, extractable, usages, await compute(`${family}-import`, { ...hostParams(alg), format, private: isPrivate }, inputs));
    },
    async export(format, key) {
      const { point, scalar } = materialOf(key);
      const isPrivate = key.type === "private";
      if (format === "raw" && !isPrivate) return point.slice().buffer;
      if (format === (isPrivate ? "pkcs8" : "spki")) {
        return (await compute(`${family}-export`, { ...hostParams(key.algorithm), private: isPrivate }, [isPrivate ? scalar : point]))[0].buffer;
      }
      if (format !== "jwk") throw wrongFormat(format, key);
      const jwk = { kty, ...rawParts(key.algorithm, point), key_ops: [...key.usages], ext: key.extractable };
      return isPrivate ? { ...jwk, d: encode64(scalar) } : jwk;
    },
  };
}

function elliptic(name, publicOnes, privateOnes) {
  return curveKeys({
    name,
    family: "ec",
    kty: "EC",
    publicOnes,
    privateOnes,
    algorithm: (params) => ({ name, namedCurve: curveOf(params) }),
    hostParams: (alg) => ({ curve: alg.namedCurve }),
    jwkParts: (jwk, isPrivate) => (isPrivate ? ["x", "y", "d"] : ["x", "y"]).map((part) => decode64(jwk[part], part)),
    rawParts: (alg, point) => {
      const length = CURVES[alg.namedCurve];
      return { crv: alg.namedCurve, x: encode64(point.subarray(1, 1 + length)), y: encode64(point.subarray(1 + length)) };
    },
    checkJwk(jwk, alg) {
      if (jwk.crv !== alg.namedCurve) throw fail("DataError", `the key is on ${jwk.crv}, not on ${alg.namedCurve}`);
      const expected = { "P-256": "ES256", "P-384": "ES384" }[alg.namedCurve];
      if (name === "ECDSA" && jwk.alg !== undefined && jwk.alg !== expected) throw fail("DataError", `the key is for ${jwk.alg}, not for ${expected}`);
    },
  });
}

const ecdsa = {
  ...elliptic("ECDSA", ["verify"], ["sign"]),
  async sign(params, key, data) {
    needType(key, "private");
    return (await compute("ec-sign", { curve: key.algorithm.namedCurve, hash: hashName(params.hash) }, [materialOf(key).scalar, data]))[0];
  },
  async verify(params, key, signature, data) {
    needType(key, "public");
    const inputs = [materialOf(key).point, signature, data];
    return (await compute("ec-verify", { curve: key.algorithm.namedCurve, hash: hashName(params.hash) }, inputs))[0][0] === 1;
  },
};

/** The first bits of what a derivation gave. */
function firstBits(bytes, length) {
  if (length === null || length === undefined) return bytes;
  if (bytes.length * 8 < length) throw fail("OperationError", `the shared secret has ${bytes.length * 8} bits, not ${length}`);
  const piece = bytes.slice(0, Math.ceil(length / 8));
  if (length % 8 !== 0) piece[piece.length - 1] &= 0xff << (8 - (length % 8));
  return piece;
}

const ecdh = {
  ...elliptic("ECDH", [], ["deriveKey", "deriveBits"]),
  async derive(params, key, length) {
    needType(key, "private");
    const other = params.public;
    const { point } = materialOf(other) ?? {};
    needType(other, "public");
    if (other.algorithm.name !== "ECDH" || other.algorithm.namedCurve !== key.algorithm.namedCurve) {
      throw fail("InvalidAccessError", `the public key must be an ECDH key on ${key.algorithm.namedCurve}`);
    }
    return firstBits((await compute("ec-agree", { curve: key.algorithm.namedCurve }, [materialOf(key).scalar, point]))[0], length);
  },
};

const ed25519 = {
  ...curveKeys({
    name: "Ed25519",
    family: "ed",
    kty: "OKP",
    publicOnes: ["verify"],
    privateOnes: ["sign"],
    algorithm: () => ({ name: "Ed25519" }),
    hostParams: () => ({}),
    jwkParts: (jwk, isPrivate) => (isPrivate ? ["x", "d"] : ["x"]).map((part) => decode64(jwk[part], part)),
    rawParts: (_, point) => ({ crv: "Ed25519", x: encode64(point) }),
    checkJwk(jwk) {
      if (jwk.crv !== "Ed25519") throw fail("DataError", `the key is on ${jwk.crv}, not on Ed25519`);
      if (jwk.alg !== undefined && jwk.alg !== "EdDSA" && jwk.alg !== "Ed25519") throw fail("DataError", `the key is for ${jwk.alg}, not for EdDSA`);
    },
  }),
  async sign(_, key, data) {
    needType(key, "private");
    return (await compute("ed-sign", {}, [materialOf(key).scalar, data]))[0];
  },
  async verify(_, key, signature, data) {
    needType(key, "public");
    return (await compute("ed-verify", {}, [materialOf(key).point, signature, data]))[0][0] === 1;
  },
};

// ---- key derivation

function derivation(name, derive) {
  return {
    name,
    length: () => null,
    import(format, data, _, extractable, usages) {
      if (format !== "raw") throw fail("NotSupportedError", `a key of ${name} has no format ${format}; use raw`);
      checkUsages(usages, ["deriveKey", "deriveBits"]);
      if (extractable) throw fail("SyntaxError", `a key of ${name} cannot be extractable`);
      needUsages(usages, "secret");
      return makeKey("secret", { name }, false, usages, copied(data, "the key"));
    },
    async derive(params, key, length) {
      if (length === null || length === undefined || length % 8 !== 0) throw fail("OperationError", `${name} derives whole bytes; give the length in bits`);
      const bits = integer(length, "length");
      const hash = hashName(params.hash);
      return await derive({ hash, bits }, params, materialOf(key));
    },
  };
}

async function hkdf({ hash, bits }, params, key) {
  const [salt, info] = [copied(params.salt, "salt"), copied(params.info, "info")];
  return bits === 0 ? EMPTY.slice() : (await compute("hkdf", { hash, bits }, [key, salt, info]))[0];
}

async function pbkdf2({ hash, bits }, params, key) {
  const salt = copied(params.salt, "salt");
  const rounds = integer(params.iterations, "iterations");
  if (rounds === 0) throw fail("OperationError", "iterations must be above 0");
  return bits === 0 ? EMPTY.slice() : (await compute("pbkdf2", { hash, bits, rounds }, [key, salt]))[0];
}

/** What each algorithm can do, by its name. */
export const ALGORITHMS = Object.fromEntries([
  ...HASHES.map((hash) => ({ name: hash, digest: async (data) => (await compute("digest", { hash }, [data]))[0] })),
  aes("AES-GCM", "GCM", CRYPT, { encrypt: (...args) => gcm(true, ...args), decrypt: (...args) => gcm(false, ...args) }),
  aes("AES-CBC", "CBC", CRYPT, { encrypt: (...args) => cbc(true, ...args), decrypt: (...args) => cbc(false, ...args) }),
  aes("AES-CTR", "CTR", CRYPT, { encrypt: ctr, decrypt: ctr }),
  aes("AES-KW", "KW", ["wrapKey", "unwrapKey"], {
    wrap: async (_, key, data) => (await compute("aes-kw", { encrypt: true }, [materialOf(key), data]))[0],
    unwrap: async (_, key, data) => (await compute("aes-kw", { encrypt: false }, [materialOf(key), data]))[0],
  }),
  hmac,
  rsaSignature("RSASSA-PKCS1-v1_5", () => ({})),
  rsaSignature("RSA-PSS", (params) => ({ pss: true, saltBytes: integer(params.saltLength, "saltLength") })),
  rsa("RSA-OAEP", ["encrypt", "wrapKey"], ["decrypt", "unwrapKey"], {
    encrypt: (...args) => oaep(true, ...args),
    decrypt: (...args) => oaep(false, ...args),
  }),
  ecdsa,
  ecdh,
  ed25519,
  derivation("HKDF", hkdf),
  derivation("PBKDF2", pbkdf2),
].map((algorithm) => [algorithm.name, algorithm]));
