//! Requests and answers that the history keeps: all kinds, within bounds, without secrets, after a restart.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.js"
http = "/*"

[functions.worker]
source = "functions/worker.js"
queue = "jobs"

[functions.nightly]
source = "functions/nightly.js"
cron = "0 0 1 1 *"

[queues.jobs]
"#;

const API: &str = "export default { async fetch(request) {
    const body = await request.arrayBuffer();
    if (new URL(request.url).pathname === '/bytes') return new Response(new Uint8Array([255, 0, 1]));
    if (new URL(request.url).pathname === '/stream') {
        const encoder = new TextEncoder();
        return new Response(new ReadableStream({ async start(to) {
            for (const part of ['one ', 'two ', 'three']) {
                to.enqueue(encoder.encode(part));
                await new Promise((done) => setTimeout(done, 5));
            }
            to.close();
        } }));
    }
    if (new URL(request.url).pathname === '/long') return new Response('x'.repeat(100000));
    if (new URL(request.url).pathname === '/key-and-bytes') {
        return new Response(new Uint8Array([255, ...new TextEncoder().encode('the key is sk-1234567890')]));
    }
    if (new URL(request.url).pathname === '/key') return new Response('the key is sk-1234567890');
    return Response.json({ got: body.byteLength }, { status: 201, headers: { 'x-own': 'yes' } });
} };";

fn shop(manifest: &str) -> Project {
    Project::new(&[
        ("emu.toml", manifest),
        ("functions/api.js", API),
        (
            "functions/worker.js",
            "export default { queue(batch) { batch.messages[0].retry({ delaySeconds: 60 }); } };",
        ),
        ("functions/nightly.js", "export default { scheduled() {} };"),
        (".env", "API_KEY=sk-1234567890\n"),
    ])
}

fn detail(emu: &Emu, id: &str) -> Value {
    emu.control(&format!("/_emu/invocations/{id}"))
}

fn asked(emu: &Emu, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let answer = emu.request(method, path, headers, body);
    detail(emu, answer.header("x-emu-invocation"))
}

#[test]
fn requests_and_answers_are_kept_and_outlive_a_restart() {
    let emu = shop(MANIFEST).start();
    let kept = asked(&emu, Method::POST, "/orders?a=1", &[("x-mine", "1")], "{\"n\": 1}");
    assert_eq!(kept["request"]["kind"], "http");
    assert_eq!(kept["request"]["method"], "POST");
    assert_eq!(kept["request"]["target"], "/orders?a=1");
    assert_eq!(kept["request"]["body"], "{\"n\": 1}");
    assert_eq!(
        (&kept["request"]["bytes"], &kept["request"]["truncated"]),
        (&json!(8), &json!(false))
    );
    let headers = kept["request"]["headers"].as_array().expect("a list");
    assert!(headers.contains(&json!(["x-mine", "1"])), "{headers:?}");
    assert_eq!(kept["response"]["status"], 201);
    assert_eq!(kept["response"]["body"], "{\"got\":8}");
    let headers = kept["response"]["headers"].as_array().expect("a list");
    assert!(headers.contains(&json!(["x-own", "yes"])), "{headers:?}");

    let binary = asked(&emu, Method::GET, "/bytes", &[], "");
    assert_eq!(
        (&binary["response"]["base64"], &binary["response"]["body"]),
        (&json!("/wAB"), &Value::Null)
    );
    let answer = emu.get("/stream");
    // The function may go on after the end of its answer.
    let ended = emu.wait("invocation", |e| e["id"] == answer.header("x-emu-invocation"));
    let streamed = detail(&emu, ended["id"].as_str().expect("an id"));
    assert_eq!(
        (&streamed["response"]["body"], &streamed["response"]["truncated"]),
        (&json!("one two three"), &json!(false))
    );
    let long = asked(&emu, Method::PUT, "/long", &[], &"y".repeat(70_000));
    for (side, bytes) in [("request", 70_000), ("response", 100_000)] {
        assert_eq!(
            (&long[side]["bytes"], &long[side]["truncated"]),
            (&json!(bytes), &json!(true)),
            "{side}"
        );
        assert_eq!(long[side]["body"].as_str().map(str::len), Some(64 << 10), "{side}");
    }

    let id = kept["id"].as_str().expect("an id").to_owned();
    // Whoever asks the database is answered after all that was before.
    emu.control("/_emu/history?limit=1");
    let emu = emu.kill().start();
    let again = detail(&emu, &id);
    assert_eq!(
        (&again["request"], &again["response"]),
        (&kept["request"], &kept["response"])
    );
}

#[test]
fn events_of_all_kinds_are_kept() {
    let emu = shop(MANIFEST).start();
    emu.control_post(
        "/_emu/queues/jobs/messages",
        &json!({"body": {"n": 7}, "attributes": {"a": "b"}}),
    );
    let ran = emu.wait("invocation", |e| e["function"] == "worker");
    let kept = detail(&emu, ran["id"].as_str().expect("an id"));
    assert_eq!(
        (&kept["request"]["kind"], &kept["request"]["name"]),
        (&json!("queue"), &json!("jobs"))
    );
    let message = &kept["request"]["messages"][0];
    assert_eq!(
        (&message["body"], &message["attributes"]["a"]),
        (&json!("{\"n\":7}"), &json!("b"))
    );
    let result: Value = serde_json::from_str(kept["response"]["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(result["batchItemFailures"][0]["itemIdentifier"], message["id"]);

    let fired = emu.control_post("/_emu/crons/nightly/fire", &json!({})).json();
    emu.wait("invocation", |e| e["id"] == fired["invocation"]);
    let kept = detail(&emu, fired["invocation"].as_str().expect("an id"));
    assert_eq!(
        (&kept["request"]["kind"], &kept["request"]["name"]),
        (&json!("cron"), &json!("nightly"))
    );

    let invoked = emu
        .control_post("/_emu/functions/api/invoke", &json!({"any": 1}))
        .json();
    let kept = detail(&emu, invoked["invocation"]["id"].as_str().expect("an id"));
    assert_eq!(
        (&kept["request"]["kind"], &kept["request"]["body"]),
        (&json!("event"), &json!("{\"any\":1}"))
    );
}

#[test]
fn secrets_are_taken_out_of_what_is_kept() {
    let emu = shop(MANIFEST).start();
    let answer = emu.request(
        Method::POST,
        "/key?k=sk-1234567890",
        &[("x-key", "sk-1234567890")],
        "it is sk-1234567890",
    );
    assert_eq!(answer.text(), "the key is sk-1234567890", "the client gets it as it is");
    let kept = detail(&emu, answer.header("x-emu-invocation"));
    assert!(!kept.to_string().contains("sk-1234567890"), "{kept}");
    assert_eq!(kept["request"]["body"], "it is [redacted]");
    assert_eq!(
        (&kept["request"]["redacted"], &kept["response"]["redacted"]),
        (&json!(true), &json!(true))
    );

    // A secret in what is no text is as secret; what is without stays as it is.
    let kept = asked(&emu, Method::GET, "/key-and-bytes", &[], "");
    assert_eq!(kept["response"]["body"], "\u{fffd}the key is [redacted]");
    assert_eq!(
        (&kept["response"]["redacted"], &kept["response"]["base64"]),
        (&json!(true), &Value::Null)
    );
    let kept = asked(&emu, Method::GET, "/bytes", &[], "");
    assert_eq!(
        (&kept["response"]["redacted"], &kept["response"]["base64"]),
        (&json!(false), &json!("/wAB"))
    );
}

#[test]
fn keeping_them_can_be_turned_off() {
    let emu = shop(&format!("{MANIFEST}\n[history]\nmax_bodies = \"0MB\"\n")).start();
    let kept = asked(&emu, Method::POST, "/", &[], "x");
    assert_eq!((&kept["request"], &kept["response"]), (&Value::Null, &Value::Null));
    let why = kept["not_kept"].as_str().expect("a reason");
    assert!(why.contains("max_bodies"), "{why}");
}
