// ReadableStream with its default reader and controller, after the Streams standard. Public classes are faces; what they stand
// for are plain states. Byte streams are in bytestream.js.

import { byobReader, setUpBytes } from "./bytestream.js";
import { AbortSignal } from "./events.js";
import { dictionary, oneOf } from "./idl.js";
import { pipe } from "./pipe.js";
import { deferred, invoke, method, Queue, quiet, refused, strategyOf } from "./queuing.js";
import { tee } from "./tee.js";
import { writableState } from "./writable.js";

const MAKE = Symbol("make");
const face = {};

// ---- operations on a stream

function makeState() {
  return { face: null, state: "readable", error: undefined, reader: null, controller: null, disturbed: false };
}

export function closeStream(stream) {
  stream.state = "closed";
  const { reader } = stream;
  if (reader === null) return;
  reader.closed.resolve();
  if (reader.mode === "default") for (const request of reader.requests.splice(0)) request.close();
}

export function failStream(stream, error) {
  stream.state = "errored";
  stream.error = error;
  const { reader } = stream;
  if (reader === null) return;
  reader.closed.reject(error);
  for (const request of reader.requests.splice(0)) request.error(error);
}

export function cancelStream(stream, reason) {
  stream.disturbed = true;
  if (stream.state === "closed") return Promise.resolve(undefined);
  if (stream.state === "errored") return Promise.reject(stream.error);
  closeStream(stream);
  if (stream.reader?.mode === "byob") for (const request of stream.reader.requests.splice(0)) request.close(undefined);
  return stream.controller.cancelSteps(reason).then(() => undefined);
}

// ---- operations on the default controller

const canEnqueue = ({ closeRequested, stream }) => !closeRequested && stream.state === "readable";
const waitingReads = (stream) => (stream.reader?.mode === "default" ? stream.reader.requests.length : 0);

function clearAlgorithms(controller) {
  controller.pull = controller.cancel = () => Promise.resolve(undefined);
  controller.size = () => 1;
}

function pullIfNeeded(controller) {
  if (!canEnqueue(controller) || !controller.started) return;
  if (waitingReads(controller.stream) === 0 && controller.highWaterMark - controller.queue.total <= 0) return;
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
    (error) => failController(controller, error),
  );
}

export function failController(controller, error) {
  if (controller.stream.state !== "readable") return;
  controller.queue.clear();
  clearAlgorithms(controller);
  failStream(controller.stream, error);
}

export function closeController(controller) {
  if (!canEnqueue(controller)) return;
  controller.closeRequested = true;
  if (controller.queue.length > 0) return;
  clearAlgorithms(controller);
  closeStream(controller.stream);
}

export function enqueue(controller, chunk) {
  if (!canEnqueue(controller)) return;
  const { stream } = controller;
  if (waitingReads(stream) > 0) {
    stream.reader.requests.shift().chunk(chunk);
  } else {
    try {
      controller.queue.push(chunk, controller.size(chunk));
    } catch (error) {
      failController(controller, error);
      throw error;
    }
  }
  pullIfNeeded(controller);
}

export function desiredSize({ stream, highWaterMark, queue }) {
  if (stream.state === "errored") return null;
  return stream.state === "closed" ? 0 : highWaterMark - queue.total;
}

/** Makes the default controller of a stream and starts its source. */
function setUp(stream, source, { highWaterMark, size }, start) {
  const controller = {
    face: null, stream, ...source, size, highWaterMark, queue: new Queue(),
    started: false, closeRequested: false, pulling: false, pullAgain: false,
    cancelSteps(reason) {
      controller.queue.clear();
      const cancelled = controller.cancel(reason);
      clearAlgorithms(controller);
      return cancelled;
    },
    pullSteps(request) {
      if (controller.queue.length === 0) {
        stream.reader.requests.push(request);
        pullIfNeeded(controller);
        return;
      }
      const chunk = controller.queue.shift();
      if (controller.closeRequested && controller.queue.length === 0) {
        clearAlgorithms(controller);
        closeStream(stream);
      } else {
        pullIfNeeded(controller);
      }
      request.chunk(chunk);
    },
    releaseSteps() {},
  };
  controller.face = face.controller(controller);
  stream.controller = controller;
  const begun = start(controller);
  Promise.resolve(begun).then(
    () => {
      controller.started = true;
      pullIfNeeded(controller);
    },
    (error) => failController(controller, error),
  );
}

/** A stream with algorithms instead of an underlying source: its face and its state. */
export function createReadable(start, pull, cancel, strategy) {
  const stream = makeState();
  const made = face.stream(stream);
  setUp(stream, { pull, cancel }, strategy, start);
  return [made, stream];
}

/** The same for bytes. */
export function createReadableBytes(pull, cancel) {
  const stream = makeState();
  const made = face.stream(stream);
  setUpBytes(stream, { pull, cancel }, 0, undefined, () => undefined);
  return [made, stream];
}

// ---- operations on readers

/** A reader's state; its stream is locked from then on. */
export function acquireReader(stream, mode = "default") {
  if (stream.reader !== null) throw new TypeError("the stream is locked to a reader");
  const reader = { mode, stream, closed: deferred(), requests: [] };
  stream.reader = reader;
  if (stream.state === "closed") reader.closed.resolve();
  if (stream.state === "errored") reader.closed.reject(stream.error);
  return reader;
}

export function releaseReader(reader) {
  const { stream } = reader;
  const error = new TypeError("the reader has been released");
  reader.closed.reject(error);
  reader.closed = refused(error);
  stream.controller.releaseSteps();
  stream.reader = null;
  reader.stream = null;
  for (const request of reader.requests.splice(0)) request.error(error);
}

/** Reads one chunk for `request`: `{chunk(value), close(), error(reason)}`. */
export function readFrom(reader, request) {
  const { stream } = reader;
  stream.disturbed = true;
  if (stream.state === "closed") request.close();
  else if (stream.state === "errored") request.error(stream.error);
  else stream.controller.pullSteps(request);
}

// ---- faces

/** What both kinds of readers have. */
export class ReaderFace {
  #state;

  constructor(state) {
    this.#state = state;
  }

  static {
    face.reader = (reader) => {
      if (reader.#state.stream === null) throw new TypeError("the reader has been released");
      return reader.#state;
    };
  }

  get closed() {
    return #state in this ? this.#state.closed.promise : Promise.reject(new TypeError("not a reader"));
  }

  async cancel(reason) {
    await cancelStream(face.reader(this).stream, reason);
  }

  releaseLock() {
    if (this.#state.stream !== null) releaseReader(this.#state);
  }
}

/** The state of a reader that has not been released. */
export const readerState = (reader) => face.reader(reader);

export class ReadableStreamDefaultReader extends ReaderFace {
  constructor(stream) {
    super(acquireReader(readableState(stream)));
  }

  read() {
    const { promise, resolve, reject } = Promise.withResolvers();
    try {
      readFrom(face.reader(this), {
        chunk: (value) => resolve({ value, done: false }),
        close: () => resolve({ value: undefined, done: true }),
        error: reject,
      });
    } catch (error) {
      reject(error);
    }
    return promise;
  }
}

export class ReadableStreamDefaultController {
  #state;

  constructor(key, state) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#state = state;
  }

  static {
    face.controller = (state) => new ReadableStreamDefaultController(MAKE, state);
  }

  get desiredSize() {
    return desiredSize(this.#state);
  }

  close() {
    if (!canEnqueue(this.#state)) throw new TypeError("the stream is closed already");
    closeController(this.#state);
  }

  enqueue(chunk) {
    if (!canEnqueue(this.#state)) throw new TypeError("the stream is closed: nothing can be enqueued");
    enqueue(this.#state, chunk);
  }

  error(reason) {
    failController(this.#state, reason);
  }
}

function sourceMethods(source) {
  const autoAllocate = source.autoAllocateChunkSize;
  if (autoAllocate !== undefined && !(Number(autoAllocate) >= 1)) throw new TypeError("autoAllocateChunkSize must be above 0");
  const [cancel, pull, start] = ["cancel", "pull", "start"].map((name) => method(source, name));
  if (source.type !== undefined && String(source.type) !== "bytes") throw new TypeError(`there is no type "${source.type}" of underlying sources`);
  return { cancel, pull, start, bytes: source.type !== undefined, autoAllocate };
}

let stateOf;

export class ReadableStream {
  #state;

  constructor(underlying, strategy) {
    if (underlying === MAKE) {
      this.#state = strategy;
      return;
    }
    if (underlying === null || (underlying !== undefined && typeof underlying !== "object" && typeof underlying !== "function")) {
      throw new TypeError("an underlying source must be an object");
    }
    const source = underlying ?? {};
    const { cancel, pull, start, bytes, autoAllocate } = sourceMethods(source);
    const stream = makeState();
    stream.face = this;
    this.#state = stream;
    const algorithms = {
      pull: () => invoke(source, pull, stream.controller.face),
      cancel: (reason) => invoke(source, cancel, reason),
    };
    const begin = (controller) => (start === undefined ? undefined : Reflect.apply(start, source, [controller.face]));
    const measured = strategyOf(strategy, bytes ? 0 : 1);
    if (!bytes) return void setUp(stream, algorithms, measured, begin);
    if (measured.sized) throw new RangeError("a byte stream measures itself: its strategy cannot have a size");
    setUpBytes(stream, algorithms, measured.highWaterMark, autoAllocate === undefined ? undefined : Number(autoAllocate), begin);
  }

  static {
    stateOf = (stream) => stream.#state;
    face.stream = (state) => {
      state.face = new ReadableStream(MAKE, state);
      return state.face;
    };
  }

  static from(iterable) {
    return fromIterable(iterable);
  }

  get locked() {
    return this.#state.reader !== null;
  }

  async cancel(reason) {
    if (this.locked) throw new TypeError("the stream is locked to a reader");
    await cancelStream(this.#state, reason);
  }

  getReader(options) {
    const { mode } = dictionary(options, "the options of getReader");
    if (mode === undefined) return new ReadableStreamDefaultReader(this);
    oneOf(mode, ["byob"], "mode");
    return byobReader(this);
  }

  pipeThrough(pair, options) {
    const { readable, writable } = dictionary(pair, "the argument of pipeThrough");
    readableState(readable);
    const target = writableState(writable);
    const chosen = pipeOptions(options);
    if (this.locked) throw new TypeError("the stream is locked to a reader");
    if (target.writer !== null) throw new TypeError("the writable side is locked to a writer");
    quiet(pipe(this.#state, target, chosen));
    return readable;
  }

  async pipeTo(destination, options) {
    const state = this.#state;
    const target = writableState(destination);
    const chosen = pipeOptions(options);
    if (this.locked) throw new TypeError("the stream is locked to a reader");
    if (target.writer !== null) throw new TypeError("the destination is locked to a writer");
    await pipe(state, target, chosen);
  }

  tee() {
    return tee(this.#state);
  }

  values(options) {
    const { preventCancel } = dictionary(options, "the options of values");
    return new StreamIterator(MAKE, acquireReader(this.#state), Boolean(preventCancel));
  }

  [Symbol.asyncIterator](options) {
    return this.values(options);
  }
}

function pipeOptions(options) {
  const { preventAbort, preventCancel, preventClose, signal } = dictionary(options, "the options of a pipe");
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError("the signal of a pipe must be an AbortSignal");
  return { preventAbort: Boolean(preventAbort), preventCancel: Boolean(preventCancel), preventClose: Boolean(preventClose), signal };
}

/** What stands behind a ReadableStream; throws for anything else. */
export function readableState(stream) {
  if (!(stream instanceof ReadableStream)) throw new TypeError("expected a ReadableStream");
  return stateOf(stream);
}

/** Whether somebody has read from a stream or cancelled it. */
export function disturbed(stream) {
  return stateOf(stream).disturbed;
}

function fromIterable(iterable) {
  if (iterable === null || iterable === undefined) throw new TypeError("ReadableStream.from needs something to iterate over");
  const isAsync = iterable[Symbol.asyncIterator] !== undefined && iterable[Symbol.asyncIterator] !== null;
  const make = isAsync ? iterable[Symbol.asyncIterator] : iterable[Symbol.iterator];
  if (typeof make !== "function") throw new TypeError("ReadableStream.from needs something to iterate over");
  const iterator = Reflect.apply(make, iterable, []);
  if (typeof iterator !== "object" || iterator === null) throw new TypeError("the iterator is no object");
  const { next } = iterator;
  const [made, stream] = createReadable(
    () => undefined,
    async () => {
      const result = await Reflect.apply(next, iterator, []);
      if (typeof result !== "object" || result === null) throw new TypeError("the iterator gave no object");
      if (result.done) closeController(stream.controller);
      else enqueue(stream.controller, isAsync ? result.value : await result.value);
    },
    async (reason) => {
      const stop = iterator.return;
      if (stop === undefined || stop === null) return;
      const result = await Reflect.apply(stop, iterator, [reason]);
      if (typeof result !== "object" || result === null) throw new TypeError("the iterator's return gave no object");
    },
    strategyOf(undefined, 0),
  );
  return made;
}

const AsyncIteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype);

class StreamIterator {
  #reader;
  #preventCancel;
  #ongoing = null;
  #finished = false;

  constructor(key, reader, preventCancel) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#reader = reader;
    this.#preventCancel = preventCancel;
  }

  #step() {
    if (this.#finished) return Promise.resolve({ value: undefined, done: true });
    const { promise, resolve, reject } = Promise.withResolvers();
    readFrom(this.#reader, {
      chunk: (value) => {
        this.#ongoing = null;
        resolve({ value, done: false });
      },
      close: () => {
        this.#end();
        resolve({ value: undefined, done: true });
      },
      error: (reason) => {
        this.#end();
        reject(reason);
      },
    });
    return promise;
  }

  #end() {
    this.#ongoing = null;
    this.#finished = true;
    releaseReader(this.#reader);
  }

  next() {
    const step = () => this.#step();
    this.#ongoing = this.#ongoing === null ? step() : this.#ongoing.then(step, step);
    return this.#ongoing;
  }

  return(value) {
    const stop = async () => {
      if (this.#finished) return { value, done: true };
      this.#finished = true;
      const { stream } = this.#reader;
      const cancelled = this.#preventCancel ? undefined : cancelStream(stream, value);
      releaseReader(this.#reader);
      await cancelled;
      return { value, done: true };
    };
    this.#ongoing = this.#ongoing === null ? stop() : this.#ongoing.then(stop, stop);
    return this.#ongoing;
  }
}

delete StreamIterator.prototype.constructor;
Object.setPrototypeOf(StreamIterator.prototype, AsyncIteratorPrototype);
for (const name of ["next", "return"]) Object.defineProperty(StreamIterator.prototype, name, { enumerable: true });
Object.defineProperty(StreamIterator.prototype, Symbol.toStringTag, { value: "ReadableStream AsyncIterator", configurable: true });
