// atob and btoa.

import { DOMException } from "./errors.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...ALPHABET].map((char, value) => [char, value]));

export function btoa(data) {
  const text = String(data);
  let out = "";
  for (let at = 0; at < text.length; at += 3) {
    const [one, two, three] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)];
    if (one > 255 || two > 255 || three > 255) {
      throw new DOMException("btoa takes characters up to U+00FF only", "InvalidCharacterError");
    }
    const bits = (one << 16) | ((two || 0) << 8) | (three || 0);
    out += ALPHABET[bits >> 18] + ALPHABET[(bits >> 12) & 63];
    out += at + 1 < text.length ? ALPHABET[(bits >> 6) & 63] : "=";
    out += at + 2 < text.length ? ALPHABET[bits & 63] : "=";
  }
  return out;
}

export function atob(data) {
  let text = String(data).replace(/[\t\n\f\r ]+/g, "");
  if (text.length % 4 === 0) text = text.replace(/={1,2}$/, "");
  if (text.length % 4 === 1) throw new DOMException("the text is not base64: its length is wrong", "InvalidCharacterError");
  let out = "";
  let bits = 0;
  let count = 0;
  for (const char of text) {
    const value = VALUES.get(char);
    if (value === undefined) throw new DOMException("the text is not base64", "InvalidCharacterError");
    bits = (bits << 6) | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += String.fromCharCode((bits >> count) & 255);
    }
  }
  return out;
}
