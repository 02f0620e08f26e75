//! `emu replay`: the same again on today's code.

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

[queues.jobs]
"#;

const API: &str = "export default { async fetch(request, env) {
    const text = await request.text();
    console.log('asked');
    return Response.json({ got: text, mine: request.headers.get('x-mine'), total: 7 });
} };";

fn shop() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", API),
        (
            "functions/worker.js",
            "export default { queue(batch) { console.log(batch.messages[0].body.n, batch.messages[0].id); } };",
        ),
        (".env", "API_KEY=sk-1234567890\n"),
    ])
}

fn asked(emu: &Emu, body: &str) -> String {
    let answer = emu.request(Method::POST, "/orders", &[("x-mine", "sk-1234567890")], body);
    assert_eq!(answer.status, 200);
    answer.header("x-emu-invocation").to_owned()
}

/// Exit code, stdout and stderr.
fn replay(output: &std::process::Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_request_is_the_same_until_the_code_changes() {
    let emu = shop().start();
    let id = asked(&emu, "hello");
    let (code, out, err) = replay(&emu.command(["replay", &id[24..]]));
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("\nsame  "), "{out}");

    emu.project.edit("functions/api.js", "total: 7", "total: 8");
    emu.wait("reload", |e| e["function"] == "api" && e["outcome"] == "changed");
    let (code, out, err) = replay(&emu.command(["replay", &id]));
    assert_eq!(code, Some(1), "{out}{err}");
    for part in [
        "body differs",
        "-   \"total\": 7",
        "+   \"total\": 8",
        "v1 200",
        "-> v2 200",
        "different: body",
    ] {
        assert!(out.contains(part), "{part:?} in {out}");
    }
    let (code, out, _) = replay(&emu.command(["replay", &id, "--json"]));
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (code, &value["same"], &value["differs"]),
        (Some(1), &json!(false), &json!(["body"]))
    );
    let body: Value = serde_json::from_str(value["after"]["response"]["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&body["got"], &body["mine"]),
        (&json!("hello"), &json!("[redacted]")),
        "headers and body go again"
    );
}

#[test]
fn a_message_goes_to_its_function_again_and_the_queue_hears_nothing_of_it() {
    let emu = shop().start();
    // The message's id ends as the invocation's does, and is not meant.
    emu.control_post("/_emu/queues/jobs/messages", &json!({"body": {"n": 7}}));
    let first = emu.wait("invocation", |e| e["function"] == "worker");
    let id = first["id"].as_str().expect("an id");
    let mark = emu.mark();
    let (code, out, err) = replay(&emu.command(["replay", &id[24..]]));
    assert_eq!(code, Some(0), "{out}{err}");
    let log = emu.wait_from(mark, "log", |e| e["function"] == "worker");
    let message = &emu.control(&format!("/_emu/invocations/{id}"))["request"]["messages"][0]["id"];
    assert_eq!(
        log["text"],
        format!("7 {}", message.as_str().expect("an id")),
        "the same message"
    );
    assert!(
        emu.events("message", |e| e["change"] == "received").len() == 1,
        "{}",
        emu.transcript()
    );
}

#[test]
fn what_is_not_kept_is_told_with_what_to_do() {
    let emu = shop().start();
    let long = asked(&emu, &"x".repeat(70_000));
    let (code, _, err) = replay(&emu.command(["replay", &long]));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("only a part of the request is kept: it had 70000 bytes"),
        "{err}"
    );
    assert!(err.contains("help: emu keeps the first 64 KiB"), "{err}");
    let (code, _, err) = replay(&emu.command(["replay", "ffffff"]));
    assert!(code == Some(1) && err.contains("knows no invocation"), "{err}");
}

#[test]
fn without_an_emulator_the_history_has_it_but_for_secrets() {
    let emu = shop().start();
    let plain = emu.request(Method::POST, "/plain?a=1", &[], "hello");
    let plain = plain.header("x-emu-invocation").to_owned();
    let secret = asked(&emu, "hello");
    emu.control("/_emu/history?limit=1");
    let project = emu.kill();
    project.edit("functions/api.js", "total: 7", "total: 9");
    let (code, out, err) = replay(&project.emu(["replay", &plain]));
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("+   \"total\": 9"), "{out}");
    let (code, _, err) = replay(&project.emu(["replay", &secret]));
    assert_eq!(code, Some(1));
    assert!(err.contains("the request held values of secrets"), "{err}");
}
