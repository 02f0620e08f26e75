// TransformStream, after the Streams standard, and the two text streams.

import { TextDecoder, utf8 } from "./encoding.js";
import { deferred, invoke, method, strategyOf } from "./queuing.js";
import { closeController, createReadable, desiredSize, enqueue, failController } from "./readable.js";
import { createWritable, errorIfNeeded } from "./writable.js";

const MAKE = Symbol("make");
const face = {};

function setBackpressure(stream, backpressure) {
  stream.changed?.resolve();
  stream.changed = deferred();
  stream.backpressure = backpressure;
}

function clearAlgorithms(stream) {
  stream.transform = stream.flush = stream.cancel = () => Promise.resolve(undefined);
}

/** Fails the writable side, and lets a write go on that waits for room. */
function failWritable(stream, error) {
  clearAlgorithms(stream);
  errorIfNeeded(stream.writable.controller, error);
  if (stream.backpressure) setBackpressure(stream, false);
}

function fail(stream, error) {
  failController(stream.readable.controller, error);
  failWritable(stream, error);
}

function give(stream, chunk) {
  const { controller } = stream.readable;
  if (controller.closeRequested || stream.readable.state !== "readable") throw new TypeError("the readable side is closed: nothing can be enqueued");
  try {
    enqueue(controller, chunk);
  } catch (error) {
    failWritable(stream, error);
    throw stream.readable.error;
  }
  const wanted = stream.readable.reader?.requests.length > 0 || controller.highWaterMark - controller.queue.total > 0;
  const full = !controller.started || !wanted;
  if (full !== stream.backpressure) setBackpressure(stream, true);
}

async function write(stream, chunk) {
  if (stream.backpressure) {
    await stream.changed.promise;
    if (stream.writable.state === "erroring") throw stream.writable.error;
  }
  try {
    await stream.transform(chunk);
  } catch (error) {
    fail(stream, error);
    throw error;
  }
}

/** One end for all who end the stream: close, abort of the writable side, cancel of the readable one. */
function finish(stream, act, failed, settle) {
  if (stream.finishing !== null) return stream.finishing.promise;
  stream.finishing = deferred();
  const { promise, resolve, reject } = stream.finishing;
  const acted = act();
  clearAlgorithms(stream);
  acted.then(
    () => settle(resolve, reject),
    (error) => {
      failed(error);
      reject(error);
    },
  );
  return promise;
}

function failWriting(stream, error) {
  errorIfNeeded(stream.writable.controller, error);
  if (stream.backpressure) setBackpressure(stream, false);
}

function close(stream) {
  const { controller } = stream.readable;
  return finish(stream, () => stream.flush(), (error) => failController(controller, error), (resolve, reject) => {
    if (stream.readable.state === "errored") return reject(stream.readable.error);
    closeController(controller);
    resolve();
  });
}

function abort(stream, reason) {
  const { controller } = stream.readable;
  return finish(stream, () => stream.cancel(reason), (error) => failController(controller, error), (resolve, reject) => {
    if (stream.readable.state === "errored") return reject(stream.readable.error);
    failController(controller, reason);
    resolve();
  });
}

function cancelled(stream, reason) {
  return finish(stream, () => stream.cancel(reason), (error) => failWriting(stream, error), (resolve, reject) => {
    if (stream.writable.state === "errored") return reject(stream.writable.error);
    failWriting(stream, reason);
    resolve();
  });
}

export class TransformStream {
  #state;

  constructor(transformer, writableStrategy, readableStrategy) {
    if (transformer === null || (transformer !== undefined && typeof transformer !== "object" && typeof transformer !== "function")) {
      throw new TypeError("a transformer must be an object");
    }
    const given = transformer ?? {};
    const [cancel, flush] = ["cancel", "flush"].map((name) => method(given, name));
    if (given.readableType !== undefined) throw new RangeError("readableType must not be set");
    const [start, transform] = ["start", "transform"].map((name) => method(given, name));
    if (given.writableType !== undefined) throw new RangeError("writableType must not be set");
    const outgoing = strategyOf(readableStrategy, 0);
    const incoming = strategyOf(writableStrategy, 1);

    const stream = { finishing: null, backpressure: false, changed: null };
    this.#state = stream;
    const controller = face.controller(stream);
    const begun = deferred();
    const startSide = () => begun.promise;
    [stream.writableFace, stream.writable] = createWritable(
      startSide, (chunk) => write(stream, chunk), () => close(stream), (reason) => abort(stream, reason), incoming,
    );
    const pull = () => {
      setBackpressure(stream, false);
      return stream.changed.promise;
    };
    [stream.readableFace, stream.readable] = createReadable(startSide, pull, (reason) => cancelled(stream, reason), outgoing);
    setBackpressure(stream, true);
    stream.transform = transform === undefined
      ? async (chunk) => give(stream, chunk)
      : (chunk) => invoke(given, transform, chunk, controller);
    stream.flush = () => invoke(given, flush, controller);
    stream.cancel = (reason) => invoke(given, cancel, reason);
    begun.resolve(start === undefined ? undefined : Reflect.apply(start, given, [controller]));
  }

  get readable() {
    return this.#state.readableFace;
  }

  get writable() {
    return this.#state.writableFace;
  }
}

export class TransformStreamDefaultController {
  #stream;

  constructor(key, stream) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#stream = stream;
  }

  static {
    face.controller = (stream) => new TransformStreamDefaultController(MAKE, stream);
  }

  get desiredSize() {
    return desiredSize(this.#stream.readable.controller);
  }

  enqueue(chunk) {
    give(this.#stream, chunk);
  }

  error(reason) {
    fail(this.#stream, reason);
  }

  terminate() {
    closeController(this.#stream.readable.controller);
    failWritable(this.#stream, new TypeError("the stream has been terminated"));
  }
}

export class TextEncoderStream {
  #pair;

  constructor() {
    // The first half of a pair waits for the second, which may be in the next chunk.
    let half = "";
    this.#pair = new TransformStream({
      transform(chunk, controller) {
        let text = half + String(chunk);
        half = "";
        const last = text.charCodeAt(text.length - 1);
        if (last >= 0xd800 && last <= 0xdbff) {
          half = text.at(-1);
          text = text.slice(0, -1);
        }
        if (text !== "") controller.enqueue(utf8(text));
      },
      flush(controller) {
        if (half !== "") controller.enqueue(utf8(half));
      },
    });
  }

  get encoding() {
    return "utf-8";
  }

  get readable() {
    return this.#pair.readable;
  }

  get writable() {
    return this.#pair.writable;
  }
}

export class TextDecoderStream {
  #pair;
  #decoder;

  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    const forward = (text, controller) => {
      if (text !== "") controller.enqueue(text);
    };
    this.#pair = new TransformStream({
      transform: (chunk, controller) => forward(decoder.decode(chunk ?? null, { stream: true }), controller),
      flush: (controller) => forward(decoder.decode(), controller),
    });
  }

  get encoding() {
    return this.#decoder.encoding;
  }

  get fatal() {
    return this.#decoder.fatal;
  }

  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }

  get readable() {
    return this.#pair.readable;
  }

  get writable() {
    return this.#pair.writable;
  }
}
