// node:url

import { parse as parseQuery, stringify } from "node:querystring";

const { URL, URLSearchParams } = globalThis;
const SLASHED = new Set(["http:", "https:", "ftp:", "file:", "ws:", "wss:"]);

export function fileURLToPath(input) {
  const url = typeof input === "string" ? new URL(input) : input;
  if (url.protocol !== "file:") throw Object.assign(new TypeError("The URL must be of scheme file"), { code: "ERR_INVALID_URL_SCHEME" });
  return decodeURIComponent(url.pathname);
}

export function pathToFileURL(path) {
  const url = new URL("file:///");
  const encoded = path.replace(/[%\\\n\r\t?#]/g, encodeURIComponent);
  url.pathname = encoded.startsWith("/") ? encoded : `/${encoded}`;
  return url;
}

export function urlToHttpOptions(url) {
  const options = {
    protocol: url.protocol,
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    hash: url.hash,
    search: url.search,
    pathname: url.pathname,
    path: `${url.pathname}${url.search}`,
    href: url.href,
  };
  if (url.port !== "") options.port = Number(url.port);
  if (url.username || url.password) options.auth = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return options;
}

export function domainToASCII(domain) {
  return URL.canParse(`http://${domain}`) ? new URL(`http://${domain}`).hostname : "";
}

export const domainToUnicode = domainToASCII;

/** The older kind of address: parts may be missing, null where they are. */
export function Url() {
  Object.assign(this, {
    protocol: null, slashes: null, auth: null, host: null, port: null, hostname: null, hash: null, search: null, query: null,
    pathname: null, path: null, href: null,
  });
}

export function parse(text, withQuery = false, slashesHost = false) {
  if (text instanceof Url) return text;
  if (typeof text !== "string") throw Object.assign(new TypeError('The "url" argument must be of type string'), { code: "ERR_INVALID_ARG_TYPE" });
  const url = new Url();
  let rest = text.trim().replaceAll("\\", "/");
  const hash = rest.indexOf("#");
  if (hash >= 0) [url.hash, rest] = [rest.slice(hash), rest.slice(0, hash)];
  const query = rest.indexOf("?");
  if (query >= 0) [url.search, rest] = [rest.slice(query), rest.slice(0, query)];
  if (withQuery) {
    url.query = parseQuery((url.search ?? "").slice(1));
    url.search ??= "";
  } else if (url.search !== null) url.query = url.search.slice(1);
  const scheme = /^([a-z][a-z0-9+.-]*:)/i.exec(rest);
  if (scheme) {
    url.protocol = scheme[1].toLowerCase();
    rest = rest.slice(scheme[1].length);
  }
  if (rest.startsWith("//") && (scheme || slashesHost)) {
    url.slashes = true;
    const end = rest.indexOf("/", 2);
    const authority = rest.slice(2, end < 0 ? undefined : end);
    rest = end < 0 ? "" : rest.slice(end);
    const at = authority.lastIndexOf("@");
    if (at >= 0) url.auth = decodeURIComponent(authority.slice(0, at));
    const [, hostname, port] = /^(.*?)(?::([0-9]*))?$/.exec(authority.slice(at + 1));
    url.hostname = hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    url.port = port ? port : null;
    url.host = hostname.toLowerCase() + (port ? `:${port}` : "");
    if (rest === "" && SLASHED.has(url.protocol)) rest = "/";
  }
  if (rest !== "") url.pathname = rest.replace(/[\s"<>`{}|^']/g, encodeURIComponent);
  if (url.pathname !== null || url.search) url.path = (url.pathname ?? "") + (url.search ?? "");
  url.href = format(url);
  return url;
}

export function format(input, options) {
  if (typeof input === "string") return parse(input).href;
  if (input instanceof URL) {
    const url = new URL(input.href);
    if (options?.auth === false) url.username = url.password = "";
    if (options?.fragment === false) url.hash = "";
    if (options?.search === false) url.search = "";
    return url.href;
  }
  const { auth, hostname, port } = input;
  let protocol = input.protocol ?? "";
  if (protocol !== "" && !protocol.endsWith(":")) protocol += ":";
  let host = input.host ?? (hostname ? (hostname.includes(":") ? `[${hostname}]` : hostname) + (port ? `:${port}` : "") : null);
  if (host !== null && auth) host = `${encodeURIComponent(auth).replaceAll("%3A", ":")}@${host}`;
  let pathname = (input.pathname ?? "").replace(/[?#]/g, encodeURIComponent);
  const hasSlashes = input.slashes || (SLASHED.has(protocol) && host !== null);
  if (hasSlashes && pathname !== "" && !pathname.startsWith("/")) pathname = `/${pathname}`;
  let search = input.search ?? (typeof input.query === "object" && input.query !== null ? stringify(input.query) : "");
  if (search !== "" && !search.startsWith("?")) search = `?${search}`;
  let hash = input.hash ?? "";
  if (hash !== "" && !hash.startsWith("#")) hash = `#${hash}`;
  return `${protocol}${hasSlashes ? `//${host ?? ""}` : host ?? ""}${pathname}${search.replaceAll("#", "%23")}${hash}`;
}

Url.prototype.format = function () {
  return format(this);
};
Url.prototype.parse = function (text) {
  return Object.assign(this, parse(text));
};
Url.prototype.resolve = function (to) {
  return resolve(this.href, to);
};

export function resolve(from, to) {
  const base = new URL(from, "resolve://host/");
  const resolved = new URL(to, base);
  if (resolved.protocol !== "resolve:") return resolved.href;
  const path = resolved.pathname + resolved.search + resolved.hash;
  return from.startsWith("/") || to.startsWith("/") ? path : path.slice(1);
}

export function resolveObject(from, to) {
  return parse(resolve(from, to));
}

export { URL, URLSearchParams };
export default {
  domainToASCII, domainToUnicode, fileURLToPath, format, parse, pathToFileURL, resolve, resolveObject, Url, URL, URLSearchParams, urlToHttpOptions,
};
