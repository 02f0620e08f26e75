// What all of Intl shares: language tags, options, and the call to the host, which has the data. Nothing of it is asked
// before a script does.

import host from "emu:js/host";
import { namedError } from "./tools.js";

/** Answers of `locales`, by its argument: few locales are used, and each many times. */
const negotiated = new Map();
const NEGOTIATED_MAX = 32;

export function call(op, locale, options, value) {
  try {
    return host.intl(op, locale, options, value);
  } catch (error) {
    throw namedError(error, "RangeError");
  }
}

/** The text of a language tag, or of an Intl.Locale. */
function tagOf(value) {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null) return String(value);
  throw new TypeError("Incorrect locale information provided");
}

/** `{list, supported, locale, keywords}` of the locales a script asks for. */
export function negotiate(locales) {
  let tags = [];
  if (locales === null) throw new TypeError("Cannot convert undefined or null to object");
  if (typeof locales === "string" || (typeof locales === "object" && locales[Symbol.toStringTag] === "Intl.Locale")) {
    tags = [String(locales)];
  } else if (locales !== undefined) {
    tags = Array.from({ length: Object(locales).length ?? 0 }, (_, at) => at)
      .filter((at) => at in Object(locales))
      .map((at) => tagOf(locales[at]));
  }
  const key = JSON.stringify(tags);
  let answer = negotiated.get(key);
  if (answer === undefined) {
    answer = JSON.parse(call("locales", "", "", key));
    if (negotiated.size >= NEGOTIATED_MAX) negotiated.clear();
    negotiated.set(key, answer);
  }
  return answer;
}

export function supportedLocalesOf(locales, options) {
  choice(bag(options), "localeMatcher", ["lookup", "best fit"], "best fit");
  return [...negotiate(locales).supported];
}

/** Options as an object; a primitive has none. */
export function bag(options) {
  if (options === undefined) return Object.create(null);
  if (options === null) throw new TypeError("Cannot convert undefined or null to object");
  return Object(options);
}

/** Options that must be an object, as the newer classes want them. */
export function strictBag(options) {
  if (options === undefined) return Object.create(null);
  if (typeof options !== "object" || options === null) throw new TypeError("Incorrect options: an object is wanted");
  return options;
}

/** One of a few texts. */
export function choice(options, name, allowed, fallback) {
  const value = options[name];
  if (value === undefined) return fallback;
  const text = String(value);
  if (allowed !== undefined && !allowed.includes(text)) {
    throw new RangeError(`Value ${text} out of range for Intl options property ${name}`);
  }
  return text;
}

export function flag(options, name, fallback) {
  return options[name] === undefined ? fallback : Boolean(options[name]);
}

/** A whole number between two others. */
export function whole(value, name, least, most, fallback) {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!(number >= least && number <= most)) throw new RangeError(`${name} value is out of range.`);
  return Math.floor(number);
}

/** A keyword of Unicode, such as a numbering system. */
export function keyword(options, name) {
  const text = choice(options, name);
  if (text !== undefined && !/^[a-z\d]{3,8}(-[a-z\d]{3,8})*$/i.test(text)) throw new RangeError(`Invalid ${name} : ${text}`);
  return text?.toLowerCase();
}

/**
 * The locale of a formatter: `locale` is what `resolvedOptions` says, `data` goes to the host. `chosen` are keywords by
 * options, which win over those of the tag.
 */
export function localeFor(locales, chosen) {
  const { locale, keywords } = negotiate(locales);
  const extend = (pairs) => (pairs.length === 0 ? locale : `${locale}-u-${pairs.flat().join("-")}`);
  const told = [];
  const data = [];
  const values = {};
  for (const key of Object.keys(chosen).sort()) {
    const byTag = keywords[key] === "" ? "true" : keywords[key];
    const value = chosen[key] ?? byTag;
    values[key] = value;
    if (value === undefined) continue;
    const pair = value === "true" ? [key] : [key, value];
    data.push(pair);
    if (value === byTag) told.push(pair);
  }
  return { locale: extend(told), data: extend(data), values };
}

/** Parts that the host answers with, as `formatToParts` has them. */
export function toParts(answer) {
  return JSON.parse(answer).map(([type, value]) => ({ type, value }));
}

/** A constructor that also works without `new`, as the older ones of Intl do. */
export function callable(Class) {
  const name = Class.name;
  const made = {
    [name]: function (locales, options) {
      return Reflect.construct(Class, [locales, options], new.target ?? made);
    },
  }[name];
  Object.defineProperty(made, "length", { value: 0, configurable: true });
  Object.defineProperty(made, "prototype", { value: Class.prototype, writable: false });
  Object.defineProperty(Class.prototype, "constructor", { value: made, writable: true, configurable: true });
  return made;
}

/** What every class of Intl has: a tag, and `supportedLocalesOf`. */
export function finish(Class) {
  const define = (object, name, value) => Object.defineProperty(object, name, { value, writable: true, configurable: true });
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: `Intl.${Class.name}`, configurable: true });
  if (Class.name !== "Locale") define(Class, "supportedLocalesOf", (locales, options) => supportedLocalesOf(locales, options));
  return Class;
}
