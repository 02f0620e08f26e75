// setTimeout and its kin. Timers fire in the order of their due times, and in the order they were set where those are equal.

import host from "emu:js/host";
import { beginnings } from "./beginnings.js";

const waiting = [];
let nextId = 1;
let sleepingUntil = Infinity;
/** Milliseconds of the invocation when a timer was last set or fired. */
let lookedAt = 0;

// In an instance that is kept, a sleep ends with the invocation that began it. The timers stay, as in a process that was frozen: time
// stands still between two invocations.
beginnings.push(() => {
  sleepingUntil = Infinity;
  if (waiting.length > 0) {
    for (let at = 0; at < waiting.length; at++) waiting[at].due = Math.max(0, waiting[at].due - lookedAt);
    lookedAt = 0;
    arm();
  }
});

function insert(timer) {
  let at = waiting.length;
  while (at > 0 && waiting[at - 1].due > timer.due) at--;
  waiting.splice(at, 0, timer);
}

/** Keeps one sleep under way that ends no later than the first timer is due. */
function arm() {
  if (waiting.length === 0 || waiting[0].due >= sleepingUntil) return;
  const due = waiting[0].due;
  sleepingUntil = due;
  host.sleep(Math.max(0, due - host.elapsedMs())).then(() => {
    if (sleepingUntil === due) sleepingUntil = Infinity;
    fire();
  });
}

function fire() {
  const timer = waiting[0];
  if (timer === undefined) return;
  const now = lookedAt = host.elapsedMs();
  if (timer.due > now) return arm();
  waiting.shift();
  if (timer.every !== undefined) insert({ ...timer, due: Math.max(now, timer.due) + timer.every });
  // The rest waits for the promise jobs of this one, as an event loop has it.
  if (waiting.length > 0 && waiting[0].due <= now) Promise.resolve().then(() => host.sleep(0)).then(fire);
  else arm();
  try {
    timer.callback(...timer.args);
  } catch (error) {
    reportError(error);
  }
}

function set(callback, delay, args, repeat) {
  if (typeof callback !== "function") throw new TypeError("a timer needs a function");
  const ms = Math.max(repeat ? 1 : 0, Number(delay) || 0);
  const id = nextId++;
  lookedAt = host.elapsedMs();
  insert({ id, due: lookedAt + ms, callback, args, every: repeat ? ms : undefined });
  arm();
  return id;
}

export function setTimeout(callback, delay, ...args) {
  return set(callback, delay, args, false);
}

export function setInterval(callback, delay, ...args) {
  return set(callback, delay, args, true);
}

export function setImmediate(callback, ...args) {
  return set(callback, 0, args, false);
}

export function clearTimeout(id) {
  const at = waiting.findIndex((timer) => timer.id === id);
  if (at >= 0) waiting.splice(at, 1);
}
