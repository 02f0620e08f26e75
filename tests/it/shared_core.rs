//! `emu dev` and `emu simulate` share the core without a copy: what the one has said to it in a real run, the other says again in
//! virtual time, and gets the same effects, one for one.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use emu::live::observed::Observer;
use emu::live::reload::{ReadProject, Unreadable};
use emu::live::{self, Live, Options, Sink};
use emu::platform::call::Call;
use emu::platform::effect::Effect;
use emu::project::{ClockSetting, Project as Read};
use emu::report::event::Stamped;
use emu::sim::replay::replay;

use crate::harness::{Project, request};

/// What was said, and what came of it, as text: effects have no equality.
#[derive(Debug, Default)]
struct Heard {
    calls: Vec<Call>,
    effects: Vec<String>,
    /// By call: effects that had come out before it.
    before: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Tape(Arc<Mutex<Heard>>);

impl Observer for Tape {
    fn called(&mut self, call: &Call) {
        let mut heard = self.0.lock().expect("no panic");
        let effects = heard.effects.len();
        heard.before.push(effects);
        heard.calls.push(call.clone());
    }

    fn effect(&mut self, effect: &Effect) {
        self.0.lock().expect("no panic").effects.push(format!("{effect:?}"));
    }
}

struct Silent;

impl Sink for Silent {
    fn event(&mut self, _: &Stamped) {}
    fn folded(&mut self, _: u64, _: u64) {}
}

fn texts(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(|effect| format!("{effect:?}")).collect()
}

/// Runs the project, lets `act` do something to it, and holds the replay against what was heard.
fn same_effects(project: &Project, clock: ClockSetting, act: impl FnOnce(&Live)) -> Heard {
    let loaded = Read::load(Some(project.path())).expect("a project");
    let read: ReadProject = Arc::new(|| {
        Err(Unreadable {
            rendered: String::new(),
        })
    });
    let tape = Tape::default();
    let options = Options {
        clock,
        seed: 7,
        observer: Some(Box::new(tape.clone())),
        ..Options::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let starting = live::start(loaded.project, read, options, Box::new(Silent));
    let live = runtime.block_on(starting).expect("an emulator");
    act(&live);
    runtime.block_on(live.shutdown());
    drop(runtime);
    let heard = std::mem::take(&mut *tape.0.lock().expect("no panic"));
    let replayed = texts(&replay(&heard.calls));
    assert_eq!(replayed.len(), heard.effects.len());
    for (at, (here, there)) in replayed.iter().zip(&heard.effects).enumerate() {
        assert_eq!(here, there, "effect {at} of {}", replayed.len());
    }
    // Whatever comes later changes nothing of what came before.
    let prefixes = heard.calls.len().div_ceil(97).max(1);
    for upto in (0..heard.calls.len()).step_by(prefixes) {
        let came = texts(&replay(&heard.calls[..upto]));
        assert!(
            came.len() >= heard.before[upto],
            "all that had come out before call {upto}"
        );
        assert_eq!(came, heard.effects[..came.len()], "a prefix of {upto} calls");
    }
    heard
}

fn commands(project: &Path, live: &Live, script: &str) {
    let script = format!(
        "set -e\nemu() {{ {:?} \"$@\" >/dev/null; }}\n{script}",
        env!("CARGO_BIN_EXE_emu")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(project)
        .env("EMU_CONTROL_URL", &live.control_url)
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn count(heard: &Heard, word: &str) -> usize {
    heard.effects.iter().filter(|effect| effect.starts_with(word)).count()
}

/// Queues, retries, dead letters, a redrive, a topic, crons, days of virtual time, and a reset.
#[test]
fn of_the_shop_under_the_manual_clock() {
    let project = Project::example("orders");
    let heard = same_effects(&project, ClockSetting::Manual, |live| {
        commands(
            project.path(),
            live,
            r#"
emu send orders '{"id": "a", "card": "0002", "items": [{"product": "mug", "quantity": 2}], "total_cents": 1800}'
emu publish order-placed '{"id": "b", "card": "4242", "items": [{"product": "mug", "quantity": 1}], "total_cents": 900}'
emu clock run-until-idle
emu invoke stock
emu clock advance 16m
emu queue redrive orders-dead
emu clock run-until-idle
emu fire report
emu clock advance 3d
emu reset
emu invoke stock
"#,
        );
    });
    for (effect, least) in [
        ("Run", 8),
        ("Record", 8),
        ("Store", 10),
        ("StopInstance", 1),
        ("Note", 10),
    ] {
        assert!(count(&heard, effect) >= least, "{effect}: {}", count(&heard, effect));
    }
}

/// Requests of four clients at once in real time, through functions that send messages: whatever the threads make of it.
#[test]
fn of_clients_at_once_in_real_time() {
    let handler = "export default {
        async fetch(request, env) { await env.JOBS.send({ at: request.url }); return new Response('sent'); },
        queue(batch) { for (const message of batch.messages) if (message.attempts > 1) message.ack(); else message.retry({ delaySeconds: 0 }); },
    };";
    let manifest = "[project]\nkeep_alive = \"1s\"\n[functions.jobs]\nhttp = \"/jobs/*\"\nbind = { JOBS = \"queue:jobs\" }\nmax_concurrency = 3\n\
                    queue = { from = \"jobs\", batch_size = 3 }\n[queues.jobs]\nvisibility_timeout = \"1s\"\n";
    let project = Project::new(&[("emu.toml", manifest), ("functions/jobs.js", handler)]);
    let heard = same_effects(&project, ClockSetting::Real, |live| {
        let url = format!("{}/jobs", live.functions_url);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let url = &url;
                scope.spawn(move || {
                    for n in 0..15 {
                        let url = format!("{url}/{client}/{n}");
                        let status = request(http::Method::GET, &url, &[], String::new()).status;
                        assert!(status == 200 || status == 429, "{status}");
                    }
                });
            }
        });
        // Until the last message has come through.
        let queue = format!("{}/_emu/idle?timeout=30s", live.control_url);
        let answer = request(http::Method::GET, &queue, &[], String::new());
        assert_eq!(answer.status, 200, "{}", answer.text());
    });
    assert!(count(&heard, "Run") >= 60 && count(&heard, "Record") >= 60);
}
