// The page's language: `?lang=`, else what was chosen before, else the browser's, else English.

import { en } from "./en.js";
import { pt } from "./pt.js";

const TABLES = { en, pt };
const KEY = "emu.lang";

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function choose() {
  const asked = new URLSearchParams(location.search).get("lang");
  for (const wanted of [asked, remembered(), ...(navigator.languages || [])]) {
    const short = String(wanted || "").slice(0, 2).toLowerCase();
    if (TABLES[short]) return short;
  }
  return "en";
}

let lang = choose();

export function language() {
  return lang;
}

export function languages() {
  return Object.keys(TABLES);
}

export function locale() {
  return lang === "pt" ? "pt-BR" : "en-US";
}

export function setLanguage(next) {
  lang = TABLES[next] ? next : "en";
  try {
    localStorage.setItem(KEY, lang);
  } catch {
    // It holds until the page is closed then.
  }
}

// The text with {name} filled in; one with a `|` has a form for one and one for more, by {n}.
export function t(key, values) {
  let text = TABLES[lang][key] ?? en[key] ?? key;
  if (values && "n" in values && text.includes("|")) {
    const [one, more] = text.split("|");
    text = Number(values.n) === 1 ? one : more;
  }
  if (!values) return text;
  const format = new Intl.NumberFormat(locale());
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    if (!(name in values)) return whole;
    const value = values[name];
    return typeof value === "number" ? format.format(value) : String(value);
  });
}
