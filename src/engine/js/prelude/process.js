// The global `process`: what packages ask of it. node:process is the same object.

import host from "emu:js/host";
import { environment } from "./environment.js";
import { console } from "./console.js";

const VERSION = "22.12.0";

function absent(name, instead) {
  return () => {
    throw new Error(`process.${name} ends no function: ${instead}`);
  };
}

/** A stream whose lines are lines of the log. */
function output(write) {
  let kept = "";
  return {
    isTTY: false,
    columns: 80,
    writable: true,
    write(chunk, encoding, callback) {
      kept += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
      const lines = kept.split("\n");
      kept = lines.pop();
      for (const line of lines) write(line);
      const done = typeof encoding === "function" ? encoding : callback;
      if (done) queueMicrotask(done);
      return true;
    },
    end(chunk) {
      if (chunk !== undefined) this.write(chunk);
      if (kept !== "") this.write("\n");
    },
    on: () => undefined,
    once: () => undefined,
    emit: () => false,
  };
}

function hrtime(before) {
  const ms = host.elapsedMs();
  const now = [Math.floor(ms / 1e3), Math.floor((ms % 1e3) * 1e6)];
  if (before === undefined) return now;
  const nanoseconds = now[1] - before[1];
  return nanoseconds < 0 ? [now[0] - before[0] - 1, nanoseconds + 1e9] : [now[0] - before[0], nanoseconds];
}
hrtime.bigint = () => BigInt(Math.floor(host.elapsedMs() * 1e6));

/** Nothing is ever emitted: an uncaught error ends the invocation, and is told as such. */
const silent = (name) => ({ [name]() {
  return process;
} });

export const process = {
  get env() {
    return environment.variables;
  },
  set env(variables) {
    environment.variables = variables;
  },
  nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
  title: "emu",
  version: `v${VERSION}`,
  versions: { node: VERSION },
  platform: "linux",
  arch: "x64",
  pid: 1,
  ppid: 0,
  argv: ["node", "emu"],
  argv0: "node",
  execArgv: [],
  execPath: "node",
  exitCode: undefined,
  features: {},
  config: {},
  cwd: () => "/",
  umask: () => 0o22,
  uptime: () => host.elapsedMs() / 1e3,
  hrtime,
  memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), { rss: () => 0 }),
  cpuUsage: () => ({ user: Math.floor(host.elapsedMs() * 1e3), system: 0 }),
  emitWarning(warning, type) {
    const name = typeof type === "string" ? type : type?.type ?? warning?.name ?? "Warning";
    console.warn(`${name}: ${warning?.message ?? warning}`);
  },
  exit: absent("exit", "return a response, or throw an error"),
  abort: absent("abort", "throw an error"),
  kill: absent("kill", "return a response, or throw an error"),
  chdir: absent("chdir", "it has no folders"),
  binding: absent("binding", "it runs without Node"),
  stdout: output(console.log),
  stderr: output(console.error),
  stdin: { isTTY: false, on: () => undefined },
  emit: () => false,
  listeners: () => [],
  listenerCount: () => 0,
  ...silent("on"), ...silent("once"), ...silent("off"), ...silent("addListener"), ...silent("removeListener"), ...silent("removeAllListeners"),
  ...silent("setMaxListeners"), ...silent("prependListener"),
};
