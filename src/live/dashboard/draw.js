// Draws the timeline: bars with all their parts as long as there are few, pixels by hand when there are thousands. Both
// take some milliseconds at most, whatever there is to see.

import { COLD, FAILED, Timeline } from "./model.js";

export const HEAD = 46;
const AXIS = 26;
const GAP = 10;
const ROW_MAX = 26;
// Up to here each bar is drawn with its parts; beyond, or in rows too low for parts, it is pixels.
const BARS_MAX = 500;
const TICKS_MAX = 6_000;
const ROW_PARTS = 5;

const NAMES = ["idle", "busy", "failed", "cold", "modelled", "draining", "gone", "line", "ink", "ink2", "accent", "surface"];

export function palette(element) {
  const style = getComputedStyle(element);
  const colors = {};
  const words = {};
  for (const name of NAMES) {
    const hex = style.getPropertyValue(`--${name}`).trim();
    colors[name] = hex;
    const n = Number.parseInt(hex.slice(1), 16);
    // As the pixels of an image lie in memory: alpha, blue, green, red.
    words[name] = (0xff000000 | ((n & 0xff) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
  }
  // Of the page's own type size, which grows with the screen.
  const size = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  return { colors, words, font: style.fontFamily, small: Math.round(size * 0.78), hatch: null };
}

// Which lanes stand where, for what is seen between two instants.
export function layout(timeline, from, to, height) {
  const lanes = timeline.shown().map((lane) => {
    let rows = 1;
    let bars = 0;
    for (const one of lane.instances) {
      if (one.start > to || (one.end ?? Infinity) < from) continue;
      bars += 1;
      if (one.row >= rows) rows = one.row + 1;
    }
    return { lane, rows, bars, top: 0, bottom: 0, rowHeight: 0 };
  });
  const free = height - AXIS - lanes.length * (HEAD + GAP);
  const rows = lanes.reduce((sum, one) => sum + one.rows, 0);
  const rowHeight = Math.min(ROW_MAX, Math.max(0.2, free / Math.max(1, rows)));
  let top = 0;
  for (const one of lanes) {
    one.top = top;
    one.rowHeight = one.rows === 1 ? Math.max(rowHeight, 6) : rowHeight;
    one.bottom = top + HEAD + one.rows * one.rowHeight;
    top = one.bottom + GAP;
  }
  return lanes;
}

export function heightFor(lanes, least) {
  return Math.max(least, AXIS + lanes * (HEAD + GAP + 24));
}

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.image = null;
    this.pixels = null;
    this.looks = null;
    this.mode = "parts";
  }

  resize(width, height, scale) {
    this.width = width;
    this.height = height;
    this.scale = scale;
    const w = Math.max(1, Math.round(width * scale));
    const h = Math.max(1, Math.round(height * scale));
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.image = null;
    }
  }

  setLooks(looks) {
    this.looks = looks;
    const tile = document.createElement("canvas");
    tile.width = 6;
    tile.height = 6;
    const c = tile.getContext("2d");
    c.fillStyle = looks.colors.surface;
    c.fillRect(0, 0, 6, 6);
    c.strokeStyle = looks.colors.modelled;
    c.lineWidth = 2;
    for (const at of [-6, 0, 6]) {
      c.beginPath();
      c.moveTo(at - 1, 7);
      c.lineTo(at + 7, -1);
      c.stroke();
    }
    looks.hatch = this.context.createPattern(tile, "repeat");
  }

  // view: from, to, now, factor, keepAlive(name), hover
  draw(timeline, lanes, view) {
    const bars = lanes.reduce((sum, one) => sum + one.bars, 0);
    const [first, end] = timeline.range(view.from);
    const low = lanes.some((one) => one.rowHeight < ROW_PARTS && one.rows > 1);
    this.x = (at) => ((at - view.from) / (view.to - view.from)) * this.width;
    this.mode = low || bars > BARS_MAX || end - first > TICKS_MAX ? "pixels" : "parts";
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.mode === "pixels") {
      this.paintPixels(timeline, lanes, view, first, end);
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      this.axis(view, false);
    } else {
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      context.fillStyle = this.looks.colors.surface;
      context.fillRect(0, 0, this.width, this.height);
      this.axis(view, true);
      this.parts(timeline, lanes, view, first, end);
    }
    for (const one of lanes) this.marks(one, view);
    this.nowLine(view);
    if (view.hover) this.outline(lanes, view.hover);
  }

  parts(timeline, lanes, view, first, end) {
    const context = this.context;
    const { colors } = this.looks;
    const byLane = new Map(lanes.map((one) => [one.lane, one]));
    for (const one of lanes) {
      context.strokeStyle = colors.line;
      context.lineWidth = 1;
      context.beginPath();
      const floor = Math.round(one.bottom) + 0.5;
      context.moveTo(0, floor);
      context.lineTo(this.width, floor);
      context.stroke();
      for (const instance of one.lane.instances) this.bar(one, instance, view);
    }
    for (const pass of [0, FAILED]) {
      context.fillStyle = pass === 0 ? colors.busy : colors.failed;
      for (let index = first; index < end; index += 1) {
        const slot = Timeline.slot(index);
        if ((timeline.tickFlags[slot] & FAILED) !== pass || timeline.tickStart[slot] > view.to) continue;
        const instance = timeline.tickInstance[slot];
        const place = byLane.get(instance.lane);
        if (!place) continue;
        const x0 = this.x(timeline.tickStart[slot]);
        const x1 = this.x(timeline.tickEnd[slot]);
        const y = place.top + HEAD + instance.row * place.rowHeight;
        // A hair apart, so that two that follow one another are two.
        const width = Math.max(1.5, x1 - x0 - (x1 - x0 > 5 ? 1 : 0));
        const inset = pass === FAILED ? 0 : 1;
        context.fillRect(x0, y + inset, width, Math.max(1, place.rowHeight - 1 - 2 * inset));
      }
    }
    context.fillStyle = colors.cold;
    for (let index = first; index < end; index += 1) {
      const slot = Timeline.slot(index);
      if (!(timeline.tickFlags[slot] & COLD) || timeline.tickStart[slot] > view.to) continue;
      const instance = timeline.tickInstance[slot];
      const place = byLane.get(instance.lane);
      if (!place || place.rowHeight < 8) continue;
      this.triangle(this.x(timeline.tickStart[slot]), place.top + HEAD + instance.row * place.rowHeight - 0.5, 4, true);
    }
  }

  bar(place, instance, view) {
    const until = instance.end ?? view.now;
    if (instance.start > view.to || until < view.from) return;
    const context = this.context;
    const { colors, hatch } = this.looks;
    const y = place.top + HEAD + instance.row * place.rowHeight;
    const h = Math.max(1, place.rowHeight - 1);
    const x0 = this.x(instance.start);
    const x1 = Math.max(x0 + 2, this.x(until));
    const ready = this.x(Math.min(until, instance.ready ?? view.now));
    context.fillStyle = colors.idle;
    context.fillRect(x0, y, x1 - x0, h);
    if (instance.drainingFrom !== null) {
      const from = Math.max(x0, this.x(instance.drainingFrom));
      context.fillStyle = colors.draining;
      context.fillRect(from, y, Math.max(2, x1 - from), h);
    }
    if (instance.busyFrom !== null) {
      const from = Math.max(ready, this.x(instance.busyFrom));
      context.fillStyle = colors.busy;
      context.fillRect(from, y + 1, Math.max(1.5, x1 - from), Math.max(1, h - 2));
    }
    // What was waited for while it started: modelled, unless it was measured.
    const slept = ready - x0;
    const measured = Math.max(2.5, (instance.measured * view.factor * this.width) / (view.to - view.from));
    if (slept > 1) {
      context.fillStyle = hatch;
      context.fillRect(x0, y, slept, h);
      context.fillStyle = colors.cold;
      context.fillRect(x0, y, Math.min(measured, slept), h);
    } else {
      const modelled = (instance.modelled * view.factor * this.width) / (view.to - view.from);
      if (modelled > measured) {
        // Reported and billed, and not waited for: it lies above what really happened.
        context.fillStyle = hatch;
        context.fillRect(x0, y, modelled, Math.max(2, h * 0.3));
      }
      context.fillStyle = colors.cold;
      context.fillRect(x0, y, measured, h);
    }
    if (instance.end !== null) {
      context.fillStyle = colors.gone;
      context.fillRect(x1 - 1.5, y, 1.5, h);
    } else if (instance.busyFrom === null && instance.state === "idle") {
      this.forecast(instance, view, x1, y, h);
    }
  }

  // An empty frame up to where an idle instance will vanish.
  forecast(instance, view, x1, y, h) {
    const keep = view.keepAlive(instance.lane.name);
    if (!keep || h < 4) return;
    const until = this.x(Math.max(instance.lastEnd, instance.ready ?? 0) + keep);
    if (until <= x1 + 2 || x1 > this.width) return;
    const context = this.context;
    context.strokeStyle = this.looks.colors.idle;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.strokeRect(x1 + 0.5, y + 0.5, until - x1 - 1, h - 1);
    context.setLineDash([]);
  }

  paintPixels(timeline, lanes, view, first, end) {
    const { canvas, scale } = this;
    const width = canvas.width;
    const height = canvas.height;
    if (!this.image) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const pixels = this.pixels;
    const words = this.looks.words;
    pixels.fill(words.surface);
    const perMs = width / (view.to - view.from);
    const clip = (x) => (x < 0 ? 0 : x > width ? width : x | 0);
    const tops = new Map();
    for (const one of lanes) {
      tops.set(one.lane, one);
      const floor = Math.min(height - 1, Math.round(one.bottom * scale));
      pixels.fill(words.line, floor * width, (floor + 1) * width);
      const step = one.rowHeight * scale;
      const gap = step >= 4 ? 1 : 0;
      const base = (one.top + HEAD) * scale;
      for (const instance of one.lane.instances) {
        const until = instance.end ?? view.now;
        if (instance.start > view.to || until < view.from) continue;
        const y0 = (base + instance.row * step) | 0;
        const y1 = Math.min(height, Math.max(y0 + 1, ((base + (instance.row + 1) * step) | 0) - gap));
        const x0 = clip((instance.start - view.from) * perMs);
        const x1 = Math.min(width, Math.max(x0 + 1, clip((until - view.from) * perMs)));
        const began = Math.max(instance.ready ?? until, instance.start + instance.modelled * view.factor);
        const ready = Math.min(x1, Math.max(x0 + 2, clip((Math.min(until, began) - view.from) * perMs)));
        const busy = instance.busyFrom === null ? x1 : Math.max(ready, clip((instance.busyFrom - view.from) * perMs));
        const rest = instance.drainingFrom === null ? words.idle : words.draining;
        for (let y = y0; y < y1; y += 1) {
          const row = y * width;
          pixels.fill(words.cold, row + x0, row + ready);
          pixels.fill(rest, row + ready, row + x1);
          if (busy < x1) pixels.fill(words.busy, row + busy, row + x1);
        }
      }
    }
    // Failures last, so that none hides behind a success.
    for (const pass of [0, FAILED]) {
      const word = pass === 0 ? words.busy : words.failed;
      for (let index = first; index < end; index += 1) {
        const slot = Timeline.slot(index);
        if ((timeline.tickFlags[slot] & FAILED) !== pass || timeline.tickStart[slot] > view.to) continue;
        const instance = timeline.tickInstance[slot];
        const one = tops.get(instance.lane);
        if (!one) continue;
        const step = one.rowHeight * scale;
        const y0 = ((one.top + HEAD) * scale + instance.row * step) | 0;
        const y1 = Math.min(height, Math.max(y0 + 1, (y0 + step - (step >= 4 ? 1 : 0)) | 0));
        const x0 = clip((timeline.tickStart[slot] - view.from) * perMs);
        const x1 = Math.min(width, Math.max(x0 + 1, clip((timeline.tickEnd[slot] - view.from) * perMs)));
        for (let y = y0; y < y1; y += 1) {
          const row = y * width;
          for (let x = x0; x < x1; x += 1) pixels[row + x] = word;
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Throttles, dead letters and versions, above the bars.
  marks(place, view) {
    const context = this.context;
    const { colors } = this.looks;
    const y = place.top + HEAD - 9;
    const list = place.lane.marks;
    let last = { throttle: -9, dead: -9, version: -9 };
    for (const mark of list) {
      if (mark.at < view.from || mark.at > view.to) continue;
      const x = this.x(mark.at);
      // What would lie on the one before is one with it.
      if (x - last[mark.kind] < 3) continue;
      last = { ...last, [mark.kind]: x };
      if (mark.kind === "throttle") {
        context.fillStyle = colors.failed;
        this.triangle(x, y + 6, 4.5, true);
      } else if (mark.kind === "dead") {
        context.fillStyle = colors.ink;
        context.save();
        context.translate(x, y + 2);
        context.rotate(Math.PI / 4);
        context.fillRect(-3.2, -3.2, 6.4, 6.4);
        context.restore();
      } else {
        context.fillStyle = colors.ink2;
        context.fillRect(x - 0.5, y - 4, 1, place.bottom - y + 4);
        context.font = `${this.looks.small - 1}px ${this.looks.font}`;
        context.fillText(mark.label, x + 3, y + 4);
      }
    }
  }

  // With its point down at (x, y).
  triangle(x, y, size, down) {
    const context = this.context;
    const way = down ? -1 : 1;
    context.beginPath();
    context.moveTo(x, y + size * 0.6);
    context.lineTo(x - size, y + way * size);
    context.lineTo(x + size, y + way * size);
    context.closePath();
    context.fill();
  }

  axis(view, grid) {
    const context = this.context;
    const { colors } = this.looks;
    const y = this.height - AXIS;
    context.fillStyle = colors.surface;
    context.fillRect(0, y, this.width, AXIS);
    context.fillStyle = colors.line;
    context.fillRect(0, y, this.width, 1);
    context.font = `${this.looks.small}px ${this.looks.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const [step, label] = steps(view.to - view.from, this.width);
    const offset = new Date(view.from).getTimezoneOffset() * 60_000;
    for (let at = Math.ceil((view.from - offset) / step) * step + offset; at <= view.to; at += step) {
      const x = Math.round(this.x(at));
      context.fillStyle = colors.line;
      context.fillRect(x, grid ? 0 : y, 1, grid ? y + 5 : 5);
      context.fillStyle = colors.ink2;
      if (x > 30 && x < this.width - 30) context.fillText(label(new Date(at)), x, y + AXIS / 2 + 2);
    }
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
  }

  nowLine(view) {
    if (view.now > view.to) return;
    const x = this.x(view.now);
    this.context.fillStyle = this.looks.colors.accent;
    this.context.fillRect(x - 0.75, 0, 1.5, this.height - AXIS);
  }

  outline(lanes, hover) {
    const place = lanes.find((one) => one.lane === hover.instance.lane);
    if (!place) return;
    const context = this.context;
    const y = place.top + HEAD + hover.instance.row * place.rowHeight;
    const x0 = this.x(hover.instance.start);
    const x1 = Math.max(x0 + 2, this.x(hover.instance.end ?? hover.now));
    context.strokeStyle = this.looks.colors.ink;
    context.lineWidth = 1.5;
    context.strokeRect(x0 - 1, y - 1, x1 - x0 + 2, Math.max(1, place.rowHeight - 1) + 2);
  }
}

const two = (n) => String(n).padStart(2, "0");
const seconds = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
const fine = (d) => `${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
const minutes = (d) => `${two(d.getHours())}:${two(d.getMinutes())}`;
const days = (d) => `${d.getDate()}.${d.getMonth() + 1}. ${minutes(d)}`;

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 144e5,
  216e5, 432e5, 864e5, 1728e5, 6048e5,
];

function steps(span, width) {
  const wanted = (span / Math.max(1, width)) * 110;
  const step = STEPS.find((one) => one >= wanted) || STEPS[STEPS.length - 1];
  if (step < 1_000) return [step, fine];
  if (step < 60_000) return [step, seconds];
  return [step, step < 432e5 ? minutes : days];
}

// What lies at a point: an instance, and the invocation on it.
export function at(timeline, lanes, view, x, y, width) {
  const place = lanes.find((one) => y >= one.top + HEAD && y < one.bottom + 1);
  const time = view.from + (x / width) * (view.to - view.from);
  if (!place) return null;
  const row = Math.min(place.rows - 1, Math.floor((y - place.top - HEAD) / place.rowHeight));
  const pixel = (view.to - view.from) / width;
  const near = place.rowHeight < 3 ? Math.ceil(3 / place.rowHeight) : 0;
  let best = null;
  for (const one of place.lane.instances) {
    if (Math.abs(one.row - row) > near) continue;
    if (one.start - 3 * pixel > time || (one.end ?? view.now) + 3 * pixel < time) continue;
    if (!best || Math.abs(one.row - row) < Math.abs(best.row - row)) best = one;
  }
  if (!best) return null;
  const [first, end] = timeline.range(time - 3 * pixel);
  let tick = null;
  for (let index = first; index < end; index += 1) {
    const slot = Timeline.slot(index);
    if (timeline.tickInstance[slot] !== best || timeline.tickStart[slot] > time + 3 * pixel) continue;
    tick = slot;
    break;
  }
  return { instance: best, tick, time, now: view.now };
}
