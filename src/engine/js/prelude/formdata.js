// FormData, and its two forms on the wire: urlencoded and multipart.

import host from "emu:js/host";
import { Blob, blobBytes, concat, File } from "./blob.js";
import { fromUtf8, utf8 } from "./encoding.js";
import { needs } from "./idl.js";

/** An entry's value: text, or a File under the name that is asked for. */
function entryValue(value, filename, given) {
  if (!(value instanceof Blob)) {
    if (given) throw new TypeError("only a Blob can have a file name");
    return String(value).toWellFormed();
  }
  if (value instanceof File && !given) return value;
  const name = given ? String(filename) : "blob";
  const options = { type: value.type };
  if (value instanceof File) options.lastModified = value.lastModified;
  return new File([value], name, options);
}

export class FormData {
  #entries = [];

  constructor(form) {
    if (form !== undefined) throw new TypeError("there are no forms here: FormData takes no argument");
  }

  append(name, value, filename) {
    needs(2, arguments.length, "append");
    this.#entries.push([String(name).toWellFormed(), entryValue(value, filename, filename !== undefined)]);
  }

  delete(name) {
    needs(1, arguments.length, "delete");
    const key = String(name);
    this.#entries = this.#entries.filter((entry) => entry[0] !== key);
  }

  get(name) {
    needs(1, arguments.length, "get");
    return this.#entries.find((entry) => entry[0] === String(name))?.[1] ?? null;
  }

  getAll(name) {
    needs(1, arguments.length, "getAll");
    return this.#entries.filter((entry) => entry[0] === String(name)).map((entry) => entry[1]);
  }

  has(name) {
    needs(1, arguments.length, "has");
    return this.#entries.some((entry) => entry[0] === String(name));
  }

  set(name, value, filename) {
    needs(2, arguments.length, "set");
    const entry = [String(name).toWellFormed(), entryValue(value, filename, filename !== undefined)];
    const at = this.#entries.findIndex((other) => other[0] === entry[0]);
    if (at < 0) {
      this.#entries.push(entry);
    } else {
      this.#entries[at] = entry;
      this.#entries = this.#entries.filter((other, index) => index <= at || other[0] !== entry[0]);
    }
  }

  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#entries.length; at++) yield [...this.#entries[at]];
  }

  *keys() {
    for (const [name] of this.entries()) yield name;
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

function escapeName(name) {
  return name.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
}

function withCrlf(text) {
  return text.replace(/\r\n|\r|\n/g, "\r\n");
}

/** The bytes of a form as multipart, and their media type. */
export function encodeMultipart(form) {
  const boundary = `----emu-form-${Array.from(host.random(16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const chunks = [];
  for (const [name, value] of form.entries()) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(withCrlf(name))}"`;
    if (typeof value === "string") {
      chunks.push(utf8(`${head}\r\n\r\n${withCrlf(value)}\r\n`));
    } else {
      const type = value.type === "" ? "application/octet-stream" : value.type;
      chunks.push(utf8(`${head}; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`), blobBytes(value), utf8("\r\n"));
    }
  }
  chunks.push(utf8(`--${boundary}--\r\n`));
  return { bytes: concat(chunks), type: `multipart/form-data; boundary=${boundary}` };
}

function malformed(why) {
  return new TypeError(`the body is not multipart/form-data: ${why}`);
}

function parameter(text, name) {
  const quoted = new RegExp(`;\\s*${name}="([^"]*)"`, "i").exec(text);
  if (quoted !== null) return quoted[1];
  return new RegExp(`;\\s*${name}=([^;\\s]+)`, "i").exec(text)?.[1];
}

function unescapeName(name) {
  return name.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
}

/** Reads one part: its headers end at the first empty line. */
function addPart(form, bytes, text, from, to) {
  const split = text.startsWith("\r\n", from) ? from - 2 : text.indexOf("\r\n\r\n", from);
  if (split < 0 || split > to) throw malformed("a part has no empty line after its headers");
  const head = fromUtf8(bytes.subarray(from, Math.max(from, split)));
  const body = bytes.subarray(split + 4, to);
  let disposition;
  let type;
  for (const line of head.split("\r\n")) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim().toLowerCase();
    if (name === "content-disposition") disposition = line.slice(at + 1).trim();
    if (name === "content-type") type = line.slice(at + 1).trim();
  }
  if (disposition === undefined || !/^form-data\b/i.test(disposition)) throw malformed("a part has no Content-Disposition: form-data");
  const name = parameter(disposition, "name");
  if (name === undefined) throw malformed("a part has no name");
  const filename = parameter(disposition, "filename");
  if (filename === undefined) form.append(unescapeName(name), fromUtf8(body, true));
  else form.append(unescapeName(name), new File([body], unescapeName(filename), { type: type ?? "text/plain" }));
}

/** A form from its multipart bytes. */
export function decodeMultipart(bytes, type) {
  const boundary = parameter(type, "boundary");
  if (boundary === undefined) throw malformed("its content type names no boundary");
  // One character a byte, so that the engine's own search finds boundaries.
  const text = host.decode("x-user-defined", bytes, false, true);
  const form = new FormData();
  const mark = `--${boundary}`;
  let at = text.startsWith(mark) ? 0 : text.indexOf(`\r\n${mark}`) + 2;
  if (at < 2 && !text.startsWith(mark)) throw malformed("its boundary does not occur");
  for (;;) {
    at += mark.length;
    if (text.startsWith("--", at)) return form;
    const begin = text.indexOf("\r\n", at) + 2;
    if (begin < 2 || text.slice(at, begin).trim() !== "") throw malformed("a boundary is not followed by a line break");
    const end = text.indexOf(`\r\n${mark}`, begin - 2);
    if (end < 0) throw malformed("it ends within a part");
    addPart(form, bytes, text, begin, end);
    at = end + 2;
  }
}
