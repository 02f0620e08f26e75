// node:assert

import { inspect } from "emu:prelude/inspect.js";
import { isDeepEqual } from "emu:equal";

export class AssertionError extends Error {
  constructor({ message, actual, expected, operator, stackStartFn } = {}) {
    super(message ?? `${inspect(actual)} ${operator} ${inspect(expected)}`);
    this.name = "AssertionError";
    this.code = "ERR_ASSERTION";
    this.generatedMessage = message === undefined;
    Object.assign(this, { actual, expected, operator });
    Error.captureStackTrace?.(this, stackStartFn);
  }
}

function fault(message, given, actual, expected, operator) {
  if (given instanceof Error) throw given;
  const error = new AssertionError({ message: given ?? message, actual, expected, operator });
  error.generatedMessage = given === undefined;
  throw error;
}

const shown = (what, a, b) => `${what}\n\n${inspect(a)}\n\nshould equal\n\n${inspect(b)}`;

function ok(value, message) {
  if (!value) fault(arguments.length === 0 ? "No value argument passed to `assert.ok()`" : `The expression evaluated to a falsy value: ${inspect(value)}`, message, value, true, "==");
}

function assert(...args) {
  ok(...args);
}

function matches(error, expected, message) {
  if (expected === undefined) return;
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof expected) return;
    if (expected === Error || Error.isPrototypeOf(expected)) throw error;
    if (expected.call({}, error) !== true) fault("The validation function is expected to return \"true\"", message, error, expected, "throws");
    return;
  }
  if (expected instanceof RegExp) {
    if (!expected.test(String(error))) fault(`The input did not match the regular expression ${expected}. Input:\n\n${inspect(String(error))}`, message, error, expected, "throws");
    return;
  }
  for (const key of Object.keys(expected).concat(expected instanceof Error ? ["name", "message"] : [])) {
    const fits = expected[key] instanceof RegExp && typeof error?.[key] === "string" ? expected[key].test(error[key]) : isDeepEqual(error?.[key], expected[key], true);
    if (!fits) fault(shown(`Expected values to be strictly deep-equal: ${key}`, error?.[key], expected[key]), message, error, expected, "throws");
  }
}

function split(expected, message) {
  return typeof expected === "string" ? [undefined, expected] : [expected, message];
}

function thrown(block) {
  try {
    block();
  } catch (error) {
    return { error };
  }
}

async function rejected(promise) {
  try {
    await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    return { error };
  }
}

const methods = {
  ok,
  fail(message = "Failed") {
    fault("Failed", message, undefined, undefined, "fail");
  },
  equal(a, b, message) {
    if (!(a == b || (a !== a && b !== b))) fault(`${inspect(a)} == ${inspect(b)}`, message, a, b, "==");
  },
  notEqual(a, b, message) {
    if (a == b || (a !== a && b !== b)) fault(`${inspect(a)} != ${inspect(b)}`, message, a, b, "!=");
  },
  strictEqual(a, b, message) {
    if (!Object.is(a, b)) fault(`Expected values to be strictly equal:\n\n${inspect(a)} !== ${inspect(b)}\n`, message, a, b, "strictEqual");
  },
  notStrictEqual(a, b, message) {
    if (Object.is(a, b)) fault(`Expected "actual" to be strictly unequal to: ${inspect(b)}`, message, a, b, "notStrictEqual");
  },
  deepEqual(a, b, message) {
    if (!isDeepEqual(a, b, false)) fault(shown("Expected values to be loosely deep-equal:", a, b), message, a, b, "deepEqual");
  },
  notDeepEqual(a, b, message) {
    if (isDeepEqual(a, b, false)) fault(shown("Expected values not to be loosely deep-equal:", a, b), message, a, b, "notDeepEqual");
  },
  deepStrictEqual(a, b, message) {
    if (!isDeepEqual(a, b, true)) fault(shown("Expected values to be strictly deep-equal:", a, b), message, a, b, "deepStrictEqual");
  },
  notDeepStrictEqual(a, b, message) {
    if (isDeepEqual(a, b, true)) fault(shown("Expected values not to be strictly deep-equal:", a, b), message, a, b, "notDeepStrictEqual");
  },
  throws(block, expected, message) {
    [expected, message] = split(expected, message);
    const caught = thrown(block);
    if (caught === undefined) fault("Missing expected exception.", message, undefined, expected, "throws");
    matches(caught.error, expected, message);
  },
  doesNotThrow(block, expected, message) {
    [, message] = split(expected, message);
    const caught = thrown(block);
    if (caught !== undefined) fault(`Got unwanted exception.\nActual message: "${caught.error?.message}"`, message, caught.error, undefined, "doesNotThrow");
  },
  async rejects(promise, expected, message) {
    [expected, message] = split(expected, message);
    const caught = await rejected(promise);
    if (caught === undefined) fault("Missing expected rejection.", message, undefined, expected, "rejects");
    matches(caught.error, expected, message);
  },
  async doesNotReject(promise, expected, message) {
    [, message] = split(expected, message);
    const caught = await rejected(promise);
    if (caught !== undefined) fault(`Got unwanted rejection.\nActual message: "${caught.error?.message}"`, message, caught.error, undefined, "doesNotReject");
  },
  match(text, pattern, message) {
    if (!pattern.test(text)) fault(`The input did not match the regular expression ${pattern}. Input:\n\n${inspect(text)}\n`, message, text, pattern, "match");
  },
  doesNotMatch(text, pattern, message) {
    if (pattern.test(text)) fault(`The input was expected to not match the regular expression ${pattern}. Input:\n\n${inspect(text)}\n`, message, text, pattern, "doesNotMatch");
  },
  ifError(value) {
    if (value !== null && value !== undefined) fault(`ifError got unwanted exception: ${value?.message ?? inspect(value)}`, undefined, value, null, "ifError");
  },
};

export const strict = Object.assign((...args) => ok(...args), methods, {
  equal: methods.strictEqual,
  notEqual: methods.notStrictEqual,
  deepEqual: methods.deepStrictEqual,
  notDeepEqual: methods.notDeepStrictEqual,
  AssertionError,
});
strict.strict = strict;
Object.assign(assert, methods, { AssertionError, strict });

export const {
  fail, equal, notEqual, strictEqual, notStrictEqual, deepEqual, notDeepEqual, deepStrictEqual, notDeepStrictEqual, throws, doesNotThrow,
  rejects, doesNotReject, match, doesNotMatch, ifError,
} = methods;
export { ok };
export default assert;
