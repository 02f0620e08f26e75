// node:stream: Readable, Writable, Duplex, Transform and what joins them. Constructors are functions, because old packages call
// them as such.

import { Buffer } from "node:buffer";
import EventEmitter from "node:events";
import { StringDecoder } from "node:string_decoder";

const BYTES_DEFAULT = 65536;
const OBJECTS_DEFAULT = 16;

function failure(code, message, Kind = Error) {
  return Object.assign(new Kind(message), { code });
}

function inherit(constructor, parent) {
  constructor.prototype = Object.create(parent.prototype, { constructor: { value: constructor, writable: true, configurable: true } });
  Object.setPrototypeOf(constructor, parent);
}

const later = (callback, ...args) => queueMicrotask(() => callback(...args));

export function Stream(options) {
  EventEmitter.call(this, options);
}
inherit(Stream, EventEmitter);

Stream.prototype.pipe = function (target) {
  this.on("data", (chunk) => target.write(chunk));
  this.on("end", () => target.end());
  return target;
};

/** What all kinds have: `destroy`, and the events that follow it. */
function destroyed(stream, error) {
  if (stream.destroyed) return;
  stream.destroyed = true;
  if (error) stream.errored = error;
  stream._destroy(error ?? null, (failed) => {
    const told = failed ?? error;
    if (told) stream.errored = told;
    later(() => {
      if (told) emitError(stream, told);
      stream.closed = true;
      if (stream.emitClose !== false) stream.emit("close");
    });
  });
}

function emitError(stream, error) {
  if (stream.errorEmitted) return;
  stream.errorEmitted = true;
  stream.emit("error", error);
}

const common = {
  destroy(error) {
    destroyed(this, error);
    return this;
  },
  _destroy(error, callback) {
    callback(error);
  },
};

function start(stream, options, names) {
  for (const name of names) if (typeof options[name] === "function") stream[`_${name}`] = options[name];
  stream.destroyed = false;
  stream.closed = false;
  stream.errored = null;
  stream.errorEmitted = false;
  if (options.emitClose === false) stream.emitClose = false;
  if (options.autoDestroy === false) stream.autoDestroy = false;
  const { signal } = options;
  signal?.addEventListener("abort", () => stream.destroy(signal.reason), { once: true });
  if (signal?.aborted) stream.destroy(signal.reason);
}

function constructed(stream, ready) {
  if (typeof stream._construct !== "function") return;
  ready.waiting = true;
  later(() => stream._construct((error) => {
    ready.waiting = false;
    if (error) stream.destroy(error);
    else ready.go();
  }));
}

function finishBoth(stream) {
  const readable = stream._readableState;
  const writable = stream._writableState;
  if (stream.autoDestroy === false || stream.destroyed) return;
  if ((!readable || readable.endEmitted) && (!writable || writable.finished)) stream.destroy();
}

// Readable

export function Readable(options = {}) {
  if (!(this instanceof Readable)) return new Readable(options);
  Stream.call(this, options);
  startReadable(this, options ?? {});
}
inherit(Readable, Stream);
Object.assign(Readable.prototype, common);

function startReadable(stream, options) {
  const objectMode = Boolean(options.objectMode ?? options.readableObjectMode);
  stream._readableState = {
    objectMode,
    highWaterMark: options.readableHighWaterMark ?? options.highWaterMark ?? (objectMode ? OBJECTS_DEFAULT : BYTES_DEFAULT),
    buffer: [], length: 0, flowing: null, ended: false, endEmitted: false, reading: false, pipes: [], decoder: null, encoding: null,
    scheduled: false, readableListening: false,
  };
  start(stream, options, ["read", "destroy", "construct"]);
  if (options.encoding) stream.setEncoding(options.encoding);
  constructed(stream, {
    set waiting(value) {
      stream._readableState.constructing = value;
    },
    go: () => later(() => pull(stream)),
  });
}

function sizeOf(state, chunk) {
  return state.objectMode ? 1 : chunk.length;
}

function pull(stream) {
  const state = stream._readableState;
  if (state.reading || state.ended || stream.destroyed || state.constructing) return;
  if (state.length >= state.highWaterMark && state.length > 0) return;
  state.reading = true;
  try {
    stream._read(state.highWaterMark);
  } catch (error) {
    stream.destroy(error);
  }
}

function add(stream, chunk, encoding, front) {
  const state = stream._readableState;
  if (chunk === null) {
    state.reading = false;
    if (state.ended) return false;
    const rest = state.decoder?.end();
    if (rest) {
      state.buffer.push(rest);
      state.length += sizeOf(state, rest);
    }
    state.ended = true;
    schedule(stream);
    return false;
  }
  if (!state.objectMode) {
    if (typeof chunk === "string") {
      if (state.encoding === null || state.encoding !== encoding) chunk = Buffer.from(chunk, encoding);
    } else if (chunk instanceof Uint8Array) chunk = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    else if (chunk !== undefined) {
      stream.destroy(failure("ERR_INVALID_ARG_TYPE", `The "chunk" argument must be of type string or an instance of Buffer. Received ${typeof chunk}`, TypeError));
      return false;
    }
    if (state.decoder !== null && Buffer.isBuffer(chunk)) chunk = state.decoder.write(chunk);
  }
  state.reading = false;
  if (state.ended && !front) {
    stream.destroy(failure("ERR_STREAM_PUSH_AFTER_EOF", "stream.push() after EOF"));
    return false;
  }
  if (state.objectMode || chunk?.length > 0) {
    if (front) state.buffer.unshift(chunk);
    else state.buffer.push(chunk);
    state.length += sizeOf(state, chunk);
  }
  schedule(stream);
  return state.length < state.highWaterMark;
}

/** Hands out, in a while, what there is. */
function schedule(stream) {
  const state = stream._readableState;
  if (state.scheduled) return;
  state.scheduled = true;
  later(() => {
    state.scheduled = false;
    if (stream.destroyed) return;
    if (state.readableListening && (state.length > 0 || state.ended)) stream.emit("readable");
    while (state.flowing && state.buffer.length > 0 && !stream.destroyed) {
      const chunk = state.buffer.shift();
      state.length -= sizeOf(state, chunk);
      stream.emit("data", chunk);
    }
    endIfDone(stream);
    if (state.flowing || state.readableListening) pull(stream);
  });
}

function endIfDone(stream) {
  const state = stream._readableState;
  if (!state.ended || state.endEmitted || state.buffer.length > 0 || stream.destroyed) return;
  if (!state.flowing && !state.readableListening && !state.consumed) return;
  state.endEmitted = true;
  stream.emit("end");
  if (stream._writableState && stream.allowHalfOpen === false) stream.end();
  finishBoth(stream);
}

Object.assign(Readable.prototype, {
  _read() {
    throw failure("ERR_METHOD_NOT_IMPLEMENTED", "The _read() method is not implemented");
  },
  push(chunk, encoding) {
    return add(this, chunk, encoding ?? this._readableState.defaultEncoding, false);
  },
  unshift(chunk, encoding) {
    return add(this, chunk, encoding, true);
  },
  read(size) {
    const state = this._readableState;
    state.consumed = true;
    if (size === 0 || state.buffer.length === 0) {
      if (state.ended) later(() => endIfDone(this));
      else pull(this);
      if (size === 0 || state.buffer.length === 0) return null;
    }
    let chunk;
    if (state.objectMode) {
      chunk = state.buffer.shift();
      state.length--;
    } else {
      const all = state.encoding === null ? Buffer.concat(state.buffer) : state.buffer.join("");
      if (size > all.length && !state.ended) return null;
      chunk = size === undefined || size >= all.length ? all : all.slice(0, size);
      const rest = all.slice(chunk.length);
      state.buffer = rest.length > 0 ? [rest] : [];
      state.length = rest.length;
    }
    if (state.ended && state.buffer.length === 0) later(() => endIfDone(this));
    else pull(this);
    this.emit("data", chunk);
    return chunk;
  },
  on(name, listener) {
    Stream.prototype.on.call(this, name, listener);
    const state = this._readableState;
    if (name === "data" && state.flowing !== false && !state.readableListening) this.resume();
    if (name === "readable") {
      state.readableListening = true;
      state.flowing = false;
      schedule(this);
      pull(this);
    }
    return this;
  },
  resume() {
    const state = this._readableState;
    if (!state.flowing) {
      state.flowing = !state.readableListening;
      this.emit("resume");
      schedule(this);
    }
    return this;
  },
  pause() {
    if (this._readableState.flowing !== false) {
      this._readableState.flowing = false;
      this.emit("pause");
    }
    return this;
  },
  isPaused() {
    return this._readableState.flowing === false;
  },
  setEncoding(encoding) {
    const state = this._readableState;
    state.decoder = new StringDecoder(encoding);
    state.encoding = state.decoder.encoding;
    state.buffer = state.buffer.map((chunk) => (typeof chunk === "string" ? chunk : state.decoder.write(chunk)));
    return this;
  },
  pipe(target, options) {
    const write = (chunk) => {
      if (target.write(chunk) === false) {
        this.pause();
        target.once("drain", () => this.resume());
      }
    };
    const end = () => options?.end !== false && target.end();
    this.on("data", write);
    this.once("end", end);
    this._readableState.pipes.push({ target, write, end });
    target.emit("pipe", this);
    return target;
  },
  unpipe(target) {
    const state = this._readableState;
    for (const pipe of state.pipes.filter((pipe) => target === undefined || pipe.target === target)) {
      this.off("data", pipe.write);
      this.off("end", pipe.end);
      pipe.target.emit("unpipe", this);
    }
    state.pipes = target === undefined ? [] : state.pipes.filter((pipe) => pipe.target !== target);
    if (state.pipes.length === 0) state.flowing = null;
    return this;
  },
  wrap(old) {
    old.on("data", (chunk) => this.push(chunk) || old.pause?.());
    old.on("end", () => this.push(null));
    old.on("error", (error) => this.destroy(error));
    this._read = () => old.resume?.();
    return this;
  },
  async *[Symbol.asyncIterator]() {
    let wake;
    const tell = () => wake?.();
    let failed;
    const onError = (error) => ((failed = { error }), tell());
    this.on("readable", tell).on("end", tell).on("close", tell).on("error", onError);
    try {
      for (;;) {
        const chunk = this.destroyed ? null : this.read();
        if (chunk !== null) {
          yield chunk;
          continue;
        }
        if (failed) throw failed.error;
        if (this.errored) throw this.errored;
        if (this._readableState.endEmitted) return;
        if (this.destroyed) throw failure("ERR_STREAM_PREMATURE_CLOSE", "Premature close");
        await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      if (!this.destroyed) this.destroy();
    }
  },
  async toArray() {
    const out = [];
    for await (const chunk of this) out.push(chunk);
    return out;
  },
  map(change) {
    const source = this;
    return Readable.from((async function* () {
      for await (const chunk of source) yield change(chunk);
    })());
  },
  filter(keep) {
    const source = this;
    return Readable.from((async function* () {
      for await (const chunk of source) if (await keep(chunk)) yield chunk;
    })());
  },
  async forEach(visit) {
    for await (const chunk of this) await visit(chunk);
  },
  async reduce(fold, initial) {
    let value = initial;
    for await (const chunk of this) value = await fold(value, chunk);
    return value;
  },
});
Readable.prototype.addListener = Readable.prototype.on;

function getters(prototype, state, names) {
  for (const [name, get] of Object.entries(names)) {
    Object.defineProperty(prototype, name, { configurable: true, get() {
      return this[state] === undefined ? undefined : get(this[state], this);
    } });
  }
}
getters(Readable.prototype, "_readableState", {
  readable: (state, stream) => !stream.destroyed && !state.endEmitted,
  readableEnded: (state) => state.endEmitted,
  readableFlowing: (state) => state.flowing,
  readableHighWaterMark: (state) => state.highWaterMark,
  readableLength: (state) => state.length,
  readableObjectMode: (state) => state.objectMode,
  readableEncoding: (state) => state.encoding,
  readableAborted: (state, stream) => stream.destroyed && !state.endEmitted,
});

Readable.from = (source, options) => {
  if (typeof source === "string" || source instanceof Uint8Array) {
    return new Readable({ objectMode: true, ...options, read() {
      this.push(source);
      this.push(null);
    } });
  }
  const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]();
  return new Readable({
    objectMode: true,
    highWaterMark: 1,
    ...options,
    read() {
      Promise.resolve(iterator.next())
        .then(async ({ value, done }) => this.push(done ? null : await value))
        .catch((error) => this.destroy(error));
    },
    destroy(error, callback) {
      Promise.resolve(iterator.return?.()).then(() => callback(error), callback);
    },
  });
};

Readable.fromWeb = (web, options) => {
  const reader = web.getReader();
  return new Readable({
    ...options,
    read() {
      reader.read().then(({ value, done }) => this.push(done ? null : value), (error) => this.destroy(error));
    },
    destroy(error, callback) {
      reader.cancel(error).then(() => callback(error), () => callback(error));
    },
  });
};

Readable.toWeb = (stream) => {
  const iterator = stream[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(Buffer.isBuffer(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value);
    },
    cancel: (reason) => void stream.destroy(reason),
  });
};

// Writable

export function Writable(options = {}) {
  if (!(this instanceof Writable)) return new Writable(options);
  Stream.call(this, options);
  startWritable(this, options ?? {});
}
inherit(Writable, Stream);
Object.assign(Writable.prototype, common);
Object.defineProperty(Writable, Symbol.hasInstance, {
  value(object) {
    return Function.prototype[Symbol.hasInstance].call(this, object) || (this === Writable && object?._writableState !== undefined);
  },
});

function startWritable(stream, options) {
  const objectMode = Boolean(options.objectMode ?? options.writableObjectMode);
  stream._writableState = {
    objectMode,
    highWaterMark: options.writableHighWaterMark ?? options.highWaterMark ?? (objectMode ? OBJECTS_DEFAULT : BYTES_DEFAULT),
    decodeStrings: options.decodeStrings !== false, defaultEncoding: options.defaultEncoding ?? "utf8",
    buffer: [], length: 0, writing: false, ending: false, finished: false, needDrain: false, corked: 0,
  };
  start(stream, options, ["write", "writev", "final", "destroy", "construct"]);
  constructed(stream, {
    set waiting(value) {
      stream._writableState.constructing = value;
    },
    go: () => next(stream),
  });
}

function next(stream) {
  const state = stream._writableState;
  if (state.writing || state.corked > 0 || state.constructing || stream.destroyed) return;
  if (state.buffer.length === 0) return finishIfDone(stream);
  const batch = typeof stream._writev === "function" && state.buffer.length > 1 ? state.buffer.splice(0) : [state.buffer.shift()];
  const size = batch.reduce((sum, { chunk }) => sum + sizeOf(state, chunk), 0);
  state.writing = true;
  const done = (error) => {
    state.writing = false;
    state.length -= size;
    for (const { callback } of batch) later(callback, error ?? null);
    if (error) return stream.destroy(error);
    if (state.needDrain && state.length < state.highWaterMark && !state.ending) {
      state.needDrain = false;
      later(() => stream.emit("drain"));
    }
    later(() => next(stream));
  };
  try {
    if (batch.length > 1 || (typeof stream._writev === "function" && stream._write === Writable.prototype._write)) stream._writev(batch, done);
    else stream._write(batch[0].chunk, batch[0].encoding, done);
  } catch (error) {
    done(error);
  }
}

function finishIfDone(stream) {
  const state = stream._writableState;
  if (!state.ending || state.finished || state.finishing || stream.destroyed) return;
  state.finishing = true;
  const done = (error) => {
    if (error) return stream.destroy(error);
    later(() => {
      if (stream.destroyed) return;
      state.finished = true;
      stream.emit("finish");
      finishBoth(stream);
    });
  };
  if (typeof stream._final === "function") {
    try {
      stream._final(done);
    } catch (error) {
      done(error);
    }
  } else done();
}

Object.assign(Writable.prototype, {
  _write(chunk, encoding, callback) {
    if (typeof this._writev === "function") return this._writev([{ chunk, encoding }], callback);
    throw failure("ERR_METHOD_NOT_IMPLEMENTED", "The _write() method is not implemented");
  },
  write(chunk, encoding, callback = () => {}) {
    if (typeof encoding === "function") [callback, encoding] = [encoding, undefined];
    const state = this._writableState;
    if (chunk === null) throw failure("ERR_STREAM_NULL_VALUES", "May not write null values to stream", TypeError);
    const refused = state.ending ? failure("ERR_STREAM_WRITE_AFTER_END", "write after end") : this.destroyed ? failure("ERR_STREAM_DESTROYED", "Cannot call write after a stream was destroyed") : null;
    if (refused !== null) {
      later(callback, refused);
      if (state.ending) this.destroy(refused);
      return false;
    }
    if (!state.objectMode) {
      if (typeof chunk === "string") {
        if (state.decodeStrings) [chunk, encoding] = [Buffer.from(chunk, encoding ?? state.defaultEncoding), "buffer"];
      } else if (chunk instanceof Uint8Array) [chunk, encoding] = [Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), "buffer"];
      else throw failure("ERR_INVALID_ARG_TYPE", `The "chunk" argument must be of type string or an instance of Buffer. Received ${typeof chunk}`, TypeError);
    }
    state.length += sizeOf(state, chunk);
    state.buffer.push({ chunk, encoding: encoding ?? state.defaultEncoding, callback });
    const room = state.length < state.highWaterMark;
    if (!room) state.needDrain = true;
    next(this);
    return room;
  },
  end(chunk, encoding, callback) {
    if (typeof chunk === "function") [callback, chunk] = [chunk, undefined];
    if (typeof encoding === "function") [callback, encoding] = [encoding, undefined];
    const state = this._writableState;
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    state.corked = 0;
    if (callback) {
      if (state.finished) later(callback);
      else this.once("finish", callback);
    }
    state.ending = true;
    next(this);
    return this;
  },
  cork() {
    this._writableState.corked++;
  },
  uncork() {
    const state = this._writableState;
    if (state.corked > 0) state.corked--;
    next(this);
  },
  setDefaultEncoding(encoding) {
    this._writableState.defaultEncoding = encoding;
    return this;
  },
});

const writableGetters = {
  writable: (state, stream) => !stream.destroyed && !state.ending,
  writableEnded: (state) => state.ending,
  writableFinished: (state) => state.finished,
  writableHighWaterMark: (state) => state.highWaterMark,
  writableLength: (state) => state.length,
  writableObjectMode: (state) => state.objectMode,
  writableNeedDrain: (state) => state.needDrain,
  writableCorked: (state) => state.corked,
};
getters(Writable.prototype, "_writableState", writableGetters);

Writable.toWeb = (stream) =>
  new WritableStream({
    write: (chunk) => new Promise((resolve, reject) => stream.write(chunk, (error) => (error ? reject(error) : resolve()))),
    close: () => new Promise((resolve) => stream.end(resolve)),
    abort: (reason) => void stream.destroy(reason),
  });

Writable.fromWeb = (web, options) => {
  const writer = web.getWriter();
  return new Writable({
    ...options,
    write: (chunk, _, callback) => void writer.write(chunk).then(() => callback(), callback),
    final: (callback) => void writer.close().then(() => callback(), callback),
    destroy: (error, callback) => void (error ? writer.abort(error) : Promise.resolve()).then(() => callback(error), () => callback(error)),
  });
};

// Both

export function Duplex(options = {}) {
  if (!(this instanceof Duplex)) return new Duplex(options);
  Stream.call(this, options);
  startReadable(this, options ?? {});
  startWritable(this, options ?? {});
  if (options?.allowHalfOpen === false) this.allowHalfOpen = false;
}
inherit(Duplex, Readable);
for (const name of ["write", "_write", "end", "cork", "uncork", "setDefaultEncoding"]) Duplex.prototype[name] = Writable.prototype[name];
getters(Duplex.prototype, "_writableState", writableGetters);

Duplex.from = (source) => (source?.readable || source?.writable ? source : Readable.from(source));

export function Transform(options = {}) {
  if (!(this instanceof Transform)) return new Transform(options);
  Duplex.call(this, options);
  for (const name of ["transform", "flush"]) if (typeof options?.[name] === "function") this[`_${name}`] = options[name];
  this._writableState.waiting = null;
}
inherit(Transform, Duplex);

Object.assign(Transform.prototype, {
  _transform() {
    throw failure("ERR_METHOD_NOT_IMPLEMENTED", "The _transform() method is not implemented");
  },
  _write(chunk, encoding, callback) {
    this._transform(chunk, encoding, (error, value) => {
      if (error) return callback(error);
      if (value !== undefined && value !== null) this.push(value);
      const state = this._readableState;
      // Takes no more until what came out is wanted.
      if (state.ended || state.length < state.highWaterMark) callback();
      else this._writableState.waiting = callback;
    });
  },
  _read() {
    this._readableState.reading = false;
    const { waiting } = this._writableState;
    this._writableState.waiting = null;
    waiting?.();
  },
  _final(callback) {
    if (typeof this._flush !== "function") {
      this.push(null);
      return callback();
    }
    this._flush((error, value) => {
      if (error) return callback(error);
      if (value !== undefined && value !== null) this.push(value);
      this.push(null);
      callback();
    });
  },
});

export function PassThrough(options) {
  if (!(this instanceof PassThrough)) return new PassThrough(options);
  Transform.call(this, options);
}
inherit(PassThrough, Transform);
PassThrough.prototype._transform = function (chunk, _, callback) {
  callback(null, chunk);
};

// What joins them

export function finished(stream, options, callback) {
  if (typeof options === "function") [callback, options] = [options, {}];
  const readable = stream._readableState && options?.readable !== false;
  const writable = stream._writableState && options?.writable !== false;
  let told = false;
  const tell = (error) => {
    if (told) return;
    told = true;
    callback.call(stream, error);
  };
  const check = () => {
    if ((!readable || stream._readableState.endEmitted) && (!writable || stream._writableState.finished)) tell();
  };
  const onClose = () => {
    check();
    tell(stream.errored ?? failure("ERR_STREAM_PREMATURE_CLOSE", "Premature close"));
  };
  stream.on("end", check).on("finish", check).on("error", tell).on("close", onClose);
  if (stream.errored) later(tell, stream.errored);
  else if (stream.closed) later(onClose);
  else later(check);
  return () => stream.off("end", check).off("finish", check).off("error", tell).off("close", onClose);
}

function asStream(part, before) {
  if (typeof part === "function") return Readable.from(part(before));
  if (typeof part.getReader === "function") return Readable.fromWeb(part);
  if (typeof part.getWriter === "function") return Writable.fromWeb(part);
  if (typeof part.pipe === "function" || typeof part.write === "function") return part;
  return Readable.from(part);
}

export function pipeline(...parts) {
  const callback = typeof parts.at(-1) === "function" && parts.length > 1 && parts.at(-1).length <= 2 && !isGenerator(parts.at(-1)) ? parts.pop() : () => {};
  const list = parts.flat();
  const streams = [];
  for (const part of list) {
    const before = streams.at(-1);
    const stream = asStream(part, before);
    if (before !== undefined && typeof part !== "function") before.pipe(stream);
    streams.push(stream);
  }
  let left = streams.length;
  let failed;
  for (const [at, stream] of streams.entries()) {
    finished(stream, { readable: at < streams.length - 1, writable: at > 0 && stream._writableState !== undefined }, (error) => {
      if (error && failed === undefined) {
        failed = error;
        for (const other of streams) if (other !== stream) other.destroy(error === other.errored ? undefined : error);
      }
      if (--left === 0 || (error && failed === error)) {
        left = -1;
        later(callback, failed);
      }
    });
  }
  for (const stream of streams) stream.on("error", () => {});
  return streams.at(-1);
}

const isGenerator = (value) => /GeneratorFunction$/.test(Object.prototype.toString.call(value).slice(8, -1));

export function addAbortSignal(signal, stream) {
  if (signal.aborted) stream.destroy(signal.reason);
  else signal.addEventListener("abort", () => stream.destroy(signal.reason), { once: true });
  return stream;
}

export const promises = {
  finished: (stream, options) => new Promise((resolve, reject) => finished(stream, options ?? {}, (error) => (error ? reject(error) : resolve()))),
  pipeline(...parts) {
    const last = parts.at(-1);
    const options = last !== null && typeof last === "object" && !("pipe" in last) && !("write" in last) && !last.getWriter && !last[Symbol.asyncIterator] ? parts.pop() : {};
    return new Promise((resolve, reject) => {
      const end = pipeline(...parts, (error) => (error ? reject(error) : resolve()));
      if (options.signal) addAbortSignal(options.signal, end);
    });
  },
};

export const isReadable = (stream) => Boolean(stream?.readable);
export const isErrored = (stream) => Boolean(stream?.errored);
export const isDisturbed = (stream) => Boolean(stream?._readableState?.consumed || stream?.destroyed);
export const getDefaultHighWaterMark = (objectMode) => (objectMode ? OBJECTS_DEFAULT : BYTES_DEFAULT);
export const setDefaultHighWaterMark = () => {};

Object.assign(Stream, {
  addAbortSignal, Duplex, finished, getDefaultHighWaterMark, isDisturbed, isErrored, isReadable, PassThrough, pipeline, promises, Readable,
  setDefaultHighWaterMark, Stream, Transform, Writable,
});
export default Stream;
