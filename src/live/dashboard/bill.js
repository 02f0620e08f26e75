// The bill: what it cost, what the same would cost elsewhere, on a server that always runs, and in a month.

import { get, part } from "./api.js";
import { fill, guest, h } from "./dom.js";
import { count, decimal, millis, money, percent, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { empty, figure, meter, select } from "./parts.js";

class Bill {
  constructor(root) {
    this.provider = "";
    this.place = h("div", { class: "stack" });
    this.asked = 0;
    fill(root, h("h1", { class: "unseen" }, t("nav.bill")), this.place);
    this.load();
    this.timer = setInterval(() => this.load(), 2_000);
  }

  async load() {
    if (live.connection === "lost") return;
    try {
      const bill = await get(`bill${this.provider ? `?provider=${part(this.provider)}` : ""}`);
      const now = JSON.stringify(bill);
      if (now === this.known) return;
      this.known = now;
      this.show(bill);
    } catch {
      // It is asked for again in a moment.
    }
  }

  show(bill) {
    const chosen = document.activeElement && document.activeElement.id;
    const providers = [[bill.provider, bill.provider_name], ...bill.other_providers.map((one) => [one.provider, one.name])];
    providers.sort((a, b) => a[1].localeCompare(b[1]));
    const pick = select("provider", t("bill.prices"), providers.map(([id, name]) => [id, id === bill.emulated ? `${name} ✓` : name]), (id) => {
      this.provider = id;
      this.known = "";
      this.load();
    }, bill.provider);
    if (bill.functions.length === 0) {
      const together = this.group();
      fill(this.place, h("div", { class: "bar" }, pick), together && h("section", { class: "sheet figures-grid wide" }, together), empty(t("bill.none")));
      return;
    }
    const total = bill.total;
    const month = bill.month;
    fill(
      this.place,
      h("div", { class: "bar" }, pick, h("span", { class: "quiet" }, `${guest(bill.plan)}, ${guest(bill.region)}, ${guest(bill.prices_of)}`)),
      h("section", { class: "sheet figures-grid wide" },
        figure(t("bill.sofar"), money(total.cost_before_free), t("bill.requests", { n: total.requests })),
        figure(t("bill.afterfree"), money(total.cost), total.base ? t("bill.withbase", { cost: money(total.base) }) : ""),
        figure(t("bill.million"), total.per_million === null ? "–" : money(total.per_million), t("bill.millionnote")),
        month ? figure(t("bill.month"), money(month.cost), t("bill.monthnote", { time: span(month.hours_seen * 3_600_000), n: month.requests })) : null,
        this.group(),
      ),
      h("div", { class: "columns" },
        h("section", { class: "sheet" }, h("h2", {}, t("bill.elsewhere")), compare(bill)),
        h("section", { class: "sheet" }, h("h2", {}, t("bill.free")), free(bill)),
      ),
      h("section", { class: "sheet" }, h("h2", {}, t("bill.functions")), h("div", { class: "scroll" }, functions(bill))),
      h("section", { class: "sheet" }, h("h2", {}, t("bill.servers")), h("p", { class: "quiet" }, t("bill.serversnote")), h("div", { class: "scroll" }, servers(bill))),
      h("details", { class: "sheet" }, h("summary", {}, t("bill.assumptions")), h("ul", { lang: "en" }, bill.assumptions.map((one) => h("li", {}, guest(one))))),
    );
    if (chosen === "provider") document.getElementById("provider").focus();
  }

  // What all members of the group came to; nothing of it when there is none.
  group() {
    this.together = null;
    if (live.members.length < 2) return null;
    this.together = meter(t("bill.group"), "group");
    this.sum();
    return this.together.element;
  }

  sum() {
    const cost = live.members.reduce((all, one) => all + one.cost_before_free, 0);
    this.together.set(money(cost), t("bill.groupnote", { n: live.members.length }));
  }

  update() {
    // Where there is a bill, it gets or loses the group's figure as members come and go.
    if (this.together && live.members.length > 1) this.sum();
    else if (Boolean(this.together) !== live.members.length > 1) this.known = "";
  }

  destroy() {
    clearInterval(this.timer);
  }
}

// Every provider and every server by the month, as bars of one scale.
function compare(bill) {
  const rows = [];
  const month = bill.month;
  if (month) {
    rows.push({ name: bill.provider_name, cost: month.cost, kind: "own" });
    for (const one of month.other_providers) rows.push({ name: one.name, cost: one.cost, kind: "other" });
    for (const one of bill.always_on) rows.push({ name: one.name, what: one.what, cost: one.monthly, kind: "server" });
  } else {
    rows.push({ name: bill.provider_name, cost: bill.total.cost_before_free, kind: "own" });
    for (const one of bill.other_providers) rows.push({ name: one.name, cost: one.cost_before_free, kind: "other" });
  }
  rows.sort((a, b) => a.cost - b.cost);
  const most = Math.max(...rows.map((one) => one.cost), 1e-12);
  const bar = (one) => {
    const fillBar = h("span", { class: `fill ${one.kind}` });
    fillBar.style.width = `${Math.max(0.3, (one.cost / most) * 100)}%`;
    return h("tr", { class: one.kind }, h("td", {}, guest(one.name), one.what ? h("div", { class: "quiet" }, guest(one.what)) : null), h("td", { class: "grow" }, h("div", { class: "track" }, fillBar)), h("td", { class: "number figures" }, money(one.cost)));
  };
  return [h("p", { class: "quiet" }, t(month ? "bill.amonth" : "bill.now")), h("table", { class: "bars" }, h("tbody", {}, rows.map(bar)))];
}

function free(bill) {
  const rules = bill.rules;
  const month = bill.month;
  const times = month && bill.total.requests ? month.requests / bill.total.requests : 0;
  const rows = [];
  const add = (name, used, all, unit) => {
    if (all <= 0) return;
    const share = used / all;
    const fillBar = h("span", { class: `fill ${share > 1 ? "over" : "own"}` });
    fillBar.style.width = `${Math.min(100, Math.max(0.3, share * 100))}%`;
    rows.push(h("tr", {}, h("td", {}, name), h("td", { class: "grow" }, h("div", { class: "track" }, fillBar), h("div", { class: "quiet figures" }, t("bill.freeof", { used: short(used), all: short(all), unit }))), h("td", { class: "number figures" }, percent(share))));
  };
  const scale = times || 1;
  add(t("bill.freerequests"), bill.total.requests * scale, rules.free_requests, t("bill.unit.requests"));
  add(t("bill.freecompute"), bill.total.gb_seconds * scale, rules.free_gb_seconds, "GB-s");
  if (rules.billed === "cpu") add(t("bill.cputime"), bill.total.billed_ms * scale, rules.free_cpu_ms, "ms");
  if (!rows.length) return h("p", { class: "quiet" }, t("bill.nofree"));
  return [h("p", { class: "quiet" }, t(times ? "bill.freemonth" : "bill.freenow")), h("table", { class: "bars" }, h("tbody", {}, rows))];
}

function short(n) {
  return n >= 1_000 ? count(n) : decimal(n, n >= 10 ? 0 : 2);
}

function functions(bill) {
  const head = ["function", "requests", "billed", "gbs", "before", "after", "million"];
  return h(
    "table",
    { class: "list" },
    h("thead", {}, h("tr", {}, head.map((one, at) => h("th", { scope: "col", class: at ? "number" : "" }, t(`bill.col.${one}`))))),
    h("tbody", {}, bill.functions.map((one) => h("tr", {}, h("td", {}, h("a", { href: `#/functions/${part(one.name)}` }, guest(one.name))), [count(one.requests), one.billed_ms >= 10_000 ? span(one.billed_ms) : millis(one.billed_ms), decimal(one.gb_seconds, one.gb_seconds < 10 ? 4 : 1), money(one.cost_before_free), money(one.cost), one.per_million === null ? "–" : money(one.per_million)].map((cell) => h("td", { class: "number figures" }, cell))))),
  );
}

function servers(bill) {
  const month = bill.month;
  return h(
    "table",
    { class: "list" },
    h("thead", {}, h("tr", {}, ["server", "hour", "amonth", "breakeven", "verdict"].map((one, at) => h("th", { scope: "col", class: at && at < 4 ? "number" : "" }, t(`bill.col.${one}`))))),
    h("tbody", {}, bill.always_on.map((one) => {
      const cheaper = month ? (month.cost < one.monthly ? t("bill.functionscheaper", { times: times(one.monthly / Math.max(month.cost, 1e-9)) }) : t("bill.servercheaper", { times: times(month.cost / one.monthly) })) : "";
      return h("tr", {}, h("td", {}, guest(one.name), h("div", { class: "quiet" }, guest(one.what))), h("td", { class: "number figures" }, `$${decimal(one.hourly, 4)}`), h("td", { class: "number figures" }, money(one.monthly)), h("td", { class: "number figures" }, one.break_even_requests_per_hour === null ? "–" : t("bill.perhour", { n: one.break_even_requests_per_hour })), h("td", { class: month && month.cost < one.monthly ? "good" : "" }, cheaper));
    })),
  );
}

function times(n) {
  return n >= 1_000_000 ? t("bill.many") : n >= 10 ? `${count(Math.round(n))}×` : `${decimal(n)}×`;
}

export function view(root) {
  return new Bill(root);
}
