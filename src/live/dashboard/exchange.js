// What an invocation was given and what it answered, as far as the history keeps it.

import { get, part, post } from "./api.js";
import { fill, guest, h } from "./dom.js";
import { t } from "./i18n.js";
import { action, copy } from "./parts.js";

// What clients and connections say by themselves.
const COMMON = new Set(["host", "user-agent", "accept-encoding", "connection", "content-length", "transfer-encoding"]);

function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

function content(kept) {
  if (kept.base64 !== undefined) return h("p", { class: "quiet" }, t("request.binary", { n: kept.bytes }));
  if (!kept.body) return h("p", { class: "quiet" }, t(kept.truncated ? "kept.unread" : "kept.empty"));
  const cut = kept.truncated ? h("p", { class: "quiet" }, t("kept.truncated", { n: kept.bytes })) : null;
  return [h("pre", { class: "kept" }, guest(pretty(kept.body))), cut];
}

function headers(list) {
  if (!list || !list.length) return null;
  return h("details", {}, h("summary", {}, t("request.answerheaders", { n: list.length })), h("pre", { class: "kept" }, list.map(([name, value]) => `${guest(name)}: ${guest(value)}\n`)));
}

function redacted(kept) {
  return kept.redacted ? h("p", { class: "quiet" }, t("kept.redacted")) : null;
}

function message(one) {
  const more = one.attributes ? h("pre", { class: "kept" }, guest(JSON.stringify(one.attributes, null, 2))) : null;
  return h("li", {}, h("code", {}, guest(one.id)), ` · ${t("kept.receive", { n: one.receive_count })}`, content(one), more);
}

function given(one) {
  const kept = one.request;
  if (!kept) return h("p", { class: "quiet" }, guest(one.not_kept || ""));
  const what = { http: `${kept.method} ${kept.target}`, cron: `${kept.name} ${kept.schedule}`, queue: kept.name, topic: kept.name }[kept.kind];
  const body = kept.kind === "cron" ? null : kept.messages ? h("ul", { class: "messages" }, kept.messages.map(message)) : content(kept);
  return [what ? h("p", {}, h("b", { class: "mono" }, guest(what))) : null, headers(kept.headers), body, redacted(kept)];
}

function answered(one) {
  const kept = one.response;
  if (!kept) return h("p", { class: "quiet" }, t("kept.noanswer"));
  return [kept.status ? h("p", {}, h("b", {}, String(kept.status))) : null, headers(kept.headers), content(kept), redacted(kept)];
}

// Both, side by side.
export function exchange(one) {
  return h("div", { class: "columns" }, h("section", { class: "sheet", id: "given" }, h("h2", {}, t("kept.given")), given(one)), h("section", { class: "sheet", id: "answered" }, h("h2", {}, t("kept.answered")), answered(one)));
}

// The request for the form that sends it again. Null: it is none that a form can send.
export function asForm(one) {
  const kept = one.request;
  if (!kept || kept.truncated || kept.base64 !== undefined) return null;
  if (kept.kind === "event") return { kind: "event", body: kept.body || "null" };
  if (kept.kind !== "http") return null;
  const own = (kept.headers || []).filter(([name]) => !COMMON.has(name));
  return { kind: "http", method: kept.method, path: kept.target, headers: own.map(([name, value]) => `${name}: ${value}`).join("\n"), body: kept.body || "" };
}

// A button that gives the function of now the same once more, and says whether it did the same.
export function replayButton(one) {
  const told = h("p", { "aria-live": "polite", id: "replayed" });
  const again = async () => {
    const { after } = await post(`invocations/${part(one.id)}/replay`, {});
    const of = (detail) => JSON.stringify([detail.outcome, detail.status, detail.error ? detail.error.message : null, (detail.response || {}).body, (detail.response || {}).base64]);
    const same = of(one) === of(after);
    fill(told, h("b", { class: same ? "good" : "bad", id: "same" }, t(same ? "kept.same" : "kept.different")), " ", h("a", { href: `#/invocations/${part(after.id)}` }, t("request.invocation")));
  };
  return [action(t("kept.replay"), again, { id: "replay" }), told, h("p", { class: "quiet" }, t("kept.replaynote"))];
}

// What is shown as a test file: its text, to copy or to save.
export async function testFile(place, ids) {
  const { file, steps } = await get(`recording?ids=${ids.map(part).join(",")}`);
  if (!steps.length) {
    fill(place, h("p", { class: "quiet", id: "recording" }, t("kept.nosteps")));
    return;
  }
  const button = h("button", { type: "button" }, t("kept.copy"));
  button.addEventListener("click", () => copy(file, button));
  const address = URL.createObjectURL(new Blob([file], { type: "application/toml" }));
  const save = h("a", { class: "button", href: address, download: "recorded.emu.toml" }, t("kept.save"));
  const close = h("button", { type: "button", onclick: () => fill(place) }, t("kept.close"));
  fill(place, h("section", { class: "sheet", id: "recording" }, h("div", { class: "bar" }, h("h2", {}, t("kept.file", { n: steps.length })), button, save, close), h("p", { class: "quiet" }, t("kept.filenote")), h("pre", { class: "kept", id: "testfile" }, guest(file))));
}
