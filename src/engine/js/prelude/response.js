// Response.

import { Content, extract, mixBody } from "./body.js";
import { freeze, Headers, ofLines } from "./headers.js";
import { dictionary, needs } from "./idl.js";
import { URL } from "./url.js";

const BODILESS = new Set([101, 204, 205, 304]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const ARRIVED = Symbol("arrived");
const NOTHING = {};

let contentOf;
let arrive;

export class Response {
  #status = 200;
  #statusText = "";
  #headers;
  #content;
  #url = "";
  #redirected = false;
  #type = "default";

  constructor(body, init) {
    if (body === ARRIVED) return;
    const given = init === undefined ? NOTHING : dictionary(init, "the second argument of Response");
    const status = given.status === undefined ? 200 : Math.trunc(Number(given.status));
    if (!(status >= 200 && status <= 599)) throw new RangeError(`the status of a Response must be 200 to 599, got ${given.status}`);
    this.#status = status;
    if (given.statusText !== undefined) {
      this.#statusText = String(given.statusText);
      if (/[^\t\x20-\x7e\x80-\xff]/.test(this.#statusText)) throw new TypeError("invalid statusText");
    }
    this.#headers = new Headers(given.headers);
    const { content, type } = extract(body);
    if (!content.empty && BODILESS.has(status)) throw new TypeError(`a Response of status ${status} cannot have a body`);
    this.#content = content;
    if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
  }

  static {
    contentOf = (response) => response.#content;
    arrive = (head, body, url, redirected) => {
      const response = new Response(ARRIVED);
      const end = head.indexOf("\n");
      const line = end < 0 ? head : head.slice(0, end);
      response.#status = Number(line.slice(0, 3));
      response.#statusText = line.slice(4);
      response.#headers = ofLines(head, end < 0 ? -1 : end + 1);
      response.#content = BODILESS.has(response.#status) ? new Content() : new Content(body);
      response.#url = url;
      response.#redirected = redirected;
      response.#type = "basic";
      return response;
    };
  }

  static json(data, init) {
    needs(1, arguments.length, "Response.json");
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("the data of Response.json has no form in JSON");
    const headers = new Headers(init?.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { ...init, headers });
  }

  static redirect(url, status = 302) {
    needs(1, arguments.length, "Response.redirect");
    const { href } = new URL(url);
    if (!REDIRECTS.has(Number(status))) throw new RangeError(`${status} is no status of a redirect`);
    const response = new Response(null, { status, headers: { location: href } });
    freeze(response.#headers);
    return response;
  }

  static error() {
    const response = new Response();
    response.#status = 0;
    response.#type = "error";
    freeze(response.#headers);
    return response;
  }

  get status() {
    return this.#status;
  }

  get statusText() {
    return this.#statusText;
  }

  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }

  get headers() {
    return this.#headers;
  }

  get url() {
    return this.#url;
  }

  get redirected() {
    return this.#redirected;
  }

  get type() {
    return this.#type;
  }

  clone() {
    const copy = new Response(ARRIVED);
    copy.#status = this.#status;
    copy.#statusText = this.#statusText;
    copy.#content = this.#content.clone();
    copy.#headers = new Headers(this.#headers);
    copy.#url = this.#url;
    copy.#redirected = this.#redirected;
    copy.#type = this.#type;
    return copy;
  }
}

mixBody(Response, contentOf);

/** The content of a response, for the reply to the host. */
export const responseContent = contentOf;

/** A Response from the head that the host answers with, and the source of its content. */
export const arrivedResponse = arrive;
