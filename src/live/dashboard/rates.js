// Figures of the last stretch of time by function, from the sums that emu sends: exact however fast events come.

const KEPT_MS = 60_000;

export class Rates {
  constructor() {
    this.periods = [];
  }

  add(sums, machine) {
    this.periods.push({ machine, sums });
    while (this.periods.length && this.periods[0].machine < machine - KEPT_MS) this.periods.shift();
  }

  // Of one function, or of all, over the last so many milliseconds of the machine's time.
  over(name, window = 10_000) {
    const from = performance.now() - window;
    const total = { invocations: 0, errors: 0, throttled: 0, cold: 0, cost: 0 };
    const durations = new Map();
    for (const { machine, sums } of this.periods) {
      if (machine < from) continue;
      for (const one of sums.functions) {
        if (name && one.function !== name) continue;
        for (const key of Object.keys(total)) total[key] += one[key];
        for (const [upper, many] of one.durations) durations.set(upper, (durations.get(upper) || 0) + many);
      }
    }
    const ordered = [...durations].sort((a, b) => a[0] - b[0]);
    const all = ordered.reduce((sum, [, many]) => sum + many, 0);
    return {
      ...total,
      perSecond: total.invocations / (window / 1000),
      p50: quantile(ordered, all, 0.5),
      p95: quantile(ordered, all, 0.95),
      p99: quantile(ordered, all, 0.99),
    };
  }

  // Invocations of each of the last seconds, oldest first, for a small line.
  line(name, seconds = 60) {
    const now = performance.now();
    const bins = new Array(seconds).fill(0);
    for (const { machine, sums } of this.periods) {
      const at = seconds - 1 - Math.floor((now - machine) / 1000);
      if (at < 0 || at >= seconds) continue;
      for (const one of sums.functions) {
        if (!name || one.function === name) bins[at] += one.invocations;
      }
    }
    return bins;
  }
}

function quantile(ordered, all, share) {
  if (all === 0) return null;
  let seen = 0;
  for (const [upper, many] of ordered) {
    seen += many;
    if (seen >= share * all) return upper;
  }
  return ordered[ordered.length - 1][0];
}
