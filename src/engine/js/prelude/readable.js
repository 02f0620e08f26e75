// ReadableStream with default readers. Byte streams are read as default streams of Uint8Array.

import { deferred, sizing } from "./queuing.js";

/** What a ReadableStream knows; its public faces are the stream, its reader and its controller. */
class Source {
  constructor(underlying, strategy) {
    this.underlying = underlying;
    const bytes = underlying.type === "bytes";
    Object.assign(this, sizing(strategy, bytes ? 0 : 1));
    this.queue = [];
    this.queued = 0;
    this.requests = [];
    this.state = "readable";
    this.error = undefined;
    this.closing = false;
    this.pulling = false;
    this.pullAgain = false;
    this.started = false;
    this.closed = deferred();
    this.reader = null;
    this.disturbed = false;
    this.controller = new ReadableStreamDefaultController(this);
    const begun = typeof underlying.start === "function" ? underlying.start(this.controller) : undefined;
    Promise.resolve(begun).then(
      () => {
        this.started = true;
        this.pull();
      },
      (error) => this.fail(error),
    );
  }

  desired() {
    return this.state === "errored" ? null : this.state === "closed" ? 0 : this.highWaterMark - this.queued;
  }

  pull() {
    if (!this.started || this.closing || this.state !== "readable" || typeof this.underlying.pull !== "function") return;
    if (this.requests.length === 0 && this.desired() <= 0) return;
    if (this.pulling) {
      this.pullAgain = true;
      return;
    }
    this.pulling = true;
    let pulled;
    try {
      pulled = this.underlying.pull(this.controller);
    } catch (error) {
      pulled = Promise.reject(error);
    }
    Promise.resolve(pulled).then(
      () => {
        this.pulling = false;
        if (!this.pullAgain) return;
        this.pullAgain = false;
        this.pull();
      },
      (error) => this.fail(error),
    );
  }

  enqueue(chunk) {
    if (this.closing || this.state !== "readable") throw new TypeError("the stream is closed: nothing can be enqueued");
    if (this.requests.length > 0) {
      this.requests.shift().resolve({ value: chunk, done: false });
    } else {
      const size = this.size(chunk);
      this.queue.push({ chunk, size });
      this.queued += size;
    }
    this.pull();
  }

  close() {
    if (this.closing || this.state !== "readable") throw new TypeError("the stream is closed already");
    this.closing = true;
    if (this.queue.length === 0) this.finish();
  }

  finish() {
    this.state = "closed";
    for (const request of this.requests.splice(0)) request.resolve({ value: undefined, done: true });
    this.closed.resolve();
  }

  fail(error) {
    if (this.state !== "readable") return;
    this.state = "errored";
    this.error = error;
    this.queue = [];
    for (const request of this.requests.splice(0)) request.reject(error);
    this.closed.reject(error);
  }

  read() {
    this.disturbed = true;
    if (this.state === "errored") return Promise.reject(this.error);
    if (this.queue.length > 0) {
      const { chunk, size } = this.queue.shift();
      this.queued -= size;
      if (this.closing && this.queue.length === 0) this.finish();
      else this.pull();
      return Promise.resolve({ value: chunk, done: false });
    }
    if (this.state === "closed") return Promise.resolve({ value: undefined, done: true });
    const request = deferred();
    this.requests.push(request);
    this.pull();
    return request.promise;
  }

  async cancel(reason) {
    this.disturbed = true;
    if (this.state === "errored") throw this.error;
    if (this.state === "closed") return;
    this.queue = [];
    this.finish();
    await this.underlying.cancel?.(reason);
  }
}

class ReadableStreamDefaultController {
  #source;

  constructor(source) {
    this.#source = source;
  }

  get desiredSize() {
    return this.#source.desired();
  }

  get byobRequest() {
    return null;
  }

  enqueue(chunk) {
    this.#source.enqueue(chunk);
  }

  close() {
    this.#source.close();
  }

  error(reason) {
    this.#source.fail(reason);
  }
}

class ReadableStreamDefaultReader {
  #source;

  constructor(stream) {
    const source = sourceOf(stream);
    if (source.reader !== null) throw new TypeError("the stream is locked to a reader");
    source.reader = this;
    this.#source = source;
  }

  #held() {
    if (this.#source === null) throw new TypeError("the reader has been released");
    return this.#source;
  }

  get closed() {
    return this.#held().closed.promise;
  }

  async read() {
    return await this.#held().read();
  }

  async cancel(reason) {
    await this.#held().cancel(reason);
  }

  releaseLock() {
    if (this.#source === null) return;
    for (const request of this.#source.requests.splice(0)) request.reject(new TypeError("the reader has been released"));
    this.#source.reader = null;
    this.#source = null;
  }
}

let sourceOf;

export class ReadableStream {
  #source;

  constructor(underlying = {}, strategy = {}) {
    this.#source = new Source(underlying ?? {}, strategy);
  }

  static {
    sourceOf = (stream) => stream.#source;
  }

  static from(iterable) {
    const iterator = (iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator]).call(iterable);
    return new ReadableStream(
      {
        async pull(controller) {
          const { value, done } = await iterator.next();
          if (done) controller.close();
          else controller.enqueue(await value);
        },
        async cancel(reason) {
          await iterator.return?.(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  get locked() {
    return this.#source.reader !== null;
  }

  getReader({ mode } = {}) {
    if (mode !== undefined) throw new TypeError(`readers of mode "${mode}" are not supported; call getReader() without a mode`);
    return new ReadableStreamDefaultReader(this);
  }

  async cancel(reason) {
    if (this.locked) throw new TypeError("the stream is locked to a reader");
    await this.#source.cancel(reason);
  }

  pipeThrough(pair, options) {
    this.pipeTo(pair.writable, options).catch(() => {});
    return pair.readable;
  }

  async pipeTo(target, { preventClose = false, preventAbort = false, preventCancel = false, signal } = {}) {
    const reader = this.getReader();
    const writer = target.getWriter();
    const aborted = deferred();
    signal?.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
    try {
      signal?.throwIfAborted();
      for (;;) {
        await Promise.race([writer.ready, aborted.promise.then(() => {})].slice(0, signal ? 2 : 1));
        const { value, done } = await (signal ? Promise.race([reader.read(), aborted.promise]) : reader.read());
        if (done) break;
        await writer.write(value);
      }
      if (!preventClose) await writer.close();
    } catch (error) {
      const failedHere = this.#source.state === "errored";
      if (failedHere || signal?.aborted) {
        if (!preventAbort) await writer.abort(error).catch(() => {});
      }
      if (!failedHere && !preventCancel) await reader.cancel(error).catch(() => {});
      throw error;
    } finally {
      reader.releaseLock();
      writer.releaseLock();
    }
  }

  tee() {
    const reader = this.getReader();
    const branches = [];
    let reading = false;
    const cancelled = [undefined, undefined];
    const pull = async () => {
      if (reading) return;
      reading = true;
      try {
        const { value, done } = await reader.read();
        reading = false;
        for (const branch of branches) {
          if (branch.open && done) branch.controller.close();
          else if (branch.open) branch.controller.enqueue(value);
        }
      } catch (error) {
        for (const branch of branches) branch.controller.error(error);
      }
    };
    const make = (index) =>
      new ReadableStream({
        start(controller) {
          branches[index] = { controller, open: true };
        },
        pull,
        async cancel(reason) {
          branches[index].open = false;
          cancelled[index] = reason;
          if (branches.every((branch) => !branch.open)) await reader.cancel(cancelled);
        },
      });
    return [make(0), make(1)];
  }

  values({ preventCancel = false } = {}) {
    const reader = this.getReader();
    return {
      async next() {
        const result = await reader.read();
        if (result.done) reader.releaseLock();
        return result;
      },
      async return(value) {
        if (!preventCancel) await reader.cancel(value);
        reader.releaseLock();
        return { value, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  [Symbol.asyncIterator](options) {
    return this.values(options);
  }
}

/** What stands behind a stream, for the transform that feeds it. */
export const readableSource = (stream) => sourceOf(stream);

/** Whether somebody has read from a stream or cancelled it. */
export function disturbed(stream) {
  return sourceOf(stream).disturbed;
}
