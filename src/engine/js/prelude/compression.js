// CompressionStream and DecompressionStream. The host packs and unpacks, piece by piece.

import { bytesOf } from "./encoding.js";
import { needs } from "./idl.js";
import { tool } from "./tools.js";
import { TransformStream } from "./transform.js";

const FORMATS = ["gzip", "deflate", "deflate-raw"];

/** Readable and writable side of a stream through the host's deflate. `lenient`: nothing at all is no error. */
function pair(given, unpack, lenient = false) {
  const format = String(given);
  if (!FORMATS.includes(format)) throw new TypeError(`there is no compression format "${format}"; use ${FORMATS.join(", ")}`);
  let handle;
  const open = () => {
    handle ??= Number(tool("zip-open", JSON.stringify({ format, unpack }))[0]);
    return handle;
  };
  const step = (controller, bytes, end) => {
    let rest = bytes;
    for (;;) {
      const [told, output] = tool("zip", JSON.stringify({ handle: open(), end }), rest);
      const { used, over } = JSON.parse(told);
      if (output.length > 0) controller.enqueue(output);
      rest = rest.subarray(used);
      if (over) {
        handle = 0;
        return;
      }
      // Nothing taken and nothing given: the rest comes with the next piece.
      if (!end && rest.length === 0 && output.length < 65536) return;
    }
  };
  return new TransformStream({
    transform(chunk, controller) {
      if (!(chunk instanceof ArrayBuffer) && !ArrayBuffer.isView(chunk)) throw new TypeError("a chunk must be an ArrayBuffer or a view of one");
      const bytes = bytesOf(chunk);
      if (bytes.length > 0) step(controller, bytes, false);
    },
    flush(controller) {
      if (lenient && handle === undefined) return;
      step(controller, new Uint8Array(0), true);
    },
    cancel() {
      if (handle > 0) tool("zip-close", JSON.stringify({ handle, end: true }));
    },
  });
}

/** The stream of a body that was sent in this content coding, as it was before. */
export function unpacked(stream, format) {
  return stream.pipeThrough(pair(format, true, true));
}

export class CompressionStream {
  #pair;

  constructor(format) {
    needs(1, arguments.length, "CompressionStream");
    this.#pair = pair(format, false);
  }

  get readable() {
    return this.#pair.readable;
  }

  get writable() {
    return this.#pair.writable;
  }
}

export class DecompressionStream {
  #pair;

  constructor(format) {
    needs(1, arguments.length, "DecompressionStream");
    this.#pair = pair(format, true);
  }

  get readable() {
    return this.#pair.readable;
  }

  get writable() {
    return this.#pair.writable;
  }
}
