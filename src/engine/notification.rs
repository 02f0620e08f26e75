//! A topic's message in the envelope of SNS, as queues and handlers in Lambda's convention get it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::platform::time::Time;

/// The topic's name as AWS writes it.
pub(super) fn topic_arn(topic: &str) -> String {
    format!("arn:aws:sns:local:000000000000:{topic}")
}

/// `{"Type": "Notification", "MessageId", "TopicArn", "Message", "Timestamp", "MessageAttributes"}`. A body that is no text
/// is in Base64, as `isBase64Encoded` says; SNS itself takes text alone.
pub fn notification(topic: &str, id: &str, at: Time, body: &[u8], attributes: &BTreeMap<String, Value>) -> Value {
    let attributes: Map<String, Value> = attributes
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect();
    let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(at.0).unwrap_or(i64::MAX));
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": id,
        "TopicArn": topic_arn(topic),
        "Timestamp": time.to_rfc3339_opts(SecondsFormat::Millis, true),
        "MessageAttributes": attributes,
    });
    match std::str::from_utf8(body) {
        Ok(text) => envelope["Message"] = text.into(),
        Err(_) => {
            envelope["Message"] = BASE64.encode(body).into();
            envelope["isBase64Encoded"] = true.into();
        }
    }
    envelope
}

fn attribute(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "Type": "String", "Value": text }),
        Value::Number(number) => json!({ "Type": "Number", "Value": number.to_string() }),
        other => json!({ "Type": "String", "Value": other.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_the_shape_of_sns() {
        let attributes = BTreeMap::from([("plan".to_owned(), json!("pro")), ("seats".to_owned(), json!(3))]);
        let at = Time(1_700_000_000_000_000_000);
        assert_eq!(
            notification("news", "m1", at, b"{\"n\":1}", &attributes),
            json!({
                "Type": "Notification",
                "MessageId": "m1",
                "TopicArn": "arn:aws:sns:local:000000000000:news",
                "Message": "{\"n\":1}",
                "Timestamp": "2023-11-14T22:13:20.000Z",
                "MessageAttributes": {
                    "plan": {"Type": "String", "Value": "pro"},
                    "seats": {"Type": "Number", "Value": "3"},
                },
            })
        );
        let binary = notification("news", "m1", at, &[0xff, 0], &BTreeMap::new());
        assert_eq!(
            (&binary["Message"], &binary["isBase64Encoded"]),
            (&json!("/wA="), &json!(true))
        );
    }
}
