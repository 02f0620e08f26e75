//! Queues and topics, from the outside and from inside a function.

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

/// Logs each message with its receive count; a body with `fail` is retried, one with `throw` fails its whole batch.
const WORKER: &str = r"
export default {
  queue(batch) {
    for (const message of batch.messages) {
      console.log(`${batch.queue} ${message.attempts} ${JSON.stringify(message.body)}`);
      if (message.body.throw) throw new Error('as asked');
      if (message.body.fail) message.retry(); else message.ack();
    }
  },
};
";

const QUEUES: &str = r#"
[functions.worker]
source = "functions/worker.js"
queue = { from = "jobs", batch_size = 10 }
timeout = "1s"

[queues.jobs]
visibility_timeout = "30s"
max_receives = 2
dead_letter = "jobs-dead"

[queues.jobs-dead]
"#;

fn worker() -> Emu {
    Project::new(&[("emu.toml", QUEUES), ("functions/worker.js", WORKER)]).start_with(&["--clock", "x300"])
}

fn send(emu: &Emu, queue: &str, body: &Value) -> String {
    let sent = emu.control_post(&format!("/_emu/queues/{queue}/messages"), &json!({"body": body}));
    assert!(sent.status.is_success(), "{}", sent.text());
    sent.json()["id"].as_str().expect("an id").to_owned()
}

fn changes(emu: &Emu, id: &str) -> Vec<String> {
    let of = emu.events("message", |e| e["id"] == id);
    of.iter()
        .map(|e| e["change"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_message_is_received_and_deleted() {
    let emu = worker();
    let id = send(&emu, "jobs", &json!({"n": 1}));
    emu.wait("message", |e| e["id"] == *id && e["change"] == "deleted");
    assert_eq!(
        changes(&emu, &id),
        ["sent", "received", "deleted"],
        "{}",
        emu.transcript()
    );
    emu.wait("log", |e| e["text"] == r#"jobs 1 {"n":1}"#);
}

#[test]
fn a_retried_message_comes_back_and_then_is_dead() {
    let emu = worker();
    let bad = send(&emu, "jobs", &json!({"fail": true}));
    emu.wait("message", |e| e["id"] == *bad && e["change"] == "dead_lettered");
    emu.wait("log", |e| e["text"] == r#"jobs 2 {"fail":true}"#);
    let queue = emu.control("/_emu/queues/jobs");
    assert_eq!(
        (&queue["visible"], &queue["in_flight"], &queue["dead"]),
        (&json!(0), &json!(0), &json!(1)),
        "{queue}"
    );
    assert_eq!(emu.control("/_emu/queues/jobs-dead")["visible"], 1);
}

#[test]
fn a_failed_batch_comes_back_after_the_visibility_timeout() {
    let emu = worker();
    let bad = send(&emu, "jobs", &json!({"throw": true}));
    let first = emu.wait("invocation", |e| e["trigger"] == "queue");
    assert_eq!(first["outcome"], "failed", "{first}");
    emu.wait("message", |e| e["id"] == *bad && e["change"] == "dead_lettered");
    let times: Vec<String> = emu
        .events("message", |e| e["id"] == *bad && e["change"] == "received")
        .iter()
        .map(|e| e["time"].as_str().unwrap_or_default().to_owned())
        .collect();
    let [first, second] = &times[..] else {
        panic!("{}", emu.transcript())
    };
    let parse = |time: &str| chrono::DateTime::parse_from_rfc3339(time).expect("a time");
    let apart = (parse(second) - parse(first)).num_milliseconds();
    assert!(
        apart >= 30_000,
        "the second receive came {apart} ms of the clock after the first"
    );
}

#[test]
fn a_delayed_message_waits() {
    let emu = worker();
    let sent = emu.control_post("/_emu/queues/jobs/messages", &json!({"body": {"n": 2}, "delay": "10m"}));
    assert!(sent.status.is_success(), "{}", sent.text());
    assert_eq!(emu.control("/_emu/queues/jobs")["delayed"], 1);
    let id = sent.json()["id"].clone();
    emu.wait("message", |e| e["id"] == id && e["change"] == "deleted");
}

#[test]
fn the_command_line_sends() {
    let emu = worker();
    let sent = emu.command(["send", "jobs", r#"{"from": "shell"}"#]);
    assert!(sent.status.success(), "{sent:?}");
    emu.wait("log", |e| e["text"] == r#"jobs 1 {"from":"shell"}"#);

    let wrong = emu.command(["send", "job", "{}"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("jobs"),
        "names the nearest queue: {wrong:?}"
    );
}

#[test]
fn the_lambda_convention_reports_partial_failures() {
    let emu = Project::new(&[
        ("emu.toml", &QUEUES.replace("worker.js", "worker.mjs")),
        (
            "functions/worker.mjs",
            "export const handler = async (event) => ({ batchItemFailures: event.Records.filter((r) => JSON.parse(r.body).fail)\
             .map((r) => ({ itemIdentifier: r.messageId })) });",
        ),
    ])
    .start_with(&["--clock", "x300"]);
    let (good, bad) = (
        send(&emu, "jobs", &json!({})),
        send(&emu, "jobs", &json!({"fail": true})),
    );
    emu.wait("message", |e| e["id"] == *good && e["change"] == "deleted");
    emu.wait("message", |e| e["id"] == *bad && e["change"] == "dead_lettered");
}

const ENVELOPES: &str = r#"
[topics.news]
queues = [
    "plain",
    { to = "wrapped", delivery = "wrapped" },
    { to = "by-attribute", filter = { plan = ["pro"] }, filter_scope = "attributes" },
    { to = "by-body", filter = { plan = ["pro"] }, filter_scope = "body" },
]
[queues.plain]
[queues.wrapped]
dead_letter = "dead"
max_receives = 1
visibility_timeout = "1s"
[queues.by-attribute]
[queues.by-body]
[queues.dead]
"#;

fn take(emu: &Emu, queue: &str) -> Value {
    let got = emu.control_post(&format!("/_emu/queues/{queue}/receive"), &json!({}));
    got.json()[0].clone()
}

#[test]
fn a_topic_delivers_raw_and_wrapped_also_after_a_restart() {
    let emu = Project::new(&[("emu.toml", ENVELOPES)]).start();
    let sent = emu.control_post(
        "/_emu/topics/news/messages",
        &json!({"body": {"n": 1}, "attributes": {"plan": "pro", "seats": 3}}),
    );
    let id = sent.json()["id"].clone();
    let emu = emu.kill().start_with(&["--clock", "x60"]);
    let plain = take(&emu, "plain");
    assert_eq!(plain["body"], json!({"n": 1}));
    assert_eq!(plain["attributes"], json!({"plan": "pro", "seats": 3}));
    let wrapped = take(&emu, "wrapped");
    let envelope = &wrapped["body"];
    assert_eq!(
        (&envelope["Type"], &envelope["MessageId"], &envelope["Message"]),
        (&json!("Notification"), &id, &json!(r#"{"n":1}"#)),
        "{wrapped}"
    );
    assert_eq!(envelope["TopicArn"], "arn:aws:sns:local:000000000000:news");
    assert_eq!(
        envelope["MessageAttributes"],
        json!({"plan": {"Type": "String", "Value": "pro"}, "seats": {"Type": "Number", "Value": "3"}})
    );
    assert_eq!(wrapped["attributes"], json!({}), "they are in the envelope");
    emu.wait("message", |e| e["change"] == "dead_lettered");
    assert_eq!(take(&emu, "dead")["body"], *envelope);
}

#[test]
fn filters_look_where_their_scope_says() {
    let emu = Project::new(&[("emu.toml", ENVELOPES)]).start();
    for (message, attribute, body) in [
        (json!({"body": {"plan": "pro"}}), 0, 1),
        (json!({"body": {"plan": "free"}, "attributes": {"plan": "pro"}}), 1, 1),
        (json!({"body": "text", "attributes": {"plan": "pro"}}), 2, 1),
    ] {
        let sent = emu.control_post("/_emu/topics/news/messages", &message);
        assert!(sent.status.is_success(), "{}", sent.text());
        let visible = |queue: &str| emu.control(&format!("/_emu/queues/{queue}"))["visible"].clone();
        assert_eq!(
            (visible("by-attribute"), visible("by-body")),
            (json!(attribute), json!(body)),
            "{message}"
        );
    }
}

#[test]
fn a_topic_fans_out_to_those_whose_filter_fits() {
    let emu = Project::new(&[
        (
            "emu.toml",
            r#"
[functions.signup]
source = "functions/signup.js"
bind = { NEWS = "topic:signup" }
[functions.all]
source = "functions/log.js"
topic = { from = "signup" }
[functions.pro]
source = "functions/log.js"
topic = { from = "signup", filter = { plan = ["pro"] } }
[topics.signup]
"#,
        ),
        (
            "functions/signup.js",
            "export default { async fetch(r, env) { const plan = new URL(r.url).searchParams.get('plan'); \
             await env.NEWS.send({ plan }); return new Response('sent', { status: 202 }); } };",
        ),
        (
            "functions/log.js",
            "export default { queue(b) { for (const m of b.messages) console.log('got ' + m.body.plan); } };",
        ),
    ])
    .start();
    assert_eq!(emu.get("/signup?plan=free").status, 202);
    emu.wait("log", |e| e["function"] == "all" && e["text"] == "got free");
    assert_eq!(emu.get("/signup?plan=pro").status, 202);
    emu.wait("log", |e| e["function"] == "all" && e["text"] == "got pro");
    emu.wait("log", |e| e["function"] == "pro");
    assert_eq!(
        emu.events("log", |e| e["function"] == "pro" && e["text"] == "got free")
            .len(),
        0
    );

    let published = emu.command(["publish", "signup", r#"{"plan": "team"}"#]);
    assert!(published.status.success(), "{published:?}");
    emu.wait("log", |e| e["function"] == "all" && e["text"] == "got team");
}
