// Functions: what each of them does at the moment, and one of them with all there is to know.

import { get, part } from "./api.js";
import { fill, guest, h, keyed, text } from "./dom.js";
import { count, megabytes, millis, money, percent, rate, span } from "./format.js";
import { t } from "./i18n.js";
import { invocationRows } from "./invocations.js";
import { live } from "./live.js";
import { back, badge, drawLine, empty, meter, sparkline } from "./parts.js";
import { requestForm } from "./request.js";

const WINDOW_MS = 60_000;

// The last figures of a function: by the sums of the last minute, else by the last invocations that are known.
export function figures(name) {
  const sums = live.rates.over(name, WINDOW_MS);
  const recent = live.invocations.filter((one) => one.function === name).slice(-200);
  const memory = recent.reduce((most, one) => Math.max(most, one.max_memory_mb), 0);
  if (sums.invocations > 0) return { ...sums, perSecond: live.rates.over(name).perSecond, memory };
  const took = recent.filter((one) => one.instance !== null).map((one) => one.duration_ms).sort((a, b) => a - b);
  const rank = (share) => (took.length ? took[Math.min(took.length - 1, Math.ceil(share * took.length) - 1)] : null);
  return { perSecond: 0, p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), memory };
}

class Functions {
  constructor(root) {
    this.list = h("div", { class: "cards" });
    this.costs = undefined;
    this.asked = -1e9;
    fill(root, h("h1", { class: "unseen" }, t("nav.functions")), this.list);
    this.update();
  }

  update() {
    const all = [...live.functions.values()];
    if (all.length === 0 && live.health) fill(this.list, empty(t("functions.none")));
    keyed(this.list, all, (one) => one.name, card, (element, one) => element.__set(one, this.costs && (this.costs.get(one.name) ?? null)));
    this.bill();
  }

  bill() {
    if (performance.now() - this.asked < 2_000) return;
    this.asked = performance.now();
    get("bill")
      .then((bill) => {
        this.costs = new Map(bill.functions.map((one) => [one.name, one]));
        this.update();
      })
      .catch(() => {});
  }

  destroy() {}
}

function states(name) {
  return live.states.get(name) || { instances: 0, busy: 0, starting: 0, waiting: 0 };
}

export function stateBadge(one) {
  if (one.error) return badge("bad", t(one.version ? "functions.broken" : "functions.nothing"));
  if (one.version === null) return badge("warn", t("functions.building"));
  return badge("good", `v${one.version}`);
}

function meters() {
  return {
    rate: meter(t("figure.rate"), "rate"),
    latency: meter(t("figure.latency"), "latency"),
    errors: meter(t("figure.errors"), "errors"),
    cold: meter(t("figure.cold"), "cold"),
    concurrency: meter(t("figure.concurrency"), "concurrency"),
    memory: meter(t("figure.memory"), "memory"),
    cost: meter(t("figure.cost"), "cost"),
  };
}

function setMeters(m, one, cost) {
  const f = figures(one.name);
  const state = states(one.name);
  const counted = { invocations: state.invocations ?? one.invocations, errors: state.errors ?? one.errors, cold: state.cold_starts ?? one.cold_starts, throttles: state.throttles ?? one.throttles };
  m.rate.set(rate(f.perSecond), t("figure.invocations", { n: counted.invocations }));
  m.latency.set(millis(f.p50), `p95 ${millis(f.p95)} · p99 ${millis(f.p99)}`);
  const share = counted.invocations ? counted.errors / counted.invocations : 0;
  m.errors.set(count(counted.errors), (counted.invocations ? percent(share) : "") + (counted.throttles ? ` · ${t("figure.throttled", { n: counted.throttles })}` : ""), counted.errors ? "bad" : "");
  m.cold.set(counted.invocations ? percent(counted.cold / counted.invocations) : "–", t("lane.cold", { n: counted.cold }), counted.cold ? "cold" : "");
  const limit = one.max_concurrency === null ? "" : ` / ${count(one.max_concurrency)}`;
  m.concurrency.set(`${count(state.busy)}${limit}`, t("lane.instances", { n: state.instances }) + (state.waiting ? ` · ${t("figure.waiting", { n: state.waiting })}` : ""));
  m.memory.set(f.memory ? megabytes(f.memory) : "–", t("figure.of", { what: megabytes(one.memory_mb) }));
  // Unknown until the bill has been asked for; a function that never ran is not in it.
  m.cost.set(cost === undefined ? "–" : money(cost ? cost.cost_before_free : 0), cost && cost.per_million ? t("figure.million", { cost: money(cost.per_million) }) : "");
}

function card(one) {
  const m = meters();
  const state = h("span");
  const line = sparkline(live.rates.line(one.name));
  const problem = h("pre", { class: "problem", hidden: true });
  const routes = h("div", { class: "routes" });
  const element = h(
    "article",
    { class: "sheet card", data: { function: one.name } },
    h("header", {}, h("h2", {}, h("a", { href: `#/functions/${part(one.name)}` }, guest(one.name))), state, line),
    h("div", { class: "figures-grid" }, Object.values(m).map((each) => each.element)),
    routes,
    problem,
  );
  element.__set = (now, cost) => {
    const next = stateBadge(now);
    if (state.textContent !== next.textContent) fill(state, next);
    setMeters(m, now, cost);
    drawLine(line, live.rates.line(now.name));
    problem.hidden = !now.error;
    text(problem, now.error ? guest(now.error) : "");
    const words = triggers(now).join(" · ");
    text(routes, words);
  };
  return element;
}

function triggers(one) {
  return [
    ...one.routes.map(guest),
    ...(one.queue ? [t("functions.queue", { name: guest(one.queue) })] : []),
    ...(one.topic ? [t("functions.topic", { name: guest(one.topic) })] : []),
    ...one.crons.map((cron) => t("functions.cron", { schedule: guest(cron.schedule) })),
  ];
}

class OneFunction {
  constructor(root, name) {
    this.name = name;
    this.meters = meters();
    this.state = h("span");
    this.problem = h("pre", { class: "problem", hidden: true });
    this.facts = h("dl", { class: "facts" });
    this.links = h("div", { class: "links" });
    this.rows = h("tbody");
    this.form = h("div");
    this.costs = undefined;
    this.asked = -1e9;
    fill(
      root,
      back("#/functions", t("nav.functions")),
      h("div", { class: "title" }, h("h1", {}, guest(name)), this.state),
      this.problem,
      h("section", { class: "sheet figures-grid wide" }, Object.values(this.meters).map((each) => each.element)),
      h("div", { class: "columns" },
        h("section", { class: "sheet" }, h("h2", {}, t("functions.send")), this.form),
        h("section", { class: "sheet" }, h("h2", {}, t("functions.about")), this.links, this.facts),
      ),
      h("section", { class: "sheet" }, h("h2", {}, t("functions.recent")), h("div", { class: "scroll" }, h("table", {}, h("tbody", {}), this.rows))),
    );
    this.update();
  }

  update() {
    const one = live.functions.get(this.name);
    if (!one) {
      if (live.health && !this.missing) {
        this.missing = true;
        fill(this.form, h("p", { class: "quiet" }, t("functions.gone")));
      }
      return;
    }
    if (!this.formed) {
      this.formed = true;
      fill(this.form, requestForm(this.name));
    }
    fill(this.state, stateBadge(one));
    this.problem.hidden = !one.error;
    text(this.problem, one.error ? guest(one.error) : "");
    setMeters(this.meters, one, this.costs);
    const about = JSON.stringify([one.urls, one.source, one.runtime, one.memory_mb, one.timeout_ms, one.keep_alive_ms, one.concurrency, one.min_instances, one.isolation]);
    if (about !== this.about) {
      this.about = about;
      this.describe(one);
    }
    invocationRows(this.rows, live.invocations.filter((each) => each.function === this.name).slice(-12).reverse(), false);
    if (performance.now() - this.asked > 2_000) {
      this.asked = performance.now();
      get("bill")
        .then((bill) => {
          this.costs = bill.functions.find((each) => each.name === this.name) ?? null;
          this.update();
        })
        .catch(() => {});
    }
  }

  describe(one) {
    fill(this.links, one.urls.map((url) => h("div", {}, h("a", { href: url.includes("{") ? undefined : safe(url), target: "_blank", rel: "noreferrer noopener" }, guest(url)))));
    const fact = (name, value) => [h("dt", {}, t(`fact.${name}`)), h("dd", {}, value)];
    fill(
      this.facts,
      fact("source", h("code", {}, guest(one.source))),
      triggers(one).length ? fact("triggers", triggers(one).map((words) => h("div", {}, words))) : null,
      fact("runtime", guest(one.runtime)),
      fact("memory", megabytes(one.memory_mb)),
      fact("timeout", span(one.timeout_ms)),
      fact("keep_alive", span(one.keep_alive_ms)),
      fact("concurrency", count(one.concurrency)),
      one.min_instances ? fact("min_instances", count(one.min_instances)) : null,
      fact("isolation", t(`isolation.${one.isolation}`)),
    );
  }

  destroy() {}
}

// An address of emu's own, never one with another scheme.
function safe(url) {
  return url.startsWith("http://") ? url : undefined;
}

export function view(root, [name]) {
  return name ? new OneFunction(root, name) : new Functions(root);
}
