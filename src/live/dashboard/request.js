// A form that sends a request to a function, with what was sent before and the same as a curl command.

import { part, post } from "./api.js";
import { fill, guest, h } from "./dom.js";
import { millis } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { copy, explain, remembered } from "./parts.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const KEPT = 30;

function historyKey() {
  return `emu.requests.${live.health ? live.health.project : ""}`;
}

function earlier() {
  return remembered(historyKey()) || [];
}

function keep(request) {
  const same = (one) => ["kind", "name", "method", "path", "headers", "body"].every((key) => one[key] === request[key]);
  remembered(historyKey(), [request, ...earlier().filter((one) => !same(one))].slice(0, KEPT));
}

// What was sent from this page as an invocation, when it is still known.
export function sentAs(invocation) {
  return earlier().find((one) => one.invocation === invocation) || null;
}

function parseHeaders(lines) {
  const headers = [];
  for (const line of lines.split("\n")) {
    if (!line.trim()) continue;
    const at = line.indexOf(":");
    if (at < 1) throw new Error(t("request.badheader", { line }));
    headers.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  return headers;
}

function quote(words) {
  return `'${String(words).replaceAll("'", "'\\''")}'`;
}

export function curl(request) {
  if (request.kind === "event") {
    const url = `${location.origin}/_emu/functions/${part(request.name)}/invoke`;
    return `curl -H 'content-type: application/json' ${quote(url)} -d ${quote(request.body || "null")}`;
  }
  const parts = ["curl -i"];
  if (request.method !== "GET") parts.push(`-X ${request.method}`);
  for (const [name, value] of parseHeaders(request.headers || "")) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  if (request.body) parts.push(`--data-raw ${quote(request.body)}`);
  parts.push(quote(`${live.health.functions_url}${request.path}`));
  return parts.join(" ");
}

// Path and method of a route, with something in the place of its parameters.
export function fromRoute(route) {
  const [method, pattern] = route.split(" ");
  const path = pattern
    .split("/")
    .map((segment) => (segment === "*" || segment.endsWith("+}") ? "" : segment.startsWith("{") ? "1" : segment))
    .join("/");
  return { method: method === "ANY" ? "GET" : method, path: path || "/" };
}

export function requestForm(name, first) {
  const known = live.functions.get(name);
  const http = Boolean(known && known.routes.length);
  const start = first || { kind: http ? "http" : "event", ...(http ? fromRoute(known.routes[0]) : {}), body: http ? "" : "{}" };
  const method = h("select", { id: "method", "aria-label": t("request.method") }, METHODS.map((one) => h("option", { value: one }, one)));
  const path = h("input", { id: "path", class: "mono grow", "aria-label": t("request.path"), spellcheck: "false", autocomplete: "off" });
  const headers = h("textarea", { id: "headers", rows: "2", spellcheck: "false", placeholder: "content-type: application/json" });
  const body = h("textarea", { id: "body", rows: "4", spellcheck: "false" });
  const answer = h("div", { class: "answer", id: "answer", "aria-live": "polite" });
  const send = h("button", { class: "main", id: "send" }, t("request.send"));
  const copyButton = h("button", { type: "button", id: "curl" }, t("request.curl"));
  const before = h("select", { id: "earlier", "aria-label": t("request.earlier") });
  const headerField = h("label", { class: "field" }, h("span", {}, t("request.headers")), headers);
  const line = h("div", { class: "inline nowrap" }, method, path);
  let kind = start.kind || "http";

  const set = (request) => {
    kind = request.kind || "http";
    method.value = request.method || "GET";
    path.value = request.path || "/";
    headers.value = request.headers || "";
    body.value = request.body || "";
    line.hidden = headerField.hidden = kind === "event";
    eventButton.setAttribute("aria-pressed", String(kind === "event"));
    httpButton.setAttribute("aria-pressed", String(kind === "http"));
  };
  const read = () => ({ kind, name, method: method.value, path: path.value, headers: headers.value, body: body.value });
  const httpButton = h("button", { type: "button", class: "tool", onclick: () => set({ ...read(), kind: "http" }) }, t("request.http"));
  const eventButton = h("button", { type: "button", class: "tool", onclick: () => set({ ...read(), kind: "event", body: body.value || "{}" }) }, t("request.event"));

  const list = () => {
    const own = earlier().filter((one) => one.name === name);
    fill(before, h("option", { value: "" }, t("request.earlier")), own.map((one, at) => h("option", { value: String(at) }, one.kind === "event" ? `${t("request.event")} ${one.body.slice(0, 40)}` : `${one.method} ${one.path}`)));
    before.hidden = own.length === 0;
  };
  before.addEventListener("change", () => {
    const own = earlier().filter((one) => one.name === name);
    if (own[before.value]) set(own[before.value]);
    before.value = "";
  });
  copyButton.addEventListener("click", () => {
    try {
      copy(curl(read()), copyButton);
    } catch (error) {
      fill(answer, h("p", { class: "bad" }, error.message));
    }
  });

  const submit = async (event) => {
    event.preventDefault();
    const request = read();
    send.disabled = true;
    try {
      const invocation = request.kind === "event" ? await invoke(request, answer) : await fetchIt(request, answer);
      keep({ ...request, invocation });
      list();
    } catch (error) {
      fill(answer, h("p", { class: "bad", role: "alert" }, error.status === undefined ? guest(error.message) : explain(error)));
    } finally {
      send.disabled = false;
    }
  };
  const form = h(
    "form",
    {
      class: "request",
      onsubmit: submit,
      onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
      },
    },
    h("div", { class: "bar" }, http ? h("div", { class: "tools" }, httpButton, eventButton) : null, before),
    line,
    headerField,
    h("label", { class: "field" }, h("span", {}, t("request.body")), body),
    h("div", { class: "inline" }, send, copyButton, h("span", { class: "quiet" }, t("request.hint"))),
    answer,
  );
  set(start);
  list();
  return form;
}

async function fetchIt(request, answer) {
  const headers = parseHeaders(request.headers);
  const body = request.body || undefined;
  if (body && !headers.some(([name]) => name.toLowerCase() === "content-type")) headers.push(["content-type", isJson(body) ? "application/json" : "text/plain"]);
  const got = await post("request", { method: request.method, path: request.path, headers, body });
  const kind = got.status < 400 ? "good" : "bad";
  fill(
    answer,
    h("div", { class: "inline" },
      h("b", { class: kind, id: "status" }, String(got.status)),
      h("span", {}, millis(got.elapsed_ms)),
      got.start ? h("span", { class: got.start === "cold" ? "cold" : "quiet" }, t(got.start)) : null,
      got.invocation ? h("a", { href: `#/invocations/${part(got.invocation)}` }, t("request.invocation")) : null,
    ),
    h("details", {}, h("summary", {}, t("request.answerheaders", { n: got.headers.length })), h("pre", {}, got.headers.map(([name, value]) => `${guest(name)}: ${guest(value)}\n`))),
    h("pre", { class: "body" }, got.body === undefined || got.body === null ? t("request.binary", { n: got.bytes }) : pretty(got.body)),
  );
  return got.invocation;
}

async function invoke(request, answer) {
  let event;
  try {
    event = JSON.parse(request.body || "null");
  } catch (error) {
    throw new Error(t("request.badjson", { why: error.message }));
  }
  const got = await post(`functions/${part(request.name)}/invoke`, event);
  fill(
    answer,
    h("div", { class: "inline" },
      h("b", { class: got.invocation.outcome === "succeeded" ? "good" : "bad", id: "status" }, t(`outcome.${got.invocation.outcome}`)),
      h("span", {}, millis(got.invocation.duration_ms)),
      h("a", { href: `#/invocations/${part(got.invocation.id)}` }, t("request.invocation")),
    ),
    h("pre", { class: "body" }, guest(JSON.stringify(got.response, null, 2))),
  );
  return got.invocation.id;
}

function isJson(body) {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

function pretty(body) {
  try {
    return guest(JSON.stringify(JSON.parse(body), null, 2));
  } catch {
    return guest(body);
  }
}
