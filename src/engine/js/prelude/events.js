// Event, EventTarget, AbortController and AbortSignal.

import { DOMException } from "./errors.js";
import { setTimeout } from "./timers.js";

export class Event {
  #type;
  #stopped = false;
  #prevented = false;

  constructor(type, { cancelable = false, bubbles = false, composed = false } = {}) {
    if (arguments.length === 0) throw new TypeError("an Event needs a type");
    this.#type = String(type);
    this.cancelable = Boolean(cancelable);
    this.bubbles = Boolean(bubbles);
    this.composed = Boolean(composed);
    this.target = null;
    this.currentTarget = null;
    this.timeStamp = 0;
  }

  get type() {
    return this.#type;
  }

  get defaultPrevented() {
    return this.#prevented;
  }

  preventDefault() {
    if (this.cancelable) this.#prevented = true;
  }

  stopPropagation() {}

  stopImmediatePropagation() {
    this.#stopped = true;
  }

  static stopped(event) {
    return event.#stopped;
  }
}

const stopped = Event.stopped;
delete Event.stopped;

export class CustomEvent extends Event {
  constructor(type, init = {}) {
    super(type, init);
    this.detail = init.detail ?? null;
  }
}

export class EventTarget {
  #listeners = new Map();

  addEventListener(type, callback, options) {
    if (callback === null || callback === undefined) return;
    const { once = false, signal } = typeof options === "object" && options !== null ? options : {};
    if (signal?.aborted) return;
    const list = this.#listeners.get(type) ?? [];
    if (list.some((listener) => listener.callback === callback)) return;
    this.#listeners.set(type, [...list, { callback, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, callback), { once: true });
  }

  removeEventListener(type, callback) {
    const list = this.#listeners.get(type);
    if (list !== undefined) this.#listeners.set(type, list.filter((listener) => listener.callback !== callback));
  }

  dispatchEvent(event) {
    event.target = this;
    event.currentTarget = this;
    const attribute = this[`on${event.type}`];
    const own = typeof attribute === "function" ? [{ callback: attribute, once: false }] : [];
    for (const { callback, once } of [...own, ...(this.#listeners.get(event.type) ?? [])]) {
      if (once) this.removeEventListener(event.type, callback);
      try {
        if (typeof callback === "function") callback.call(this, event);
        else callback.handleEvent(event);
      } catch (error) {
        console.error("uncaught in an event listener:", error);
      }
      if (stopped(event)) break;
    }
    event.currentTarget = null;
    return !event.defaultPrevented;
  }
}

const MAKE = Symbol("make");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;

  constructor(key) {
    if (key !== MAKE) throw new TypeError("an AbortSignal comes from an AbortController");
    super();
    this.onabort = null;
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

  static [MAKE](signal, reason = new DOMException("This operation was aborted", "AbortError")) {
    if (signal.#aborted) return;
    signal.#aborted = true;
    signal.#reason = reason;
    signal.dispatchEvent(new Event("abort"));
  }

  static abort(reason) {
    const signal = new AbortSignal(MAKE);
    AbortSignal[MAKE](signal, reason);
    return signal;
  }

  static timeout(ms) {
    const signal = new AbortSignal(MAKE);
    setTimeout(() => AbortSignal[MAKE](signal, new DOMException("The operation timed out", "TimeoutError")), ms);
    return signal;
  }

  static any(signals) {
    const all = [...signals];
    const any = new AbortSignal(MAKE);
    const aborted = all.find((signal) => signal.aborted);
    if (aborted !== undefined) {
      AbortSignal[MAKE](any, aborted.reason);
      return any;
    }
    for (const signal of all) {
      signal.addEventListener("abort", () => AbortSignal[MAKE](any, signal.reason), { once: true });
    }
    return any;
  }
}

export class AbortController {
  #signal = new AbortSignal(MAKE);

  get signal() {
    return this.#signal;
  }

  abort(reason) {
    AbortSignal[MAKE](this.#signal, reason);
  }
}
