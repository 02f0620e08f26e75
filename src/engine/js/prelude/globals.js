// Puts the web APIs where scripts look for them.

import { throwing } from "./absent.js";
import { atob, btoa } from "./base64.js";
import { Blob, File } from "./blob.js";
import { refuseClones, structuredClone } from "./clone.js";
import { CompressionStream, DecompressionStream } from "./compression.js";
import { console } from "./console.js";
import { Crypto } from "./crypto.js";
import { CryptoKey } from "./cryptokey.js";
import { TextDecoder, TextEncoder } from "./encoding.js";
import { environment } from "./environment.js";
import { DOMException } from "./errors.js";
import {
  AbortController,
  AbortSignal,
  addEventListener,
  CustomEvent,
  dispatchEvent,
  ErrorEvent,
  Event,
  EventTarget,
  MessageEvent,
  PromiseRejectionEvent,
  removeEventListener,
  reportError,
} from "./events.js";
import { fetch } from "./fetch.js";
import { FormData } from "./formdata.js";
import { Headers } from "./headers.js";
import { dress } from "./idl.js";
import { installIntl } from "./intl_global.js";
import { MessageChannel, MessagePort } from "./message.js";
import { Performance, performance, PerformanceEntry, PerformanceMark, PerformanceMeasure } from "./performance.js";
import { ByteLengthQueuingStrategy, CountQueuingStrategy } from "./queuing.js";
import { process } from "./process.js";
import { random } from "./random.js";
import { ReadableByteStreamController, ReadableStreamBYOBRequest, readerClass } from "./bytestream.js";
import { ReadableStream, ReadableStreamDefaultController, ReadableStreamDefaultReader, ReaderFace } from "./readable.js";
import { Request } from "./request.js";
import { Response } from "./response.js";
import { SubtleCrypto } from "./subtle.js";
import { clearTimeout, setImmediate, setInterval, setTimeout } from "./timers.js";
import { TextDecoderStream, TextEncoderStream, TransformStream, TransformStreamDefaultController } from "./transform.js";
import { URL, URLSearchParams } from "./url.js";
import { URLPattern } from "./urlpattern.js";
import { WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter } from "./writable.js";

function define(target, values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("queueMicrotask needs a function");
  Promise.resolve().then(() => {
    try {
      callback();
    } catch (error) {
      reportError(error);
    }
  });
}

class Navigator {
  get userAgent() {
    return "emu";
  }

  get hardwareConcurrency() {
    return 1;
  }

  get language() {
    return "en-US";
  }

  get languages() {
    return Object.freeze(["en-US"]);
  }

  get onLine() {
    return true;
  }

  get platform() {
    return "emu";
  }
}

define(Math, { random });
installIntl();

/** Classes of the web platform: each is a global and looks as WebIDL says. */
const CLASSES = {
  AbortController,
  AbortSignal,
  Blob,
  ByteLengthQueuingStrategy,
  CompressionStream,
  CountQueuingStrategy,
  Crypto,
  CryptoKey,
  CustomEvent,
  DecompressionStream,
  DOMException,
  ErrorEvent,
  Event,
  EventTarget,
  File,
  FormData,
  Headers,
  MessageChannel,
  MessageEvent,
  MessagePort,
  Navigator,
  Performance,
  PerformanceEntry,
  PerformanceMark,
  PerformanceMeasure,
  PromiseRejectionEvent,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader: readerClass(),
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  Request,
  Response,
  SubtleCrypto,
  TextDecoder,
  TextDecoderStream,
  TextEncoder,
  TextEncoderStream,
  TransformStream,
  TransformStreamDefaultController,
  URL,
  URLPattern,
  URLSearchParams,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
};
dress(ReaderFace);
for (const [name, Class] of Object.entries(CLASSES)) {
  dress(Class, name);
  refuseClones(Class);
}

define(globalThis, {
  ...CLASSES,
  ...throwing(),
  addEventListener,
  atob,
  btoa,
  clearImmediate: clearTimeout,
  clearInterval: clearTimeout,
  clearTimeout,
  console,
  crypto: new Crypto(),
  dispatchEvent,
  fetch,
  global: globalThis,
  navigator: new Navigator(),
  performance,
  process,
  queueMicrotask,
  removeEventListener,
  reportError,
  self: globalThis,
  setImmediate,
  setInterval,
  setTimeout,
  structuredClone,
});
