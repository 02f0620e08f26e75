import { equal, ok, run, throws, tick } from "./check.js";

export default run({
  "time": async () => {
    const before = performance.now();
    await tick(2);
    ok(performance.now() - before >= 2);
    ok(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 5);
    equal(Object.keys(performance.toJSON()), ["timeOrigin"]);
    equal(String(performance), "[object Performance]");
    throws("TypeError", () => new Performance());
  },
  "marks": () => {
    const mark = performance.mark("a", { startTime: 5, detail: { x: 1 } });
    equal([mark.name, mark.entryType, mark.startTime, mark.duration, mark.detail], ["a", "mark", 5, 0, { x: 1 }]);
    ok(performance.mark("b").startTime > 0);
    ok(mark instanceof PerformanceMark && mark instanceof PerformanceEntry);
    equal(mark.toJSON(), { name: "a", entryType: "mark", startTime: 5, duration: 0, detail: { x: 1 } });
    equal(new PerformanceMark("c").detail, null);
    throws("TypeError", () => performance.mark());
    throws("TypeError", () => performance.mark("x", { startTime: -1 }));
  },
  "measures": () => {
    performance.clearMarks();
    performance.mark("from", { startTime: 10 });
    performance.mark("to", { startTime: 25 });
    const values = (entry) => [entry.startTime, entry.duration];
    equal(values(performance.measure("m", "from", "to")), [10, 15]);
    equal(values(performance.measure("m", { start: "from", duration: 7 })), [10, 7]);
    equal(values(performance.measure("m", { end: "to", duration: 5 })), [20, 5]);
    equal(values(performance.measure("m", { start: 1, end: 3 })), [1, 2]);
    equal(performance.measure("whole").startTime, 0);
    throws("SyntaxError", () => performance.measure("m", "nobody"));
    equal(performance.getEntriesByName("m").length, 4);
    equal(performance.getEntriesByType("mark").map((entry) => entry.name), ["from", "to"]);
    equal(performance.getEntries().map((entry) => entry.startTime).every((at, index, all) => index === 0 || all[index - 1] <= at), true);
    performance.clearMeasures("m");
    equal(performance.getEntriesByType("measure").map((entry) => entry.name), ["whole"]);
    performance.clearMarks("from");
    equal(performance.getEntriesByType("mark").map((entry) => entry.name), ["to"]);
  },
});
