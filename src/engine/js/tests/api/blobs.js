import { bytes, collect, equal, hex, ok, rejects, run, text, throws } from "./check.js";

export default run({
  "a blob of parts": async () => {
    const blob = new Blob(["aé", bytes("b"), new Uint16Array([0x4141]).buffer, new Blob(["c"]), 7], { type: "Text/Plain" });
    equal([blob.size, blob.type, await blob.text()], [8, "text/plain", "aébAAc7"]);
    equal(hex(await blob.bytes()), hex(await blob.arrayBuffer()));
    equal(String(blob), "[object Blob]");
    equal(Object.keys(Blob.prototype).sort(), ["arrayBuffer", "bytes", "size", "slice", "stream", "text", "type"]);
  },
  "what makes no blob": () => {
    throws("TypeError", () => new Blob("abc"));
    throws("TypeError", () => new Blob(["a"], { endings: "x" }));
    throws("TypeError", () => Blob(["a"]));
    throws("TypeError", () => Object.getOwnPropertyDescriptor(Blob.prototype, "size").get.call({}));
    equal(new Blob(["a"], { type: "é" }).type, "");
    equal(new Blob().size, 0);
  },
  "line endings": async () => {
    equal(await new Blob(["a\r\nb\rc\n"], { endings: "native" }).text(), "a\nb\nc\n");
    equal(await new Blob(["a\r\nb"]).text(), "a\r\nb");
  },
  "slices": async () => {
    const blob = new Blob(["0123456789"], { type: "a/b" });
    equal(await blob.slice(2, 5).text(), "234");
    equal(await blob.slice(-3).text(), "789");
    equal(await blob.slice(5, 2).text(), "");
    equal(await blob.slice(0, -8, "x/y").text(), "01");
    equal([blob.slice(0, 1).type, blob.slice(0, 1, "x/y").type], ["", "x/y"]);
  },
  "a blob as a stream": async () => {
    const chunks = await collect(new Blob([new Uint8Array(200000).fill(65)]).stream());
    ok(chunks.length > 1);
    equal(chunks.reduce((sum, chunk) => sum + chunk.length, 0), 200000);
    equal(await collect(new Blob().stream()), []);
  },
  "files": async () => {
    const file = new File(["x"], "a/b.txt", { type: "text/plain", lastModified: 5 });
    equal([file.name, file.lastModified, file.type, file.size, file instanceof Blob], ["a/b.txt", 5, "text/plain", 1, true]);
    equal(String(file), "[object File]");
    ok(Math.abs(new File([], "x").lastModified - Date.now()) < 1000);
    throws("TypeError", () => new File(["x"]));
  },
  "a form's entries": () => {
    const form = new FormData();
    form.append("a", 1);
    form.append("b", "2");
    form.append("a", "3");
    equal([...form], [["a", "1"], ["b", "2"], ["a", "3"]]);
    form.set("a", "4");
    equal([...form.entries()], [["a", "4"], ["b", "2"]]);
    form.delete("b");
    equal([form.get("a"), form.get("b"), form.getAll("a"), form.has("b")], ["4", null, ["4"], false]);
    equal([[...form.keys()], [...form.values()]], [["a"], ["4"]]);
    equal(FormData.prototype[Symbol.iterator] === FormData.prototype.entries, true);
    throws("TypeError", () => form.append("a"));
    throws("TypeError", () => form.append("a", "text", "name"));
    throws("TypeError", () => new FormData({}));
  },
  "blobs in a form are files": () => {
    const form = new FormData();
    form.append("a", new Blob(["x"], { type: "t/t" }));
    form.append("b", new File(["x"], "b.txt"));
    form.append("c", new File(["x"], "b.txt", { lastModified: 3 }), "c.txt");
    equal(form.get("a").name, "blob");
    equal(form.get("a").type, "t/t");
    equal(form.get("b").name, "b.txt");
    equal([form.get("c").name, form.get("c").lastModified], ["c.txt", 3]);
    ok(form.get("a") instanceof File);
  },
  "a form travels as multipart and comes back": async () => {
    const form = new FormData();
    form.append('quo"te\n', "line\nbreak");
    form.append("ü", "ö");
    form.append("file", new File([new Uint8Array([0, 13, 10, 255])], 'ä".bin', { type: "application/x-test" }));
    const request = new Request("http://h/", { method: "POST", body: form });
    ok(/^multipart\/form-data; boundary=[\w-]{20,70}$/.test(request.headers.get("content-type")));
    const raw = await request.clone().text();
    ok(raw.includes('name="quo%22te%0D%0A"'));
    ok(raw.endsWith("--\r\n"));
    const back = await request.formData();
    equal([...back.keys()], ['quo"te\r\n', "ü", "file"]);
    equal([back.get('quo"te\r\n'), back.get("ü")], ["line\r\nbreak", "ö"]);
    const file = back.get("file");
    equal([file.name, file.type, hex(await file.bytes())], ['ä".bin', "application/x-test", "000d0aff"]);
  },
  "multipart as others write it": async () => {
    const body = 'preamble\r\n--X  \r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--X\r\nContent-Type: text/html\r\nContent-Disposition: form-data; name="f"; filename="x.html"\r\n\r\n<p>\r\n--X--';
    const form = await new Response(body, { headers: { "content-type": 'Multipart/Form-Data; boundary="X"' } }).formData();
    equal([form.get("a"), form.get("f").type, await form.get("f").text()], ["1", "text/html", "<p>"]);
    const empty = await new Response("--X--\r\n", { headers: { "content-type": "multipart/form-data; boundary=X" } }).formData();
    equal([...empty], []);
  },
  "what is no form": async () => {
    const read = (body, type) => new Response(body, { headers: { "content-type": type } }).formData();
    await rejects("TypeError", read("a=1", "text/plain"));
    await rejects("TypeError", read("x", "multipart/form-data"));
    await rejects("TypeError", read("--Y\r\n", "multipart/form-data; boundary=X"));
    await rejects("TypeError", read("--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1", "multipart/form-data; boundary=X"));
    await rejects("TypeError", read("--X\r\n\r\n1\r\n--X--", "multipart/form-data; boundary=X"));
    equal([...(await read("a=1&b=%20+&a", "application/x-www-form-urlencoded;charset=utf-8"))], [["a", "1"], ["b", "  "], ["a", ""]]);
    equal((await read("?a=1", "application/x-www-form-urlencoded")).get("?a"), "1");
  },
  "text of a blob": async () => {
    equal(await new Blob([new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff])]).text(), "a\ufffd");
    equal(text(await new Blob(["\ud800"]).bytes()), "\ufffd");
  },
});
