import { collect, equal, ok, rejects, run, throws, tick } from "./check.js";

export default run({
  "an event": () => {
    const event = new Event("x", { bubbles: 1, cancelable: true });
    equal([event.type, event.bubbles, event.cancelable, event.composed, event.isTrusted, event.eventPhase], ["x", true, true, false, false, 0]);
    equal([Event.AT_TARGET, event.AT_TARGET, Event.NONE], [2, 2, 0]);
    equal([event.target, event.currentTarget, event.composedPath()], [null, null, []]);
    ok(event.timeStamp >= 0);
    throws("TypeError", () => new Event());
    throws("TypeError", () => new Event("x", 1));
    equal(String(event), "[object Event]");
    equal(new CustomEvent("x", { detail: 0 }).detail, 0);
    equal(new CustomEvent("x").detail, null);
    equal(new ErrorEvent("error", { message: "m", error: 1 }).message, "m");
    equal(new MessageEvent("message", { data: 5 }).data, 5);
  },
  "dispatch": () => {
    const target = new EventTarget();
    const seen = [];
    const object = { handleEvent(event) { seen.push(["object", this === object, event.eventPhase, event.composedPath().length]); } };
    target.addEventListener("a", (event) => seen.push(["function", event.target === target, event.currentTarget === target]));
    target.addEventListener("a", object);
    target.addEventListener("a", object);
    target.addEventListener("a", object, { capture: true });
    const event = new Event("a");
    equal(target.dispatchEvent(event), true);
    equal(seen, [["function", true, true], ["object", true, 2, 1], ["object", true, 2, 1]]);
    equal([event.target === target, event.currentTarget, event.eventPhase], [true, null, 0]);
    target.removeEventListener("a", object, true);
    seen.length = 0;
    target.dispatchEvent(event);
    equal(seen.length, 2);
    throws("TypeError", () => target.dispatchEvent({ type: "a" }));
    throws("TypeError", () => target.addEventListener("a"));
    throws("TypeError", () => target.addEventListener("a", "text"));
  },
  "stopping and preventing": () => {
    const target = new EventTarget();
    let count = 0;
    target.addEventListener("a", (event) => { count++; event.stopImmediatePropagation(); event.preventDefault(); }, { passive: true });
    target.addEventListener("a", () => count++);
    equal([target.dispatchEvent(new Event("a", { cancelable: true })), count], [true, 1]);
    const other = new EventTarget();
    other.addEventListener("b", (event) => event.preventDefault());
    equal([other.dispatchEvent(new Event("b")), other.dispatchEvent(new Event("b", { cancelable: true }))], [true, false]);
    let thrown;
    other.addEventListener("c", (event) => { try { other.dispatchEvent(event); } catch (error) { thrown = error.name; } });
    other.dispatchEvent(new Event("c"));
    equal(thrown, "InvalidStateError");
  },
  "listeners that go": () => {
    const target = new EventTarget();
    const seen = [];
    const second = () => seen.push(2);
    target.addEventListener("a", () => { seen.push(1); target.removeEventListener("a", second); });
    target.addEventListener("a", second);
    target.addEventListener("a", () => target.addEventListener("a", () => seen.push("late")), { once: true });
    target.dispatchEvent(new Event("a"));
    equal(seen, [1]);
    const controller = new AbortController();
    target.addEventListener("b", () => seen.push("b"), { signal: controller.signal });
    controller.abort();
    target.dispatchEvent(new Event("b"));
    equal(seen, [1]);
    throws("TypeError", () => target.addEventListener("b", () => {}, { signal: {} }));
  },
  "a listener that throws is reported, the others run": () => {
    let reported;
    const listen = (event) => { reported = [event.error, event.message]; event.preventDefault(); };
    addEventListener("error", listen);
    const target = new EventTarget();
    let ran = false;
    target.addEventListener("a", () => { throw new RangeError("bad"); });
    target.addEventListener("a", () => { ran = true; });
    target.dispatchEvent(new Event("a"));
    equal([reported[0].name, reported[1], ran], ["RangeError", "bad", true]);
    reportError("text");
    equal(reported, ["text", "text"]);
    removeEventListener("error", listen);
    throws("TypeError", () => addEventListener("fetch", () => {}), "export default");
  },
  "signals": async () => {
    throws("TypeError", () => new AbortSignal());
    const controller = new AbortController();
    const { signal } = controller;
    const seen = [];
    signal.onabort = (event) => seen.push(["attribute", event.type, event.target === signal]);
    signal.addEventListener("abort", () => seen.push(["listener"]));
    controller.abort();
    controller.abort("again");
    equal(seen, [["attribute", "abort", true], ["listener"]]);
    equal([signal.aborted, signal.reason.name, signal.reason instanceof DOMException, signal.reason.code], [true, "AbortError", true, 20]);
    throws("AbortError", () => signal.throwIfAborted());
    equal(AbortSignal.abort().reason.name, "AbortError");
    equal(AbortSignal.abort(0).reason, 0);
    const late = AbortSignal.timeout(1);
    equal(late.aborted, false);
    await new Promise((resolve) => late.addEventListener("abort", resolve));
    equal(late.reason.name, "TimeoutError");
    throws("TypeError", () => AbortSignal.timeout(-1));
    equal(Object.keys(AbortSignal.prototype).sort(), ["aborted", "onabort", "reason", "throwIfAborted"]);
  },
  "any of many signals": () => {
    const one = new AbortController();
    const other = new AbortController();
    const any = AbortSignal.any([one.signal, other.signal]);
    const nested = AbortSignal.any([any]);
    const order = [];
    one.signal.addEventListener("abort", () => order.push(["source", any.aborted, nested.aborted]));
    any.addEventListener("abort", () => order.push(["any"]));
    nested.addEventListener("abort", () => order.push(["nested"]));
    one.abort("first");
    other.abort("second");
    equal([any.reason, nested.reason], ["first", "first"]);
    equal(order, [["source", true, true], ["any"], ["nested"]]);
    equal(AbortSignal.any([]).aborted, false);
    equal(AbortSignal.any([AbortSignal.abort("x"), AbortSignal.abort("y")]).reason, "x");
    throws("TypeError", () => AbortSignal.any([{}]));
  },
  "exceptions": () => {
    const error = new DOMException("m", "DataCloneError");
    equal([error.name, error.message, error.code, error instanceof Error, String(error)], ["DataCloneError", "m", 25, true, "DataCloneError: m"]);
    equal([DOMException.ABORT_ERR, DOMException.DATA_CLONE_ERR, error.NOT_SUPPORTED_ERR, DOMException.INVALID_CHARACTER_ERR, DOMException.URL_MISMATCH_ERR], [20, 25, 9, 5, 21]);
    equal([new DOMException().name, new DOMException("x", { name: "AbortError", cause: 1 }).cause], ["Error", 1]);
    equal(Object.prototype.toString.call(error), "[object DOMException]");
  },
  "channels": async () => {
    const { port1, port2 } = new MessageChannel();
    const got = new Promise((resolve) => { port2.onmessage = (event) => resolve(event.data); });
    const sent = { a: [1] };
    port1.postMessage(sent);
    sent.a = 2;
    equal(await got, { a: [1] });
    const order = [];
    port1.addEventListener("message", (event) => order.push(event.data));
    port2.postMessage(1);
    port2.postMessage(2);
    await tick();
    equal(order, []);
    port1.start();
    await tick(1);
    equal(order, [1, 2]);
    throws("DataCloneError", () => port1.postMessage(() => 1));
    port2.close();
  },
  "names that are not there": async () => {
    for (const name of ["WebAssembly", "XMLHttpRequest", "caches", "document", "window", "Worker", "localStorage"]) {
      equal(typeof globalThis[name], "undefined");
    }
    throws("TypeError", () => new WebSocket("wss://h/"), "WebSocket is not there in emu");
    throws("TypeError", () => new HTMLRewriter(), "npm");
    throws("TypeError", () => new WebSocketPair(), "ReadableStream");
    equal(Object.keys(globalThis).filter((name) => name !== "wit" && !name.startsWith("__")), []);
    equal([navigator.userAgent, String(navigator)], ["emu", "[object Navigator]"]);
  },
  "iterators of streams still work": async () => {
    equal(await collect(ReadableStream.from([1, 2])), [1, 2]);
    await rejects("RangeError", collect(new ReadableStream({ start(controller) { controller.error(new RangeError("x")); } })));
  },
});
