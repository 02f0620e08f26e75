//! Held against the examples and rules of the specification.

use http::HeaderValue;
use serde_json::json;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            *name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
        );
    }
    headers
}

fn read_one(content_type: &str, event: &Value) -> Result<CloudEvent, String> {
    let read = read(&headers(&[("content-type", content_type)]), &event.to_string().into());
    read.map(|mut events| events.remove(0)).map_err(|fault| fault.message)
}

/// Through a message and back, as a component gets it.
fn through(event: CloudEvent) -> Value {
    let message = event.into_message();
    let content_type = message.content_type.as_deref();
    let mut event = of_message(&message.attributes, content_type).expect("an event");
    put_data(&mut event, content_type, &message.body);
    event.into()
}

/// The example of the core specification.
fn example() -> Value {
    json!({
        "specversion": "1.0",
        "type": "com.github.pull_request.opened",
        "source": "https://github.com/cloudevents/spec/pull",
        "subject": "123",
        "id": "A234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        "comexampleextension1": "value",
        "comexampleothervalue": 5,
        "datacontenttype": "text/xml",
        "data": "<much wow=\"xml\"/>",
    })
}

#[test]
fn the_specifications_example_survives() {
    let event = read_one("application/cloudevents+json; charset=UTF-8", &example()).expect("an event");
    assert_eq!(event.kind(), "com.github.pull_request.opened");
    assert_eq!(event.to_json(), example());
    assert!(is_event(&event.to_json()));
    let message = event.clone().into_message();
    assert_eq!(&message.body[..], b"<much wow=\"xml\"/>");
    assert_eq!(message.content_type.as_deref(), Some("text/xml"));
    assert_eq!(message.attributes["ce-comexampleothervalue"], 5);
    assert_eq!(through(event), example());
}

#[test]
fn data_comes_in_every_kind() {
    let with = |more: Value| {
        let mut event = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1"});
        let members = more.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(members);
        event
    };
    for (sent, body) in [
        (
            json!({"datacontenttype": "application/json", "data": {"n": 1}}),
            &b"{\"n\":1}"[..],
        ),
        (
            json!({"datacontenttype": "application/vnd.x+json", "data": "text"}),
            b"\"text\"",
        ),
        (json!({"datacontenttype": "application/json", "data": null}), b"null"),
        (json!({"datacontenttype": "text/plain", "data": "text"}), b"text"),
        (
            json!({"datacontenttype": "application/octet-stream", "data_base64": "/wA="}),
            &[0xff, 0],
        ),
        (json!({"data_base64": "AQID"}), &[1, 2, 3]),
        (json!({"dataschema": "https://example.com/s.json"}), b""),
    ] {
        let event = read_one(STRUCTURED, &with(sent.clone())).expect("an event");
        assert_eq!(&event.data[..], body, "{sent}");
        assert_eq!(through(event), with(sent));
    }
    let untyped = read_one(STRUCTURED, &with(json!({"data": {"n": 1}}))).expect("an event");
    assert_eq!(untyped.content_type.as_deref(), Some("application/json"));
    let unset = read_one(STRUCTURED, &with(json!({"subject": null}))).expect("an event");
    assert_eq!(unset.to_json().get("subject"), None);
}

#[test]
fn binary_mode_reads_headers_as_the_http_binding_says() {
    let read = read(
        &headers(&[
            ("ce-specversion", "1.0"),
            ("ce-type", "com.example.someevent"),
            ("ce-source", "/mycontext/subcontext"),
            ("ce-id", "1234-1234-1234"),
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-quoted", "\"a \\\"b\\\" %25c\""),
            ("ce-plain", "50% off"),
            ("content-type", "application/json; charset=utf-8"),
            ("x-other", "no"),
        ]),
        &Bytes::from_static(b"{\"n\":1}"),
    );
    let event = read.expect("an event").remove(0);
    assert_eq!(
        event.to_json(),
        json!({
            "specversion": "1.0",
            "type": "com.example.someevent",
            "source": "/mycontext/subcontext",
            "id": "1234-1234-1234",
            "time": "2018-04-05T03:56:24Z",
            "subject": "Euro \u{20ac} \u{1f600}",
            "quoted": "a \"b\" %c",
            "plain": "50% off",
            "datacontenttype": "application/json; charset=utf-8",
            "data": {"n": 1},
        })
    );
}

#[test]
fn what_breaks_a_rule_is_named() {
    for (name, value, part) in [
        ("specversion", Value::Null, "`specversion` is missing"),
        ("id", Value::Null, "`id` is missing"),
        ("source", Value::Null, "`source` is missing"),
        ("type", Value::Null, "`type` is missing"),
        ("specversion", json!("0.3"), "`specversion` is \"0.3\""),
        ("id", json!(""), "`id` is empty"),
        ("type", json!(""), "`type` is empty"),
        ("source", json!(""), "`source` is empty"),
        ("subject", json!(""), "`subject` is empty"),
        ("id", json!(7), "`id` is a number"),
        ("source", json!("a b"), "`source` is \"a b\""),
        ("time", json!("yesterday"), "`time` is \"yesterday\""),
        ("dataschema", json!("schema.json"), "`dataschema` is \"schema.json\""),
        ("datacontenttype", json!("json"), "`datacontenttype` is \"json\""),
        ("datacontenttype", json!(1), "`datacontenttype` is a number"),
        ("myExt", json!("x"), "`myExt` is no name"),
        ("my-ext", json!("x"), "`my-ext` is no name"),
        ("ext", json!({}), "`ext` is an object"),
        ("ext", json!(1.5), "`ext` is 1.5"),
        ("ext", json!(1_i64 << 31), "`ext` is 2147483648"),
        ("ext", json!("a\u{7}"), "`ext` has the control character"),
        ("data_base64", json!("?"), "exclude each other"),
    ] {
        let mut event = example();
        event[name] = value;
        let error = read_one(STRUCTURED, &event).expect_err(part);
        assert!(error.contains(part), "`{error}` does not say `{part}`");
        let batch = read_one(BATCH, &json!([example(), event])).expect_err(part);
        assert_eq!(batch, format!("event 1 of the batch: {error}"));
    }
    let mut encoded = example();
    encoded.as_object_mut().expect("an object").remove("data");
    encoded["data_base64"] = json!("?");
    assert!(
        read_one(STRUCTURED, &encoded)
            .expect_err("no Base64")
            .contains("`data_base64` is not Base64")
    );
    for (content_type, body, part) in [
        (STRUCTURED, json!([example()]), "a list of events"),
        (STRUCTURED, json!("text"), "an event is an object, not a string"),
        (BATCH, example(), "a batch is a JSON array"),
        (
            BATCH,
            json!([[]]),
            "event 0 of the batch: an event is an object, not a list",
        ),
        (
            "application/cloudevents+avro",
            example(),
            "application/cloudevents+avro is not known",
        ),
        ("application/json", example(), "`specversion` is missing"),
    ] {
        let error = read_one(content_type, &body).expect_err(part);
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

#[test]
fn binary_mode_refuses_what_it_cannot_take() {
    let good = [
        ("ce-specversion", "1.0"),
        ("ce-type", "t"),
        ("ce-source", "/s"),
        ("ce-id", "1"),
    ];
    for (more, part) in [
        (("ce-id", "2"), "`id` comes twice"),
        (
            ("ce-datacontenttype", "text/plain"),
            "`datacontenttype` comes as a header",
        ),
        (("ce-my-ext", "x"), "`my-ext` is no name"),
        (("ce-subject", "%FF"), "`subject` is no UTF-8"),
        (("ce-subject", "%00"), "`subject` has the control character"),
        (("ce-time", "soon"), "`time` is \"soon\""),
    ] {
        let pairs: Vec<_> = good.into_iter().chain([more]).collect();
        let error = read(&headers(&pairs), &Bytes::new()).expect_err(part);
        assert!(
            error.message.contains(part),
            "`{}` does not say `{part}`",
            error.message
        );
    }
    let missing = read(&headers(&good[1..]), &Bytes::new()).expect_err("no version");
    assert_eq!(missing.message, "`specversion` is missing");
}

#[test]
fn only_what_says_so_is_an_event() {
    for (pairs, announced) in [
        (
            &[("content-type", "application/CloudEvents+JSON; charset=utf-8")][..],
            true,
        ),
        (&[("content-type", BATCH)], true),
        (&[("content-type", "application/cloudevents+avro")], true),
        (&[("content-type", "text/plain"), ("ce-type", "t")], true),
        (&[("content-type", "text/plain")], false),
        (&[("content-type", "application/json"), ("x-ce-type", "t")], false),
        (&[], false),
    ] {
        assert_eq!(is_announced(&headers(pairs)), announced, "{pairs:?}");
    }
    assert_eq!(
        read(&headers(&[("content-type", BATCH)]), &Bytes::from_static(b"[]")),
        Ok(Vec::new())
    );
    let plain = BTreeMap::from([("ce-type".to_owned(), json!("t"))]);
    assert_eq!(of_message(&plain, None), None, "it lacks an id");
}

#[test]
fn a_fifo_queue_gets_order_and_identity() {
    let mut event = example();
    event["partitionkey"] = json!("customer-7");
    let message = read_one(STRUCTURED, &event).expect("an event").into_message();
    assert_eq!(message.group.as_deref(), Some("customer-7"));
    assert_eq!(
        message.deduplication.as_deref(),
        Some("https://github.com/cloudevents/spec/pull A234-1234-1234")
    );
}
