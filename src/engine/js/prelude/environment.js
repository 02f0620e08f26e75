// What belongs to one invocation: its identity, deadline, seed, variables and bindings.

import host from "emu:js/host";
import { makeBinding } from "./bindings.js";
import { seedRandom } from "./random.js";

/** How the host's settings begin when there are neither variables nor bindings: then nothing has to be parsed. */
const PLAIN = "{\"bindings\":{},\"env\":{},";

let text = "";
let settings = null;
let env = null;
let variables = null;

/** The current invocation. `env` is what Workers-style handlers get; `variables` is `process.env`. */
export const environment = {
  id: "",
  remainingMs: 0,

  get settings() {
    settings ??= JSON.parse(text);
    return settings;
  },

  get env() {
    env ??= text.startsWith(PLAIN) ? {} : makeEnv(environment.settings);
    return env;
  },

  get variables() {
    variables ??= { NODE_ENV: "production", ...environment.settings.env };
    return variables;
  },

  set variables(given) {
    variables = given;
  },
};

function makeEnv({ env: own, bindings }) {
  const made = { ...own };
  for (const [name, kind] of Object.entries(bindings ?? {})) made[name] = makeBinding(name, kind);
  return made;
}

/** Takes the context of a call over. In an instance that is kept, settings that did not change are not parsed again. */
export function beginInvocation(context) {
  seedRandom(context.seedLow, context.seedHigh);
  environment.id = context.id;
  environment.remainingMs = context.remainingMs;
  if (context.settings === text) return;
  text = context.settings;
  settings = null;
  env = null;
  variables = null;
}

/** Milliseconds until the deadline, never negative. */
export function remainingMs() {
  return Math.max(0, Math.floor(environment.remainingMs - host.elapsedMs()));
}
