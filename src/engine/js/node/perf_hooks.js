// node:perf_hooks

export const { performance } = globalThis;

export class PerformanceObserver {
  static supportedEntryTypes = [];
  observe() {}
  disconnect() {}
  takeRecords() {
    return [];
  }
}

export const constants = {};
export const monitorEventLoopDelay = () => ({ enable() {}, disable() {}, min: 0, max: 0, mean: 0, stddev: 0, percentile: () => 0 });
export default { constants, monitorEventLoopDelay, performance, PerformanceObserver };
