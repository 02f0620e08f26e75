//! Every key of `emu.toml`, once: the reader refuses others, the JSON Schema and the README's reference are made from it.

mod bus;
mod function;
mod history;
mod keep_alive;
mod kv;
mod messages;
mod project;
mod testing;

pub use bus::BUS;
pub use function::{BUILD, CRON, FUNCTION, QUEUE_TRIGGER, TOPIC_TRIGGER};
pub use history::HISTORY;
pub use keep_alive::KEEP_ALIVE;
pub use kv::KV;
pub use messages::{QUEUE, SUBSCRIPTION, TOPIC};
pub use project::{PROJECT, PROVIDERS};
pub use testing::{ALWAYS, COUNTS_OF_FUNCTION, COUNTS_OF_QUEUE, EXPECT, FAULTS, OUTBOUND, STEP, TEST};

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
    /// A number that may have decimals, from zero up.
    Decimal,
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
    Any,
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
    /// A queue, topic or function; a bare name is a queue's.
    Destination,
    Clock,
    Choice(&'static [&'static str]),
}

impl Table {
    /// The heading, or for a table that stands in a line its key, with the name of what it belongs to.
    pub fn heading(&self, name: &str) -> String {
        let path = self.path.replace("NAME", name);
        let inline = self.path.contains("NAME.") || self.path == CORS.path || self.path.starts_with("expect.");
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
            Kind::Integer { .. } | Kind::Decimal => "number".to_owned(),
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
            Kind::Any => "any value".to_owned(),
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
            Text::Destination => "destination".to_owned(),
            Text::Clock => "`\"real\"`, `\"xN\"` or `\"manual\"`".to_owned(),
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
        "text" | "name" | "path" | "route" | "schedule" | "host" | "binding" | "table" => format!("{words}s"),
        other => other.to_owned(),
    }
}

pub(crate) const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
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
    pub(crate) const fn also(mut self, also: &'static [&'static str]) -> Key {
        self.also = also;
        self
    }

    pub(crate) const fn required(mut self) -> Key {
        self.required = true;
        self
    }
}

pub(crate) const TEXT: Kind = Kind::Text(Text::Plain);
pub(crate) const NAME: Kind = Kind::Text(Text::Name);
pub(crate) const DURATION: Kind = Kind::Text(Text::Duration);
pub(crate) const U32: u64 = u32::MAX as u64;

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
        key("history", Kind::Table(&HISTORY), "", "What is kept of the past.").also(&["logs", "log"]),
        key("bus", Kind::Table(&BUS), "", "A broker that several emulators share.").also(&[
            "nats",
            "broker",
            "jetstream",
        ]),
        key(
            "dev",
            Kind::Table(&DEV),
            "",
            "Defaults for the command line, which wins.",
        )
        .also(&["server", "emu"]),
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
            "`\"x60\"` makes all waiting sixty times shorter, `\"manual\"` waits to be moved.",
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
