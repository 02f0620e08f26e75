// What all streams share: promises to settle later, and how much may wait.

export function deferred() {
  const { promise, resolve, reject } = Promise.withResolvers();
  promise.catch(() => {});
  return { promise, resolve, reject };
}

export function sizing(strategy, fallback) {
  const highWaterMark = strategy?.highWaterMark ?? fallback;
  if (Number.isNaN(Number(highWaterMark)) || highWaterMark < 0) throw new RangeError("highWaterMark must not be negative");
  return { highWaterMark, size: typeof strategy?.size === "function" ? (chunk) => strategy.size(chunk) : () => 1 };
}

export class CountQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }

  size() {
    return 1;
  }
}

export class ByteLengthQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }

  size(chunk) {
    return chunk.byteLength;
  }
}
