//! Messages as CloudEvents, and answers that name them.

use super::*;

fn message(id: &str, attributes: &[(&str, Value)]) -> InMessage {
    InMessage {
        id: id.to_owned(),
        receipt: "r".to_owned(),
        body: Bytes::from_static(b"{\"n\":1}"),
        content_type: Some("application/json".to_owned()),
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        sent_at: Time(1_700_000_000_000_000_000),
        first_received_at: Time(1_700_000_000_000_000_000),
        receive_count: 2,
        group: Some("g".into()),
    }
}

fn event(id: &str, event_id: &str) -> InMessage {
    message(
        id,
        &[
            ("ce-specversion", "1.0".into()),
            ("ce-id", event_id.into()),
            ("ce-source", "/shop".into()),
            ("ce-type", "order.placed".into()),
            ("ce-subject", "7".into()),
            ("ce-priority", 3.into()),
            ("plan", "pro".into()),
        ],
    )
}

#[test]
fn an_event_keeps_its_attributes_and_gains_those_of_the_delivery() {
    let source = BatchSource::Queue("orders".into());
    assert_eq!(
        message_cloud_event(&event("m1", "e1"), &source),
        json!({
            "specversion": "1.0",
            "id": "e1",
            "source": "/shop",
            "type": "order.placed",
            "subject": "7",
            "priority": 3,
            "datacontenttype": "application/json",
            "data": {"n": 1},
            "emumessageid": "m1",
            "emusource": "/emu/queues/orders",
            "emureceivecount": 2,
            "emugroup": "g",
        })
    );
    assert_eq!(
        message_cloud_event(&message("m1", &[("plan", "pro".into())]), &source),
        json!({
            "specversion": "1.0",
            "id": "m1",
            "source": "/emu/queues/orders",
            "type": "emu.queue.message",
            "time": "2023-11-14T22:13:20Z",
            "datacontenttype": "application/json",
            "data": {"n": 1},
            "emureceivecount": 2,
            "emugroup": "g",
        })
    );
}

#[test]
fn commands_find_the_event_beside_its_data() {
    let record = record(&event("m1", "e1"), &BatchSource::Queue("orders".into()));
    assert_eq!(record["body"], "{\"n\":1}");
    assert_eq!(record["messageAttributes"]["ce-type"]["stringValue"], "order.placed");
    assert_eq!(record["cloudEvent"]["id"], "e1");
    assert_eq!(record["cloudEvent"]["priority"], 3);
}

#[test]
fn failures_are_named_by_message_or_by_event() {
    let batch = Batch {
        source: BatchSource::Queue("orders".into()),
        messages: vec![
            event("m1", "e1"),
            event("m2", "e2"),
            event("m3", "e2"),
            message("m4", &[]),
        ],
    };
    let failed = |named: &[&str]| {
        let named: Vec<Value> = named.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        let answer = json!({ "batchItemFailures": named }).to_string();
        let answer = by_message(answer.as_bytes(), &batch).expect("an answer");
        let reply = reply(Wants::of(&Event::Batch(batch.clone())), answer);
        reply.map(|reply| match reply {
            Reply::Batch(retries) => retries.into_iter().map(|retry| retry.id).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
    };
    assert_eq!(failed(&["e1", "m4"]).expect("known"), ["m1", "m4"]);
    assert_eq!(failed(&["e2"]).expect("known"), ["m2", "m3"], "both have this id");
    assert!(failed(&["e9"]).is_err());
}

#[test]
fn an_answer_with_more_headers_than_a_map_holds_is_refused() {
    let answer = |count: usize| {
        let headers: Map<String, Value> = (0..count).map(|at| (format!("h{at}"), json!("a"))).collect();
        http_answer(
            json!({ "statusCode": 200, "headers": headers })
                .to_string()
                .into_bytes(),
        )
    };
    assert_eq!(answer(9_000).unwrap().headers().len(), 9_001);
    let failure = answer(30_000).unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadResponse);
    assert!(
        failure.message.contains("more than 10000 headers"),
        "{}",
        failure.message
    );
}
