// Entry of the prelude: installs the web APIs as globals and answers emu's calls (wit/world.wit). It is evaluated once when
// the runtime is built; what an instance needs to know comes with each call.

import host from "emu:js/host";
import { begin, end } from "./beginnings.js";
import { beginInvocation, environment } from "./environment.js";
import { badAnswer, describeError } from "./errors.js";
import { handleGateway, handlePlain, lambdaHandler } from "./lambda.js";
import { isUndrawn } from "./random.js";
import { handleHttp, handleQueue, handleScheduled, workersHandlers } from "./workers.js";
import "./globals.js";

const WORKERS_SHAPE = "export default { async fetch(request, env, ctx) { return new Response(\"hello\") } }";
const LAMBDA_SHAPE = "export const handler = async (event, context) => ({ statusCode: 200, body: \"hello\" })";

/** What the entry module offers: `{convention, handlers, target}`. Throws when it follows neither convention. */
function conventionOf(module, entry) {
  const workers = workersHandlers(module);
  if (workers) return workers;
  const lambda = lambdaHandler(module);
  if (lambda) return lambda;
  const names = Object.keys(module);
  const found = names.length === 0 ? "nothing" : `${names.map((name) => `\`${name}\``).join(", ")}, but no handler that emu knows`;
  throw new TypeError(
    `${entry.replace(/\?import.*/, "")} exports ${found}; write either\n  ${WORKERS_SHAPE}\nor\n  ${LAMBDA_SHAPE}`,
  );
}

let loaded;
let loadedFrom;

async function enter(context) {
  beginInvocation(context);
  const { entry } = context;
  if (loadedFrom !== entry) {
    loaded = conventionOf(await import(entry), entry);
    loadedFrom = entry;
  }
  host.entered();
  return loaded;
}

export async function load(context, keep) {
  begin();
  try {
    const { convention, handlers } = await enter(context);
    if (keep) postponeCollection();
    return JSON.stringify({ convention, handlers, random: !isUndrawn() });
  } catch (error) {
    throw JSON.stringify(describeError(error));
  } finally {
    end();
  }
}

function missing(kind, offered) {
  return badAnswer(`the function has no ${kind} handler (it has ${offered.join(", ")})`);
}

export async function handle(context, event) {
  begin();
  try {
    const offer = await enter(context);
    const { convention, handlers, target } = offer;
    const { env } = environment;
    switch (event.tag) {
      case "http":
        if (!handlers.includes("fetch")) throw missing("fetch", handlers);
        return await handleHttp(offer, env, event.val[0], event.val[1]);
      case "scheduled":
        if (!handlers.includes("scheduled")) throw missing("scheduled", handlers);
        return await handleScheduled(offer, env, event.val);
      case "queue":
        if (!handlers.includes("queue")) throw missing("queue", handlers);
        return await handleQueue(offer, env, event.val);
      case "gateway":
        if (convention !== "lambda") throw missing("handler", handlers);
        return await handleGateway(target, event.val);
      default:
        if (convention !== "lambda") throw missing("handler", handlers);
        return await handlePlain(target, event.val);
    }
  } catch (error) {
    return { tag: "failed", val: JSON.stringify(describeError(error)) };
  } finally {
    end();
  }
}

/**
 * QuickJS collects cycles when its heap has grown by half since the last time, which here would be in the middle of every
 * first event: it would walk, and thereby copy, the whole snapshot. A collection while this much is allocated moves that
 * limit to some megabytes beyond what the snapshot holds.
 */
function postponeCollection() {
  const room = new ArrayBuffer(2 << 20);
  return { room };
}

postponeCollection();
