// crypto.subtle: the Web Cryptography API.

import { ALGORITHMS, copied, fail } from "./algorithms.js";
import { checkKey, CryptoKey, USAGES } from "./cryptokey.js";
import { fromUtf8, utf8 } from "./encoding.js";
import { needs } from "./idl.js";

const FORMATS = ["raw", "spki", "pkcs8", "jwk"];
const MAKE = Symbol("make");

/** The algorithm that an argument names, which can do `operation`, and its parameters. */
function normalize(algorithm, operation) {
  const params = typeof algorithm === "string" ? { name: algorithm } : algorithm;
  if (typeof params !== "object" || params === null || params.name === undefined) throw new TypeError("an algorithm is a name or an object with a name");
  const given = String(params.name).toUpperCase();
  const name = Object.keys(ALGORITHMS).find((known) => known.toUpperCase() === given);
  const found = name === undefined ? undefined : ALGORITHMS[name];
  if (found?.[operation] === undefined) {
    const able = Object.values(ALGORITHMS).filter((known) => known[operation] !== undefined).map((known) => known.name);
    throw fail("NotSupportedError", `${params.name} has no ${operation}; these have: ${able.join(", ")}`);
  }
  return [found, params];
}

function usagesOf(usages) {
  const list = [...usages];
  for (const usage of list) if (!USAGES.includes(usage)) throw new TypeError(`there is no key usage "${usage}"`);
  return list;
}

function formatOf(format) {
  const name = String(format);
  if (!FORMATS.includes(name)) throw new TypeError(`there is no key format "${name}"`);
  return name;
}

const own = (bytes) => (bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer);

export class SubtleCrypto {
  constructor(key) {
    if (key !== MAKE) throw new TypeError("Illegal constructor: use crypto.subtle");
  }

  async digest(algorithm, data) {
    needs(2, arguments.length, "digest");
    const [found] = normalize(algorithm, "digest");
    return own(await found.digest(copied(data, "the data")));
  }

  async generateKey(algorithm, extractable, usages) {
    needs(3, arguments.length, "generateKey");
    const [found, params] = normalize(algorithm, "generate");
    return await found.generate(params, Boolean(extractable), usagesOf(usages));
  }

  async importKey(format, data, algorithm, extractable, usages) {
    needs(5, arguments.length, "importKey");
    const kind = formatOf(format);
    const [found, params] = normalize(algorithm, "import");
    return await found.import(kind, data, params, Boolean(extractable), usagesOf(usages));
  }

  async exportKey(format, key) {
    needs(2, arguments.length, "exportKey");
    const kind = formatOf(format);
    if (!(key instanceof CryptoKey)) throw new TypeError("expected a CryptoKey");
    const found = ALGORITHMS[key.algorithm.name];
    if (found.export === undefined) throw fail("NotSupportedError", `a key of ${key.algorithm.name} cannot be exported`);
    if (!key.extractable) throw fail("InvalidAccessError", "the key is not extractable");
    return await found.export(kind, key);
  }

  async encrypt(algorithm, key, data) {
    needs(3, arguments.length, "encrypt");
    const [found, params] = normalize(algorithm, "encrypt");
    const bytes = copied(data, "the data");
    checkKey(key, found.name, "encrypt");
    return own(await found.encrypt(params, key, bytes));
  }

  async decrypt(algorithm, key, data) {
    needs(3, arguments.length, "decrypt");
    const [found, params] = normalize(algorithm, "decrypt");
    const bytes = copied(data, "the data");
    checkKey(key, found.name, "decrypt");
    return own(await found.decrypt(params, key, bytes));
  }

  async sign(algorithm, key, data) {
    needs(3, arguments.length, "sign");
    const [found, params] = normalize(algorithm, "sign");
    const bytes = copied(data, "the data");
    checkKey(key, found.name, "sign");
    return own(await found.sign(params, key, bytes));
  }

  async verify(algorithm, key, signature, data) {
    needs(4, arguments.length, "verify");
    const [found, params] = normalize(algorithm, "verify");
    const [signed, bytes] = [copied(signature, "the signature"), copied(data, "the data")];
    checkKey(key, found.name, "verify");
    return await found.verify(params, key, signed, bytes);
  }

  async deriveBits(algorithm, key, length = null) {
    needs(2, arguments.length, "deriveBits");
    const [found, params] = normalize(algorithm, "derive");
    checkKey(key, found.name, "deriveBits");
    return own(await found.derive(params, key, length));
  }

  async deriveKey(algorithm, key, derived, extractable, usages) {
    needs(5, arguments.length, "deriveKey");
    const [found, params] = normalize(algorithm, "derive");
    const [target, targetParams] = normalize(derived, "import");
    if (target.length === undefined) throw fail("NotSupportedError", `a key of ${target.name} cannot be derived`);
    checkKey(key, found.name, "deriveKey");
    const bits = await found.derive(params, key, target.length(targetParams));
    const made = await target.import("raw", bits, targetParams, Boolean(extractable), usagesOf(usages));
    return made;
  }

  async wrapKey(format, key, wrappingKey, algorithm) {
    needs(4, arguments.length, "wrapKey");
    const wraps = ALGORITHMS[wrappingKey?.algorithm?.name]?.wrap !== undefined;
    const [found, params] = normalize(algorithm, wraps ? "wrap" : "encrypt");
    checkKey(wrappingKey, found.name, "wrapKey");
    const exported = await this.exportKey(format, key);
    const bytes = format === "jwk" ? utf8(JSON.stringify(exported)) : new Uint8Array(exported);
    return own(await (wraps ? found.wrap : found.encrypt)(params, wrappingKey, bytes));
  }

  async unwrapKey(format, wrapped, unwrappingKey, unwrapAlgorithm, keyAlgorithm, extractable, usages) {
    needs(7, arguments.length, "unwrapKey");
    const wraps = ALGORITHMS[unwrappingKey?.algorithm?.name]?.unwrap !== undefined;
    const [found, params] = normalize(unwrapAlgorithm, wraps ? "unwrap" : "decrypt");
    const data = copied(wrapped, "the wrapped key");
    checkKey(unwrappingKey, found.name, "unwrapKey");
    const bytes = await (wraps ? found.unwrap : found.decrypt)(params, unwrappingKey, data);
    let key = bytes;
    if (format === "jwk") {
      try {
        key = JSON.parse(fromUtf8(bytes));
      } catch {
        throw fail("DataError", "the wrapped key is no JSON Web Key");
      }
    }
    return await this.importKey(format, key, keyAlgorithm, extractable, usages);
  }
}

export const subtle = new SubtleCrypto(MAKE);
