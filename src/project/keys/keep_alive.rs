//! How long idle instances stay, where a time alone does not say it.

use super::{DURATION, Kind, Table, Text, key};

pub static KEEP_ALIVE: Table = Table {
    path: "functions.NAME.keep_alive",
    doc: "A policy other than a fixed time.",
    keys: &[
        key(
            "policy",
            Kind::Text(Text::Choice(&["half-life", "hybrid", "greedy-dual"])),
            "",
            "`half-life`: half of the idle instances go in each period. `hybrid`: by a histogram of idle times, with an \
             instance started ahead of the next request. `greedy-dual`: until others need the memory.",
        )
        .also(&["kind", "type"])
        .required(),
        key("period", DURATION, "`\"380s\"`", "half-life: the time in which half of them go.").also(&["half_life"]),
        key(
            "memory",
            Kind::Text(Text::Size),
            "",
            "greedy-dual: what all functions with this policy share, running instances included.",
        )
        .also(&["capacity", "size"]),
        key("bin", DURATION, "`\"1m\"`", "hybrid: the width of a bin of the histogram."),
        key("range", DURATION, "`\"4h\"`", "hybrid: the longest idle time in it."),
        key(
            "fallback",
            DURATION,
            "`range`",
            "hybrid: the fixed time while the histogram shows no pattern.",
        ),
        key(
            "head",
            Kind::Integer { min: 0, max: 100 },
            "`5`",
            "hybrid: the percentile of idle times before which no request is expected.",
        ),
        key(
            "tail",
            Kind::Integer { min: 1, max: 100 },
            "`99`",
            "hybrid: the percentile after which none is.",
        ),
        key(
            "margin",
            Kind::Integer { min: 0, max: 100 },
            "`10`",
            "hybrid: percent by which both are moved apart.",
        ),
    ],
};
