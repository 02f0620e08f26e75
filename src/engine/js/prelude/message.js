// MessageChannel: values that are cloned and arrive as events, in a task of their own.

import { structuredClone } from "./clone.js";
import { EventTarget, handlerAttribute, MessageEvent } from "./events.js";
import { setImmediate } from "./timers.js";

const MAKE = Symbol("make");
const inner = {};

export class MessagePort extends EventTarget {
  #other = null;
  #waiting = [];
  #started = false;

  constructor(key) {
    if (key !== MAKE) throw new TypeError("Illegal constructor: a MessagePort comes from a MessageChannel");
    super();
  }

  static {
    inner.pair = () => {
      const [one, other] = [new MessagePort(MAKE), new MessagePort(MAKE)];
      one.#other = other;
      other.#other = one;
      return [one, other];
    };
  }

  postMessage(message, options) {
    const transfer = Array.isArray(options) ? options : options?.transfer;
    const data = structuredClone(message, { transfer });
    this.#other?.#arrive(data);
  }

  #arrive(data) {
    this.#waiting.push(data);
    if (this.#started) setImmediate(() => this.#deliver());
  }

  #deliver() {
    if (this.#waiting.length > 0) this.dispatchEvent(new MessageEvent("message", { data: this.#waiting.shift() }));
  }

  start() {
    if (this.#started) return;
    this.#started = true;
    for (let count = this.#waiting.length; count > 0; count--) setImmediate(() => this.#deliver());
  }

  close() {
    if (this.#other !== null) this.#other.#other = null;
    this.#other = null;
  }
}

handlerAttribute(MessagePort, "message");
handlerAttribute(MessagePort, "messageerror");

const { set, ...onmessage } = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  ...onmessage,
  set(callback) {
    set.call(this, callback);
    this.start();
  },
});

export class MessageChannel {
  #ports = inner.pair();

  get port1() {
    return this.#ports[0];
  }

  get port2() {
    return this.#ports[1];
  }
}
