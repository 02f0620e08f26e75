// What belongs to one invocation: its identity, deadline, seed, variables and bindings.

import host from "emu:js/host";
import { makeBinding } from "./bindings.js";
import { seedRandom } from "./random.js";

/** The current invocation. `env` is what Workers-style handlers get; `variables` is `process.env`. */
export const environment = {
  id: "",
  settings: {},
  env: {},
  variables: {},
  remainingMs: 0,
};

/** What a module wants done when an invocation begins. */
export const beginnings = [];

let parsedFrom;

/** Takes the context of a call over. In an instance that is kept, settings that did not change are not parsed again. */
export function beginInvocation(context) {
  seedRandom(context.seedLow, context.seedHigh);
  environment.id = context.id;
  environment.remainingMs = context.remainingMs;
  for (const begin of beginnings) begin();
  if (context.settings === parsedFrom) return;
  parsedFrom = context.settings;
  const settings = JSON.parse(context.settings);
  environment.settings = settings;
  environment.variables = { NODE_ENV: "production", ...settings.env };
  environment.env = { ...settings.env };
  for (const [name, kind] of Object.entries(settings.bindings ?? {})) {
    environment.env[name] = makeBinding(name, kind);
  }
}

/** Milliseconds until the deadline, never negative. */
export function remainingMs() {
  return Math.max(0, Math.floor(environment.remainingMs - host.elapsedMs()));
}
