import { bytes, equal, hex, ok, run, text, throws } from "./check.js";

export default run({
  "values": () => {
    for (const value of [1, -0, "x", 5n, true, null, undefined, NaN]) ok(Object.is(structuredClone(value), value));
    equal(structuredClone({ a: [1, , 3], b: { c: new Date(5) } }), { a: [1, , 3], b: { c: new Date(5) } });
    ok(structuredClone(new Date(5)) instanceof Date && structuredClone(new Date(5)).getTime() === 5);
    equal([typeof structuredClone(Object("x")), structuredClone(Object(1n)) == 1n, structuredClone(Object(false)).valueOf()], ["object", true, false]);
    const pattern = structuredClone(Object.assign(/a/gi, { lastIndex: 3 }));
    equal([pattern.source, pattern.flags, pattern.lastIndex], ["a", "gi", 0]);
    equal([structuredClone(new Map([[{ a: 1 }, new Set([1])]])), Object.keys(structuredClone([1, , 3]))], [new Map([[{ a: 1 }, new Set([1])]]), ["0", "2"]]);
  },
  "identity and cycles": () => {
    const shared = { n: 1 };
    const value = { one: shared, other: shared, list: [] };
    value.list.push(value);
    const copy = structuredClone(value);
    ok(copy !== value && copy.one === copy.other && copy.list[0] === copy);
    const map = new Map();
    map.set("self", map);
    ok(structuredClone(map).get("self") !== map);
  },
  "what an object is not": () => {
    class Point { constructor() { this.x = 1; } get y() { return 2; } }
    const copy = structuredClone(new Point());
    equal([Object.getPrototypeOf(copy) === Object.prototype, copy], [true, { x: 1 }]);
    equal(structuredClone({ [Symbol("s")]: 1, get a() { return 3; } }), { a: 3 });
    const odd = structuredClone(JSON.parse('{"__proto__": 1}'));
    ok(Object.hasOwn(odd, "__proto__"));
    equal(structuredClone(Object.create(null)), {});
  },
  "errors": () => {
    const error = structuredClone(new TypeError("m", { cause: { a: 1 } }));
    ok(error instanceof TypeError);
    equal([error.message, error.cause, typeof error.stack, Object.keys(error)], ["m", { a: 1 }, "string", []]);
    class Own extends Error { name = "Own"; extra = 1; }
    const own = structuredClone(new Own("x"));
    equal([own.name, own.message, own.extra, Object.getPrototypeOf(own) === Error.prototype], ["Error", "x", undefined, true]);
    const thrown = structuredClone(new DOMException("m", "AbortError"));
    equal([thrown instanceof DOMException, thrown.name, thrown.code], [true, "AbortError", 20]);
  },
  "bytes": () => {
    const buffer = bytes("hello").buffer;
    const copy = structuredClone({ a: new Uint8Array(buffer, 1, 2), b: new DataView(buffer, 2), c: buffer });
    equal([text(copy.a), copy.b.byteOffset, copy.b.byteLength, copy.c.byteLength], ["el", 2, 3, 5]);
    ok(copy.a.buffer === copy.c && copy.b.buffer === copy.c && copy.c !== buffer);
    for (const View of [Int8Array, Uint8ClampedArray, Int16Array, Uint32Array, Float64Array, BigInt64Array]) {
      equal(structuredClone(new View(2)).constructor === View, true);
    }
  },
  "transfers": () => {
    const buffer = bytes("hello").buffer;
    const view = new Uint8Array(buffer, 1, 3);
    const copy = structuredClone({ view, other: new Uint8Array(buffer) }, { transfer: [buffer] });
    equal([buffer.byteLength, view.length, text(copy.view), text(copy.other), copy.view.buffer === copy.other.buffer], [0, 0, "ell", "hello", true]);
    throws("DataCloneError", () => structuredClone(buffer));
    throws("DataCloneError", () => structuredClone(1, { transfer: [{}] }));
    const kept = new ArrayBuffer(4);
    throws("DataCloneError", () => structuredClone({ kept, bad: () => 1 }, { transfer: [kept] }));
    throws("DataCloneError", () => structuredClone(1, { transfer: [kept, kept] }));
    equal(kept.byteLength, 4);
  },
  "what cannot be cloned": () => {
    for (const value of [() => 1, Symbol("x"), Promise.resolve(), new WeakMap(), new WeakRef({}), { a: [() => 1] }]) {
      throws("DataCloneError", () => structuredClone(value));
    }
    for (const value of [new Headers(), new Response(), new AbortController().signal, new EventTarget()]) {
      throws("DataCloneError", () => structuredClone(value));
    }
    throws("TypeError", () => structuredClone());
    throws("RangeError", () => structuredClone({ get a() { throw new RangeError("x"); } }));
  },
  "blobs and keys": async () => {
    const file = structuredClone(new File(["x"], "a.txt", { type: "a/b", lastModified: 3 }));
    equal([file instanceof File, file.name, file.type, file.lastModified, await file.text()], [true, "a.txt", "a/b", 3, "x"]);
    equal(await structuredClone(new Blob(["y"], { type: "c/d" })).text(), "y");
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    equal(hex(await crypto.subtle.exportKey("raw", structuredClone(key))), hex(await crypto.subtle.exportKey("raw", key)));
  },
});
