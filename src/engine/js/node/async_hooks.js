// node:async_hooks: AsyncLocalStorage and AsyncResource.
//
// A frame maps storages to values and is never changed. What calls back later (promises, timers, microtasks) runs in the frame
// in which it was set up. `await` on a promise calls no method that could be wrapped: where this module is imported, emu puts
// $emuB before each `await` of a file and $emuA or $emuS after it (loader/scan.rs).

import { beginnings } from "emu:prelude/beginnings.js";

const NONE = new Map();
let frame = NONE;

export const $emuB = () => frame;
export const $emuS = (kept) => {
  frame = kept;
};
export const $emuA = (kept, value) => {
  frame = kept;
  return value;
};

// A kept sandbox begins each invocation without values.
beginnings.push(() => (frame = NONE));

function within(kept, callback, self, args) {
  const before = frame;
  frame = kept;
  try {
    return Reflect.apply(callback, self, args);
  } finally {
    frame = before;
  }
}

function keep(callback) {
  if (typeof callback !== "function") return callback;
  const kept = frame;
  return function (...args) {
    return within(kept, callback, this, args);
  };
}

function replace(object, name, make) {
  const original = object[name];
  const replacement = make(original);
  Object.defineProperty(replacement, "name", { value: name, configurable: true });
  Object.defineProperty(object, name, { value: replacement, writable: true, configurable: true, enumerable: false });
}

replace(Promise.prototype, "then", (then) => function (done, failed) {
  return Reflect.apply(then, this, [keep(done), keep(failed)]);
});
for (const name of ["queueMicrotask", "setTimeout", "setInterval", "setImmediate"]) {
  replace(globalThis, name, (original) => (callback, ...args) => original(keep(callback), ...args));
}
replace(process, "nextTick", (original) => (callback, ...args) => original(keep(callback), ...args));

export class AsyncLocalStorage {
  #defaultValue;

  constructor(options) {
    this.#defaultValue = options?.defaultValue;
    this.name = options?.name ?? "";
  }

  static bind(callback) {
    return keep(callback);
  }

  static snapshot() {
    const kept = frame;
    return (callback, ...args) => within(kept, callback, undefined, args);
  }

  getStore() {
    return frame.has(this) ? frame.get(this) : this.#defaultValue;
  }

  run(store, callback, ...args) {
    return within(new Map(frame).set(this, store), callback, undefined, args);
  }

  exit(callback, ...args) {
    return this.run(undefined, callback, ...args);
  }

  enterWith(store) {
    frame = new Map(frame).set(this, store);
  }

  disable() {
    frame = new Map(frame);
    frame.delete(this);
  }
}

let ids = 1;

export class AsyncResource {
  #frame = frame;
  #id = ++ids;

  constructor(type) {
    this.type = type;
  }

  static bind(callback) {
    return keep(callback);
  }

  bind(callback) {
    return (...args) => this.runInAsyncScope(callback, undefined, ...args);
  }

  runInAsyncScope(callback, self, ...args) {
    return within(this.#frame, callback, self, args);
  }

  emitDestroy() {
    return this;
  }

  asyncId() {
    return this.#id;
  }

  triggerAsyncId() {
    return 0;
  }
}

export const executionAsyncId = () => 1;
export const triggerAsyncId = () => 0;
export const executionAsyncResource = () => ({});
export const createHook = () => ({ enable: () => {}, disable: () => {} });

export default { AsyncLocalStorage, AsyncResource, createHook, executionAsyncId, executionAsyncResource, triggerAsyncId };
