//! `emu snapshot`: the whole state under a name, with a running emulator and without one.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

const MANIFEST: &str = "
[queues.jobs]
visibility_timeout = \"10m\"
[kv.carts]
[functions.slow]
bind = { CARTS = \"kv:carts\" }
";

/// Runs until the key `open` is there.
const SLOW: &str = "export default {
    async fetch(request, env) {
        while (!(await env.CARTS.get('open'))) await new Promise((done) => setTimeout(done, 5));
        return new Response('done');
    }
};
";

fn project() -> Project {
    Project::new(&[("emu.toml", MANIFEST), ("functions/slow.js", SLOW)])
}

fn send(emu: &Emu, body: &str) -> String {
    let sent = emu.control_post("/_emu/queues/jobs/messages", &json!({ "body": body }));
    sent.json()["id"].as_str().expect("an id").to_owned()
}

fn peek(emu: &Emu) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = emu.control("/_emu/queues/jobs/messages?max=100");
    let messages = messages.as_array().expect("an array").iter();
    messages.map(|one| (text(&one["id"]), text(&one["body"]))).collect()
}

fn put(emu: &Emu, key: &str, value: &str) {
    let put = emu.control_post("/_emu/kv/carts/put", &json!({ "key": key, "value": value }));
    assert_eq!(put.status, 200, "{}", put.text());
}

fn value(emu: &Emu, key: &str) -> Value {
    emu.control(&format!("/_emu/kv/carts/value?key={key}"))["value"].clone()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn failed(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn the_state_of_then_comes_back_and_ids_do_not() {
    let emu = project().start();
    let first = [send(&emu, "one"), send(&emu, "two")];
    let received = emu.control_post("/_emu/queues/jobs/receive", &json!({})).json();
    let receipt = json!({ "receipt": received[0]["receipt"] });
    put(&emu, "user", "tea");
    let said = succeeded(&emu.command(["snapshot", "save", "before"]));
    assert!(
        said.contains("saved before: 2 messages, 0 waiting events, 1 key"),
        "{said}"
    );
    let was = peek(&emu);

    let mut given = BTreeSet::from(first.clone());
    given.insert(send(&emu, "three"));
    put(&emu, "user", "coffee");
    assert_eq!(emu.control_post("/_emu/queues/jobs/purge", &json!({})).status, 200);
    succeeded(&emu.command(["snapshot", "load", "before"]));
    assert_eq!(peek(&emu), was);
    assert_eq!(value(&emu, "user"), "tea");
    let queue = emu.control("/_emu/queues/jobs");
    assert_eq!([&queue["visible"], &queue["in_flight"]], [1, 1], "{queue}");
    let stale = emu.control_post("/_emu/queues/jobs/delete", &receipt);
    assert_eq!(stale.status, 409, "{}", stale.text());
    for n in 0..3 {
        assert!(given.insert(send(&emu, &format!("new {n}"))), "an id twice");
    }
    let now = peek(&emu);

    // The next run goes on from there, and names things otherwise still.
    let emu = emu.kill().start();
    assert_eq!(peek(&emu), now);
    assert!(given.insert(send(&emu, "after a kill")), "an id twice");
}

#[test]
fn work_in_flight_is_cut_off_and_what_was_saved_runs_again() {
    let emu = project().start();
    let sent = emu.control_post("/_emu/functions/slow/invoke-async", &json!({})).json();
    let starts = |emu: &Emu| emu.control("/_emu/instances").as_array().map_or(0, Vec::len);
    succeeded(&emu.command(["snapshot", "save", "running"]));
    assert_eq!(starts(&emu), 1, "it runs");
    succeeded(&emu.command(["snapshot", "load", "running"]));
    put(&emu, "open", "yes");
    let own = emu.wait("invocation", |e| e["id"] == sent["invocation"]);
    let again = emu.wait("invocation", |e| e["id"] != sent["invocation"]);
    assert_eq!([&own["outcome"], &again["outcome"]], ["succeeded", "succeeded"]);
    let said = succeeded(&emu.command(["snapshot", "save", "after"]));
    assert!(said.contains("0 waiting events"), "{said}");
}

#[test]
fn names_are_checked_listed_and_removed() {
    let emu = project().start();
    send(&emu, "one");
    assert!(succeeded(&emu.command(["snapshot"])).contains("no snapshots"));
    succeeded(&emu.command(["snapshot", "save"]));
    succeeded(&emu.command(["snapshot", "save", "release-1.0"]));
    failed(&emu.command(["snapshot", "save", "release-1.0"]), 1, "--force");
    succeeded(&emu.command(["snapshot", "save", "release-1.0", "--force"]));
    failed(
        &emu.command(["snapshot", "load", "relase-1.0"]),
        1,
        "did you mean release-1.0?",
    );
    for bad in ["../state", "a/b", ".hidden", ""] {
        let path = format!("/_emu/snapshots/{}/save", bad.replace('/', "%2F"));
        let answer = emu.control_post(&path, &json!({}));
        assert!(
            matches!(answer.status.as_u16(), 400 | 404),
            "{bad:?}: {}",
            answer.text()
        );
    }
    let listed = emu.control("/_emu/snapshots");
    let named = |one: &Value| one["name"] == "release-1.0" && one["messages"] == 1;
    assert!(
        listed
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().any(named)),
        "{listed}"
    );
    assert!(succeeded(&emu.command(["snapshot", "ls"])).contains("release-1.0"));
    emu.project
        .write(".emu/snapshots/broken.db", "this is no database, is it?");
    failed(&emu.command(["snapshot", "load", "broken"]), 1, "is no snapshot of emu");
    assert_eq!(peek(&emu).len(), 1, "nothing was touched");
    succeeded(&emu.command(["snapshot", "rm", "broken"]));
    succeeded(&emu.command(["snapshot", "rm", "release-1.0"]));
    failed(
        &emu.command(["snapshot", "rm", "release-1.0"]),
        1,
        "there is no snapshot",
    );
}

#[test]
fn a_stopped_project_has_them_too() {
    let emu = project().start();
    failed(&project().emu(["snapshot", "save", "x"]), 1, "no state");
    let one = send(&emu, "one");
    let project = emu.kill();
    succeeded(&project.emu(["snapshot", "save", "kept"]));
    failed(&project.emu(["snapshot", "save", "../x"]), 2, "no name for a snapshot");
    succeeded(&project.emu(["reset"]));
    assert!(succeeded(&project.emu(["snapshot", "load", "kept"])).contains("1 message"));
    let emu = project.start();
    let there = peek(&emu);
    assert_eq!(there[0].1, "one");
    assert_ne!(there[0].0, one, "another database: another name");
}

#[test]
fn state_in_memory_is_saved_and_loaded() {
    let emu = project().start_with(&["--ephemeral"]);
    send(&emu, "one");
    succeeded(&emu.command(["snapshot", "save", "kept"]));
    assert_eq!(emu.control_post("/_emu/reset", &json!({})).status, 200);
    assert!(peek(&emu).is_empty());
    succeeded(&emu.command(["snapshot", "load", "kept"]));
    assert_eq!(peek(&emu).len(), 1);
    let other = emu.kill().start();
    assert!(peek(&other).is_empty());
    succeeded(&other.command(["snapshot", "load", "kept"]));
    assert_eq!(peek(&other)[0].1, "one");
}

/// What is sent while a snapshot is loaded is replaced with the rest, or comes on top of it; never is it only half there.
#[test]
fn a_load_under_load_leaves_what_a_restart_finds() {
    let emu = project().start();
    let kept = send(&emu, "kept");
    succeeded(&emu.command(["snapshot", "save", "one"]));
    let stop = AtomicBool::new(false);
    let sent = AtomicUsize::new(0);
    let later = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    send(&emu, "more");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..5 {
            let loaded = emu.control_post("/_emu/snapshots/one/load", &json!({}));
            assert_eq!(loaded.status, 200, "{}", loaded.text());
        }
        let later = send(&emu, "later");
        stop.store(true, Ordering::Relaxed);
        later
    });
    assert!(sent.load(Ordering::Relaxed) > 0);
    let ids = |emu: &Emu| -> BTreeSet<String> {
        let messages = emu.control("/_emu/queues/jobs/messages?max=1000");
        let messages = messages.as_array().expect("an array").iter();
        messages
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let count = |emu: &Emu| emu.control("/_emu/queues/jobs")["visible"].as_u64();
    let (there, visible) = (ids(&emu), count(&emu));
    assert!(there.contains(&kept) && there.contains(&later), "{there:?}");
    assert_eq!(visible, Some(there.len() as u64), "every message has its body");
    let emu = emu.kill().start();
    assert_eq!((ids(&emu), count(&emu)), (there, visible));
}
