// fetch: requests out, through the host's allow-list. Redirects are followed here, so that every hop passes that list.

import host from "emu:js/host";
import { atob } from "./base64.js";
import { pump, streamOfHandle } from "./body.js";
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
  let lines = toLines(request.headers);
  if (url.startsWith("data:")) return ofData(url);
  if (binding === null && !/^https?:/.test(url)) throw networkError(`${url.split(":", 1)[0]}: addresses cannot be fetched, only http: and https:`);
  for (let hop = 0; ; hop++) {
    const [head, handle] = await send(`${method} ${url}${lines}`, content, binding);
    if (signal?.aborted) {
      host.close(handle, null);
      throw signal.reason;
    }
    const body = signal === undefined ? { tag: "handle", val: handle } : { tag: "stream", val: streamOfHandle(handle, signal) };
    const response = arrivedResponse(head, body, url, hop > 0);
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
