// Response.

import { Content, extract, mixBody } from "./body.js";
import { freeze, Headers, ofLines, ofType } from "./headers.js";
import { dictionary, needs } from "./idl.js";
import { URL } from "./url.js";

const BODILESS = new Set([101, 204, 205, 304]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const ARRIVED = Symbol("arrived");
const NOTHING = {};
const TEXT_TYPE = "text/plain;charset=UTF-8";
const JSON_TYPE = "application/json";

/**
 * Places in a response's state. It is an array, because an array costs a fresh isolate a tenth of as many fields; headers
 * and content that are nothing but a text stay so until somebody asks for them.
 */
const STATUS = 0;
const STATUS_TEXT = 1;
/** A string: the media type, and nothing else. */
const HEADERS = 2;
/** A string: text that nobody has read. */
const CONTENT = 3;
const URL_OF = 4;
const REDIRECTED = 5;
const TYPE = 6;

let contentOf;
let arrive;
let plain;

export class Response {
  #state;

  constructor(body, init) {
    if (body === ARRIVED) return;
    if (init === undefined && typeof body === "string") {
      this.#state = [200, "", TEXT_TYPE, body, "", false, "default"];
      return;
    }
    const given = init === undefined ? NOTHING : dictionary(init, "the second argument of Response");
    const status = given.status === undefined ? 200 : Math.trunc(Number(given.status));
    if (!(status >= 200 && status <= 599)) throw new RangeError(`the status of a Response must be 200 to 599, got ${given.status}`);
    let statusText = "";
    if (given.statusText !== undefined) {
      statusText = String(given.statusText);
      if (/[^\t\x20-\x7e\x80-\xff]/.test(statusText)) throw new TypeError("invalid statusText");
    }
    const headers = new Headers(given.headers);
    const { content, type } = extract(body);
    if (!content.empty && BODILESS.has(status)) throw new TypeError(`a Response of status ${status} cannot have a body`);
    if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
    this.#state = [status, statusText, headers, content, "", false, "default"];
  }

  static {
    contentOf = (response) => {
      const state = response.#state;
      if (typeof state[CONTENT] === "string") state[CONTENT] = new Content({ tag: "text", val: state[CONTENT] });
      return state[CONTENT];
    };
    arrive = (head, body, url, redirected) => {
      const response = new Response(ARRIVED);
      const end = head.indexOf("\n");
      const line = end < 0 ? head : head.slice(0, end);
      const status = Number(line.slice(0, 3));
      const headers = ofLines(head, end < 0 ? -1 : end + 1);
      const content = BODILESS.has(status) ? new Content() : new Content(body);
      response.#state = [status, line.slice(4), headers, content, url, redirected, "basic"];
      return response;
    };
    plain = (response) => {
      const state = response.#state;
      if (typeof state[HEADERS] !== "string" || typeof state[CONTENT] !== "string") return null;
      return [`${state[STATUS]} ${state[STATUS_TEXT]}\ncontent-type: ${state[HEADERS]}`, { tag: "text", val: state[CONTENT].toWellFormed() }];
    };
  }

  static json(data, init) {
    needs(1, arguments.length, "Response.json");
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("the data of Response.json has no form in JSON");
    if (init === undefined) {
      const response = new Response(ARRIVED);
      response.#state = [200, "", JSON_TYPE, text, "", false, "default"];
      return response;
    }
    const headers = new Headers(init?.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { ...init, headers });
  }

  static redirect(url, status = 302) {
    needs(1, arguments.length, "Response.redirect");
    const { href } = new URL(url);
    if (!REDIRECTS.has(Number(status))) throw new RangeError(`${status} is no status of a redirect`);
    const response = new Response(null, { status, headers: { location: href } });
    freeze(response.headers);
    return response;
  }

  static error() {
    const response = new Response();
    response.#state[STATUS] = 0;
    response.#state[TYPE] = "error";
    freeze(response.headers);
    return response;
  }

  get status() {
    return this.#state[STATUS];
  }

  get statusText() {
    return this.#state[STATUS_TEXT];
  }

  get ok() {
    const status = this.#state[STATUS];
    return status >= 200 && status <= 299;
  }

  get headers() {
    const state = this.#state;
    if (typeof state[HEADERS] === "string") state[HEADERS] = ofType(state[HEADERS]);
    return state[HEADERS];
  }

  get url() {
    return this.#state[URL_OF];
  }

  get redirected() {
    return this.#state[REDIRECTED];
  }

  get type() {
    return this.#state[TYPE];
  }

  clone() {
    const content = contentOf(this).clone();
    const copy = new Response(ARRIVED);
    copy.#state = [...this.#state];
    copy.#state[CONTENT] = content;
    copy.#state[HEADERS] = new Headers(this.headers);
    return copy;
  }
}

mixBody(Response, contentOf);

/** The content of a response, for the reply to the host. */
export const responseContent = contentOf;

/** A Response from the head that the host answers with, and the source of its content. */
export const arrivedResponse = arrive;

/** The host's reply of a response that is a text and nothing more; null for any other. */
export const plainReply = plain;
