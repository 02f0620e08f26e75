//! CloudEvents: taken in each of their modes, and whole again wherever they arrive.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Emu, Project, request};

const MANIFEST: &str = r#"
[functions.seen]
topic = "orders"
[functions.records]
queue = "jobs"
[functions.sender]
bind = { NEWS = "topic:orders", PULL = "queue:pull" }

[topics.orders]
[topics.other]

[queues.jobs]
[queues.pull]
"#;

const SEEN: &str = "export default {
  queue(batch) {
    for (const m of batch.messages) console.log('seen ' + JSON.stringify([m.body, m.attributes]));
  },
  async fetch(request) {
    console.log('fetched ' + request.headers.get('content-type') + ' ' + (await request.json()).id);
    return new Response();
  },
};";

const RECORDS: &str = "export const handler = async (event) => {
  for (const { body, messageAttributes, cloudEvent } of event.Records)
    console.log('record ' + JSON.stringify([body, messageAttributes['ce-type'].stringValue, cloudEvent.subject]));
};";

/// Sends what it is asked to, by the names that guests see.
const SENDER: &str = "export default {
  async fetch(request) {
    const { url, headers, body } = await request.json();
    const answer = await fetch(url, { method: 'POST', headers, body });
    return new Response(await answer.text(), { status: answer.status });
  },
};";

fn shop() -> Emu {
    Project::new(&[
        ("emu.toml", MANIFEST),
        ("functions/seen.js", SEEN),
        ("functions/records.js", RECORDS),
        ("functions/sender.js", SENDER),
    ])
    .start()
}

fn event(id: &str) -> Value {
    json!({
        "specversion": "1.0",
        "type": "orders",
        "source": "/shop",
        "id": id,
        "subject": "mug",
        "priority": 3,
        "datacontenttype": "application/json",
        "data": {"quantity": 2},
    })
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

fn post(emu: &Emu, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    request(
        Method::POST,
        &format!("{}{path}", emu.control_url()),
        headers,
        body.to_owned(),
    )
}

fn structured(emu: &Emu, path: &str, event: &Value) -> Answer {
    post(emu, path, &[("content-type", STRUCTURED)], &event.to_string())
}

/// The error's text.
#[track_caller]
fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let error = &answer.json()["error"];
    format!("{}; {}", error["message"].as_str().unwrap_or_default(), error["remedy"])
}

#[test]
fn all_three_modes_reach_javascript_with_their_attributes() {
    let emu = shop();
    let one = structured(&emu, "/_emu/cloudevents", &event("e1"));
    assert_eq!(one.status, 202, "{}", one.text());
    let id = one.json()["ids"][0].clone();
    emu.wait("message", |e| e["id"] == id && e["topic"] == "orders");
    let attributes = |id: &str| {
        json!({
            "ce-specversion": "1.0", "ce-type": "orders", "ce-source": "/shop", "ce-id": id, "ce-subject": "mug",
            "ce-priority": 3,
        })
    };
    let seen = |id: &str| {
        let wanted = json!([{"quantity": 2}, attributes(id)]);
        let line = emu.wait("log", |e| {
            let text = e["text"].as_str().unwrap_or_default();
            e["function"] == "seen" && text.contains(&format!("\"ce-id\":\"{id}\""))
        });
        let text = line["text"].as_str().unwrap_or_default();
        let got: Value = serde_json::from_str(text.trim_start_matches("seen ")).expect("JSON");
        assert_eq!(got, wanted);
    };
    seen("e1");
    let batch = json!([event("e2"), event("e3")]).to_string();
    let two = post(&emu, "/_emu/topics/orders/messages", &[("content-type", BATCH)], &batch);
    assert_eq!(
        (two.status.as_u16(), two.json()["ids"].as_array().map(Vec::len)),
        (202, Some(2))
    );
    seen("e2");
    seen("e3");
    let binary = post(
        &emu,
        "/_emu/cloudevents?queue=jobs",
        &[
            ("ce-specversion", "1.0"),
            ("ce-type", "order%20placed"),
            ("ce-source", "/shop"),
            ("ce-id", "e4"),
            ("ce-subject", "caf%C3%A9"),
            ("content-type", "text/plain"),
        ],
        "two mugs",
    );
    assert_eq!(binary.status, 202, "{}", binary.text());
    emu.wait("log", |e| e["text"] == r#"record ["two mugs","order placed","café"]"#);
}

#[test]
fn events_find_their_topic_by_type_and_else_ask_for_one() {
    let emu = shop();
    let mut other = event("e1");
    other["type"] = json!("other");
    let both = json!([event("e2"), other]).to_string();
    let sent = post(&emu, "/_emu/cloudevents", &[("content-type", BATCH)], &both);
    assert_eq!(sent.status, 202, "{}", sent.text());
    for (index, topic) in ["orders", "other"].into_iter().enumerate() {
        let id = sent.json()["ids"][index].clone();
        emu.wait("message", |e| e["id"] == id && e["topic"] == topic);
    }
    other = event("e3");
    other["type"] = json!("com.example.placed");
    let why = refused(&structured(&emu, "/_emu/cloudevents", &other));
    assert!(
        why.contains("com.example.placed") && why.contains("?topic=NAME: there are orders, other"),
        "{why}"
    );
    assert_eq!(structured(&emu, "/_emu/cloudevents?topic=other", &other).status, 202);
    assert_eq!(structured(&emu, "/_emu/cloudevents?topic=othr", &other).status, 404);
    assert!(refused(&structured(&emu, "/_emu/cloudevents?topics=other", &other)).contains("?topic=NAME"));
    assert!(refused(&structured(&emu, "/_emu/cloudevents?topic=other&queue=pull", &other)).contains("together"));

    let single = Project::new(&[("emu.toml", "[topics.all]\n")]).start();
    let sent = structured(&single, "/_emu/cloudevents", &other);
    assert_eq!(sent.status, 202, "the only topic: {}", sent.text());
}

#[test]
fn malformed_events_are_named_and_a_batch_is_taken_as_a_whole_or_not_at_all() {
    let emu = shop();
    for name in ["specversion", "id", "source", "type"] {
        let mut broken = event("e1");
        broken.as_object_mut().expect("an object").remove(name);
        let why = refused(&structured(&emu, "/_emu/queues/pull/messages", &broken));
        assert!(why.contains(&format!("`{name}` is missing")), "{why}");
        let batch = json!([event("e2"), event("e3"), broken]).to_string();
        let why = refused(&post(
            &emu,
            "/_emu/queues/pull/messages",
            &[("content-type", BATCH)],
            &batch,
        ));
        assert!(
            why.contains(&format!("event 2 of the batch: `{name}` is missing")),
            "{why}"
        );
    }
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "t"),
        ("content-type", "text/plain"),
    ];
    assert!(refused(&post(&emu, "/_emu/queues/pull/messages", &headers, "x")).contains("`source`"));
    let json = [("content-type", "application/json")];
    assert!(refused(&post(&emu, "/_emu/cloudevents", &json, "{}")).contains("`specversion`"));
    assert_eq!(emu.control("/_emu/queues/pull")["visible"], 0);
    let batch = json!([event("e4"), event("e5")]).to_string();
    let sent = post(&emu, "/_emu/queues/pull/messages", &[("content-type", BATCH)], &batch);
    assert_eq!(sent.status, 202, "{}", sent.text());
    assert_eq!(emu.control("/_emu/queues/pull")["visible"], 2);
}

#[test]
fn guests_send_events_in_each_mode() {
    let emu = shop();
    let send = |url: &str, headers: Value, body: &str| {
        let answer = emu.post("/sender", &json!({"url": url, "headers": headers, "body": body}));
        (answer.status.as_u16(), answer.json())
    };
    let binary = json!({
        "ce-specversion": "1.0", "ce-type": "orders", "ce-source": "/shop", "ce-id": "e1", "content-type": "application/json",
    });
    let (status, answer) = send("http://NEWS.topic.internal/", binary, "{\"quantity\":5}");
    assert_eq!(status, 202, "{answer}");
    emu.wait("log", |e| {
        let text = e["text"].as_str().unwrap_or_default();
        text.contains(r#"{"quantity":5}"#) && text.contains(r#""ce-id":"e1""#)
    });
    let batch = json!([event("e2"), event("e3")]).to_string();
    let (status, answer) = send("http://pull.queue.internal/", json!({"content-type": BATCH}), &batch);
    assert_eq!((status, answer["ids"].as_array().map(Vec::len)), (202, Some(2)));
    let (status, _) = send(
        "http://pull.queue.internal/",
        json!({"content-type": STRUCTURED}),
        &event("e4").to_string(),
    );
    assert_eq!(status, 202);
    let got = emu.control_post("/_emu/queues/pull/receive", &json!({"max": 3})).json();
    for (index, id) in ["e2", "e3", "e4"].into_iter().enumerate() {
        assert_eq!(got[index]["attributes"]["ce-id"], id);
        assert_eq!(got[index]["body"], json!({"quantity": 2}));
    }
    let (status, answer) = send("http://pull.queue.internal/", json!({"content-type": STRUCTURED}), "{}");
    assert_eq!(status, 400);
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("`specversion`"))
    );
    let (status, _) = send(
        "http://pull.queue.internal/",
        json!({"content-type": "text/plain"}),
        "as it is",
    );
    assert_eq!(status, 202, "what is no event is a message as before");
}

fn component(manifest: &str) -> Project {
    let project = Project::new(&[("emu.toml", manifest), ("functions/seen.js", SEEN)]);
    let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wasm/probe.wasm");
    std::fs::copy(probe, project.path().join("functions/probe.wasm")).expect("copy the component");
    project
}

#[test]
fn attributes_survive_a_kill_and_a_dead_letter_and_reach_a_component() {
    // The component fails by an extension of the event, which its data does not hold.
    let failing = "[functions.probe]\nqueue = \"jobs\"\n[queues.jobs]\nvisibility_timeout = \"5s\"\nmax_receives = 2\n\
                   dead_letter = \"dead\"\n[queues.dead]\n";
    let emu = component("[queues.jobs]\n[queues.dead]\n").start();
    let mut sent = event("e1");
    sent["comment"] = json!("please fail");
    assert_eq!(structured(&emu, "/_emu/cloudevents?queue=jobs", &sent).status, 202);
    let project = emu.kill();
    project.write("emu.toml", failing);
    let emu = project.start_with(&["--clock", "x60"]);
    emu.wait("message", |e| e["change"] == "dead_lettered");
    let failed = emu.wait("invocation", |e| e["function"] == "probe");
    assert_eq!(
        failed["error"]["message"],
        "the handler answered 500 Internal Server Error: failing as asked"
    );
    let got = emu.control_post("/_emu/queues/dead/receive", &json!({})).json();
    assert_eq!(got[0]["attributes"]["ce-comment"], "please fail", "{got}");
    assert_eq!(got[0]["attributes"]["ce-priority"], 3);
    assert_eq!(got[0]["body"], json!({"quantity": 2}));
}

#[test]
fn a_function_gets_the_event_itself() {
    let emu = component("[functions.probe]\non_success = \"done\"\n[functions.seen]\n[queues.done]\n").start();
    let sent = structured(&emu, "/_emu/cloudevents?function=probe", &event("e1"));
    assert_eq!(sent.status, 202, "{}", sent.text());
    emu.wait("message", |e| e["queue"] == "done" && e["change"] == "sent");
    let record = emu.control_post("/_emu/queues/done/receive", &json!({})).json()[0]["body"].clone();
    assert_eq!(record["requestContext"]["requestId"], sent.json()["ids"][0]);
    assert_eq!(record["requestPayload"], event("e1"));
    assert_eq!(
        record["responsePayload"],
        event("e1"),
        "the component answers with what it got"
    );
    let sent = structured(&emu, "/_emu/cloudevents?function=seen", &event("e2"));
    assert_eq!(sent.status, 202);
    emu.wait("log", |e| e["text"] == "fetched application/cloudevents+json e2");
    assert_eq!(
        structured(&emu, "/_emu/cloudevents?function=probes", &event("e3")).status,
        404
    );
}

#[test]
fn a_foreign_page_cannot_send_events() {
    let emu = shop();
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "orders"),
    ];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        binary.iter().chain(more).copied().collect()
    };
    let status = |headers: &[(&str, &str)]| post(&emu, "/_emu/cloudevents", headers, "x").status.as_u16();
    assert_eq!(status(&with(&[("content-type", "text/plain")])), 202);
    assert_eq!(status(&with(&[])), 202, "data of no type");
    assert_eq!(status(&[("content-type", "text/plain")]), 415, "what a form can send");
    assert_eq!(status(&with(&[("origin", "http://evil.example")])), 403);
    assert_eq!(status(&with(&[("sec-fetch-site", "cross-site")])), 403);
    let url = format!("{}/_emu/cloudevents", emu.control_url());
    let preflight = request(
        Method::OPTIONS,
        &url,
        &[
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "ce-specversion"),
        ],
        String::new(),
    );
    assert!(!preflight.status.is_success(), "{}", preflight.status);
    assert!(preflight.headers.get("access-control-allow-headers").is_none());
}
