// fetch: requests out, through the host's allow-list. Redirects are followed here, so that every hop passes that list.

import host from "emu:js/host";
import { atob } from "./base64.js";
import { pump, streamOf } from "./body.js";
import { fetch as fetchOnce } from "./calls.js";
import { hostError } from "./errors.js";
import { toLines } from "./headers.js";
import { Request, requestContent, requestSignal } from "./request.js";
import { arrivedResponse } from "./response.js";
import { URL } from "./url.js";

const HOPS_MAX = 20;

function networkError(text) {
  return new TypeError(`fetch failed: ${text}`);
}

/** Sends one request; `content` is what the host's `fetch` takes. */
async function send(head, content, binding) {
  const { tag, val } = content;
  try {
    if (tag === "stream" || tag === "handle") {
      const sink = tag === "handle" ? val : host.pipe();
      const sent = fetchOnce(head, null, sink, binding);
      if (tag === "stream") pump(val, sink).catch(() => {});
      return await sent;
    }
    const bytes = tag === "none" ? null : tag === "text" ? host.encode(val.toWellFormed()) : val;
    return await fetchOnce(head, bytes, null, binding);
  } catch (error) {
    throw hostError(error, networkError);
  }
}

/** What the host can unpack. */
const CODINGS = { __proto__: null, gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };

/**
 * How a response is packed, and its head without the headers that say so: its body is read as it was before, and headers that a
 * function copies to another body say nothing of this one.
 */
function unpack(head, method) {
  if (!head.includes("\ncontent-encoding: ") || method === "HEAD" || /^(204|205|304)/.test(head)) return [head, undefined];
  const packing = [];
  const rest = head.split("\n").filter((line) => {
    if (!/^content-(encoding|length): /.test(line)) return true;
    packing.push(line);
    return false;
  });
  const codings = packing.filter((line) => line.startsWith("content-encoding: "));
  const format = CODINGS[codings[0].slice("content-encoding: ".length).trim().toLowerCase()];
  if (codings.length !== 1 || format === undefined) return [head, undefined];
  return [rest.join("\n"), { format, lines: packing.map((line) => `\n${line}`).join("") }];
}

/** Asks for what can be unpacked only, whatever a client asked for whose headers these were. */
function readable(lines) {
  if (!lines.includes("\naccept-encoding: ")) return lines;
  return lines.replace(/\naccept-encoding: ([^\n]*)/g, (_, codings) => {
    const known = codings.split(",").map((coding) => coding.trim()).filter((coding) => /^(gzip|x-gzip|deflate|identity)($|[; ])/i.test(coding));
    return `\naccept-encoding: ${known.length === 0 ? "identity" : known.join(", ")}`;
  });
}

/** The content of what arrived by a handle. A signal ends its stream. */
function arrivedBody(handle, coding, signal) {
  const source = { tag: "handle", val: handle, coding };
  return signal === undefined ? source : { tag: "stream", val: streamOf(source, signal) };
}

/** Where a response redirects to: the next request's method, address and content. Null when it does not. */
function nextHop(response, status, method, url, content) {
  const location = response.headers.get("location");
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return null;
  const target = URL.parse(location, url);
  if (target === null) throw networkError(`redirected to "${location}", which is no address`);
  const toGet = (status === 303 && method !== "HEAD") || (status <= 302 && method === "POST");
  if (!toGet && content.tag === "stream") throw networkError("redirected, but the body is a stream and cannot be sent again");
  return { method: toGet ? "GET" : method, url: target.href, content: toGet ? { tag: "none" } : content };
}

function withoutBodyHeaders(lines) {
  return lines.split("\n").filter((line) => !/^content-(type|length|encoding|language|location):/.test(line)).join("\n");
}

/** The content of a `data:` address as a response. */
function ofData(url) {
  const comma = url.indexOf(",");
  if (comma < 0) throw networkError("a data: address needs a comma before its content");
  let type = url.slice("data:".length, comma).trim();
  const base64 = /; *base64$/i.test(type);
  if (base64) type = type.replace(/; *base64$/i, "");
  if (type.startsWith(";") || type === "") type = `text/plain${type === "" ? ";charset=US-ASCII" : type}`;
  const content = url.slice(comma + 1).replace(/#.*$/s, "");
  const latin = unescapeBytes(content);
  const bytes = Uint8Array.from(base64 ? atob(latin) : latin, (char) => char.charCodeAt(0));
  return arrivedResponse(`200 OK\ncontent-type: ${type}`, { tag: "bytes", val: bytes }, url, false);
}

/** A character a byte. */
function unescapeBytes(text) {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}

async function run(request, binding, signal) {
  let { method, url } = request;
  let content = requestContent(request).take();
  let lines = readable(toLines(request.headers));
  if (url.startsWith("data:")) return ofData(url);
  if (binding === null && !/^https?:/.test(url)) throw networkError(`${url.split(":", 1)[0]}: addresses cannot be fetched, only http: and https:`);
  for (let hop = 0; ; hop++) {
    const [answered, handle] = await send(`${method} ${url}${lines}`, content, binding);
    const [head, coding] = unpack(answered, method);
    if (signal?.aborted) {
      host.close(handle, null);
      throw signal.reason;
    }
    const response = arrivedResponse(head, arrivedBody(handle, coding, signal), url, hop > 0);
    const next = request.redirect === "manual" ? null : nextHop(response, response.status, method, url, content);
    if (next === null) return response;
    if (request.redirect === "error") throw networkError(`redirected to ${next.url}`);
    if (hop === HOPS_MAX) throw networkError(`more than ${HOPS_MAX} redirects`);
    host.close(handle, null);
    if (next.method !== method) lines = withoutBodyHeaders(lines);
    if (new URL(next.url).origin !== new URL(url).origin) lines = lines.replace(/\nauthorization: [^\n]*/g, "");
    ({ method, url, content } = next);
  }
}

/** `fetch` through a binding: the host of the address does not matter, the function answers. */
export async function fetchThrough(binding, input, init) {
  const request = new Request(input, init);
  const signal = requestSignal(request) ?? undefined;
  if (signal === undefined) return await run(request, binding);
  signal.throwIfAborted();
  let stop;
  const aborted = new Promise((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([run(request, binding, signal), aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

export function fetch(input, init) {
  return fetchThrough(null, input, init);
}
