// Starts emu in a folder with packages, asks each function of it, and prints what works as a table.
//
// drive.mjs EMU FOLDER [--markdown]

import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join, parse } from "node:path";
import { createInterface } from "node:readline";

const [emu, folder, ...flags] = process.argv.slice(2);
const PATIENCE_MS = 120_000;

function fail(message) {
  throw new Error(message);
}

function same(what, actual, expected) {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) fail(`${what}: got ${is}, not ${should}`);
}

/** Requests to the example hono-api. */
async function hono(ask) {
  same("query", await (await ask("/api?name=you")).json(), { hello: "you" });
  const missing = await ask("/api/none");
  same("not found", [missing.status, await missing.json()], [404, { error: "nothing at /api/none" }]);
  const post = (path, body, headers = {}) =>
    ask(path, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  same("validation", (await post("/api/login", { user: "" })).status, 400);
  const login = await post("/api/login", { user: "ada" });
  same("cookie", login.headers.get("set-cookie"), "user=ada; Path=/; HttpOnly; SameSite=Lax");
  same("cookie sent", await (await ask("/api/me", { headers: { cookie: "user=ada" } })).text(), "ada");
  const { token } = await login.json();
  const authorization = `Bearer ${token}`;
  same("no token", (await ask("/api/notes/1")).status, 401);
  same("wrong token", (await ask("/api/notes/1", { headers: { authorization: `${authorization}x` } })).status, 401);
  same("written", (await post("/api/notes/1", { title: "first" }, { authorization })).status, 204);
  const note = await ask("/api/notes/1", { headers: { authorization } });
  same("read", await note.json(), { title: "first", body: "", by: "ada" });
  same("request id", note.headers.has("x-request-id"), true);
  same("streamed", await (await ask("/api/count")).text(), "1\n2\n3\n");
}

/** Requests to the example lambda-handler. */
async function middy(ask) {
  const post = (body, type = "application/json") => ask("/orders", { method: "POST", headers: { "Content-Type": type, "User-Agent": "drive" }, body });
  const placed = await post('{"sku": "mug"}');
  const { id, ...order } = await placed.json();
  same("order", [placed.status, placed.headers.get("x-function"), id.length, order], [201, "middy", 36, { sku: "mug", count: 1, agent: "drive" }]);
  const wrong = await post("{}");
  same("error", [wrong.status, await wrong.text()], [422, "an order needs a sku"]);
  same("no JSON", [(await post("{", "application/json")).status, (await post("x", "text/plain")).status], [415, 415]);
}

const DRIVEN = { hono: [hono, ["hono", "@hono/zod-validator"]], middy: [middy, ["@middy/core", "@middy/http-json-body-parser"]] };

/** The packages a function uses: those it names, or the one it is named after. */
function packagesOf(file) {
  const { name } = parse(file);
  if (DRIVEN[name]) return DRIVEN[name][1];
  const named = /^\/\/ package: (.+)$/m.exec(readFileSync(join(folder, "functions", file), "utf8"));
  return [named?.[1] ?? name];
}

async function check(url, name) {
  const ask = (path, init) => fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(30_000) });
  if (DRIVEN[name]) return DRIVEN[name][0](ask);
  const text = await (await ask(`/${name}`)).text();
  if (text !== "ok") fail(text);
}

function start() {
  const child = spawn(emu, ["dev", "--project", folder, "--port", "0", "--control-port", "0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  const said = [];
  const ready = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("emu is not ready in time")), PATIENCE_MS).unref();
    child.on("exit", (code) => reject(new Error(`emu ended with ${code}:\n${said.join("\n")}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      said.push(line);
      const event = JSON.parse(line);
      if (event.event === "ready") resolve(event.functions_url);
    });
  });
  return { child, ready };
}

const version = (name) => JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")).version;
const { child, ready } = start();
const rows = [];
const failures = [];
try {
  const url = await ready;
  for (const file of readdirSync(join(folder, "functions")).filter((file) => !file.startsWith("_")).sort()) {
    const { name } = parse(file);
    let works = "yes";
    try {
      await check(url, name);
    } catch (error) {
      works = "no";
      failures.push(`${name}: ${error.message}`);
    }
    for (const used of packagesOf(file)) rows.push([used, version(used), works]);
  }
} finally {
  child.removeAllListeners("exit");
  child.kill("SIGTERM");
}

rows.sort(([a], [b]) => a.replace("@", "").localeCompare(b.replace("@", "")));
if (flags.includes("--markdown")) {
  // Three side by side.
  const side = [["package", "version", "works"], ["---", "---", "---"]].map((row) => [...row, ...row, ...row]);
  const height = Math.ceil(rows.length / 3);
  for (let at = 0; at < height; at++) side.push([0, 1, 2].flatMap((column) => rows[at + column * height] ?? ["", "", ""]));
  for (const row of side) console.log(`| ${row.join(" | ")} |`);
} else {
  const widths = [0, 1].map((at) => Math.max(...rows.map((row) => row[at].length)));
  for (const [name, number, works] of rows) console.log(`${name.padEnd(widths[0])}  ${number.padEnd(widths[1])}  ${works}`);
}
for (const failure of failures) console.error(`\n${failure}`);
if (rows.length < 48) failures.push("packages are missing");
process.exitCode = failures.length > 0 ? 1 : 0;
