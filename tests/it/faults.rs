//! Faults on purpose: what is lost in the middle of a run, what is throttled, and that the same seed fails the same.

use std::fs;

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Emu, Project, emu};

const MANIFEST: &str = "
[project]
name = 'shop'
[functions.api]
http = '/*'
timeout = '15m'
memory = '128MB'
bind = { KEPT = 'queue:kept', JOBS = 'queue:jobs', SEEN = 'kv:seen', LONG = 'function:long', SHORT = 'function:short' }
[functions.worker]
queue = { from = 'jobs', batch_size = 1 }
timeout = '10s'
bind = { SEEN = 'kv:seen' }
[functions.long]
source = 'functions/worker.js'
timeout = '1m'
max_retries = 0
bind = { SEEN = 'kv:seen' }
[functions.short]
source = 'functions/worker.js'
timeout = '1m'
max_retries = 0
bind = { SEEN = 'kv:seen' }
[queues.jobs]
visibility_timeout = '30s'
max_receives = 3
dead_letter = 'dead'
[queues.dead]
[queues.kept]
[kv.seen]
";

const API: &str = "
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export default {
  async fetch(request, env) {
    const event = { method: 'POST', headers: { 'x-emu-invocation-type': 'event' } };
    switch (new URL(request.url).pathname) {
      case '/keep': for (;;) await env.KEPT.send({});
      case '/job': await env.JOBS.send({}); break;
      case '/fan':
        await Promise.all(Array.from({ length: 8 }, () => env.LONG.fetch('http://long/', event)));
        await env.SHORT.fetch('http://short/', event);
        break;
      case '/spin':
        console.log('early');
        await env.SEEN.put('before', 'x');
        for (let i = 0; i < 3e5; i++);
        console.log('late');
        await env.SEEN.put('after', 'x');
        break;
      case '/ever':
        await env.SEEN.put('before', 'x');
        for (;;);
      case '/wait':
        await env.SEEN.put('before', 'x');
        await sleep(800_000);
        await env.SEEN.put('after', 'x');
    }
    return new Response('well');
  },
};";

const WORKER: &str = "
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const work = async (env) => {
  await env.SEEN.put('begun', String(Number((await env.SEEN.get('begun')) ?? 0) + 1));
  await sleep(9000);
  await env.SEEN.put('done', String(Number((await env.SEEN.get('done')) ?? 0) + 1));
};
export default { queue: (batch, env) => work(env), fetch: (request, env) => work(env).then(() => new Response('')) };";

fn project(file: &str) -> Project {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/api.js", API),
        ("functions/worker.js", WORKER),
        ("t.emu.toml", file),
    ])
}

/// What `emu test` says of a file.
fn test(file: &str, args: &[&str]) -> (i32, String) {
    let project = project(file);
    let mut command = emu(project.path());
    let run = command.env_remove("GITHUB_ACTIONS").arg("test").args(args);
    let run = run.output().expect("run emu");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    (run.status.code().expect("a code"), said)
}

fn passes(file: &str) {
    let (code, said) = test(file, &[]);
    assert_eq!(code, 0, "{file}\n{said}");
}

#[test]
fn an_instance_is_lost_between_two_effects_of_its_run() {
    // The instant is drawn within 8 s: after the first put, before the second.
    passes(
        "[faults]\nkill = { probability = 1, function = 'worker', by = '8s' }\n\
         [[step]]\nrequest = 'GET /job'\n\
         [[step]]\nname = 'the message comes back by its visibility timeout'\nadvance = '20s'\n\
         expect.kv = { seen = { begun = 1, done = false } }\nexpect.queues = { jobs = { in_flight = 1 } }\n\
         [[step]]\nname = 'and what was done is done again'\nadvance = '20s'\n\
         expect.kv = { seen = { begun = 2, done = false } }\n\
         [[step]]\nidle = true\nexpect.kv = { seen = { begun = 3, done = false } }\nexpect.queues = { jobs = { dead = 1 } }\n\
         expect.events = [{ event = 'fault', kind = 'kill', function = 'worker', detail = 'its instance is lost after [..]' },\n\
         { event = 'instance', function = 'worker', state = 'gone', reason = 'fault on purpose: its host was lost' }]\n",
    );
    // A client gets what a crashed sandbox gives.
    passes(
        "[faults]\nkill = { probability = 1, by = '10m' }\n[[step]]\nrequest = 'GET /wait'\nexpect.status = 502\n\
         expect.contains = 'fault on purpose: the instance was lost'\nexpect.kv = { seen = { before = 'x', after = false } }\n",
    );
}

#[test]
fn one_that_ends_before_its_fate_is_lost_with_its_answer() {
    passes(
        "[faults]\nkill = { probability = 1, by = '10h', function = 'api' }\n[[step]]\nrequest = 'GET /spin'\nexpect.status = 502\n\
         expect.kv = { seen = { before = 'x', after = 'x' } }\n\
         expect.events = [{ event = 'fault', kind = 'kill', detail = 'its instance is lost before the end is known' }]\n",
    );
}

#[test]
fn what_a_guest_has_computed_ahead_of_the_clock_does_not_happen() {
    // It computes for much longer than it is let live, and says so before the clock gets there.
    let file = "[faults]\nkill = { probability = 1, by = '100ms' }\n[[step]]\nrequest = 'GET /spin'\nexpect.status = 502\n\
                expect.kv = { seen = { after = false } }\nexpect.logs = { api = ['late'] }\n";
    let (code, said) = test(file, &["--seed", "2"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("early") && said.contains("'late'") | said.contains("late"),
        "{said}"
    );
    assert_eq!(said.matches("api: late").count(), 0, "{said}");
    assert!(!said.contains("after"), "{said}");
}

#[test]
fn a_lost_host_takes_all_that_runs_on_it() {
    // One instance for `api`, eight for `long`, the tenth for `short`: of four hosts its own has three of them, two at work.
    passes(
        "[faults]\nhost_loss = { probability = 1, function = 'short', by = '8s' }\n[[step]]\nrequest = 'GET /fan'\n\
         [[step]]\nidle = true\nexpect.invocations = { long = { total = 8, failed = 2 }, short = { failed = 1 } }\n\
         expect.kv = { seen = { begun = '[..]' } }\n\
         expect.events = [{ event = 'fault', kind = 'host_loss', function = 'short', detail = 'a host is lost with 3 instances after [..]' }]\n",
    );
}

#[test]
fn a_running_guest_is_stopped_under_the_real_clock() {
    let emu = project("").start_with(&["--faults", "api.kill=1/20ms"]);
    for path in ["/wait", "/ever"] {
        let answer = emu.get(path);
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}: {}", answer.text());
        assert!(answer.text().contains("the instance was lost"), "{}", answer.text());
    }
    assert_eq!(
        emu.control("/_emu/faults"),
        json!({"kill": [{"probability": 1.0, "function": "api", "by": "20ms"}]})
    );
    // What has been drawn does not outlive its faults.
    assert_eq!(emu.control_post("/_emu/faults", &json!({})).status, StatusCode::OK);
    assert_eq!(emu.get("/").text(), "well");
}

#[test]
fn what_a_guest_sent_when_it_was_stopped_is_there_as_a_whole_or_not_at_all() {
    let emu = project("").start_with(&["--faults", "api.kill=1/10ms"]);
    for _ in 0..20 {
        assert_eq!(emu.get("/keep").status, StatusCode::BAD_GATEWAY);
    }
    // The store answers in order: with these it has told of all that was under way.
    assert_eq!(emu.control_post("/_emu/faults", &json!({})).status, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(emu.get("/job").text(), "well");
    }
    let kept = |emu: &Emu| {
        let queues = emu.control("/_emu/queues");
        let all = queues.as_array().cloned().unwrap_or_default();
        let kept = all.into_iter().find(|queue| queue["name"] == "kept");
        kept.and_then(|queue| queue["visible"].as_u64()).expect("the queue")
    };
    let before = kept(&emu);
    assert!(before > 0);
    // What only the store knows comes to light with the next start.
    let emu = emu.kill().start();
    assert_eq!(kept(&emu), before);
}

#[test]
fn throttling_is_answered_as_by_the_provider() {
    let emu = project("").start_with(&["--faults", "api.throttle=1", "--clock", "manual"]);
    let answer = emu.get("/");
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        answer.json()["error"]["code"],
        "throttled-on-purpose",
        "{}",
        answer.text()
    );
    let fault = emu.wait("fault", |_| true);
    assert_eq!(
        (&fault["kind"], &fault["probability"]),
        (&json!("throttle"), &json!(1.0))
    );
    assert_eq!(emu.wait("invocation", |_| true)["outcome"], "throttled");
    assert_eq!(emu.control_post("/_emu/faults", &json!({})).status, StatusCode::OK);
    assert_eq!(emu.get("/").text(), "well");
    // Work that nobody waits for comes later, and is done.
    passes(
        "[faults]\nthrottle = 0.7\n[[step]]\nsend = 'jobs'\n[[step]]\nsend = 'jobs'\n[[step]]\nidle = true\n\
         [expect]\nkv = { seen = { done = 2 } }\nqueues = { jobs = { visible = 0, dead = 0 } }\n\
         events = [{ event = 'fault', kind = 'throttle', function = 'worker' }, { event = 'throttle' }]\n",
    );
}

/// The events of one run with faults of all kinds.
fn log(seed: &str) -> Vec<Value> {
    let project = project("");
    let file = project.path().join(".events.ndjson");
    let program = env!("CARGO_BIN_EXE_emu");
    let script = format!(
        "emu() {{ {program:?} \"$@\" >/dev/null 2>&1; }}\nfor n in 1 2 3 4 5 6; do emu send jobs '{{}}'; emu invoke api; done\nemu clock run-until-idle"
    );
    let faults = "kill=0.3,host_loss=0.1,throttle=0.3,delay=0.3/2s,duplicate=0.2,late_ack=0.2,reorder=0.5,cold_starts=0.2,fail=0.1";
    let run = emu(project.path())
        .args(["exec", "--clock", "manual", "--seed", seed, "--faults", faults, "--log"])
        .arg(&file)
        .args(["--", "sh", "-c", &script])
        .output()
        .expect("run emu exec");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = fs::read_to_string(&file).expect("the log");
    fs::remove_file(&file).expect("it was there");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn the_same_seed_fails_the_same() {
    let first = log("5");
    let kinds: Vec<&str> = ["kill", "throttle"]
        .into_iter()
        .filter(|kind| first.iter().any(|event| event["kind"] == **kind))
        .collect();
    assert_eq!(kinds, ["kill", "throttle"], "{first:?}");
    assert!(first == log("5"), "two runs differ");
    assert!(first != log("6"), "another seed");
}

#[test]
fn a_swarm_wants_nothing_left_behind() {
    let job = "[[step]]\nrequest = 'GET /job'\n[[step]]\nidle = true\n[faults]\nfail = { probability = 1, function = 'worker' }\n";
    let (code, said) = test(job, &["--swarm", "3"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("dead holds 1 dead letter of jobs; if that may be, say how many"),
        "{said}"
    );
    let allowed = format!("{job}[always]\nqueues.jobs.dead = '<= 1'\n");
    let (code, said) = test(&allowed, &["--swarm", "3"]);
    assert_eq!(code, 0, "{said}");
}
