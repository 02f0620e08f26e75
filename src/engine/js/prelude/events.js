// Event, EventTarget, AbortController and AbortSignal.

import host from "emu:js/host";
import { DOMException } from "./errors.js";
import { constants, dictionary, needs } from "./idl.js";
import { setTimeout } from "./timers.js";

const inner = {};

export class Event {
  #type;
  #bubbles;
  #cancelable;
  #composed;
  #timeStamp = host.elapsedMs();
  #target = null;
  #current = null;
  #dispatching = false;
  #stopped = false;
  #stoppedNow = false;
  #prevented = false;
  #passive = false;

  constructor(type, init) {
    needs(1, arguments.length, "Event");
    const { bubbles, cancelable, composed } = dictionary(init, "the second argument of Event");
    this.#type = String(type);
    this.#bubbles = Boolean(bubbles);
    this.#cancelable = Boolean(cancelable);
    this.#composed = Boolean(composed);
  }

  static {
    inner.begin = (event, target) => {
      if (event.#dispatching) throw new DOMException("the event is being dispatched already", "InvalidStateError");
      event.#dispatching = true;
      event.#target = target;
      event.#current = target;
    };
    inner.passive = (event, passive) => {
      event.#passive = passive;
    };
    inner.stoppedNow = (event) => event.#stoppedNow;
    inner.wasStopped = (event) => event.#stopped;
    inner.end = (event) => {
      event.#dispatching = false;
      event.#current = null;
      event.#stopped = false;
      event.#stoppedNow = false;
    };
  }

  get type() {
    return this.#type;
  }

  get target() {
    return this.#target;
  }

  get srcElement() {
    return this.#target;
  }

  get currentTarget() {
    return this.#current;
  }

  get eventPhase() {
    return this.#dispatching ? 2 : 0;
  }

  get bubbles() {
    return this.#bubbles;
  }

  get cancelable() {
    return this.#cancelable;
  }

  get composed() {
    return this.#composed;
  }

  get isTrusted() {
    return false;
  }

  get timeStamp() {
    return this.#timeStamp;
  }

  get defaultPrevented() {
    return this.#prevented;
  }

  get returnValue() {
    return !this.#prevented;
  }

  set returnValue(value) {
    if (!value) this.preventDefault();
  }

  get cancelBubble() {
    return this.#stopped;
  }

  set cancelBubble(value) {
    if (value) this.#stopped = true;
  }

  composedPath() {
    return this.#current === null ? [] : [this.#current];
  }

  preventDefault() {
    if (this.#cancelable && !this.#passive) this.#prevented = true;
  }

  stopPropagation() {
    this.#stopped = true;
  }

  stopImmediatePropagation() {
    this.#stopped = true;
    this.#stoppedNow = true;
  }
}

constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

export class CustomEvent extends Event {
  #detail;

  constructor(type, init) {
    needs(1, arguments.length, "CustomEvent");
    super(type, init);
    this.#detail = init?.detail ?? null;
  }

  get detail() {
    return this.#detail;
  }
}

export class ErrorEvent extends Event {
  #init;

  constructor(type, init) {
    needs(1, arguments.length, "ErrorEvent");
    super(type, init);
    this.#init = { ...init };
  }

  get message() {
    return String(this.#init.message ?? "");
  }

  get filename() {
    return String(this.#init.filename ?? "");
  }

  get lineno() {
    return Number(this.#init.lineno ?? 0);
  }

  get colno() {
    return Number(this.#init.colno ?? 0);
  }

  get error() {
    return this.#init.error;
  }
}

export class MessageEvent extends Event {
  #init;

  constructor(type, init) {
    needs(1, arguments.length, "MessageEvent");
    super(type, init);
    this.#init = { ...init };
  }

  get data() {
    return this.#init.data ?? null;
  }

  get origin() {
    return String(this.#init.origin ?? "");
  }

  get lastEventId() {
    return String(this.#init.lastEventId ?? "");
  }

  get source() {
    return this.#init.source ?? null;
  }

  get ports() {
    return Object.freeze([...(this.#init.ports ?? [])]);
  }
}

export class PromiseRejectionEvent extends Event {
  #promise;
  #reason;

  constructor(type, init) {
    needs(2, arguments.length, "PromiseRejectionEvent");
    super(type, init);
    this.#promise = init.promise;
    this.#reason = init.reason;
  }

  get promise() {
    return this.#promise;
  }

  get reason() {
    return this.#reason;
  }
}

/** What the last argument of addEventListener says. */
function listenerOptions(options) {
  if (typeof options !== "object" || options === null) return { capture: Boolean(options) };
  const { capture, once, passive, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError("the signal of a listener must be an AbortSignal");
  return { capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), signal };
}

export class EventTarget {
  /** Listeners by type, null until there is one. */
  #listeners = null;

  addEventListener(type, callback, options) {
    needs(2, arguments.length, "addEventListener");
    const { capture, once, passive, signal } = listenerOptions(options);
    if (callback !== null && callback !== undefined && typeof callback !== "function" && typeof callback !== "object") {
      throw new TypeError("a listener must be a function or an object with handleEvent");
    }
    if (callback === null || callback === undefined || signal?.aborted) return;
    const list = this.#list(String(type));
    if (list.some((listener) => listener.callback === callback && listener.capture === capture)) return;
    list.push({ callback, capture, once, passive, removed: false });
    signal?.addEventListener("abort", () => this.removeEventListener(type, callback, { capture }), { once: true });
  }

  removeEventListener(type, callback, options) {
    needs(2, arguments.length, "removeEventListener");
    const { capture } = listenerOptions(options);
    const list = this.#listeners?.get(String(type)) ?? [];
    const at = list.findIndex((listener) => listener.callback === callback && listener.capture === capture);
    if (at >= 0) list.splice(at, 1)[0].removed = true;
  }

  dispatchEvent(event) {
    if (!(event instanceof Event)) throw new TypeError("dispatchEvent needs an Event");
    inner.begin(event, this);
    for (const listener of inner.wasStopped(event) ? [] : [...(this.#listeners?.get(event.type) ?? [])]) {
      if (listener.removed) continue;
      if (listener.once) this.removeEventListener(event.type, listener.callback, { capture: listener.capture });
      call(this, listener, event);
      if (inner.stoppedNow(event)) break;
    }
    inner.end(event);
    return !event.defaultPrevented;
  }

  #list(type) {
    this.#listeners ??= new Map();
    let list = this.#listeners.get(type);
    if (list === undefined) this.#listeners.set(type, (list = []));
    return list;
  }

  static {
    inner.handler = (target, type) => {
      const own = target.#listeners?.get(type)?.find((listener) => listener.attribute !== undefined);
      return own === undefined ? null : own.attribute;
    };
    inner.setHandler = (target, type, callback) => {
      const list = target.#list(type);
      const at = list.findIndex((listener) => listener.attribute !== undefined);
      const usable = typeof callback === "function" || (typeof callback === "object" && callback !== null);
      if (at >= 0 && usable) list[at].attribute = callback;
      else if (at >= 0) list.splice(at, 1)[0].removed = true;
      else if (usable) {
        const listener = { capture: false, removed: false, attribute: callback };
        listener.callback = (event) => {
          if (typeof listener.attribute === "function") listener.attribute.call(target, event);
        };
        list.push(listener);
      }
    };
  }
}

function call(target, { callback, passive }, event) {
  inner.passive(event, passive);
  try {
    if (typeof callback === "function") callback.call(target, event);
    else if (typeof callback.handleEvent === "function") callback.handleEvent(event);
    else throw new TypeError("the listener has no handleEvent");
  } catch (error) {
    reportError(error);
  }
  inner.passive(event, false);
}

/** Gives a class the attribute `on<type>`. */
export function handlerAttribute(Class, type) {
  Object.defineProperty(Class.prototype, `on${type}`, {
    get() {
      return inner.handler(this, type);
    },
    set(callback) {
      inner.setHandler(this, type, callback);
    },
    enumerable: true,
    configurable: true,
  });
}

const MAKE = Symbol("make");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;
  /** Signals of `any` that follow this one. */
  #followers = null;

  constructor(key) {
    if (key !== MAKE) throw new TypeError("Illegal constructor: an AbortSignal comes from an AbortController");
    super();
  }

  static {
    inner.signal = () => new AbortSignal(MAKE);
    inner.abort = (signal, reason) => {
      if (signal.#aborted) return;
      const all = [signal, ...(signal.#followers ?? [])].filter((one) => !one.#aborted);
      for (const one of all) {
        one.#aborted = true;
        one.#reason = reason;
      }
      for (const one of all) one.dispatchEvent(new Event("abort"));
    };
    inner.follow = (follower, source) => {
      source.#followers ??= new Set();
      source.#followers.add(follower);
    };
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }

  static abort(reason = aborted()) {
    const signal = inner.signal();
    inner.abort(signal, reason);
    return signal;
  }

  static timeout(milliseconds) {
    needs(1, arguments.length, "AbortSignal.timeout");
    const ms = Number(milliseconds);
    if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) throw new TypeError("AbortSignal.timeout needs milliseconds, not negative");
    const signal = inner.signal();
    setTimeout(() => inner.abort(signal, new DOMException("The operation timed out", "TimeoutError")), ms);
    return signal;
  }

  static any(signals) {
    needs(1, arguments.length, "AbortSignal.any");
    const all = [...signals];
    if (!all.every((signal) => signal instanceof AbortSignal)) throw new TypeError("AbortSignal.any needs AbortSignals");
    const any = inner.signal();
    const first = all.find((signal) => signal.aborted);
    if (first !== undefined) inner.abort(any, first.reason);
    else for (const signal of all) inner.followAll(any, signal);
    return any;
  }
}

/** A follower of a follower hears from where that one hears, at the same time. */
const sources = new WeakMap();
inner.followAll = (follower, signal) => {
  const own = sources.get(follower) ?? new Set();
  for (const source of sources.get(signal) ?? [signal]) {
    own.add(source);
    inner.follow(follower, source);
  }
  sources.set(follower, own);
};

handlerAttribute(AbortSignal, "abort");

function aborted() {
  return new DOMException("This operation was aborted", "AbortError");
}

export class AbortController {
  #signal = inner.signal();

  get signal() {
    return this.#signal;
  }

  abort(reason = aborted()) {
    inner.abort(this.#signal, reason);
  }
}

/** The global object as a target of events. */
const globalTarget = new EventTarget();

const HANDLED_EVENTS = new Set(["fetch", "scheduled", "queue"]);

export function addEventListener(type, callback, options) {
  if (HANDLED_EVENTS.has(String(type))) {
    throw new TypeError(`addEventListener("${type}") is not how emu's functions begin; write export default { async ${type}(...) { ... } }`);
  }
  globalTarget.addEventListener(type, callback, options);
}

export function removeEventListener(type, callback, options) {
  globalTarget.removeEventListener(type, callback, options);
}

export function dispatchEvent(event) {
  return globalTarget.dispatchEvent(event);
}

let reporting = false;

/** What nobody caught: told to the listeners of the global "error" event, then logged. */
export function reportError(error) {
  needs(1, arguments.length, "reportError");
  let told = true;
  if (!reporting) {
    reporting = true;
    try {
      told = globalTarget.dispatchEvent(new ErrorEvent("error", { error, message: String(error?.message ?? error), cancelable: true }));
    } finally {
      reporting = false;
    }
  }
  if (told) console.error("uncaught:", error);
}
