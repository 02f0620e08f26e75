//! The keys of queues and topics.

use super::{DURATION, Key, Kind, NAME, Table, Text, key};

pub static QUEUE: Table = Table {
    path: "queues.NAME",
    doc: "One queue.",
    keys: &[
        key(
            "fifo",
            Kind::Bool,
            "`false`",
            "In order within a group, duplicates dropped for five minutes.",
        ),
        key(
            "visibility_timeout",
            DURATION,
            "the provider's, `\"30s\"` at AWS",
            "How long a message that was taken stays hidden before it is tried again.",
        )
        .also(&["visibility", "ack_deadline", "lock_duration"]),
        key(
            "delay",
            DURATION,
            "`\"0s\"`",
            "How long a new message waits before it can be taken.",
        )
        .also(&["delay_seconds", "delivery_delay"]),
        key(
            "retention",
            DURATION,
            "the provider's, `\"4d\"` at AWS",
            "How long a message is kept.",
        )
        .also(&["retention_period", "message_retention", "ttl"]),
        key(
            "max_receives",
            Kind::Integer { min: 1, max: 1_000 },
            "the provider's with a `dead_letter` (`10` at AWS), else no limit",
            "After so many tries a message goes to `dead_letter`, or away.",
        )
        .also(&["max_receive_count", "max_retries", "retries", "max_attempts"]),
        key("dead_letter", NAME, "", "The queue for messages that failed too often.").also(&[
            "dead_letter_queue",
            "dlq",
            "deadletter",
            "on_failure",
        ]),
        key(
            "max_messages",
            Kind::Integer {
                min: 1,
                max: 10_000_000,
            },
            "`100000`",
            "Above it, sends are refused.",
        )
        .also(&["max_size", "capacity", "limit"]),
    ],
};

pub static TOPIC: Table = Table {
    path: "topics.NAME",
    doc: "One topic. Functions subscribe with `topic`.",
    keys: &[key(
        "queues",
        Kind::List(&Kind::OneOf(&[NAME, Kind::Table(&SUBSCRIPTION)])),
        "`[]`",
        "Queues that get every message, too.",
    )
    .also(&["queue", "subscriptions", "subscribers"])],
};

pub static SUBSCRIPTION: Table = Table {
    path: "topics.NAME.queues",
    doc: "A queue with a filter.",
    keys: &[
        key("to", NAME, "", "The queue's name.")
            .also(&["name", "queue"])
            .required(),
        key(
            "filter",
            Kind::Object,
            "",
            "Only messages that pass, such as `{ plan = [\"pro\"] }`.",
        )
        .also(&["filter_policy", "where"]),
        FILTER_SCOPE,
        key(
            "delivery",
            Kind::Text(Text::Choice(&["raw", "wrapped"])),
            "`\"raw\"`",
            "`\"raw\"`: each message as it was published; `\"wrapped\"`: in the JSON envelope of an SNS notification.",
        )
        .also(&["raw", "raw_message_delivery", "envelope", "wrapped"]),
    ],
};

pub(super) const FILTER_SCOPE: Key = key(
    "filter_scope",
    Kind::Text(Text::Choice(&["any", "attributes", "body"])),
    "`\"any\"`",
    "Where the filter's keys are looked for: `\"attributes\"`, `\"body\"`, or the first and then the second.",
)
.also(&["filter_policy_scope", "scope"]);
