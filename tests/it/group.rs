//! Several emulators on one NATS server: who does what, who takes over, and what is said when the server is not what it should be.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Emu, Project};
use crate::nats::Nats;

const WORKER: &str = r"
export default {
  async queue(batch) {
    for (const message of batch.messages) {
      console.log(`did ${message.body.n}`);
      if (message.body.stay) await new Promise((done) => setTimeout(done, 600_000));
    }
  },
};
";

fn manifest(more: &str) -> String {
    format!("[project]\nname = \"shop\"\n{more}")
}

const QUEUE: &str = "[functions.worker]\nsource = \"functions/worker.js\"\ntimeout = \"10m\"\n\
    queue = { from = \"jobs\", batch_size = 1, max_concurrency = 2 }\n[queues.jobs]\nvisibility_timeout = \"15m\"\n";

fn member(nats: &Nats, manifest: &str) -> Emu {
    let files = [("emu.toml", manifest), ("functions/worker.js", WORKER)];
    Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()])
}

fn send(emu: &Emu, body: &Value) {
    let sent = emu.control_post("/_emu/queues/jobs/messages", &json!({"body": body}));
    assert!(sent.status.is_success(), "{}", sent.text());
}

fn done(emu: &Emu) -> Vec<u64> {
    let logs = emu.events("log", |_| true);
    let number = |e: &Value| e["text"].as_str()?.strip_prefix("did ")?.parse().ok();
    logs.iter().filter_map(number).collect()
}

/// Looks until it is so.
#[track_caller]
fn until(emus: &[&Emu], fits: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fits() {
        let said = || emus.iter().map(|emu| emu.transcript()).collect::<String>();
        assert!(std::time::Instant::now() < deadline, "{}", said());
        std::thread::yield_now();
    }
}

#[test]
fn members_share_a_queue_and_each_message_runs_once() {
    let nats = Nats::start();
    let manifest = manifest(&QUEUE.replace("max_concurrency = 2", "max_concurrency = 1"));
    let (first, second) = (member(&nats, &manifest), member(&nats, &manifest));
    let emus = [&first, &second];
    // The one place of whoever takes this is taken from then on, so that the rest is the other's.
    send(&first, &json!({"n": 0, "stay": true}));
    until(&emus, || done(&first).len() + done(&second).len() == 1);
    for n in 1..11 {
        send(&first, &json!({"n": n}));
    }
    until(&emus, || done(&first).len() + done(&second).len() == 11);
    let (mut one, mut other) = (done(&first), done(&second));
    if one.len() > other.len() {
        std::mem::swap(&mut one, &mut other);
    }
    other.sort_unstable();
    assert_eq!((one, other), (vec![0], (1..11).collect()));
}

#[test]
fn what_a_dead_member_held_comes_to_another() {
    let nats = Nats::start();
    let manifest = manifest(
        &QUEUE
            .replace("\"15m\"", "\"2s\"")
            .replace("timeout = \"10m\"", "timeout = \"2s\""),
    );
    let first = member(&nats, &manifest);
    send(&first, &json!({"n": 1, "stay": true}));
    first.wait("log", |e| e["text"] == "did 1");
    let _gone = first.kill();
    let second = member(&nats, &manifest);
    second.wait("log", |e| e["text"] == "did 1");
    let received = second.wait("message", |e| e["change"] == "received");
    assert_eq!(received["receive_count"], 2, "the dead one had received it");
}

#[test]
fn an_instant_of_a_cron_is_one_members() {
    let nats = Nats::start();
    let manifest = manifest("[functions.worker]\nsource = \"functions/worker.js\"\ncron = \"*/1 * * * * *\"\n");
    let files = [
        ("emu.toml", &*manifest),
        ("functions/worker.js", "export default { scheduled() {} };"),
    ];
    let start = || {
        let args = ["--no-watch", "--provider", "azure-functions", "--bus", &nats.url()];
        Project::new(&files).start_with(&args)
    };
    let members = [start(), start()];
    let fired = || {
        let mut instants: BTreeMap<String, usize> = BTreeMap::new();
        for member in &members {
            for event in member.events("invocation", |e| e["trigger"] == "cron") {
                *instants.entry(event["summary"].to_string()).or_default() += 1;
            }
        }
        instants
    };
    until(&[&members[0], &members[1]], || fired().len() >= 4);
    let fired = fired();
    assert!(fired.values().all(|times| *times == 1), "{fired:?}");
}

#[test]
fn a_server_that_comes_back_has_everything() {
    let nats = Nats::start();
    let manifest = manifest("[queues.jobs]\n[queues.other]\n[kv.carts]\n");
    let emu = member(&nats, &manifest);
    for n in 0..5 {
        send(&emu, &json!({"n": n}));
    }
    let put = emu.control_post("/_emu/kv/carts/put", &json!({"key": "k", "value": "v"}));
    assert!(put.status.is_success(), "{}", put.text());
    let stopped = nats.kill();
    emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("is away"))
    });
    // Both are given up after a while.
    std::thread::scope(|threads| {
        for (act, body) in [("jobs/messages", json!({"body": 1})), ("other/purge", json!({}))] {
            let emu = &emu;
            threads.spawn(move || {
                let refused = emu.control_post(&format!("/_emu/queues/{act}"), &body);
                assert_eq!(refused.status.as_u16(), 503, "{}", refused.text());
                assert_eq!(refused.json()["error"]["code"], "bus-away");
            });
        }
    });
    let _nats = stopped.start();
    emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("is back"))
    });
    let got = emu.control_post("/_emu/queues/jobs/receive", &json!({"max": 10}));
    let mut numbers: Vec<u64> = got
        .json()
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["body"]["n"].as_u64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4], "{}", got.text());
    assert_eq!(emu.control("/_emu/kv/carts/value?key=k")["value"], "v");
}

#[test]
fn a_member_that_stops_hands_over_at_once() {
    let nats = Nats::start();
    let manifest = manifest(QUEUE);
    let first = member(&nats, &manifest);
    send(&first, &json!({"n": 1, "stay": true}));
    first.wait("log", |e| e["text"] == "did 1");
    // Its visibility timeout is fifteen minutes, and a silent member has half a minute.
    first.interrupt();
    first.end();
    let second = member(&nats, &manifest);
    let before = std::time::Instant::now();
    second.wait("log", |e| e["text"] == "did 1");
    assert!(before.elapsed().as_secs() < 20, "{:?}", before.elapsed());
}

#[test]
fn what_nobody_has_seen_before_a_stop_was_not_received() {
    let nats = Nats::start();
    let once = "max_receives = 1\ndead_letter = \"dead\"\n[queues.dead]\n";
    let run = format!("{QUEUE}{once}");
    let slow = run.replace(
        "batch_size = 1, max_concurrency = 2",
        "batch_size = 10, batch_window = \"5m\"",
    );
    let first = member(&nats, &manifest(&slow));
    send(&first, &json!({"n": 1}));
    until(&[&first], || first.control("/_emu/members")[0]["holds"] == 1);
    first.interrupt();
    first.end();
    let second = member(&nats, &manifest(&run));
    let received = second.wait("message", |e| {
        e["change"] == "received" || e["change"] == "dead_lettered"
    });
    assert_eq!(
        (&received["change"], &received["receive_count"]),
        (&json!("received"), &json!(1))
    );
    second.wait("log", |e| e["text"] == "did 1");
    assert_eq!(messages(&nats, "emu-shop-queue-dead"), 0);
}

#[test]
fn what_a_member_has_no_function_for_any_more_goes_to_another() {
    let nats = Nats::start();
    let slow = QUEUE.replace(
        "batch_size = 1, max_concurrency = 2",
        "batch_size = 10, batch_window = \"5m\"",
    );
    let with = manifest(&slow);
    let files = [("emu.toml", &*with), ("functions/worker.js", WORKER)];
    let first = Project::new(&files).start_with(&["--bus", &nats.url()]);
    send(&first, &json!({"n": 1}));
    until(&[&first], || first.control("/_emu/members")[0]["holds"] == 1);
    let second = member(&nats, &manifest(QUEUE));
    let without = manifest("[queues.jobs]\nvisibility_timeout = \"15m\"\n");
    first.project.write("emu.toml", &without);
    second.wait("log", |e| e["text"] == "did 1");
    let received = second.wait("message", |e| e["change"] == "received");
    assert_eq!(received["receive_count"], 1, "nobody had seen it");
}

#[test]
fn ps_and_bill_show_the_whole_group() {
    let nats = Nats::start();
    let manifest = manifest("[functions.worker]\nsource = \"functions/worker.js\"\nhttp = \"/\"\n");
    let files = [
        ("emu.toml", &*manifest),
        (
            "functions/worker.js",
            "export default { fetch() { return new Response('x'); } };",
        ),
    ];
    let start = || Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let (first, second) = (start(), start());
    assert_eq!(second.get("/").status.as_u16(), 200);
    until(&[&first, &second], || {
        first.control("/_emu/members")[1]["invocations"] == 1
    });
    let members = first.control("/_emu/members");
    assert_eq!(members[1]["control_url"], second.control_url());
    assert_ne!(members[0]["name"], members[1]["name"]);
    let ps = first.command(["ps"]);
    let ps = String::from_utf8_lossy(&ps.stdout).into_owned();
    assert!(ps.contains("(this)") && ps.contains(&second.control_url()), "{ps}");
    let bill = first.command(["bill"]);
    let bill = String::from_utf8_lossy(&bill.stdout).into_owned();
    assert!(
        bill.contains("2 members of the group together: 1 invocation,"),
        "{bill}"
    );
    second.interrupt();
    second.end();
    assert_eq!(first.control("/_emu/members").as_array().map(Vec::len), Some(1));
}

#[test]
fn an_ordered_queue_that_left_one_manifest_is_handed_out_by_another_member() {
    let nats = Nats::start();
    let manifest = manifest("[queues.jobs]\nfifo = true\n");
    let first = Project::new(&[("emu.toml", &*manifest)]).start_with(&["--bus", &nats.url()]);
    let second = member(&nats, &manifest);
    for n in 1..=2 {
        let message = json!({"body": {"n": n}, "group": n.to_string(), "deduplication": n.to_string()});
        let sent = first.control_post("/_emu/queues/jobs/messages", &message);
        assert!(sent.status.is_success(), "{}", sent.text());
    }
    let receive = |emu: &Emu| emu.control_post("/_emu/queues/jobs/receive", &json!({}));
    until(&[&first], || receive(&first).json()[0]["body"] == json!({"n": 1}));
    let refused = receive(&second);
    assert!(refused.text().contains(&first.control_url()), "{}", refused.text());
    first.project.write("emu.toml", "[project]\nname = \"shop\"\n");
    until(&[&first, &second], || receive(&second).json()[0]["body"].is_object());
}

#[test]
fn an_expired_value_takes_nothing_with_it_that_came_after_it() {
    const KEYS: usize = 100;
    let nats = Nats::start();
    let emu = member(&nats, &manifest("[kv.carts]\n"));
    let put = |key: &str| {
        let put = emu.control_post("/_emu/kv/carts/put", &json!({"key": key, "value": "new"}));
        assert!(put.status.is_success(), "{}", put.text());
    };
    put("makes-the-bucket");
    let subject = |key: &str| format!("$KV.emu-shop-kv-carts.{key}");
    let expired = |key: String| {
        nats.ask(|broker| async move {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Emu", r#"{"expires_at":1}"#);
            let sent = broker.publish_with_headers(subject(&key), headers, "old".into());
            sent.await.expect("sent").await.expect("taken")
        })
    };
    let entries = || {
        nats.ask(|broker| async move {
            let stream = broker.get_stream("KV_emu-shop-kv-carts").await.expect("a stream");
            stream.cached_info().state.messages
        })
    };
    let keys: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).collect();
    for key in &keys {
        expired(key.clone());
    }
    let value = |key: &str| {
        let url = format!("{}/_emu/kv/carts/value?key={key}", emu.control_url());
        crate::harness::request(http::Method::GET, &url, &[], String::new())
    };
    let together = std::sync::Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for key in &keys {
                together.wait();
                let found = value(key);
                assert!(
                    found.status.as_u16() == 404 || found.json()["value"] == "new",
                    "{}",
                    found.text()
                );
            }
        });
        for key in &keys {
            together.wait();
            put(key);
        }
    });
    let lost: Vec<&String> = keys.iter().filter(|key| value(key).status.as_u16() != 200).collect();
    assert_eq!(lost, Vec::<&String>::new());
    // A list drops what it comes across, and only that.
    for key in ["x", "y", "z"] {
        expired(key.to_owned());
    }
    assert_eq!(entries(), KEYS as u64 + 4);
    let listed = emu.control("/_emu/kv/carts?limit=1000");
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(KEYS + 1), "{listed}");
    assert_eq!(entries(), KEYS as u64 + 1);
}

#[test]
fn what_a_topic_hands_on_is_named_by_where_it_goes() {
    let nats = Nats::start();
    let on = |name: &str| format!("[functions.{name}]\nsource = \"functions/worker.js\"\ntopic = \"news\"\n");
    let manifest = manifest(&format!(
        "{}{}[topics.news]\nqueues = [\"first\", \"second\"]\n[queues.first]\n[queues.second]\n",
        on("a"),
        on("b")
    ));
    let emu = member(&nats, &manifest);
    let heard = nats.listen("emu.shop.*.*", 5);
    let sent = emu.control_post("/_emu/topics/news/messages", &json!({"body": {"n": 1}}));
    assert!(sent.status.is_success(), "{}", sent.text());
    // Whoever hands it on again, with its subscriptions in another order, publishes under the same names.
    let mut heard = heard.join().expect("what is published");
    heard.retain(|(subject, _)| subject != "emu.shop.topic.news");
    heard.sort();
    let expected = [
        ("emu.shop.event.a", "f1-a"),
        ("emu.shop.event.b", "f1-b"),
        ("emu.shop.queue.first", "f1"),
        ("emu.shop.queue.second", "f1"),
    ];
    let expected = expected.map(|(subject, id)| (subject.to_owned(), id.to_owned()));
    assert_eq!(heard, expected);
}

/// Sets a queue's stream up as somebody with the broker's own tools might.
fn limit(nats: &Nats, queue: &str, limit: impl Fn(&mut async_nats::jetstream::stream::Config)) {
    let name = format!("emu-shop-queue-{queue}");
    nats.ask(|broker| async move {
        let stream = broker.get_stream(name).await.expect("a stream");
        let mut config = stream.cached_info().config.clone();
        limit(&mut config);
        broker.update_stream(config).await.expect("a limit");
    });
}

fn messages(nats: &Nats, stream: &str) -> u64 {
    nats.ask(|broker| async move {
        let stream = broker.get_stream(stream).await.expect("a stream");
        stream.cached_info().state.messages
    })
}

#[test]
fn a_queue_that_takes_nothing_holds_up_nothing_else() {
    let nats = Nats::start();
    let more = "[topics.news]\nqueues = [\"full\"]\n[queues.full]\n[queues.other]\n\
        [functions.failing]\nsource = \"functions/failing.js\"\nqueue = \"bad\"\ntimeout = \"1s\"\n\
        [queues.bad]\nvisibility_timeout = \"1s\"\nmax_receives = 1\ndead_letter = \"full\"\n";
    let with = manifest(&format!("{QUEUE}{more}"));
    let failing = "export default { queue() { throw new Error('no'); } };";
    let files = [
        ("emu.toml", &*with),
        ("functions/worker.js", WORKER),
        ("functions/failing.js", failing),
    ];
    let emu = Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let post = |path: &str, body: &Value| {
        let answer = emu.control_post(path, body);
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()
    };
    let heard = nats.listen("emu.shop.queue.full", 3);
    post("/_emu/queues/full/messages", &json!({"body": {"n": 0}}));
    limit(&nats, "full", |config| {
        config.max_messages = 1;
        config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    });
    post("/_emu/queues/bad/messages", &json!({"body": {"n": 4}}));
    emu.wait("message", |e| e["change"] == "dead_lettered");
    post("/_emu/topics/news/messages", &json!({"body": {"n": 1}}));
    heard.join().expect("the copy is published, and not taken");
    send(&emu, &json!({"n": 2}));
    emu.wait("log", |e| e["text"] == "did 2");
    post("/_emu/queues/other/messages", &json!({"body": {"n": 3}}));
    let got = post("/_emu/queues/other/receive", &json!({}));
    assert_eq!(got[0]["body"]["n"], 3);
    post("/_emu/queues/other/delete", &json!({"receipt": got[0]["receipt"]}));
    emu.wait("notice", |e| {
        let said = e["message"].as_str().unwrap_or_default();
        said.contains("what goes to queue full waits") && said.contains("maximum messages exceeded")
    });
    assert_eq!(messages(&nats, "emu-shop-topics"), 1, "what it came from waits as well");
    let held = nats.ask(|broker| async move {
        let stream = broker.get_stream("emu-shop-queue-bad").await.expect("a stream");
        stream.consumer_info("members").await.expect("a consumer")
    });
    // The broker waits for a second without a sign of life.
    assert_eq!((held.num_ack_pending, held.num_redelivered), (1, 0), "{held:?}");
    limit(&nats, "full", |config| config.max_messages = -1);
    until(&[&emu], || {
        messages(&nats, "emu-shop-topics") + messages(&nats, "emu-shop-queue-bad") == 0
    });
    assert_eq!(messages(&nats, "emu-shop-queue-full"), 3);
}

/// Its records find no room, so nothing that it has done is over; the rest waits on the bus.
#[test]
fn a_function_whose_ends_are_not_taken_gets_no_more_events() {
    const ALL: u64 = 1_200;
    let nats = Nats::start();
    let more = "[functions.copier]\nsource = \"functions/copier.js\"\ntopic = \"news\"\non_success = \"full\"\n\
        [topics.news]\n[queues.full]\n";
    let files = [
        ("emu.toml", &*manifest(more)),
        ("functions/copier.js", "export default { queue() {} };"),
    ];
    let emu = Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let sent = emu.control_post("/_emu/queues/full/messages", &json!({"body": {}}));
    assert!(sent.status.is_success(), "{}", sent.text());
    limit(&nats, "full", |config| {
        config.max_messages = 1;
        config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
    });
    let event = |n| json!({"specversion": "1.0", "type": "copied", "source": "/shop", "id": format!("e{n}")});
    let events = Value::from_iter((0..ALL).map(event)).to_string();
    let url = format!("{}/_emu/topics/news/messages", emu.control_url());
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let sent = crate::harness::request(http::Method::POST, &url, &batch, events);
    assert!(sent.status.is_success(), "{}", sent.text());
    let ended = || emu.events("invocation", |e| e["function"] == "copier").len() as u64;
    let held = || {
        nats.ask(|broker| async move {
            let stream = broker.get_stream("emu-shop-events").await.expect("a stream");
            let consumer = stream.consumer_info("copier").await.expect("a consumer");
            consumer.num_ack_pending as u64
        })
    };
    // All that came has run, and is not over.
    until(&[&emu], || {
        let ended = ended();
        ended >= 1_000 && ended == held()
    });
    let rest = ALL - held();
    assert!(rest > 0, "all of it was brought");
    assert_eq!(messages(&nats, "emu-shop-queue-full"), 1);
    limit(&nats, "full", |config| config.max_messages = -1);
    until(&[&emu], || messages(&nats, "emu-shop-queue-full") == ALL + 1);
}

#[test]
fn what_the_bus_never_takes_is_told_and_done_with() {
    let nats = Nats::start();
    let more = "[topics.news]\nqueues = [\"small\", \"other\"]\n[queues.small]\n[queues.other]\n";
    let emu = member(&nats, &manifest(more));
    let sent = emu.control_post("/_emu/queues/small/messages", &json!({"body": 1}));
    assert!(sent.status.is_success(), "{}", sent.text());
    limit(&nats, "small", |config| config.max_message_size = 400);
    let body = json!({"body": "x".repeat(400)});
    let sent = emu.control_post("/_emu/topics/news/messages", &body);
    assert!(sent.status.is_success(), "{}", sent.text());
    let told = emu.wait("notice", |e| {
        e["message"].as_str().is_some_and(|text| text.contains("is dropped"))
    });
    let told = told["message"].as_str().unwrap_or_default();
    assert!(
        told.contains("on its way to queue small") && told.contains("raise the max_msg_size"),
        "{told}"
    );
    // What it came from would lead to the same for ever.
    until(&[&emu], || messages(&nats, "emu-shop-topics") == 0);
    assert_eq!(messages(&nats, "emu-shop-queue-other"), 1);
    let refused = emu.control_post("/_emu/queues/small/messages", &body);
    assert!(!refused.status.is_success(), "{}", refused.text());
    assert!(refused.text().contains("raise the max_msg_size"), "{}", refused.text());
    // What is accepted fits as a dead letter too, which says where it is from.
    let whole = json!({"body": "x".repeat((1 << 20) - 600)});
    let refused = emu.control_post("/_emu/queues/other/messages", &whole);
    assert!(refused.text().contains("raise its max_payload"), "{}", refused.text());
}

#[test]
fn who_sees_a_smaller_cluster_takes_no_copies_away() {
    let cluster = Nats::cluster();
    let nats = &cluster[0];
    let streams = ["emu-shop-queue-jobs", "KV_emu-shop-meta", "KV_emu-shop-kv-carts"];
    // Begun by somebody who saw all three; emu sees the one that it is told of, as when the others are down.
    nats.ask(|broker| async move {
        let config = async_nats::jetstream::kv::Config {
            bucket: "emu-shop-meta".to_owned(),
            num_replicas: 3,
            ..async_nats::jetstream::kv::Config::default()
        };
        // Until the three have found each other.
        while broker.create_key_value(config.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    let emu = member(nats, &manifest("[queues.jobs]\n[kv.carts]\n"));
    send(&emu, &json!({"n": 1}));
    let put = emu.control_post("/_emu/kv/carts/put", &json!({"key": "k", "value": "v"}));
    assert!(put.status.is_success(), "{}", put.text());
    let copies = nats.ask(|broker| async move {
        let mut copies = Vec::new();
        for name in streams {
            let stream = broker.get_stream(name).await.expect("a stream");
            copies.push((name, stream.cached_info().config.num_replicas));
        }
        copies
    });
    assert_eq!(copies, streams.map(|name| (name, 3)));
}

#[test]
fn a_group_is_idle_when_all_of_it_is() {
    const CHAIN: &str = r"
export default {
  async queue(batch, env) {
    for (const { body } of batch.messages) {
      if (body.stay) while (!(await env.KV.get('go'))) await new Promise((done) => setTimeout(done, 20));
      if (body.left > 0) await env.JOBS.send({ ...body, left: body.left - 1 });
      else await env.KV.put(`end-${body.n}`, 'reached');
    }
  },
};
";
    let nats = Nats::start();
    let works = "[functions.worker]\nsource = \"functions/worker.js\"\nqueue = \"jobs\"\nbind = { JOBS = \"queue:jobs\", KV = \"kv:seen\" }\n";
    let shared = "[queues.jobs]\n[kv.seen]\n";
    let files = [
        ("emu.toml", &*manifest(&format!("{works}{shared}"))),
        ("functions/worker.js", CHAIN),
    ];
    let start = |files: &[(&str, &str)]| Project::new(files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let workers = [start(&files), start(&files)];
    // It has none of the functions, and asks for what the others do.
    let asks = start(&[("emu.toml", &*manifest(shared))]);
    let idle = |timeout: &str| {
        let url = format!("{}/_emu/idle?timeout={timeout}", asks.control_url());
        crate::harness::request(http::Method::GET, &url, &[], String::new())
    };
    send(&asks, &json!({"n": 0, "left": 0, "stay": true}));
    until(&[&workers[0], &workers[1]], || {
        let members = asks.control("/_emu/members");
        members
            .as_array()
            .into_iter()
            .flatten()
            .any(|member| member["running"]["worker"] == 1)
    });
    let busy = idle("1s");
    assert_eq!(busy.status.as_u16(), 408, "{}", busy.text());
    assert!(
        busy.text().contains("1 invocation is running or waiting"),
        "{}",
        busy.text()
    );
    let put = asks.control_post("/_emu/kv/seen/put", &json!({"key": "go", "value": "now"}));
    assert!(put.status.is_success(), "{}", put.text());
    // From queue to queue and from member to member: idle is when the end is reached, and not before.
    for n in 1..=8 {
        send(&asks, &json!({"n": n, "left": 6}));
        let rest = idle("30s");
        assert_eq!(rest.status.as_u16(), 200, "{}", rest.text());
        assert_eq!(
            asks.control(&format!("/_emu/kv/seen/value?key=end-{n}"))["value"],
            "reached"
        );
    }
    let url = format!(
        "{}/_emu/idle?caused_by=00000000-0000-0000-0000-000000000001",
        asks.control_url()
    );
    let refused = crate::harness::request(http::Method::GET, &url, &[], String::new());
    assert!(refused.status.is_client_error(), "{}", refused.text());
    // One that is stopped where it is may do anything yet.
    workers[1].pause(true);
    let silent = idle("3s");
    workers[1].pause(false);
    assert!(silent.text().contains("no answer from member"), "{}", silent.text());
}

fn notice(emu: &Emu, text: &'static str) -> Value {
    emu.wait("notice", move |e| {
        e["message"].as_str().is_some_and(|said| said.contains(text))
    })
}

#[test]
fn a_stream_that_somebody_deletes_is_made_again_and_told() {
    let nats = Nats::start();
    let emu = member(&nats, &manifest(QUEUE));
    send(&emu, &json!({"n": 1}));
    emu.wait("log", |e| e["text"] == "did 1");
    nats.ask(|broker| async move {
        broker.delete_stream("emu-shop-queue-jobs").await.expect("deleted");
    });
    send(&emu, &json!({"n": 2}));
    emu.wait("log", |e| e["text"] == "did 2");
    notice(&emu, "has lost emu-shop-queue-jobs");
}

#[test]
fn a_server_that_comes_back_empty_is_filled_again_and_told() {
    let nats = Nats::start();
    let manifest = manifest(&format!("{QUEUE}[kv.carts]\n"));
    let first = member(&nats, &manifest);
    let put = |value: &str| {
        let put = first.control_post("/_emu/kv/carts/put", &json!({"key": "k", "value": value}));
        put.status.is_success()
    };
    assert!(put("before"));
    let nats = nats.kill().start_empty();
    notice(&first, "has lost");
    until(&[&first], || put("after"));
    send(&first, &json!({"n": 1}));
    first.wait("log", |e| e["text"] == "did 1");
    // Who comes now is told from those that were here.
    let second = member(&nats, &manifest);
    let members = second.control("/_emu/members");
    assert_ne!(members[0]["name"], first.control("/_emu/members")[0]["name"]);
    assert_eq!(second.control("/_emu/kv/carts/value?key=k")["value"], "after");
}

#[test]
fn members_whose_queues_differ_are_told() {
    let nats = Nats::start();
    let standard = Project::new(&[("emu.toml", &*manifest("[queues.jobs]\n"))]).start_with(&["--bus", &nats.url()]);
    let fifo =
        Project::new(&[("emu.toml", &*manifest("[queues.jobs]\nfifo = true\n"))]).start_with(&["--bus", &nats.url()]);
    for emu in [&standard, &fifo] {
        let said = notice(emu, "queue jobs is ");
        assert_eq!(said["level"], "warning", "{said}");
    }
}

#[test]
fn a_bus_without_room_says_so() {
    let nats = Nats::limited(200_000);
    let emu = member(&nats, &manifest("[kv.carts]\n[queues.jobs]\n"));
    let put = |n: usize| {
        emu.control_post(
            "/_emu/kv/carts/put",
            &json!({"key": n.to_string(), "value": "x".repeat(40_000)}),
        )
    };
    let refused = (0..10).map(put).find(|put| !put.status.is_success()).expect("a limit");
    assert_eq!(refused.status.as_u16(), 507, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "bus-full", "{}", refused.text());
    let message = json!({"body": "x".repeat(40_000)});
    let refused = emu.control_post("/_emu/queues/jobs/messages", &message);
    assert_eq!(refused.json()["error"]["code"], "bus-full", "{}", refused.text());
}

#[test]
fn a_server_that_asks_who_comes_is_told_by_the_url() {
    let nats = Nats::guarded("me", "p@ss");
    let url = |who: &str| nats.url().replace("nats://", &format!("nats://{who}"));
    let (_, nobody) = refusal(&["--bus", &url("")]);
    assert!(nobody.contains("nats://USER:PASSWORD@HOST:4222"), "{nobody}");
    let (_, wrong) = refusal(&["--bus", &url("me:wrong@")]);
    assert!(
        wrong.contains("does not take the user and password") && !wrong.contains("me:wrong"),
        "{wrong}"
    );
    let emu = Project::new(&[("emu.toml", &*manifest("[queues.jobs]\n"))]).start_with(&["--bus", &url("me:p%40ss@")]);
    send(&emu, &json!({"n": 1}));
}

/// What `emu dev` says when it cannot start.
fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let project = Project::new(&[("emu.toml", "[queues.jobs]\n")]);
    let mut command = crate::harness::emu(project.path());
    command.args(["dev", "--port", "0", "--control-port", "0"]).args(args);
    let output = command.output().expect("run emu");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_server_that_will_not_do_is_told_with_the_remedy() {
    let (code, away) = refusal(&["--bus", "nats://user:secret@127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{away}");
    assert!(
        away.contains("no NATS server answers") && away.contains("nats-server -js"),
        "{away}"
    );
    assert!(away.contains("127.0.0.1:1") && !away.contains("secret"), "{away}");
    let nats = Nats::without_jetstream();
    let (_, plain) = refusal(&["--bus", &nats.url()]);
    assert!(plain.contains("no JetStream") && plain.contains("-js"), "{plain}");
    let (code, clock) = refusal(&["--bus", &nats.url(), "--clock", "manual"]);
    assert_eq!(code, Some(2), "{clock}");
    assert!(clock.contains("wall clock") && clock.contains("--bus none"), "{clock}");
    let (_, typo) = refusal(&["--bus", "nat://h:4222"]);
    assert!(typo.contains("nats://HOST:4222"), "{typo}");
    let (code, port) = refusal(&["--bus", "nats://h:42o2"]);
    assert_eq!(code, Some(2), "{port}");
    assert!(port.contains("`42o2` is no port"), "{port}");
    let (code, scheme) = refusal(&["--bus", "amqp://h"]);
    assert_eq!(code, Some(2), "{scheme}");
    assert!(scheme.contains("it speaks to NATS"), "{scheme}");
}

#[test]
fn an_old_server_is_told_from_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let info = format!(
                r#"INFO {{"server_id":"x","server_name":"x","version":"2.2.6","go":"","host":"127.0.0.1","port":{port},"max_payload":1048576,"proto":1,"headers":true,"client_id":1}}"#
            );
            let _ = stream.write_all(format!("{info}\r\n").as_bytes());
            let mut read = [0; 1_024];
            while let Ok(1..) = stream.read(&mut read) {
                let _ = stream.write_all(b"PONG\r\n");
            }
        }
    });
    let (_, old) = refusal(&["--bus", &format!("nats://127.0.0.1:{port}")]);
    assert!(old.contains("version 2.2.6") && old.contains("2.10 or newer"), "{old}");
}

#[test]
fn numbers_that_two_members_count_up_lose_nothing() {
    const TIMES: usize = 10;
    let nats = Nats::start();
    let manifest = manifest(
        "[functions.counter]\nsource = \"functions/counter.wat\"\nbind = { VISITS = \"kv:visits\" }\n[kv.visits]\n",
    );
    let component = include_str!("../../fixtures/wasm/keyvalue.wat");
    let files = [("emu.toml", &*manifest), ("functions/counter.wat", component)];
    let start = || Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let emus = [start(), start()];
    std::thread::scope(|threads| {
        for emu in emus.iter().chain(&emus) {
            threads.spawn(move || {
                for _ in 0..TIMES {
                    let run = emu.control_post("/_emu/functions/counter/invoke", &json!({}));
                    assert_eq!(run.json()["invocation"]["outcome"], "succeeded", "{}", run.text());
                }
            });
        }
    });
    // Each adds five; two at a time at each of two.
    let sum = (4 * TIMES * 5).to_string();
    for emu in &emus {
        assert_eq!(emu.control("/_emu/kv/visits/value?key=count")["value"], sum);
    }
}

#[test]
fn what_a_function_keeps_at_one_member_is_read_at_another() {
    const SCRIPT: &str = r"
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/put') {
      await env.KV.put('user:1', JSON.stringify({ name: 'h\u00e9' }), { metadata: { kind: 'json' } });
      await env.KV.put('user:2', new Uint8Array([0, 255]), { expirationTtl: 3600 });
      await env.KV.put('gone', 'x');
      await env.KV.delete('gone');
      return new Response('kept');
    }
    const one = await env.KV.getWithMetadata('user:1', 'json');
    const two = new Uint8Array(await env.KV.get('user:2', 'arrayBuffer'));
    const page = await env.KV.list({ prefix: 'user:', limit: 1 });
    const rest = await env.KV.list({ prefix: 'user:', cursor: page.cursor });
    return Response.json({
      one: one.value, kind: one.metadata.kind, two: [...two], gone: await env.KV.get('gone'),
      first: page.keys[0].name, complete: page.list_complete, rest: rest.keys.map((key) => [key.name, typeof key.expiration]),
    });
  },
};
";
    let nats = Nats::start();
    let manifest = manifest(
        "[functions.keeper]\nsource = \"functions/keeper.js\"\nhttp = \"/*\"\nbind = { KV = \"kv:kept\" }\n[kv.kept]\n",
    );
    let files = [("emu.toml", &*manifest), ("functions/keeper.js", SCRIPT)];
    let start = || Project::new(&files).start_with(&["--no-watch", "--bus", &nats.url()]);
    let (first, second) = (start(), start());
    assert_eq!(first.get("/put").text(), "kept");
    let read = second.get("/get");
    let expected = json!({
        "one": {"name": "h\u{e9}"}, "kind": "json", "two": [0, 255], "gone": null,
        "first": "user:1", "complete": false, "rest": [["user:2", "number"]],
    });
    assert_eq!(read.json(), expected, "{}", read.text());
}
