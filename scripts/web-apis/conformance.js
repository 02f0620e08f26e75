// Runs the data of web-platform-tests that two of emu's dependencies carry against the globals of this runtime.

import patterns from "./urlpatterntestdata.json";
import setters from "./setters_tests.json";
import addresses from "./urltestdata.json";

const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

function same(actual, expected, what) {
  if (!Object.is(actual, expected)) throw new Error(`${what} is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

function fails(act) {
  let made;
  try {
    made = act();
  } catch (error) {
    if (error instanceof TypeError) return;
    throw error;
  }
  throw new Error(`got ${made}, expected a TypeError`);
}

function address(entry) {
  const base = entry.base ?? undefined;
  if (entry.failure) {
    same(URL.canParse(entry.input, base), false, "canParse");
    return fails(() => new URL(entry.input, base));
  }
  const url = new URL(entry.input, base);
  for (const part of ["href", ...PARTS, "host", "origin"]) if (part in entry) same(url[part], entry[part], part);
  same(new URL(url.href).href, url.href, "href parsed again");
}

function setter([part, entry]) {
  const url = new URL(entry.href);
  url[part] = entry.new_value;
  for (const [name, value] of Object.entries(entry.expected)) same(url[name], value, name);
}

/** What a component of a pattern should be, by the rules of the suite's own harness. */
function expectedPart(entry, part, base) {
  if (entry.expected_obj?.[part] !== undefined) return entry.expected_obj[part];
  const init = entry.pattern[0];
  if (entry.exactly_empty_components?.includes(part)) return "";
  if (typeof init === "object" && init?.[part] !== undefined) return init[part];
  const earlier = {
    protocol: [], hostname: ["protocol"], port: ["protocol", "hostname"], username: [], password: [],
    pathname: ["protocol", "hostname", "port"], search: ["protocol", "hostname", "port", "pathname"],
    hash: ["protocol", "hostname", "port", "pathname", "search"],
  }[part];
  if (typeof init === "object" && earlier.some((name) => init?.[name] !== undefined)) return "*";
  if (base && part !== "username" && part !== "password") {
    const value = base[part];
    if (part === "protocol") return value.slice(0, -1);
    return part === "search" || part === "hash" ? value.slice(1) : value;
  }
  return "*";
}

function pattern(entry) {
  if (entry.expected_obj === "error") return fails(() => new URLPattern(...entry.pattern));
  const made = new URLPattern(...entry.pattern);
  const init = entry.pattern[0];
  const baseText = typeof init === "object" && init?.baseURL ? init.baseURL : typeof entry.pattern[1] === "string" ? entry.pattern[1] : undefined;
  const base = baseText === undefined ? null : new URL(baseText);
  for (const part of PARTS) same(made[part], expectedPart(entry, part, base), `pattern.${part}`);
  if (!("inputs" in entry)) return;
  if (entry.expected_match === "error") {
    fails(() => made.test(...entry.inputs));
    return fails(() => made.exec(...entry.inputs));
  }
  same(made.test(...entry.inputs), Boolean(entry.expected_match), "test()");
  const found = made.exec(...entry.inputs);
  if (!entry.expected_match) return same(found, entry.expected_match ?? null, "exec()");
  const inputs = entry.expected_match.inputs ?? entry.inputs;
  same(JSON.stringify(found.inputs), JSON.stringify(inputs), "inputs");
  for (const part of PARTS) {
    let expected = entry.expected_match[part];
    if (expected === undefined) {
      expected = { input: "", groups: {} };
      if (!entry.exactly_empty_components?.includes(part)) expected.groups["0"] = "";
    }
    same(found[part].input, expected.input, `exec().${part}.input`);
    for (const name of Object.keys({ ...found[part].groups, ...expected.groups })) {
      same(found[part].groups[name], expected.groups[name] ?? undefined, `exec().${part}.groups.${name}`);
    }
  }
}

function all(name, cases, run) {
  const failed = [];
  for (const one of cases) {
    try {
      run(one);
    } catch (error) {
      failed.push(`${JSON.stringify(one).slice(0, 200)}: ${error.message}`);
    }
  }
  return { name, passed: cases.length - failed.length, total: cases.length, failed };
}

export default {
  fetch() {
    const urls = addresses.filter((entry) => typeof entry === "object");
    const changes = Object.entries(setters).filter(([part]) => part !== "comment");
    return Response.json([
      all("URL", urls, address),
      all("URL setters", changes.flatMap(([part, entries]) => entries.map((entry) => [part, entry])), setter),
      all("URLPattern", patterns, pattern),
    ]);
  },
};
