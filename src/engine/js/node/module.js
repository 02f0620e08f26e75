// node:module. `createRequire` reaches files that are also required by name.

import { linksOf, requireFrom } from "emu:commonjs";

export const builtinModules = [
  "assert", "async_hooks", "buffer", "console", "crypto", "diagnostics_channel", "events", "module", "os", "path", "perf_hooks", "process",
  "punycode", "querystring", "stream", "string_decoder", "timers", "tty", "url", "util",
];
export const isBuiltin = (name) => builtinModules.includes(name.replace(/^node:/, ""));

export function createRequire(from) {
  const path = String(from).replace(/^file:\/\//, "").replace(/^\/+/, "");
  return requireFrom(path, linksOf(path));
}

export function Module() {}
Object.assign(Module, { builtinModules, createRequire, isBuiltin, Module, _extensions: {}, _cache: {} });
export default Module;
