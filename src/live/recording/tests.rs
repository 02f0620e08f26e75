//! Drafts of recordings as text: what is saved, left out, expected, and that `emu test` reads it.

use serde_json::json;

use super::*;
use crate::project::diagnostic::Source;
use crate::project::testfile;

/// A request at this second with its answer.
fn request(secs: u32, line: &str, body: &str, answer: &str) -> RecordedStep {
    let (method, target) = line.split_once(' ').expect("a method and a path");
    serde_json::from_value(json!({
        "id": format!("i{secs}"), "function": "api", "status": 200, "outcome": "succeeded",
        "time": format!("2026-11-23T19:30:{secs:02}.100Z"), "ended": format!("2026-11-23T19:30:{secs:02}.200Z"),
        "request": {
            "kind": "http", "method": method, "target": target, "body": body, "bytes": body.len(), "truncated": false,
            "headers": [["host", "localhost"], ["x-mine", "1"]]
        },
        "response": { "status": 200, "body": answer, "bytes": answer.len(), "truncated": false }
    }))
    .expect("a step")
}

fn recording(steps: Vec<RecordedStep>) -> Recording {
    Recording {
        from: steps[0].time.clone(),
        to: steps[steps.len() - 1].ended.clone(),
        steps,
        ..Recording::default()
    }
}

fn read(text: &str) -> testfile::TestFile {
    let source = Source {
        name: "t.emu.toml".into(),
        path: "t.emu.toml".into(),
        text: text.into(),
    };
    testfile::read(source).unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)))
}

fn seen(body: &str) -> Option<Seen> {
    Some(Seen {
        status: 200,
        body: body.to_owned(),
    })
}

#[test]
fn an_id_that_an_answer_gave_is_saved_and_sent() {
    let recording = recording(vec![
        request(
            1,
            "POST /orders",
            r#"{"n": 1}"#,
            r#"{"order": {"id": "k7x2p"}, "n": 1}"#,
        ),
        request(1, "GET /orders/k7x2p?a=1", "", r#"{"id": "k7x2p", "state": "open"}"#),
        request(1, "POST /pay", r#"{"of": "k7x2p"}"#, "paid k7x2p"),
    ]);
    let draft = Draft::new(&recording);
    let text = draft.text(None, &Expected::Recorded);
    for part in [
        "save = { id = \"order.id\" }",
        "request = \"GET /orders/${id}?a=1\"",
        "json = { of = \"${id}\" }",
        "headers = { x-mine = \"1\" }",
        "expect.json = { id = \"k7x2p\", state = \"open\" }",
        "start = \"2026-11-23T19:30:01Z\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(read(&text).steps.len(), 3);

    // What differs between two runs is not expected.
    let one = ["{\"n\": 1}", "{\"id\": \"aaaa1\", \"state\": \"open\"}", "paid aaaa1"];
    let two = ["{\"n\": 1}", "{\"id\": \"bbbb2\", \"state\": \"open\"}", "paid bbbb2"];
    let runs = [one, two].map(|run| run.iter().map(|body| seen(body)).collect::<Vec<_>>());
    let text = draft.text(None, &Expected::Tried(&runs));
    for part in [
        "expect.json = { n = 1 }",
        "expect.json = { id = \"[..]\", state = \"open\" }",
        "expect.body = \"paid [..]\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    read(&text);
}

#[test]
fn waits_are_moves_of_the_clock() {
    let mut told = recording(vec![request(1, "GET /a", "", ""), request(31, "GET /b", "", "")]);
    told.to = "2026-11-23T19:30:34.750Z".to_owned();
    let text = Draft::new(&told).text(None, &Expected::Recorded);
    assert!(
        text.contains("advance = \"29s\"") && text.contains("advance = \"3500ms\""),
        "{text}"
    );
    told.exact = true;
    let text = Draft::new(&told).text(None, &Expected::Recorded);
    assert!(
        text.contains("advance = \"29900ms\"") && text.contains("advance = \"3550ms\""),
        "{text}"
    );
}

#[test]
fn credentials_stay_out_of_the_file() {
    let mut one = request(1, "GET /a", "", "");
    let secret = [
        ("authorization", "Bearer abc123"),
        ("cookie", "session=abc123"),
        ("x-api-key", "abc123"),
    ];
    one.request.headers = secret.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let recording = recording(vec![one]);
    let draft = Draft::new(&recording);
    let text = draft.text(None, &Expected::Recorded);
    assert!(!text.contains("abc123"), "{text}");
    assert!(text.contains("authorization = \"Bearer [left out]\""), "{text}");
    assert!(text.contains("# cookie was left out"), "{text}");
    assert!(
        draft.notes[0].contains("authorization, cookie, x-api-key"),
        "{:?}",
        draft.notes
    );
    read(&text);
}

#[test]
fn what_a_file_cannot_say_is_a_comment_and_a_note() {
    let mut binary = request(1, "PUT /a", "", "");
    binary.request.content.base64 = Some("/w==".to_owned());
    let mut cut = request(1, "PUT /b\u{7}", "x", "");
    cut.request.content.truncated = true;
    let mut told = recording(vec![binary, cut]);
    told.left_out = 3;
    let draft = Draft::new(&told);
    let text = draft.text(None, &Expected::Recorded);
    assert!(text.contains("# PUT /a is left out: its body is no text."), "{text}");
    assert!(text.contains("# PUT /b  is left out: only the head"), "{text}");
    assert_eq!(draft.notes.len(), 3);
    assert_eq!(read(&text).steps.len(), 0);
}

#[test]
fn messages_crons_events_and_the_outside() {
    let step = |value: serde_json::Value| -> RecordedStep {
        let mut all = json!({"id": "i", "time": "2026-11-23T19:30:01Z", "ended": "2026-11-23T19:30:01Z"});
        let members = value.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(members);
        serde_json::from_value(all).expect("a step")
    };
    let body = json!({"bytes": 1, "truncated": false});
    let with = |more: serde_json::Value| {
        let mut all = body.clone();
        all.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        all
    };
    let mut told = recording(vec![
        step(
            json!({"request": with(json!({"kind": "send", "name": "jobs", "body": "{\"n\":7}", "delay_ms": 5000.0, "group": "g"}))}),
        ),
        step(json!({"request": with(json!({"kind": "publish", "name": "news", "body": "null"}))})),
        step(
            json!({"request": with(json!({"kind": "cron", "name": "nightly", "by_hand": true})), "function": "nightly"}),
        ),
        step(
            json!({"request": with(json!({"kind": "event", "body": "[1]"})), "function": "api", "outcome": "succeeded",
            "response": with(json!({"body": "{\"a\":1}"}))}),
        ),
    ]);
    let call = |body: &str| -> KeptOutboundOf {
        serde_json::from_value(
            json!({"method": "GET", "url": "https://a.example/x", "status": 200, "content_type": "text/plain",
            "body": body, "bytes": body.len(), "truncated": false}),
        )
        .expect("a call")
    };
    told.outbound = vec![call("one"), call("one"), call("two")];
    let text = Draft::new(&told).text(Some("../shop"), &Expected::Recorded);
    let file = read(&text);
    let titles: Vec<String> = file.steps.iter().map(testfile::Step::title).collect();
    assert_eq!(titles, ["send jobs", "publish news", "fire nightly", "invoke api"]);
    assert!(
        text.contains("project = \"../shop\"\n") && text.contains("delay = \"5s\"\ngroup = \"g\"\n"),
        "{text}"
    );
    assert!(
        text.contains("invoke = \"api\"\njson = [1]\nexpect.json = { a = 1 }\n"),
        "{text}"
    );
    assert_eq!(file.outbound.len(), 2, "what came twice in a row stands once");
}

type KeptOutboundOf = crate::live::api::KeptOutbound;

#[test]
fn an_event_that_toml_has_no_words_for_is_left_out() {
    for (event, can) in [
        (json!({"a": 1}), true),
        (json!(null), true),
        (json!({"a": [null]}), false),
        (json!(u64::MAX), false),
    ] {
        let mut step = request(1, "POST /", &event.to_string(), "");
        step.request.kind = "event".to_owned();
        let text = Draft::new(&recording(vec![step])).text(None, &Expected::Recorded);
        assert_eq!(text.contains("TOML has no words"), !can, "{text}");
        read(&text);
    }
}
