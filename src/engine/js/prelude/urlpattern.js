// URLPattern. The host takes patterns and addresses apart; the parts are matched here.

import { dictionary } from "./idl.js";
import { tool } from "./tools.js";

const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

/** What the host reads: text, or the parts of an init, and a base. */
function inputOf(input, base, more) {
  let parts = input;
  if (input === undefined) parts = {};
  if (typeof parts === "object" && parts !== null) {
    const init = {};
    for (const part of [...PARTS, "baseURL"]) if (parts[part] !== undefined) init[part] = String(parts[part]).toWellFormed();
    parts = init;
  } else {
    parts = String(parts).toWellFormed();
  }
  return JSON.stringify({ input: parts, base: base === undefined ? null : String(base).toWellFormed(), ...more });
}

/** By the rules of the flag u; what these refuse (set notation) by those of v, which in QuickJS refuse too much to come first. */
function regexpOf(text, flags) {
  try {
    return new RegExp(text, `u${flags}`);
  } catch {
    return new RegExp(text, `v${flags}`);
  }
}

export class URLPattern {
  #parts;
  #flags;

  constructor(input, base, options) {
    const given = typeof base === "object" && base !== null && options === undefined ? [undefined, base] : [base, options];
    const ignoreCase = Boolean(dictionary(given[1], "the options of URLPattern").ignoreCase);
    this.#parts = JSON.parse(tool("pattern", inputOf(input, given[0], { ignoreCase }))[0]);
    this.#flags = ignoreCase ? "i" : "";
    // What the pattern's author wrote as a regular expression may be none.
    if (this.#parts.hasRegexpGroups) for (const part of PARTS) this.#regexp(part);
  }

  #regexp(part) {
    const component = this.#parts[part];
    if (component.regexp === undefined) {
      try {
        component.regexp = regexpOf(component.regexpString, this.#flags);
      } catch (error) {
        throw new TypeError(`the ${part} of the pattern is no regular expression ${component.regexpString}: ${error.message}`);
      }
    }
    return component.regexp;
  }

  /** Groups of all parts, or null when one does not match. */
  #match(input, base) {
    const address = JSON.parse(tool("pattern-address", inputOf(input, base))[0]);
    if (address === null) return null;
    const found = {};
    for (const part of PARTS) {
      const match = this.#regexp(part).exec(address[part]);
      if (match === null) return null;
      const groups = {};
      this.#parts[part].groupNameList.forEach((name, at) => {
        groups[name] = match[at + 1];
      });
      found[part] = { input: address[part], groups };
    }
    return found;
  }

  test(input, base) {
    return this.#match(input, base) !== null;
  }

  exec(input, base) {
    const found = this.#match(input, base);
    if (found === null) return null;
    const given = input === undefined ? {} : input;
    const inputs = [typeof given === "object" ? given : String(given)];
    if (base !== undefined) inputs.push(String(base));
    return { inputs, ...found };
  }

  get protocol() {
    return this.#parts.protocol.patternString;
  }

  get username() {
    return this.#parts.username.patternString;
  }

  get password() {
    return this.#parts.password.patternString;
  }

  get hostname() {
    return this.#parts.hostname.patternString;
  }

  get port() {
    return this.#parts.port.patternString;
  }

  get pathname() {
    return this.#parts.pathname.patternString;
  }

  get search() {
    return this.#parts.search.patternString;
  }

  get hash() {
    return this.#parts.hash.patternString;
  }

  get hasRegExpGroups() {
    return this.#parts.hasRegexpGroups;
  }
}
