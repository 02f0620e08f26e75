// node:util

import { format as formatAll, inspect as show } from "emu:prelude/inspect.js";
import { environment } from "emu:prelude/environment.js";
import { isDeepEqual } from "emu:equal";
import types from "node:util/types";

const kCustomPromisify = Symbol.for("nodejs.util.promisify.custom");

export function inspect(value, options, ...old) {
  const given = typeof options === "object" && options !== null ? options : { showHidden: options, depth: old[0] };
  return show(value, given);
}
inspect.custom = Symbol.for("nodejs.util.inspect.custom");
inspect.defaultOptions = { depth: 2, colors: false };
inspect.colors = Object.create(null);
inspect.styles = Object.create(null);

export function format(...args) {
  return formatAll(args);
}

export function formatWithOptions(_, ...args) {
  return formatAll(args);
}

export function promisify(original) {
  if (typeof original !== "function") throw new TypeError('The "original" argument must be of type function');
  if (typeof original[kCustomPromisify] === "function") return original[kCustomPromisify];
  function promised(...args) {
    return new Promise((resolve, reject) => {
      original.call(this, ...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  }
  Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
  return Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
}
promisify.custom = kCustomPromisify;

export function callbackify(original) {
  return function (...args) {
    const callback = args.pop();
    original.apply(this, args).then(
      (value) => queueMicrotask(() => callback(null, value)),
      (reason) => queueMicrotask(() => callback(reason ?? Object.assign(new Error("Promise was rejected with a falsy value"), { reason }))),
    );
  };
}

export function inherits(constructor, parent) {
  Object.defineProperty(constructor, "super_", { value: parent, writable: true, configurable: true });
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

export function deprecate(original, message, code) {
  let warned = false;
  function deprecated(...args) {
    if (!warned) {
      warned = true;
      console.warn(`DeprecationWarning: ${code === undefined ? "" : `${code}: `}${message}`);
    }
    return new.target ? Reflect.construct(original, args, new.target) : original.apply(this, args);
  }
  Object.setPrototypeOf(deprecated, original);
  if (original.prototype) deprecated.prototype = original.prototype;
  return deprecated;
}

/** On when NODE_DEBUG names the section. */
export function debuglog(section) {
  const names = String(environment.variables.NODE_DEBUG ?? "").toLowerCase().split(/[\s,]+/);
  const enabled = names.includes(section.toLowerCase());
  return Object.assign((...args) => enabled && console.error(`${section.toUpperCase()}: ${formatAll(args)}`), { enabled });
}

export const isDeepStrictEqual = (a, b) => isDeepEqual(a, b, true);
export const stripVTControlCharacters = (text) => text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]/g, "");
export const toUSVString = (text) => String(text).toWellFormed();
export const styleText = (_, text) => text;
export const getSystemErrorName = (code) => `E${code}`;

export function aborted(signal) {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })));
}

/** Variables of a text as .env files have them. */
export function parseEnv(text) {
  const out = {};
  for (const [, name, double, single, bare] of text.matchAll(/^\s*(?:export\s+)?([\w.-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|'([^']*)'|([^#\n]*))/gm)) {
    out[name] = double?.replaceAll("\\n", "\n") ?? single ?? bare.trim();
  }
  return out;
}

export function parseArgs() {
  throw new Error("util.parseArgs: a function has no command line");
}

export const isArray = Array.isArray;
export const isBoolean = (value) => typeof value === "boolean";
export const isBuffer = (value) => globalThis.Buffer?.isBuffer(value) ?? false;
export const isDate = types.isDate;
export const isError = (value) => value instanceof Error;
export const isFunction = (value) => typeof value === "function";
export const isNull = (value) => value === null;
export const isNullOrUndefined = (value) => value === null || value === undefined;
export const isNumber = (value) => typeof value === "number";
export const isObject = (value) => typeof value === "object" && value !== null;
export const isPrimitive = (value) => Object(value) !== value;
export const isRegExp = types.isRegExp;
export const isString = (value) => typeof value === "string";
export const isSymbol = (value) => typeof value === "symbol";
export const isUndefined = (value) => value === undefined;
export const _extend = (target, source) => Object.assign(target, source);
export const debug = debuglog;
export const { TextDecoder, TextEncoder } = globalThis;
export { types };

export default {
  _extend, aborted, callbackify, debug, debuglog, deprecate, format, formatWithOptions, getSystemErrorName, inherits, inspect, isArray, isBoolean,
  isBuffer, isDate, isDeepStrictEqual, isError, isFunction, isNull, isNullOrUndefined, isNumber, isObject, isPrimitive, isRegExp, isString,
  isSymbol, isUndefined, parseArgs, parseEnv, promisify, stripVTControlCharacters, styleText, TextDecoder, TextEncoder, toUSVString, types,
};
