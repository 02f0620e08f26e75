// TransformStream and the two text streams.

import { TextDecoder, TextEncoder } from "./encoding.js";
import { deferred } from "./queuing.js";
import { ReadableStream, readableSource } from "./readable.js";
import { WritableStream } from "./writable.js";

export class TransformStream {
  constructor(transformer = {}, writableStrategy = {}, readableStrategy = {}) {
    let output;
    let pulled = deferred();
    const controller = {
      enqueue: (chunk) => output.enqueue(chunk),
      error: (reason) => output.error(reason),
      terminate: () => output.close(),
      get desiredSize() {
        return output.desiredSize;
      },
    };
    this.readable = new ReadableStream(
      {
        start(readableController) {
          output = readableController;
          return transformer.start?.(controller);
        },
        pull() {
          pulled.resolve();
        },
        async cancel(reason) {
          pulled.resolve();
          await transformer.cancel?.(reason);
        },
      },
      { highWaterMark: 0, ...readableStrategy },
    );
    const readable = readableSource(this.readable);
    this.writable = new WritableStream(
      {
        async write(chunk) {
          if (readable.requests.length === 0 && output.desiredSize <= 0) {
            pulled = deferred();
            readable.pull();
            await pulled.promise;
          }
          if (readable.state !== "readable") throw readable.error ?? new TypeError("the readable side is closed");
          if (typeof transformer.transform === "function") await transformer.transform(chunk, controller);
          else output.enqueue(chunk);
        },
        async close() {
          await transformer.flush?.(controller);
          if (readable.state === "readable" && !readable.closing) output.close();
        },
        async abort(reason) {
          await transformer.cancel?.(reason);
          output.error(reason);
        },
      },
      writableStrategy,
    );
  }
}

export class TextEncoderStream extends TransformStream {
  constructor() {
    const encoder = new TextEncoder();
    super({
      transform: (chunk, controller) => controller.enqueue(encoder.encode(chunk)),
    });
  }
}

export class TextDecoderStream extends TransformStream {
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    const forward = (text, controller) => {
      if (text !== "") controller.enqueue(text);
    };
    super({
      transform: (chunk, controller) => forward(decoder.decode(chunk, { stream: true }), controller),
      flush: (controller) => forward(decoder.decode(), controller),
    });
  }
}
