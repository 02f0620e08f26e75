// Equality of whole structures, for assert and util.

const tag = (value) => Object.prototype.toString.call(value);

function sameLoose(a, b) {
  return a == b || (a !== a && b !== b);
}

function entriesMatch(a, b, strict, seen, isMap) {
  if (a.size !== b.size) return false;
  const rest = [];
  for (const item of a) {
    const [key, value] = isMap ? item : [item];
    if (b.has(key)) {
      if (isMap && !equal(value, b.get(key), strict, seen)) return false;
    } else rest.push(item);
  }
  const free = [...b].filter((item) => !a.has(isMap ? item[0] : item));
  return rest.every((item) => {
    const at = free.findIndex((other) => equal(item, other, strict, seen));
    if (at >= 0) free.splice(at, 1);
    return at >= 0;
  });
}

function keysOf(value, strict) {
  const keys = Object.keys(value);
  if (strict) for (const key of Object.getOwnPropertySymbols(value)) if (Object.prototype.propertyIsEnumerable.call(value, key)) keys.push(key);
  return keys;
}

function equal(a, b, strict, seen) {
  if (strict ? Object.is(a, b) : sameLoose(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (tag(a) !== tag(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  if (strict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date && a.getTime() !== b.getTime()) return false;
  if (a instanceof RegExp && (String(a) !== String(b) || a.lastIndex !== b.lastIndex)) return false;
  if (a instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (/^\[object (Number|String|Boolean|BigInt|Symbol)\]$/.test(tag(a)) && !Object.is(a.valueOf(), b.valueOf())) return false;
  if (seen.get(a)?.has(b)) return true;
  if (!seen.has(a)) seen.set(a, new Set());
  seen.get(a).add(b);
  if (a instanceof ArrayBuffer) return equal(new Uint8Array(a), new Uint8Array(b), strict, seen);
  if (ArrayBuffer.isView(a) && a.byteLength !== b.byteLength) return false;
  if (a instanceof Map || a instanceof Set) if (!entriesMatch(a, b, strict, seen, a instanceof Map)) return false;
  if (Array.isArray(a) && a.length !== b.length) return false;
  const keys = keysOf(a, strict);
  if (keys.length !== keysOf(b, strict).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key], strict, seen));
}

export function isDeepEqual(a, b, strict) {
  return equal(a, b, strict, new Map());
}
