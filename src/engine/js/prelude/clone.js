// structuredClone.

import { DOMException } from "./errors.js";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function refuse(value) {
  const what = typeof value === "function" ? `function ${value.name}` : String(value);
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}

function cloneBuffer(buffer, seen) {
  const copy = buffer.slice(0);
  seen.set(buffer, copy);
  return copy;
}

function cloneView(view, seen) {
  const buffer = clone(view.buffer, seen);
  if (view instanceof DataView) return new DataView(buffer, view.byteOffset, view.byteLength);
  const Type = globalThis[view[Symbol.toStringTag]];
  return new Type(buffer, view.byteOffset, view.length);
}

function cloneError(error, seen) {
  const copy = new (ERRORS[error.name] ?? Error)(error.message);
  seen.set(error, copy);
  Object.defineProperty(copy, "stack", { value: error.stack, writable: true, configurable: true });
  if ("cause" in error) copy.cause = clone(error.cause, seen);
  return copy;
}

function cloneProperties(from, to, seen) {
  for (const key of Object.keys(from)) to[key] = clone(from[key], seen);
  return to;
}

function cloneObject(value, seen) {
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) {
    return Object(value.valueOf());
  }
  if (value instanceof ArrayBuffer) return cloneBuffer(value, seen);
  if (ArrayBuffer.isView(value)) return cloneView(value, seen);
  if (value instanceof Error) return cloneError(value, seen);
  if (value instanceof Map) {
    const copy = new Map();
    seen.set(value, copy);
    for (const [key, item] of [...value]) copy.set(clone(key, seen), clone(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set();
    seen.set(value, copy);
    for (const item of [...value]) copy.add(clone(item, seen));
    return copy;
  }
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    throw refuse(value);
  }
  const copy = Array.isArray(value) ? new Array(value.length) : {};
  seen.set(value, copy);
  return cloneProperties(value, copy, seen);
}

function clone(value, seen) {
  if (typeof value === "function" || typeof value === "symbol") throw refuse(value);
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  const copy = cloneObject(value, seen);
  seen.set(value, copy);
  return copy;
}

export function structuredClone(value, options) {
  const seen = new Map();
  for (const item of options?.transfer ?? []) {
    if (!(item instanceof ArrayBuffer)) throw new DOMException("only an ArrayBuffer can be transferred", "DataCloneError");
    seen.set(item, item.transfer());
  }
  return clone(value, seen);
}
