// performance: the time within an invocation, marks and measures.

import host from "emu:js/host";
import { structuredClone } from "./clone.js";
import { DOMException } from "./errors.js";
import { EventTarget } from "./events.js";
import { dictionary, needs } from "./idl.js";

const MAKE = Symbol("make");

export class PerformanceEntry {
  #name;
  #type;
  #startTime;
  #duration;

  constructor(key, name, type, startTime, duration) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    this.#name = name;
    this.#type = type;
    this.#startTime = startTime;
    this.#duration = duration;
  }

  get name() {
    return this.#name;
  }

  get entryType() {
    return this.#type;
  }

  get startTime() {
    return this.#startTime;
  }

  get duration() {
    return this.#duration;
  }

  toJSON() {
    const { name, entryType, startTime, duration } = this;
    return this.detail === undefined ? { name, entryType, startTime, duration } : { name, entryType, startTime, duration, detail: this.detail };
  }
}

function detailOf(detail) {
  return detail === undefined || detail === null ? null : structuredClone(detail);
}

export class PerformanceMark extends PerformanceEntry {
  #detail;

  constructor(name, options) {
    needs(1, arguments.length, "PerformanceMark");
    const { startTime = host.elapsedMs(), detail } = dictionary(options, "the options of a mark");
    const start = Number(startTime);
    if (!(start >= 0)) throw new TypeError("startTime must not be negative");
    super(MAKE, String(name), "mark", start, 0);
    this.#detail = detailOf(detail);
  }

  get detail() {
    return this.#detail;
  }
}

export class PerformanceMeasure extends PerformanceEntry {
  #detail;

  constructor(key, name, startTime, duration, detail) {
    super(key, name, "measure", startTime, duration);
    this.#detail = detailOf(detail);
  }

  get detail() {
    return this.#detail;
  }
}

export class Performance extends EventTarget {
  /** Marks and measures in the order they were made. */
  #entries = [];

  constructor(key) {
    if (key !== MAKE) throw new TypeError("Illegal constructor");
    super();
  }

  get timeOrigin() {
    return Date.now() - host.elapsedMs();
  }

  now() {
    return host.elapsedMs();
  }

  mark(name, options) {
    needs(1, arguments.length, "mark");
    const mark = new PerformanceMark(name, options);
    this.#entries.push(mark);
    return mark;
  }

  /** A point in time: a number, or the last mark of that name. */
  #at(point) {
    if (typeof point === "number") return point;
    const mark = this.#entries.findLast((entry) => entry.entryType === "mark" && entry.name === String(point));
    if (mark === undefined) throw new DOMException(`there is no mark "${point}"`, "SyntaxError");
    return mark.startTime;
  }

  measure(name, startOrOptions, endMark) {
    needs(1, arguments.length, "measure");
    const given = typeof startOrOptions === "object" && startOrOptions !== null;
    const { start, end, duration, detail } = given ? startOrOptions : { start: startOrOptions, end: endMark };
    if (given && endMark !== undefined) throw new TypeError("measure takes options or an end mark, not both");
    if (start !== undefined && end !== undefined && duration !== undefined) throw new TypeError("measure takes two of start, end, duration");
    let until;
    if (end !== undefined) until = this.#at(end);
    else if (start !== undefined && duration !== undefined) until = this.#at(start) + duration;
    else until = host.elapsedMs();
    let from = 0;
    if (start !== undefined) from = this.#at(start);
    else if (duration !== undefined) from = until - duration;
    const measure = new PerformanceMeasure(MAKE, String(name), from, until - from, detail);
    this.#entries.push(measure);
    return measure;
  }

  #clear(type, name) {
    this.#entries = this.#entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== String(name)));
  }

  clearMarks(name) {
    this.#clear("mark", name);
  }

  clearMeasures(name) {
    this.#clear("measure", name);
  }

  getEntries() {
    return this.#entries.toSorted((one, other) => one.startTime - other.startTime);
  }

  getEntriesByType(type) {
    return this.getEntries().filter((entry) => entry.entryType === type);
  }

  getEntriesByName(name, type) {
    return this.getEntries().filter((entry) => entry.name === name && (type === undefined || entry.entryType === type));
  }

  toJSON() {
    return { timeOrigin: this.timeOrigin };
  }
}

export const performance = new Performance(MAKE);
