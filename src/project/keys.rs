//! Every key of `emu.toml`, once: the reader refuses others, the JSON Schema and the README's reference are made from it.

mod kv;
mod project;

pub use kv::KV;
pub use project::{PROJECT, PROVIDERS};

/// A table of the manifest.
#[derive(Debug)]
pub struct Table {
    /// As a heading writes it: `functions.NAME`.
    pub path: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
}

#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As written in the file, or in words; empty: none.
    pub default: &'static str,
    pub doc: &'static str,
    /// What other tools call it: typed by mistake, it is answered with this key.
    pub also: &'static [&'static str],
    pub required: bool,
}

/// What a key takes.
#[derive(Debug)]
pub enum Kind {
    Bool,
    /// Only `false`.
    False,
    Text(Text),
    Integer {
        min: u64,
        max: u64,
    },
    List(&'static Kind),
    /// Keys of the user's own, each with such a value.
    MapOf(&'static Kind),
    /// Tables under names of the user's own.
    Named(&'static Table),
    Table(&'static Table),
    /// One of several forms, the first the simplest.
    OneOf(&'static [Kind]),
    /// Any object; its rules stand elsewhere.
    Object,
}

#[derive(Clone, Copy, Debug)]
pub enum Text {
    Plain,
    /// A name of a function, queue, topic or key-value store.
    Name,
    Size,
    Duration,
    Path,
    Route,
    Cron,
    Host,
    Binding,
    Clock,
    Choice(&'static [&'static str]),
}

impl Table {
    /// The heading, or for a table that stands in a line its key, with the name of what it belongs to.
    pub fn heading(&self, name: &str) -> String {
        let path = self.path.replace("NAME", name);
        let inline = self.path.contains("NAME.") || self.path == CORS.path;
        if inline { path } else { format!("[{path}]") }
    }
}

impl Kind {
    /// For the reference: `size`, `text or list of texts`.
    pub fn in_words(&self) -> String {
        match self {
            Kind::Bool => "`true` or `false`".to_owned(),
            Kind::False => "`false`".to_owned(),
            Kind::Text(text) => text.in_words(),
            Kind::Integer { .. } => "number".to_owned(),
            Kind::List(Kind::OneOf(forms)) => {
                let forms: Vec<String> = forms.iter().map(|form| plural(&form.in_words())).collect();
                format!("list of {}", forms.join(" or "))
            }
            Kind::List(of) => format!("list of {}", plural(&of.in_words())),
            Kind::MapOf(of) => format!("table of {}", plural(&of.in_words())),
            Kind::Named(table) => format!("tables `[{}]`", table.path),
            Kind::Table(table) => {
                let keys: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
                format!("`{{ {} }}`", keys.join(", "))
            }
            Kind::OneOf(kinds) => {
                let form = |kind: &Kind| match kind {
                    Kind::List(Kind::OneOf(_)) => "list of these".to_owned(),
                    other => other.in_words(),
                };
                kinds.iter().map(form).collect::<Vec<_>>().join(", or ")
            }
            Kind::Object => "table".to_owned(),
        }
    }
}

impl Text {
    fn in_words(self) -> String {
        match self {
            Text::Plain => "text".to_owned(),
            Text::Name => "name".to_owned(),
            Text::Size => "size".to_owned(),
            Text::Duration => "time".to_owned(),
            Text::Path => "path".to_owned(),
            Text::Route => "route".to_owned(),
            Text::Cron => "schedule".to_owned(),
            Text::Host => "host".to_owned(),
            Text::Binding => "binding".to_owned(),
            Text::Clock => "`\"real\"` or `\"xN\"`".to_owned(),
            Text::Choice(choices) => choices
                .iter()
                .map(|choice| format!("`\"{choice}\"`"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

fn plural(words: &str) -> String {
    match words {
        "text" | "name" | "path" | "route" | "schedule" | "host" | "binding" => format!("{words}s"),
        other => other.to_owned(),
    }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
        doc,
        also: &[],
        required: false,
    }
}

impl Key {
    const fn also(mut self, also: &'static [&'static str]) -> Key {
        self.also = also;
        self
    }

    const fn required(mut self) -> Key {
        self.required = true;
        self
    }
}

const TEXT: Kind = Kind::Text(Text::Plain);
const NAME: Kind = Kind::Text(Text::Name);
const DURATION: Kind = Kind::Text(Text::Duration);
const U32: u64 = u32::MAX as u64;

pub static ROOT: Table = Table {
    path: "",
    doc: "The file as a whole. All of it is optional.",
    keys: &[
        key("project", Kind::Table(&PROJECT), "", "The project as a whole."),
        key(
            "functions",
            Kind::Named(&FUNCTION),
            "what `functions/` holds",
            "Functions by name.",
        )
        .also(&["function", "lambda", "lambdas", "handlers"]),
        key("queues", Kind::Named(&QUEUE), "", "Queues by name.").also(&["queue", "sqs"]),
        key("topics", Kind::Named(&TOPIC), "", "Topics by name.").also(&["topic", "sns"]),
        key("kv", Kind::Named(&KV), "", "Key-value stores by name.").also(&[
            "kvs",
            "kv_namespaces",
            "key_value",
            "stores",
        ]),
        key("http", Kind::Table(&HTTP), "", "How the functions' port answers."),
        key(
            "dev",
            Kind::Table(&DEV),
            "",
            "Defaults for the command line, which wins.",
        )
        .also(&["server", "emu"]),
    ],
};

pub static FUNCTION: Table = Table {
    path: "functions.NAME",
    doc: "One function.",
    keys: &[
        key(
            "source",
            Kind::Text(Text::Path),
            "`functions/NAME.*` or `functions/NAME/index.*`",
            "A `.js`, `.mjs`, `.ts`, `.mts`, `.wasm` or `.wat` file in the project.",
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
        key("keep_alive", DURATION, "the provider's", "How long an idle instance stays warm.")
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
            NAME,
            "",
            "A queue (`NAME` or `queue:NAME`) for asynchronous invocations that failed for good.",
        )
        .also(&["dead_letter", "destination", "dlq", "onfailure", "on_error"]),
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
    ],
};

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
    ],
};

pub static HTTP: Table = Table {
    path: "http",
    doc: "How the functions' port answers.",
    keys: &[key(
        "cors",
        Kind::OneOf(&[Kind::Bool, Kind::Table(&CORS)]),
        "`false`",
        "Lets pages of other origins call the functions; `true` lets all of them, without credentials.",
    )],
};

pub static CORS: Table = Table {
    path: "http.cors",
    doc: "Who may call, and how.",
    keys: &[
        key(
            "origins",
            Kind::List(&TEXT),
            "`[\"*\"]`",
            "Exact origins, such as `http://localhost:5173`, or `*`.",
        )
        .also(&["origin", "allow_origins", "allowed_origins"]),
        key(
            "methods",
            Kind::List(&TEXT),
            "`[\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"OPTIONS\"]`",
            "Methods they may use.",
        )
        .also(&["allow_methods", "allowed_methods"]),
        key(
            "headers",
            Kind::List(&TEXT),
            "`[\"*\"]`",
            "Request headers they may send; `*` allows what is asked for.",
        )
        .also(&["allow_headers", "allowed_headers"]),
        key(
            "credentials",
            Kind::Bool,
            "`false`",
            "Whether cookies come along; `origins` must then be exact.",
        )
        .also(&["allow_credentials"]),
        key(
            "max_age",
            DURATION,
            "`\"5s\"`",
            "How long a browser keeps the answer to a preflight.",
        ),
    ],
};

pub static DEV: Table = Table {
    path: "dev",
    doc: "Defaults for the command line, which wins.",
    keys: &[
        key(
            "port",
            Kind::Integer { min: 0, max: 65_535 },
            "`3680`",
            "The functions' port; 0 takes any free one.",
        ),
        key(
            "control_port",
            Kind::Integer { min: 0, max: 65_535 },
            "`3681`",
            "The port of the control API and the dashboard.",
        ),
        key(
            "host",
            TEXT,
            "`\"127.0.0.1\"`",
            "The functions' address; `0.0.0.0` opens it to the network.",
        )
        .also(&["address", "bind", "listen"]),
        key(
            "clock",
            Kind::Text(Text::Clock),
            "`\"real\"`",
            "`\"x60\"` makes all waiting sixty times shorter.",
        )
        .also(&["time", "speed"]),
        key(
            "cold_starts",
            Kind::Text(Text::Choice(&["report", "sleep", "off"])),
            "`\"report\"`",
            "Modelled cold starts are reported and billed, waited for as well, or left out.",
        )
        .also(&["cold_start", "coldstarts"]),
        key(
            "seed",
            Kind::Integer { min: 0, max: u64::MAX },
            "drawn at start",
            "Of the generator that draws cold starts and the like.",
        ),
    ],
};
