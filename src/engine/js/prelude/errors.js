// Errors on their way to the host and from it.

import { remedy } from "./absent.js";
import { constants } from "./idl.js";
import { inspect } from "./inspect.js";

const CAUSES_MAX = 8;

/** An error as plain data. Thrown values that are no errors keep their printed form as message. */
export function describeError(error, depth = 0) {
  if (!(error instanceof Error)) {
    return { name: "Error", message: `thrown: ${inspect(error)}`, stack: "" };
  }
  const described = {
    name: String(error.name ?? "Error"),
    message: String(error.message ?? ""),
    stack: typeof error.stack === "string" ? error.stack : "",
  };
  if (error instanceof ReferenceError) described.message += remedy(described.message);
  if (badAnswers.has(error)) described.bad = true;
  if (error.cause !== undefined && depth < CAUSES_MAX) described.cause = describeError(error.cause, depth + 1);
  return described;
}

const badAnswers = new WeakSet();

/** An error for an answer that is none: the handler did its work, but what it returned cannot be used. */
export function badAnswer(message) {
  const error = new TypeError(message);
  error.stack = "";
  badAnswers.add(error);
  return error;
}

/** What a host call rejected with, as the error that a script expects: `make` gets its text. */
export function hostError(thrown, make = (text) => new Error(text)) {
  return make(thrown instanceof Error ? thrown.message : String(thrown));
}

/** An error that tells its class by name, as the web platform has them. */
export class DOMException extends Error {
  #name;

  constructor(message = "", options = "Error") {
    const { name = "Error", cause } = typeof options === "object" && options !== null ? options : { name: options };
    super(String(message), cause === undefined ? undefined : { cause });
    this.#name = String(name);
  }

  get name() {
    return this.#name;
  }

  get code() {
    return CODES[this.#name] ?? 0;
  }
}

const CODES = {
  IndexSizeError: 1,
  HierarchyRequestError: 3,
  WrongDocumentError: 4,
  InvalidCharacterError: 5,
  NoModificationAllowedError: 7,
  NotFoundError: 8,
  NotSupportedError: 9,
  InUseAttributeError: 10,
  InvalidStateError: 11,
  SyntaxError: 12,
  InvalidModificationError: 13,
  NamespaceError: 14,
  InvalidAccessError: 15,
  TypeMismatchError: 17,
  SecurityError: 18,
  NetworkError: 19,
  AbortError: 20,
  URLMismatchError: 21,
  QuotaExceededError: 22,
  TimeoutError: 23,
  InvalidNodeTypeError: 24,
  DataCloneError: 25,
};

constants(
  DOMException,
  Object.fromEntries(Object.entries(CODES).map(([name, code]) => {
    const words = name.replace(/Error$/, "").replace(/URLMismatch/, "UrlMismatch").replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
    return [`${words.replace("IN_USE_ATTRIBUTE", "INUSE_ATTRIBUTE")}_ERR`, code];
  })),
);
