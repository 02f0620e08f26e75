// Invocations: the list with its filters, and one of them with all there is to know.

import { get, part, post } from "./api.js";
import { fill, guest, h, keyed, text } from "./dom.js";
import { asForm, exchange, replayButton, testFile } from "./exchange.js";
import { clock, count, day, decimal, megabytes, millis, money, price, shortId } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { action, back, badge, outcomeBadge, select } from "./parts.js";
import { requestForm, sentAs } from "./request.js";

const SHOWN = 200;

export function invocationRows(body, list, withFunction) {
  keyed(
    body,
    list,
    (one) => one.id,
    (one) => {
      const cells = [
        h("td", { class: "figures quiet" }, clock(one.time, true)),
        withFunction ? h("td", {}, guest(one.function)) : null,
        h("td", { class: "what" }, h("a", { href: `#/invocations/${part(one.id)}` }, guest(one.summary))),
        h("td", {}, outcomeBadge(one), one.status ? ` ${one.status}` : ""),
        h("td", {}, one.cold ? badge("cold", t("cold")) : ""),
        h("td", { class: "figures number" }, millis(one.duration_ms)),
        h("td", { class: "figures number quiet" }, money(one.cost)),
        h("td", { class: "bad why" }, one.error ? guest(one.error.message).slice(0, 160) : ""),
      ];
      return h("tr", { data: { id: one.id, outcome: one.outcome } }, cells);
    },
    null,
  );
}

class Invocations {
  constructor(root) {
    this.filter = { function: "", outcome: "", cold: "", trigger: "", text: "" };
    this.older = [];
    this.body = h("tbody");
    this.many = h("span", { class: "quiet figures" });
    this.shown = [];
    this.recording = h("div");
    this.filters = h("form", { class: "bar filters", onsubmit: (event) => event.preventDefault() });
    const heads = ["time", "function", "what", "outcome", "start", "duration", "cost", "error"];
    fill(
      root,
      h("h1", { class: "unseen" }, t("nav.invocations")),
      this.filters,
      this.recording,
      h("section", { class: "sheet scroll" }, h("table", { class: "list" }, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col", class: one === "duration" || one === "cost" ? "number" : "" }, t(`col.${one}`))))), this.body)),
    );
    this.controls();
    this.load();
    this.update();
  }

  controls() {
    const names = [...live.functions.keys()].map((name) => [name, guest(name)]);
    const pick = (key) => (value) => {
      this.filter[key] = value;
      if (key === "function") this.load();
      this.update();
    };
    const search = h("input", { id: "search", type: "search", placeholder: t("filter.text"), "aria-label": t("filter.text"), oninput: (event) => pick("text")(event.target.value.toLowerCase()) });
    fill(
      this.filters,
      select("by-function", t("col.function"), [["", t("filter.all")], ...names], pick("function"), this.filter.function),
      select("by-outcome", t("col.outcome"), [["", t("filter.all")], ["good", t("outcome.succeeded")], ["bad", t("filter.bad")]], pick("outcome"), this.filter.outcome),
      select("by-start", t("col.start"), [["", t("filter.all")], ["cold", t("cold")], ["warm", t("warm")]], pick("cold"), this.filter.cold),
      select("by-trigger", t("col.trigger"), [["", t("filter.all")], ...["http", "queue", "topic", "cron", "async"].map((one) => [one, t(`trigger.${one}`)])], pick("trigger"), this.filter.trigger),
      search,
      this.many,
      action(t("kept.test"), () => testFile(this.recording, this.shown), { id: "as-test" }),
    );
    this.known = live.functions.size;
  }

  load() {
    const by = this.filter.function ? `&function=${part(this.filter.function)}` : "";
    get(`invocations?limit=1000${by}`)
      .then((list) => {
        this.older = list;
        this.update();
      })
      .catch(() => {});
  }

  fits(one) {
    const { filter } = this;
    if (filter.function && one.function !== filter.function) return false;
    if (filter.outcome && (one.outcome === "succeeded") !== (filter.outcome === "good")) return false;
    if (filter.cold && one.cold !== (filter.cold === "cold")) return false;
    if (filter.trigger && one.trigger !== filter.trigger) return false;
    if (!filter.text) return true;
    const words = `${one.id} ${one.function} ${one.summary} ${one.outcome} ${one.status ?? ""} ${one.error ? one.error.message : ""}`;
    return words.toLowerCase().includes(filter.text);
  }

  update() {
    if (this.known !== live.functions.size) this.controls();
    const seen = new Set();
    const found = [];
    let all = 0;
    for (const one of [...live.invocations].reverse().concat(this.older)) {
      if (seen.has(one.id)) continue;
      seen.add(one.id);
      if (!this.fits(one)) continue;
      all += 1;
      if (found.length < SHOWN) found.push(one);
    }
    this.shown = found.map((one) => one.id);
    invocationRows(this.body, found, true);
    text(this.many, all ? t(all > SHOWN ? "filter.newest" : "filter.many", { n: all, shown: found.length }) : t("filter.none"));
  }

  destroy() {}
}

class One {
  constructor(root, id) {
    this.id = id;
    this.root = root;
    this.place = h("div", { class: "stack" });
    fill(root, back("#/invocations", t("nav.invocations")), this.place);
    this.arrived = (event) => {
      if (event.detail.id === id) this.load();
    };
    live.addEventListener("invocation", this.arrived);
    fill(this.place, h("p", { class: "quiet" }, t("one.loading")));
    this.load();
  }

  async load() {
    try {
      const [one, bill] = await Promise.all([get(`invocations/${part(this.id)}`), get("bill")]);
      this.show(one, bill);
      get(`why/${part(this.id)}`).then((why) => fill(this.chain, chain(why.root))).catch(() => fill(this.chain, h("p", { class: "quiet" }, t("one.nochain"))));
    } catch (error) {
      fill(this.place, h("h1", {}, t("one.title")), h("p", { class: "quiet" }, error.status === 404 ? t("one.missing") : t("error.unreachable")));
    }
  }

  show(one, bill) {
    this.chain = h("div", { class: "chain" });
    const again = h("div");
    fill(
      this.place,
      h("div", { class: "title" }, h("h1", {}, guest(one.summary)), outcomeBadge(one), one.status ? badge("plain", String(one.status)) : null, badge(one.cold ? "cold" : "plain", t(one.cold ? "cold" : "warm"))),
      h("p", { class: "quiet" },
        h("a", { href: `#/functions/${part(one.function)}` }, guest(one.function)), ` v${one.version} · ${t(`trigger.${one.trigger}`)} · ${day(one.time)} ${clock(one.time, true)} · `,
        one.instance ? `${t("col.instance")} #${one.instance} · ` : "", h("code", {}, one.id)),
      one.error ? h("section", { class: "sheet" }, h("h2", { class: "bad" }, t("one.error")), h("pre", { class: "problem" }, guest(one.error.message), "\n", one.error.stack ? one.error.stack.map((line) => `${guest(line)}\n`) : "")) : null,
      h("section", { class: "sheet" }, h("h2", {}, t("one.time")), phases(one)),
      h("div", { class: "columns" },
        h("section", { class: "sheet" }, h("h2", {}, t("one.bill")), billLines(one, bill)),
        h("section", { class: "sheet" }, h("h2", {}, t("one.log")), logLines(one)),
      ),
      exchange(one),
      h("section", { class: "sheet" }, h("h2", {}, t("one.chain")), this.chain),
      this.resend(one, again),
    );
  }

  resend(one, place) {
    if (!live.functions.has(one.function)) return null;
    const replay = one.request ? replayButton(one) : null;
    if (one.trigger === "cron") {
      const name = live.crons.find((cron) => cron.function === one.function)?.name;
      const fire = name ? action(t("queues.fire"), () => post(`crons/${part(name)}/fire`), { class: "main", id: "again" }) : null;
      fill(place, fire, replay);
      return fire || replay ? h("section", { class: "sheet" }, h("h2", {}, t("one.again")), place) : null;
    }
    const known = sentAs(one.id) || asForm(one);
    const match = one.trigger === "http" && /^([A-Z]+) (\/.*)$/.exec(one.summary);
    const first = known || (match && { kind: "http", method: match[1], path: match[2] });
    if (!first && !replay) return null;
    fill(place, first ? requestForm(one.function, first) : null, first && !known ? h("p", { class: "quiet" }, t("one.notkept")) : null, replay);
    return h("section", { class: "sheet", id: "again" }, h("h2", {}, t("one.again")), place);
  }

  update() {}

  destroy() {
    live.removeEventListener("invocation", this.arrived);
  }
}

// The stretches of an invocation's time, each with its share of a bar.
function phases(one) {
  const slept = live.health && live.health.cold_starts === "sleep";
  const parts = [
    { name: "modelled", ms: one.cold ? one.modelled_init_ms : 0, note: t(slept ? "phase.slept" : "phase.reported") },
    { name: "measured", ms: one.cold ? one.init_ms : 0, note: t("phase.measured") },
    { name: "run", ms: one.duration_ms, note: t("phase.run") },
  ].filter((part) => part.ms > 0);
  const all = parts.reduce((sum, part) => sum + part.ms, 0) || 1;
  const bars = parts.map((part) => {
    const bar = h("span", { class: `phase ${part.name}${one.outcome === "succeeded" ? "" : " failed"}`, title: `${t(`phase.${part.name}.name`)}: ${millis(part.ms)}` });
    bar.style.flexGrow = String(Math.max(0.004, part.ms / all));
    return bar;
  });
  return [
    h("div", { class: "phases", role: "img", "aria-label": parts.map((part) => `${t(`phase.${part.name}.name`)} ${millis(part.ms)}`).join(", ") }, bars),
    h("table", { class: "tight" }, h("tbody", {}, parts.map((part) => h("tr", {}, h("td", {}, h("i", { class: `swatch phase ${part.name}${one.outcome === "succeeded" ? "" : " failed"}` }), t(`phase.${part.name}.name`)), h("td", { class: "number figures" }, millis(part.ms)), h("td", { class: "quiet" }, part.note))))),
  ];
}

function billLines(one, bill) {
  const rules = bill.rules;
  if (!one.billed_ms || !rules) return h("p", { class: "quiet" }, t("bill.nothing"));
  const row = (what, value, rule) => h("tr", {}, h("td", {}, what), h("td", { class: "number figures" }, value), h("td", { class: "quiet" }, rule));
  const init = one.cold ? one.modelled_init_ms || one.init_ms : 0;
  const cpu = rules.billed === "cpu";
  const time = [t(cpu ? "rule.cpu" : rules.shares_instance_time ? "rule.shared" : "rule.time", { ms: millis(one.duration_ms) })];
  if (init > 0) time.push(rules.bills_init ? t("rule.init", { ms: millis(init) }) : t("rule.noinit"));
  time.push(t("rule.step", { ms: count(rules.step_ms) }));
  if (rules.min_ms > rules.step_ms) time.push(t("rule.min", { ms: count(rules.min_ms) }));
  const rows = [row(t(cpu ? "bill.cputime" : "bill.time"), `${count(one.billed_ms)} ms`, time.join("; "))];
  if (rules.memory !== "unbilled") rows.push(row(t("bill.memory"), megabytes(one.memory_mb), t(`rule.memory.${rules.memory}`)));
  const gb = (one.billed_ms / 1000) * (one.memory_mb / 1024);
  if (rules.gb_second > 0) rows.push(row(t("bill.compute"), money(gb * rules.gb_second), `${decimal(gb, 4)} GB-s × ${price(rules.gb_second)}`));
  const requests = rules.request;
  const rest = one.cost - gb * rules.gb_second - requests;
  if (cpu || rules.vcpu_second > 0) rows.push(row(t(cpu ? "bill.cputime" : "bill.vcpu"), money(rest), cpu ? `${count(one.billed_ms)} ms × ${price(rules.cpu_ms)}` : t("rule.vcpu", { price: price(rules.vcpu_second) })));
  rows.push(row(t("bill.request"), money(requests), t("rule.request", { price: money(requests * 1e6) })));
  rows.push(h("tr", { class: "total" }, h("td", {}, t("bill.total")), h("td", { class: "number figures" }, money(one.cost)), h("td", { class: "quiet" }, t("rule.total", { provider: bill.provider_name }))));
  return h("table", { class: "tight bill" }, h("tbody", {}, rows));
}

function logLines(one) {
  if (!one.log.length) return h("p", { class: "quiet" }, t("one.nolog"));
  const lines = one.log.map((line) => h("div", { class: `line ${line.stream}` }, h("span", { class: "stream" }, line.stream), h("span", {}, guest(line.text))));
  return h("div", { class: "log" }, lines, one.log_dropped ? h("p", { class: "quiet" }, t("one.cut", { n: one.log_dropped })) : null);
}

// What led to it and what came of it, as a tree.
function chain(hop) {
  const link = hop.kind === "invocation" ? `#/invocations/${part(hop.id)}` : null;
  const what = link && !hop.asked ? h("a", { href: link }, guest(hop.what)) : h("b", {}, guest(hop.what));
  const head = h(
    "div",
    { class: `hop${hop.asked ? " asked" : ""}` },
    hop.how ? h("span", { class: "quiet" }, `${guest(hop.how)}: `) : null,
    what,
    hop.outcome ? [" ", h("span", { class: hop.outcome === "succeeded" ? "good" : "bad" }, t(`outcome.${hop.outcome}`))] : null,
    hop.time ? h("span", { class: "quiet figures" }, ` ${clock(hop.time)}`) : null,
    h("span", { class: "quiet" }, ` …${shortId(hop.id)}`),
    hop.error ? h("div", { class: "bad" }, guest(hop.error)) : null,
  );
  const then = (hop.then || []).map((next) => h("li", {}, next.hop ? chain(next.hop) : h("div", { class: "step" }, h("span", { class: "figures quiet" }, `${clock(next.step.time)} `), guest(next.step.what), next.step.rule ? h("span", { class: "quiet" }, ` (${guest(next.step.rule)})`) : null)));
  return h("div", {}, head, then.length ? h("ul", {}, then) : null, hop.more ? h("p", { class: "quiet" }, t("one.more", { n: hop.more })) : null);
}

// The chain of a message, or of anything else that has an id.
class Why {
  constructor(root, id) {
    const place = h("div", { class: "chain" });
    fill(root, back("#/queues", t("nav.queues")), h("h1", {}, t("one.chain")), h("section", { class: "sheet" }, place));
    get(`why/${part(id)}`)
      .then((why) => fill(place, chain(why.root)))
      .catch(() => fill(place, h("p", { class: "quiet" }, t("one.nochain"))));
  }

  update() {}
  destroy() {}
}

export function why(root, [id]) {
  return new Why(root, id);
}

export function view(root, [id]) {
  return id ? new One(root, id) : new Invocations(root);
}
