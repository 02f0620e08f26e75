// The group: the emulators that share a bus, what they do and what all of them came to.

import { fill, guest, h, keyed, text } from "./dom.js";
import { clock, count, money, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { badge, empty, explain, meter } from "./parts.js";

// A member repeats itself every two seconds; one that misses that twice may have died.
const LATE_MS = 5_000;

class Group {
  constructor(root) {
    this.meters = { members: meter(t("group.members"), "members"), running: meter(t("group.running"), "running"), invocations: meter(t("group.invocations"), "invocations"), bill: meter(t("group.bill"), "bill") };
    this.problem = h("pre", { class: "problem", hidden: true });
    this.rows = h("tbody");
    const columns = ["member", "machine", "since", "runs", "instances", "invocations", "holds", "bill", "word", "where"];
    const numbers = new Set(["instances", "invocations", "holds", "bill"]);
    this.sheet = h("section", { class: "sheet" },
      h("div", { class: "scroll" },
        h("table", { class: "list members" },
          h("thead", {}, h("tr", {}, columns.map((one) => h("th", { scope: "col", class: numbers.has(one) ? "number" : "" }, t(`group.col.${one}`))))),
          this.rows,
        ),
      ),
    );
    this.figures = h("section", { class: "sheet figures-grid wide" }, Object.values(this.meters).map((each) => each.element));
    this.alone = empty(t("group.alone"));
    this.note = h("p", { class: "quiet" });
    fill(root, h("h1", { class: "unseen" }, t("nav.group")), this.problem, this.figures, this.sheet, this.note, this.alone);
    this.update();
    // Silence grows without an event.
    this.timer = setInterval(() => this.update(), 1_000);
  }

  update() {
    const bus = live.health && live.health.bus;
    for (const part of [this.figures, this.sheet, this.note]) part.hidden = !bus;
    this.alone.hidden = !live.health || Boolean(bus);
    if (!bus) return;
    this.problem.hidden = !live.membersFailed;
    if (live.membersFailed) text(this.problem, explain(live.membersFailed));
    const sum = (of) => live.members.reduce((all, one) => all + of(one), 0);
    const machines = new Set(live.members.map((one) => one.host)).size;
    this.meters.members.set(count(live.members.length), t("group.machines", { n: machines }));
    this.meters.running.set(count(sum(runs)), t("group.held", { n: sum((one) => one.holds) }));
    this.meters.invocations.set(count(sum((one) => one.invocations)), t("lane.instances", { n: sum((one) => one.instances) }));
    this.meters.bill.set(money(sum((one) => one.cost_before_free)), t("group.billnote"));
    text(this.note, t("group.note", { bus: guest(bus) }));
    const all = [...live.members, ...live.gone];
    keyed(this.rows, all, (one) => one.name, row, (element, one) => element.__set(one));
  }

  destroy() {
    clearInterval(this.timer);
  }
}

function runs(one) {
  return Object.values(one.running || {}).reduce((all, many) => all + many, 0);
}

function silence(one) {
  return one.silent_ms + performance.now() - live.membersAt;
}

function row(first) {
  const cells = Array.from({ length: 10 }, () => h("td"));
  const [member, machine, since, running, instances, invocations, holds, bill, word, where] = cells;
  for (const cell of [instances, invocations, holds, bill]) cell.className = "number figures";
  running.className = "what";
  const own = live.members[0] === first;
  fill(member, h("span", { class: "dot" }), h("strong", {}, guest(first.name)), own ? [" ", badge("", t("group.this"))] : null);
  fill(machine, guest(first.host), h("div", { class: "quiet figures" }, t("group.pid", { pid: String(first.pid) })));
  const started = Date.parse(first.started_at);
  const links = h("div", { class: "links" });
  const element = h("tr", { data: { member: first.name } }, cells);
  const age = h("div", { class: "quiet figures" });
  fill(since, Number.isNaN(started) ? "–" : clock(started), age);
  fill(where, links);
  let known = "";
  element.__set = (one) => {
    const gone = one.gone_at !== undefined;
    const late = !gone && !own && silence(one) > LATE_MS;
    element.dataset.state = gone ? "gone" : late ? "starting" : runs(one) ? "busy" : "idle";
    text(age, gone || Number.isNaN(started) ? "" : t("group.for", { time: span(live.now() - started) }));
    const busy = Object.entries(one.running || {});
    const words = gone ? "" : busy.map(([name, many]) => `${guest(name)} × ${count(many)}`).join(", ");
    text(running, words || "–");
    text(instances, gone ? "–" : count(one.instances));
    text(invocations, count(one.invocations));
    text(holds, gone ? "–" : count(one.holds));
    text(bill, money(one.cost_before_free));
    word.className = late || (gone && one.died) ? "bad" : "quiet";
    text(word, lastWord(one, gone, own));
    const addresses = gone ? "" : JSON.stringify([one.functions_url, one.dashboard_url, one.control_url]);
    if (addresses !== known) {
      known = addresses;
      fill(links, gone ? null : places(one, own));
    }
  };
  return element;
}

function lastWord(one, gone, own) {
  if (gone) return t(one.died ? "group.died" : "group.left", { at: clock(one.gone_at) });
  if (own || silence(one) < LATE_MS) return t("group.now");
  return t("group.ago", { time: span(silence(one)) });
}

function places(one, own) {
  const address = (url, words) => h("a", { href: reachable(one, url) ? url : undefined, target: "_blank", rel: "noreferrer noopener" }, words);
  const shown = (url) => guest(url.replace(/^http:\/\//, ""));
  return [
    h("div", {}, address(one.functions_url, shown(one.functions_url))),
    own || !one.dashboard_url ? null : h("div", {}, address(one.dashboard_url, [t("group.dashboard"), " ", h("span", { class: "quiet" }, shown(one.dashboard_url))])),
  ];
}

// An address of loopback is another machine's own unless the page and the member are on the same.
function reachable(one, url) {
  if (!/^http:\/\//.test(url)) return false;
  const isLoopback = (host) => /^(localhost|127\..*|\[::1\])$/.test(host);
  if (!isLoopback(new URL(url).hostname)) return true;
  return isLoopback(location.hostname) && one.host === live.members[0]?.host;
}

export function view(root) {
  return new Group(root);
}
