// The scale demo: traffic at a button, and the emulator's behaviour at a slider.

import { get, post } from "./api.js";
import { fill, guest, h, text } from "./dom.js";
import { count, millis, percent, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { action, explain, meter, remembered, select } from "./parts.js";
import { TimelineView } from "./timeline.js";
import { startTour } from "./tour.js";

const CLOCKS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 3_600];
const KEEP_ALIVES = [1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000];
const LIMITS = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];
const ROOMS = [1, 2, 4, 8, 16, 32, 80, 100];
const RATES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];
const PATTERNS = ["steady", "burst", "spike", "waves"];

function nearest(list, value) {
  let best = 0;
  list.forEach((one, at) => {
    if (Math.abs(Math.log(one / value)) < Math.abs(Math.log(list[best] / value))) best = at;
  });
  return best;
}

// A slider over some values; `done` is called when it is let go.
function slider(id, label, list, shown, done) {
  const output = h("output", { for: id, class: "figures" });
  const input = h("input", { id, type: "range", min: "0", max: String(list.length - 1), step: "1" });
  const problem = h("span", { class: "bad", role: "alert" });
  let held = false;
  const show = () => {
    const words = shown(list[Number(input.value)]);
    text(output, words);
    input.setAttribute("aria-valuetext", words);
  };
  input.addEventListener("input", () => {
    held = true;
    show();
  });
  input.addEventListener("change", async () => {
    text(problem, "");
    try {
      await done(list[Number(input.value)]);
    } catch (error) {
      text(problem, explain(error));
    }
    held = false;
  });
  return {
    element: h("div", { class: "slider" }, h("label", { for: id }, label), output, input, problem),
    set(value, words) {
      if (held) return;
      input.value = String(nearest(list, value));
      text(output, words ?? shown(value));
      input.setAttribute("aria-valuetext", output.textContent);
    },
  };
}

class Demo {
  constructor(root) {
    this.function = remembered("emu.demo.function");
    this.rate = 20;
    this.seconds = 10;
    this.settings = null;
    this.controls = h("div", { class: "demo-controls" });
    this.stage = h("div", { class: "demo-stage" });
    fill(root, h("div", { class: "title" }, h("h1", {}, t("nav.demo")), h("button", { class: "main", type: "button", id: "start-tour", onclick: () => startTour(this) }, t("tour.start"))), h("p", { class: "quiet" }, t("demo.lead")), h("div", { class: "demo" }, this.controls, this.stage));
    this.build();
    this.timeline = new TimelineView(this.stage);
    this.changed = () => this.loadSettings();
    live.addEventListener("settings", this.changed);
    this.loadSettings();
    this.timer = setInterval(() => this.progress(), 500);
  }

  targets() {
    return [...live.functions.values()].filter((one) => one.routes.length > 0);
  }

  target() {
    const all = this.targets();
    return all.find((one) => one.name === this.function) || all[0] || null;
  }

  build() {
    const all = this.targets();
    this.known = all.length;
    this.told = Boolean(live.health);
    this.meters = {
      sent: meter(t("demo.sent"), "sent"),
      cold: meter(t("demo.cold"), "cold"),
      latency: meter(t("demo.latency"), "latency"),
      throttled: meter(t("demo.throttled"), "throttled"),
    };
    this.load = h("div", { class: "figures-grid small", id: "load-figures", hidden: true }, Object.values(this.meters).map((each) => each.element));
    this.stopButton = action(t("demo.stop"), () => post("load", { stop: true }), { id: "stop" });
    this.rateSlider = slider("rate-of-load", t("demo.rate"), RATES, (n) => t("lane.rate", { rate: count(n) }), (n) => {
      this.rate = n;
    });
    this.rateSlider.set(this.rate);
    this.clockSlider = slider("clock-factor", t("demo.clock"), CLOCKS, (n) => (n === 1 ? t("demo.realtime") : `×${count(n)}`), (n) => this.change({ clock: `x${n}` }));
    this.keepSlider = slider("keep-alive", t("demo.keepalive"), KEEP_ALIVES, span, (ms) => this.changeFunction({ keep_alive: `${ms}ms` }));
    this.limitSlider = slider("limit", t("demo.limit"), LIMITS, count, (n) => this.changeFunction({ max_concurrency: n }));
    this.roomSlider = slider("room", t("demo.room"), ROOMS, (n) => t("demo.atonce", { n }), (n) => this.changeFunction({ concurrency: n }));
    this.coldPick = h("span");
    this.resetButton = action(t("demo.reset"), () => this.change({ reset: true }), { id: "reset" });
    this.single = action(t("demo.one"), () => this.one(), { class: "main", id: "one" });
    const network = live.health && live.health.network_url;
    fill(
      this.controls,
      h("section", { class: "sheet stack" },
        h("h2", {}, t("demo.traffic")),
        all.length > 1 ? select("target", t("col.function"), all.map((one) => [one.name, guest(one.name)]), (name) => this.choose(name), this.target()?.name) : null,
        live.health && all.length === 0 ? h("p", { class: "quiet" }, t("demo.nothing")) : null,
        this.single,
        this.rateSlider.element,
        h("div", { class: "patterns" }, PATTERNS.map((one) => this.pattern(one))),
        h("div", { class: "inline" }, this.stopButton),
        this.load,
        network ? h("div", { class: "phones" }, h("h3", {}, t("demo.phones")), h("p", { class: "address" }, guest(network)), h("p", { class: "quiet" }, t("demo.phonesnote"))) : h("p", { class: "quiet", id: "phones" }, t("demo.host")),
      ),
      h("section", { class: "sheet stack" }, h("h2", {}, t("demo.settings")), this.clockSlider.element, this.coldPick, this.keepSlider.element, this.limitSlider.element, this.roomSlider.element, this.resetButton),
    );
  }

  pattern(name) {
    const picture = { steady: "▄▄▄▄", burst: "█▁▁█", spike: "▁█▁▁", waves: "▂▅▂▅" }[name];
    return action(
      [h("span", { class: "shape", "aria-hidden": "true" }, picture), t(`pattern.${name}`)],
      () => this.start(name),
      { class: "pattern", data: { pattern: name }, title: t(`pattern.${name}.note`) },
    );
  }

  choose(name) {
    this.function = name;
    remembered("emu.demo.function", name);
    this.showSettings();
  }

  async one() {
    const target = this.target();
    if (!target) return;
    await this.start("steady", 1, "1s");
  }

  async start(pattern, rate = this.rate, duration = pattern === "burst" ? "5s" : `${this.seconds * (pattern === "steady" ? 1 : 2)}s`) {
    const target = this.target();
    if (!target) return;
    await post("load", { function: target.name, pattern, rate, duration });
    this.progress();
  }

  change(body) {
    return post("settings", body).then((settings) => {
      this.settings = settings;
      this.showSettings();
      return live.refresh();
    });
  }

  changeFunction(body) {
    const target = this.target();
    return target ? this.change({ functions: { [target.name]: body } }) : Promise.resolve();
  }

  loadSettings() {
    get("settings")
      .then((settings) => {
        this.settings = settings;
        this.showSettings();
      })
      .catch(() => {});
  }

  showSettings() {
    const settings = this.settings;
    if (!settings) return;
    const manual = settings.clock === "manual";
    this.clockSlider.element.hidden = manual;
    document.getElementById("start-tour").hidden = manual;
    this.clockSlider.set(settings.clock_factor || 1, settings.clock_factor === 1 ? t("demo.realtime") : `×${count(settings.clock_factor)}`);
    const target = this.target();
    const own = target && settings.functions.find((one) => one.name === target.name);
    if (own) {
      this.keepSlider.set(Math.max(1, own.keep_alive_ms), span(own.keep_alive_ms));
      this.limitSlider.set(own.max_concurrency || 2_000, own.max_concurrency === null ? t("demo.nolimit") : count(own.max_concurrency));
      this.roomSlider.set(own.concurrency || 1);
    }
    if (this.coldShown !== settings.cold_starts) {
      this.coldShown = settings.cold_starts;
      fill(this.coldPick, select("cold-starts", t("demo.coldstarts"), ["report", "sleep", "off"].map((one) => [one, t(`coldstarts.${one}`)]), (value) => this.change({ cold_starts: value }), settings.cold_starts));
    }
    this.resetButton.querySelector("button").disabled = !settings.changed;
  }

  async progress() {
    if (live.connection !== "live") return;
    let load;
    try {
      load = await get("load");
    } catch {
      return;
    }
    this.stopButton.querySelector("button").disabled = !load.running;
    this.load.hidden = load.sent === undefined;
    if (load.sent === undefined) return;
    this.meters.sent.set(count(load.sent), load.running ? t("demo.underway", { n: load.under_way }) : t("demo.done"));
    this.meters.cold.set(count(load.cold), load.cold_share === null ? "" : percent(load.cold_share), load.cold ? "cold" : "");
    this.meters.latency.set(millis(load.latency_ms_p50), `p99 ${millis(load.latency_ms_p99)}`);
    this.meters.throttled.set(count(load.throttled), load.errors ? t("demo.errors", { n: load.errors }) : "", load.throttled ? "bad" : "");
  }

  update() {
    if (this.known !== this.targets().length || this.told !== Boolean(live.health)) {
      this.build();
      this.coldShown = null;
      this.showSettings();
    }
    this.timeline.update();
  }

  destroy() {
    clearInterval(this.timer);
    live.removeEventListener("settings", this.changed);
    this.timeline.destroy();
  }
}

export function view(root) {
  return new Demo(root);
}
