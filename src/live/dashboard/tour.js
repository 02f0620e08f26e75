// The guided tour: first request, warm, burst, idle, gone, cold again, and what it cost. Each step waits for what it
// speaks of.

import { get } from "./api.js";
import { fill, h, say, text } from "./dom.js";
import { millis, money, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";

let running = null;

// demo: the view whose buttons the tour presses.
export function startTour(demo) {
  if (running) running.end();
  running = new Tour(demo);
}

class Tour {
  constructor(demo) {
    this.demo = demo;
    this.at = 0;
    this.place = document.getElementById("tour");
    this.seen = [];
    this.gone = [];
    this.arrived = (event) => {
      this.seen.push(event.detail);
      this.look();
    };
    live.addEventListener("invocation", this.arrived);
    this.changed = () => this.look();
    live.addEventListener("change", this.changed);
    this.body = h("p", { class: "say" });
    this.result = h("p", { class: "result" });
    this.step = h("span", { class: "quiet figures" });
    this.title = h("h2", { id: "tour-title", tabIndex: -1 });
    this.act = h("button", { class: "main", type: "button", id: "tour-act" });
    this.next = h("button", { type: "button", id: "tour-next", onclick: () => this.go(this.at + 1) }, t("tour.next"));
    fill(this.place, h("section", { class: "tour sheet", role: "dialog", "aria-labelledby": "tour-title", onkeydown: (event) => event.key === "Escape" && this.end() },
      h("div", { class: "bar" }, this.step, h("button", { class: "tool close", type: "button", "aria-label": t("tour.end"), title: t("tour.end"), onclick: () => this.end() }, "×")),
      this.title, this.body, this.result, h("div", { class: "inline" }, this.act, this.next)));
    this.go(0);
  }

  steps() {
    return [
      { name: "begin", act: t("tour.begin.act"), press: () => this.prepare(), done: () => this.ready === true },
      { name: "first", act: t("demo.one"), press: () => this.demo.one(), done: () => this.since("first").find((one) => one.cold), tell: (one) => t("tour.first.result", { modelled: millis(one.modelled_init_ms), measured: millis(one.init_ms), run: millis(one.duration_ms), cost: money(one.cost) }) },
      { name: "warm", act: t("demo.one"), press: () => this.demo.one(), done: () => this.since("warm").find((one) => !one.cold), tell: (one) => t("tour.warm.result", { run: millis(one.duration_ms), cost: money(one.cost) }) },
      { name: "burst", act: t("pattern.burst"), press: () => this.demo.start("burst", 10, "5s"), done: () => (this.since("burst").length >= 25 ? this.since("burst") : null), tell: (all) => t("tour.burst.result", { n: all.filter((one) => one.cold).length, all: all.length }) },
      { name: "idle", done: () => this.idle(), tell: (keep) => t("tour.idle.result", { keep: span(keep) }) },
      { name: "gone", done: () => (this.count() === 0 ? true : null), tell: () => t("tour.gone.result") },
      { name: "again", act: t("demo.one"), press: () => this.demo.one(), done: () => this.since("again").find((one) => one.cold), tell: (one) => t("tour.again.result", { modelled: millis(one.modelled_init_ms) }) },
      { name: "bill", done: () => this.bill, tell: (bill) => t("tour.bill.result", { cost: money(bill.total.cost_before_free), n: bill.total.requests, million: money(bill.total.per_million), server: money(bill.always_on[0].monthly) }) },
    ];
  }

  counts() {
    const target = this.demo.target();
    return live.timeline.counts(target ? live.timeline.lane(target.name) : undefined);
  }

  count() {
    const counts = this.counts();
    return counts.starting + counts.busy + counts.idle + counts.draining;
  }

  idle() {
    const counts = this.counts();
    const target = this.demo.target();
    return counts.busy + counts.starting === 0 && target ? target.keep_alive_ms : null;
  }

  // Invocations of the target since a step began.
  since(name) {
    const target = this.demo.target();
    const from = this.begun && this.begun.name === name ? this.begun.at : this.seen.length;
    return this.seen.slice(from).filter((one) => target && one.function === target.name);
  }

  // Five minutes of keep-alive in five seconds, and cold starts that can be felt.
  async prepare() {
    const target = this.demo.target();
    if (!target) return;
    await this.demo.change({ clock: "x60", cold_starts: "sleep", functions: { [target.name]: { keep_alive: "5m", min_instances: 0 } } });
    this.ready = true;
    this.go(1);
  }

  go(at) {
    const steps = this.steps();
    if (at >= steps.length) {
      this.end();
      location.hash = "#/bill";
      return;
    }
    this.at = at;
    const step = steps[at];
    this.begun = { name: step.name, at: this.seen.length };
    this.told = false;
    text(this.step, `${at + 1} / ${steps.length}`);
    text(this.title, t(`tour.${step.name}.title`));
    text(this.body, t(`tour.${step.name}`));
    text(this.result, "");
    this.act.hidden = !step.act;
    if (step.act) {
      text(this.act, step.act);
      this.act.onclick = () => step.press();
    }
    this.next.hidden = step.name === "begin";
    text(this.next, t(at === steps.length - 1 ? "tour.tobill" : "tour.next"));
    this.next.classList.remove("main");
    this.place.querySelector(".tour").dataset.step = step.name;
    this.title.focus({ preventScroll: true });
    say(`${t(`tour.${step.name}.title`)}. ${t(`tour.${step.name}`)}`);
    if (step.name === "bill") {
      get("bill")
        .then((bill) => {
          this.bill = bill;
          this.look();
        })
        .catch(() => {});
    }
    this.look();
  }

  // Says what came of the step, once it has come.
  look() {
    const step = this.steps()[this.at];
    if (this.told || !step.tell) return;
    const done = step.done();
    if (!done) return;
    this.told = true;
    text(this.result, step.tell(done));
    this.next.classList.add("main");
    this.place.querySelector(".tour").dataset.told = step.name;
    say(this.result.textContent);
  }

  end() {
    live.removeEventListener("invocation", this.arrived);
    live.removeEventListener("change", this.changed);
    fill(this.place);
    running = null;
  }
}
