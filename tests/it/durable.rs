//! What is acknowledged survives whatever happens to the process.

use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const PULL: &str = r#"
[queues.jobs]
visibility_timeout = "5m"
max_receives = 3
dead_letter = "jobs-dead"

[queues.jobs-dead]

[queues.ordered]
fifo = true
"#;

fn pull() -> Project {
    Project::new(&[
        ("emu.toml", PULL),
        (
            "functions/idle.js",
            "export default { fetch() { return new Response('ok'); } };",
        ),
    ])
}

fn send(emu: &Emu, queue: &str, message: &Value) -> String {
    let sent = emu.control_post(&format!("/_emu/queues/{queue}/messages"), message);
    assert!(sent.status.is_success(), "{}", sent.text());
    sent.json()["id"].as_str().expect("an id").to_owned()
}

fn receive(emu: &Emu, queue: &str, asked: &Value) -> Vec<Value> {
    let got = emu.control_post(&format!("/_emu/queues/{queue}/receive"), asked);
    assert!(got.status.is_success(), "{}", got.text());
    got.json().as_array().expect("messages").clone()
}

#[test]
fn messages_and_what_happened_to_them_survive_a_kill() {
    let emu = pull().start();
    let plain = send(&emu, "jobs", &json!({"body": {"n": 1}, "attributes": {"kind": "a"}}));
    let taken = send(&emu, "jobs", &json!({"body": "text"}));
    let gone = send(&emu, "jobs", &json!({"body": 3}));
    let late = send(&emu, "jobs", &json!({"body": 4, "delay": "10m"}));
    let all = receive(&emu, "jobs", &json!({"max": 10}));
    let receipt = |id: &str| {
        let of = all.iter().find(|message| message["id"] == id).expect("received");
        of["receipt"].clone()
    };
    let shown = emu.control_post(
        "/_emu/queues/jobs/visibility",
        &json!({"receipt": receipt(&plain), "visibility": "0s"}),
    );
    assert!(shown.status.is_success(), "{}", shown.text());
    let deleted = emu.control_post("/_emu/queues/jobs/delete", &json!({"receipt": receipt(&gone)}));
    assert!(deleted.status.is_success(), "{}", deleted.text());

    let emu = emu.kill().start();
    let queue = emu.control("/_emu/queues/jobs");
    let counts = [&queue["visible"], &queue["in_flight"], &queue["delayed"]];
    assert_eq!(counts, [1, 1, 1], "{queue}");
    let peeked = emu.control("/_emu/queues/jobs/messages");
    let states: Vec<(&str, &str)> = peeked
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| {
            let text = |key: &str| message[key].as_str().unwrap_or_default();
            (text("id"), text("state"))
        })
        .collect();
    assert_eq!(
        states,
        [
            (plain.as_str(), "visible"),
            (taken.as_str(), "in flight"),
            (late.as_str(), "delayed")
        ]
    );
    let again = receive(&emu, "jobs", &json!({"max": 10}));
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0]["receive_count"], 2);
    assert_eq!(again[0]["body"], json!({"n": 1}));
    assert_eq!(again[0]["attributes"], json!({"kind": "a"}));
    // A receipt from before still speaks for its message, and only once.
    let old = json!({"receipt": receipt(&taken)});
    assert!(emu.control_post("/_emu/queues/jobs/delete", &old).status.is_success());
    let stale = emu.control_post("/_emu/queues/jobs/delete", &old);
    assert_eq!(stale.json()["error"]["code"], "stale-receipt");
}

#[test]
fn what_waited_for_a_function_is_handled_after_a_restart() {
    let consumer = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = \"jobs\"\n";
    let emu = pull().start();
    for n in 0..25 {
        send(&emu, "jobs", &json!({"body": n}));
    }
    let project = emu.kill();
    let worker = "export default { queue(batch) { for (const m of batch.messages) console.log('did ' + m.body); } };";
    project.write("functions/worker.js", worker);
    project.write("emu.toml", &format!("{PULL}{consumer}"));
    let emu = project.start();
    for n in 0..25 {
        emu.wait("log", |e| e["text"] == format!("did {n}"));
    }
}

#[cfg(unix)]
#[test]
fn a_stop_takes_nothing_from_a_queue_that_it_does_not_run() {
    let project = Project::new(&[
        (
            "emu.toml",
            "[functions.worker]\nsource = \"functions/worker.js\"\ntimeout = \"2s\"\n\
             queue = { from = \"jobs\", batch_size = 1, max_concurrency = 1 }\n\
             [queues.jobs]\nvisibility_timeout = \"2s\"\nmax_receives = 1\ndead_letter = \"dead\"\n[queues.dead]\n",
        ),
        (
            "functions/worker.js",
            "export default { async queue(batch) {
                console.log('did ' + batch.messages[0].body);
                await new Promise((done) => setTimeout(done, 500));
            } };",
        ),
    ]);
    let emu = project.start();
    for n in 0..4 {
        send(&emu, "jobs", &json!({"body": n}));
    }
    emu.wait("log", |e| e["text"] == "did 0");
    let emu = emu.stop().start();
    for n in 1..4 {
        emu.wait("log", |e| e["text"] == format!("did {n}"));
    }
    assert_eq!(
        emu.events("log", |e| e["text"] == "did 0").len(),
        0,
        "{}",
        emu.transcript()
    );
    assert_eq!(emu.control("/_emu/queues/dead")["visible"], 0);
}

#[test]
fn what_is_sent_while_its_queue_comes_and_goes_is_there_once() {
    let emu = Project::new(&[("emu.toml", "[queues.jobs]\n")]).start();
    let (over, last_sent) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut sent, mut got) = std::thread::scope(|scope| {
        let (emu, over, last_sent) = (&emu, &over, &last_sent);
        let path = |what: &str| format!("/_emu/queues/jobs/{what}");
        let sender = scope.spawn(move || {
            let mut sent = Vec::new();
            while !over.load(Ordering::Acquire) {
                let answer = emu.control_post(&path("messages"), &json!({"body": 1}));
                sent.extend(answer.json()["id"].as_str().map(str::to_owned));
            }
            last_sent.store(true, Ordering::Release);
            sent
        });
        let receiver = scope.spawn(move || {
            let mut got = Vec::new();
            loop {
                let last = last_sent.load(Ordering::Acquire);
                let answer = emu.control_post(&path("receive"), &json!({"max": 10, "visibility": "1h"}));
                let messages = answer.json().as_array().cloned().unwrap_or_default();
                if last && messages.is_empty() {
                    return got;
                }
                got.extend(messages.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)));
            }
        });
        for _ in 0..4 {
            for (manifest, name) in [("[queues.other]\n", "other"), ("[queues.jobs]\n", "jobs")] {
                let mark = emu.mark();
                emu.project.write("emu.toml", manifest);
                emu.wait_from(mark, "notice", |e| e.to_string().contains("the project changed"));
                assert_eq!(emu.control("/_emu/queues")[0]["name"], name);
            }
        }
        over.store(true, Ordering::Release);
        (sender.join().expect("sent"), receiver.join().expect("received"))
    });
    sent.sort_unstable();
    got.sort_unstable();
    assert!(!sent.is_empty());
    assert_eq!(got, sent);
}

#[test]
fn a_function_that_is_mended_takes_what_has_waited() {
    let emu = Project::new(&[
        (
            "emu.toml",
            "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = \"jobs\"\n[queues.jobs]\n",
        ),
        ("functions/worker.js", "export default {"),
    ])
    .start();
    send(&emu, "jobs", &json!({"body": 1}));
    emu.project.write(
        "functions/worker.js",
        "export default { queue() { console.log('mended'); } };",
    );
    emu.wait("log", |e| e["text"] == "mended");
}

#[test]
fn order_and_deduplication_survive_a_kill() {
    let emu = pull().start();
    let one = |n: u32| json!({"body": n, "group": "g", "deduplication": n.to_string()});
    let first = send(&emu, "ordered", &one(1));
    send(&emu, "ordered", &one(2));
    let emu = emu.kill().start();
    assert_eq!(send(&emu, "ordered", &one(1)), first, "the key is remembered");
    send(&emu, "ordered", &one(3));
    let got = receive(&emu, "ordered", &json!({"max": 10}));
    let bodies: Vec<&Value> = got.iter().map(|message| &message["body"]).collect();
    assert_eq!(bodies, [1, 2, 3]);
    assert!(
        receive(&emu, "ordered", &json!({})).is_empty(),
        "its group is in flight"
    );
}

#[test]
fn a_batch_is_taken_as_a_whole_or_not_at_all() {
    let emu = pull().start();
    let sent = emu.control_post(
        "/_emu/queues/jobs/messages",
        &json!([{"body": 1}, {"body": 2}, {"body": 3}]),
    );
    assert_eq!(sent.json()["ids"].as_array().map(Vec::len), Some(3), "{}", sent.text());
    let long = "x".repeat(2 << 20);
    let refused = emu.control_post("/_emu/queues/jobs/messages", &json!([{"body": 4}, {"body": long}]));
    assert_eq!(refused.json()["error"]["code"], "message-too-large");
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 3);
}

#[test]
fn an_asynchronous_invocation_goes_on_after_a_kill() {
    let project = Project::new(&[
        (
            "emu.toml",
            "[functions.job]\nsource = \"functions/job.js\"\non_failure = \"dead\"\n[queues.dead]\n",
        ),
        (
            "functions/job.js",
            "export const handler = async (event) => { console.log('try ' + event.n); throw new Error('no'); };",
        ),
    ]);
    let emu = project.start();
    let accepted = emu.request(
        Method::POST,
        "/job",
        &[("x-emu-invocation-type", "event"), ("content-type", "application/json")],
        r#"{"n": 7}"#,
    );
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    emu.wait("log", |e| e["text"] == "try 7");
    emu.wait("retry", |e| e["attempt"] == 2 && e["attempts_max"] == 3);
    // The waits between attempts are minutes: at this speed they pass after the restart.
    let emu = emu.kill().start_with(&["--clock", "x600"]);
    emu.wait("retry", |e| e["attempt"] == 3 && e["attempts_max"] == 3);
    emu.wait("message", |e| e["queue"] == "dead" && e["change"] == "sent");
    let dead = receive(&emu, "dead", &json!({}));
    assert_eq!(dead[0]["body"]["requestPayload"], json!({"n": 7}), "{dead:?}");
    assert_eq!(dead[0]["body"]["requestContext"]["approximateInvokeCount"], 3);
}

#[test]
fn a_queue_that_leaves_the_manifest_keeps_its_messages() {
    let emu = pull().start();
    let id = send(&emu, "jobs-dead", &json!({"body": "kept"}));
    let mark = emu.mark();
    emu.project.write("emu.toml", "[queues.ordered]\nfifo = true\n");
    emu.wait_from(mark, "notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("emu.toml"))
    });
    let mark = emu.mark();
    emu.project.write("emu.toml", PULL);
    emu.wait_from(mark, "notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("emu.toml"))
    });
    let emu = emu.kill().start();
    let got = receive(&emu, "jobs-dead", &json!({}));
    assert_eq!(got[0]["id"], json!(id));
}

#[test]
fn one_emulator_holds_the_state_and_another_says_who() {
    let project = pull();
    let folder = project.path().to_owned();
    let emu = project.start();
    send(&emu, "jobs", &json!({"body": 1}));
    let run = |args: &[&str]| crate::harness::emu(&folder).args(args).output().expect("run emu");
    let second = run(&["dev", "--port", "0", "--control-port", "0"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another emulator (process ") && said.contains("--ephemeral"),
        "{said}"
    );
    // Commands still find the first.
    assert!(emu.command(["queue", "show", "jobs"]).status.success());
    // One in memory stands beside it, and its end leaves the first to be found.
    let exec = run(&["exec", "--", "true"]);
    assert!(exec.status.success(), "{exec:?}");
    assert!(emu.command(["queue", "show", "jobs"]).status.success());
}

#[test]
fn ephemeral_state_is_gone_with_the_process() {
    let emu = pull().start_with(&["--ephemeral"]);
    send(&emu, "jobs", &json!({"body": 1}));
    let project = emu.kill();
    assert!(!project.path().join(".emu/state.db").exists());
    let emu = project.start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 0);
}

#[test]
fn reset_forgets_everything() {
    let emu = pull().start();
    send(&emu, "jobs", &json!({"body": 1}));
    assert!(emu.command(["reset"]).status.success());
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 0);
    send(&emu, "jobs", &json!({"body": 2}));
    let project = emu.kill();
    assert!(project.emu(["reset"]).status.success());
    let emu = project.start();
    assert_eq!(emu.control("/_emu/queues/jobs")["visible"], 0);
}

#[test]
fn the_command_line_takes_messages() {
    let emu = pull().start();
    send(&emu, "jobs", &json!({"body": {"id": 7}}));
    let peeked = emu.command(["queue", "peek", "jobs"]);
    let text = String::from_utf8_lossy(&peeked.stdout).into_owned();
    assert!(text.contains(r#"{"id":7}"#) && text.contains("visible"), "{text}");
    let taken = emu.command(["queue", "receive", "jobs", "--delete"]);
    let message: Value = serde_json::from_slice(&taken.stdout).expect("a message");
    assert_eq!(message["body"], json!({"id": 7}));
    assert_eq!(emu.control("/_emu/queues/jobs/messages"), json!([]));
}
