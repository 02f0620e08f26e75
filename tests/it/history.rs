//! The past: after a kill, without an emulator, and why something happened.

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const MANIFEST: &str = r#"
[functions.api]
source = "functions/api.js"
bind = { ORDERS = "queue:orders", JOB = "function:job" }

[functions.billing]
source = "functions/billing.js"
queue = "orders"

[functions.job]
source = "functions/job.js"

[queues.orders]
visibility_timeout = "1s"
max_receives = 2
dead_letter = "orders-dead"

[queues.orders-dead]
"#;

fn shop() -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        (
            "functions/api.js",
            "export default { async fetch(request, env) {
                console.log('order');
                if (new URL(request.url).pathname.endsWith('/later')) {
                    const answer = await env.JOB.fetch('http://job/', {
                        method: 'POST', headers: { 'x-emu-invocation-type': 'event' }, body: JSON.stringify({ n: 1 }),
                    });
                    return Response.json({ status: answer.status, ...(await answer.json()) });
                }
                return Response.json({ id: await env.ORDERS.send({ n: 1 }) });
            } };",
        ),
        (
            "functions/billing.js",
            "export const handler = async () => { throw new Error('card declined'); };",
        ),
        ("functions/job.js", "export const handler = async (event) => event.n;"),
    ])
}

fn stdout<const N: usize>(project: &Project, args: [&str; N]) -> String {
    let output = project.emu(args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn why(emu: &Emu, id: &str) -> Value {
    emu.control(&format!("/_emu/why/{id}"))["root"].clone()
}

/// The hops below one, without the steps.
fn hops(hop: &Value) -> Vec<&Value> {
    let then = hop["then"].as_array().expect("a list");
    then.iter().filter_map(|then| then.get("hop")).collect()
}

#[test]
fn a_message_is_explained_from_its_request_to_its_dead_letter() {
    let emu = shop().start_with(&["--clock", "x60"]);
    let answer = emu.post("/api", &json!({}));
    let request = answer.header("x-emu-invocation").to_owned();
    emu.wait("message", |e| e["change"] == "dead_lettered");
    let root = why(&emu, &request);
    assert_eq!(
        (&root["id"], &root["asked"], &root["status"]),
        (&json!(request), &json!(true), &json!(200))
    );
    let message = hops(&root)[0];
    assert_eq!(message["how"], "sent to queue orders");
    let attempts = hops(message);
    assert_eq!(attempts.len(), 2, "{root:#}");
    assert_eq!(
        (&attempts[1]["how"], &attempts[1]["outcome"]),
        (&json!("receive 2"), &json!("failed"))
    );
    assert_eq!(attempts[1]["error"], "Error: card declined");
    let last = message["then"].as_array().and_then(|then| then.last()).expect("a step");
    assert_eq!(last["step"]["what"], "moved to queue orders-dead");
    assert!(
        last["step"]["rule"]
            .as_str()
            .is_some_and(|rule| rule.contains("max_receives")),
        "{last}"
    );

    // The same from the other end, as people see it, also when emu has gone: of a batch upward.
    let batch = attempts[1]["id"].as_str().expect("an id").to_owned();
    let project = emu.kill();
    let text = stdout(&project, ["why", &batch]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("api POST /api 200"), "{text}");
    assert!(
        lines[1].contains("└─") && lines[1].contains("sent to queue orders"),
        "{text}"
    );
    assert!(
        text.contains("receive 2: billing orders (1 message) failed: Error: card declined"),
        "{text}"
    );
    assert!(text.contains("<- asked for"), "{text}");
}

#[test]
fn an_asynchronous_call_from_code_is_a_chain_of_its_own() {
    let emu = shop().start();
    let answer = emu.post("/api/later", &json!({}));
    assert_eq!(answer.json()["status"], 202, "{}", answer.text());
    let event = answer.json()["invocation"].as_str().expect("an id").to_owned();
    emu.wait("invocation", |e| e["id"] == event.as_str());
    let root = why(&emu, &event);
    assert_eq!(root["id"], answer.header("x-emu-invocation"));
    let job = hops(&root)[0];
    assert_eq!(
        (&job["how"], &job["what"]),
        (&json!("invoked asynchronously"), &json!("job event"))
    );
    let tail = &event[event.len() - 8..];
    assert_eq!(why(&emu, tail)["id"], root["id"], "the end of an id is enough");
    let unknown = emu.command(["why", "ffffffff"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("knows no invocation or message ffffffff"));
}

#[test]
fn logs_of_before_a_restart_are_there_with_an_emulator_and_without() {
    let emu = shop().start();
    let first = emu.post("/api", &json!({}));
    let id = first.header("x-emu-invocation").to_owned();
    emu.wait("invocation", |e| e["id"] == id.as_str());
    // Its rows have been written when the history answers.
    assert!(
        !emu.control("/_emu/history?kind=invocation")
            .as_array()
            .expect("events")
            .is_empty()
    );
    let project = emu.kill();
    let text = stdout(&project, ["logs", "api", "--since", "1h"]);
    let none = project.emu(["logs", "nobody"]);
    assert!(
        String::from_utf8_lossy(&none.stderr).contains("no invocations of nobody"),
        "{none:?}"
    );
    assert!(text.contains("order") && text.contains("POST /api 200"), "{text}");

    let emu = project.start();
    let listed = emu.control("/_emu/invocations?function=api");
    assert_eq!(listed[0]["id"], id.as_str(), "{listed}");
    let detail = emu.control(&format!("/_emu/invocations/{id}"));
    assert_eq!(detail["log"][0]["text"], "order", "{detail}");
    let text = String::from_utf8_lossy(&emu.command(["logs", "api"]).stdout).into_owned();
    assert!(text.contains("POST /api 200"), "{text}");
    let future = emu.control("/_emu/logs?since=2100-01-01T00:00:00Z");
    assert_eq!(future, json!([]));
    let bad = emu.command(["logs", "--since", "yesterday"]);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("15m"), "{bad:?}");
}

#[test]
fn an_ephemeral_emulator_keeps_its_history_in_memory() {
    let emu = shop().start_with(&["--ephemeral"]);
    let answer = emu.post("/api", &json!({}));
    let id = answer.header("x-emu-invocation").to_owned();
    emu.wait("message", |e| e["change"] == "sent");
    assert_eq!(hops(&why(&emu, &id)).len(), 1);
    let project = emu.kill();
    assert!(!project.path().join(".emu/history.db").exists());
}
