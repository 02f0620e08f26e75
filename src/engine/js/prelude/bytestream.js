// Byte streams: ReadableByteStreamController, BYOB readers and requests, after the Streams standard.

import { dictionary, needs } from "./idl.js";
import { acquireReader, closeStream, failStream, ReaderFace, readableState, readerState } from "./readable.js";

const MAKE = Symbol("make");
const face = {};

/** Bytes of an element, for views that are no DataView. */
function elementBytes(view) {
  return view instanceof DataView ? 1 : view.BYTES_PER_ELEMENT;
}

function viewClass(view) {
  return view instanceof DataView ? DataView : Object.getPrototypeOf(view).constructor;
}

/** Makes the controller of a byte stream and starts its source. */
export function setUpBytes(stream, source, highWaterMark, autoAllocate, start) {
  const controller = {
    face: null, stream, ...source, highWaterMark, autoAllocate, isBytes: true,
    queue: [], total: 0, pending: [], request: null,
    started: false, closeRequested: false, pulling: false, pullAgain: false,
    cancelSteps(reason) {
      controller.pending = [];
      clearQueue(controller);
      const cancelled = controller.cancel(reason);
      clearAlgorithms(controller);
      return cancelled;
    },
    pullSteps: (request) => pullDefault(controller, request),
    releaseSteps() {
      if (controller.pending.length > 0) {
        controller.pending = controller.pending.slice(0, 1);
        controller.pending[0].mode = "none";
      }
    },
  };
  controller.face = face.controller(controller);
  stream.controller = controller;
  const begun = start(controller);
  Promise.resolve(begun).then(
    () => {
      controller.started = true;
      pullIfNeeded(controller);
    },
    (error) => failBytes(controller, error),
  );
}

function clearAlgorithms(controller) {
  controller.pull = controller.cancel = () => Promise.resolve(undefined);
}

function clearQueue(controller) {
  controller.queue = [];
  controller.total = 0;
}

const waiting = (stream, mode) => (stream.reader?.mode === mode ? stream.reader.requests.length : 0);

function desiredSize({ stream, highWaterMark, total }) {
  if (stream.state === "errored") return null;
  return stream.state === "closed" ? 0 : highWaterMark - total;
}

function shouldPull(controller) {
  const { stream } = controller;
  if (stream.state !== "readable" || controller.closeRequested || !controller.started) return false;
  return waiting(stream, "default") > 0 || waiting(stream, "byob") > 0 || desiredSize(controller) > 0;
}

function pullIfNeeded(controller) {
  if (!shouldPull(controller)) return;
  if (controller.pulling) {
    controller.pullAgain = true;
    return;
  }
  controller.pulling = true;
  controller.pull().then(
    () => {
      controller.pulling = false;
      if (!controller.pullAgain) return;
      controller.pullAgain = false;
      pullIfNeeded(controller);
    },
    (error) => failBytes(controller, error),
  );
}

export function failBytes(controller, error) {
  if (controller.stream.state !== "readable") return;
  dropRequest(controller);
  controller.pending = [];
  clearQueue(controller);
  clearAlgorithms(controller);
  failStream(controller.stream, error);
}

export function closeBytes(controller) {
  const { stream } = controller;
  if (controller.closeRequested || stream.state !== "readable") return;
  if (controller.total > 0) {
    controller.closeRequested = true;
    return;
  }
  if (controller.pending.length > 0 && controller.pending[0].filled % controller.pending[0].elementBytes !== 0) {
    const error = new TypeError("the stream ends within an element of the reader's view");
    failBytes(controller, error);
    throw error;
  }
  clearAlgorithms(controller);
  closeStream(stream);
}

/** After a close: a reader that brought a buffer gets it back empty. */
export function respondIfPending(controller) {
  if (controller.pending.length > 0) respond(controller, 0);
}

function dropRequest(controller) {
  if (controller.request === null) return;
  face.invalidate(controller.request);
  controller.request = null;
}

export function enqueueBytes(controller, view) {
  const { stream } = controller;
  if (controller.closeRequested || stream.state !== "readable") return;
  const { byteOffset, byteLength } = view;
  if (view.buffer.detached) throw new TypeError("the chunk's buffer is detached");
  const buffer = view.buffer.transfer();
  if (controller.pending.length > 0) {
    const first = controller.pending[0];
    if (first.buffer.detached) throw new TypeError("the reader's buffer is detached");
    dropRequest(controller);
    first.buffer = first.buffer.transfer();
    if (first.mode === "none") enqueueFilled(controller, first);
  }
  if (stream.reader?.mode === "default") {
    serveReads(controller);
    if (stream.reader.requests.length === 0) {
      pushChunk(controller, buffer, byteOffset, byteLength);
    } else {
      controller.pending.shift();
      stream.reader.requests.shift().chunk(new Uint8Array(buffer, byteOffset, byteLength));
    }
  } else {
    pushChunk(controller, buffer, byteOffset, byteLength);
    if (stream.reader?.mode === "byob") for (const filled of fillFromQueue(controller)) commit(stream, filled);
  }
  pullIfNeeded(controller);
}

function pushChunk(controller, buffer, byteOffset, byteLength) {
  controller.queue.push({ buffer, byteOffset, byteLength });
  controller.total += byteLength;
}

/** What a released reader's buffer holds already goes to the next reader. */
function enqueueFilled(controller, into) {
  if (into.filled > 0) {
    const from = into.byteOffset;
    pushChunk(controller, into.buffer.slice(from, from + into.filled), 0, into.filled);
  }
  controller.pending.shift();
}

function afterDrain(controller) {
  if (controller.total === 0 && controller.closeRequested) {
    clearAlgorithms(controller);
    closeStream(controller.stream);
  } else {
    pullIfNeeded(controller);
  }
}

function takeChunk(controller) {
  const { buffer, byteOffset, byteLength } = controller.queue.shift();
  controller.total -= byteLength;
  afterDrain(controller);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function serveReads(controller) {
  const { reader } = controller.stream;
  while (reader.requests.length > 0 && controller.total > 0) reader.requests.shift().chunk(takeChunk(controller));
}

/** A read by a default reader. */
function pullDefault(controller, request) {
  if (controller.total > 0) {
    request.chunk(takeChunk(controller));
    return;
  }
  if (controller.autoAllocate !== undefined) {
    let buffer;
    try {
      buffer = new ArrayBuffer(controller.autoAllocate);
    } catch (error) {
      request.error(error);
      return;
    }
    controller.pending.push({
      buffer, byteOffset: 0, byteLength: controller.autoAllocate, filled: 0, minimum: 1, elementBytes: 1, Class: Uint8Array, mode: "default",
    });
  }
  controller.stream.reader.requests.push(request);
  pullIfNeeded(controller);
}

/** A read into a view that the reader brought. */
function pullInto(controller, view, min, request) {
  const { stream } = controller;
  const size = elementBytes(view);
  const Class = viewClass(view);
  const { byteOffset, byteLength } = view;
  const into = {
    buffer: view.buffer.transfer(), byteOffset, byteLength, filled: 0, minimum: min * size, elementBytes: size, Class, mode: "byob",
  };
  if (controller.pending.length > 0) {
    controller.pending.push(into);
    stream.reader.requests.push(request);
    return;
  }
  if (stream.state === "closed") {
    request.close(new Class(into.buffer, byteOffset, 0));
    return;
  }
  if (controller.total > 0) {
    if (fill(controller, into)) {
      const filled = viewOf(into);
      afterDrain(controller);
      request.chunk(filled);
      return;
    }
    if (controller.closeRequested) {
      const error = new TypeError("the stream ends within an element of the reader's view");
      failBytes(controller, error);
      request.error(error);
      return;
    }
  }
  controller.pending.push(into);
  stream.reader.requests.push(request);
  pullIfNeeded(controller);
}

/** Fills a reader's buffer from the queue; true when it holds enough. */
function fill(controller, into) {
  const most = Math.min(controller.total, into.byteLength - into.filled);
  const reach = into.filled + most;
  const whole = reach - (reach % into.elementBytes);
  const enough = whole >= into.minimum;
  let left = enough ? whole - into.filled : most;
  while (left > 0) {
    const head = controller.queue[0];
    const count = Math.min(left, head.byteLength);
    new Uint8Array(into.buffer, into.byteOffset + into.filled, count).set(new Uint8Array(head.buffer, head.byteOffset, count));
    if (head.byteLength === count) {
      controller.queue.shift();
    } else {
      head.byteOffset += count;
      head.byteLength -= count;
    }
    controller.total -= count;
    into.filled += count;
    left -= count;
  }
  return enough;
}

function fillFromQueue(controller) {
  const filled = [];
  while (controller.pending.length > 0 && controller.total > 0) {
    if (!fill(controller, controller.pending[0])) break;
    filled.push(controller.pending.shift());
  }
  return filled;
}

function viewOf({ buffer, byteOffset, filled, elementBytes: size, Class }) {
  return new Class(buffer.transfer(), byteOffset, filled / size);
}

/** Answers the read that a filled buffer was for. */
function commit(stream, into) {
  const request = stream.reader.requests.shift();
  const done = stream.state === "closed";
  const view = viewOf(into);
  if (done) request.close(into.mode === "byob" ? view : undefined);
  else request.chunk(view);
}

function respond(controller, written) {
  const { stream } = controller;
  const into = controller.pending[0];
  if (stream.state === "closed") {
    if (written !== 0) throw new TypeError("the stream is closed: respond with 0 bytes");
  } else {
    if (written === 0) throw new TypeError("respond with at least one byte");
    if (into.filled + written > into.byteLength) throw new RangeError("more bytes than the view has room for");
  }
  into.buffer = into.buffer.transfer();
  dropRequest(controller);
  if (stream.state === "closed") respondClosed(controller, into);
  else respondReadable(controller, into, written);
  pullIfNeeded(controller);
}

function respondClosed(controller, into) {
  const { stream } = controller;
  if (into.mode === "none") controller.pending.shift();
  if (stream.reader?.mode !== "byob") return;
  while (stream.reader.requests.length > 0 && controller.pending.length > 0) commit(stream, controller.pending.shift());
}

function respondReadable(controller, into, written) {
  into.filled += written;
  if (into.mode === "none") {
    enqueueFilled(controller, into);
    for (const filled of fillFromQueue(controller)) commit(controller.stream, filled);
    return;
  }
  if (into.filled < into.minimum) return;
  controller.pending.shift();
  const rest = into.filled % into.elementBytes;
  if (rest > 0) {
    const end = into.byteOffset + into.filled;
    pushChunk(controller, into.buffer.slice(end - rest, end), 0, rest);
  }
  into.filled -= rest;
  commit(controller.stream, into);
  for (const filled of fillFromQueue(controller)) commit(controller.stream, filled);
}

function respondWithView(controller, view) {
  const { stream } = controller;
  const into = controller.pending[0];
  if (stream.state === "closed" ? view.byteLength !== 0 : view.byteLength === 0) throw new TypeError("the view has a wrong length for the state of the stream");
  if (into.byteOffset + into.filled !== view.byteOffset) throw new RangeError("the view begins elsewhere");
  if (into.buffer.byteLength !== view.buffer.byteLength) throw new RangeError("the view's buffer has another length");
  if (into.filled + view.byteLength > into.byteLength) throw new RangeError("more bytes than the view had room for");
  const { byteLength } = view;
  into.buffer = view.buffer.transfer();
  respond(controller, byteLength);
}

// ---- faces

export class ReadableByteStreamController {
  #state;

  constructor(key, state) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#state = state;
  }

  static {
    face.controller = (state) => new ReadableByteStreamController(MAKE, state);
  }

  get byobRequest() {
    const state = this.#state;
    if (state.request === null && state.pending.length > 0) {
      const { buffer, byteOffset, byteLength, filled } = state.pending[0];
      state.request = face.request(state, new Uint8Array(buffer, byteOffset + filled, byteLength - filled));
    }
    return state.request;
  }

  get desiredSize() {
    return desiredSize(this.#state);
  }

  close() {
    if (this.#state.closeRequested || this.#state.stream.state !== "readable") throw new TypeError("the stream is closed already");
    closeBytes(this.#state);
  }

  enqueue(chunk) {
    needs(1, arguments.length, "enqueue");
    if (!ArrayBuffer.isView(chunk)) throw new TypeError("a byte stream takes views of an ArrayBuffer");
    if (chunk.byteLength === 0 || chunk.buffer.byteLength === 0) throw new TypeError("a chunk must not be empty");
    if (this.#state.closeRequested || this.#state.stream.state !== "readable") throw new TypeError("the stream is closed: nothing can be enqueued");
    enqueueBytes(this.#state, chunk);
  }

  error(reason) {
    failBytes(this.#state, reason);
  }
}

export class ReadableStreamBYOBRequest {
  #controller;
  #view;

  constructor(key, controller, view) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#controller = controller;
    this.#view = view;
  }

  static {
    face.request = (controller, view) => new ReadableStreamBYOBRequest(MAKE, controller, view);
    face.invalidate = (request) => {
      request.#controller = null;
      request.#view = null;
    };
  }

  get view() {
    return this.#view;
  }

  respond(bytesWritten) {
    needs(1, arguments.length, "respond");
    const count = Number(bytesWritten);
    if (!Number.isInteger(count) || count < 0) throw new TypeError("respond needs a number of bytes");
    if (this.#controller === null) throw new TypeError("the request has been answered");
    if (this.#view.buffer.detached) throw new TypeError("the view's buffer is detached");
    respond(this.#controller, count);
  }

  respondWithNewView(view) {
    needs(1, arguments.length, "respondWithNewView");
    if (!ArrayBuffer.isView(view)) throw new TypeError("expected a view of an ArrayBuffer");
    if (this.#controller === null) throw new TypeError("the request has been answered");
    if (view.buffer.detached) throw new TypeError("the view's buffer is detached");
    respondWithView(this.#controller, view);
  }
}

/** A function, because this class needs one that is made in readable.js: the modules import each other. */
let Reader;

function readerClass() {
  Reader ??= class ReadableStreamBYOBReader extends ReaderFace {
    constructor(stream) {
      const state = readableState(stream);
      if (!state.controller.isBytes) throw new TypeError("only a byte stream can be read into a buffer of one's own");
      super(acquireReader(state, "byob"));
    }

    async read(view, options) {
      if (!ArrayBuffer.isView(view)) throw new TypeError("read needs a view of an ArrayBuffer");
      if (view.byteLength === 0 || view.buffer.byteLength === 0) throw new TypeError("the view must not be empty");
      if (view.buffer.detached) throw new TypeError("the view's buffer is detached");
      const { min = 1 } = dictionary(options, "the options of read");
      const least = Number(min);
      if (!(least >= 1)) throw new TypeError("min must be above 0");
      if (least > (view instanceof DataView ? view.byteLength : view.length)) throw new RangeError("min is more than the view has room for");
      const { stream } = readerState(this);
      stream.disturbed = true;
      if (stream.state === "errored") throw stream.error;
      const { promise, resolve, reject } = Promise.withResolvers();
      pullInto(stream.controller, view, least, {
        chunk: (value) => resolve({ value, done: false }),
        close: (value) => resolve({ value, done: true }),
        error: reject,
      });
      return await promise;
    }
  };
  return Reader;
}

export function byobReader(stream) {
  return new (readerClass())(stream);
}

export { readerClass };
