//! FIFO queues that change hands between emulators: nothing passes what is in flight, nothing is counted that nobody received.

use serde_json::{Value, json};

use crate::harness::{Emu, Project};
use crate::nats::Nats;

/// Stays with a message until the store says that it may end.
const WORKER: &str = r"
export default {
  async queue(batch, env) {
    for (const message of batch.messages) {
      console.log(`did ${message.body.n}, receive ${message.attempts}`);
      if (message.body.stay) while (!(await env.FLAGS.get('go'))) await new Promise((done) => setTimeout(done, 20));
      console.log(`done ${message.body.n}`);
    }
  },
};
";

fn manifest(visibility: &str) -> String {
    format!(
        "[project]\nname = \"shop\"\n[functions.worker]\nsource = \"functions/worker.js\"\ntimeout = \"{visibility}\"\n\
         bind = {{ FLAGS = \"kv:flags\" }}\nqueue = {{ from = \"jobs\", batch_size = 1 }}\n[kv.flags]\n\
         [queues.jobs]\nfifo = true\nvisibility_timeout = \"{visibility}\"\n"
    )
}

fn member(nats: &Nats, manifest: &str) -> Emu {
    let files = [("emu.toml", manifest), ("functions/worker.js", WORKER)];
    Project::new(&files).start_with(&["--bus", &nats.url()])
}

fn send(emu: &Emu, n: u64, group: &str, stay: bool) {
    let message = json!({"body": {"n": n, "stay": stay}, "group": group, "deduplication": n.to_string()});
    let sent = emu.control_post("/_emu/queues/jobs/messages", &message);
    assert!(sent.status.is_success(), "{}", sent.text());
}

fn go_on(emu: &Emu) {
    let put = emu.control_post("/_emu/kv/flags/put", &json!({"key": "go", "value": "now"}));
    assert!(put.status.is_success(), "{}", put.text());
}

/// What it has begun, in its order.
fn said(emu: &Emu) -> Vec<String> {
    let logs = emu.events("log", |e| {
        e["text"].as_str().is_some_and(|text| text.starts_with("did"))
    });
    logs.iter()
        .filter_map(|e| e["text"].as_str().map(str::to_owned))
        .collect()
}

fn says(text: &'static str) -> impl Fn(&Value) -> bool {
    move |e| e["text"] == text
}

#[test]
fn what_is_in_flight_at_one_member_holds_its_group_back_at_the_next() {
    let nats = Nats::start();
    let manifest = manifest("15m");
    let first = member(&nats, &manifest);
    send(&first, 1, "a", true);
    send(&first, 2, "a", false);
    first.wait("log", says("did 1, receive 1"));
    let second = member(&nats, &manifest);
    // Its emu.toml has no function for the queue any more, and so it is another's to hand out.
    first.project.write(
        "emu.toml",
        "[project]\nname = \"shop\"\n[kv.flags]\n[queues.jobs]\nfifo = true\nvisibility_timeout = \"15m\"\n",
    );
    send(&second, 3, "b", false);
    second.wait("log", says("did 3, receive 1"));
    send(&second, 4, "b", false);
    second.wait("log", says("did 4, receive 1"));
    assert_eq!(said(&second), ["did 3, receive 1", "did 4, receive 1"], "2 waits for 1");
    go_on(&second);
    first.wait("log", says("done 1"));
    second.wait("log", says("did 2, receive 1"));
    assert_eq!(said(&first), ["did 1, receive 1"]);
}

#[test]
fn a_leader_that_died_leaves_its_receive_counts() {
    let nats = Nats::start();
    let manifest = manifest("1s");
    let first = member(&nats, &manifest);
    let second = member(&nats, &manifest);
    // Whichever of them has it.
    send(&first, 1, "a", true);
    send(&first, 2, "a", false);
    let leads = loop {
        match (said(&first).is_empty(), said(&second).is_empty()) {
            (true, true) => std::thread::yield_now(),
            (first_is_idle, _) => break !first_is_idle,
        }
    };
    let (leader, next) = if leads { (first, second) } else { (second, first) };
    leader.wait("log", says("did 1, receive 2"));
    let _gone = leader.kill();
    go_on(&next);
    next.wait("log", says("did 2, receive 1"));
    assert_eq!(said(&next), ["did 1, receive 3", "did 2, receive 1"]);
}

#[cfg(unix)]
#[test]
fn a_leader_that_was_stopped_for_a_while_begins_nothing_more() {
    let nats = Nats::start();
    let manifest = manifest("1s");
    let first = member(&nats, &manifest);
    send(&first, 1, "a", true);
    send(&first, 2, "a", false);
    first.wait("log", says("did 1, receive 1"));
    first.pause(true);
    let second = member(&nats, &manifest);
    go_on(&second);
    second.wait("log", says("did 2, receive 1"));
    first.pause(false);
    // Once it holds nothing any more it has seen that it is not the one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while first.control("/_emu/members")[0]["holds"] != 0 {
        assert!(std::time::Instant::now() < deadline, "{}", first.transcript());
        std::thread::yield_now();
    }
    send(&first, 3, "a", false);
    second.wait("log", says("did 3, receive 1"));
    assert!(
        said(&first).iter().all(|text| text.starts_with("did 1")),
        "{}",
        first.transcript()
    );
    let others: Vec<String> = said(&second)
        .into_iter()
        .filter(|text| !text.starts_with("did 1"))
        .collect();
    assert_eq!(others, ["did 2, receive 1", "did 3, receive 1"]);
}
