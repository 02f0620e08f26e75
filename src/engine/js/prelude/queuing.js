// What all streams share: promises to settle later, a queue that knows its size, and the strategies that measure it.

import { dictionary, needs } from "./idl.js";

/** A promise with its ends outside. Nobody need listen to its rejection. */
export function deferred() {
  const { promise, resolve, reject } = Promise.withResolvers();
  promise.catch(() => {});
  return { promise, resolve, reject };
}

export function settled(value) {
  const ready = deferred();
  ready.resolve(value);
  return ready;
}

export function refused(error) {
  const broken = deferred();
  broken.reject(error);
  return broken;
}

/** A rejection that nobody need listen to. */
export function quiet(promise) {
  promise.catch(() => {});
  return promise;
}

/** A member of an underlying source, sink or transformer: a function or nothing. */
export function method(object, name) {
  const value = object[name];
  if (value !== undefined && typeof value !== "function") throw new TypeError(`${name} must be a function`);
  return value;
}

/** Calls a member of an underlying object; what it throws is a rejection. */
export function invoke(object, callback, ...args) {
  if (callback === undefined) return Promise.resolve(undefined);
  try {
    return Promise.resolve(Reflect.apply(callback, object, args));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** What a strategy says: how much may wait, and how big a chunk is. */
export function strategyOf(given, fallback) {
  const strategy = dictionary(given, "a queuing strategy");
  let highWaterMark = fallback;
  if (strategy.highWaterMark !== undefined) {
    highWaterMark = Number(strategy.highWaterMark);
    if (Number.isNaN(highWaterMark) || highWaterMark < 0) throw new RangeError("highWaterMark must not be negative");
  }
  const size = method(strategy, "size");
  return { highWaterMark, size: size === undefined ? () => 1 : (chunk) => Reflect.apply(size, undefined, [chunk]), sized: size !== undefined };
}

/** Chunks with their sizes. */
export class Queue {
  entries = [];
  total = 0;

  push(value, size) {
    const number = Number(size);
    if (!(number >= 0) || number === Infinity) throw new RangeError("the size of a chunk must be a finite number, not negative");
    this.entries.push({ value, size: number });
    this.total += number;
  }

  shift() {
    const { value, size } = this.entries.shift();
    this.total = Math.max(0, this.total - size);
    return value;
  }

  get length() {
    return this.entries.length;
  }

  get first() {
    return this.entries[0].value;
  }

  clear() {
    this.entries = [];
    this.total = 0;
  }
}

function highWaterMarkOf(init, name) {
  if (typeof init !== "object" || init === null || init.highWaterMark === undefined) throw new TypeError(`${name} needs { highWaterMark }`);
  return Number(init.highWaterMark);
}

const count = Object.defineProperty(() => 1, "name", { value: "size" });
const byteLength = Object.defineProperty((chunk) => chunk.byteLength, "name", { value: "size" });

export class CountQueuingStrategy {
  #highWaterMark;

  constructor(init) {
    needs(1, arguments.length, "CountQueuingStrategy");
    this.#highWaterMark = highWaterMarkOf(init, "CountQueuingStrategy");
  }

  get highWaterMark() {
    return this.#highWaterMark;
  }

  get size() {
    if (!(#highWaterMark in this)) throw new TypeError("not a CountQueuingStrategy");
    return count;
  }
}

export class ByteLengthQueuingStrategy {
  #highWaterMark;

  constructor(init) {
    needs(1, arguments.length, "ByteLengthQueuingStrategy");
    this.#highWaterMark = highWaterMarkOf(init, "ByteLengthQueuingStrategy");
  }

  get highWaterMark() {
    return this.#highWaterMark;
  }

  get size() {
    if (!(#highWaterMark in this)) throw new TypeError("not a ByteLengthQueuingStrategy");
    return byteLength;
  }
}
