import { bytes, collect, equal, hex, ok, rejects, run, text, throws, unhex } from "./check.js";

async function through(pair, ...chunks) {
  const out = await collect(ReadableStream.from(chunks).pipeThrough(pair));
  return new Uint8Array(await new Blob(out).arrayBuffer());
}


export default run({
  "what is packed is unpacked": async () => {
    const big = new Uint8Array(300000);
    for (let at = 0; at < big.length; at++) big[at] = (at * at) >> 7;
    for (const format of ["gzip", "deflate", "deflate-raw"]) {
      const packed = await through(new CompressionStream(format), big.subarray(0, 100000), big.subarray(100000));
      ok(packed.length < big.length);
      // One byte at a time through header, data and trailer.
      const small = await through(new CompressionStream(format), bytes("one byte at a time"));
      equal(text(await through(new DecompressionStream(format), ...Array.from(small, (byte) => new Uint8Array([byte])))), "one byte at a time");
      const back = await through(new DecompressionStream(format), packed.subarray(0, 7), packed.subarray(7));
      equal([back.length, hex(await crypto.subtle.digest("SHA-1", back))], [big.length, hex(await crypto.subtle.digest("SHA-1", big))]);
      equal(text(await through(new DecompressionStream(format), await through(new CompressionStream(format)))), "");
    }
  },
  "what others packed": async () => {
    const gzip = unhex("1f8b0808000000000203782e74787400cb48cdc9c95728cf2fca490100 85114a0d 0b000000");
    equal(text(await through(new DecompressionStream("gzip"), gzip)), "hello world");
    equal(text(await through(new DecompressionStream("deflate"), unhex("789ccb48cdc9c95728cf2fca49010 01a0b045d".replace(/\s/g, "")))), "hello world");
    equal(text(await through(new DecompressionStream("deflate-raw"), unhex("cb48cdc9c95728cf2fca490100"))), "hello world");
    equal(hex(await through(new CompressionStream("gzip"), bytes("x"))).slice(0, 6), "1f8b08");
  },
  "a bomb comes piece by piece": async () => {
    const packed = await through(new CompressionStream("gzip"), new Uint8Array(5 << 20));
    ok(packed.length < 10000);
    const reader = ReadableStream.from([packed]).pipeThrough(new DecompressionStream("gzip")).getReader();
    const { value } = await reader.read();
    ok(value.length <= 65536);
    await reader.cancel();
  },
  "what is not packed": async () => {
    const gzip = unhex("1f8b0800000000000203cb48cdc9c95728cf2fca49010085114a0d0b000000");
    const unpack = (...chunks) => through(new DecompressionStream("gzip"), ...chunks);
    equal(text(await unpack(gzip)), "hello world");
    await rejects("TypeError", unpack(gzip.subarray(0, 20)));
    await rejects("TypeError", unpack(gzip.subarray(0, gzip.length - 1)));
    await rejects("TypeError", unpack(gzip, new Uint8Array([1])));
    await rejects("TypeError", unpack());
    await rejects("TypeError", unpack(bytes("hello")));
    const wrong = gzip.slice();
    wrong[wrong.length - 5] ^= 1;
    await rejects("TypeError", unpack(wrong));
    await rejects("TypeError", through(new DecompressionStream("deflate-raw"), unhex("ff")));
    await rejects("TypeError", through(new CompressionStream("gzip"), "text"));
    throws("TypeError", () => new CompressionStream("zip"));
    throws("TypeError", () => new CompressionStream());
    equal(String(new CompressionStream("gzip")), "[object CompressionStream]");
  },
  "a response that is packed": async () => {
    const packed = new Response("hello".repeat(1000)).body.pipeThrough(new CompressionStream("gzip"));
    const response = new Response(packed, { headers: { "content-encoding": "gzip" } });
    equal((await new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).text()).length, 5000);
  },
});
