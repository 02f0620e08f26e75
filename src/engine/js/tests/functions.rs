//! The convention of Lambda.

use serde_json::json;

use super::harness::*;
use super::workers::{batch, message};
use crate::engine::{Event, Reply, Scheduled};
use crate::platform::time::Time;

async fn handle(handler: &str, event: Event) -> String {
    let project = Project::new(&[("f.js", &format!("export const handler = {handler};"))]);
    let version = project.loaded("f.js").await;
    show(project.invoke(&version, event).await).await
}

#[tokio::test]
async fn a_response_has_status_headers_cookies_and_body() {
    let shown = handle(
        "async (event) => ({ statusCode: 418, headers: { 'X-One': 1 }, cookies: ['a=1', 'b=2'], body: event.rawPath })",
        get("/tea/pot"),
    )
    .await;
    assert_eq!(
        shown,
        "418 x-one: 1; set-cookie: a=1; set-cookie: b=2; content-type: application/json;\n/tea/pot"
    );
}

#[tokio::test]
async fn results_of_every_shape_become_responses() {
    let json_type = "200 content-type: application/json;\n";
    for (result, expect) in [
        ("({ a: 1 })", "{\"a\":1}"),
        ("'text'", "text"),
        ("[1, 2]", "[1,2]"),
        ("undefined", "null"),
        ("12", "12"),
    ] {
        assert_eq!(
            handle(&format!("async () => {result}"), get("/")).await,
            format!("{json_type}{expect}")
        );
    }
    let encoded = handle(
        "async () => ({ statusCode: '201', body: 'aGk=', isBase64Encoded: true })",
        get("/"),
    )
    .await;
    assert_eq!(encoded, "201 content-type: application/json;\nhi");
    let many = handle(
        "async () => ({ statusCode: 204, multiValueHeaders: { 'x-m': ['1', '2'] } })",
        get("/"),
    )
    .await;
    assert_eq!(many, "204 x-m: 1; x-m: 2; content-type: application/json;\n");
}

#[tokio::test]
async fn a_bad_result_says_what_is_wrong() {
    let shown = handle("async () => ({ statusCode: 200, body: { a: 1 } })", get("/")).await;
    assert!(
        shown.contains(
            "BadResponse: TypeError: the `body` of a handler's result must be a string; use JSON.stringify(body)"
        ),
        "{shown}"
    );
    let shown = handle("async () => ({ statusCode: 'many' })", get("/")).await;
    assert!(
        shown.contains("BadResponse: TypeError: the handler returned the statusCode \"many\"; it must be 200 to 599"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_request_comes_as_an_event() {
    let event = request(
        "POST",
        "/a%20b?x=1&y=2&x=3",
        &[
            ("content-type", "application/json"),
            ("cookie", "c=1; d=2"),
            ("x-two", "1"),
            ("x-two", "2"),
        ],
        text_body("{}"),
    );
    let shown = handle(
        "async (event, context) => ({ statusCode: 200, body: JSON.stringify([event.version, event.rawPath, event.rawQueryString,
            event.queryStringParameters, event.cookies, event.headers['x-two'], event.body, event.isBase64Encoded,
            event.requestContext.http.method, event.requestContext.http.sourceIp, event.routeKey, event.requestContext.requestId === context.awsRequestId]) })",
        event,
    )
    .await;
    let body = shown.split_once('\n').unwrap().1;
    assert_eq!(
        body,
        "[\"2.0\",\"/a%20b\",\"x=1&y=2&x=3\",{\"x\":\"1,3\",\"y\":\"2\"},[\"c=1\",\"d=2\"],\"1,2\",\"{}\",false,\"POST\",\"127.0.0.1\",\"$default\",true]"
    );
}

#[tokio::test]
async fn the_context_knows_the_function() {
    let shown = handle(
        "async (event, context) => [context.functionName, context.memoryLimitInMB, context.awsRequestId, context.invokedFunctionArn,
            context.getRemainingTimeInMillis() > 15000, context.getRemainingTimeInMillis() <= 20000]",
        Event::Json(json!({})),
    )
    .await;
    assert_eq!(
        shown,
        "[\"test\",\"128\",\"11111111-2222-4333-8444-555555555555\",\"arn:aws:lambda:local:000000000000:function:test\",true,true]"
    );
}

#[tokio::test]
async fn callbacks_work_too() {
    assert_eq!(
        handle(
            "(event, context, callback) => { setTimeout(() => callback(null, event.a + 1), 1); }",
            Event::Json(json!({"a": 1}))
        )
        .await,
        "2"
    );
    let shown = handle(
        "(event, context, callback) => { callback(new Error('no')); }",
        Event::Json(json!({})),
    )
    .await;
    assert!(shown.starts_with("no reply\nError: Error: no"), "{shown}");
    assert_eq!(
        handle("(event) => event.a", Event::Json(json!({"a": [1]}))).await,
        "[1]"
    );
}

#[tokio::test]
async fn batches_report_item_failures() {
    let messages = || vec![message("m1", "{\"n\":1}", None), message("m2", "x", None)];
    let retried = async |handler: &str| {
        let project = Project::new(&[("f.js", &format!("export const handler = {handler};"))]);
        let version = project.load("f.js").await.unwrap();
        let (outcome, reply) = project.invoke(&version, batch(messages())).await;
        match (outcome.result, reply) {
            (Ok(()), Some(Reply::Batch(retried))) => {
                retried.into_iter().map(|retry| retry.id).collect::<Vec<_>>().join(",")
            }
            (Err(failure), _) => failure.message,
            _ => "nothing".to_owned(),
        }
    };
    assert_eq!(retried("async () => {}").await, "");
    assert_eq!(retried("async () => ({ batchItemFailures: null })").await, "");
    assert_eq!(
        retried("async (e) => ({ batchItemFailures: [{ itemIdentifier: e.Records[1].messageId }] })").await,
        "m2"
    );
    assert!(
        retried("async () => ({ batchItemFailures: [{ itemIdentifier: '' }] })")
            .await
            .contains("no message of this batch")
    );
    let parts = "async (e) => { const r = e.Records[0]; throw new Error([r.body, r.attributes.ApproximateReceiveCount, r.md5OfBody,
        r.eventSource, r.eventSourceARN, r.messageAttributes.kind.stringValue, r.receiptHandle].join(' ')); }";
    assert_eq!(
        retried(parts).await,
        "Error: {\"n\":1} 2 e91e8a5d1a8e42b2ef2e7a2b4e5d1d5f aws:sqs arn:aws:sqs:local:000000000000:orders new receipt-m1"
            .replace("e91e8a5d1a8e42b2ef2e7a2b4e5d1d5f", &md5_of("{\"n\":1}"))
    );
}

fn md5_of(text: &str) -> String {
    use md5::{Digest, Md5};
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn scheduled_events_have_the_shape_of_rules() {
    let project = Project::new(&[(
        "f.js",
        "export const handler = async (event) => { console.log(event['detail-type'], event.source, event.time, event.resources[0]); };",
    )]);
    let version = project.load("f.js").await.unwrap();
    let event = Event::Scheduled(Scheduled {
        name: "report".into(),
        schedule: "0 8 * * *".into(),
        scheduled_at: Time::from_millis(1_700_000_000_000),
    });
    assert_eq!(show(project.invoke(&version, event).await).await, "done");
    assert_eq!(
        project.lines(),
        ["Info Scheduled Event aws.events 2023-11-14T22:13:20Z arn:aws:events:local:000000000000:rule/report"]
    );
}

#[tokio::test]
async fn payload_format_one_has_every_value() {
    let mut project = Project::new(&[(
        "f.cjs",
        "exports.handler = async (event, context) => event.path === '/bare' ? 'text' : { statusCode: 200, body: JSON.stringify([event.version, event.httpMethod, event.path, \
         event.headers['x-a'], event.multiValueHeaders['x-a'], event.queryStringParameters, event.multiValueQueryStringParameters, event.pathParameters, event.body, \
         event.isBase64Encoded, event.requestContext.requestId === context.awsRequestId, event.requestContext.identity.sourceIp]) };",
    )]);
    project.settings.payload_v1 = true;
    let version = project.load("f.cjs").await.unwrap();
    let event = request(
        "POST",
        "/a%20b?q=1&q=2&r",
        &[("x-a", "1"), ("x-a", "2")],
        text_body("hi"),
    );
    let shown = show(project.invoke(&version, event).await).await;
    assert!(
        shown.ends_with(
            r#"["1.0","POST","/a%20b","2",["1","2"],{"q":"2","r":""},{"q":["1","2"],"r":[""]},null,"hi",false,true,"127.0.0.1"]"#
        ),
        "{shown}"
    );
    let shown = show(project.invoke(&version, get("/bare")).await).await;
    assert!(
        shown.contains("BadResponse") && shown.contains("must return an object with a statusCode"),
        "{shown}"
    );
}
