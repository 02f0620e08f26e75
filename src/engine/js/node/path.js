// node:path, as on Linux

function check(path, name = "path") {
  if (typeof path === "string") return;
  const error = new TypeError(`The "${name}" argument must be of type string. Received ${path === null ? "null" : typeof path}`);
  error.code = "ERR_INVALID_ARG_TYPE";
  throw error;
}

function parts(path, isAbsolute) {
  const out = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") out.push(part);
    else if (out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (!isAbsolute) out.push("..");
  }
  return out;
}

export const sep = "/";
export const delimiter = ":";

export function isAbsolute(path) {
  check(path);
  return path.startsWith("/");
}

export function normalize(path) {
  check(path);
  if (path === "") return ".";
  const absolute = path.startsWith("/");
  let text = parts(path, absolute).join("/");
  if (text === "" && !absolute) text = ".";
  if (text !== "" && path.endsWith("/")) text += "/";
  return absolute ? `/${text}` : text;
}

export function join(...paths) {
  for (const path of paths) check(path);
  const joined = paths.filter((path) => path !== "").join("/");
  return joined === "" ? "." : normalize(joined);
}

export function resolve(...paths) {
  let text = "";
  for (let at = paths.length - 1; at >= 0 && !text.startsWith("/"); at--) {
    check(paths[at], `paths[${at}]`);
    if (paths[at] !== "") text = text === "" ? paths[at] : `${paths[at]}/${text}`;
  }
  return `/${parts(text, true).join("/")}`;
}

export function relative(from, to) {
  check(from, "from");
  check(to, "to");
  const here = parts(resolve(from), true);
  const there = parts(resolve(to), true);
  let same = 0;
  while (same < here.length && same < there.length && here[same] === there[same]) same++;
  return [...here.slice(same).map(() => ".."), ...there.slice(same)].join("/");
}

export function dirname(path) {
  check(path);
  const bare = path.replace(/\/+$/, "");
  const at = bare.lastIndexOf("/");
  if (at < 0) return path.startsWith("/") ? "/" : ".";
  return at === 0 ? "/" : bare.slice(0, at).replace(/\/+$/, "") || "/";
}

export function basename(path, suffix) {
  check(path);
  const base = path.replace(/\/+$/, "").split("/").at(-1);
  return suffix !== undefined && base !== suffix && base.endsWith(suffix) ? base.slice(0, -suffix.length) : base;
}

export function extname(path) {
  const base = basename(path);
  const at = base.lastIndexOf(".");
  return at <= 0 || base === ".." ? "" : base.slice(at);
}

export function parse(path) {
  check(path);
  const root = path.startsWith("/") ? "/" : "";
  const base = basename(path);
  const ext = extname(path);
  const dir = dirname(path);
  return { root, dir: dir === "." && !path.startsWith(".") ? "" : dir, base, ext, name: ext === "" ? base : base.slice(0, -ext.length) };
}

export function format({ dir, root = "", base, name = "", ext = "" }) {
  const file = base ?? name + (ext === "" || ext.startsWith(".") ? ext : `.${ext}`);
  const folder = dir ?? root;
  if (!folder) return file;
  return folder === root ? `${folder}${file}` : `${folder}/${file}`;
}

export const toNamespacedPath = (path) => path;

const path = { basename, delimiter, dirname, extname, format, isAbsolute, join, normalize, parse, relative, resolve, sep, toNamespacedPath };
path.posix = path;
path.win32 = path;
export const posix = path;
export const win32 = path;
export default path;
