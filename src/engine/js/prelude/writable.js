// WritableStream with default writers. Backpressure is the number of chunks, or what the strategy makes of them.

import { deferred, sizing } from "./queuing.js";

/** What a WritableStream knows. Writes reach the sink one after the other. */
class Sink {
  constructor(underlying, strategy) {
    this.underlying = underlying;
    Object.assign(this, sizing(strategy, 1));
    this.queued = 0;
    this.state = "writable";
    this.error = undefined;
    this.writer = null;
    this.closed = deferred();
    this.ready = deferred();
    this.abortion = new AbortController();
    const self = this;
    this.controller = {
      error: (reason) => this.fail(reason),
      get signal() {
        return self.abortion.signal;
      },
    };
    this.last = Promise.resolve(
      typeof underlying.start === "function" ? underlying.start(this.controller) : undefined,
    ).catch((error) => this.fail(error));
    if (this.highWaterMark > 0) this.ready.resolve();
  }

  desired() {
    return this.state === "errored" ? null : this.state === "closed" ? 0 : this.highWaterMark - this.queued;
  }

  fail(error) {
    if (this.state === "errored" || this.state === "closed") return;
    this.state = "errored";
    this.error = error;
    this.ready.reject(error);
    this.ready = deferred();
    this.ready.reject(error);
    this.closed.reject(error);
  }

  async write(chunk) {
    if (this.state === "errored") throw this.error;
    if (this.state !== "writable") throw new TypeError("the stream is closing: nothing can be written");
    const size = this.size(chunk);
    this.queued += size;
    if (this.desired() <= 0) this.ready = deferred();
    const before = this.last;
    const written = (async () => {
      await before;
      if (this.state === "errored") throw this.error;
      await this.underlying.write?.(chunk, this.controller);
    })();
    this.last = written.catch((error) => this.fail(error));
    await written;
    this.queued -= size;
    if (this.state === "writable" && this.desired() > 0) this.ready.resolve();
  }

  async close() {
    if (this.state === "errored") throw this.error;
    if (this.state !== "writable") throw new TypeError("the stream is closed already");
    this.state = "closing";
    await this.last;
    if (this.state === "errored") throw this.error;
    try {
      await this.underlying.close?.();
    } catch (error) {
      this.state = "writable";
      this.fail(error);
      throw error;
    }
    this.state = "closed";
    this.closed.resolve();
    this.ready.resolve();
  }

  async abort(reason) {
    if (this.state === "errored" || this.state === "closed") return;
    this.abortion.abort(reason);
    this.fail(reason);
    await this.underlying.abort?.(reason);
  }
}

class WritableStreamDefaultWriter {
  #sink;

  constructor(stream) {
    const sink = sinkOf(stream);
    if (sink.writer !== null) throw new TypeError("the stream is locked to a writer");
    sink.writer = this;
    this.#sink = sink;
  }

  #held() {
    if (this.#sink === null) throw new TypeError("the writer has been released");
    return this.#sink;
  }

  get closed() {
    return this.#held().closed.promise;
  }

  get ready() {
    return this.#held().ready.promise;
  }

  get desiredSize() {
    return this.#held().desired();
  }

  async write(chunk) {
    await this.#held().write(chunk);
  }

  async close() {
    await this.#held().close();
  }

  async abort(reason) {
    await this.#held().abort(reason);
  }

  releaseLock() {
    if (this.#sink === null) return;
    this.#sink.writer = null;
    this.#sink = null;
  }
}

let sinkOf;

export class WritableStream {
  #sink;

  constructor(underlying = {}, strategy = {}) {
    this.#sink = new Sink(underlying ?? {}, strategy);
  }

  static {
    sinkOf = (stream) => stream.#sink;
  }

  get locked() {
    return this.#sink.writer !== null;
  }

  getWriter() {
    return new WritableStreamDefaultWriter(this);
  }

  async close() {
    if (this.locked) throw new TypeError("the stream is locked to a writer");
    await this.#sink.close();
  }

  async abort(reason) {
    if (this.locked) throw new TypeError("the stream is locked to a writer");
    await this.#sink.abort(reason);
  }
}
