// The global Intl, and the methods of numbers, dates, arrays and texts that follow a locale.

import { call, choice, negotiate } from "./intl.js";
import { DateTimeFormat, dateFormat } from "./intl_date.js";
import { Locale } from "./intl_locale.js";
import { NumberFormat } from "./intl_number.js";
import { Collator, DisplayNames, ListFormat, PluralRules, RelativeTimeFormat } from "./intl_text.js";

const UNITS = ["day", "gram", "hour", "kilogram", "liter", "meter", "microsecond", "millisecond", "minute", "month"];
const VALUES = {
  calendar: () => ["gregory"],
  collation: () => ["default"],
  numberingSystem: () => ["adlm", "arab", "arabext", "beng", "deva", "latn", "mymr", "thai", "tibt"],
  timeZone: () => JSON.parse(call("zones", "", "", "")),
  unit: () => [...UNITS, "nanosecond", "percent", "second", "week", "year"],
};

function define(target, values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

export const Intl = {};
define(Intl, {
  Collator,
  DateTimeFormat,
  DisplayNames,
  ListFormat,
  Locale,
  NumberFormat,
  PluralRules,
  RelativeTimeFormat,
  getCanonicalLocales: (locales) => [...negotiate(locales).list],
  supportedValuesOf: (key) => VALUES[choice({ key }, "key", Object.keys(VALUES))](),
});
Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });

/** Formatters without options, by locale: most calls of `toLocaleString` are such. */
const plain = new Map();
const PLAIN_MAX = 32;

function kept(kind, locales, options, make) {
  if (options !== undefined || (locales !== undefined && typeof locales !== "string")) return make();
  const key = `${kind} ${locales}`;
  let made = plain.get(key);
  if (made === undefined) {
    made = make();
    if (plain.size >= PLAIN_MAX) plain.clear();
    plain.set(key, made);
  }
  return made;
}

function dated(name, required, defaults) {
  return {
    [name](locales, options) {
      const ms = Date.prototype.getTime.call(this);
      if (Number.isNaN(ms)) return "Invalid Date";
      return kept(name, locales, options, () => dateFormat(locales, options, required, defaults)).format(ms);
    },
  }[name];
}

/** Turkish and its relatives have an i with and one without a dot. */
function dotted(locales) {
  return ["tr", "az"].includes(negotiate(locales).list[0]?.split("-")[0]);
}

function numbered(valueOf) {
  return {
    toLocaleString(locales, options) {
      const value = valueOf.call(this);
      return kept("number", locales, options, () => new NumberFormat(locales, options)).format(value);
    },
  }.toLocaleString;
}

/** Replaces what QuickJS has, which knows no locale. */
export function installIntl() {
  define(globalThis, { Intl });
  define(Number.prototype, { toLocaleString: numbered(Number.prototype.valueOf) });
  define(BigInt.prototype, { toLocaleString: numbered(BigInt.prototype.valueOf) });
  define(Date.prototype, {
    toLocaleString: dated("toLocaleString", "any", "all"),
    toLocaleDateString: dated("toLocaleDateString", "date", "date"),
    toLocaleTimeString: dated("toLocaleTimeString", "time", "time"),
  });
  const methods = {
    localeCompare(that, locales, options) {
      const [left, right] = [String(this), String(that)];
      return kept("collate", locales, options, () => new Collator(locales, options)).compare(left, right);
    },
    toLocaleUpperCase(locales) {
      const text = String(this);
      return (dotted(locales) ? text.replaceAll("i", "İ") : text).toUpperCase();
    },
    toLocaleLowerCase(locales) {
      const text = String(this);
      return (dotted(locales) ? text.replaceAll("İ", "i").replaceAll("I", "ı") : text).toLowerCase();
    },
  };
  define(String.prototype, methods);
  const listed = {
    toLocaleString(locales, options) {
      const show = (item) => (item === undefined || item === null ? "" : String(item.toLocaleString(locales, options)));
      return Array.from({ length: this.length }, (_, at) => show(this[at])).join(",");
    },
  };
  define(Array.prototype, listed);
  define(Object.getPrototypeOf(Uint8Array.prototype), listed);
}
