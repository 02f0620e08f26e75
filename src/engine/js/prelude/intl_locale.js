// Intl.Locale.

import { bag, call, choice, finish, flag, keyword, negotiate } from "./intl.js";

const KEYS = { calendar: "ca", collation: "co", hourCycle: "hc", caseFirst: "kf", numeric: "kn", numberingSystem: "nu" };

function withSubtags(tag, options) {
  const [, language, script, region, rest] = /^([a-z]{2,8})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?(-.*)?$/i.exec(tag) ?? [];
  if (language === undefined) return tag;
  const subtag = (name, pattern, own) => {
    const value = choice(options, name);
    if (value !== undefined && !pattern.test(value)) throw new RangeError("Incorrect locale information provided");
    return value ?? own;
  };
  const parts = [
    subtag("language", /^[a-z]{2,3}$|^[a-z]{5,8}$/i, language),
    subtag("script", /^[a-z]{4}$/i, script),
    subtag("region", /^([a-z]{2}|\d{3})$/i, region),
  ];
  return parts.filter((part) => part !== undefined).join("-") + (rest ?? "");
}

class Locale {
  #tag;
  #base;
  #keywords = {};

  constructor(tag, given) {
    if (typeof tag !== "string" && (typeof tag !== "object" || tag === null)) {
      throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
    }
    const options = bag(given);
    const [canonical] = negotiate([withSubtags(negotiate([String(tag)]).list[0], options)]).list;
    const [base, extension = ""] = canonical.split(/-u-/);
    this.#base = base;
    let key;
    for (const part of extension.split("-").filter((part) => part !== "")) {
      if (part.length === 2) this.#keywords[(key = part)] = "";
      else if (key !== undefined) this.#keywords[key] += this.#keywords[key] === "" ? part : `-${part}`;
    }
    const set = (name, value) => {
      if (value !== undefined) this.#keywords[KEYS[name]] = value;
    };
    set("calendar", keyword(options, "calendar"));
    set("collation", keyword(options, "collation"));
    set("hourCycle", choice(options, "hourCycle", ["h11", "h12", "h23", "h24"]));
    set("caseFirst", choice(options, "caseFirst", ["upper", "lower", "false"]));
    const numeric = flag(options, "numeric");
    set("numeric", numeric === undefined ? undefined : numeric ? "" : "false");
    set("numberingSystem", keyword(options, "numberingSystem"));
    const pairs = Object.entries(this.#keywords).sort(([a], [b]) => (a < b ? -1 : 1));
    this.#tag = pairs.length === 0 ? base : `${base}-u-${pairs.map(([k, v]) => (v === "" ? k : `${k}-${v}`)).join("-")}`;
  }

  #of(op) {
    return new Locale(call(op, "", "", this.#tag));
  }

  maximize() {
    return this.#of("maximize");
  }

  minimize() {
    return this.#of("minimize");
  }

  get baseName() {
    return this.#base;
  }

  get language() {
    return this.#base.split("-")[0];
  }

  get script() {
    return /^[a-z]+-([A-Z][a-z]{3})\b/.exec(this.#base)?.[1];
  }

  get region() {
    return /^[a-z]+(?:-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})\b/.exec(this.#base)?.[1];
  }

  get calendar() {
    return this.#keywords.ca;
  }

  get collation() {
    return this.#keywords.co;
  }

  get hourCycle() {
    return this.#keywords.hc;
  }

  get caseFirst() {
    return this.#keywords.kf;
  }

  get numeric() {
    return this.#keywords.kn === "" || this.#keywords.kn === "true";
  }

  get numberingSystem() {
    return this.#keywords.nu;
  }

  toString() {
    return this.#tag;
  }
}

finish(Locale);
export { Locale };
