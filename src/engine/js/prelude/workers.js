// The convention of Cloudflare Workers: `export default { fetch, scheduled, queue }`.

import host from "emu:js/host";
import { pump, writeAll } from "./body.js";
import { badAnswer, describeError } from "./errors.js";
import { toLines } from "./headers.js";
import { arrivedRequest } from "./request.js";
import { plainReply, Response, responseContent } from "./response.js";

/** The handlers that an object has, `fetch` first. Written out, since every fresh isolate comes by here. */
function handlersOf(object) {
  const found = [];
  if (typeof object.fetch === "function") found.push("fetch");
  if (typeof object.scheduled === "function") found.push("scheduled");
  if (typeof object.queue === "function") found.push("queue");
  return found;
}

function offerOf(target) {
  const kind = typeof target;
  if (target === null || (kind !== "object" && kind !== "function")) return null;
  const handlers = handlersOf(target);
  if (handlers.length > 0) return { convention: "workers", handlers, target, isClass: false };
  // A class with the handlers as methods, as `WorkerEntrypoint` has it.
  const methods = kind === "function" && target.prototype ? handlersOf(target.prototype) : handlers;
  return methods.length > 0 ? { convention: "workers", handlers: methods, target, isClass: true } : null;
}

/** The handlers a module offers by this convention, as members of its default export or as exports; null when none. */
export function workersHandlers(module) {
  return offerOf(module.default) ?? offerOf(module);
}

let current;

/** `waitUntil` of the current invocation, for those who were not handed `ctx`. */
export function waitUntil(promise) {
  if (current === undefined) throw new Error("waitUntil works within a handler only");
  current.waitUntil(promise);
}

/** What has the handlers: for a class, an instance of its own for each invocation. */
function begin({ target, isClass }, env) {
  current = new ExecutionContext();
  return isClass ? new target(current, env) : target;
}

/** `ctx`: work that outlives the response but not the invocation. */
class ExecutionContext {
  #pending = null;

  get props() {
    const value = {};
    Object.defineProperty(this, "props", { value, writable: true, enumerable: true, configurable: true });
    return value;
  }

  waitUntil(promise) {
    this.#pending ??= [];
    this.#pending.push(Promise.resolve(promise));
  }

  passThroughOnException() {}

  static hasWork(context) {
    return context.#pending !== null && context.#pending.length > 0;
  }

  /** Waits until all is done, also for what is added meanwhile. Failures are logged: the response has gone. */
  static async settle(context) {
    while (hasWork(context)) {
      try {
        await context.#pending.shift();
      } catch (error) {
        console.error("uncaught in waitUntil:", error);
      }
    }
  }
}

const { hasWork, settle } = ExecutionContext;
delete ExecutionContext.hasWork;
delete ExecutionContext.settle;

function describe(value) {
  return value === null ? "null" : typeof value === "object" ? value.constructor?.name ?? "an object" : typeof value;
}

/** Sends the response ahead of the invocation's end. The reply to the host is then empty. */
async function respondEarly(head, { tag, val }) {
  const handle = host.respond(head);
  if (tag === "stream") {
    await pump(val, handle);
    return;
  }
  if (tag === "text") await writeAll(handle, host.encode(val.toWellFormed()));
  if (tag === "bytes") await writeAll(handle, val);
  host.close(handle, null);
}

export async function handleHttp(offer, env, head, body) {
  const target = begin(offer, env);
  const context = current;
  try {
    let response = target.fetch(arrivedRequest(head, body), env, context);
    // Each `await` costs as much as a dozen calls.
    if (!(response instanceof Response)) response = await response;
    if (!(response instanceof Response)) {
      throw badAnswer(`fetch must return a Response, got ${describe(response)}`);
    }
    const early = hasWork(context);
    if (!early) {
      const reply = plainReply(response);
      if (reply !== null) return { tag: "http", val: reply };
    }
    let source = responseContent(response).take();
    let line = `${response.status} ${response.statusText}${toLines(response.headers)}`;
    if (early && source.tag === "handle") source = { tag: "stream", val: responseContent(response).stream() };
    if (!early && source.tag !== "stream") {
      if (source.tag === "text") source = { tag: "text", val: source.val.toWellFormed() };
      // Handed on unread it stays packed.
      if (source.coding !== undefined) line += source.coding.lines;
      return { tag: "http", val: [line, source] };
    }
    await respondEarly(line, source);
    return { tag: "http", val: ["", { tag: "none" }] };
  } finally {
    // Also after a throw, and when the client has gone.
    if (hasWork(context)) await settle(context);
  }
}

export async function handleScheduled(offer, env, json) {
  const { cron, scheduledTime } = JSON.parse(json);
  const target = begin(offer, env);
  const context = current;
  const event = { type: "scheduled", cron, scheduledTime, noRetry() {} };
  try {
    await target.scheduled(event, env, context);
  } finally {
    await settle(context);
  }
  return { tag: "json", val: "" };
}

/** The fate of a batch. The first call for a message decides; what a message did not say, the batch says. */
class Verdicts {
  #own = new Map();
  #all = null;

  say(id, outcome, options) {
    if (!this.#own.has(id)) this.#own.set(id, { outcome, delaySeconds: options?.delaySeconds });
  }

  sayAll(outcome, options) {
    this.#all ??= { outcome, delaySeconds: options?.delaySeconds };
  }

  list(messages, otherwise) {
    return messages.map(({ id }) => ({ id, ...(this.#own.get(id) ?? this.#all ?? { outcome: otherwise }) }));
  }
}

export async function handleQueue(offer, env, json) {
  const { queue, messages: arrived } = JSON.parse(json);
  const verdicts = new Verdicts();
  const messages = arrived.map(({ id, timestamp, attempts, body, attributes }) => ({
    id,
    timestamp: new Date(timestamp),
    attempts,
    body,
    attributes,
    ack: () => verdicts.say(id, "ack"),
    retry: (options) => verdicts.say(id, "retry", options),
  }));
  const batch = {
    queue,
    messages,
    ackAll: () => verdicts.sayAll("ack"),
    retryAll: (options) => verdicts.sayAll("retry", options),
  };
  const target = begin(offer, env);
  const context = current;
  try {
    try {
      await target.queue(batch, env, context);
    } finally {
      await settle(context);
    }
  } catch (error) {
    // What was acknowledged by name stays so; the rest comes again.
    return { tag: "failed", val: JSON.stringify({ ...describeError(error), messages: verdicts.list(arrived, "retry") }) };
  }
  return { tag: "json", val: JSON.stringify({ messages: verdicts.list(arrived, "ack") }) };
}
