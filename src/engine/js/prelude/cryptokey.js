// CryptoKey: what a script may know of a key, and what stays inside.

import { DOMException } from "./errors.js";

const MAKE = Symbol("make");

let makeKey;
let materialOf;

export const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

export class CryptoKey {
  #type;
  #extractable;
  #algorithm;
  #usages;
  #material;

  constructor(key) {
    if (key !== MAKE) throw new TypeError("Illegal constructor: keys come from crypto.subtle");
  }

  static {
    makeKey = (type, algorithm, extractable, usages, material) => {
      const key = new CryptoKey(MAKE);
      key.#type = type;
      key.#algorithm = algorithm;
      key.#extractable = extractable;
      key.#usages = USAGES.filter((usage) => usages.includes(usage));
      key.#material = material;
      return key;
    };
    materialOf = (key) => key.#material;
  }

  get type() {
    return this.#type;
  }

  get extractable() {
    return this.#extractable;
  }

  get algorithm() {
    return this.#algorithm;
  }

  get usages() {
    return this.#usages;
  }
}

/** A key of type "secret", "public" or "private". The material is what its algorithm made of it. */
export { makeKey, materialOf };

/** Refuses a key that is not for this. */
export function checkKey(key, name, usage) {
  if (!(key instanceof CryptoKey)) throw new TypeError("expected a CryptoKey");
  if (key.algorithm.name !== name) {
    throw new DOMException(`the key is for ${key.algorithm.name}, not for ${name}`, "InvalidAccessError");
  }
  if (!key.usages.includes(usage)) throw new DOMException(`the key's usages do not allow ${usage}`, "InvalidAccessError");
}

/** Usages that a key of an algorithm can have; others are a mistake. */
export function checkUsages(usages, allowed) {
  for (const usage of usages) {
    if (!allowed.includes(usage)) throw new DOMException(`a key of this algorithm cannot be used for ${usage}`, "SyntaxError");
  }
}
