// structuredClone: the kinds of values the standard knows, and those of this platform that it calls serializable.

import { Blob, blobBytes, File } from "./blob.js";
import { CryptoKey } from "./cryptokey.js";
import { DOMException } from "./errors.js";
import { needs } from "./idl.js";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
/** Asks for the inner slot of a value, whatever its prototype says; throws for a value without it. */
const SLOTS = {
  Boolean: Boolean.prototype.valueOf,
  Number: Number.prototype.valueOf,
  String: String.prototype.valueOf,
  BigInt: BigInt.prototype.valueOf,
  Date: Date.prototype.getTime,
};
const VIEWS = [
  DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
  BigInt64Array, BigUint64Array,
];
const viewName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array).prototype, Symbol.toStringTag).get;

function refuse(value) {
  let what;
  if (typeof value === "function") what = value.name === "" ? "a function" : `function ${value.name}`;
  else if (typeof value === "symbol") what = String(value);
  else what = `a ${value.constructor?.name ?? "value"}`;
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}

function cloneView(view, seen) {
  let place = seen.views?.get(view);
  if (place === undefined) {
    if (view.buffer.detached) throw new DOMException("a view of a buffer that is detached could not be cloned", "DataCloneError");
    const isData = view instanceof DataView;
    place = { name: isData ? "DataView" : Reflect.apply(viewName, view, []), at: view.byteOffset, length: isData ? view.byteLength : view.length };
    seen.views?.set(view, place);
  }
  const View = VIEWS.find((known) => known.name === place.name) ?? globalThis[place.name];
  return new View(clone(view.buffer, seen), place.at, place.length);
}

function cloneError(error, seen) {
  if (error instanceof DOMException) {
    const copy = new DOMException(error.message, error.name);
    Object.defineProperty(copy, "stack", { value: error.stack, writable: true, configurable: true });
    return copy;
  }
  const name = String(error.name);
  const made = new (Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error)();
  seen.set(error, made);
  const message = Object.getOwnPropertyDescriptor(error, "message");
  const define = (key, value) => Object.defineProperty(made, key, { value, writable: true, configurable: true, enumerable: false });
  if (message !== undefined && "value" in message) define("message", String(message.value));
  if (typeof error.stack === "string") define("stack", error.stack);
  if (Object.hasOwn(error, "cause")) define("cause", clone(error.cause, seen));
  return made;
}

function cloneProperties(from, to, seen) {
  for (const key of Object.keys(from)) {
    if (Object.hasOwn(from, key)) Object.defineProperty(to, key, { value: clone(from[key], seen), writable: true, enumerable: true, configurable: true });
  }
  return to;
}

/** A wrapped primitive or a date; undefined for anything else. */
function cloneSlot(value) {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  const read = Object.hasOwn(SLOTS, tag) ? SLOTS[tag] : undefined;
  if (read === undefined) return undefined;
  try {
    const inner = Reflect.apply(read, value, []);
    return tag === "Date" ? new Date(inner) : Object(inner);
  } catch {
    return undefined;
  }
}

function clonePlatform(value) {
  if (value instanceof File) return new File([blobBytes(value)], value.name, { type: value.type, lastModified: value.lastModified });
  if (value instanceof Blob) return value.slice(0, value.size, value.type);
  return value instanceof CryptoKey ? value : undefined;
}

/** Classes whose objects are more than their properties. */
const REFUSED = [Promise, WeakMap, WeakSet, WeakRef];
const platform = new Set();

/** Names a class of the platform: its objects have no clone, unless `clonePlatform` knows them. */
export function refuseClones(Class) {
  platform.add(Class.prototype);
}

function isPlatform(value) {
  for (let proto = Object.getPrototypeOf(value); proto !== null; proto = Object.getPrototypeOf(proto)) {
    if (platform.has(proto)) return true;
  }
  return false;
}

function cloneObject(value, seen) {
  if (Array.isArray(value)) {
    const copy = new Array(value.length);
    seen.set(value, copy);
    return cloneProperties(value, copy, seen);
  }
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof ArrayBuffer) {
    if (value.detached) throw new DOMException("a buffer that is detached could not be cloned", "DataCloneError");
    return value.slice(0);
  }
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
  const known = cloneSlot(value) ?? clonePlatform(value);
  if (known !== undefined) return known;
  if (REFUSED.some((Class) => value instanceof Class) || isPlatform(value)) throw refuse(value);
  const copy = {};
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
  needs(1, arguments.length, "structuredClone");
  const transfer = [...(options?.transfer ?? [])];
  const seen = new Map();
  if (transfer.length === 0) return clone(value, seen);
  for (const item of transfer) {
    if (!(item instanceof ArrayBuffer)) throw new DOMException("only an ArrayBuffer can be transferred", "DataCloneError");
    if (item.detached || transfer.indexOf(item) !== transfer.lastIndexOf(item)) {
      throw new DOMException("a buffer can be transferred once, and not when it is detached", "DataCloneError");
    }
  }
  // A first walk finds what cannot be cloned and how views lie in their buffers, before any buffer is gone.
  const trial = new Map(transfer.map((item) => [item, item]));
  trial.views = new Map();
  clone(value, trial);
  seen.views = trial.views;
  for (const item of transfer) seen.set(item, item.transfer());
  return clone(value, seen);
}
