// pipeTo, after the Streams standard: errors and closes travel both ways, backpressure is kept.

import { quiet } from "./queuing.js";
import { acquireReader, cancelStream, readFrom, releaseReader } from "./readable.js";
import { abortStream, acquireWriter, closeQueued, closeWithErrors, releaseWriter, writeTo } from "./writable.js";

class Pipe {
  shuttingDown = false;
  lastWrite = Promise.resolve(undefined);
  stop = null;

  constructor(source, target, options, done) {
    this.source = source;
    this.target = target;
    this.options = options;
    this.done = done;
    this.reader = acquireReader(source);
    this.writer = acquireWriter(target);
    source.disturbed = true;
  }

  run() {
    const { source, target, reader, writer } = this;
    const { preventAbort, preventCancel, preventClose, signal } = this.options;
    if (signal !== undefined) {
      this.stop = () => this.aborted(signal.reason);
      if (signal.aborted) return this.stop();
      signal.addEventListener("abort", this.stop);
    }
    const failed = (stream, promise, act) => {
      if (stream.state === "errored") act(stream.error);
      else promise.catch(act);
    };
    failed(source, reader.closed.promise, (error) => this.shutDown(preventAbort ? null : () => abortStream(target, error), error));
    failed(target, writer.closed.promise, (error) => this.shutDown(preventCancel ? null : () => cancelStream(source, error), error));
    const ended = () => this.shutDown(preventClose ? null : () => closeWithErrors(writer));
    if (source.state === "closed") ended();
    else reader.closed.promise.then(ended, () => {});
    if (closeQueued(target) || target.state === "closed") {
      const error = new TypeError("the destination was closed before all could be piped to it");
      this.shutDown(preventCancel ? null : () => cancelStream(source, error), error);
    }
    quiet(this.loop());
  }

  async loop() {
    while (!this.shuttingDown) {
      await this.writer.ready.promise;
      if (this.shuttingDown) return;
      const over = await new Promise((resolve, reject) => {
        readFrom(this.reader, {
          chunk: (chunk) => {
            this.lastWrite = quiet(writeTo(this.writer, chunk));
            resolve(false);
          },
          close: () => resolve(true),
          error: reject,
        });
      });
      if (over) return;
    }
  }

  aborted(reason) {
    const { source, target } = this;
    const actions = [];
    if (!this.options.preventAbort) actions.push(() => (target.state === "writable" ? abortStream(target, reason) : undefined));
    if (!this.options.preventCancel) actions.push(() => (source.state === "readable" ? cancelStream(source, reason) : undefined));
    this.shutDown(() => Promise.all(actions.map((act) => act())), reason);
  }

  /** Ends the pipe after what is being written, with an action before; a second argument is the error to end with. */
  async shutDown(action, ...errors) {
    if (this.shuttingDown) return;
    this.shuttingDown = true;
    let broken = errors;
    try {
      if (this.target.state === "writable" && !closeQueued(this.target)) await this.written();
      await action?.();
    } catch (error) {
      broken = [error];
    }
    releaseWriter(this.writer);
    releaseReader(this.reader);
    if (this.stop !== null) this.options.signal.removeEventListener("abort", this.stop);
    if (broken.length > 0) this.done.reject(broken[0]);
    else this.done.resolve(undefined);
  }

  async written() {
    for (;;) {
      const last = this.lastWrite;
      await last.catch(() => {});
      if (last === this.lastWrite) return;
    }
  }
}

export function pipe(source, target, options) {
  const done = Promise.withResolvers();
  new Pipe(source, target, options, done).run();
  return done.promise;
}
