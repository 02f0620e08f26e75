// How classes of the web platform look from outside: members can be enumerated, instances are named by their tag.

const NOT_MEMBERS = new Set(["constructor", "length", "name", "prototype"]);

function enumerate(object) {
  for (const name of Object.getOwnPropertyNames(object)) {
    if (NOT_MEMBERS.has(name)) continue;
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property.configurable) Object.defineProperty(object, name, { ...property, enumerable: true });
  }
}

/** Dresses a class as WebIDL has it. */
export function dress(Class, name = Class.name) {
  enumerate(Class);
  enumerate(Class.prototype);
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: name, configurable: true });
  const iterator = Object.getOwnPropertyDescriptor(Class.prototype, Symbol.iterator);
  if (iterator !== undefined && typeof Class.prototype.entries === "function") {
    Object.defineProperty(Class.prototype, Symbol.iterator, { ...iterator, value: Class.prototype.entries });
  }
  return Class;
}

/** Constants of a class: on the class and on its instances, never to be changed. */
export function constants(Class, values) {
  for (const [name, value] of Object.entries(values)) {
    for (const object of [Class, Class.prototype]) Object.defineProperty(object, name, { value, enumerable: true });
  }
}

/** A member of a dictionary that is an enumeration. */
export function oneOf(value, allowed, what) {
  const text = String(value);
  if (!allowed.includes(text)) throw new TypeError(`${what} must be one of ${allowed.join(", ")}, got "${text}"`);
  return text;
}

/** A dictionary argument: an object, or nothing. */
export function dictionary(value, what) {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${what} must be an object`);
  return value;
}

/** Throws unless at least `count` arguments were given. */
export function needs(count, given, what) {
  if (given < count) throw new TypeError(`${what} needs ${count === 1 ? "an argument" : `${count} arguments`}, got ${given}`);
}
