// What the files beside this one are written with: named tests, run one after the other, whose failures are the answer.

function show(value) {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof ArrayBuffer) return show(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) return `${value[Symbol.toStringTag]}[${Array.from(value)}]`;
  if (value instanceof Map) return `Map${show([...value])}`;
  if (value instanceof Set) return `Set${show([...value])}`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) return `{${Object.entries(value).map(([key, item]) => `${key}: ${show(item)}`).join(", ")}}`;
  return typeof value === "string" ? JSON.stringify(value) : Object.is(value, -0) ? "-0" : String(value);
}

export function equal(actual, expected) {
  if (show(actual) !== show(expected)) throw new Error(`got ${show(actual)}, expected ${show(expected)}`);
}

export function ok(value) {
  if (!value) throw new Error(`got ${show(value)}, expected something true`);
}

function hold(error, name, part) {
  if (error?.name !== name) throw new Error(`got ${show(error)}, expected ${name}`);
  if (name !== error.constructor.name && !(error instanceof DOMException)) throw new Error(`${name} is no DOMException`);
  if (part !== undefined && !error.message.includes(part)) throw new Error(`"${error.message}" does not say "${part}"`);
}

/** The name of the error that `act` throws, or of the DOMException. */
export function throws(name, act, part) {
  let value;
  try {
    value = act();
  } catch (error) {
    return hold(error, name, part);
  }
  throw new Error(`got ${show(value)}, expected it to throw ${name}`);
}

/** The same for a promise. */
export async function rejects(name, promise, part) {
  let value;
  try {
    value = await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    return hold(error, name, part);
  }
  throw new Error(`got ${show(value)}, expected it to reject with ${name}`);
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (data) => new TextDecoder().decode(data);
export const hex = (data) => Array.from(new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength), (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (digits) => Uint8Array.from(digits.replace(/\s/g, "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
export const tick = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

/** All chunks of a stream. */
export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export function run(tests) {
  return {
    async fetch(request, env) {
      const failures = [];
      for (const [name, test] of Object.entries(tests)) {
        try {
          await test(env, request);
        } catch (error) {
          failures.push(`${name}: ${show(error)}\n${error?.stack ?? ""}`);
        }
      }
      return Response.json({ run: Object.keys(tests).length, failures });
    },
  };
}
