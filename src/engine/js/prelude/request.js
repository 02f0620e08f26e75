// Request.

import { Content, extract, mixBody } from "./body.js";
import { AbortController, AbortSignal } from "./events.js";
import { Headers, ofLines } from "./headers.js";
import { dictionary, needs, oneOf } from "./idl.js";
import { URL } from "./url.js";

const NORMALIZED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ARRIVED = Symbol("arrived");

/** Members that a function's request keeps without a meaning here: their values by the Fetch standard, the first is the default. */
const KEPT = {
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  credentials: ["same-origin", "omit", "include"],
  mode: ["cors", "same-origin", "no-cors", "navigate"],
  redirect: ["follow", "error", "manual"],
  referrerPolicy: ["", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
    "strict-origin-when-cross-origin", "unsafe-url"],
};

/** A redirect is the client's to follow, so `fetch(request)` hands it on as it is. */
const ARRIVED_KEPT = { redirect: "manual" };

function checkedMethod(method) {
  const text = String(method);
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || FORBIDDEN.has(upper)) throw new TypeError(`invalid method "${text}"`);
  return NORMALIZED.has(upper) ? upper : text;
}

/**
 * Places in a request's state. It is an array, because an array costs a fresh isolate a tenth of as many fields; one that
 * arrived is parsed when somebody asks.
 */
const METHOD = 0;
const URL_OF = 1;
const HEADERS = 2;
const CONTENT = 3;
const SIGNAL = 4;
const KEPT_OF = 5;

/** What the host handed in: method, address and then a header, one a line. */
function parse(head, body) {
  const space = head.indexOf(" ");
  const end = head.indexOf("\n");
  const url = end < 0 ? head.slice(space + 1) : head.slice(space + 1, end);
  return [head.slice(0, space), url, ofLines(head, end < 0 ? -1 : end + 1), new Content(body), null, ARRIVED_KEPT];
}

let contentOf;
let signalOf;
let arrive;

export class Request {
  /** As above, or of one that arrived and was not asked for anything its head and body. */
  #state;
  #parsed = true;

  constructor(input, options) {
    if (input === ARRIVED) return;
    needs(1, arguments.length, "Request");
    const init = dictionary(options, "the second argument of Request");
    const from = input instanceof Request ? input : null;
    let state = ["GET", "", null, null, null, null];
    if (from === null) {
      const url = new URL(input);
      if (url.username !== "" || url.password !== "") throw new TypeError("the address of a Request must not hold credentials");
      state[URL_OF] = url.href;
    } else {
      state = [...from.#get()];
    }
    this.#state = state;
    if (init.method !== undefined) state[METHOD] = checkedMethod(init.method);
    this.#keep(init);
    if (init.signal !== undefined) {
      if (init.signal !== null && !(init.signal instanceof AbortSignal)) throw new TypeError("the signal of a Request must be an AbortSignal");
      state[SIGNAL] = init.signal;
    }
    state[HEADERS] = new Headers(init.headers ?? from?.headers);
    this.#takeBody(from, init);
  }

  #get() {
    if (!this.#parsed) {
      this.#parsed = true;
      this.#state = parse(this.#state[0], this.#state[1]);
    }
    return this.#state;
  }

  #keep(init) {
    const kept = {};
    for (const [name, allowed] of Object.entries(KEPT)) {
      if (init[name] !== undefined) kept[name] = oneOf(init[name], allowed, `${name} of a Request`);
    }
    if (kept.mode === "navigate") throw new TypeError("a Request cannot be made for navigation");
    for (const [name, convert] of [["integrity", String], ["keepalive", Boolean], ["referrer", String]]) {
      if (init[name] !== undefined) kept[name] = convert(init[name]);
    }
    this.#state[KEPT_OF] = { ...this.#state[KEPT_OF], ...kept };
  }

  #takeBody(from, init) {
    const state = this.#state;
    const given = init.body !== undefined && init.body !== null;
    if (given && (state[METHOD] === "GET" || state[METHOD] === "HEAD")) {
      throw new TypeError(`a ${state[METHOD]} request cannot have a body`);
    }
    if (given) {
      const { content, type } = extract(init.body);
      state[CONTENT] = content;
      if (type !== null && !state[HEADERS].has("content-type")) state[HEADERS].set("content-type", type);
    } else if (from !== null && !contentOf(from).empty) {
      state[CONTENT] = new Content(contentOf(from).take());
    } else {
      state[CONTENT] = new Content();
    }
  }

  static {
    contentOf = (request) => request.#get()[CONTENT];
    signalOf = (request) => request.#get()[SIGNAL];
    arrive = (head, body) => {
      const request = new Request(ARRIVED);
      request.#state = [head, body];
      request.#parsed = false;
      return request;
    };
  }

  get method() {
    return this.#get()[METHOD];
  }

  get url() {
    return this.#get()[URL_OF];
  }

  get headers() {
    return this.#get()[HEADERS];
  }

  get destination() {
    return "";
  }

  get duplex() {
    return "half";
  }

  get redirect() {
    return this.#get()[KEPT_OF]?.redirect ?? "follow";
  }

  get signal() {
    const state = this.#get();
    state[SIGNAL] ??= new AbortController().signal;
    return state[SIGNAL];
  }

  get cache() {
    return this.#get()[KEPT_OF]?.cache ?? "default";
  }

  get credentials() {
    return this.#get()[KEPT_OF]?.credentials ?? "same-origin";
  }

  get mode() {
    return this.#get()[KEPT_OF]?.mode ?? "cors";
  }

  get keepalive() {
    return this.#get()[KEPT_OF]?.keepalive ?? false;
  }

  get integrity() {
    return this.#get()[KEPT_OF]?.integrity ?? "";
  }

  get referrer() {
    return this.#get()[KEPT_OF]?.referrer ?? "about:client";
  }

  get referrerPolicy() {
    return this.#get()[KEPT_OF]?.referrerPolicy ?? "";
  }

  clone() {
    const state = this.#get();
    const content = state[CONTENT].clone();
    const signal = state[SIGNAL] === null ? null : AbortSignal.any([state[SIGNAL]]);
    const copy = new Request(ARRIVED);
    copy.#state = [state[METHOD], state[URL_OF], new Headers(state[HEADERS]), content, signal, state[KEPT_OF]];
    return copy;
  }
}

mixBody(Request, contentOf);

/** The content of a request, for `fetch`. */
export const requestContent = contentOf;

/** The signal of a request, for `fetch`: null when it was given none. */
export const requestSignal = signalOf;

/** A Request from the head and body that the host hands in. */
export const arrivedRequest = arrive;
