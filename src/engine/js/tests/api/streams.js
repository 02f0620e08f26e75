import { bytes, collect, equal, ok, rejects, run, text, throws, tick } from "./check.js";

const source = (...chunks) => new ReadableStream({ start(controller) { for (const chunk of chunks) controller.enqueue(chunk); controller.close(); } });
const failing = (error) => new ReadableStream({ start(controller) { controller.error(error); } });

export default run({
  "reading": async () => {
    const stream = source(1, 2);
    const reader = stream.getReader();
    equal(stream.locked, true);
    throws("TypeError", () => stream.getReader());
    equal([await reader.read(), await reader.read(), await reader.read()], [{ value: 1, done: false }, { value: 2, done: false }, { value: undefined, done: true }]);
    await reader.closed;
    reader.releaseLock();
    await rejects("TypeError", reader.read());
    await rejects("TypeError", reader.closed);
    equal(stream.locked, false);
    const waiting = new ReadableStream().getReader();
    const read = waiting.read();
    waiting.releaseLock();
    await rejects("TypeError", read);
  },
  "what makes no stream": () => {
    throws("TypeError", () => new ReadableStream(null));
    throws("TypeError", () => new ReadableStream({ type: "text" }));
    throws("TypeError", () => new ReadableStream({ pull: 1 }));
    throws("RangeError", () => new ReadableStream({}, { highWaterMark: -1 }));
    throws("RangeError", () => new ReadableStream({ type: "bytes" }, { size: () => 1 }));
    throws("RangeError", () => new WritableStream({ type: "bytes" }));
    throws("RangeError", () => new TransformStream({ readableType: "bytes" }));
    throws("TypeError", () => new CountQueuingStrategy());
    throws("RangeError", () => new ReadableStream({ start() { throw new RangeError("no"); } }));
    equal(new ByteLengthQueuingStrategy({ highWaterMark: 5 }).size({ byteLength: 3 }), 3);
    equal([String(new ReadableStream()), String(new WritableStream()), String(new TransformStream())], ["[object ReadableStream]", "[object WritableStream]", "[object TransformStream]"]);
  },
  "backpressure and sizes": async () => {
    let controller;
    const stream = new ReadableStream({ start(given) { controller = given; } }, { highWaterMark: 5, size: (chunk) => chunk.length });
    equal(controller.desiredSize, 5);
    controller.enqueue("abc");
    controller.enqueue("defg");
    equal(controller.desiredSize, -2);
    const reader = stream.getReader();
    await reader.read();
    equal(controller.desiredSize, 1);
    controller.close();
    throws("TypeError", () => controller.enqueue("x"));
    throws("TypeError", () => controller.close());
    equal((await reader.read()).value, "defg");
    equal([(await reader.read()).done, controller.desiredSize], [true, 0]);
    const bad = new ReadableStream({ start(given) { controller = given; } }, { size: () => -1 });
    throws("RangeError", () => controller.enqueue("x"));
    await rejects("RangeError", bad.getReader().read());
  },
  "cancelling": async () => {
    let reason;
    const stream = new ReadableStream({ cancel(given) { reason = given; } });
    await stream.cancel("why");
    equal([reason, (await stream.getReader().read()).done], ["why", true]);
    await rejects("RangeError", failing(new RangeError("x")).cancel());
    await rejects("RangeError", new ReadableStream({ cancel() { throw new RangeError("x"); } }).cancel());
    const locked = source(1);
    locked.getReader();
    await rejects("TypeError", locked.cancel());
  },
  "iterating": async () => {
    let reason = "none";
    const stream = new ReadableStream({ start(controller) { controller.enqueue(1); controller.enqueue(2); }, cancel() { reason = "cancelled"; } });
    for await (const chunk of stream) { equal(chunk, 1); break; }
    equal([reason, stream.locked], ["cancelled", false]);
    const kept = source(1, 2, 3);
    for await (const chunk of kept.values({ preventCancel: true })) { equal(chunk, 1); break; }
    equal(await collect(kept), [2, 3]);
    const iterator = source(1, 2).values();
    equal(await Promise.all([iterator.next(), iterator.next(), iterator.next()]), [{ value: 1, done: false }, { value: 2, done: false }, { value: undefined, done: true }]);
    await rejects("RangeError", collect(failing(new RangeError("x"))));
  },
  "from": async () => {
    equal(await collect(ReadableStream.from([1, Promise.resolve(2)])), [1, 2]);
    equal(await collect(ReadableStream.from("ab")), ["a", "b"]);
    equal(await collect(ReadableStream.from((async function* () { yield 1; yield 2; })())), [1, 2]);
    equal(await collect(ReadableStream.from(source(7))), [7]);
    let returned;
    const stream = ReadableStream.from({ [Symbol.iterator]: () => ({ next: () => ({ value: 1, done: false }), return: (value) => { returned = value; return {}; } }) });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel("stop");
    equal(returned, "stop");
    throws("TypeError", () => ReadableStream.from(null));
    throws("TypeError", () => ReadableStream.from({}));
    await rejects("RangeError", collect(ReadableStream.from((function* () { throw new RangeError("x"); })())));
  },
  "tee": async () => {
    const [one, other] = source(1, 2).tee();
    equal([await collect(one), await collect(other)], [[1, 2], [1, 2]]);
    let reason;
    const stream = new ReadableStream({ cancel(given) { reason = given; } });
    const branches = stream.tee();
    await Promise.all([branches[0].cancel("a"), branches[1].cancel("b")]);
    equal(reason, ["a", "b"]);
    const [bad, worse] = failing(new RangeError("x")).tee();
    await rejects("RangeError", collect(bad));
    await rejects("RangeError", collect(worse));
    const [left, right] = new Response("bytes").body.tee();
    equal([await new Response(left).text(), await new Response(right).text()], ["bytes", "bytes"]);
  },
  "writing": async () => {
    const seen = [];
    const stream = new WritableStream({ start() { seen.push("start"); }, async write(chunk) { await tick(1); seen.push(chunk); }, close() { seen.push("close"); } });
    const writer = stream.getWriter();
    equal(writer.desiredSize, 1);
    const first = writer.write(1);
    equal(writer.desiredSize, 0);
    writer.write(2);
    const closed = writer.close();
    await first;
    await closed;
    await writer.closed;
    equal(seen, ["start", 1, 2, "close"]);
    await rejects("TypeError", writer.write(3));
    await rejects("TypeError", writer.close());
    equal(writer.desiredSize, 0);
    writer.releaseLock();
    throws("TypeError", () => writer.desiredSize);
    await rejects("TypeError", writer.write(1));
  },
  "writing that fails": async () => {
    const stream = new WritableStream({ write() { throw new RangeError("disk"); } });
    const writer = stream.getWriter();
    await rejects("RangeError", writer.write(1));
    await rejects("RangeError", writer.closed);
    await rejects("RangeError", writer.ready);
    equal(writer.desiredSize, null);
    let controller;
    const other = new WritableStream({ start(given) { controller = given; } });
    controller.error(new RangeError("x"));
    await rejects("RangeError", other.getWriter().write(1));
  },
  "aborting": async () => {
    let reason;
    let signal;
    const stream = new WritableStream({ start(controller) { signal = controller.signal; }, write: () => new Promise(() => {}), abort(given) { reason = given; } });
    const writer = stream.getWriter();
    await writer.ready;
    writer.abort("why");
    equal([signal.aborted, signal.reason], [true, "why"]);
    const idle = new WritableStream({ abort(given) { reason = given; } });
    await idle.abort("idle");
    equal(reason, "idle");
    let thrown;
    await idle.getWriter().closed.catch((error) => { thrown = error; });
    equal(thrown, "idle");
  },
  "pipes": async () => {
    const out = [];
    const sink = () => new WritableStream({ write(chunk) { out.push(chunk); }, close() { out.push("end"); }, abort(reason) { out.push(["abort", reason]); } });
    await source(1, 2).pipeTo(sink());
    equal(out.splice(0), [1, 2, "end"]);
    const open = sink();
    await source(1).pipeTo(open, { preventClose: true });
    await source(2).pipeTo(open);
    equal(out.splice(0), [1, 2, "end"]);
    await rejects("RangeError", failing(new RangeError("x")).pipeTo(sink()));
    equal(out.splice(0)[0][0], "abort");
    let cancelled;
    const endless = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel(reason) { cancelled = reason; } });
    await rejects("RangeError", endless.pipeTo(new WritableStream({ write() { throw new RangeError("full"); } })));
    equal(cancelled.message, "full");
    const kept = source(1, 2);
    await rejects("RangeError", kept.pipeTo(new WritableStream({ start(controller) { controller.error(new RangeError("x")); } }), { preventCancel: true }));
    equal(await collect(kept), [1, 2]);
    await rejects("TypeError", source(1).pipeTo({}));
    const locked = sink();
    locked.getWriter();
    await rejects("TypeError", source(1).pipeTo(locked));
  },
  "a signal ends a pipe": async () => {
    const controller = new AbortController();
    let [aborted, cancelled] = [];
    const endless = new ReadableStream({ async pull(given) { await tick(1); given.enqueue(1); }, cancel(reason) { cancelled = reason; } });
    const piped = endless.pipeTo(new WritableStream({ abort(reason) { aborted = reason; } }), { signal: controller.signal });
    await tick(3);
    controller.abort("enough");
    let thrown;
    await piped.catch((error) => { thrown = error; });
    equal([thrown, aborted, cancelled], ["enough", "enough", "enough"]);
    await rejects("AbortError", source(1).pipeTo(new WritableStream(), { signal: AbortSignal.abort() }));
    await rejects("TypeError", source(1).pipeTo(new WritableStream(), { signal: {} }));
  },
  "transforms": async () => {
    const order = [];
    const doubled = source(1, 2).pipeThrough(new TransformStream({
      start(controller) { controller.enqueue("begin"); },
      transform(chunk, controller) { controller.enqueue(chunk * 2); },
      flush(controller) { controller.enqueue("end"); order.push("flush"); },
    }));
    equal(await collect(doubled), ["begin", 2, 4, "end"]);
    equal(await collect(source(1).pipeThrough(new TransformStream())), [1]);
    await rejects("RangeError", collect(source(1).pipeThrough(new TransformStream({ transform() { throw new RangeError("x"); } }))));
    await rejects("RangeError", collect(failing(new RangeError("x")).pipeThrough(new TransformStream())));
    equal(await collect(source(1, 2, 3).pipeThrough(new TransformStream({ transform(chunk, controller) { controller.enqueue(chunk); if (chunk === 2) controller.terminate(); } }))), [1, 2]);
    const pair = new TransformStream();
    const writer = pair.writable.getWriter();
    await pair.readable.cancel(new RangeError("gone"));
    await rejects("RangeError", writer.write(1));
    throws("TypeError", () => source(1).pipeThrough({ readable: 1, writable: 2 }));
  },
  "text streams": async () => {
    equal((await collect(source("a\ud83d", "\ude00b").pipeThrough(new TextEncoderStream()))).map(text).join(""), "a😀b");
    equal((await collect(source("x\ud83d").pipeThrough(new TextEncoderStream()))).map(text).join(""), "x\ufffd");
    const euro = bytes("€");
    equal((await collect(source(euro.slice(0, 1), euro.slice(1)).pipeThrough(new TextDecoderStream()))).join(""), "€");
    await rejects("TypeError", collect(source(new Uint8Array([255])).pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))));
    await rejects("TypeError", collect(source("text").pipeThrough(new TextDecoderStream())));
    equal([new TextEncoderStream().encoding, new TextDecoderStream("latin1").encoding], ["utf-8", "windows-1252"]);
  },
  "byte streams": async () => {
    const stream = new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(bytes("hello")); controller.close(); } });
    const reader = stream.getReader({ mode: "byob" });
    const one = await reader.read(new Uint8Array(3));
    equal([text(one.value), one.done], ["hel", false]);
    const two = await reader.read(new Uint8Array(new ArrayBuffer(8), 2, 4));
    equal([text(two.value), two.value.byteOffset], ["lo", 2]);
    const end = await reader.read(new Uint8Array(4));
    equal([end.done, end.value.length], [true, 0]);
    await rejects("TypeError", reader.read(new Uint8Array(0)));
    throws("TypeError", () => new ReadableStream().getReader({ mode: "byob" }));
    throws("TypeError", () => new ReadableStream().getReader({ mode: "other" }));
  },
  "a source that fills the reader's buffer": async () => {
    let at = 0;
    const stream = new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 4,
      pull(controller) {
        const { view } = controller.byobRequest;
        for (let index = 0; index < Math.min(3, view.length); index++) view[index] = at++;
        controller.byobRequest.respond(Math.min(3, view.length));
      },
    });
    const reader = stream.getReader({ mode: "byob" });
    equal(await reader.read(new Uint8Array(8)), { value: new Uint8Array([0, 1, 2]), done: false });
    equal((await reader.read(new Uint8Array(8), { min: 5 })).value, new Uint8Array([3, 4, 5, 6, 7, 8]));
    equal((await reader.read(new Uint16Array(1))).value.length, 1);
    reader.releaseLock();
    equal((await stream.getReader().read()).value.length, 3);
  },
  "bodies are byte streams": async () => {
    const reader = new Response("hello").body.getReader({ mode: "byob" });
    equal(text((await reader.read(new Uint8Array(2))).value), "he");
    equal(text((await reader.read(new Uint8Array(20))).value), "llo");
    equal((await reader.read(new Uint8Array(1))).done, true);
    ok(new Blob(["x"]).stream().getReader({ mode: "byob" }) instanceof ReadableStreamBYOBReader);
  },
});
