// The page: its head, which view is shown, keys.

import { setToken } from "./api.js";
import { fill, guest, h, text } from "./dom.js";
import { clock, count, rate } from "./format.js";
import { language, languages, locale, setLanguage, t } from "./i18n.js";
import { live } from "./live.js";
import * as bill from "./bill.js";
import * as demo from "./demo.js";
import * as functions from "./functions.js";
import * as group from "./group.js";
import * as invocations from "./invocations.js";
import * as queues from "./queues.js";
import * as timeline from "./timeline.js";

// By the first part of the address behind `#/`; the key leads there as well.
const VIEWS = {
  timeline: { key: "1", view: timeline.view },
  functions: { key: "2", view: functions.view },
  invocations: { key: "3", view: invocations.view },
  queues: { key: "4", view: queues.view },
  bill: { key: "5", view: bill.view },
  demo: { key: "6", view: demo.view },
  // There only when emulators share a bus.
  group: { key: "7", view: group.view, shared: true },
  // Reached by links alone.
  why: { view: invocations.why },
};

const main = document.getElementById("main");
const banner = document.getElementById("banner");
let current = null;
let route = "";

function place() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const name = VIEWS[parts[0]] ? parts[0] : "timeline";
  return { name, args: VIEWS[parts[0]] ? parts.slice(1) : [] };
}

function navigate() {
  const { name, args } = place();
  route = name;
  if (current) current.destroy();
  main.className = `view-${name}`;
  fill(main);
  current = VIEWS[name].view(main, args);
  const title = args[0] || t(`nav.${name}`);
  document.title = `${guest(title)} · ${live.health ? guest(live.health.project) : "emu"}`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function head() {
  document.documentElement.lang = locale();
  text(document.getElementById("skip"), t("skip"));
  const links = Object.entries(VIEWS).filter(([, { key, shared }]) => key && !shared).map(([name]) => link(name));
  const next = languages().find((one) => one !== language()) || language();
  fill(
    document.getElementById("top"),
    h("a", { class: "brand", href: "#/timeline" }, h("span", { class: "logo" }, "emu"), h("span", { id: "project" })),
    h("nav", { id: "nav", "aria-label": t("nav.label") }, links),
    h("div", { class: "chips" },
      h("span", { id: "rate", class: "chip figures", title: t("head.rate") }),
      h("span", { id: "clock", class: "chip figures", title: t("head.clock") }),
      h("span", { id: "connection", class: "chip", role: "status" }),
      h("button", { type: "button", class: "tool", id: "theme", onclick: theme, "aria-label": t("head.theme"), title: t("head.theme") }, "◐"),
      h("button", { type: "button", class: "tool", id: "language", lang: next, onclick: () => changeLanguage(next) }, next.toUpperCase()),
    ),
  );
  status();
}

function link(name) {
  const words = t(`nav.${name}`);
  return h("a", { href: `#/${name}`, data: { view: name }, title: `${words} (${VIEWS[name].key})` }, words);
}

// The group's link comes and goes with the bus: another emulator may stand behind the same port next time.
function groupLink() {
  const nav = document.getElementById("nav");
  const there = nav.querySelector("[data-view=group]");
  if (!live.health?.bus) {
    there?.remove();
    return;
  }
  const shown = there || nav.appendChild(link("group"));
  if (!there && route === "group") shown.setAttribute("aria-current", "page");
  text(shown, live.members.length > 1 ? `${t("nav.group")} · ${count(live.members.length)}` : t("nav.group"));
}

function status() {
  const health = live.health;
  groupLink();
  text(document.getElementById("project"), health ? `${guest(health.project)}` : "");
  const connection = document.getElementById("connection");
  text(connection, t(`connection.${live.connection}`));
  connection.dataset.state = live.connection;
  const clockChip = document.getElementById("clock");
  const speed = live.clockName === "real" ? "" : ` ${live.clockName.replace(/^x/, "×")}`;
  text(clockChip, live.anchor.at ? clock(live.now()) + speed : "");
  const figures = live.rates.over(null);
  text(document.getElementById("rate"), t("head.persecond", { rate: rate(figures.perSecond) }));
  notices();
}

function notices() {
  const flooded = performance.now() - live.leftOut.at < 2_000;
  const what =
    live.connection === "token"
      ? "token"
      : live.connection === "lost"
        ? "lost"
        : flooded
          ? "flood"
          : "";
  if (banner.dataset.what !== what) {
    banner.dataset.what = what;
    if (what === "token") fill(banner, tokenForm());
    else fill(banner, h("p"));
  }
  const line = banner.querySelector("p");
  if (!line || what === "token") return;
  if (what === "lost") text(line, t("banner.lost"));
  else if (what === "flood") text(line, t("banner.flood", { many: count(Math.round(live.leftOut.many / 100) * 100) }));
  else text(line, "");
}

function tokenForm() {
  const input = h("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const submit = (event) => {
    event.preventDefault();
    setToken(input.value);
    live.tell("token");
  };
  return h("form", { class: "inline", onsubmit: submit }, h("label", { for: "token" }, t("banner.token")), input, h("button", {}, t("banner.enter")));
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(dark ? "light" : "dark");
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("emu.theme", name);
  } catch {
    // It holds until the page is closed then.
  }
  document.dispatchEvent(new Event("emu-theme"));
}

function changeLanguage(next) {
  setLanguage(next);
  const address = new URL(location.href);
  if (address.searchParams.has("lang")) {
    address.searchParams.delete("lang");
    history.replaceState(null, "", address);
  }
  head();
  navigate();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof Element && event.target.closest("input, textarea, select")) return;
  const found = Object.entries(VIEWS).find(([, { key, shared }]) => key === event.key && (!shared || live.health?.bus));
  if (found) location.hash = `#/${found[0]}`;
}

function start() {
  const asked = new URLSearchParams(location.search).get("theme");
  try {
    const name = asked || localStorage.getItem("emu.theme");
    if (name === "dark" || name === "light") document.documentElement.dataset.theme = name;
  } catch {
    // The system's then.
  }
  head();
  navigate();
  addEventListener("hashchange", navigate);
  addEventListener("keydown", keys);
  live.addEventListener("connection", status);
  live.addEventListener("snapshot", () => {
    status();
    const { name, args } = place();
    if (route === name) document.title = `${guest(args[0] || t(`nav.${name}`))} · ${guest(live.health.project)}`;
  });
  // A view is drawn anew at most four times a second; what must be smoother has frames of its own.
  let due = false;
  live.addEventListener("change", () => {
    due = true;
  });
  setInterval(() => {
    status();
    if (due && current) {
      due = false;
      current.update();
    }
  }, 250);
  live.run();
}

start();
