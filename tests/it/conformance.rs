//! What queues, topics, asynchronous invocations and key-value stores do, wherever they are kept: each of these runs with a
//! database of the emulator's own and on a NATS server.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, Emu, Project};
use crate::nats::Nats;

/// Where it is kept.
enum Place {
    Own,
    Bus(Nats),
}

impl Place {
    fn start(&self, files: &[(&str, &str)]) -> Emu {
        self.start_with(files, &[])
    }

    /// With hot reload.
    fn watching(&self, files: &[(&str, &str)]) -> Emu {
        let project = Project::new(files);
        match self {
            Place::Own => project.start(),
            Place::Bus(nats) => project.start_with(&["--bus", &nats.url()]),
        }
    }

    fn start_with(&self, files: &[(&str, &str)], more: &[&str]) -> Emu {
        let project = Project::new(files);
        match self {
            Place::Own => project.start_with(&[&["--no-watch"], more].concat()),
            Place::Bus(nats) => project.start_with(&[&["--no-watch", "--bus", &nats.url()], more].concat()),
        }
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod own {
            $(#[test] fn $name() { super::$name(&super::Place::Own); })*
        }
        mod bus {
            $(#[test] fn $name() { super::$name(&super::Place::Bus(super::Nats::start())); })*
        }
    };
}

on_both! {
    a_message_is_received_and_deleted
    a_receive_hides_and_a_stale_receipt_is_refused
    what_is_let_go_comes_back_counted
    what_fails_too_often_is_dead_and_can_be_sent_back
    only_what_failed_of_a_batch_comes_back
    groups_keep_their_order_and_wait_for_their_first
    what_is_tried_again_later_keeps_its_place
    a_key_is_taken_once
    a_delay_is_waited_for
    a_full_queue_refuses
    a_queue_that_left_and_came_back_goes_on
    an_ordered_queue_goes_on_when_its_settings_or_its_function_change
    a_batch_keeps_its_order_and_may_fill_a_queue
    a_queue_is_looked_into_and_emptied
    a_topic_hands_on_to_all_that_want_it
    events_end_at_their_destinations
    an_event_is_tried_again
    values_are_kept_listed_and_expire
    large_and_strange_bodies_come_through
}

fn send(emu: &Emu, queue: &str, message: &Value) -> String {
    let sent = emu.control_post(&format!("/_emu/queues/{queue}/messages"), message);
    assert!(sent.status.is_success(), "{}", sent.text());
    sent.json()["id"].as_str().expect("an id").to_owned()
}

fn receive(emu: &Emu, queue: &str, ask: &Value) -> Vec<Value> {
    let got = emu.control_post(&format!("/_emu/queues/{queue}/receive"), ask);
    assert!(got.status.is_success(), "{}", got.text());
    got.json().as_array().expect("an array").clone()
}

fn by_receipt(emu: &Emu, queue: &str, what: &str, message: &Value, visibility: &str) -> Answer {
    let mut ask = json!({"receipt": message["receipt"]});
    if !visibility.is_empty() {
        ask["visibility"] = visibility.into();
    }
    emu.control_post(&format!("/_emu/queues/{queue}/{what}"), &ask)
}

/// Asks until it is so: what several emulators share is counted now and then.
fn until(emu: &Emu, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let value = emu.control(path);
        if fits(&value) {
            return value;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{path} stays {value}\n{}",
            emu.transcript()
        );
        std::thread::yield_now();
    }
}

const PLAIN: &str = "[queues.jobs]\nvisibility_timeout = \"20s\"\n";

fn a_message_is_received_and_deleted(place: &Place) {
    let emu = place.start(&[("emu.toml", PLAIN)]);
    let id = send(
        &emu,
        "jobs",
        &json!({"body": {"n": 1}, "attributes": {"kind": "new", "price": 7}}),
    );
    let got = receive(&emu, "jobs", &json!({"max": 10}));
    assert_eq!(got.len(), 1, "{got:?}");
    let message = &got[0];
    assert_eq!(
        (&message["id"], &message["body"], &message["receive_count"]),
        (&json!(id), &json!({"n": 1}), &json!(1))
    );
    assert_eq!(message["attributes"], json!({"kind": "new", "price": 7}));
    assert_eq!(message["content_type"], "application/json");
    assert!(by_receipt(&emu, "jobs", "delete", message, "").status.is_success());
    assert_eq!(receive(&emu, "jobs", &json!({})), Vec::<Value>::new());
    until(&emu, "/_emu/queues/jobs", |queue| {
        queue["visible"] == 0 && queue["in_flight"] == 0
    });
}

fn a_receive_hides_and_a_stale_receipt_is_refused(place: &Place) {
    let emu = place.start(&[("emu.toml", PLAIN)]);
    send(&emu, "jobs", &json!({"body": "x"}));
    let first = receive(&emu, "jobs", &json!({})).remove(0);
    assert!(receive(&emu, "jobs", &json!({})).is_empty(), "it is hidden");
    let extended = by_receipt(&emu, "jobs", "visibility", &first, "1m");
    assert!(extended.status.is_success(), "{}", extended.text());
    assert!(by_receipt(&emu, "jobs", "delete", &first, "").status.is_success());
    let again = by_receipt(&emu, "jobs", "delete", &first, "");
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text());
}

/// Receives until there is something.
fn receive_some(emu: &Emu, queue: &str) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        if let Some(message) = receive(emu, queue, &json!({})).pop() {
            return message;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{queue} stays empty\n{}",
            emu.transcript()
        );
    }
}

fn what_is_let_go_comes_back_counted(place: &Place) {
    let emu = place.start(&[("emu.toml", PLAIN)]);
    let id = send(&emu, "jobs", &json!({"body": "x"}));
    for count in 1..=3 {
        let message = receive_some(&emu, "jobs");
        assert_eq!((&message["id"], &message["receive_count"]), (&json!(id), &json!(count)));
        let let_go = by_receipt(&emu, "jobs", "visibility", &message, "0s");
        assert!(let_go.status.is_success(), "{}", let_go.text());
    }
}

/// Logs what it gets; `throw` fails the batch, `fail` the message.
const WORKER: &str = r"
export default {
  queue(batch) {
    for (const message of batch.messages) {
      console.log(`${message.attempts} ${JSON.stringify(message.body)}`);
      if (message.body.throw) throw new Error('as asked');
      if (message.body.fail) message.retry(); else message.ack();
    }
  },
};
";

fn what_fails_too_often_is_dead_and_can_be_sent_back(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = { from = \"jobs\", batch_size = 1 }\ntimeout = \"1s\"\n\
        [queues.jobs]\nvisibility_timeout = \"1s\"\nmax_receives = 2\ndead_letter = \"dead\"\n[queues.dead]\n";
    let emu = place.start(&[("emu.toml", manifest), ("functions/worker.js", WORKER)]);
    let id = send(&emu, "jobs", &json!({"body": {"throw": 1}, "attributes": {"a": "b"}}));
    emu.wait("message", |e| e["id"] == *id && e["change"] == "dead_lettered");
    emu.wait("log", |e| e["text"] == r#"2 {"throw":1}"#);
    let dead = until(&emu, "/_emu/queues/dead/messages", |dead| dead[0]["id"] == *id);
    assert_eq!(
        (&dead[0]["source"], &dead[0]["body"], &dead[0]["attributes"]),
        (&json!("jobs"), &json!({"throw": 1}), &json!({"a": "b"}))
    );
    until(&emu, "/_emu/queues/jobs", |jobs| jobs["dead"] == 1);
    let mark = emu.mark();
    let redriven = emu.control_post("/_emu/queues/dead/redrive", &json!({}));
    assert!(redriven.status.is_success(), "{}", redriven.text());
    emu.wait_from(mark, "log", |e| e["text"] == r#"1 {"throw":1}"#);
    emu.wait_from(mark, "message", |e| e["id"] == *id && e["change"] == "dead_lettered");
    until(&emu, "/_emu/queues/dead/messages", |dead| dead[0]["id"] == *id);
}

fn only_what_failed_of_a_batch_comes_back(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = { from = \"jobs\", batch_size = 10, batch_window = \"1s\" }\n\
        timeout = \"1s\"\n[queues.jobs]\nvisibility_timeout = \"1s\"\nmax_receives = 2\n";
    let emu = place.start(&[("emu.toml", manifest), ("functions/worker.js", WORKER)]);
    let good = send(&emu, "jobs", &json!({"body": {"n": 1}}));
    let bad = send(&emu, "jobs", &json!({"body": {"fail": 1}}));
    emu.wait("message", |e| e["id"] == *bad && e["change"] == "expired");
    emu.wait("message", |e| e["id"] == *good && e["change"] == "deleted");
    assert_eq!(emu.events("log", |e| e["text"] == r#"1 {"n":1}"#).len(), 1);
    assert_eq!(emu.events("log", |e| e["text"] == r#"2 {"fail":1}"#).len(), 1);
    until(&emu, "/_emu/queues/jobs", |queue| {
        queue["visible"] == 0 && queue["in_flight"] == 0
    });
}

fn groups_keep_their_order_and_wait_for_their_first(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = { from = \"jobs-fifo\", batch_size = 1 }\ntimeout = \"1s\"\n\
        [queues.jobs-fifo]\nfifo = true\nvisibility_timeout = \"1s\"\nmax_receives = 2\n";
    let emu = place.start(&[("emu.toml", manifest), ("functions/worker.js", WORKER)]);
    let message = |body: Value, group: &str| json!({"body": body, "group": group, "deduplication": body.to_string()});
    send(&emu, "jobs-fifo", &message(json!({"throw": "a0"}), "a"));
    for n in 1..6 {
        send(&emu, "jobs-fifo", &message(json!({"n": format!("a{n}")}), "a"));
        send(&emu, "jobs-fifo", &message(json!({"n": format!("b{n}")}), "b"));
    }
    for group in ["a", "b"] {
        emu.wait("log", |e| e["text"] == format!(r#"1 {{"n":"{group}5"}}"#));
    }
    let lines = |group: &str| -> Vec<String> {
        let logs = emu.events("log", |e| {
            e["text"]
                .as_str()
                .is_some_and(|text| text.contains(&format!("\"{group}")))
        });
        logs.iter()
            .map(|e| e["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let all = |group: &str| (1..6).map(|n| format!(r#"1 {{"n":"{group}{n}"}}"#)).collect::<Vec<_>>();
    let mut expected = vec![r#"1 {"throw":"a0"}"#.to_owned(), r#"2 {"throw":"a0"}"#.to_owned()];
    expected.extend(all("a"));
    assert_eq!(lines("a"), expected);
    assert_eq!(lines("b"), all("b"));
}

fn what_is_tried_again_later_keeps_its_place(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = { from = \"jobs\", batch_size = 1 }\ntimeout = \"2s\"\n\
        [queues.jobs]\nfifo = true\nvisibility_timeout = \"2s\"\n";
    let worker = "export default { queue(batch) {
        const [message] = batch.messages;
        console.log(`${message.attempts} ${message.body}`);
        if (message.body < 2 && message.attempts === 1) message.retry({ delaySeconds: 1 });
    } };";
    let emu = place.start(&[("emu.toml", manifest), ("functions/worker.js", worker)]);
    for n in 0..4 {
        send(
            &emu,
            "jobs",
            &json!({"body": n, "group": "g", "deduplication": n.to_string()}),
        );
    }
    emu.wait("log", |e| e["text"] == "1 3");
    until(&emu, "/_emu/queues/jobs", |queue| {
        queue["visible"] == 0 && queue["in_flight"] == 0
    });
    let lines = emu.events("log", |_| true);
    let lines: Vec<&str> = lines.iter().filter_map(|e| e["text"].as_str()).collect();
    assert_eq!(
        lines,
        ["1 0", "2 0", "1 1", "2 1", "1 2", "1 3"],
        "{}",
        emu.transcript()
    );
}

fn a_key_is_taken_once(place: &Place) {
    let emu = place.start(&[("emu.toml", "[queues.jobs-fifo]\nfifo = true\n")]);
    let message = |key: &str| json!({"body": "x", "group": "g", "deduplication": key});
    let first = send(&emu, "jobs-fifo", &message("order 1/\u{e9}"));
    assert_eq!(send(&emu, "jobs-fifo", &message("order 1/\u{e9}")), first);
    let other = send(&emu, "jobs-fifo", &message("order 2"));
    assert_ne!(other, first);
    let got = receive(&emu, "jobs-fifo", &json!({"max": 10}));
    let ids: Vec<&Value> = got.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(first), &json!(other)]);
    for message in &got {
        assert!(by_receipt(&emu, "jobs-fifo", "delete", message, "").status.is_success());
    }
    assert_eq!(
        send(&emu, "jobs-fifo", &message("order 1/\u{e9}")),
        first,
        "also when it is gone"
    );
    assert!(receive(&emu, "jobs-fifo", &json!({})).is_empty());
    let reset = emu.control_post("/_emu/reset", &json!({}));
    assert!(reset.status.is_success(), "{}", reset.text());
    let anew = send(&emu, "jobs-fifo", &message("order 1/\u{e9}"));
    assert_ne!(anew, first, "a reset forgets keys");
    let got = receive(&emu, "jobs-fifo", &json!({"max": 10}));
    assert!(got.len() == 1 && got[0]["id"] == anew, "{got:?}");
}

fn a_delay_is_waited_for(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = { from = \"jobs\", batch_size = 1 }\ntimeout = \"1s\"\n\
        [queues.jobs]\nvisibility_timeout = \"30s\"\nmax_receives = 1\n";
    let emu = place.start(&[("emu.toml", manifest), ("functions/worker.js", WORKER)]);
    let late = send(&emu, "jobs", &json!({"body": {"n": "late"}, "delay": "2s"}));
    let soon = send(&emu, "jobs", &json!({"body": {"n": "soon"}}));
    emu.wait("message", |e| e["id"] == *soon && e["change"] == "deleted");
    emu.wait("message", |e| e["id"] == *late && e["change"] == "deleted");
    let at = |change: &str| {
        let event = emu.wait("message", |e| e["id"] == *late && e["change"] == change);
        chrono::DateTime::parse_from_rfc3339(event["time"].as_str().unwrap_or_default()).expect("a time")
    };
    let waited = (at("received") - at("sent")).num_milliseconds();
    // A bus counts from when it took the message; that it was sent is noted when its answer is here.
    assert!(waited >= 1_900, "received {waited} ms after it was sent");
    emu.wait("log", |e| e["text"] == r#"1 {"n":"late"}"#);
}

fn a_queue_that_left_and_came_back_goes_on(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/worker.js\"\ntimeout = \"1m\"\n\
        queue = { from = \"jobs\", batch_size = 1, max_concurrency = 1 }\n[queues.jobs]\nfifo = true\nvisibility_timeout = \"1m\"\n";
    let worker = "export default { async queue(batch) {
        const { n } = batch.messages[0].body;
        console.log('did ' + n);
        if (n === 1) await new Promise((done) => setTimeout(done, 3000));
    } };";
    let emu = place.watching(&[("emu.toml", manifest), ("functions/worker.js", worker)]);
    send(
        &emu,
        "jobs",
        &json!({"body": {"n": 1}, "group": "a", "deduplication": "1"}),
    );
    send(
        &emu,
        "jobs",
        &json!({"body": {"n": 2}, "group": "b", "deduplication": "2"}),
    );
    emu.wait("log", |e| e["text"] == "did 1");
    emu.project.write("emu.toml", "[queues.other]\n");
    until(&emu, "/_emu/queues", |queues| queues[0]["name"] == "other");
    emu.project.write("emu.toml", manifest);
    emu.wait("log", |e| e["text"] == "did 2");
}

fn an_ordered_queue_goes_on_when_its_settings_or_its_function_change(place: &Place) {
    let worker = "[functions.worker]\nsource = \"functions/worker.js\"\ntimeout = \"5s\"\n\
        queue = { from = \"jobs\", batch_size = 1 }\n";
    let queue = "[queues.jobs]\nfifo = true\nvisibility_timeout = \"20s\"\n";
    let whole = format!("{worker}{queue}");
    let emu = place.watching(&[("emu.toml", &*whole), ("functions/worker.js", WORKER)]);
    let send = |n: u32| {
        let message = json!({"body": {"n": n}, "group": "g", "deduplication": n.to_string()});
        send(&emu, "jobs", &message)
    };
    let handled = |n: u32| emu.wait("log", |e| e["text"] == format!(r#"1 {{"n":{n}}}"#));
    send(1);
    handled(1);
    emu.project.write("emu.toml", &whole.replace("20s", "21s"));
    until(&emu, "/_emu/queues", |queues| {
        queues[0]["visibility_timeout_ms"] == 21_000.0
    });
    send(2);
    handled(2);
    // Whoever receives from outside takes it over, and hands it back to a function that comes.
    emu.project.write("emu.toml", queue);
    until(&emu, "/_emu/queues", |queues| queues[0]["consumer"].is_null());
    let id = send(3);
    let message = receive_some(&emu, "jobs");
    assert_eq!(message["id"], *id);
    assert!(by_receipt(&emu, "jobs", "delete", &message, "").status.is_success());
    emu.project.write("emu.toml", &whole);
    until(&emu, "/_emu/queues", |queues| queues[0]["consumer"] == "worker");
    send(4);
    handled(4);
}

fn a_batch_keeps_its_order_and_may_fill_a_queue(place: &Place) {
    let manifest = "[functions.sender]\nsource = \"functions/sender.js\"\nhttp = \"/\"\n\
        bind = { ORDERED = \"queue:ordered\", LOOSE = \"queue:loose\", PLAIN = \"queue:plain\" }\n\
        [queues.ordered]\nfifo = true\nmax_messages = 40\n[queues.loose]\nfifo = true\n[queues.plain]\nmax_messages = 40\n";
    let sender = "export default { async fetch(request, env) {
        const of = (more) => Array.from({ length: 40 }, (_, n) => ({ body: n, ...more(n) }));
        await env.ORDERED.sendBatch(of((n) => ({ groupId: 'g', deduplicationId: `${n}` })));
        await env.LOOSE.sendBatch(of(() => ({})));
        await env.PLAIN.sendBatch(of(() => ({})));
        return new Response('sent');
    } };";
    let emu = place.start(&[("emu.toml", manifest), ("functions/sender.js", sender)]);
    let sent = emu.get("/");
    assert_eq!(sent.text(), "sent");
    let bodies = |queue: &str| -> Vec<u64> {
        let seen = emu.control(&format!("/_emu/queues/{queue}/messages?max=100"));
        let seen = seen.as_array().expect("a list").iter();
        seen.filter_map(|message| message["body"].as_u64()).collect()
    };
    let all: Vec<u64> = (0..40).collect();
    assert_eq!(bodies("ordered"), all);
    assert_eq!(bodies("loose"), all, "without a group they are one");
    let mut plain = bodies("plain");
    plain.sort_unstable();
    assert_eq!(plain, all);
    until(&emu, "/_emu/queues/plain", |queue| queue["visible"] == 40);
    let more = emu.control_post("/_emu/queues/plain/messages", &json!({"body": 40}));
    assert_eq!(more.json()["error"]["code"], "queue-full", "{}", more.text());
}

fn a_full_queue_refuses(place: &Place) {
    let emu = place.start(&[("emu.toml", "[queues.jobs]\nmax_messages = 2\n")]);
    send(&emu, "jobs", &json!({"body": 1}));
    send(&emu, "jobs", &json!({"body": 2}));
    let third = emu.control_post("/_emu/queues/jobs/messages", &json!({"body": 3}));
    assert_eq!(third.status, StatusCode::INSUFFICIENT_STORAGE, "{}", third.text());
    assert_eq!(third.json()["error"]["code"], "queue-full", "{}", third.text());
    let message = receive(&emu, "jobs", &json!({})).remove(0);
    assert!(by_receipt(&emu, "jobs", "delete", &message, "").status.is_success());
    send(&emu, "jobs", &json!({"body": 3}));
}

fn a_queue_is_looked_into_and_emptied(place: &Place) {
    let emu = place.start(&[("emu.toml", PLAIN)]);
    let ids: Vec<String> = (0..3).map(|n| send(&emu, "jobs", &json!({"body": {"n": n}}))).collect();
    until(&emu, "/_emu/queues/jobs", |queue| queue["visible"] == 3);
    let seen = emu.control("/_emu/queues/jobs/messages");
    let seen: Vec<(&Value, &Value)> = seen
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| (&m["id"], &m["state"]))
        .collect();
    let expected: Vec<Value> = ids.iter().map(|id| json!(id)).collect();
    let expected: Vec<(&Value, Value)> = expected.iter().map(|id| (id, json!("visible"))).collect();
    assert_eq!(
        seen,
        expected.iter().map(|(id, state)| (*id, state)).collect::<Vec<_>>()
    );
    assert_eq!(
        emu.control("/_emu/queues/jobs/messages?max=2").as_array().map(Vec::len),
        Some(2)
    );
    let purged = emu.control_post("/_emu/queues/jobs/purge", &json!({}));
    assert!(purged.status.is_success(), "{}", purged.text());
    until(&emu, "/_emu/queues/jobs", |queue| queue["visible"] == 0);
    assert!(receive(&emu, "jobs", &json!({})).is_empty());
}

fn a_topic_hands_on_to_all_that_want_it(place: &Place) {
    let manifest = "[functions.worker]\nsource = \"functions/on.js\"\ntopic = \"news\"\n\
        [topics.news]\nqueues = [\"all\", { to = \"some\", filter = { plan = [\"pro\"] } }, { to = \"wrapped\", delivery = \"wrapped\" }]\n\
        [queues.all]\n[queues.some]\n[queues.wrapped]\n";
    let on = "export default { topic(message) { console.log('on ' + JSON.stringify(message.body)); } };";
    let on = on.replace("topic(message) {", "queue(batch) { const message = batch.messages[0];");
    let emu = place.start(&[("emu.toml", manifest), ("functions/on.js", &on)]);
    for (n, plan) in [(1, "pro"), (2, "free")] {
        let sent = emu.control_post(
            "/_emu/topics/news/messages",
            &json!({"body": {"n": n}, "attributes": {"plan": plan}}),
        );
        assert!(sent.status.is_success(), "{}", sent.text());
    }
    for n in 1..=2 {
        emu.wait("log", |e| e["text"] == format!(r#"on {{"n":{n}}}"#));
    }
    let bodies = |queue: &str, many: usize| {
        let path = format!("/_emu/queues/{queue}/messages");
        let seen = until(&emu, &path, |seen| {
            seen.as_array().is_some_and(|seen| seen.len() == many)
        });
        let mut bodies: Vec<Value> = seen
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| m["body"].clone())
            .collect();
        bodies.sort_by_key(ToString::to_string);
        bodies
    };
    assert_eq!(bodies("all", 2), [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(bodies("some", 1), [json!({"n": 1})]);
    let wrapped = bodies("wrapped", 2);
    assert_eq!(wrapped[0]["Type"], "Notification", "{wrapped:?}");
    assert_eq!(emu.events("log", |_| true).len(), 2);
}

/// Fails by `fail` in its event, else answers with what it got.
const JOB: &str = "export const handler = async (event) => {
  console.log('try ' + JSON.stringify(event));
  if (event.fail) throw new TypeError('as asked');
  return { got: event };
};";

fn events_end_at_their_destinations(place: &Place) {
    let manifest = "[functions.job]\nsource = \"functions/job.js\"\nmax_retries = 0\non_success = \"function:seen\"\non_failure = \"failed\"\n\
        [functions.seen]\nsource = \"functions/seen.js\"\n[queues.failed]\n";
    let seen =
        "export const handler = async (event) => { console.log('seen ' + JSON.stringify(event.responsePayload)); };";
    let emu = place.start(&[
        ("emu.toml", manifest),
        ("functions/job.js", JOB),
        ("functions/seen.js", seen),
    ]);
    let invoke = |event: &Value| {
        let accepted = emu.control_post("/_emu/functions/job/invoke-async", event);
        assert!(accepted.status.is_success(), "{}", accepted.text());
        accepted.json()["invocation"].as_str().expect("an id").to_owned()
    };
    let id = invoke(&json!({"n": 1}));
    emu.wait("invocation", |e| e["id"] == *id && e["outcome"] == "succeeded");
    emu.wait("log", |e| e["text"] == r#"seen {"got":{"n":1}}"#);
    invoke(&json!({"fail": true}));
    let failed = until(&emu, "/_emu/queues/failed/messages", |seen| {
        seen.as_array().is_some_and(|seen| seen.len() == 1)
    });
    assert_eq!(failed[0]["body"]["requestPayload"], json!({"fail": true}));
    assert_eq!(failed[0]["body"]["responsePayload"]["errorType"], "TypeError");
    assert_eq!(failed[0]["body"]["requestContext"]["approximateInvokeCount"], 1);
}

/// Cloudflare's try again at once.
fn an_event_is_tried_again(place: &Place) {
    let manifest = "[functions.job]\nsource = \"functions/job.js\"\nmax_retries = 1\non_failure = \"failed\"\n\
        [queues.failed]\n";
    let files = [("emu.toml", manifest), ("functions/job.js", JOB)];
    let emu = place.start_with(&files, &["--provider", "cloudflare-workers"]);
    let accepted = emu.control_post("/_emu/functions/job/invoke-async", &json!({"fail": 7}));
    assert!(accepted.status.is_success(), "{}", accepted.text());
    emu.wait("gave_up", |_| true);
    assert_eq!(
        emu.events("log", |e| e["text"] == r#"try {"fail":7}"#).len(),
        2,
        "{}",
        emu.transcript()
    );
    let failed = until(&emu, "/_emu/queues/failed/messages", |seen| {
        seen.as_array().is_some_and(|seen| seen.len() == 1)
    });
    assert_eq!(failed[0]["body"]["requestContext"]["approximateInvokeCount"], 2);
}

fn values_are_kept_listed_and_expire(place: &Place) {
    let emu = place.start(&[("emu.toml", "[kv.carts]\n")]);
    let put = |key: &str, more: Value| {
        let mut ask = json!({"key": key, "value": format!("v {key}")});
        ask.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let put = emu.control_post("/_emu/kv/carts/put", &ask);
        assert!(put.status.is_success(), "{}", put.text());
    };
    let get = |key: &str| {
        let url = format!("{}/_emu/kv/carts/value?key={key}", emu.control_url());
        crate::harness::request(http::Method::GET, &url, &[], String::new())
    };
    for key in ["user:2", "user:1", "other", "user:10", "a.b", "user:\u{e9}"] {
        put(key, json!({"metadata": {"of": key}}));
    }
    put("user:2", json!({}));
    put("user:3", json!({"ttl": "2s"}));
    let list = |query: &str| emu.control(&format!("/_emu/kv/carts?{query}"));
    let names = |page: &Value| -> Vec<String> {
        let keys = page["keys"].as_array().expect("keys").iter();
        keys.map(|key| key["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        names(&list("prefix=user:")),
        ["user:1", "user:10", "user:2", "user:3", "user:\u{e9}"]
    );
    let first = list("prefix=user:&limit=2");
    assert_eq!(names(&first), ["user:1", "user:10"]);
    let cursor = first["cursor"].as_str().expect("more");
    assert_eq!(
        names(&list(&format!("prefix=user:&limit=1&cursor={cursor}"))),
        ["user:2"]
    );
    assert_eq!(names(&list("prefix=a.")), ["a.b"]);
    until(&emu, "/_emu/kv/carts?prefix=user:3", |page| page["keys"] == json!([]));
    assert_eq!(get("user:3").status, StatusCode::NOT_FOUND);
    assert!(
        emu.control_post("/_emu/kv/carts/delete", &json!({"key": "other"}))
            .status
            .is_success()
    );
    assert_eq!(get("other").status, StatusCode::NOT_FOUND);
    assert_eq!(get("a.b").status, StatusCode::OK);
}

fn large_and_strange_bodies_come_through(place: &Place) {
    let emu = place.start(&[("emu.toml", PLAIN)]);
    let large = "x".repeat(200_000);
    for body in [
        json!(large),
        json!(""),
        json!("line\r\nbreak \u{1f600}"),
        json!([1, null]),
    ] {
        send(
            &emu,
            "jobs",
            &json!({"body": body, "attributes": {"note": "a\r\nb \u{e9}"}}),
        );
        let message = receive(&emu, "jobs", &json!({})).remove(0);
        assert_eq!(message["body"], body);
        assert_eq!(message["attributes"]["note"], "a\r\nb \u{e9}");
        assert!(by_receipt(&emu, "jobs", "delete", &message, "").status.is_success());
    }
    // A message that is refused leaves nothing behind.
    let huge = "x".repeat(2 << 20);
    let refused = emu.control_post("/_emu/queues/jobs/messages", &json!({"body": huge}));
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.text());
    assert!(receive(&emu, "jobs", &json!({})).is_empty());
}
