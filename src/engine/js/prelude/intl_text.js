// Intl.Collator, PluralRules, ListFormat, RelativeTimeFormat and DisplayNames.

import { bag, call, callable, choice, finish, flag, keyword, localeFor, strictBag, toParts } from "./intl.js";
import { digitOptions, numeral } from "./intl_digits.js";

const STYLES = ["long", "short", "narrow"];

const CollatorOf = class Collator {
  #data;
  #told;
  #resolved;
  #bound;

  constructor(locales, given) {
    const options = bag(given);
    const usage = choice(options, "usage", ["sort", "search"], "sort");
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const co = keyword(options, "collation");
    const kn = flag(options, "numeric");
    const kf = choice(options, "caseFirst", ["upper", "lower", "false"]);
    const { locale, data, values } = localeFor(locales, { co, kf, kn: kn === undefined ? kn : String(kn) });
    const sensitivity = choice(options, "sensitivity", ["base", "accent", "case", "variant"], "variant");
    const ignorePunctuation = flag(options, "ignorePunctuation", /^th\b/.test(locale));
    this.#data = data;
    this.#told = JSON.stringify({ sensitivity, ignorePunctuation });
    call("collate-resolve", data, this.#told, '["",""]');
    const collation = values.co ?? "default";
    const numeric = values.kn === "true";
    this.#resolved = { locale, usage, sensitivity, ignorePunctuation, collation, numeric, caseFirst: values.kf ?? "false" };
  }

  get compare() {
    this.#bound ??= (left, right) => {
      const pair = [String(left), String(right)];
      return pair[0] === pair[1] ? 0 : Number(call("collate", this.#data, this.#told, JSON.stringify(pair)));
    };
    return this.#bound;
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
};

class PluralRules {
  #data;
  #told;
  #resolved;

  constructor(locales, given) {
    const options = bag(given);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const type = choice(options, "type", ["cardinal", "ordinal"], "cardinal");
    const { locale, data } = localeFor(locales, {});
    const { digits, resolved, rounding } = digitOptions(options, 0, 3, "standard");
    this.#data = data;
    this.#told = JSON.stringify({ ordinal: type === "ordinal", digits });
    const pluralCategories = JSON.parse(call("plural-resolve", data, this.#told, ""));
    this.#resolved = { locale, type, ...resolved, pluralCategories, ...rounding };
  }

  select(value) {
    return call("plural", this.#data, this.#told, numeral(Number(value)));
  }

  resolvedOptions() {
    return { ...this.#resolved, pluralCategories: [...this.#resolved.pluralCategories] };
  }
}

class ListFormat {
  #data;
  #told;
  #resolved;

  constructor(locales, given) {
    const options = strictBag(given);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const { locale, data } = localeFor(locales, {});
    const type = choice(options, "type", ["conjunction", "disjunction", "unit"], "conjunction");
    const style = choice(options, "style", STYLES, "long");
    this.#data = data;
    this.#told = JSON.stringify({ type, style });
    this.#resolved = { locale, type, style };
  }

  #texts(list) {
    if (list === undefined) return "[]";
    const texts = Array.from(list, (text) => {
      if (typeof text !== "string") throw new TypeError("Iterable yielded a value that is not a string");
      return text;
    });
    return JSON.stringify(texts);
  }

  format(list) {
    return call("list", this.#data, this.#told, this.#texts(list));
  }

  formatToParts(list) {
    return toParts(call("list-parts", this.#data, this.#told, this.#texts(list)));
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
}

const UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];

class RelativeTimeFormat {
  #data;
  #style;
  #numeric;
  #resolved;

  constructor(locales, given) {
    const options = bag(given);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const { locale, data } = localeFor(locales, { nu: keyword(options, "numberingSystem") });
    const style = choice(options, "style", STYLES, "long");
    const numeric = choice(options, "numeric", ["always", "auto"], "always");
    const { numberingSystem } = JSON.parse(call("number-resolve", data, "{}", ""));
    this.#data = data;
    this.#style = style;
    this.#numeric = numeric;
    this.#resolved = { locale, style, numeric, numberingSystem };
  }

  #run(op, value, unit) {
    const number = Number(value);
    const name = String(unit).replace(/s$/, "");
    if (!UNITS.includes(name)) {
      throw new RangeError(`Invalid unit argument for ${op === "relative" ? "format()" : "formatToParts()"} '${unit}'`);
    }
    if (!Number.isFinite(number)) throw new RangeError("The value need to be finite number for Intl.RelativeTimeFormat");
    const told = JSON.stringify({ style: this.#style, unit: name, auto: this.#numeric === "auto" });
    return [call(op, this.#data, told, numeral(number)), name];
  }

  format(value, unit) {
    return this.#run("relative", value, unit)[0];
  }

  formatToParts(value, unit) {
    const [answer, name] = this.#run("relative-parts", value, unit);
    return toParts(answer).map((part) => (part.type === "literal" ? part : { ...part, unit: name }));
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
}

const NAMED = ["language", "region", "script"];

class DisplayNames {
  #data;
  #told;
  #resolved;

  constructor(locales, given) {
    if (given === undefined) throw new TypeError("Intl.DisplayNames needs options with a type");
    const options = strictBag(given);
    const { locale, data } = localeFor(locales, {});
    const style = choice(options, "style", STYLES, "long");
    const type = choice(options, "type", [...NAMED, "currency", "calendar", "dateTimeField"]);
    if (type === undefined) throw new TypeError("Required option \"type\" must not be undefined");
    if (!NAMED.includes(type)) {
      throw new RangeError(`Intl.DisplayNames of the type ${type} is not there in emu, which has ${NAMED.join(", ")}`);
    }
    const fallback = choice(options, "fallback", ["code", "none"], "code");
    const languageDisplay = choice(options, "languageDisplay", ["dialect", "standard"], "dialect");
    this.#data = data;
    this.#told = JSON.stringify({ type, style, languageDisplay });
    this.#resolved = { locale, style, type, fallback, ...(type === "language" ? { languageDisplay } : {}) };
  }

  of(code) {
    const text = String(code);
    const name = call("name", this.#data, this.#told, text);
    if (name !== "" && name !== text) return name;
    return this.#resolved.fallback === "code" ? text : undefined;
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
}

export const Collator = finish(callable(CollatorOf));
for (const Class of [PluralRules, ListFormat, RelativeTimeFormat, DisplayNames]) finish(Class);
export { DisplayNames, ListFormat, PluralRules, RelativeTimeFormat };
