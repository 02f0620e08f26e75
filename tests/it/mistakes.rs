//! What a user gets wrong with queues and the emulator around them: nothing is lost, and each answer says what to do.

use std::process::Output;

use http::Method;
use serde_json::json;

use crate::harness::{Emu, Project, emu};

const QUEUES: &str = r#"
[functions.worker]
source = "functions/worker.js"
queue = "jobs"

[queues.jobs]
visibility_timeout = "1s"
max_receives = 1

[queues.small]
max_messages = 2

[queues.later]
"#;

fn project() -> Project {
    let worker = "export default { queue() { throw new Error('as asked'); } };";
    Project::new(&[("emu.toml", QUEUES), ("functions/worker.js", worker)])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn visible(emu: &Emu, queue: &str) -> u64 {
    let state = emu.control(&format!("/_emu/queues/{queue}"));
    state["visible"].as_u64().expect("a count")
}

#[test]
fn a_batch_that_does_not_fit_is_refused_as_a_whole() {
    let emu = project().start_with(&["--ephemeral"]);
    let send = |bodies: &[u32]| {
        let messages: Vec<_> = bodies.iter().map(|body| json!({ "body": body })).collect();
        emu.control_post("/_emu/queues/small/messages", &json!(messages))
    };
    let refused = send(&[1, 2, 3]);
    assert_eq!(refused.status.as_u16(), 507, "{}", refused.text());
    assert_eq!(visible(&emu, "small"), 0);
    assert!(send(&[1, 2]).status.is_success());
    assert_eq!(visible(&emu, "small"), 2);
}

#[test]
fn a_queue_that_leaves_with_messages_says_that_they_are_kept_and_warnings_are_not_repeated() {
    let emu = project().start();
    assert!(emu.command(["send", "later", "1"]).status.success());
    let manifest = emu.project.read("emu.toml");
    emu.project.edit("emu.toml", "[queues.later]", "");
    let notice = emu.wait("notice", |e| e["message"].as_str().is_some_and(|m| m.contains("later")));
    let text = notice["message"].as_str().unwrap_or_default();
    assert_eq!(
        text,
        "queue later left emu.toml with 1 message: they are kept for when it comes back"
    );
    let mark = emu.mark();
    emu.project.write(
        "emu.toml",
        &manifest.replace("[queues.later]", "[queues.later]\ndelay = \"16m\""),
    );
    let warning = emu.wait_from(mark, "notice", |e| e["level"] == "warning");
    let text = warning["message"].as_str().unwrap_or_default();
    // The one of the start, that the worker may run for longer than its messages are hidden, is not said again.
    assert!(text.starts_with("AWS Lambda allows a `delay` of at most 15m"), "{text}");
    // The warning comes with the manifest, what the store kept of the queue a moment after: no event says when.
    let peek = || emu.control("/_emu/queues/later/messages");
    let back = (0..2_000).map(|_| peek()).find(|back| back[0]["body"] == 1);
    assert!(back.is_some(), "{}", peek());
}

#[test]
fn a_message_that_nobody_buries_says_why_it_is_gone() {
    let emu = project().start_with(&["--ephemeral", "--clock", "x100"]);
    let sent = emu.command(["send", "jobs", "1"]);
    let gone = emu.wait("message", |e| e["change"] == "expired");
    assert_eq!(gone["detail"], "after 1 receive, without a dead_letter queue");
    let id = String::from_utf8_lossy(&sent.stdout).trim().to_owned();
    let why = said(&emu.command(["why", &id]));
    assert!(
        why.contains("1 receive (max_receives), and has no dead_letter"),
        "{why}"
    );
}

#[test]
fn what_a_provider_would_refuse_is_refused() {
    let emu = project().start_with(&["--ephemeral"]);
    let long = emu.command(["send", "later", "1", "--delay", "16m"]);
    assert_eq!(long.status.code(), Some(1));
    assert!(
        said(&long).contains("a delay of 16m is too long: AWS Lambda takes 15m"),
        "{}",
        said(&long)
    );
    assert!(emu.command(["send", "later", "1", "--delay", "15m"]).status.success());
    let hidden = emu.command(["queue", "receive", "later", "--visibility", "13h"]);
    assert!(
        said(&hidden).contains("13h is longer than AWS Lambda allows"),
        "{}",
        said(&hidden)
    );
    assert!(
        emu.command(["queue", "receive", "later", "--visibility", "12h"])
            .status
            .success()
    );
}

#[test]
fn times_that_are_none_are_a_wrong_command_line() {
    let project = project();
    for args in [
        ["send", "later", "1", "--delay", "soon"],
        ["queue", "receive", "later", "--visibility", "soon"],
        ["logs", "-n", "1", "--since", "soon"],
    ] {
        let output = project.emu(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains("no number before `soon`"), "{}", said(&output));
    }
}

#[test]
fn more_than_a_control_request_takes_is_said_before_it_is_sent() {
    let emu = project().start_with(&["--ephemeral"]);
    emu.project.write("big.json", &"x".repeat(17 << 20));
    let file = std::fs::File::open(emu.project.path().join("big.json")).expect("written");
    let mut send = crate::harness::emu(emu.project.path());
    let output = send.args(["send", "later", "-"]).stdin(file).output().expect("run emu");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("16 MiB at the most"), "{}", said(&output));
}

#[test]
fn a_get_of_what_does_something_says_post() {
    let emu = project().start_with(&["--ephemeral"]);
    let url = format!("{}/_emu/queues/later/purge", emu.control_url());
    let answer = crate::harness::request(Method::GET, &url, &[], String::new());
    assert_eq!(answer.status.as_u16(), 405, "{}", answer.text());
    assert!(answer.text().contains("takes POST"), "{}", answer.text());
}

#[test]
fn a_redrive_says_how_many_messages_went() {
    let emu = project().start_with(&["--ephemeral"]);
    assert!(emu.command(["send", "later", "1"]).status.success());
    let output = emu.command(["queue", "redrive", "later"]);
    assert_eq!(said(&output), "redriven later: 0 messages\n");
}

/// Where nothing can be written: here because a file is in the way.
#[test]
fn ephemeral_needs_no_folder() {
    let project = project();
    project.write(".emu", "in the way");
    let output = emu(project.path())
        .args(["dev", "--port", "0", "--control-port", "0"])
        .output();
    let output = output.expect("run emu");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("`emu dev --ephemeral` needs no folder"),
        "{}",
        said(&output)
    );
    let emu = project.start_with(&["--ephemeral"]);
    emu.wait("notice", |e| {
        e["message"]
            .as_str()
            .is_some_and(|text| text.contains("commands find this emulator by --control-url http"))
    });
    let control = emu.control_url();
    let status = emu.command(["--control-url", &control, "status"]);
    assert!(status.status.success(), "{}", said(&status));
}

#[test]
fn a_kind_of_events_and_a_message_that_are_none_are_refused() {
    let emu = project().start_with(&["--ephemeral"]);
    let get = |kind: &str| {
        let url = format!("{}/_emu/history?kind={kind}", emu.control_url());
        crate::harness::request(Method::GET, &url, &[], String::new())
    };
    let answer = get("invocation,lgo");
    assert_eq!(answer.status.as_u16(), 400, "{}", answer.text());
    assert!(answer.text().contains("gave_up"), "{}", answer.text());
    // Each that the README lists is one.
    let readme = include_str!("../../README.md");
    let events = readme
        .split("## Events")
        .nth(1)
        .and_then(|text| text.split("## ").next());
    let rows = events
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let kinds: Vec<&str> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|kind| *kind != "event")
        .collect();
    assert_eq!(kinds.len(), 12, "{kinds:?}");
    assert!(get(&kinds.join(",")).status.is_success());
    let nothing = emu.control_post("/_emu/queues/later/messages", &serde_json::Value::Null);
    assert_eq!(nothing.status.as_u16(), 400);
    assert!(
        nothing.text().contains("expected an object with the body"),
        "{}",
        nothing.text()
    );
}
