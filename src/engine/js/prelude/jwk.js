// JSON Web Keys: their base64url, and what they say about their use.

import { atob, btoa } from "./base64.js";
import { DOMException } from "./errors.js";

export function encode64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function decode64(text, what) {
  if (typeof text !== "string" || !/^[\w-]*$/.test(text)) throw new DOMException(`${what} of the key is not base64url`, "DataError");
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  } catch {
    throw new DOMException(`${what} of the key is not base64url`, "DataError");
  }
}

/** A JSON Web Key, if it is one of this type and for these usages. */
export function jwkOf(data, kty, extractable, usages, use) {
  if (typeof data !== "object" || data === null || data instanceof ArrayBuffer || ArrayBuffer.isView(data)) {
    throw new TypeError("a key of format jwk must be an object");
  }
  const refuse = (message) => {
    throw new DOMException(message, "DataError");
  };
  if (data.kty !== kty) refuse(`the key's kty is ${data.kty}, not ${kty}`);
  if (usages.length > 0 && data.use !== undefined && data.use !== use) refuse(`the key's use is ${data.use}, not ${use}`);
  if (data.key_ops !== undefined) {
    if (!Array.isArray(data.key_ops)) refuse("key_ops must be an array");
    if (new Set(data.key_ops).size !== data.key_ops.length) refuse("key_ops holds an operation twice");
    const missing = usages.find((usage) => !data.key_ops.includes(usage));
    if (missing !== undefined) refuse(`the key's key_ops do not allow ${missing}`);
  }
  if (data.ext === false && extractable) refuse("the key says that it must not be extractable");
  return data;
}
