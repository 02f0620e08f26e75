// Puts the web APIs where scripts look for them.

import host from "emu:js/host";
import { atob, btoa } from "./base64.js";
import { structuredClone } from "./clone.js";
import { console } from "./console.js";
import { Crypto } from "./crypto.js";
import { TextDecoder, TextEncoder } from "./encoding.js";
import { environment } from "./environment.js";
import { DOMException } from "./errors.js";
import { AbortController, AbortSignal, CustomEvent, Event, EventTarget } from "./events.js";
import { fetch } from "./fetch.js";
import { Headers } from "./headers.js";
import { ByteLengthQueuingStrategy, CountQueuingStrategy } from "./queuing.js";
import { random } from "./random.js";
import { ReadableStream } from "./readable.js";
import { Request } from "./request.js";
import { Response } from "./response.js";
import { clearTimeout, setImmediate, setInterval, setTimeout } from "./timers.js";
import { TextDecoderStream, TextEncoderStream, TransformStream } from "./transform.js";
import { URL, URLSearchParams } from "./url.js";
import { WritableStream } from "./writable.js";

function define(target, values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

const performance = {
  get timeOrigin() {
    return Date.now() - host.elapsedMs();
  },
  now: () => host.elapsedMs(),
  mark() {},
  measure() {},
  toJSON: () => ({ timeOrigin: performance.timeOrigin }),
};

const process = {
  get env() {
    return environment.variables;
  },
  nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
};

function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("queueMicrotask needs a function");
  Promise.resolve().then(() => {
    try {
      callback();
    } catch (error) {
      console.error("uncaught in a microtask:", error);
    }
  });
}

define(Math, { random });

define(globalThis, {
  AbortController,
  AbortSignal,
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  Crypto,
  CustomEvent,
  DOMException,
  Event,
  EventTarget,
  Headers,
  ReadableStream,
  Request,
  Response,
  TextDecoder,
  TextDecoderStream,
  TextEncoder,
  TextEncoderStream,
  TransformStream,
  URL,
  URLSearchParams,
  WritableStream,
  atob,
  btoa,
  clearImmediate: clearTimeout,
  clearInterval: clearTimeout,
  clearTimeout,
  console,
  crypto: new Crypto(),
  fetch,
  global: globalThis,
  navigator: { userAgent: "emu" },
  performance,
  process,
  queueMicrotask,
  self: globalThis,
  setImmediate,
  setInterval,
  setTimeout,
  structuredClone,
});
