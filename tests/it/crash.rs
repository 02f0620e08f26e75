//! Kills the emulator under load, again and again, and holds what it acknowledged against what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Emu, Project, try_request};

const MANIFEST: &str = r#"
[queues.crash]
max_receives = 3
dead_letter = "crash-dead"
max_messages = 1000000

[queues.crash-dead]
max_messages = 1000000
"#;

const CLIENTS: u64 = 3;

/// `scripts/crash-test` asks for more.
fn rounds() -> u64 {
    let asked = std::env::var("CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(20)
}

/// What the outside knows for certain.
#[derive(Default)]
struct Known {
    /// Acknowledged sends.
    sent: BTreeSet<u64>,
    /// Acknowledged deletes.
    deleted: BTreeSet<u64>,
    /// Deletes that were asked for: when the answer does not come, nobody knows.
    perhaps_deleted: BTreeSet<u64>,
    /// The highest receive count seen of each, by queue.
    counts: BTreeMap<(&'static str, u64), u64>,
    received: u64,
}

impl Known {
    fn saw(&mut self, queue: &'static str, message: &Value) -> u64 {
        let n = message["body"]["n"].as_u64().expect("our message");
        let count = message["receive_count"].as_u64().expect("a count");
        assert!(!self.deleted.contains(&n), "message {n} was deleted and came back");
        let before = self.counts.insert((queue, n), count).unwrap_or(0);
        assert!(count > before, "message {n}: receive {count} after receive {before}");
        self.received += 1;
        n
    }
}

struct World {
    known: Mutex<Known>,
    next: AtomicU64,
}

impl World {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends, receives and deletes until the emulator is gone. Tells `progress` of each answer.
    fn load(&self, url: &str, progress: &Sender<()>) -> Option<()> {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed) * 3;
            let batch: Vec<Value> = (n..n + 3).map(|n| json!({"body": {"n": n}})).collect();
            let sent = post(url, "crash", "messages", &json!(batch))?;
            assert_eq!(sent["ids"].as_array().map(Vec::len), Some(3), "{sent}");
            self.known().sent.extend(n..n + 3);
            progress.send(()).ok()?;
            let got = post(url, "crash", "receive", &json!({"max": 2, "visibility": "1ms"}))?;
            progress.send(()).ok()?;
            for message in got.as_array().expect("messages") {
                // The latest answer may come after that to a later receive, so only its order can be held to.
                let n = message["body"]["n"].as_u64().expect("our message");
                if n % 2 == 0 {
                    continue;
                }
                self.known().perhaps_deleted.insert(n);
                let answer = post(url, "crash", "delete", &json!({"receipt": message["receipt"]}))?;
                if answer["done"] == true {
                    self.known().deleted.insert(n);
                }
                progress.send(()).ok()?;
            }
        }
    }
}

/// `None` once the emulator is gone.
fn post(url: &str, queue: &str, action: &str, body: &Value) -> Option<Value> {
    let url = format!("{url}/_emu/queues/{queue}/{action}");
    let headers = [("content-type", "application/json")];
    let answer = try_request(Method::POST, &url, &headers, body.to_string()).ok()?;
    serde_json::from_slice(&answer.body).ok()
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let mut project = Project::new(&[
        ("emu.toml", MANIFEST),
        (
            "functions/idle.js",
            "export default { fetch() { return new Response('ok'); } };",
        ),
    ]);
    let world = World {
        known: Mutex::default(),
        next: AtomicU64::new(0),
    };
    for round in 0..rounds() {
        let emu = project.start();
        let url = emu.control_url();
        check(&emu, &world);
        let (progress, answers) = channel();
        project = std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (world, url, progress) = (&world, &url, progress.clone());
                scope.spawn(move || world.load(url, &progress));
            }
            drop(progress);
            // Somewhere else each time, always the same from run to run.
            let moment = 1 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 90;
            for _ in 0..moment {
                answers.recv().expect("the clients go on until the kill");
            }
            let idle = format!("export default {{ fetch() {{ return new Response('{round}'); }} }};");
            emu.project.write("functions/idle.js", &idle);
            emu.kill()
        });
    }
    let state = rusqlite::Connection::open(project.path().join(".emu/state.db")).expect("the state");
    let verdict: String = state
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(verdict, "ok");
    drop(state);
    let emu = project.start();
    check(&emu, &world);
    everything_is_there(&emu, &world);
}

/// Looks at some of what is there: deletes stay deleted, counts do not fall.
fn check(emu: &Emu, world: &World) {
    for _ in 0..5 {
        let got = post(&emu.control_url(), "crash", "receive", &json!({"visibility": "1ms"})).expect("it runs");
        for message in got.as_array().expect("messages") {
            world.known().saw("crash", message);
        }
    }
}

fn everything_is_there(emu: &Emu, world: &World) {
    let mut there = BTreeSet::new();
    for queue in ["crash", "crash-dead"] {
        loop {
            let asked = json!({"max": 1000, "visibility": "10h"});
            let got = post(&emu.control_url(), queue, "receive", &asked).expect("it runs");
            let got = got.as_array().expect("messages");
            if got.is_empty() {
                break;
            }
            for message in got {
                let n = world.known().saw(queue, message);
                assert!(there.insert(n), "message {n} is there twice");
            }
        }
    }
    let known = world.known();
    let lost: Vec<&u64> = known
        .sent
        .iter()
        .filter(|n| !there.contains(n) && !known.perhaps_deleted.contains(n))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let deleted = known.deleted.len();
    assert!(
        known.sent.len() > 20 && deleted > 5,
        "hardly any load: {} sent",
        known.sent.len()
    );
    println!(
        "{} rounds: {} sent, {deleted} deleted, {} there at the end",
        rounds(),
        known.sent.len(),
        there.len()
    );
}
