//! The keys of key-value stores.

use super::{DURATION, Table, key};

pub static KV: Table = Table {
    path: "kv.NAME",
    doc: "One key-value store.",
    keys: &[key(
        "ttl",
        DURATION,
        "values stay",
        "When a value expires that was put without a time of its own.",
    )
    .also(&["expiration_ttl", "expiration", "expires", "default_ttl"])],
};
