// crypto: random values. The bytes come from the host.

import host from "emu:js/host";
import { DOMException } from "./errors.js";
import { subtle } from "./subtle.js";

const RANDOM_MAX = 65536;
const INTEGERS = new Set([
  "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
  "BigInt64Array", "BigUint64Array",
]);

const HEX = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));

export class Crypto {
  get subtle() {
    return subtle;
  }

  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || !INTEGERS.has(array[Symbol.toStringTag])) {
      throw new DOMException("getRandomValues fills typed arrays of integers only", "TypeMismatchError");
    }
    if (array.byteLength > RANDOM_MAX) {
      throw new DOMException(`getRandomValues fills at most ${RANDOM_MAX} bytes at once`, "QuotaExceededError");
    }
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(host.random(array.byteLength));
    return array;
  }

  randomUUID() {
    const bytes = host.random(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => HEX[byte]).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
