// The report from outside, with Node's test runner and nothing of emu's:
//
//     emu exec --clock manual -- node --test tests/
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const { EMU_URL, EMU_CONTROL_URL } = process.env;

async function control(path, body) {
  const init = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`${EMU_CONTROL_URL}/_emu/${path}`, init);
  assert.equal(response.ok, true, await response.clone().text());
  return response.json();
}

beforeEach(() => control("reset", {}));

test("a working week has five reports, at eight in the morning of São Paulo", async () => {
  // Monday to Monday.
  await control("clock", { advance_to: "2026-01-05T00:00:00-03:00" });
  const week = await control("clock", { advance: "7d" });
  assert.deepEqual(week.invocations.report, { ran: 5, failed: 0 });

  const runs = await control("invocations?function=report&limit=5");
  for (const run of runs) assert.match(run.time, /T11:00:00/);
});

test("yesterday is the day before the clock's", async () => {
  await control("clock", { advance_to: "2026-03-01T12:00:00Z" });
  const report = await (await fetch(`${EMU_URL}/report`)).text();
  assert.match(report, /^Sales of 2026-02-28 in BRL\n/);
});

test("what is no day is refused", async () => {
  const response = await fetch(`${EMU_URL}/report/tomorrow`);
  assert.equal(response.status, 400);
});
