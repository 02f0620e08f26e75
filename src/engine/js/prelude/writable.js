// WritableStream, after the Streams standard. Public classes are faces; what they stand for are plain states.

import { AbortController } from "./events.js";
import { deferred, invoke, method, Queue, refused, settled, strategyOf } from "./queuing.js";

const MAKE = Symbol("make");
const CLOSE = Symbol("close");
const face = {};

// ---- states

function makeState() {
  return {
    face: null,
    state: "writable",
    error: undefined,
    writer: null,
    controller: null,
    requests: [],
    inFlight: null,
    closeRequest: null,
    closing: null,
    pendingAbort: null,
    backpressure: false,
  };
}

const closeQueued = (stream) => stream.closeRequest !== null || stream.closing !== null;

export { closeQueued };

/** Makes the controller of a stream and starts its sink. */
function setUp(stream, sink, { highWaterMark, size }, start) {
  const controller = {
    face: null, stream, ...sink, size, highWaterMark, queue: new Queue(), started: false, abortion: new AbortController(),
  };
  controller.face = face.controller(controller);
  stream.controller = controller;
  updateBackpressure(stream, backpressureOf(controller));
  const begun = start(controller);
  Promise.resolve(begun).then(
    () => {
      controller.started = true;
      advance(controller);
    },
    (error) => {
      controller.started = true;
      deal(stream, error);
    },
  );
}

/** A stream with algorithms instead of an underlying sink, for TransformStream. */
export function createWritable(start, write, close, abort, strategy) {
  const stream = makeState();
  const made = face.stream(stream);
  setUp(stream, { write: (chunk) => write(chunk), close, abort }, strategy, start);
  return [made, stream];
}

// ---- operations on a stream

export function abortStream(stream, reason) {
  if (stream.state === "closed" || stream.state === "errored") return Promise.resolve(undefined);
  stream.controller.abortion.abort(reason);
  if (stream.state === "closed" || stream.state === "errored") return Promise.resolve(undefined);
  if (stream.pendingAbort !== null) return stream.pendingAbort.done.promise;
  const erroring = stream.state === "erroring";
  const done = deferred();
  stream.pendingAbort = { done, reason: erroring ? undefined : reason, erroring };
  if (!erroring) startErroring(stream, reason);
  return done.promise;
}

function closeStream(stream) {
  if (stream.state === "closed" || stream.state === "errored") {
    return Promise.reject(new TypeError(`the stream is ${stream.state} already`));
  }
  stream.closeRequest = deferred();
  const { promise } = stream.closeRequest;
  if (stream.writer !== null && stream.backpressure && stream.state === "writable") stream.writer.ready.resolve();
  stream.controller.queue.push(CLOSE, 0);
  advance(stream.controller);
  return promise;
}

function startErroring(stream, reason) {
  stream.state = "erroring";
  stream.error = reason;
  if (stream.writer !== null) breakReady(stream.writer, reason);
  if (stream.inFlight === null && stream.closing === null && stream.controller.started) finishErroring(stream);
}

function finishErroring(stream) {
  stream.state = "errored";
  stream.controller.queue.clear();
  for (const request of stream.requests.splice(0)) request.reject(stream.error);
  if (stream.pendingAbort === null) {
    rejectClose(stream);
    return;
  }
  const { done, reason, erroring } = stream.pendingAbort;
  stream.pendingAbort = null;
  if (erroring) {
    done.reject(stream.error);
    rejectClose(stream);
    return;
  }
  const aborted = stream.controller.abort(reason);
  clearAlgorithms(stream.controller);
  aborted.then(
    () => {
      done.resolve();
      rejectClose(stream);
    },
    (error) => {
      done.reject(error);
      rejectClose(stream);
    },
  );
}

function rejectClose(stream) {
  if (stream.closeRequest !== null) {
    stream.closeRequest.reject(stream.error);
    stream.closeRequest = null;
  }
  if (stream.writer !== null) stream.writer.closed.reject(stream.error);
}

/** A failure of the sink. */
function deal(stream, error) {
  if (stream.state === "writable") startErroring(stream, error);
  else finishErroring(stream);
}

function updateBackpressure(stream, backpressure) {
  if (stream.writer !== null && backpressure !== stream.backpressure) {
    if (backpressure) stream.writer.ready = deferred();
    else stream.writer.ready.resolve();
  }
  stream.backpressure = backpressure;
}

// ---- operations on a controller

const backpressureOf = (controller) => controller.highWaterMark - controller.queue.total <= 0;

function clearAlgorithms(controller) {
  controller.write = controller.close = controller.abort = () => Promise.resolve(undefined);
  controller.size = () => 1;
}

export function errorIfNeeded(controller, error) {
  if (controller.stream.state === "writable") errorNow(controller, error);
}

function errorNow(controller, error) {
  clearAlgorithms(controller);
  startErroring(controller.stream, error);
}

/** Hands the next chunk to the sink, when it is time. */
function advance(controller) {
  const { stream, queue } = controller;
  if (!controller.started || stream.inFlight !== null) return;
  if (stream.state === "erroring") {
    finishErroring(stream);
    return;
  }
  if (queue.length === 0 || stream.closing !== null) return;
  if (queue.first === CLOSE) processClose(controller);
  else processWrite(controller, queue.first);
}

function processClose(controller) {
  const { stream } = controller;
  stream.closing = stream.closeRequest;
  stream.closeRequest = null;
  controller.queue.shift();
  const closed = controller.close();
  clearAlgorithms(controller);
  closed.then(
    () => {
      stream.closing.resolve();
      stream.closing = null;
      if (stream.state === "erroring") {
        stream.error = undefined;
        stream.pendingAbort?.done.resolve();
        stream.pendingAbort = null;
      }
      stream.state = "closed";
      stream.writer?.closed.resolve();
    },
    (error) => {
      stream.closing.reject(error);
      stream.closing = null;
      stream.pendingAbort?.done.reject(error);
      stream.pendingAbort = null;
      deal(stream, error);
    },
  );
}

function processWrite(controller, chunk) {
  const { stream } = controller;
  stream.inFlight = stream.requests.shift();
  controller.write(chunk, controller.face).then(
    () => {
      stream.inFlight.resolve();
      stream.inFlight = null;
      controller.queue.shift();
      if (!closeQueued(stream) && stream.state === "writable") updateBackpressure(stream, backpressureOf(controller));
      advance(controller);
    },
    (error) => {
      if (stream.state === "writable") clearAlgorithms(controller);
      stream.inFlight.reject(error);
      stream.inFlight = null;
      deal(stream, error);
    },
  );
}

// ---- operations on a writer

function breakReady(writer, error) {
  writer.ready.reject(error);
  writer.ready = refused(error);
}

/** A writer's state; its stream is locked from then on. */
export function acquireWriter(stream) {
  if (stream.writer !== null) throw new TypeError("the stream is locked to a writer");
  const writer = { stream, ready: null, closed: deferred() };
  stream.writer = writer;
  if (stream.state === "writable") writer.ready = !closeQueued(stream) && stream.backpressure ? deferred() : settled();
  else if (stream.state === "erroring") writer.ready = refused(stream.error);
  else if (stream.state === "closed") {
    writer.ready = settled();
    writer.closed.resolve();
  } else {
    writer.ready = refused(stream.error);
    writer.closed.reject(stream.error);
  }
  return writer;
}

export function releaseWriter(writer) {
  const { stream } = writer;
  const error = new TypeError("the writer has been released");
  breakReady(writer, error);
  writer.closed.reject(error);
  writer.closed = refused(error);
  stream.writer = null;
  writer.stream = null;
}

export function writeTo(writer, chunk) {
  const { stream } = writer;
  const { controller } = stream;
  let size = 1;
  try {
    size = controller.size(chunk);
  } catch (error) {
    errorIfNeeded(controller, error);
  }
  if (stream !== writer.stream) return Promise.reject(new TypeError("the writer has been released"));
  if (stream.state === "errored") return Promise.reject(stream.error);
  if (closeQueued(stream) || stream.state === "closed") return Promise.reject(new TypeError("the stream is closing: nothing can be written"));
  if (stream.state === "erroring") return Promise.reject(stream.error);
  const request = deferred();
  stream.requests.push(request);
  try {
    controller.queue.push(chunk, size);
  } catch (error) {
    errorIfNeeded(controller, error);
    return request.promise;
  }
  if (!closeQueued(stream) && stream.state === "writable") updateBackpressure(stream, backpressureOf(controller));
  advance(controller);
  return request.promise;
}

/** For pipes: a stream that is closing is closed well enough. */
export function closeWithErrors(writer) {
  const { stream } = writer;
  if (closeQueued(stream) || stream.state === "closed") return Promise.resolve(undefined);
  if (stream.state === "errored") return Promise.reject(stream.error);
  return closeStream(stream);
}

// ---- faces

let stateOf;

export class WritableStream {
  #state;

  constructor(underlying, strategy) {
    if (underlying === MAKE) {
      this.#state = strategy;
      return;
    }
    if (underlying === null || (underlying !== undefined && typeof underlying !== "object" && typeof underlying !== "function")) {
      throw new TypeError("an underlying sink must be an object");
    }
    const sink = underlying ?? {};
    const [abort, close, start, write] = ["abort", "close", "start", "write"].map((name) => method(sink, name));
    if (sink.type !== undefined) throw new RangeError("there are no types of underlying sinks");
    const stream = makeState();
    stream.face = this;
    this.#state = stream;
    const algorithms = {
      write: (chunk, controller) => invoke(sink, write, chunk, controller),
      close: () => invoke(sink, close),
      abort: (reason) => invoke(sink, abort, reason),
    };
    setUp(stream, algorithms, strategyOf(strategy, 1), (controller) =>
      start === undefined ? undefined : Reflect.apply(start, sink, [controller.face]));
  }

  static {
    stateOf = (stream) => stream.#state;
    face.stream = (state) => {
      state.face = new WritableStream(MAKE, state);
      return state.face;
    };
  }

  get locked() {
    return this.#state.writer !== null;
  }

  async abort(reason) {
    if (this.locked) throw new TypeError("the stream is locked to a writer");
    await abortStream(this.#state, reason);
  }

  async close() {
    if (this.locked) throw new TypeError("the stream is locked to a writer");
    if (closeQueued(this.#state)) throw new TypeError("the stream is closing already");
    await closeStream(this.#state);
  }

  getWriter() {
    return new WritableStreamDefaultWriter(this);
  }
}

/** What stands behind a WritableStream; throws for anything else. */
export function writableState(stream) {
  if (!(stream instanceof WritableStream)) throw new TypeError("expected a WritableStream");
  return stateOf(stream);
}

export class WritableStreamDefaultWriter {
  #state;

  constructor(stream) {
    this.#state = acquireWriter(writableState(stream));
  }

  #stream() {
    if (this.#state.stream === null) throw new TypeError("the writer has been released");
    return this.#state.stream;
  }

  get closed() {
    return #state in this ? this.#state.closed.promise : Promise.reject(new TypeError("not a WritableStreamDefaultWriter"));
  }

  get ready() {
    return #state in this ? this.#state.ready.promise : Promise.reject(new TypeError("not a WritableStreamDefaultWriter"));
  }

  get desiredSize() {
    const { state, controller } = this.#stream();
    if (state === "errored" || state === "erroring") return null;
    return state === "closed" ? 0 : controller.highWaterMark - controller.queue.total;
  }

  abort(reason) {
    try {
      return abortStream(this.#stream(), reason);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  close() {
    try {
      if (closeQueued(this.#stream())) throw new TypeError("the stream is closing already");
      return closeStream(this.#stream());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  write(chunk) {
    try {
      this.#stream();
      return writeTo(this.#state, chunk);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  releaseLock() {
    if (this.#state.stream !== null) releaseWriter(this.#state);
  }
}


export class WritableStreamDefaultController {
  #state;

  constructor(key, state) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#state = state;
  }

  static {
    face.controller = (state) => new WritableStreamDefaultController(MAKE, state);
  }

  get signal() {
    return this.#state.abortion.signal;
  }

  error(reason) {
    if (this.#state.stream.state === "writable") errorNow(this.#state, reason);
  }
}
