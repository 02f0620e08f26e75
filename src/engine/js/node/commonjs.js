// Where CommonJS modules meet. The loader wraps each such file into a module that defines it here when it is imported; its code
// runs when it is first required.

const files = new Map();
const IMPLIED = ["", ".js", ".cjs", ".json", "/index.js", "/index.cjs"];

export function define(name, links, run) {
  if (!files.has(name)) files.set(name, { name, links, run, module: undefined });
}

function failed(message, code = "MODULE_NOT_FOUND") {
  const error = new Error(message);
  error.code = code;
  return error;
}

/** What `require` answers with for a module of the newer kind. */
function ofNamespace(namespace) {
  if ("module.exports" in namespace) return namespace["module.exports"];
  if (!("default" in namespace) || "__esModule" in namespace) return namespace;
  return new Proxy(namespace, {
    get: (target, key) => (key === "__esModule" ? true : target[key]),
    has: (target, key) => key === "__esModule" || key in target,
  });
}

/** Reaches files that are also required by name. */
function computed(from, specifier) {
  const parts = specifier.startsWith(".") ? from.split("/").slice(0, -1) : [];
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  const path = parts.join("/");
  for (const end of IMPLIED) if (files.has(path + end)) return path + end;
  throw failed(
    `cannot require ${JSON.stringify(specifier)} from ${from}: a computed name reaches only files that are also required by name`,
  );
}

function resolve(from, links, specifier) {
  if (typeof specifier !== "string") throw new TypeError("require needs a name");
  return Object.hasOwn(links, specifier) ? links[specifier] : computed(from, specifier);
}

const linked = new Map();

/** Notes what a module of the newer kind requires by way of `createRequire`. */
export function link(name, links) {
  linked.set(name, links);
}

export function linksOf(name) {
  return linked.get(name) ?? {};
}

const cache = Object.create(null);

/** The `require` of a file. A link is a name, a module that has been imported, or why there is none. */
export function requireFrom(name, links, parent) {
  function require(specifier) {
    const link = resolve(name, links, specifier);
    if (typeof link === "string") return load(link, parent);
    if (Array.isArray(link)) throw failed(link[0]);
    return link.builtin ?? ofNamespace(link);
  }
  require.resolve = (specifier) => {
    const link = resolve(name, links, specifier);
    if (Array.isArray(link)) throw failed(link[0]);
    return typeof link === "string" ? `/${link}` : specifier;
  };
  require.cache = cache;
  require.main = undefined;
  require.extensions = Object.create(null);
  return require;
}

/** The exports of a file, which runs now unless it has begun to. */
export function load(name, parent) {
  const file = files.get(name);
  if (file.module !== undefined) return file.module.exports;
  const filename = `/${name}`;
  const dirname = filename.slice(0, Math.max(1, filename.lastIndexOf("/")));
  const module = { exports: {}, id: filename, filename, path: dirname, loaded: false, parent: parent ?? null, children: [], paths: [] };
  module.require = requireFrom(name, file.links, module);
  file.module = cache[filename] = module;
  try {
    file.run.call(module.exports, module.exports, module.require, module, filename, dirname);
  } catch (error) {
    file.module = undefined;
    delete cache[filename];
    throw error;
  }
  module.loaded = true;
  return module.exports;
}

/** The default export of a file for who imports it. Importers of Node's kind get `module.exports` whatever it says. */
export function defaultOf(exports, likeNode) {
  const marked = !likeNode && Object(exports) === exports && exports.__esModule && "default" in exports;
  return marked ? exports.default : exports;
}

/** One export by name. A getter that fails is one that nobody may ask for. */
export function exportOf(exports, name) {
  try {
    return Object(exports)[name];
  } catch {
    return undefined;
  }
}
