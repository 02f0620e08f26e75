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
import { random } from "./random.js";
import { Request } from "./request.js";
import { Response } from "./response.js";
import * as streams from "./streams.js";
import { clearTimeout, setImmediate, setInterval, setTimeout } from "./timers.js";
import { URL, URLSearchParams } from "./url.js";

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
  ByteLengthQueuingStrategy: streams.ByteLengthQueuingStrategy,
  CountQueuingStrategy: streams.CountQueuingStrategy,
  Crypto,
  CustomEvent,
  DOMException,
  Event,
  EventTarget,
  Headers,
  ReadableStream: streams.ReadableStream,
  Request,
  Response,
  TextDecoder,
  TextDecoderStream: streams.TextDecoderStream,
  TextEncoder,
  TextEncoderStream: streams.TextEncoderStream,
  TransformStream: streams.TransformStream,
  URL,
  URLSearchParams,
  WritableStream: streams.WritableStream,
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
