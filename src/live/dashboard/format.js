// Figures as people read them, in the page's language.

import { locale } from "./i18n.js";

const cache = new Map();

function number(digits, more) {
  const key = locale() + digits + JSON.stringify(more || "");
  let format = cache.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, ...more });
    cache.set(key, format);
  }
  return format;
}

export function count(n) {
  return number(0).format(n);
}

export function decimal(n, digits = 1) {
  return number(digits, { minimumFractionDigits: digits }).format(n);
}

export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const digits = share > 0 && share < 0.1 ? 1 : 0;
  return number(digits, { style: "percent" }).format(share);
}

// Of a second: 3.2 a second, 1,240 a second.
export function rate(n) {
  return n >= 100 ? count(n) : decimal(n, n >= 10 || n === 0 ? 0 : 1);
}

// A measured or modelled time.
export function millis(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms >= 120_000) return span(ms);
  if (ms >= 1000) return `${decimal(ms / 1000, ms >= 10_000 ? 1 : 2)} s`;
  if (ms >= 100 || ms === 0) return `${count(Math.round(ms))} ms`;
  return `${decimal(ms, ms >= 10 ? 1 : 2)} ms`;
}

// A stretch of time in two units: 4 min 10 s.
export function span(ms) {
  const seconds = Math.round(ms / 1000);
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const parts = [];
  let rest = Math.max(0, seconds);
  for (const [size, name] of units) {
    const many = Math.floor(rest / size);
    rest -= many * size;
    if (many > 0) parts.push(`${many} ${name}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ") || (ms > 0 ? millis(Math.min(ms, 999)) : "0 s");
}

export function megabytes(mb) {
  return mb >= 100 || mb === 0 ? `${count(mb)} MB` : `${decimal(mb)} MB`;
}

// Dollars; small ones with as many digits as they need to be something.
export function money(dollars) {
  if (dollars === null || dollars === undefined) return "–";
  if (dollars === 0) return "$0";
  const size = Math.abs(dollars);
  const digits = size >= 100 ? 0 : size >= 1 ? 2 : Math.min(10, Math.ceil(-Math.log10(size)) + 1);
  const text = number(digits, { minimumFractionDigits: size >= 1 ? Math.min(2, digits) : 0 }).format(size);
  return `${dollars < 0 ? "−" : ""}$${text}`;
}

// A price as the price list has it.
export function price(dollars) {
  return `$${number(12).format(dollars)}`;
}

// An instant of emu's clock, in the browser's zone.
export function clock(at, withMillis) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "–";
  const two = (n) => String(n).padStart(2, "0");
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return withMillis ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

export function day(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "–";
  return new Intl.DateTimeFormat(locale(), { weekday: "short", day: "numeric", month: "short" }).format(date);
}

// The end of an id, which is what tells one from another.
export function shortId(id) {
  const tail = String(id).split("-").pop().replace(/^0+/, "");
  return tail || "0";
}
