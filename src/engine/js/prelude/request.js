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

function checkedMethod(method) {
  const text = String(method);
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || FORBIDDEN.has(upper)) throw new TypeError(`invalid method "${text}"`);
  return NORMALIZED.has(upper) ? upper : text;
}

let contentOf;
let signalOf;
let arrive;

export class Request {
  #method = "GET";
  #url = "";
  #headers;
  #content;
  #signal = null;
  #kept = null;

  constructor(input, options) {
    if (input === ARRIVED) return;
    needs(1, arguments.length, "Request");
    const init = dictionary(options, "the second argument of Request");
    const from = input instanceof Request ? input : null;
    if (from === null) {
      const url = new URL(input);
      if (url.username !== "" || url.password !== "") throw new TypeError("the address of a Request must not hold credentials");
      this.#url = url.href;
    } else {
      this.#url = from.#url;
      this.#method = from.#method;
      this.#kept = from.#kept;
      this.#signal = from.#signal;
    }
    if (init.method !== undefined) this.#method = checkedMethod(init.method);
    this.#keep(init);
    if (init.signal !== undefined) {
      if (init.signal !== null && !(init.signal instanceof AbortSignal)) throw new TypeError("the signal of a Request must be an AbortSignal");
      this.#signal = init.signal;
    }
    this.#headers = new Headers(init.headers ?? from?.#headers);
    this.#takeBody(from, init);
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
    this.#kept = { ...this.#kept, ...kept };
  }

  #takeBody(from, init) {
    const given = init.body !== undefined && init.body !== null;
    if (given && (this.#method === "GET" || this.#method === "HEAD")) {
      throw new TypeError(`a ${this.#method} request cannot have a body`);
    }
    if (given) {
      const { content, type } = extract(init.body);
      this.#content = content;
      if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
    } else if (from !== null && !from.#content.empty) {
      this.#content = new Content(from.#content.take());
    } else {
      this.#content = new Content();
    }
  }

  static {
    contentOf = (request) => request.#content;
    signalOf = (request) => request.#signal;
    arrive = (head, body) => {
      const request = new Request(ARRIVED);
      const space = head.indexOf(" ");
      const end = head.indexOf("\n");
      request.#method = head.slice(0, space);
      request.#url = end < 0 ? head.slice(space + 1) : head.slice(space + 1, end);
      request.#headers = ofLines(head, end < 0 ? -1 : end + 1);
      request.#content = new Content(body);
      return request;
    };
  }

  get method() {
    return this.#method;
  }

  get url() {
    return this.#url;
  }

  get headers() {
    return this.#headers;
  }

  get destination() {
    return "";
  }

  get duplex() {
    return "half";
  }

  get redirect() {
    return this.#kept?.redirect ?? "follow";
  }

  get signal() {
    this.#signal ??= new AbortController().signal;
    return this.#signal;
  }

  get cache() {
    return this.#kept?.cache ?? "default";
  }

  get credentials() {
    return this.#kept?.credentials ?? "same-origin";
  }

  get mode() {
    return this.#kept?.mode ?? "cors";
  }

  get keepalive() {
    return this.#kept?.keepalive ?? false;
  }

  get integrity() {
    return this.#kept?.integrity ?? "";
  }

  get referrer() {
    return this.#kept?.referrer ?? "about:client";
  }

  get referrerPolicy() {
    return this.#kept?.referrerPolicy ?? "";
  }

  clone() {
    const copy = new Request(ARRIVED);
    copy.#method = this.#method;
    copy.#url = this.#url;
    copy.#content = this.#content.clone();
    copy.#headers = new Headers(this.#headers);
    copy.#kept = this.#kept;
    copy.#signal = this.#signal === null ? null : AbortSignal.any([this.#signal]);
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
