// Intl.NumberFormat.

import { bag, call, callable, choice, finish, keyword, localeFor, toParts } from "./intl.js";
import { digitOptions, numeral } from "./intl_digits.js";

const UNIT = /^[a-z]+(-[a-z]+)*$/;

/** The formatting and the resolved options of style, currency and unit. */
function styleOptions(options) {
  const style = choice(options, "style", ["decimal", "percent", "currency", "unit"], "decimal");
  const currency = choice(options, "currency");
  if (currency === undefined) {
    if (style === "currency") throw new TypeError("Currency code is required with currency style.");
  } else if (!/^[A-Za-z]{3}$/.test(currency)) {
    throw new RangeError(`Invalid currency code : ${currency}`);
  }
  const currencyDisplay = choice(options, "currencyDisplay", ["code", "symbol", "narrowSymbol", "name"], "symbol");
  const currencySign = choice(options, "currencySign", ["standard", "accounting"], "standard");
  const unit = choice(options, "unit");
  if (unit === undefined) {
    if (style === "unit") throw new TypeError("Unit is required with unit style.");
  } else if (!UNIT.test(unit)) {
    throw new RangeError(`Invalid unit argument for Intl.NumberFormat() '${unit}'`);
  }
  const unitDisplay = choice(options, "unitDisplay", ["short", "narrow", "long"], "short");
  if (style === "currency") return { style, currency: currency.toUpperCase(), currencyDisplay, currencySign };
  return style === "unit" ? { style, unit, unitDisplay } : { style };
}

function groupingOption(options, notation) {
  const fallback = notation === "compact" ? "min2" : "auto";
  const value = options.useGrouping;
  if (value === undefined) return fallback;
  if (value === true) return "always";
  if (!value) return false;
  const text = String(value);
  if (text === "true" || text === "false") return fallback;
  return choice(options, "useGrouping", ["min2", "auto", "always"], fallback);
}

const FormatOf = class NumberFormat {
  #locale;
  #data;
  #told;
  #resolved;
  #bound;

  constructor(locales, given) {
    const options = bag(given);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const { locale, data } = localeFor(locales, { nu: keyword(options, "numberingSystem") });
    const style = styleOptions(options);
    const notation = choice(options, "notation", ["standard", "scientific", "engineering", "compact"], "standard");
    const isMoney = style.style === "currency" && notation === "standard";
    const own = isMoney ? Number(call("currency-digits", "", "", style.currency)) : 0;
    const most = isMoney ? own : style.style === "percent" ? 0 : 3;
    const { digits, resolved, rounding } = digitOptions(options, own, most, notation);
    const compactDisplay = choice(options, "compactDisplay", ["short", "long"], "short");
    const grouping = groupingOption(options, notation);
    const signs = ["auto", "never", "always", "exceptZero", "negative"];
    const signDisplay = choice(options, "signDisplay", signs, "auto");
    const told = { ...style, notation, compactDisplay, grouping: grouping || "never", signDisplay, digits };
    this.#locale = locale;
    this.#data = data;
    this.#told = JSON.stringify(told);
    const { numberingSystem } = JSON.parse(call("number-resolve", data, this.#told, ""));
    const compact = notation === "compact" ? { compactDisplay } : {};
    const rest = { ...style, ...resolved, useGrouping: grouping, notation, ...compact, signDisplay, ...rounding };
    this.#resolved = { locale, numberingSystem, ...rest };
  }

  get format() {
    this.#bound ??= (value) => call("number", this.#data, this.#told, numeral(value));
    return this.#bound;
  }

  formatToParts(value) {
    return toParts(call("number-parts", this.#data, this.#told, numeral(value)));
  }

  formatRange(start, end) {
    const [from, to] = [this.#end(start), this.#end(end)];
    return from === to ? `~${from}` : `${from}–${to}`;
  }

  #end(value) {
    const text = numeral(value);
    if (text === "NaN" || value === undefined) throw new RangeError("Invalid number value");
    return call("number", this.#data, this.#told, text);
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
};

export const NumberFormat = finish(callable(FormatOf));
