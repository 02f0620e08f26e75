// Intl.DateTimeFormat, in the Gregorian calendar.

import { bag, call, callable, choice, finish, flag, keyword, localeFor, toParts, whole } from "./intl.js";

const WIDTHS = ["narrow", "short", "long"];
const NUMBERS = ["2-digit", "numeric"];
const ZONE_NAMES = ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"];
const STYLES = ["full", "long", "medium", "short"];
const FIELDS = {
  weekday: WIDTHS,
  era: WIDTHS,
  year: NUMBERS,
  month: [...NUMBERS, ...WIDTHS],
  day: NUMBERS,
  dayPeriod: WIDTHS,
  hour: NUMBERS,
  minute: NUMBERS,
  second: NUMBERS,
};
const OF_DATE = ["weekday", "year", "month", "day"];
const OF_TIME = ["dayPeriod", "hour", "minute", "second", "fractionalSecondDigits"];

/** The fields to show: those asked for, or those that are shown when nothing is. */
function fieldOptions(options, required, defaults) {
  const fields = {};
  for (const [name, allowed] of Object.entries(FIELDS)) {
    const value = choice(options, name, allowed);
    if (value !== undefined) fields[name] = value;
  }
  const fraction = whole(options.fractionalSecondDigits, "fractionalSecondDigits", 1, 3);
  if (fraction !== undefined) fields.fractionalSecondDigits = fraction;
  const zoneName = choice(options, "timeZoneName", ZONE_NAMES);
  if (zoneName !== undefined) fields.timeZoneName = zoneName;
  const dateStyle = choice(options, "dateStyle", STYLES);
  const timeStyle = choice(options, "timeStyle", STYLES);
  if (dateStyle !== undefined || timeStyle !== undefined) {
    const [name] = Object.keys(fields);
    if (name !== undefined) {
      throw new TypeError(`Can't set option ${name} when ${dateStyle === undefined ? "timeStyle" : "dateStyle"} is used`);
    }
    if (required === "date" && timeStyle !== undefined) throw new TypeError("Invalid option : timeStyle");
    if (required === "time" && dateStyle !== undefined) throw new TypeError("Invalid option : dateStyle");
    return { dateStyle, timeStyle };
  }
  const has = (names) => names.some((name) => fields[name] !== undefined);
  const found = (required !== "time" && has(OF_DATE)) || (required !== "date" && has(OF_TIME));
  if (!found && defaults !== "time") Object.assign(fields, { year: "numeric", month: "numeric", day: "numeric" });
  if (!found && defaults !== "date") Object.assign(fields, { hour: "numeric", minute: "numeric", second: "numeric" });
  return fields;
}

/** What `resolvedOptions` says of the fields: minutes and seconds beside hours have two digits. */
function resolvedFields(fields) {
  const resolved = { ...fields };
  if (resolved.hour !== undefined || (resolved.minute !== undefined && resolved.second !== undefined)) {
    for (const name of ["minute", "second"]) if (resolved[name] !== undefined) resolved[name] = "2-digit";
  }
  return resolved;
}

/** Milliseconds as text. */
function instant(value) {
  const ms = value === undefined ? Date.now() : Number(value);
  if (!(Math.abs(ms) <= 8.64e15)) throw new RangeError("Invalid time value");
  return String(Math.trunc(ms) + 0);
}

const FormatOf = class DateTimeFormat {
  #data;
  #told;
  #resolved;
  #bound;

  constructor(locales, given, required = "any", defaults = "date") {
    const options = bag(given);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    keyword(options, "calendar");
    const nu = keyword(options, "numberingSystem");
    const hour12 = flag(options, "hour12");
    const asked = choice(options, "hourCycle", ["h11", "h12", "h23", "h24"]);
    const { locale, data, values } = localeFor(locales, { hc: hour12 === undefined ? asked : undefined, nu });
    const zone = options.timeZone === undefined ? "UTC" : call("zone", "", "", String(options.timeZone));
    const fields = fieldOptions(options, required, defaults);
    const hourCycle = hour12 === undefined ? (values.hc ?? "") : hour12 ? "h12" : "h23";
    this.#data = data;
    this.#told = JSON.stringify({ ...fields, hourCycle, timeZone: zone });
    const made = JSON.parse(call("date-resolve", data, this.#told, ""));
    const cycle = made.hourCycle === null ? {} : { hourCycle: made.hourCycle, hour12: /h1/.test(made.hourCycle) };
    const { numberingSystem } = made;
    const { dateStyle, timeStyle, ...rest } = resolvedFields(fields);
    this.#resolved = { locale, calendar: "gregory", numberingSystem, timeZone: zone, ...cycle, ...rest };
    if (dateStyle !== undefined) this.#resolved.dateStyle = dateStyle;
    if (timeStyle !== undefined) this.#resolved.timeStyle = timeStyle;
  }

  get format() {
    this.#bound ??= (value) => call("date", this.#data, this.#told, instant(value));
    return this.#bound;
  }

  formatToParts(value) {
    return toParts(call("date-parts", this.#data, this.#told, instant(value)));
  }

  formatRange(start, end) {
    const parts = this.formatRangeToParts(start, end);
    return parts.map((part) => part.value).join("");
  }

  formatRangeToParts(start, end) {
    if (start === undefined || end === undefined) throw new TypeError("startDate or endDate cannot be undefined");
    const marked = (value, source) => this.formatToParts(value).map((part) => ({ ...part, source }));
    const from = marked(start, "startRange");
    const to = marked(end, "endRange");
    if (from.every((part, at) => part.value === to[at]?.value)) return from.map((part) => ({ ...part, source: "shared" }));
    return [...from, { type: "literal", value: "\u2009–\u2009", source: "shared" }, ...to];
  }

  resolvedOptions() {
    return { ...this.#resolved };
  }
};

/** For `Date.prototype.toLocale...String`: which fields must be there, and which are when none is asked for. */
export function dateFormat(locales, options, required, defaults) {
  return new FormatOf(locales, options, required, defaults);
}

export const DateTimeFormat = finish(callable(FormatOf));
