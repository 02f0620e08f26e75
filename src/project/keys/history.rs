//! The keys of what is kept of the past.

use super::{DURATION, Kind, Table, Text, key};

pub static HISTORY: Table = Table {
    path: "history",
    doc: "What is kept of the past, in `.emu/history.db`.",
    keys: &[
        key("max_age", DURATION, "`\"7d\"`", "What is older goes.").also(&["age", "retention", "keep"]),
        key(
            "max_size",
            Kind::Text(Text::Size),
            "`\"128MB\"`",
            "Of the file; beyond it the oldest goes. `\"0MB\"` keeps nothing.",
        )
        .also(&["size", "limit", "max_bytes"]),
        key(
            "max_bodies",
            Kind::Text(Text::Size),
            "`\"32MB\"`",
            "Of requests and answers in it, of each the first 64 KiB; beyond it the oldest go. `\"0MB\"` keeps none.",
        )
        .also(&["bodies", "max_body", "requests"]),
    ],
};
