// URL and URLSearchParams. Addresses are parsed by the host.

import host from "emu:js/host";
import { fromUtf8 } from "./encoding.js";
import { needs } from "./idl.js";

const HREF = 0, PROTOCOL = 1, USERNAME = 2, PASSWORD = 3, HOST = 4, HOSTNAME = 5, PORT = 6, PATHNAME = 7, SEARCH = 8, HASH = 9, ORIGIN = 10;

function percentDecode(text) {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    const bytes = [];
    for (let at = 0; at < text.length; at++) {
      const code = text.slice(at + 1, at + 3);
      if (text[at] === "%" && /^[0-9a-fA-F]{2}$/.test(code)) {
        bytes.push(parseInt(code, 16));
        at += 2;
      } else {
        const char = String.fromCodePoint(text.codePointAt(at));
        at += char.length - 1;
        bytes.push(...host.encode(char.toWellFormed()));
      }
    }
    return fromUtf8(new Uint8Array(bytes));
  }
}

function parseForm(text) {
  const pairs = [];
  for (const piece of text.split("&")) {
    if (piece === "") continue;
    const at = piece.indexOf("=");
    const name = at < 0 ? piece : piece.slice(0, at);
    const value = at < 0 ? "" : piece.slice(at + 1);
    pairs.push([percentDecode(name.replaceAll("+", " ")), percentDecode(value.replaceAll("+", " "))]);
  }
  return pairs;
}

function encodeForm(text) {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

export class URLSearchParams {
  #pairs = [];
  #changed = null;

  constructor(init = "") {
    if (typeof init === "object" && init !== null) {
      if (init instanceof URLSearchParams) this.#pairs = init.#pairs.map(([name, value]) => [name, value]);
      else if (typeof init[Symbol.iterator] === "function") this.#fromList(init);
      else this.#pairs = Object.entries(init).map(([name, value]) => [name, String(value)]);
    } else {
      const text = String(init);
      this.#pairs = parseForm(text.startsWith("?") ? text.slice(1) : text);
    }
  }

  #fromList(list) {
    for (const pair of list) {
      const [name, ...values] = pair;
      if (values.length !== 1) throw new TypeError("each pair must be a name and a value");
      this.#pairs.push([String(name), String(values[0])]);
    }
  }

  /** The query of an address: every change is told to `changed`. */
  static ofUrl(search, changed) {
    const params = new URLSearchParams(search);
    params.#changed = changed;
    return params;
  }

  static refresh(params, search) {
    params.#pairs = parseForm(search.replace(/^\?/, ""));
  }

  #tell() {
    this.#changed?.(this.toString());
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    needs(2, arguments.length, "append");
    this.#pairs.push([String(name), String(value)]);
    this.#tell();
  }

  delete(name, value) {
    needs(1, arguments.length, "delete");
    const matches = (pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value));
    this.#pairs = this.#pairs.filter((pair) => !matches(pair));
    this.#tell();
  }

  get(name) {
    needs(1, arguments.length, "get");
    const wanted = String(name);
    for (let at = 0; at < this.#pairs.length; at++) if (this.#pairs[at][0] === wanted) return this.#pairs[at][1];
    return null;
  }

  getAll(name) {
    needs(1, arguments.length, "getAll");
    return this.#pairs.filter((pair) => pair[0] === String(name)).map((pair) => pair[1]);
  }

  has(name, value) {
    needs(1, arguments.length, "has");
    return this.#pairs.some((pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value)));
  }

  set(name, value) {
    needs(2, arguments.length, "set");
    const at = this.#pairs.findIndex((pair) => pair[0] === String(name));
    if (at < 0) return this.append(name, value);
    this.#pairs[at][1] = String(value);
    this.#pairs = this.#pairs.filter((pair, index) => index <= at || pair[0] !== String(name));
    this.#tell();
  }

  sort() {
    this.#pairs.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0));
    this.#tell();
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#pairs.length; at++) yield [this.#pairs[at][0], this.#pairs[at][1]];
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

  toString() {
    return this.#pairs.map(([name, value]) => `${encodeForm(name)}=${encodeForm(value)}`).join("&");
  }
}

const { ofUrl, refresh } = URLSearchParams;
delete URLSearchParams.ofUrl;
delete URLSearchParams.refresh;

function parse(input, base) {
  return host.urlParse(String(input).toWellFormed(), base === undefined ? null : String(base).toWellFormed());
}

export class URL {
  #parts;
  #params = null;

  constructor(input, base) {
    if (arguments.length === 0) throw new TypeError("a URL needs an address");
    const parts = parse(input, base);
    if (parts === null) {
      const against = base === undefined ? "" : ` with base "${base}"`;
      throw Object.assign(new TypeError(`Invalid URL: "${input}"${against}`), { code: "ERR_INVALID_URL", input: String(input) });
    }
    this.#parts = parts.split("\n");
  }

  static canParse(input, base) {
    needs(1, arguments.length, "canParse");
    return parse(input, base) !== null;
  }

  static parse(input, base) {
    needs(1, arguments.length, "parse");
    return URL.canParse(input, base) ? new URL(input, base) : null;
  }

  #set(part, value) {
    const parts = host.urlSet(this.#parts[HREF], part, String(value).toWellFormed());
    if (parts === null) return;
    this.#parts = parts.split("\n");
    if (this.#params !== null) refresh(this.#params, this.#parts[SEARCH]);
  }

  get href() {
    return this.#parts[HREF];
  }

  set href(value) {
    const parts = parse(value);
    if (parts === null) throw new TypeError(`Invalid URL: "${value}"`);
    this.#parts = parts.split("\n");
    if (this.#params !== null) refresh(this.#params, this.#parts[SEARCH]);
  }

  get origin() {
    return this.#parts[ORIGIN];
  }

  get searchParams() {
    this.#params ??= ofUrl(this.#parts[SEARCH], (query) => {
      this.#parts = host.urlSet(this.#parts[HREF], "search", query).split("\n");
    });
    return this.#params;
  }

  get protocol() {
    return this.#parts[PROTOCOL];
  }

  set protocol(value) {
    this.#set("protocol", value);
  }

  get username() {
    return this.#parts[USERNAME];
  }

  set username(value) {
    this.#set("username", value);
  }

  get password() {
    return this.#parts[PASSWORD];
  }

  set password(value) {
    this.#set("password", value);
  }

  get host() {
    return this.#parts[HOST];
  }

  set host(value) {
    this.#set("host", value);
  }

  get hostname() {
    return this.#parts[HOSTNAME];
  }

  set hostname(value) {
    this.#set("hostname", value);
  }

  get port() {
    return this.#parts[PORT];
  }

  set port(value) {
    this.#set("port", value);
  }

  get pathname() {
    return this.#parts[PATHNAME];
  }

  set pathname(value) {
    this.#set("pathname", value);
  }

  get search() {
    return this.#parts[SEARCH];
  }

  set search(value) {
    this.#set("search", value);
  }

  get hash() {
    return this.#parts[HASH];
  }

  set hash(value) {
    this.#set("hash", value);
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}
