// The timeline: when instances start, work, idle and vanish.

import { post } from "./api.js";
import { Painter, at, heightFor, layout, palette } from "./draw.js";
import { fill, guest, h, keyed, say, text } from "./dom.js";
import { clock, count, millis, rate, shortId, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { COLD, FAILED } from "./model.js";
import { action } from "./parts.js";

// What is seen at first, of the machine's time.
const SPAN_MS = 40_000;
const SPAN_MIN_MS = 200;
const SPAN_MAX_MS = 90 * 86_400_000;
// Frames that come this far apart tell of a busy machine; it is spared for so long.
const BUSY_GAP_MS = 26;
const SPARSE_MS = 3_000;
// Room on the right of now, where idle instances show when they will go.
const AHEAD = 0.09;

export class TimelineView {
  constructor(root) {
    this.span = SPAN_MS * (live.factor || 15);
    this.factor = live.factor;
    this.to = 0;
    this.follow = true;
    this.paused = false;
    this.hover = null;
    this.lanes = [];
    this.heads = new Map();
    this.painted = 0;
    this.drawn = 0;
    this.last = 0;
    this.gap = 16;
    this.sparseUntil = 0;
    this.frame = 0;
    this.dirty = true;
    this.build(root);
    this.painter = new Painter(this.canvas);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
    this.relook = () => this.look();
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.relook);
    document.addEventListener("emu-theme", this.relook);
    this.changed = () => {
      this.dirty = true;
    };
    live.addEventListener("change", this.changed);
    this.resize();
    this.look();
    this.loop = (now) => {
      this.frame = requestAnimationFrame(this.loop);
      this.tick(now);
    };
    this.frame = requestAnimationFrame(this.loop);
  }

  build(root) {
    const button = (name, key, action) =>
      h("button", { class: "tool", type: "button", "aria-label": t(name), title: `${t(name)} (${key})`, onclick: action });
    this.pauseButton = button("timeline.pause", "p", () => this.setPaused(!this.paused));
    this.followButton = button("timeline.follow", "f", () => this.setFollow(true));
    const out = button("timeline.out", "−", () => this.zoom(1.6));
    const into = button("timeline.in", "+", () => this.zoom(1 / 1.6));
    this.pauseButton.textContent = t("timeline.pause");
    this.followButton.textContent = t("timeline.follow");
    out.textContent = "−";
    into.textContent = "+";
    this.range = h("span", { class: "range figures" });
    // Time stands still with a manual clock, until somebody moves it.
    const move = (words, body) => action(words, () => post("clock", body), { class: "tool", data: { advance: JSON.stringify(body) } });
    this.manual = h(
      "div",
      { class: "tools", role: "group", "aria-label": t("manual.label"), hidden: true },
      h("span", { class: "quiet" }, t("manual.label")),
      ["1m", "10m", "1h", "1d"].map((by) => move(`+${by.replace("m", " min").replace("h", " h").replace("d", " d")}`, { advance: by })),
      move(t("manual.idle"), { run_until_idle: "1h" }),
    );
    this.canvas = h("canvas", {
      tabIndex: 0,
      role: "img",
      "aria-label": t("timeline.label"),
      "aria-describedby": "timeline-keys",
      onkeydown: (event) => this.key(event),
    });
    this.overlay = h("div", { class: "lanes" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.empty = h("div", { class: "hint", hidden: true });
    this.stage = h("div", { class: "stage" }, this.canvas, this.overlay, this.empty, this.tip);
    this.table = h("tbody");
    const head = ["instance", "function", "state", "age", "served", "reason"].map((key) => h("th", { scope: "col" }, t(`col.${key}`)));
    this.details = h(
      "details",
      { class: "sheet", ontoggle: () => this.rows() },
      h("summary", {}, t("timeline.table")),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), this.table)),
    );
    fill(
      root,
      h("h1", { class: "unseen" }, t("nav.timeline")),
      h(
        "div",
        { class: "bar" },
        h("div", { class: "tools", role: "group", "aria-label": t("timeline.tools") }, this.pauseButton, this.followButton, out, into),
        this.manual,
        this.range,
        legend(),
      ),
      this.stage,
      h("p", { class: "unseen", id: "timeline-keys" }, t("timeline.keys")),
      this.details,
    );
    this.pointers();
  }

  pointers() {
    const stage = this.stage;
    let drag = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("a, button")) return;
      drag = { x: event.clientX, to: this.to, moved: false };
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (drag) {
        const dx = event.clientX - drag.x;
        if (Math.abs(dx) > 3) drag.moved = true;
        if (drag.moved) {
          this.setFollow(false);
          this.to = drag.to - (dx / this.width) * this.span;
          this.dirty = true;
        }
      }
      this.point(event);
    });
    stage.addEventListener("pointerup", () => {
      if (drag && !drag.moved) this.click();
      drag = null;
    });
    stage.addEventListener("pointercancel", () => {
      drag = null;
    });
    stage.addEventListener("pointerleave", () => this.leave());
    stage.addEventListener("dblclick", () => this.setFollow(true));
    stage.addEventListener(
      "wheel",
      (event) => {
        // The page scrolls as it always does; with Ctrl or Shift, or sideways, the timeline moves.
        if (event.ctrlKey || event.metaKey) {
          event.preventDefault();
          this.zoom(Math.exp(event.deltaY * 0.003), event.clientX - this.left());
        } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          event.preventDefault();
          this.pan(((event.deltaX || event.deltaY) / this.width) * this.span);
        } else if (document.documentElement.scrollHeight <= innerHeight + 4) {
          event.preventDefault();
          this.zoom(Math.exp(event.deltaY * 0.0015), event.clientX - this.left());
        }
      },
      { passive: false },
    );
  }

  left() {
    return this.stage.getBoundingClientRect().left;
  }

  // The instant at the right edge.
  right() {
    if (this.follow && !this.paused) this.to = live.now() + this.span * AHEAD;
    return this.to;
  }

  setPaused(paused) {
    this.right();
    this.paused = paused;
    if (!paused) this.follow = true;
    text(this.pauseButton, t(paused ? "timeline.resume" : "timeline.pause"));
    this.pauseButton.setAttribute("aria-pressed", String(paused));
    this.dirty = true;
  }

  setFollow(follow) {
    if (follow && this.paused) this.setPaused(false);
    this.follow = follow;
    this.followButton.setAttribute("aria-pressed", String(follow));
    this.dirty = true;
  }

  zoom(by, x) {
    const to = this.right();
    const next = Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS, this.span * by));
    if (!this.follow || this.paused) {
      const share = 1 - (x ?? this.width / 2) / this.width;
      this.to = to - share * this.span + share * next;
    }
    this.span = next;
    this.dirty = true;
  }

  pan(ms) {
    this.right();
    this.setFollow(false);
    this.to += ms;
    this.dirty = true;
  }

  key(event) {
    const step = this.span / 8;
    const keys = {
      ArrowLeft: () => this.pan(-step),
      ArrowRight: () => this.pan(step),
      "+": () => this.zoom(1 / 1.6),
      "=": () => this.zoom(1 / 1.6),
      "-": () => this.zoom(1.6),
      p: () => this.setPaused(!this.paused),
      " ": () => this.setPaused(!this.paused),
      f: () => this.setFollow(true),
    };
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  look() {
    this.painter.setLooks(palette(document.body));
    this.dirty = true;
  }

  resize() {
    const least = Math.max(280, innerHeight - this.stage.getBoundingClientRect().top - scrollY - 78);
    const height = Math.round(heightFor(live.timeline.shown().length, least));
    this.width = this.stage.clientWidth;
    if (this.height !== height) {
      this.height = height;
      this.stage.style.height = `${height}px`;
    }
    this.painter.resize(this.width, this.height, Math.min(2, devicePixelRatio || 1));
    this.dirty = true;
  }

  // Of a frame: drawn when time goes on or something changed.
  tick(now) {
    if (live.factor !== this.factor && live.factor > 0 && this.factor > 0) {
      this.span = Math.min(SPAN_MAX_MS, (this.span * live.factor) / this.factor);
      this.factor = live.factor;
    }
    // A machine that misses frames has better things to do than to draw all of them; ten a second still flow.
    this.gap = 0.95 * this.gap + 0.05 * Math.min(200, now - this.last);
    this.last = now;
    if (this.gap > BUSY_GAP_MS) this.sparseUntil = now + SPARSE_MS;
    const moving = this.follow && !this.paused && live.connection === "live" && live.factor > 0;
    const due = now >= this.sparseUntil || now - this.drawn >= 100;
    if ((moving || this.dirty) && due) {
      this.drawn = now;
      this.draw();
    }
    if (now - this.painted > 250) {
      this.manual.hidden = live.clockName !== "manual";
      this.painted = now;
      this.labels();
    }
  }

  draw() {
    this.dirty = false;
    const timeline = live.timeline;
    const to = this.right();
    const view = {
      from: to - this.span,
      to,
      now: live.now(),
      factor: live.factor || 1,
      keepAlive: (name) => {
        const known = live.functions.get(name);
        return known && known.min_instances === 0 ? known.keep_alive_ms : 0;
      },
      hover: this.hover,
    };
    this.view = view;
    this.lanes = layout(timeline, view.from, view.to, this.height);
    this.painter.draw(timeline, this.lanes, view);
  }

  // What stands in words: names and figures of the lanes, the stretch that is seen, the table.
  labels() {
    if (Math.abs(heightFor(live.timeline.shown().length, 0) - this.height) > 2) this.resize();
    keyed(
      this.overlay,
      this.lanes,
      (place) => place.lane.name,
      (place) => laneHead(place.lane.name),
      (row, place) => {
        row.style.transform = `translateY(${Math.round(place.top)}px)`;
        const counts = live.timeline.counts(place.lane);
        const rates = live.rates.over(place.lane.name);
        const all = counts.starting + counts.busy + counts.idle + counts.draining;
        row.dataset.instances = String(all);
        row.dataset.cold = String(place.lane.cold);
        text(row.querySelector(".many"), t("lane.instances", { n: all }));
        text(row.querySelector(".now"), states(counts));
        text(row.querySelector(".rate"), rates.perSecond > 0 ? t("lane.rate", { rate: rate(rates.perSecond) }) : "");
        text(row.querySelector(".cold"), place.lane.cold ? t("lane.cold", { n: place.lane.cold }) : "");
      },
    );
    text(this.range, `${span(this.span)} · ${clock(this.view ? this.view.from : 0)} – ${clock(this.view ? this.view.to : 0)}`);
    const nothing = live.timeline.instances.size === 0;
    this.empty.hidden = !nothing;
    if (nothing) text(this.empty, t(live.timeline.lanes.size ? "timeline.empty" : "timeline.none"));
    const counts = live.timeline.counts();
    const words = states(counts) || t("state.none");
    this.canvas.setAttribute("aria-label", `${t("timeline.label")}: ${words}`);
    this.rows();
  }

  rows() {
    if (!this.details.open) return;
    const all = [...live.timeline.instances.values()];
    // Those that are there, then the last that went.
    all.sort((a, b) => (a.end === null) !== (b.end === null) ? (a.end === null ? -1 : 1) : b.id - a.id);
    const now = live.now();
    keyed(
      this.table,
      all.slice(0, 200),
      (one) => one.id,
      (one) =>
        h(
          "tr",
          { data: { instance: String(one.id) } },
          h("td", { class: "figures" }, `#${one.id}`),
          h("td", {}, guest(one.lane.name)),
          h("td", {}, h("span", { class: "dot" }), h("span", { class: "word" })),
          h("td", { class: "figures" }),
          h("td", { class: "figures" }),
          h("td", {}),
        ),
      (row, one) => {
        const state = one.end !== null ? "gone" : one.busyFrom !== null && one.state === "idle" ? "busy" : one.state;
        row.dataset.state = state;
        text(row.querySelector(".word"), t(`state.${state}`));
        text(row.cells[3], span((one.end ?? now) - one.start));
        text(row.cells[4], count(one.served));
        text(row.cells[5], one.reason ? reason(one.reason) : "");
      },
    );
  }

  point(event) {
    const box = this.stage.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const found = this.view ? at(live.timeline, this.lanes, this.view, x, y, this.width) : null;
    this.hover = found;
    this.dirty = true;
    this.stage.classList.toggle("over", Boolean(found && found.tick !== null));
    if (!found) {
      this.tip.hidden = true;
      return;
    }
    fill(this.tip, tipLines(found));
    this.tip.hidden = false;
    const width = this.tip.offsetWidth;
    const left = Math.min(Math.max(4, x + 14), Math.max(4, this.width - width - 4));
    const below = y + this.tip.offsetHeight + 24 < this.height;
    this.tip.style.transform = `translate(${left}px, ${below ? y + 16 : Math.max(0, y - this.tip.offsetHeight - 12)}px)`;
  }

  leave() {
    this.hover = null;
    this.tip.hidden = true;
    this.dirty = true;
  }

  click() {
    const tick = this.hover && this.hover.tick;
    if (tick === null || tick === undefined) return;
    location.hash = `#/invocations/${encodeURIComponent(live.timeline.tickId[tick])}`;
  }

  update() {
    this.dirty = true;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.relook);
    document.removeEventListener("emu-theme", this.relook);
    live.removeEventListener("change", this.changed);
  }
}

function laneHead(name) {
  return h(
    "div",
    { class: "lane", data: { function: name } },
    h("a", { class: "name", href: `#/functions/${encodeURIComponent(name)}` }, guest(name)),
    h("span", { class: "many figures" }),
    h("span", { class: "now" }),
    h("span", { class: "rate figures" }),
    h("span", { class: "cold figures" }),
  );
}

function states(counts) {
  return ["starting", "busy", "idle", "draining"]
    .filter((state) => counts[state] > 0)
    .map((state) => t(`count.${state}`, { n: counts[state] }))
    .join(", ");
}

// emu's reasons in the page's language where it knows them.
export function reason(words) {
  const known = [
    [/^idle for (.+)$/, "reason.idle"],
    [/^replaced by version (\d+)$/, "reason.replaced"],
    [/^provider update$/, "reason.update"],
    [/^scaled down$/, "reason.scaled"],
    [/^its function was removed$/, "reason.removed"],
    [/^its init failed$/, "reason.init"],
    [/^reset after a crash or timeout$/, "reason.crashed"],
  ];
  for (const [pattern, key] of known) {
    const match = pattern.exec(words);
    if (match) return t(key, { what: match[1] ?? "" });
  }
  return guest(words);
}

function tipLines({ instance, tick, now }) {
  const state = instance.end !== null ? "gone" : instance.busyFrom !== null && instance.state === "idle" ? "busy" : instance.state;
  const lines = [
    h("b", {}, `${guest(instance.lane.name)} #${instance.id}`, h("span", { class: "quiet" }, ` v${instance.version}`)),
    h("div", {}, `${t(`state.${state}`)} · ${span((instance.end ?? now) - instance.start)} · ${t("tip.served", { n: instance.served })}`),
  ];
  if (instance.modelled > 0 || instance.measured > 0) {
    lines.push(h("div", { class: "cold" }, t("tip.start", { measured: millis(instance.measured), modelled: millis(instance.modelled) })));
  }
  if (instance.reason) lines.push(h("div", {}, reason(instance.reason)));
  if (tick !== null) {
    const timeline = live.timeline;
    const flags = timeline.tickFlags[tick];
    const id = timeline.tickId[tick];
    const known = live.invocations.findLast((one) => one.id === id);
    const took = known ? known.duration_ms : (timeline.tickEnd[tick] - timeline.tickStart[tick]) / (live.factor || 1);
    lines.push(
      h(
        "div",
        { class: flags & FAILED ? "bad" : "" },
        `${known ? guest(known.summary) : `…${shortId(id)}`} · ${millis(took)} · ${t(flags & COLD ? "cold" : "warm")}`,
        known && known.outcome !== "succeeded" ? ` · ${t(`outcome.${known.outcome}`)}` : "",
      ),
      h("div", { class: "quiet" }, t("tip.open")),
    );
  }
  return lines;
}

function legend() {
  const item = (kind) => h("span", { class: "key" }, h("i", { class: `swatch ${kind}`, "aria-hidden": "true" }), t(`legend.${kind}`));
  return h("div", { class: "legend" }, ["cold", "modelled", "busy", "idle", "draining", "failed", "throttle", "dead"].map(item));
}

// The one that is on the screen.
export let shown = null;

export function view(root) {
  shown = new TimelineView(root);
  say(t("nav.timeline"));
  return shown;
}
