// Headers. Those of a request stay text until somebody asks for one.

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const RAW = Symbol("raw");

/** Names that are known to be well formed, and their form in lower case: a regular expression costs more than a request. */
const KNOWN = new Map(
  ["Content-Type", "Content-Length", "Location", "Set-Cookie", "Cache-Control", "Accept", "Authorization", "Cookie", "Host",
    "User-Agent", "Origin", "Vary", "ETag", "X-Request-Id"].flatMap((name) => [
    [name, name.toLowerCase()],
    [name.toLowerCase(), name.toLowerCase()],
  ]),
);

function checkedName(name) {
  const known = KNOWN.get(name);
  if (known !== undefined) return known;
  const text = String(name);
  if (!NAME.test(text)) throw new TypeError(`invalid header name: "${text}"`);
  return text.toLowerCase();
}

function checkedValue(value, name) {
  let text = String(value);
  if (text.charCodeAt(0) <= 32 || text.charCodeAt(text.length - 1) <= 32) text = text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (text.includes("\n") || text.includes("\r") || text.includes("\0")) throw new TypeError(`invalid value of header "${name}"`);
  return text;
}

export class Headers {
  /** Names in lower case with their values, in the order of arrival; null while `#raw` is not parsed. */
  #pairs = null;
  #raw = "";
  #immutable = false;

  constructor(init) {
    if (init === RAW) return;
    this.#pairs = [];
    if (init === undefined || init === null) return;
    if (init instanceof Headers) {
      this.#pairs = init.#list().map(([name, value]) => [name, value]);
    } else if (typeof init[Symbol.iterator] === "function") {
      for (const pair of init) {
        const [name, ...values] = pair;
        const [value] = values;
        if (values.length !== 1) throw new TypeError("each header must be a name and a value");
        this.append(name, value);
      }
    } else if (typeof init === "object") {
      for (const name of Reflect.ownKeys(init)) {
        if (typeof name === "symbol") throw new TypeError("a symbol cannot be the name of a header");
        if (Object.prototype.propertyIsEnumerable.call(init, name)) this.append(name, init[name]);
      }
    } else {
      throw new TypeError("headers must be an object, an array of pairs or Headers");
    }
  }

  /** Headers from the host's lines `name: value` behind `from`. */
  static ofLines(text, from) {
    const headers = new Headers(RAW);
    headers.#raw = from < 0 ? "" : text.slice(from);
    headers.#immutable = true;
    return headers;
  }

  /** Headers with a media type alone, which is not parsed until somebody asks. */
  static ofType(type) {
    const headers = new Headers(RAW);
    headers.#raw = `content-type: ${type}`;
    return headers;
  }

  static freeze(headers) {
    headers.#immutable = true;
  }

  /** The lines for the host, each after a line break. */
  static toLines(headers) {
    if (headers.#pairs === null) return headers.#raw === "" ? "" : `\n${headers.#raw}`;
    let lines = "";
    for (const pair of headers.#pairs) lines += `\n${pair[0]}: ${pair[1]}`;
    return lines;
  }

  #list() {
    if (this.#pairs === null) {
      this.#pairs = [];
      for (const line of this.#raw.split("\n")) {
        const at = line.indexOf(": ");
        if (at > 0) this.#pairs.push([line.slice(0, at), line.slice(at + 2)]);
      }
    }
    return this.#pairs;
  }

  #checkMutable() {
    if (this.#immutable) throw new TypeError("these headers are immutable; make a copy: new Headers(headers), new Response(body, response)");
  }

  append(name, value) {
    const pair = [checkedName(name), checkedValue(value, name)];
    this.#checkMutable();
    this.#list().push(pair);
  }

  delete(name) {
    const key = checkedName(name);
    this.#checkMutable();
    this.#pairs = this.#list().filter((pair) => pair[0] !== key);
  }

  get(name) {
    const key = checkedName(name);
    let found = null;
    const list = this.#list();
    for (let at = 0; at < list.length; at++) {
      if (list[at][0] === key) found = found === null ? list[at][1] : `${found}, ${list[at][1]}`;
    }
    return found;
  }

  getSetCookie() {
    return this.#list().filter((pair) => pair[0] === "set-cookie").map((pair) => pair[1]);
  }

  has(name) {
    const key = checkedName(name);
    const list = this.#list();
    for (let at = 0; at < list.length; at++) if (list[at][0] === key) return true;
    return false;
  }

  set(name, value) {
    const key = checkedName(name);
    const text = checkedValue(value, name);
    this.#checkMutable();
    const list = this.#list();
    const at = list.findIndex((pair) => pair[0] === key);
    if (at < 0) {
      list.push([key, text]);
    } else {
      list[at] = [key, text];
      this.#pairs = list.filter((pair, index) => index <= at || pair[0] !== key);
    }
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    const names = [...new Set(this.#list().map((pair) => pair[0]))].sort();
    for (const name of names) {
      if (name === "set-cookie") for (const value of this.getSetCookie()) yield [name, value];
      else yield [name, this.get(name)];
    }
  }

  *keys() {
    for (const [name] of this.entries()) yield name;
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

export const { freeze, ofLines, ofType, toLines } = Headers;
delete Headers.freeze;
delete Headers.ofLines;
delete Headers.ofType;
delete Headers.toLines;
