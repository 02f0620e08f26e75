//! The keys of functions and of what stands in them.

use super::keep_alive::KEEP_ALIVE as KEEP_ALIVE_TABLE;
use super::messages::FILTER_SCOPE;
use super::{DURATION, Kind, NAME, TEXT, Table, Text, U32, key};

/// A time, a word, or a policy.
pub(super) const KEEP_ALIVE: Kind = Kind::OneOf(&[
    DURATION,
    Kind::Text(Text::Choice(&["none", "forever"])),
    Kind::Table(&KEEP_ALIVE_TABLE),
]);

pub static FUNCTION: Table = Table {
    path: "functions.NAME",
    doc: "One function.",
    keys: &[
        key(
            "source",
            Kind::Text(Text::Path),
            "`functions/NAME.*` or `functions/NAME/index.*`",
            "A `.js`, `.mjs`, `.cjs`, `.jsx`, `.ts`, `.mts`, `.cts`, `.tsx`, `.wasm` or `.wat` file in the project.",
        )
        .also(&["handler", "main", "entry", "entrypoint", "file", "path", "src", "code"]),
        key(
            "build",
            Kind::OneOf(&[TEXT, Kind::Table(&BUILD)]),
            "",
            "A shell command that makes `source`; run at start and after a change.",
        ),
        key(
            "http",
            Kind::OneOf(&[Kind::Text(Text::Route), Kind::List(&Kind::Text(Text::Route)), Kind::False]),
            "`/NAME` and below; none for a function with a queue, topic or cron",
            "Routes: `\"/path\"` or `\"METHOD /path\"` with `{name}`, `{name+}` and `*`. `\"/*\"` mounts at the root.",
        )
        .also(&["route", "routes", "url", "urls", "path_pattern", "events", "trigger"]),
        key(
            "cron",
            Kind::OneOf(&[
                Kind::Text(Text::Cron),
                Kind::Table(&CRON),
                Kind::List(&Kind::OneOf(&[Kind::Text(Text::Cron), Kind::Table(&CRON)])),
            ]),
            "",
            "When it runs by itself.",
        )
        .also(&["schedule", "crons", "timer", "rate"]),
        key("queue", Kind::OneOf(&[NAME, Kind::Table(&QUEUE_TRIGGER)]), "", "The queue whose messages it takes.")
            .also(&["sqs", "consumer", "consumes"]),
        key(
            "topic",
            Kind::OneOf(&[NAME, Kind::Table(&TOPIC_TRIGGER)]),
            "",
            "The topic whose messages it gets, one each.",
        )
        .also(&["sns", "subscribe", "subscription"]),
        key(
            "memory",
            Kind::Text(Text::Size),
            "the provider's",
            "Memory limit of an instance; the CPU share and the bill follow it.",
        )
        .also(&["memory_mb", "memory_size", "memorysize", "mem", "ram", "memory_limit"]),
        key("timeout", DURATION, "the provider's", "An invocation that takes longer is ended.")
            .also(&["timeout_seconds", "timeout_ms", "deadline", "duration"]),
        key("runtime", TEXT, "inferred from the source", "Whose cold start is modelled, such as `nodejs22`."),
        key(
            "isolation",
            Kind::Text(Text::Choice(&["invocation", "instance"])),
            "`\"invocation\"`",
            "`\"instance\"` keeps globals from one invocation of a warm instance to the next.",
        ),
        key(
            "payload_format",
            Kind::Text(Text::Choice(&["1.0", "2.0"])),
            "`\"2.0\"`",
            "Format of API Gateway in which a Lambda-style handler or a WASI command gets requests.",
        )
        .also(&["payload_format_version", "payloadformatversion", "payload_version"]),
        key("min_instances", Kind::Integer { min: 0, max: 1_000 }, "`0`", "Instances kept ready, and billed.")
            .also(&["provisioned_concurrency", "min_scale", "minimum_instances", "mininstances"]),
        key(
            "max_concurrency",
            Kind::Integer { min: 0, max: U32 },
            "the provider's",
            "Instances at most (reserved concurrency); above it requests are throttled, and 0 throttles all.",
        )
        .also(&["reserved_concurrency", "reserved_concurrent_executions", "max_instances", "max_scale"]),
        key(
            "concurrency",
            Kind::Integer { min: 1, max: 1_000 },
            "the provider's",
            "Requests that one instance takes at once.",
        )
        .also(&["container_concurrency", "instance_concurrency"]),
        key("keep_alive", KEEP_ALIVE, "the project's, or the provider's", "How long an idle instance stays warm.")
            .also(&["idle_timeout", "ttl", "keepalive", "warm_for"]),
        key(
            "allow_hosts",
            Kind::List(&Kind::Text(Text::Host)),
            "`[]`",
            "Hosts it may call: `api.example.com`, `*.example.com`, with `:PORT` for one port; `*` for all public ones.",
        )
        .also(&["allowed_hosts", "allow_host", "allowed_outbound_hosts", "hosts", "outbound"]),
        key("env", Kind::MapOf(&TEXT), "`{}`", "Its environment, besides what env files hold; nothing else of yours is passed on.")
            .also(&["environment", "vars", "variables", "config"]),
        key(
            "bind",
            Kind::MapOf(&Kind::Text(Text::Binding)),
            "`{}`",
            "Names in its `env` for `queue:NAME`, `topic:NAME`, `kv:NAME` and `function:NAME`.",
        )
        .also(&["bindings", "binding", "binds"]),
        key(
            "on_failure",
            Kind::Text(Text::Destination),
            "",
            "Where the record of an asynchronous invocation goes that failed for good: `queue:NAME` or `NAME`, `topic:NAME`, `function:NAME`.",
        )
        .also(&["dead_letter", "destination", "dlq", "onfailure", "on_error"]),
        key(
            "on_success",
            Kind::Text(Text::Destination),
            "",
            "The same for one that succeeded.",
        )
        .also(&["onsuccess", "on_done", "on_complete"]),
        key(
            "max_retries",
            Kind::Integer { min: 0, max: 100 },
            "the provider's, `2` at AWS",
            "Attempts after the first, for asynchronous invocations, topic messages and crons.",
        )
        .also(&["retries", "max_retry_attempts", "maximum_retry_attempts", "retry_attempts", "retry"]),
        key(
            "max_age",
            DURATION,
            "the provider's, `\"6h\"` at AWS",
            "Events older than this are given up.",
        )
        .also(&["max_event_age", "maximum_event_age", "event_age", "maximum_event_age_in_seconds"]),
        key("args", Kind::List(&TEXT), "`[]`", "Arguments of a WASI command, after the program's name.").also(&["arguments", "argv"]),
    ],
};

pub static BUILD: Table = Table {
    path: "functions.NAME.build",
    doc: "A build with more to say than its command.",
    keys: &[
        key("command", TEXT, "", "Run by the shell.")
            .also(&["cmd", "run"])
            .required(),
        key("dir", Kind::Text(Text::Path), "the project", "Where it runs.").also(&["cwd", "workdir", "directory"]),
        key(
            "watch",
            Kind::List(&Kind::Text(Text::Path)),
            "`dir`",
            "Files and folders whose change runs it again.",
        )
        .also(&["watches", "inputs", "sources"]),
    ],
};

pub static CRON: Table = Table {
    path: "functions.NAME.cron",
    doc: "A schedule with a zone or an overlap policy; several make a list. The first is named after the function, the next `NAME#2`.",
    keys: &[
        key(
            "schedule",
            Kind::Text(Text::Cron),
            "",
            "Five fields, or six with seconds first; `rate(5 minutes)`; `cron(...)` in AWS's dialect.",
        )
        .also(&["cron", "expression", "rate", "at"])
        .required(),
        key(
            "timezone",
            TEXT,
            "`\"UTC\"`",
            "An IANA zone, such as `America/Sao_Paulo`.",
        )
        .also(&["tz", "zone", "time_zone"]),
        key(
            "overlap",
            Kind::Text(Text::Choice(&["skip", "queue", "allow"])),
            "`\"skip\"`",
            "When it falls due while its last run still goes: leave it out, run it after, or run both.",
        )
        .also(&["concurrency", "concurrency_policy", "overlap_policy"]),
    ],
};

pub static QUEUE_TRIGGER: Table = Table {
    path: "functions.NAME.queue",
    doc: "A queue with its batches.",
    keys: &[
        key("from", NAME, "", "The queue's name.")
            .also(&["name", "queue", "source", "arn"])
            .required(),
        key(
            "batch_size",
            Kind::Integer { min: 1, max: 10_000 },
            "the provider's, `10` at AWS",
            "Messages in one invocation, at most.",
        )
        .also(&["batchsize", "max_batch_size", "batch"]),
        key(
            "batch_window",
            DURATION,
            "the provider's, `\"0s\"` at AWS",
            "How long a batch may wait to fill.",
        )
        .also(&[
            "max_batch_timeout",
            "maximum_batching_window",
            "window",
            "batch_timeout",
        ]),
        key(
            "max_concurrency",
            Kind::Integer { min: 1, max: U32 },
            "the provider's",
            "Batches that run at once, at most.",
        )
        .also(&["concurrency", "maximum_concurrency"]),
    ],
};

pub static TOPIC_TRIGGER: Table = Table {
    path: "functions.NAME.topic",
    doc: "A topic with a filter.",
    keys: &[
        key("from", NAME, "", "The topic's name.")
            .also(&["name", "topic", "arn"])
            .required(),
        key(
            "filter",
            Kind::Object,
            "",
            "Only messages that pass, such as `{ plan = [\"pro\"] }`.",
        )
        .also(&["filter_policy", "where"]),
        FILTER_SCOPE,
    ],
};
