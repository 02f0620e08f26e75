// The timeline's data: instances in rows of their function's lane, invocations in a ring, marks above.
//
// Times are milliseconds of emu's clock since 1970.

export const COLD = 1;
export const FAILED = 2;
const TICKS = 1 << 17;
const GONE_MAX = 20_000;
const MARKS_MAX = 4_000;

export class Lane {
  constructor(name) {
    this.name = name;
    // By start.
    this.instances = [];
    // Which instance holds a row; null: free.
    this.rows = [];
    // Rows below this are taken.
    this.freeFrom = 0;
    this.marks = [];
    this.cold = 0;
    this.known = true;
  }

  take(instance) {
    let row = this.freeFrom;
    while (row < this.rows.length && this.rows[row]) row += 1;
    this.rows[row] = instance;
    this.freeFrom = row + 1;
    return row;
  }

  free(instance) {
    if (this.rows[instance.row] !== instance) return;
    this.rows[instance.row] = null;
    if (instance.row < this.freeFrom) this.freeFrom = instance.row;
  }
}

export class Timeline {
  constructor() {
    this.lanes = new Map();
    this.instances = new Map();
    this.gone = 0;
    // Invocations: a ring of columns, oldest overwritten.
    this.tickStart = new Float64Array(TICKS);
    this.tickEnd = new Float64Array(TICKS);
    this.tickFlags = new Uint8Array(TICKS);
    this.tickInstance = new Array(TICKS);
    this.tickId = new Array(TICKS);
    this.ticks = 0;
    // No invocation in the ring took longer, so that a search by end finds all that reach into a stretch.
    this.longest = 0;
    this.dead = 0;
    this.throttles = 0;
    this.changed = 0;
  }

  setFunctions(names) {
    const wanted = new Set(names);
    for (const lane of this.lanes.values()) lane.known = wanted.has(lane.name);
    for (const name of names) this.lane(name);
  }

  lane(name) {
    let lane = this.lanes.get(name);
    if (!lane) {
      lane = new Lane(name);
      this.lanes.set(name, lane);
    }
    return lane;
  }

  // Lanes of functions that are there, and of others as long as they have something to show.
  shown() {
    return [...this.lanes.values()].filter((lane) => lane.known || lane.instances.length > 0);
  }

  add(id, name, version, at) {
    const lane = this.lane(name);
    const instance = {
      id,
      lane,
      row: 0,
      version,
      start: at,
      ready: null,
      end: null,
      state: "starting",
      reason: null,
      drainingFrom: null,
      busyFrom: null,
      lastEnd: 0,
      served: 0,
      measured: 0,
      modelled: 0,
      expires: null,
    };
    instance.row = lane.take(instance);
    lane.instances.push(instance);
    this.instances.set(id, instance);
    return instance;
  }

  instance(event, at) {
    this.changed += 1;
    let one = this.instances.get(event.id);
    if (one && one.end !== null) return;
    if (!one) {
      if (event.state === "gone") return;
      one = this.add(event.id, event.function, event.version, at);
    }
    one.state = event.state;
    if (event.state === "idle" || event.state === "busy") {
      one.ready ??= at;
      if (event.state === "busy") one.busyFrom ??= at;
    } else if (event.state === "draining") {
      one.ready ??= at;
      one.drainingFrom ??= at;
      one.reason = event.reason || null;
    } else if (event.state === "gone") {
      this.end(one, at, event.reason || null);
    }
  }

  end(one, at, reason) {
    one.state = "gone";
    one.end = at;
    one.ready ??= at;
    one.reason = reason || one.reason;
    one.busyFrom = null;
    one.lane.free(one);
    this.gone += 1;
    if (this.gone > GONE_MAX) this.prune();
  }

  // The oldest half of what is gone leaves.
  prune() {
    const ends = [];
    for (const one of this.instances.values()) if (one.end !== null) ends.push(one.end);
    ends.sort((a, b) => a - b);
    const before = ends[ends.length >> 1];
    for (const lane of this.lanes.values()) {
      lane.instances = lane.instances.filter((one) => {
        const keep = one.end === null || one.end > before;
        if (!keep) {
          this.instances.delete(one.id);
          this.gone -= 1;
        }
        return keep;
      });
    }
  }

  invocation(event, at, factor) {
    if (event.instance === null || event.instance === undefined) return;
    this.changed += 1;
    const one = this.instances.get(event.instance);
    if (!one) return;
    const took = event.duration_ms * factor;
    const start = Math.max(one.start, at - took);
    const slot = this.ticks % TICKS;
    this.tickStart[slot] = start;
    this.tickEnd[slot] = at;
    this.tickFlags[slot] = (event.cold ? COLD : 0) | (event.outcome === "succeeded" ? 0 : FAILED);
    this.tickInstance[slot] = one;
    this.tickId[slot] = event.id;
    this.ticks += 1;
    this.longest = Math.max(this.longest, at - start);
    one.served += 1;
    one.lastEnd = Math.max(one.lastEnd, at);
    one.ready ??= start;
    if (one.state === "starting") one.state = "idle";
    if (one.busyFrom !== null && one.busyFrom <= at) one.busyFrom = null;
    if (event.cold) {
      one.measured = event.init_ms;
      one.modelled = event.modelled_init_ms;
      one.lane.cold += 1;
    }
  }

  mark(name, at, kind, label) {
    this.changed += 1;
    if (kind === "dead") this.dead += 1;
    if (kind === "throttle") this.throttles += 1;
    if (!name) return;
    const marks = this.lane(name).marks;
    marks.push({ at, kind, label });
    if (marks.length > MARKS_MAX) marks.splice(0, MARKS_MAX / 4);
  }

  // On which instances something runs now.
  busy(ids, at) {
    const now = new Set(ids);
    for (const one of this.instances.values()) {
      if (one.end !== null) continue;
      if (now.has(one.id)) {
        if (one.busyFrom === null) one.busyFrom = Math.max(one.lastEnd, one.ready ?? at, at - 1);
        if (one.state === "idle") one.state = "busy";
      } else if (one.ready !== null) {
        one.busyFrom = null;
        if (one.state === "busy") one.state = "idle";
      }
    }
    this.changed += 1;
  }

  // Makes it what a list of all instances says.
  reconcile(list, now) {
    const there = new Set();
    for (const view of list) {
      there.add(view.id);
      let one = this.instances.get(view.id);
      if (!one) one = this.add(view.id, view.function, view.version, now - view.age_ms);
      one.state = view.state;
      one.served = Math.max(one.served, view.invocations);
      if (view.state !== "starting") one.ready ??= one.start;
      if (view.state === "busy") one.busyFrom ??= now;
      else if (view.state === "idle") one.busyFrom = null;
      if (view.state === "draining") one.drainingFrom ??= now;
    }
    for (const one of this.instances.values()) {
      if (one.end === null && !there.has(one.id)) this.end(one, now, null);
    }
    this.changed += 1;
  }

  // The first tick of the ring that may reach beyond `from`, and the end of the ring.
  range(from) {
    let low = Math.max(0, this.ticks - TICKS);
    const end = this.ticks;
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tickEnd[middle % TICKS] < from) low = middle + 1;
      else high = middle;
    }
    return [low, end];
  }

  static slot(index) {
    return index % TICKS;
  }

  // Of one lane, or of all: how many are in which state.
  counts(lane) {
    const counts = { starting: 0, busy: 0, idle: 0, draining: 0 };
    const lanes = lane ? [lane] : this.lanes.values();
    for (const each of lanes) {
      for (const one of each.rows) {
        if (one) counts[one.busyFrom !== null && one.state === "idle" ? "busy" : one.state] += 1;
      }
    }
    return counts;
  }
}
