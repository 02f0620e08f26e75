//! What becomes of asynchronous invocations that ended: records at their destinations.

use serde_json::{Value, json};

use crate::harness::{Emu, Project};

/// Fails by `fail` in its event, else answers with what it got.
const JOB: &str = "export const handler = async (event) => {
  console.log('try ' + JSON.stringify(event));
  if (event.fail) throw new TypeError('as asked');
  return { got: event };
};";

/// Logs its event, of whatever kind.
const SEEN: &str = "export const handler = async (event) => { console.log('seen ' + JSON.stringify(event)); };";

fn project(manifest: &str) -> Project {
    Project::new(&[
        ("emu.toml", manifest),
        ("functions/job.js", JOB),
        ("functions/seen.js", SEEN),
    ])
}

/// The invocation's id.
fn invoke(emu: &Emu, event: &Value) -> String {
    let accepted = emu.control_post("/_emu/functions/job/invoke-async", event);
    assert!(accepted.status.is_success(), "{}", accepted.text());
    accepted.json()["invocation"].as_str().expect("an id").to_owned()
}

/// What `seen` got.
fn seen(emu: &Emu) -> Value {
    let line = emu.wait("log", |e| e["function"] == "seen");
    let text = line["text"].as_str().unwrap_or_default();
    serde_json::from_str(text.strip_prefix("seen ").expect("its line")).expect("JSON")
}

fn receive(emu: &Emu, queue: &str) -> Value {
    let got = emu.control_post(&format!("/_emu/queues/{queue}/receive"), &json!({}));
    got.json()[0]["body"].clone()
}

#[test]
fn a_success_goes_to_a_queue_as_a_record() {
    let emu = project(
        "[functions.job]\non_success = \"queue:done\"\non_failure = \"failed\"\n[queues.done]\n[queues.failed]\n",
    )
    .start();
    let id = invoke(&emu, &json!({"n": 1}));
    emu.wait("message", |e| e["queue"] == "done" && e["change"] == "sent");
    let mut record = receive(&emu, "done");
    let time = record["timestamp"].take();
    assert!(
        chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap_or_default()).is_ok(),
        "{time}"
    );
    assert_eq!(
        record,
        json!({
            "version": "1.0",
            "timestamp": null,
            "requestContext": {
                "requestId": id,
                "functionArn": "arn:aws:lambda:local:000000000000:function:job:$LATEST",
                "condition": "Success",
                "approximateInvokeCount": 1,
            },
            "requestPayload": {"n": 1},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "responsePayload": {"got": {"n": 1}},
        })
    );
    assert_eq!(emu.control("/_emu/queues/failed")["visible"], 0);
}

#[test]
fn a_failure_goes_to_a_topic_after_its_own_number_of_retries() {
    let emu = project(
        "[functions.job]\non_failure = \"topic:failures\"\nmax_retries = 1\n[functions.seen]\ntopic = \"failures\"\n\
         [topics.failures]\n",
    )
    .start_with(&["--clock", "x600"]);
    invoke(&emu, &json!({"fail": true}));
    let event = seen(&emu);
    let message = event["Records"][0]["Sns"]["Message"].as_str().expect("a message");
    let record: Value = serde_json::from_str(message).expect("a record");
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 2, "one retry");
    assert_eq!(record["requestPayload"], json!({"fail": true}));
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorType"], "TypeError");
    assert_eq!(record["responsePayload"]["errorMessage"], "as asked");
    assert_eq!(
        emu.events("log", |e| e["function"] == "job").len(),
        2,
        "{}",
        emu.transcript()
    );
}

#[test]
fn a_failure_goes_to_a_function_which_knows_its_cause() {
    let emu = project("[functions.job]\non_failure = \"function:seen\"\nmax_retries = 0\n[functions.seen]\n").start();
    let id = invoke(&emu, &json!({"fail": true}));
    let record = seen(&emu);
    assert_eq!(record["requestContext"]["requestId"], json!(id));
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    let after = emu.wait("invocation", |e| e["function"] == "seen");
    assert_eq!((&after["cause"], &after["trigger"]), (&json!(id), &json!("async")));
}

#[test]
fn an_event_that_grew_too_old_is_given_up() {
    // The provider waits a minute before the second attempt.
    let emu = project("[functions.job]\non_failure = \"failed\"\nmax_age = \"30s\"\n[queues.failed]\n").start();
    invoke(&emu, &json!({"fail": true}));
    emu.wait("message", |e| e["queue"] == "failed" && e["change"] == "sent");
    let record = receive(&emu, "failed");
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
}

#[test]
fn a_topics_message_that_succeeded_leaves_a_record_and_one_that_failed_itself() {
    let emu = project(
        "[functions.job]\nsource = \"functions/topic.js\"\ntopic = \"news\"\non_success = \"done\"\non_failure = \"failed\"\n\
         max_retries = 0\n[topics.news]\n[queues.done]\n[queues.failed]\n",
    );
    emu.write(
        "functions/topic.js",
        "export default { queue(batch) { if (batch.messages[0].body.fail) throw new Error('no'); } };",
    );
    let emu = emu.start();
    for body in [json!({"n": 1}), json!({"fail": 1})] {
        let sent = emu.control_post("/_emu/topics/news/messages", &json!({"body": body}));
        assert!(sent.status.is_success(), "{}", sent.text());
    }
    emu.wait("message", |e| e["queue"] == "done" && e["change"] == "sent");
    emu.wait("message", |e| e["queue"] == "failed" && e["change"] == "sent");
    assert_eq!(receive(&emu, "done")["requestPayload"], json!({"n": 1}));
    assert_eq!(receive(&emu, "failed"), json!({"fail": 1}));
}
