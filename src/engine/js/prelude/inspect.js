// Values as people expect to read them in a log: the look of Node's util.inspect, for what functions print.

const DEPTH_MAX = 2;
const ITEMS_MAX = 100;
const LINE_MAX = 72;
const STRING_MAX = 10000;

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const ESCAPES = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\\": "\\\\" };

function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
  const cut = text.length > STRING_MAX ? text.slice(0, STRING_MAX) : text;
  const body = cut.replace(/[\x00-\x1f\x7f\\]/g, (c) => ESCAPES[c] ?? `\\x${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  const safe = mark === "'" ? body.replaceAll("'", "\\'") : body;
  const rest = text.length - cut.length;
  return mark + safe + mark + (rest > 0 ? `... ${rest} more characters` : "");
}

function className(value) {
  for (let object = value; object !== null; object = Object.getPrototypeOf(object)) {
    const constructor = Object.getOwnPropertyDescriptor(object, "constructor")?.value;
    if (typeof constructor === "function" && constructor.name !== "") return constructor.name;
  }
  return null;
}

function inspectFunction(value) {
  const source = Function.prototype.toString.call(value);
  const kind = source.startsWith("class") ? "class" : value[Symbol.toStringTag] ?? "Function";
  const name = value.name === "" ? "(anonymous)" : value.name;
  const parent = kind === "class" ? Object.getPrototypeOf(value)?.name : "";
  if (kind === "class") return parent === "" || parent === undefined ? `[class ${name}]` : `[class ${name} extends ${parent}]`;
  return `[${kind}${value.name === "" ? " " : ": "}${name}]`;
}

function inspectPrimitive(value, top) {
  switch (typeof value) {
    case "string":
      return top ? value : quote(value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    default:
      return String(value);
  }
}

/** One walk: how deep it may go, which objects it stands in, and which of them are referred to from within. */
class Walk {
  constructor(depthMax) {
    this.depthMax = depthMax;
    this.path = [];
    this.circular = new Map();
  }

  value(value) {
    if (typeof value === "function") return this.object(value);
    if (typeof value !== "object" || value === null) return inspectPrimitive(value, false);
    return this.object(value);
  }

  object(value) {
    if (this.path.includes(value)) {
      if (!this.circular.has(value)) this.circular.set(value, this.circular.size + 1);
      return `[Circular *${this.circular.get(value)}]`;
    }
    if (this.path.length > this.depthMax) return `[${Array.isArray(value) ? "Array" : className(value) ?? "Object: null prototype"}]`;
    this.path.push(value);
    const text = this.contents(value);
    this.path.pop();
    const mark = this.circular.get(value);
    return mark === undefined ? text : `<ref *${mark}> ${text}`;
  }

  contents(value) {
    const own = value[Symbol.for("nodejs.util.inspect.custom")];
    if (typeof own === "function") {
      const shown = own.call(value, this.depthMax - this.path.length, {}, inspect);
      return typeof shown === "string" ? shown : this.value(shown);
    }
    if (typeof value === "function") return this.braces(inspectFunction(value), this.properties(value), true);
    if (value instanceof Error) return this.error(value);
    if (value instanceof Date) {
      return this.braces(Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString(), this.properties(value), true);
    }
    if (value instanceof RegExp) return this.braces(String(value), this.properties(value), true);
    if (value instanceof Promise) return "Promise { <pending> }".replace("<pending>", "...");
    if (value instanceof Boolean || value instanceof Number || value instanceof String) {
      return `[${className(value)}: ${inspectPrimitive(value.valueOf(), false)}]`;
    }
    return this.collection(value);
  }

  collection(value) {
    const name = className(value);
    if (Array.isArray(value)) {
      const prefix = name === "Array" ? "" : `${name ?? "[Array: null prototype]"}(${value.length}) `;
      return this.brackets(prefix, [...this.items(value), ...this.properties(value, true)], value.length);
    }
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return this.brackets(`${name}(${value.length}) `, this.items(value), value.length);
    }
    if (value instanceof ArrayBuffer) {
      const hex = Array.from(new Uint8Array(value.slice(0, 50)), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      return `ArrayBuffer { [Uint8Contents]: <${hex}>, byteLength: ${value.byteLength} }`;
    }
    if (value instanceof Map) {
      const items = this.some(value, value.size, ([key, item]) => `${this.value(key)} => ${this.value(item)}`);
      return this.braces(`${name}(${value.size})`, [...items, ...this.properties(value)]);
    }
    if (value instanceof Set) {
      const items = this.some(value, value.size, (item) => this.value(item));
      return this.braces(`${name}(${value.size})`, [...items, ...this.properties(value)]);
    }
    if (value instanceof WeakMap || value instanceof WeakSet) return `${name} { <items unknown> }`;
    if (value instanceof DataView) return this.braces(name, [`byteLength: ${value.byteLength}`, `byteOffset: ${value.byteOffset}`, `buffer: ${this.value(value.buffer)}`]);
    if (typeof value.entries === "function" && SHOWN_AS_ENTRIES.has(name)) {
      const items = Array.from(value.entries(), ([key, item]) => `${quote(key)} => ${this.value(item)}`);
      return this.braces(name, items);
    }
    const shown = SHOWN_PROPERTIES[name];
    const properties = shown === undefined
      ? this.properties(value)
      : shown.map((key) => `${key}: ${this.value(value[key])}`);
    return this.braces(prefixOf(value, name), properties);
  }

  error(error) {
    const head = `${error.name}: ${error.message}`;
    const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
    const body = stack === "" ? (this.path.length > 1 ? `[${head}]` : head) : stack.startsWith(head) ? stack : `${head}\n${stack}`;
    const extra = this.properties(error).filter((item) => !/^(name|message|stack|cause|errors): /.test(item));
    const cause = error.cause === undefined ? [] : [`[cause]: ${this.value(error.cause)}`];
    const many = error instanceof AggregateError && Array.isArray(error.errors) ? [`[errors]: ${this.value(error.errors)}`] : [];
    return this.braces(body, [...extra, ...many, ...cause], true);
  }

  /** The first items of a collection, and how many more there are. */
  some(collection, size, show) {
    const shown = [];
    for (const item of collection) {
      if (shown.length >= ITEMS_MAX) {
        shown.push(`... ${size - ITEMS_MAX} more item${size - ITEMS_MAX === 1 ? "" : "s"}`);
        break;
      }
      shown.push(show(item));
    }
    return shown;
  }

  items(list) {
    const shown = [];
    const count = Math.min(list.length, ITEMS_MAX);
    for (let at = 0; at < count; at++) {
      shown.push(at in list ? this.value(list[at]) : "<empty>");
    }
    if (list.length > count) shown.push(`... ${list.length - count} more item${list.length - count === 1 ? "" : "s"}`);
    return shown;
  }

  properties(value, skipIndexes = false) {
    const shown = [];
    const symbols = Object.getOwnPropertySymbols(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
    for (const key of [...Object.keys(value), ...symbols]) {
      if (skipIndexes && /^\d+$/.test(String(key))) continue;
      if (shown.length >= ITEMS_MAX) {
        shown.push("...");
        break;
      }
      const name = typeof key === "symbol" ? `[${String(key)}]` : IDENTIFIER.test(key) ? key : quote(key);
      shown.push(`${name}: ${this.property(value, key)}`);
    }
    return shown;
  }

  property(value, key) {
    const { get, set, value: held } = Object.getOwnPropertyDescriptor(value, key) ?? {};
    if (get !== undefined) return set === undefined ? "[Getter]" : "[Getter/Setter]";
    if (set !== undefined) return "[Setter]";
    return this.value(held);
  }

  braces(prefix, items, bare = false) {
    if (items.length === 0 && bare) return prefix;
    return this.enclose(prefix === "" ? "{" : `${prefix} {`, items, "}");
  }

  brackets(prefix, items) {
    return this.enclose(`${prefix}[`, items, "]");
  }

  enclose(open, items, close) {
    if (items.length === 0) return open + close;
    const width = items.reduce((sum, item) => sum + item.length + 2, open.length + this.path.length * 2);
    const simple = items.every((item) => !item.includes("\n"));
    if (simple && width <= LINE_MAX) return `${open} ${items.join(", ")} ${close}`;
    const indent = "  ".repeat(this.path.length);
    const outdent = "  ".repeat(this.path.length - 1);
    const rows = close === "]" && simple && items.length > 6 ? inRows(items) : items;
    return `${open}\n${indent}${rows.join(`,\n${indent}`)}\n${outdent}${close}`;
  }
}

const SHOWN_AS_ENTRIES = new Set(["FormData", "Headers", "URLSearchParams"]);

const SHOWN_PROPERTIES = {
  URL: ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "searchParams", "hash"],
  Request: ["method", "url", "headers", "bodyUsed", "redirect"],
  Response: ["status", "statusText", "headers", "ok", "bodyUsed", "redirected", "type", "url"],
  AbortController: ["signal"],
  AbortSignal: ["aborted"],
  Blob: ["size", "type"],
  CryptoKey: ["type", "extractable", "algorithm", "usages"],
  CustomEvent: ["type", "defaultPrevented", "detail"],
  ErrorEvent: ["type", "message", "error"],
  Event: ["type", "defaultPrevented"],
  File: ["size", "type", "name", "lastModified"],
  MessageEvent: ["type", "data"],
  PerformanceMark: ["name", "entryType", "startTime", "duration", "detail"],
  PerformanceMeasure: ["name", "entryType", "startTime", "duration", "detail"],
  ReadableStream: ["locked"],
  URLPattern: ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"],
  WritableStream: ["locked"],
};

function prefixOf(value, name) {
  if (name === null) return "[Object: null prototype]";
  const tag = value[Symbol.toStringTag];
  const tagged = typeof tag === "string" && tag !== "" && tag !== name ? ` [${tag}]` : "";
  return name === "Object" && tagged === "" ? "" : name + tagged;
}

/** Many short items: several to a line. */
function inRows(items) {
  const widest = items.reduce((most, item) => Math.max(most, item.length), 0) + 2;
  const columns = Math.max(1, Math.min(16, Math.floor(LINE_MAX / widest)));
  if (columns === 1) return items;
  const rows = [];
  for (let at = 0; at < items.length; at += columns) rows.push(items.slice(at, at + columns).join(", "));
  return rows;
}

export function inspect(value, options) {
  const depth = options?.depth === null ? Infinity : options?.depth ?? DEPTH_MAX;
  try {
    return new Walk(depth).value(value);
  } catch (error) {
    return `[unprintable: ${error?.message}]`;
  }
}

function substitute(kind, value) {
  switch (kind) {
    case "s":
      return typeof value === "string" ? value : typeof value === "object" && value !== null ? inspect(value, { depth: 0 }) : inspectPrimitive(value, true);
    case "d":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : String(Number(value));
    case "i":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : String(parseInt(value, 10));
    case "f":
      return typeof value === "symbol" ? "NaN" : String(parseFloat(value));
    case "j":
      return JSON.stringify(value) ?? "undefined";
    case "c":
      return "";
    default:
      return inspect(value, { depth: kind === "o" ? 4 : DEPTH_MAX });
  }
}

/** The arguments of a console call as one text, with %s and its kin. */
export function format(args) {
  let rest = args;
  let text = "";
  if (typeof args[0] === "string" && args.length > 1 && args[0].includes("%")) {
    let next = 1;
    text = args[0].replace(/%([sdifjoOc%])/g, (whole, kind) => {
      if (kind === "%") return "%";
      return next < args.length ? substitute(kind, args[next++]) : whole;
    });
    rest = args.slice(next);
    if (rest.length > 0) text += " ";
  }
  return text + rest.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
}
