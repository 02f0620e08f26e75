//! HTTP as a client sees it: routes, statuses, headers, bodies.

use std::thread;

use http::Method;
use serde_json::json;

use crate::harness::{Emu, Project, raw};

/// Answers with what it was asked, and does as the path's end says.
const ECHO: &str = r#"
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/throw")) throw new TypeError("no such teapot");
    if (url.pathname.endsWith("/sleep")) {
      console.log("sleeping");
      await new Promise((done) => setTimeout(done, 60_000));
    }
    return Response.json(
      { method: request.method, path: url.pathname, query: url.search, header: request.headers.get("x-test"), body: await request.text() },
      { status: 201, headers: { "x-answer": "yes" } },
    );
  },
};
"#;

fn echo(manifest: &str) -> Project {
    Project::new(&[("emu.toml", manifest), ("functions/echo.js", ECHO)])
}

#[test]
fn a_request_reaches_the_function_unchanged_and_its_answer_comes_back() {
    let emu = Project::new(&[("functions/echo.js", ECHO)]).start();
    let answer = emu.request(Method::PUT, "/echo/a%20b/c?x=1&x=2", &[("x-test", "here")], "the body");
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("x-answer"), "yes");
    assert_eq!(
        answer.json(),
        json!({"method": "PUT", "path": "/echo/a%20b/c", "query": "?x=1&x=2", "header": "here", "body": "the body"})
    );
    assert_eq!(answer.header("x-emu-start"), "cold");
    let id = answer.header("x-emu-invocation");
    let event = emu.wait("invocation", |e| e["id"] == id);
    assert_eq!(
        (&event["status"], &event["outcome"]),
        (&json!(201), &json!("succeeded")),
        "{event}"
    );
    assert_eq!(
        emu.control(&format!("/_emu/invocations/{id}"))["summary"],
        event["summary"]
    );
    assert_eq!(emu.request(Method::GET, "/echo", &[], "").header("x-emu-start"), "warm");
}

#[test]
fn routes_choose_by_method_and_the_most_specific_segment() {
    let answer = |name: &str| format!("export default {{ fetch: () => new Response('{name}') }};");
    let (one, all, make, rest) = (answer("one"), answer("all"), answer("make"), answer("rest"));
    let emu = Project::new(&[
        (
            "emu.toml",
            r#"
[functions.all]
source = "functions/all.js"
http = "GET /products"
[functions.one]
source = "functions/one.js"
http = ["GET /products/{id}"]
[functions.make]
source = "functions/make.js"
http = ["POST /products", "GET /products/new"]
[functions.rest]
source = "functions/rest.js"
http = "/files/*"
"#,
        ),
        ("functions/all.js", &all),
        ("functions/one.js", &one),
        ("functions/make.js", &make),
        ("functions/rest.js", &rest),
    ])
    .start();
    assert_eq!(emu.get("/products").text(), "all");
    assert_eq!(emu.get("/products/7").text(), "one");
    assert_eq!(
        emu.get("/products/new").text(),
        "make",
        "a literal wins over a parameter"
    );
    assert_eq!(emu.post("/products", &json!({})).text(), "make");
    assert_eq!(emu.get("/files/a/b/c").text(), "rest");

    let unknown = emu.get("/elsewhere");
    assert_eq!(unknown.status, 404);
    for route in ["/products/{id}", "/files/*", "POST /products"] {
        assert!(
            unknown.text().contains(route),
            "the answer lists the routes: {}",
            unknown.text()
        );
    }
}

#[test]
fn the_lambda_convention_gets_the_gateway_event() {
    let emu = Project::new(&[
        ("emu.toml", "[functions.item]\nsource = \"functions/item.mjs\"\nhttp = \"GET /items/{id}\"\n"),
        (
            "functions/item.mjs",
            "export const handler = async (event) => ({ statusCode: 203, headers: { 'x-route': event.routeKey }, \
             body: JSON.stringify([event.version, event.rawPath, event.pathParameters.id, event.queryStringParameters.q]) });",
        ),
    ])
    .start();
    let answer = emu.get("/items/42?q=tea");
    assert_eq!(answer.status, 203, "{}", answer.text());
    assert_eq!(answer.header("x-route"), "GET /items/{id}");
    assert_eq!(answer.json(), json!(["2.0", "/items/42", "42", "tea"]));
}

#[test]
fn a_failing_function_answers_502_with_its_error_and_place() {
    let emu = Project::new(&[("functions/echo.js", ECHO)]).start();
    let answer = emu.get("/echo/throw");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("TypeError: no such teapot"), "{}", answer.text());
    assert!(
        answer.text().contains("functions/echo.js:5:"),
        "the stack names file and line: {}",
        answer.text()
    );
    let event = emu.wait("invocation", |e| e["outcome"] == "failed");
    assert_eq!(event["status"], 502, "{event}");
}

#[test]
fn a_function_that_takes_too_long_answers_504() {
    let emu = echo("[functions.echo]\nsource = \"functions/echo.js\"\ntimeout = \"500ms\"\n").start();
    let answer = emu.get("/echo/sleep");
    assert_eq!(answer.status, 504, "{}", answer.text());
    let event = emu.wait("invocation", |e| e["outcome"] == "timed_out");
    assert!(
        event["duration_ms"]
            .as_f64()
            .is_some_and(|ms| (490.0..5_000.0).contains(&ms)),
        "{event}"
    );
}

#[test]
fn above_its_concurrency_a_function_answers_429() {
    let emu = echo("[functions.echo]\nsource = \"functions/echo.js\"\nmax_concurrency = 1\ntimeout = \"5s\"\n").start();
    thread::scope(|scope| {
        let first = scope.spawn(|| emu.get("/echo/sleep"));
        emu.wait("log", |e| e["text"] == "sleeping");
        let second = emu.get("/echo");
        assert_eq!(second.status, 429, "{}", second.text());
        assert!(
            second.header("retry-after").parse::<u32>().is_ok(),
            "{:?}",
            second.headers
        );
        emu.wait("throttle", |e| e["function"] == "echo");
        assert_eq!(first.join().expect("the first request").status, 504);
    });
}

#[test]
fn cors_answers_preflights_and_marks_responses() {
    let emu = echo(
        "[http]\ncors = { origins = [\"http://localhost:5173\"], methods = [\"GET\", \"PUT\"], headers = [\"x-test\"] }\n\
         [functions.echo]\nsource = \"functions/echo.js\"\n",
    )
    .start();
    let preflight = [
        ("origin", "http://localhost:5173"),
        ("access-control-request-method", "PUT"),
    ];
    let answer = emu.request(Method::OPTIONS, "/echo", &preflight, "");
    assert!(answer.status.is_success(), "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:5173");
    assert!(
        answer.header("access-control-allow-methods").contains("PUT"),
        "{:?}",
        answer.headers
    );
    assert!(
        emu.events("invocation", |_| true).is_empty(),
        "a preflight runs no function"
    );

    let answer = emu.request(Method::GET, "/echo", &[("origin", "http://localhost:5173")], "");
    assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:5173");
    let foreign = emu.request(Method::GET, "/echo", &[("origin", "http://elsewhere.example")], "");
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[test]
fn a_body_above_the_providers_limit_is_refused() {
    let emu = Project::new(&[("functions/echo.js", ECHO)]).start();
    // AWS Lambda takes 6 MB. A client that sends all of it first gets to see the answer.
    let answer = emu.request(Method::POST, "/echo", &[], &"x".repeat(7 << 20));
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(emu.get("/echo").status, 201);
}

#[test]
fn a_websocket_upgrade_is_refused_in_words() {
    let emu = Project::new(&[("functions/echo.js", ECHO)]).start();
    let address = Emu::address(&emu.functions_url());
    let answer = raw(
        &address,
        &format!(
            "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    );
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert!(answer.contains("WebSocket"), "{answer}");
}

#[test]
fn one_function_calls_another_through_a_binding() {
    let emu = Project::new(&[
        (
            "emu.toml",
            "[functions.front]\nsource = \"functions/front.js\"\nbind = { BACK = \"function:back\" }\n\
             [functions.back]\nsource = \"functions/back.js\"\n",
        ),
        (
            "functions/front.js",
            "export default { async fetch(r, env) { const a = await env.BACK.fetch('http://back/inner', { method: 'POST', body: 'tea' }); \
             return new Response(`${a.status} ${await a.text()}`); } };",
        ),
        (
            "functions/back.js",
            "export default { fetch: async (r) => new Response(`${r.method} ${new URL(r.url).pathname} ${await r.text()}`, { status: 202 }) };",
        ),
    ])
    .start();
    assert_eq!(emu.get("/front").text(), "202 POST /inner tea");
    let back = emu.wait("invocation", |e| e["function"] == "back");
    assert_eq!(
        (&back["outcome"], &back["status"]),
        (&json!("succeeded"), &json!(202)),
        "{back}"
    );
    let front = emu.wait("invocation", |e| e["function"] == "front");
    assert_eq!(back["cause"], front["id"], "{back}");
}
