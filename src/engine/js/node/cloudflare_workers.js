// cloudflare:workers, as far as emu has what it speaks of.

import { environment } from "emu:prelude/environment.js";
import { waitUntil } from "emu:prelude/workers.js";

/** A default export that extends it has the handlers as methods, and `this.env` and `this.ctx`. */
export class WorkerEntrypoint {
  constructor(ctx, env) {
    this.ctx = ctx;
    this.env = env;
  }
}

export class RpcTarget {}

/** A class that says what to use instead as soon as something extends or constructs it. */
function absent(name, instead) {
  const fail = () => {
    throw new TypeError(`${name} is not in emu: ${instead}`);
  };
  return new Proxy(class {}, { get: fail, construct: fail });
}

export const DurableObject = absent(
  "DurableObject",
  'keep state in a key-value store (`[kv.NAME]` in emu.toml), or in the one instance of a function with isolation = "instance" and max_concurrency = 1',
);
export const WorkflowEntrypoint = absent("WorkflowEntrypoint", "chain functions with queues, which retry");

/** The bindings of the current invocation, without a handler's argument. */
export const env = new Proxy({}, {
  get: (_, name) => environment.env[name],
  has: (_, name) => name in environment.env,
  ownKeys: () => Reflect.ownKeys(environment.env),
  getOwnPropertyDescriptor: (_, name) => Object.getOwnPropertyDescriptor(environment.env, name),
});

export { waitUntil };
