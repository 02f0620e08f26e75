// Pieces that several views are made of.

import { guest, h, text } from "./dom.js";
import { ApiError } from "./api.js";
import { t } from "./i18n.js";

export function figure(label, value, more) {
  return h("div", { class: "figure" }, h("span", { class: "label" }, label), h("span", { class: "value" }, value), more ? h("span", { class: "more" }, more) : null);
}

// A figure whose value is set anew: returns the element and a function for it.
export function meter(label, name) {
  const value = h("span", { class: "value" });
  const more = h("span", { class: "more" });
  const element = h("div", { class: "figure", data: name ? { figure: name } : undefined }, h("span", { class: "label" }, label), value, more);
  return {
    element,
    set(what, rest = "", kind = "") {
      text(value, what);
      text(more, rest);
      value.className = `value ${kind}`;
    },
  };
}

export function badge(kind, words) {
  return h("span", { class: `badge ${kind}` }, words);
}

export function outcomeBadge(invocation) {
  const good = invocation.outcome === "succeeded";
  return badge(good ? "good" : invocation.outcome === "throttled" ? "warn" : "bad", t(`outcome.${invocation.outcome}`));
}

export function select(id, label, options, onchange, chosen) {
  return h(
    "label",
    { class: "pick" },
    h("span", {}, label),
    h("select", { id, onchange: (event) => onchange(event.target.value) }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))),
  );
}

// A button that does something at the control API, and says what went wrong beside it.
export function action(words, act, props) {
  const problem = h("span", { class: "bad", role: "alert" });
  const button = h(
    "button",
    {
      type: "button",
      ...props,
      onclick: async () => {
        button.disabled = true;
        text(problem, "");
        try {
          await act();
        } catch (error) {
          text(problem, explain(error));
        } finally {
          button.disabled = false;
        }
      },
    },
    words,
  );
  return h("span", { class: "act" }, button, problem);
}

export function explain(error) {
  if (error instanceof ApiError) return guest(error.message + (error.remedy ? ` – ${error.remedy}` : ""));
  return t("error.unreachable");
}

// A small line of counts.
export function sparkline(values, width = 160, height = 36) {
  const canvas = h("canvas", { class: "spark", "aria-hidden": "true" });
  const scale = Math.min(2, devicePixelRatio || 1);
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  drawLine(canvas, values);
  return canvas;
}

export function drawLine(canvas, values) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const style = getComputedStyle(document.body);
  context.clearRect(0, 0, width, height);
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  context.beginPath();
  context.moveTo(0, height);
  values.forEach((value, at) => context.lineTo(at * step, height - 2 - (value / most) * (height - 6)));
  context.lineTo(width, height);
  context.closePath();
  context.fillStyle = style.getPropertyValue("--idle").trim();
  context.fill();
  context.beginPath();
  values.forEach((value, at) => {
    const y = height - 2 - (value / most) * (height - 6);
    if (at === 0) context.moveTo(0, y);
    else context.lineTo(at * step, y);
  });
  context.strokeStyle = style.getPropertyValue("--busy").trim();
  context.lineWidth = Math.max(1.5, height / 36);
  context.stroke();
}

export async function copy(words, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(words);
    text(button, t("copied"));
  } catch {
    text(button, t("copy.failed"));
  }
  setTimeout(() => text(button, before), 1_500);
}

// A value that stays over a reload of the page.
export function remembered(key, value) {
  try {
    if (value === undefined) return JSON.parse(localStorage.getItem(key));
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage nothing is remembered.
  }
  return value ?? null;
}

export function empty(words, ...more) {
  return h("div", { class: "sheet nothing" }, h("p", {}, words), more);
}

export function back(href, words) {
  return h("a", { class: "back", href }, `← ${words}`);
}
