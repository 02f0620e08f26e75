// What the page knows: a snapshot by the control API, then the events as they come. After a lost connection or a restart
// of emu it takes a new snapshot and goes on.

import { ApiError, events, get } from "./api.js";
import { Timeline } from "./model.js";
import { Rates } from "./rates.js";

// How long a page that nobody sees goes on listening.
const HIDDEN_MS = 60_000;
const HISTORY_KINDS = "ready,instance,invocation,throttle,message,reload,gave_up";
const LINES_MAX = 500;
const MEMBERS_EVERY_MS = 1_000;
const GONE_MAX = 20;
// Who has said nothing for so long when it is there no more has died; who stops says so.
const SILENT_MS = 8_000;

class Live extends EventTarget {
  constructor() {
    super();
    // connecting, live, lost, token
    this.connection = "connecting";
    this.health = null;
    this.functions = new Map();
    this.states = new Map();
    this.queues = new Map();
    this.topics = [];
    this.crons = [];
    this.stores = [];
    this.timeline = new Timeline();
    this.rates = new Rates();
    this.depths = new Map();
    this.invocations = [];
    this.known = new Set();
    this.clockName = "real";
    this.factor = 1;
    this.anchor = { at: 0, machine: 0 };
    // Events that were counted and not sent, in the last second that had some.
    this.leftOut = { at: -1e9, many: 0 };
    this.restarts = 0;
    // Those that share the bus, and those that did while the page was open.
    this.members = [];
    this.membersAt = 0;
    this.membersFailed = null;
    this.gone = [];
    // Left, and maybe kept by the browser for a return.
    this.away = false;
  }

  // Emu's time now, in milliseconds since 1970.
  now() {
    const { at, machine } = this.anchor;
    return at === 0 ? Date.now() : at + (performance.now() - machine) * this.factor;
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  setConnection(state) {
    if (this.connection === state) return;
    this.connection = state;
    this.tell("connection");
  }

  async run() {
    let wait = 150;
    for (;;) {
      const controller = new AbortController();
      const hide = this.whenHidden(controller);
      try {
        await this.follow(controller.signal, () => {
          wait = 150;
        });
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) {
          this.setConnection("token");
          await new Promise((go) => this.addEventListener("token", go, { once: true }));
          continue;
        }
      } finally {
        hide();
      }
      if (this.away) {
        await new Promise((go) => addEventListener("pageshow", go, { once: true }));
        this.away = false;
        continue;
      }
      if (document.hidden) {
        await new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
        continue;
      }
      this.setConnection("lost");
      await new Promise((go) => setTimeout(go, wait));
      wait = Math.min(wait * 1.6, 2_000);
    }
  }

  whenHidden(controller) {
    let timer = 0;
    const changed = () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(() => controller.abort(), HIDDEN_MS);
    };
    document.addEventListener("visibilitychange", changed);
    // A page that was left may be kept for a return, its connection with it; a browser has six for all its pages here.
    const left = () => {
      this.away = true;
      controller.abort();
    };
    addEventListener("pagehide", left);
    return () => {
      clearTimeout(timer);
      removeEventListener("pagehide", left);
      document.removeEventListener("visibilitychange", changed);
    };
  }

  async follow(signal, worked) {
    let early = [];
    let ready = null;
    const opened = new Promise((go) => {
      ready = go;
    });
    const stream = events(ready, (batch) => (early ? early.push(...batch) : this.apply(batch)), signal);
    // The stream ends before it opens when there is no emulator.
    await Promise.race([opened, stream]);
    // Events come from here on; what was before them is in the snapshot.
    await this.snapshot();
    worked();
    this.setConnection("live");
    const waited = early;
    early = null;
    this.apply(waited);
    await stream;
  }

  async snapshot() {
    const health = await get("health");
    const before = this.health;
    const restarted = before && (before.pid !== health.pid || before.started_at !== health.started_at);
    const [functions, instances, queues, topics, crons, stores, history] = await Promise.all([
      get("functions"),
      get("instances"),
      get("queues"),
      get("topics"),
      get("crons"),
      get("kv"),
      get(`history?kind=${HISTORY_KINDS}&limit=10000`),
    ]);
    this.health = health;
    this.setClock(health.clock, health.clock_factor, Date.parse(health.now));
    this.timeline = new Timeline();
    this.setFunctions(functions);
    this.setQueues(queues);
    this.topics = topics;
    this.crons = crons;
    this.stores = stores;
    this.known = new Set();
    this.invocations = [];
    if (restarted) {
      this.restarts += 1;
      this.rates = new Rates();
      this.states.clear();
    }
    if (restarted) this.gone = [];
    this.setMembers([]);
    this.followMembers(health);
    this.past(history);
    this.timeline.reconcile(instances, this.now());
    this.tell("snapshot", { restarted });
    this.tell("change");
  }

  // Of the history, what this run of emu did: an earlier one had other instances, and maybe another clock.
  past(history) {
    const begun = history.findLastIndex((event) => event.event === "ready");
    const ready = history[begun];
    const ours = ready && ready.pid === this.health.pid;
    const own = ours ? history.slice(begun + 1) : begun < 0 ? history : [];
    for (const event of own) this.one(event);
  }

  // Asked for as long as this emulator is behind the port and shares a bus.
  async followMembers(health) {
    while (health.bus && this.health === health && !this.away) {
      if (this.connection !== "lost" && !document.hidden) {
        try {
          this.setMembers(await get("members"));
          this.membersFailed = null;
        } catch (error) {
          this.membersFailed = error;
        }
        this.tell("change");
      }
      await new Promise((go) => setTimeout(go, MEMBERS_EVERY_MS));
    }
  }

  setMembers(members) {
    const now = performance.now();
    const there = new Set(members.map((one) => one.name));
    const silence = (one) => one.silent_ms + now - this.membersAt;
    const gone = members.length ? this.members.filter((one) => !there.has(one.name)) : [];
    for (const one of gone) this.gone.unshift({ ...one, died: silence(one) > SILENT_MS, gone_at: this.now() });
    this.gone = this.gone.filter((one) => !there.has(one.name)).slice(0, GONE_MAX);
    this.members = members;
    this.membersAt = now;
  }

  async refresh() {
    const [functions, queues, topics, crons, stores] = await Promise.all([
      get("functions"),
      get("queues"),
      get("topics"),
      get("crons"),
      get("kv"),
    ]);
    this.setFunctions(functions);
    this.setQueues(queues);
    this.topics = topics;
    this.crons = crons;
    this.stores = stores;
    this.tell("change");
  }

  setFunctions(functions) {
    this.functions = new Map(functions.map((one) => [one.name, one]));
    this.timeline.setFunctions(functions.map((one) => one.name));
  }

  setQueues(queues) {
    this.queues = new Map(queues.map((one) => [one.name, one]));
  }

  setClock(name, factor, at) {
    this.clockName = name;
    this.factor = Number.isFinite(factor) ? factor : 1;
    this.anchor = { at, machine: performance.now() };
  }

  apply(batch) {
    let refresh = false;
    for (const event of batch) {
      if (event.event === "state") this.state(event);
      else if (event.event === "sums") this.sums(event);
      else if (event.event === "missed") this.resync();
      else {
        this.one(event);
        refresh ||= event.event === "reload" || event.event === "notice";
      }
    }
    if (refresh) this.refresh().catch(() => {});
    this.tell("change");
  }

  // Some events did not come: instances are what must be right again.
  resync() {
    get("instances")
      .then((instances) => {
        this.timeline.reconcile(instances, this.now());
        this.tell("change");
      })
      .catch(() => {});
  }

  state(event) {
    const at = Date.parse(event.time);
    const changed = event.clock !== this.clockName || event.cold_starts !== this.health?.cold_starts;
    this.setClock(event.clock, event.clock_factor, at);
    if (this.health) {
      this.health.cold_starts = event.cold_starts;
      this.health.clock = event.clock;
    }
    for (const one of event.functions) this.states.set(one.function, one);
    const machine = performance.now();
    for (const queue of event.queues) {
      const known = this.queues.get(queue.queue);
      if (known) Object.assign(known, { visible: queue.visible, in_flight: queue.in_flight, delayed: queue.delayed });
      let depths = this.depths.get(queue.queue);
      if (!depths) this.depths.set(queue.queue, (depths = []));
      depths.push([machine, queue.visible, queue.in_flight, queue.delayed]);
      if (depths.length > 1_200) depths.splice(0, 200);
    }
    for (const queue of this.queues.values()) {
      const dead = queue.dead_letter && this.queues.get(queue.dead_letter);
      if (dead) queue.dead = dead.visible + dead.in_flight + dead.delayed;
    }
    this.timeline.busy(event.busy, at);
    if (changed) this.tell("settings");
    this.tell("state", event);
  }

  sums(event) {
    this.rates.add(event, performance.now());
    const many = Object.values(event.left_out).reduce((sum, n) => sum + n, 0);
    if (many > 0) this.leftOut = { at: performance.now(), many: many / (event.period_ms / 1000) };
  }

  one(event) {
    const at = Date.parse(event.time);
    switch (event.event) {
      case "instance":
        this.timeline.instance(event, at);
        break;
      case "invocation": {
        if (this.known.has(event.id)) return;
        this.known.add(event.id);
        this.timeline.invocation(event, at, this.factor || 1);
        this.invocations.push(event);
        if (this.invocations.length > 5 * LINES_MAX) {
          for (const gone of this.invocations.splice(0, LINES_MAX)) this.known.delete(gone.id);
        }
        this.tell("invocation", event);
        break;
      }
      case "throttle":
        this.timeline.mark(event.function, at, "throttle", event.reason);
        break;
      case "message":
        if (event.change === "dead_lettered") {
          const consumer = this.queues.get(event.queue)?.consumer;
          this.timeline.mark(consumer, at, "dead", `${event.queue} → ${event.to}`);
        }
        this.tell("message", event);
        break;
      case "gave_up":
        this.timeline.mark(event.function, at, "dead", event.to || "");
        break;
      case "reload":
        if (event.version) this.timeline.mark(event.function, at, "version", `v${event.version}`);
        this.tell("reload", event);
        break;
      case "log":
        this.tell("log", event);
        break;
      case "ready":
        break;
      default:
        this.tell("notice", event);
    }
  }
}

export const live = new Live();
