import { equal, ok, run, throws } from "./check.js";

export default run({
  "parts and groups": () => {
    const pattern = new URLPattern({ pathname: "/books/:id(\\d+)/:page?" });
    equal([pattern.pathname, pattern.protocol, pattern.hostname, pattern.hasRegExpGroups], ["/books/:id(\\d+)/:page?", "*", "*", true]);
    const found = pattern.exec("https://example.com/books/12?q=1#h");
    equal(found.pathname, { input: "/books/12", groups: { id: "12", page: undefined } });
    equal([found.search.input, found.hash.input, found.protocol.groups[0]], ["q=1", "h", "https"]);
    equal(found.inputs, ["https://example.com/books/12?q=1#h"]);
    equal([pattern.test("https://example.com/books/x"), pattern.test("nonsense"), pattern.exec("http://h/")], [false, false, null]);
    equal(pattern.test({ pathname: "/books/1/2" }), true);
  },
  "a pattern as text": () => {
    const pattern = new URLPattern("https://*.example.com/a/x?b=:b");
    equal([pattern.protocol, pattern.hostname, pattern.pathname, pattern.search, pattern.hasRegExpGroups], ["https", "*.example.com", "/a/x", "b=:b", false]);
    equal(pattern.exec("https://x.example.com/a/x?b=2").search.groups, { b: "2" });
    equal(pattern.test("http://x.example.com/a/x?b=2"), false);
    const relative = new URLPattern("/x/:y", "http://h:8080/a");
    equal([relative.hostname, relative.port, relative.pathname], ["h", "8080", "/x/:y"]);
    ok(relative.test("/x/1", "http://h:8080"));
    equal(relative.exec("/x/1", "http://h:8080").inputs, ["/x/1", "http://h:8080"]);
  },
  "case, defaults and mistakes": () => {
    equal(new URLPattern({ pathname: "/A" }, { ignoreCase: true }).test("http://h/a"), true);
    equal(new URLPattern("/A", "http://h", { ignoreCase: true }).test("http://h/a"), true);
    equal(new URLPattern({ pathname: "/A" }).test("http://h/a"), false);
    equal(new URLPattern().test("http://anything/at?all"), true);
    throws("TypeError", () => new URLPattern("/relative"));
    throws("TypeError", () => new URLPattern({ pathname: "/(" }));
    throws("TypeError", () => new URLPattern({ pathname: "/:a/:a" }));
    throws("TypeError", () => new URLPattern({ pathname: "/([z-a])" }));
    throws("TypeError", () => new URLPattern({}, "http://h"));
    equal(String(new URLPattern()), "[object URLPattern]");
    ok(Object.keys(URLPattern.prototype).includes("exec"));
  },
});
