// node:timers/promises

function wait(begin, end, value, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      end(id);
      reject(signal.reason);
    };
    if (signal?.aborted) return reject(signal.reason);
    const id = begin(() => {
      signal?.removeEventListener("abort", abort);
      resolve(value);
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

export function setTimeout(delay, value, options) {
  return wait((done) => globalThis.setTimeout(done, delay), clearTimeout, value, options?.signal);
}

export function setImmediate(value, options) {
  return wait((done) => globalThis.setImmediate(done), clearImmediate, value, options?.signal);
}

export async function* setInterval(delay, value, options) {
  for (;;) yield await setTimeout(delay, value, options);
}

export const scheduler = {
  wait: (delay, options) => setTimeout(delay, undefined, options),
  yield: () => setImmediate(),
};

export default { scheduler, setImmediate, setInterval, setTimeout };
