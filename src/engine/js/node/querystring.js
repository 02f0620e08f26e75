// node:querystring

export function escape(text) {
  const value = typeof text === "string" ? text : typeof text === "object" ? String(text) : `${text}`;
  return encodeURIComponent(value.toWellFormed());
}

export function unescape(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(parseInt(code.slice(1), 16)));
  }
}

function primitive(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  return typeof value === "bigint" || typeof value === "boolean" ? String(value) : "";
}

export function stringify(object, separator = "&", equals = "=", { encodeURIComponent: encode = querystring.escape } = {}) {
  if (typeof object !== "object" || object === null) return "";
  const pair = (key, value) => `${encode(key)}${equals}${encode(primitive(value))}`;
  return Object.keys(object)
    .flatMap((key) => (Array.isArray(object[key]) ? object[key].map((value) => pair(key, value)) : [pair(key, object[key])]))
    .join(separator || "&");
}

export function parse(text, separator = "&", equals = "=", { decodeURIComponent: decode = querystring.unescape, maxKeys = 1000 } = {}) {
  const out = Object.create(null);
  if (typeof text !== "string" || text === "") return out;
  let fields = text.split(separator || "&");
  if (maxKeys > 0) fields = fields.slice(0, maxKeys);
  for (const field of fields) {
    if (field === "") continue;
    const at = field.indexOf(equals || "=");
    const [key, value] = (at < 0 ? [field, ""] : [field.slice(0, at), field.slice(at + (equals || "=").length)]).map((part) => {
      const spaced = part.replaceAll("+", " ");
      return spaced.includes("%") ? decode(spaced) : spaced;
    });
    if (!(key in out)) out[key] = value;
    else if (Array.isArray(out[key])) out[key].push(value);
    else out[key] = [out[key], value];
  }
  return out;
}

export { parse as decode, stringify as encode };
const querystring = { decode: parse, encode: stringify, escape, parse, stringify, unescape };
export default querystring;
