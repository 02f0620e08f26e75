// The host's tools, and its errors as those the web platform has.

import host from "emu:js/host";
import { DOMException } from "./errors.js";

const NONE = new Uint8Array(0);
const PLAIN = { RangeError, SyntaxError, TypeError };

/** What a host call rejected with (`Name: message`) as an error of that name. */
export function namedError(thrown, fallback = "OperationError") {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const [, name = fallback, message = text] = /^(\w+Error): (.*)$/s.exec(text) ?? [];
  return Object.hasOwn(PLAIN, name) && name !== "SyntaxError" ? new PLAIN[name](message) : new DOMException(message, name);
}

/** Text and bytes that a tool of the host makes of text and bytes. */
export function tool(op, text, bytes = NONE) {
  try {
    return host.tool(op, text, bytes);
  } catch (error) {
    throw namedError(error);
  }
}
