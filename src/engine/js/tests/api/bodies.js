import { bytes, collect, equal, ok, rejects, run, text, tick, throws } from "./check.js";

const keys = (Class) => Object.keys(Class.prototype).sort();

export default run({
  "members of the classes": () => {
    const body = ["arrayBuffer", "blob", "body", "bodyUsed", "bytes", "formData", "json", "text"];
    equal(keys(Response), [...body, "clone", "headers", "ok", "redirected", "status", "statusText", "type", "url"].sort());
    for (const name of [...body, "cache", "credentials", "destination", "method", "mode", "redirect", "referrerPolicy", "signal", "url"]) {
      ok(keys(Request).includes(name));
    }
    equal(Object.keys(Response).sort(), ["error", "json", "redirect"]);
    equal([String(new Response()), String(new Request("http://h/")), String(new Headers())], ["[object Response]", "[object Request]", "[object Headers]"]);
    equal(Headers.prototype[Symbol.iterator] === Headers.prototype.entries, true);
    throws("TypeError", () => Object.getOwnPropertyDescriptor(Response.prototype, "status").get.call({}));
  },
  "every reader of a body": async () => {
    const make = () => new Response('{"a":1}', { headers: { "content-type": "Application/JSON; x=1" } });
    equal(await make().json(), { a: 1 });
    equal(await make().text(), '{"a":1}');
    equal(text(await make().bytes()), '{"a":1}');
    equal((await make().arrayBuffer()).byteLength, 7);
    const blob = await make().blob();
    equal([blob.size, blob.type], [7, "application/json; x=1"]);
    await rejects("SyntaxError", new Response("x").json());
    equal(await new Response("\ufeffx").text(), "x");
    equal(await new Response("a\ud800").text(), "a\ufffd");
  },
  "types that bodies bring": () => {
    const type = (body) => new Response(body).headers.get("content-type");
    equal(type("x"), "text/plain;charset=UTF-8");
    equal(type(new URLSearchParams("a=1")), "application/x-www-form-urlencoded;charset=UTF-8");
    equal(type(new Blob(["x"], { type: "a/b" })), "a/b");
    equal(type(new Blob(["x"])), null);
    equal(type(new Uint8Array(1)), null);
    equal(type(new ReadableStream()), null);
    ok(type(new FormData()).startsWith("multipart/form-data; boundary="));
    equal(new Response(new Blob(["x"], { type: "a/b" }), { headers: { "content-type": "c/d" } }).headers.get("content-type"), "c/d");
  },
  "a body is read once": async () => {
    const response = new Response("x");
    equal(response.bodyUsed, false);
    await response.text();
    equal(response.bodyUsed, true);
    await rejects("TypeError", response.text());
    await rejects("TypeError", response.blob());
    throws("TypeError", () => response.clone());
    const empty = new Response();
    await empty.text();
    equal([await empty.text(), empty.bodyUsed, empty.body], ["", false, null]);
  },
  "bytes of a body are the reader's own": async () => {
    const blob = new Blob(["abc"]);
    (await new Response(blob).bytes())[0] = 0;
    equal(await blob.text(), "abc");
  },
  "clones": async () => {
    const request = new Request("http://h/", { method: "PUT", body: "b", headers: { a: "1" }, redirect: "manual", cache: "no-store" });
    const copy = request.clone();
    copy.headers.set("a", "2");
    equal([await request.text(), await copy.text(), request.headers.get("a"), copy.redirect, copy.cache], ["b", "b", "1", "manual", "no-store"]);
    const response = new Response(ReadableStream.from([bytes("x"), bytes("y")]), { status: 201, statusText: "Made" });
    const twin = response.clone();
    equal([await response.text(), await twin.text(), twin.status, twin.statusText], ["xy", "xy", 201, "Made"]);
  },
  "a request of a request": async () => {
    const first = new Request("http://h/", { method: "POST", body: "x" });
    const second = new Request(first, { headers: { b: "1" } });
    equal([first.bodyUsed, await second.text(), second.method], [true, "x", "POST"]);
    throws("TypeError", () => new Request(first));
    equal(new Request(first, { body: "y" }).method, "POST");
    const controller = new AbortController();
    const third = new Request("http://h/", { signal: controller.signal }).clone();
    controller.abort("why");
    equal([third.signal.aborted, third.signal.reason], [true, "why"]);
  },
  "what makes no request": () => {
    throws("TypeError", () => new Request());
    throws("TypeError", () => new Request("/relative"));
    throws("TypeError", () => new Request("http://u:p@h/"));
    throws("TypeError", () => new Request("http://h/", { method: "CONNECT" }));
    throws("TypeError", () => new Request("http://h/", { redirect: "never" }));
    throws("TypeError", () => new Request("http://h/", { mode: "navigate" }));
    throws("TypeError", () => new Request("http://h/", { signal: {} }));
    throws("TypeError", () => new Request("http://h/", "x"));
    equal([new Request("http://h/", { method: "patch" }).method, new Request("http://h/", { method: "put" }).method], ["patch", "PUT"]);
  },
  "made responses": async () => {
    const json = Response.json({ a: 1 }, { status: 201, headers: { "content-type": "application/problem+json" } });
    equal([json.status, json.headers.get("content-type"), await json.json()], [201, "application/problem+json", { a: 1 }]);
    throws("TypeError", () => Response.json(undefined));
    throws("TypeError", () => Response.json(() => 1));
    const redirect = Response.redirect("http://h/x");
    equal([redirect.status, redirect.headers.get("location")], [302, "http://h/x"]);
    throws("TypeError", () => redirect.headers.set("a", "1"));
    throws("RangeError", () => Response.redirect("http://h/", 200));
    throws("TypeError", () => Response.redirect("nonsense"));
    const error = Response.error();
    equal([error.type, error.status, error.ok], ["error", 0, false]);
    throws("TypeError", () => error.headers.append("a", "1"));
    throws("RangeError", () => new Response(null, { status: 199 }));
    throws("TypeError", () => new Response("x", { status: 204 }));
    throws("TypeError", () => new Response("", { statusText: "a\nb" }));
  },
  "headers of an event are immutable, copies are not": (env, request) => {
    throws("TypeError", () => request.headers.set("a", "1"));
    const copy = new Headers(request.headers);
    copy.set("a", "1");
    const changed = new Request(request, { headers: copy });
    equal(changed.headers.get("a"), "1");
    throws("TypeError", () => new Headers([["a"]]));
    throws("TypeError", () => new Headers([["a", "b", "c"]]));
    throws("TypeError", () => new Headers("a"));
    throws("TypeError", () => new Headers({ [Symbol("x")]: "1" }));
  },
  "fetch of data addresses": async () => {
    const response = await fetch("data:text/html;charset=utf-8,%3Cp%3E%C3%A9#x");
    equal([response.status, response.headers.get("content-type"), await response.text()], [200, "text/html;charset=utf-8", "<p>é"]);
    const coded = await fetch("data:;base64,aGk=");
    equal([coded.headers.get("content-type"), await coded.text()], ["text/plain;charset=US-ASCII", "hi"]);
    await rejects("TypeError", fetch("ftp://h/"), "ftp");
    await rejects("TypeError", fetch("nonsense"));
  },
  "a signal ends a fetch": async (env) => {
    await rejects("AbortError", env.OTHER.fetch("http://h/", { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    const promise = env.OTHER.fetch("http://h/", { signal: controller.signal });
    controller.abort(new RangeError("enough"));
    await rejects("RangeError", promise, "enough");
    const late = new AbortController();
    const response = await env.OTHER.fetch(new Request("http://h/", { signal: late.signal }));
    equal(response.status, 201);
    late.abort();
    await rejects("AbortError", response.text());
    const whole = await env.OTHER.fetch("http://h/", { signal: AbortSignal.timeout(5000), method: "POST", body: new Blob(["blob"]) });
    ok((await whole.text()).endsWith("POST http://h/ blob"));
    throws("TypeError", () => whole.headers.set("a", "b"));
  },
  "streams as bodies": async () => {
    const stream = () => ReadableStream.from([bytes("a"), bytes("b")]);
    equal(await new Response(stream()).text(), "ab");
    const taken = stream();
    taken.getReader();
    throws("TypeError", () => new Response(taken));
    await rejects("TypeError", new Response(ReadableStream.from(["text"])).text(), "Uint8Array");
    const response = new Response("abc");
    equal((await collect(response.body)).map(text), ["abc"]);
    await tick();
    equal(response.bodyUsed, true);
  },
});
