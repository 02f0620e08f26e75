// How many digits numbers get, for Intl.NumberFormat and Intl.PluralRules, by the algorithm of their standard.

import { choice, whole } from "./intl.js";

const MODES = ["ceil", "floor", "expand", "trunc", "halfCeil", "halfFloor", "halfExpand", "halfTrunc", "halfEven"];

/** `{digits, resolved}`: what the host is told, and what `resolvedOptions` says. */
export function digitOptions(options, leastDefault, mostDefault, notation) {
  const minimumIntegerDigits = whole(options.minimumIntegerDigits, "minimumIntegerDigits", 1, 21, 1);
  const { minimumFractionDigits: least, maximumFractionDigits: most } = options;
  const { minimumSignificantDigits: leastAll, maximumSignificantDigits: mostAll } = options;
  const increment = whole(options.roundingIncrement, "roundingIncrement", 1, 5000, 1);
  if (increment !== 1) throw new RangeError("roundingIncrement other than 1 is not there in emu");
  const mode = choice(options, "roundingMode", MODES, "halfExpand");
  const priority = choice(options, "roundingPriority", ["auto", "morePrecision", "lessPrecision"], "auto");
  const trailing = choice(options, "trailingZeroDisplay", ["auto", "stripIfInteger"], "auto");
  const digits = {
    minInteger: minimumIntegerDigits,
    minFraction: 0,
    maxFraction: 0,
    minSignificant: 0,
    maxSignificant: 0,
    mode,
    priority,
    stripIfInteger: trailing === "stripIfInteger",
    compact: false,
  };
  const resolved = { minimumIntegerDigits };
  const bySignificance = leastAll !== undefined || mostAll !== undefined;
  const byFraction = least !== undefined || most !== undefined;
  const needsFraction = priority !== "auto" || !(bySignificance || (!byFraction && notation === "compact"));
  if (bySignificance || priority !== "auto") {
    digits.minSignificant = whole(leastAll, "minimumSignificantDigits", 1, 21, 1);
    digits.maxSignificant = whole(mostAll, "maximumSignificantDigits", digits.minSignificant, 21, 21);
  }
  if (needsFraction) {
    let low = whole(least, "minimumFractionDigits", 0, 100);
    let high = whole(most, "maximumFractionDigits", 0, 100);
    if (low === undefined) {
      low = Math.min(leastDefault, high ?? leastDefault);
    } else if (high === undefined) {
      high = Math.max(mostDefault, low);
    } else if (low > high) {
      throw new RangeError("maximumFractionDigits value is out of range.");
    }
    digits.minFraction = low;
    digits.maxFraction = high ?? Math.max(mostDefault, low);
    resolved.minimumFractionDigits = digits.minFraction;
    resolved.maximumFractionDigits = digits.maxFraction;
  }
  if (digits.maxSignificant > 0) {
    resolved.minimumSignificantDigits = digits.minSignificant;
    resolved.maximumSignificantDigits = digits.maxSignificant;
  }
  if (!needsFraction && !bySignificance) {
    digits.compact = true;
    Object.assign(resolved, { minimumSignificantDigits: 1, maximumSignificantDigits: 2 });
    Object.assign(resolved, { minimumFractionDigits: 0, maximumFractionDigits: 0 });
  }
  const rounding = {
    roundingMode: mode,
    roundingIncrement: 1,
    trailingZeroDisplay: trailing,
    roundingPriority: digits.compact ? "morePrecision" : priority,
  };
  return { digits, resolved, rounding };
}

/** A value to format as the text that the host reads. */
export function numeral(value) {
  if (typeof value === "object" || typeof value === "function") value = toPrimitive(value);
  if (typeof value === "string") {
    const text = value.trim();
    // Digits of a text are kept, even where a number could not hold them.
    if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(text)) return text;
    value = Number(text);
  }
  if (typeof value === "bigint") return String(value);
  const number = Number(value);
  return Object.is(number, -0) ? "-0" : String(number);
}

function toPrimitive(object) {
  if (object === null) return 0;
  const value = object[Symbol.toPrimitive]?.("number") ?? object.valueOf();
  return typeof value === "object" ? String(object) : value;
}
