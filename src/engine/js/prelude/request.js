// Request.

import { Content, extract, mixBody } from "./body.js";
import { AbortController, AbortSignal } from "./events.js";
import { Headers, ofLines } from "./headers.js";
import { URL } from "./url.js";

const NORMALIZED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ARRIVED = Symbol("arrived");

function checkedMethod(method) {
  const text = String(method);
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || FORBIDDEN.has(upper)) throw new TypeError(`invalid method "${text}"`);
  return NORMALIZED.has(upper) ? upper : text;
}

let contentOf;
let arrive;

export class Request {
  #method = "GET";
  #url = "";
  #headers;
  #content;
  #signal = null;
  #redirect = "follow";

  constructor(input, init = {}) {
    if (input === ARRIVED) return;
    const from = input instanceof Request ? input : null;
    if (from === null) {
      const url = new URL(input);
      if (url.username !== "" || url.password !== "") throw new TypeError("the address of a Request must not hold credentials");
      this.#url = url.href;
    } else {
      this.#url = from.#url;
      this.#method = from.#method;
      this.#redirect = from.#redirect;
      this.#signal = from.#signal;
    }
    if (init.method !== undefined) this.#method = checkedMethod(init.method);
    if (init.redirect !== undefined) this.#redirect = String(init.redirect);
    if (init.signal !== undefined) this.#signal = init.signal;
    this.#headers = new Headers(init.headers ?? from?.#headers);
    this.#takeBody(from, init);
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

  get redirect() {
    return this.#redirect;
  }

  get signal() {
    this.#signal ??= new AbortController().signal;
    return this.#signal;
  }

  get cache() {
    return "default";
  }

  get credentials() {
    return "same-origin";
  }

  get mode() {
    return "cors";
  }

  get keepalive() {
    return false;
  }

  get integrity() {
    return "";
  }

  get referrer() {
    return "about:client";
  }

  clone() {
    const copy = new Request(ARRIVED);
    copy.#method = this.#method;
    copy.#url = this.#url;
    copy.#headers = new Headers(this.#headers);
    copy.#content = this.#content.clone();
    copy.#redirect = this.#redirect;
    copy.#signal = this.#signal instanceof AbortSignal ? AbortSignal.any([this.#signal]) : this.#signal;
    return copy;
  }

  get [Symbol.toStringTag]() {
    return "Request";
  }
}

mixBody(Request, contentOf);

/** The content of a request, for `fetch`. */
export const requestContent = contentOf;

/** A Request from the head and body that the host hands in. */
export const arrivedRequest = arrive;
