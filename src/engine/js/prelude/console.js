// console. A call becomes one entry of the invocation's log.

import host from "emu:js/host";
import { format, inspect } from "./inspect.js";

const LEVELS = { debug: 0, info: 1, warn: 2, error: 3 };

/** Groups deeper than this are not told apart. */
const INDENT_MAX = 80;

let indent = "";
const counts = new Map();
const began = new Map();

function write(level, text) {
  const shown = indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`);
  host.log(level, shown.toWellFormed());
}

function cell(value) {
  return inspect(value, { depth: 0 });
}

function columnsOf(rows) {
  const names = new Set();
  for (const row of rows) {
    if (typeof row === "object" && row !== null) for (const key of Object.keys(row)) names.add(key);
  }
  return [...names];
}

function table(data, only) {
  if (typeof data !== "object" || data === null) return write(LEVELS.info, format([data]));
  const isMap = data instanceof Map;
  const entries = isMap || data instanceof Set ? [...data].map((row, at) => [at, isMap ? row[1] : row]) : Object.entries(data);
  const rows = entries.map(([, row]) => row);
  const names = only ?? columnsOf(rows);
  const plain = rows.some((row) => typeof row !== "object" || row === null);
  const head = ["(index)", ...names, ...(plain ? ["Values"] : [])];
  const body = entries.map(([index, row]) => {
    const isObject = typeof row === "object" && row !== null;
    const cells = names.map((name) => (isObject && Object.hasOwn(row, name) ? cell(row[name]) : ""));
    return [String(index), ...cells, ...(plain ? [isObject ? "" : cell(row)] : [])];
  });
  const widths = head.map((name, at) => Math.max(name.length, ...body.map((row) => row[at].length)) + 2);
  const line = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  const show = (row) => `│${row.map((text, at) => ` ${text.padEnd(widths[at] - 1)}`).join("│")}│`;
  write(LEVELS.info, [line("┌", "┬", "┐"), show(head), line("├", "┼", "┤"), ...body.map(show), line("└", "┴", "┘")].join("\n"));
}

function sinceText(label) {
  const start = began.get(label);
  return start === undefined ? null : `${label}: ${(host.elapsedMs() - start).toFixed(3)}ms`;
}

export const console = {
  debug: (...args) => write(LEVELS.debug, format(args)),
  log: (...args) => write(LEVELS.info, format(args)),
  info: (...args) => write(LEVELS.info, format(args)),
  warn: (...args) => write(LEVELS.warn, format(args)),
  error: (...args) => write(LEVELS.error, format(args)),
  dir: (value, options) => write(LEVELS.info, inspect(value, options)),
  dirxml: (...args) => write(LEVELS.info, format(args)),
  table,
  trace(...args) {
    const stack = new Error().stack.split("\n").slice(1).join("\n");
    write(LEVELS.error, `Trace: ${format(args)}\n${stack}`.trimEnd());
  },
  assert(condition, ...args) {
    if (condition) return;
    if (args.length === 0) write(LEVELS.error, "Assertion failed");
    else if (typeof args[0] === "string") write(LEVELS.error, format([`Assertion failed: ${args[0]}`, ...args.slice(1)]));
    else write(LEVELS.error, format(["Assertion failed:", ...args]));
  },
  group(...args) {
    if (args.length > 0) write(LEVELS.info, format(args));
    if (indent.length < INDENT_MAX) indent += "  ";
  },
  groupCollapsed: (...args) => console.group(...args),
  groupEnd() {
    indent = indent.slice(2);
  },
  count(label = "default") {
    const count = (counts.get(label) ?? 0) + 1;
    counts.set(label, count);
    write(LEVELS.info, `${label}: ${count}`);
  },
  countReset(label = "default") {
    if (!counts.delete(label)) write(LEVELS.warn, `no such count: ${label}`);
  },
  time(label = "default") {
    if (began.has(label)) write(LEVELS.warn, `the timer ${label} runs already`);
    else began.set(label, host.elapsedMs());
  },
  timeLog(label = "default", ...args) {
    const text = sinceText(label);
    write(text === null ? LEVELS.warn : LEVELS.info, text === null ? `no such timer: ${label}` : [text, format(args)].join(" ").trimEnd());
  },
  timeEnd(label = "default") {
    const text = sinceText(label);
    write(text === null ? LEVELS.warn : LEVELS.info, text ?? `no such timer: ${label}`);
    began.delete(label);
  },
  timeStamp() {},
  profile() {},
  profileEnd() {},
};

Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
