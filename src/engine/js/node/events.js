// node:events

const kCapture = Symbol.for("nodejs.rejection");
let defaultMaxListeners = 10;

function checkListener(listener) {
  if (typeof listener === "function") return;
  const error = new TypeError(`The "listener" argument must be of type function. Received ${listener === null ? "null" : typeof listener}`);
  error.code = "ERR_INVALID_ARG_TYPE";
  throw error;
}

export function EventEmitter(options) {
  EventEmitter.init.call(this, options);
}

EventEmitter.init = function (options) {
  if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
    this._events = Object.create(null);
    this._eventsCount = 0;
  }
  this._maxListeners ||= undefined;
  if (options?.captureRejections) this[kCaptureFlag] = true;
};

const kCaptureFlag = Symbol("captureRejections");

function add(emitter, type, listener, first) {
  checkListener(listener);
  emitter._events ?? EventEmitter.init.call(emitter);
  if (emitter._events.newListener !== undefined) emitter.emit("newListener", type, listener.listener ?? listener);
  const known = emitter._events[type];
  if (known === undefined) {
    emitter._events[type] = [listener];
    emitter._eventsCount++;
    return emitter;
  }
  emitter._events[type] = first ? [listener, ...known] : [...known, listener];
  const max = emitter.getMaxListeners();
  if (max > 0 && emitter._events[type].length > max && !known.warned) {
    console.warn(
      `MaxListenersExceededWarning: ${emitter._events[type].length} ${String(type)} listeners added to ${emitter.constructor?.name}; use emitter.setMaxListeners() to raise the limit of ${max}`,
    );
    emitter._events[type].warned = true;
  } else if (known.warned) emitter._events[type].warned = true;
  return emitter;
}

function onceWrapper(emitter, type, listener) {
  checkListener(listener);
  let fired = false;
  function wrapped(...args) {
    if (fired) return;
    fired = true;
    emitter.removeListener(type, wrapped);
    return listener.apply(emitter, args);
  }
  wrapped.listener = listener;
  return wrapped;
}

function unhandled(error) {
  if (error instanceof Error) return error;
  const wrapped = new Error(`Unhandled error. (${typeof error === "string" ? `'${error}'` : String(error)})`);
  wrapped.context = error;
  wrapped.code = "ERR_UNHANDLED_ERROR";
  return wrapped;
}

Object.assign(EventEmitter.prototype, {
  _events: undefined,
  _eventsCount: 0,
  _maxListeners: undefined,
  setMaxListeners(count) {
    this._maxListeners = count;
    return this;
  },
  getMaxListeners() {
    return this._maxListeners ?? EventEmitter.defaultMaxListeners;
  },
  emit(type, ...args) {
    const listeners = this._events?.[type];
    if (type === "error" && this._events?.[errorMonitor] !== undefined) this.emit(errorMonitor, ...args);
    if (listeners === undefined) {
      if (type === "error") throw unhandled(args[0]);
      return false;
    }
    for (const listener of listeners) {
      const result = listener.apply(this, args);
      if (this[kCaptureFlag] && typeof result?.then === "function") {
        result.then(undefined, (error) => {
          if (typeof this[kCapture] === "function") this[kCapture](error, type, ...args);
          else this.emit("error", error);
        });
      }
    }
    return true;
  },
  on(type, listener) {
    return add(this, type, listener, false);
  },
  prependListener(type, listener) {
    return add(this, type, listener, true);
  },
  once(type, listener) {
    return this.on(type, onceWrapper(this, type, listener));
  },
  prependOnceListener(type, listener) {
    return this.prependListener(type, onceWrapper(this, type, listener));
  },
  off(type, listener) {
    checkListener(listener);
    const known = this._events?.[type];
    const at = known?.findLastIndex((one) => one === listener || one.listener === listener) ?? -1;
    if (at < 0) return this;
    const [removed] = known.slice(at);
    if (known.length === 1) {
      delete this._events[type];
      this._eventsCount--;
    } else this._events[type] = known.toSpliced(at, 1);
    if (this._events.removeListener !== undefined) this.emit("removeListener", type, removed.listener ?? removed);
    return this;
  },
  removeAllListeners(type) {
    if (this._events === undefined) return this;
    if (type === undefined) {
      for (const key of Reflect.ownKeys(this._events)) if (key !== "removeListener") this.removeAllListeners(key);
      this._events = Object.create(null);
      this._eventsCount = 0;
      return this;
    }
    for (const listener of [...(this._events[type] ?? [])].reverse()) this.removeListener(type, listener);
    return this;
  },
  listeners(type) {
    return (this._events?.[type] ?? []).map((one) => one.listener ?? one);
  },
  rawListeners(type) {
    return [...(this._events?.[type] ?? [])];
  },
  listenerCount(type, listener) {
    const known = this._events?.[type] ?? [];
    return listener === undefined ? known.length : known.filter((one) => one === listener || one.listener === listener).length;
  },
  eventNames() {
    return this._events === undefined ? [] : Reflect.ownKeys(this._events);
  },
});
EventEmitter.prototype.addListener = EventEmitter.prototype.on;
EventEmitter.prototype.removeListener = EventEmitter.prototype.off;

export const errorMonitor = Symbol("events.errorMonitor");
export const captureRejectionSymbol = kCapture;

/** A promise of the next event. */
export function once(emitter, type, { signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const isTarget = typeof emitter.addEventListener === "function";
    const remove = (name, listener) => (isTarget ? emitter.removeEventListener(name, listener) : emitter.removeListener(name, listener));
    const done = (settle) => (...args) => {
      remove(type, arrived);
      if (!isTarget && type !== "error") remove("error", failed);
      signal?.removeEventListener("abort", aborted);
      settle(args);
    };
    const arrived = done((args) => resolve(args));
    const failed = done(([error]) => reject(error));
    const aborted = done(() => reject(signal.reason));
    if (isTarget) emitter.addEventListener(type, arrived, { once: true });
    else {
      emitter.once(type, arrived);
      if (type !== "error") emitter.once("error", failed);
    }
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** All events to come, as an asynchronous iterator. */
export function on(emitter, type, { signal, close = [] } = {}) {
  const arrived = [];
  const waiting = [];
  let ended = false;
  let failure;
  const push = (...args) => (waiting.length > 0 ? waiting.shift().resolve({ value: args, done: false }) : arrived.push(args));
  const fail = (error) => {
    if (waiting.length > 0) waiting.shift().reject(error);
    else failure = { error };
    iterator.return();
  };
  const iterator = {
    next() {
      if (arrived.length > 0) return Promise.resolve({ value: arrived.shift(), done: false });
      if (failure !== undefined) {
        const { error } = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (ended) return Promise.resolve({ value: undefined, done: true });
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return() {
      ended = true;
      emitter.removeListener(type, push);
      emitter.removeListener("error", fail);
      for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
      return Promise.resolve({ value: undefined, done: true });
    },
    throw: (error) => (fail(error), Promise.resolve({ value: undefined, done: true })),
    [Symbol.asyncIterator]: () => iterator,
  };
  emitter.on(type, push);
  if (type !== "error") emitter.on("error", fail);
  for (const name of close) emitter.once(name, () => iterator.return());
  if (signal?.aborted) fail(signal.reason);
  else signal?.addEventListener("abort", () => fail(signal.reason), { once: true });
  return iterator;
}

export function listenerCount(emitter, type) {
  return emitter.listenerCount(type);
}

export function getEventListeners(emitter, type) {
  return emitter.listeners?.(type) ?? [];
}

export function getMaxListeners(emitter) {
  return emitter.getMaxListeners?.() ?? defaultMaxListeners;
}

export function setMaxListeners(count = defaultMaxListeners, ...emitters) {
  if (emitters.length === 0) defaultMaxListeners = count;
  for (const emitter of emitters) emitter.setMaxListeners?.(count);
}

export function addAbortListener(signal, listener) {
  if (signal.aborted) queueMicrotask(() => listener());
  else signal.addEventListener("abort", listener, { once: true });
  return { [Symbol.dispose ?? Symbol.for("Symbol.dispose")]: () => signal.removeEventListener("abort", listener) };
}

export class EventEmitterAsyncResource extends EventEmitter {}

Object.defineProperty(EventEmitter, "defaultMaxListeners", {
  enumerable: true,
  get: () => defaultMaxListeners,
  set: (count) => (defaultMaxListeners = count),
});
EventEmitter.EventEmitter = EventEmitter;
Object.assign(EventEmitter, {
  once, on, listenerCount, getEventListeners, getMaxListeners, setMaxListeners, addAbortListener, errorMonitor, captureRejectionSymbol,
  EventEmitterAsyncResource, captureRejections: false, usingDomains: false,
});
export { defaultMaxListeners };
export default EventEmitter;
