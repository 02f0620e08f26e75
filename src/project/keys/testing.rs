//! The keys of test files, `*.emu.toml`.

use super::{DURATION, Key, Kind, TEXT, Table, Text, key};

const COUNT: Kind = Kind::OneOf(&[Kind::Integer { min: 0, max: u64::MAX }, TEXT]);

pub static TEST: Table = Table {
    path: "",
    doc: "A test file: what is done to a fresh emulator, and what is expected of it. Under the manual clock: nothing waits.",
    keys: &[
        key("name", TEXT, "the file's name", "Shown in reports.").also(&["title", "test", "description"]),
        key(
            "project",
            Kind::Text(Text::Path),
            "the nearest folder upward",
            "The project that is tested, relative to the file.",
        ),
        key(
            "provider",
            TEXT,
            "the project's",
            "Whose limits, scaling, cold starts and prices apply.",
        ),
        key(
            "seed",
            Kind::Integer { min: 0, max: u64::MAX },
            "`1`",
            "Of all that is drawn: cold starts, randomness in functions, ids.",
        ),
        key("start", TEXT, "`\"2026-01-01T00:00:00Z\"`", "Where the clock begins.").also(&["now", "time", "clock"]),
        key(
            "env",
            Kind::MapOf(&TEXT),
            "`{}`",
            "Environment of all functions, before what emu.toml and env files say.",
        )
        .also(&["environment", "vars"]),
        key(
            "step",
            Kind::List(&Kind::Table(&STEP)),
            "`[]`",
            "What is done, in this order. A step is over when all that was due has run.",
        )
        .also(&["steps", "tests"]),
        key(
            "outbound",
            Kind::List(&Kind::Table(&OUTBOUND)),
            "`[]`",
            "Answers to requests of functions to the outside; what none is for is refused.",
        )
        .also(&["mock", "mocks", "http_mock"]),
        key("faults", Kind::Table(&FAULTS), "", "What fails on purpose.").also(&["fault", "chaos"]),
        key(
            "expect",
            Kind::Table(&EXPECT),
            "",
            "What is expected after the last step.",
        )
        .also(&["expected", "assert", "then"]),
        key("always", Kind::Table(&ALWAYS), "", "What is expected after every step.").also(&["invariants"]),
    ],
};

pub static STEP: Table = Table {
    path: "[step]",
    doc: "One step: one of the keys from `request` to `idle`, and what comes with it.",
    keys: &[
        key("name", TEXT, "what it does", "Shown in reports.").also(&["title", "description"]),
        key("request", TEXT, "", "A request to the functions: `\"POST /orders\"`.").also(&["http", "get", "post", "url"]),
        key("send", Kind::Text(Text::Name), "", "A message for a queue.").also(&["queue"]),
        key("publish", Kind::Text(Text::Name), "", "A message for a topic.").also(&["topic"]),
        key("fire", Kind::Text(Text::Name), "", "A cron, now.").also(&["cron"]),
        key("invoke", Kind::Text(Text::Name), "", "A function, with `json` as its event.").also(&["function", "call"]),
        key("advance", DURATION, "", "Moves the clock on by so long.").also(&["sleep", "wait"]),
        key("advance_to", TEXT, "", "Moves the clock to an instant, `\"2026-03-29T00:00:00Z\"`."),
        key(
            "idle",
            Kind::OneOf(&[Kind::Bool, DURATION]),
            "",
            "`true`: moves the clock until nothing is queued, running or waiting; a time: at most so far, crons included.",
        )
        .also(&["run_until_idle", "drain"]),
        key("headers", Kind::MapOf(&TEXT), "`{}`", "Of the request."),
        key("json", Kind::Any, "none", "The body of the request or message, as JSON.").also(&["data", "event", "payload"]),
        key("body", TEXT, "none", "The body as text.").also(&["text"]),
        key("delay", DURATION, "none", "How long a message sent waits before it can be taken."),
        key("group", TEXT, "none", "The group of a message in a FIFO queue."),
        key(
            "save",
            Kind::MapOf(&TEXT),
            "`{}`",
            "Parts of the answer, for later steps: `{ id = \"order.id\" }` is `${id}` from then on.",
        )
        .also(&["capture", "extract"]),
        key("expect", Kind::Table(&EXPECT), "", "What is expected of the answer, and of the state after it.")
            .also(&["expected", "assert", "then"]),
    ],
};

pub static OUTBOUND: Table = Table {
    path: "[outbound]",
    doc: "An answer to requests to the outside. Several for the same address answer in turn, the last one from then on. `allow_hosts` holds all the same.",
    keys: &[
        key(
            "url",
            TEXT,
            "",
            "Method and address: `\"GET https://api.example.com/rates?base=BRL\"`; `[..]` stands for anything.",
        )
        .also(&["request", "uri", "match"])
        .required(),
        key(
            "status",
            Kind::Integer { min: 100, max: 599 },
            "`200`",
            "Status of the answer.",
        ),
        key("headers", Kind::MapOf(&TEXT), "`{}`", "Headers of the answer."),
        key("json", Kind::Any, "none", "Body of the answer as JSON."),
        key("body", TEXT, "none", "Body of the answer as text."),
    ],
};

const FAULT: Kind = Kind::OneOf(&[Kind::Decimal, Kind::Object, Kind::List(&Kind::Object)]);

pub static FAULTS: Table = Table {
    path: "faults",
    doc: "What fails on purpose: probabilities, `0.1`, or tables `{ probability = 0.1, function = \"billing\", by = \"2s\" }`, or lists of these.",
    keys: &[
        key("fail", FAULT, "none", "An invocation fails before its handler runs."),
        key(
            "kill",
            FAULT,
            "none",
            "An instance is lost with what runs on it, in the middle of an invocation, after `by` at the most: what the handler did by then stays done.",
        ),
        key(
            "delay",
            FAULT,
            "none",
            "An invocation takes `by` longer (`\"1s\"`), and is ended at its timeout.",
        ),
        key(
            "duplicate",
            FAULT,
            "none",
            "A message that was handled is delivered once more, at once; not in FIFO queues.",
        ),
        key(
            "late_ack",
            FAULT,
            "none",
            "A message that was handled comes again after its visibility timeout.",
        ),
        key(
            "reorder",
            FAULT,
            "none",
            "A message is held up for up to `by` on its way into a queue, so that others overtake it.",
        ),
        key(
            "cold_starts",
            FAULT,
            "none",
            "After an invocation all idle instances of its function vanish.",
        ),
        key(
            "host_loss",
            FAULT,
            "none",
            "As `kill`, and the instance's host is lost, with a quarter of all instances and what runs on them.",
        ),
        key(
            "throttle",
            FAULT,
            "none",
            "What arrives is refused: a request gets 429; messages, events and crons come again, as the provider does it.",
        ),
        key(
            "seed",
            Kind::Integer { min: 0, max: u64::MAX },
            "the run's",
            "Of what is drawn for faults.",
        ),
    ],
};

pub static EXPECT: Table = Table {
    path: "expect",
    doc: "What is expected, in `[expect]` and in steps. In texts `[..]` stands for anything.",
    keys: &[
        key(
            "status",
            Kind::Integer { min: 100, max: 599 },
            "below 400, in steps with a request",
            "Status of the answer.",
        )
        .also(&["code", "status_code"]),
        key(
            "headers",
            Kind::MapOf(&TEXT),
            "none",
            "Headers of the answer, each with its whole value.",
        ),
        key(
            "json",
            Kind::Any,
            "none",
            "The body as JSON: objects may have more members, lists are whole.",
        ),
        key("body", TEXT, "none", "The whole body as text.").also(&["text"]),
        key("contains", TEXT, "none", "A part of the body.").also(&["includes"]),
        QUEUES,
        INVOCATIONS,
        KV,
        LOGS,
        EVENTS,
        MAX_COST,
        MAX_COLD_STARTS,
        MAX_DURATION,
    ],
};

pub static ALWAYS: Table = Table {
    path: "always",
    doc: "What is expected after every step, under every seed and whatever fails (`--swarm`).",
    keys: &[
        QUEUES,
        INVOCATIONS,
        KV,
        LOGS,
        EVENTS,
        MAX_COST,
        MAX_COLD_STARTS,
        MAX_DURATION,
    ],
};

const QUEUES: Key = key(
    "queues",
    Kind::Named(&COUNTS_OF_QUEUE),
    "none",
    "Messages in queues: `{ orders = { visible = 0, dead = \"<= 1\" } }`.",
)
.also(&["queue"]);

const INVOCATIONS: Key = key(
    "invocations",
    Kind::Named(&COUNTS_OF_FUNCTION),
    "none",
    "Invocations of functions that have ended so far: `{ billing = { succeeded = 1, failed = 2 } }`.",
)
.also(&["functions"]);

const KV: Key = key(
    "kv",
    Kind::MapOf(&Kind::Object),
    "none",
    "Values in key-value stores: `{ carts = { \"user:7\" = { items = 3 } } }`; `false`: no such key.",
);

const LOGS: Key = key(
    "logs",
    Kind::MapOf(&Kind::List(&TEXT)),
    "none",
    "Lines that functions have written, in this order, others between: `{ billing = [\"charged [..]\"] }`.",
)
.also(&["log", "output"]);

const EVENTS: Key = key(
    "events",
    Kind::List(&Kind::Object),
    "none",
    "Events as `--json` writes them, in this order, others between: `[{ event = \"message\", change = \"dead_lettered\" }]`.",
);

const MAX_COST: Key = key(
    "max_cost",
    Kind::Decimal,
    "none",
    "Dollars of all invocations so far, before the free tier.",
);

const MAX_COLD_STARTS: Key = key(
    "max_cold_starts",
    Kind::Integer { min: 0, max: u64::MAX },
    "none",
    "Invocations so far that started cold.",
);

const MAX_DURATION: Key = key("max_duration", DURATION, "none", "Of the longest invocation so far.");

pub static COUNTS_OF_QUEUE: Table = Table {
    path: "expect.queues.NAME",
    doc: "Counts of a queue: numbers, or texts such as `\"<= 3\"`.",
    keys: &[
        key("visible", COUNT, "none", "Messages that can be taken."),
        key("in_flight", COUNT, "none", "Messages that were taken and are hidden."),
        key("delayed", COUNT, "none", "Messages that wait for their time."),
        key("dead", COUNT, "none", "Messages in its dead-letter queue."),
    ],
};

pub static COUNTS_OF_FUNCTION: Table = Table {
    path: "expect.invocations.NAME",
    doc: "Counts of a function: numbers, or texts such as `\">= 1\"`.",
    keys: &[
        key("total", COUNT, "none", "All that ended.").also(&["count"]),
        key("succeeded", COUNT, "none", "Those that went well.").also(&["success", "ok"]),
        key("failed", COUNT, "none", "Those that did not, whatever the outcome.").also(&["errors", "failures"]),
        key("cold", COUNT, "none", "Those that started cold.").also(&["cold_starts"]),
    ],
};
