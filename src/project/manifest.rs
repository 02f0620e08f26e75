//! The manifest as written: each value read by its own key's rules, nothing held against anything else yet.

mod keep_alive;
mod messages;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostic::list_names;
use super::keys;
use super::read::{At, Field, Section, Sink, field, list, text, wrong};
use super::route::RouteFault;
use super::{BusUrl, ClockSetting, Isolation, Route};
use crate::platform::config::{ColdStarts, Overlap};
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::time::Span;
pub(crate) use keep_alive::keep_alive;
pub use messages::{RawFilter, RawQueue, RawQueueTrigger, RawTopic, RawTopicTrigger};
use messages::{queue, read_queue_trigger, read_topic_trigger, topic};

#[derive(Debug, Default)]
pub struct Manifest {
    pub name: Option<At<String>>,
    pub provider: Option<At<String>>,
    pub secrets: Option<At<Vec<At<String>>>>,
    /// Of functions that have none of their own.
    pub keep_alive: Option<At<Policy>>,
    pub functions: Vec<RawFunction>,
    pub queues: Vec<RawQueue>,
    pub topics: Vec<RawTopic>,
    /// Names, each with its `ttl`.
    pub kv: Vec<(At<String>, Option<At<Span>>)>,
    pub cors: Option<RawCors>,
    pub history: super::HistorySettings,
    pub dev: super::DevSettings,
}

#[derive(Debug)]
pub struct RawFunction {
    /// The key that names it.
    pub name: At<String>,
    pub source: Option<At<String>>,
    pub build: Option<RawBuild>,
    /// `None`: not said. `Some([])`: `http = false`.
    pub http: Option<Vec<At<Route>>>,
    pub crons: Vec<RawCron>,
    pub queue: Option<RawQueueTrigger>,
    pub topic: Option<RawTopicTrigger>,
    /// Bytes.
    pub memory: Option<At<u64>>,
    pub timeout: Option<At<Span>>,
    pub runtime: Option<At<String>>,
    pub isolation: Isolation,
    pub payload_v1: bool,
    pub min_instances: Option<At<u32>>,
    pub max_concurrency: Option<At<u32>>,
    pub concurrency: Option<At<u32>>,
    pub keep_alive: Option<At<Policy>>,
    pub allow_hosts: Vec<At<String>>,
    pub env: Vec<(At<String>, String)>,
    pub bind: Vec<(At<String>, At<String>)>,
    pub on_failure: Option<At<String>>,
    pub on_success: Option<At<String>>,
    pub max_retries: Option<At<u32>>,
    pub max_age: Option<At<Span>>,
    pub args: Vec<String>,
}

#[derive(Debug)]
pub struct RawBuild {
    pub command: At<String>,
    pub dir: Option<At<String>>,
    pub watch: Vec<At<String>>,
}

#[derive(Debug)]
pub struct RawCron {
    pub schedule: At<String>,
    pub timezone: Option<At<String>>,
    pub overlap: Overlap,
}

#[derive(Debug)]
pub struct RawCors {
    pub span: Range<usize>,
    pub origins: Option<Vec<At<String>>>,
    pub methods: Option<Vec<At<String>>>,
    pub headers: Option<Vec<At<String>>>,
    pub credentials: bool,
    pub max_age: Option<At<Span>>,
}

/// Begins the message of a file that is no TOML at all.
pub const SYNTAX: &str = "not valid TOML";

/// One mistake in the syntax makes a row of others below it, so only the first is said; a key or heading that stands
/// twice is a mistake of its own.
pub(crate) fn report_syntax(text: &str, errors: &[toml::de::Error], sink: &mut Sink) {
    let mut said = false;
    for error in errors {
        let twice = error.message() == "duplicate key";
        if said && !twice {
            continue;
        }
        said |= !twice;
        let span = error.span().unwrap_or(0..0);
        // Where the file ends too early, the caret stands at its last character.
        let at = span.start.min(text.trim_end().len());
        let problem = sink.error(&(at..span.end.max(at)), format!("{SYNTAX}: {}", error.message()));
        if twice {
            problem.remedy("a key or heading stands once; take one out, or join the two");
        }
    }
}

/// Reads the whole file. What cannot be read is reported and left out.
pub fn read(text: &str, sink: &mut Sink) -> Manifest {
    let (root, syntax) = DeTable::parse_recoverable(text);
    report_syntax(text, &syntax, sink);
    if !syntax.is_empty() {
        // What was recovered is full of holes that would be reported as missing.
        return Manifest::default();
    }
    let root_span = root.span();
    let section = Section::open(root.get_ref(), root_span.start..root_span.start, &keys::ROOT, sink);
    let mut manifest = Manifest::default();
    if let Some(project) = section
        .get("project")
        .and_then(|f| Section::of(&f, &keys::PROJECT, sink))
    {
        manifest.name = project.text("name", sink);
        manifest.provider = project.text("provider", sink).filter(|id| known_provider(id, sink));
        manifest.secrets = project.texts("secrets", sink);
        manifest.keep_alive = keep_alive(&project, sink);
        project.done();
    }
    manifest.functions = named(&section, "functions", &keys::FUNCTION, sink, function);
    manifest.queues = named(&section, "queues", &keys::QUEUE, sink, queue);
    manifest.topics = named(&section, "topics", &keys::TOPIC, sink, topic);
    manifest.kv = named(&section, "kv", &keys::KV, sink, |name, section, sink| {
        (name, section.duration("ttl", sink))
    });
    if let Some(http) = section.get("http").and_then(|f| Section::of(&f, &keys::HTTP, sink)) {
        manifest.cors = http.get("cors").and_then(|cors| read_cors(&cors, sink));
        http.done();
    }
    if let Some(history) = section
        .get("history")
        .and_then(|f| Section::of(&f, &keys::HISTORY, sink))
    {
        let default = super::HistorySettings::default();
        manifest.history = super::HistorySettings {
            age_max: history
                .duration("max_age", sink)
                .map_or(default.age_max, |age| age.value),
            bytes_max: history
                .size("max_size", sink)
                .map_or(default.bytes_max, |size| size.value),
            bodies_bytes_max: history
                .size("max_bodies", sink)
                .map_or(default.bodies_bytes_max, |size| size.value),
        };
        history.done();
    }
    let bus = section.get("bus").and_then(|f| Section::of(&f, &keys::BUS, sink));
    let url = bus.and_then(|bus| {
        let url = bus.text("url", sink).and_then(|url| read_bus(&url, sink));
        bus.done();
        url
    });
    if let Some(dev) = section.get("dev").and_then(|f| Section::of(&f, &keys::DEV, sink)) {
        manifest.dev = read_dev(&dev, sink);
        dev.done();
    }
    manifest.dev.bus = url;
    section.done();
    manifest
}

pub(crate) fn known_provider(id: &At<String>, sink: &mut Sink) -> bool {
    let Err(unknown) = crate::provider::by_id(&id.value) else {
        return true;
    };
    sink.error(&id.span, format!("no provider is called `{}`", id.value))
        .remedy(providers(unknown.nearest));
    false
}

/// For an id that is none.
pub fn providers(nearest: &str) -> String {
    let all = list_names(crate::provider::ids()).replace(" or ", " and ");
    format!("did you mean `{nearest}`? There are {all}")
}

/// Reads `[functions.NAME]` and its like, in the order of the file.
pub(crate) fn named<T>(
    root: &Section<'_>,
    kind: &'static str,
    spec: &'static keys::Table,
    sink: &mut Sink,
    read: impl Fn(At<String>, &Section<'_>, &mut Sink) -> T,
) -> Vec<T> {
    let Some(all) = root.get(kind) else { return Vec::new() };
    let DeValue::Table(table) = all.value else {
        wrong(&all, &format!("tables `[{}]`", spec.path), sink);
        return Vec::new();
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut found = Vec::new();
    for (key, value) in entries {
        let name = At::new(key.get_ref().as_ref().to_owned(), key.span());
        let DeValue::Table(inner) = value.get_ref() else {
            let remedy = if spec.keys.iter().any(|known| known.name == name.value) {
                format!("write it below a heading with a name: `[{kind}.NAME]`")
            } else {
                format!("write `[{kind}.{}]` and its keys below", name.value)
            };
            sink.error(&value.span(), format!("`{kind}.{}` is a table", name.value))
                .remedy(remedy);
            continue;
        };
        sink.name.clone_from(&name.value);
        let section = Section::open(inner, key.span(), spec, sink);
        found.push(read(name, &section, sink));
        section.done();
        "NAME".clone_into(&mut sink.name);
    }
    found
}

fn function(name: At<String>, section: &Section<'_>, sink: &mut Sink) -> RawFunction {
    let isolation = match section.choice("isolation", sink) {
        Some(At { value: "instance", .. }) => Isolation::Instance,
        Some(_) | None => Isolation::Invocation,
    };
    RawFunction {
        source: section.text("source", sink),
        build: section.get("build").and_then(|build| read_build(&build, sink)),
        http: section.get("http").and_then(|http| read_routes(&http, sink)),
        crons: section
            .get("cron")
            .map(|cron| read_crons(&cron, sink))
            .unwrap_or_default(),
        queue: section.get("queue").and_then(|queue| read_queue_trigger(&queue, sink)),
        topic: section.get("topic").and_then(|topic| read_topic_trigger(&topic, sink)),
        memory: section.size("memory", sink),
        timeout: section.duration("timeout", sink),
        runtime: section.text("runtime", sink),
        isolation,
        payload_v1: section
            .choice("payload_format", sink)
            .is_some_and(|format| format.value == "1.0"),
        min_instances: section.integer_u32("min_instances", sink),
        max_concurrency: section.integer_u32("max_concurrency", sink),
        concurrency: section.integer_u32("concurrency", sink),
        keep_alive: keep_alive(section, sink),
        allow_hosts: section
            .texts("allow_hosts", sink)
            .map(|hosts| hosts.value)
            .unwrap_or_default(),
        env: read_map(section, "env", sink)
            .into_iter()
            .map(|(key, value)| (key, value.value))
            .collect(),
        bind: read_map(section, "bind", sink),
        on_failure: section.text("on_failure", sink),
        on_success: section.text("on_success", sink),
        max_retries: section.integer_u32("max_retries", sink),
        max_age: section.duration("max_age", sink),
        args: section
            .texts("args", sink)
            .map(|args| args.value.into_iter().map(|arg| arg.value).collect())
            .unwrap_or_default(),
        name,
    }
}

fn read_build(build: &Field<'_>, sink: &mut Sink) -> Option<RawBuild> {
    if let DeValue::String(_) = build.value {
        return Some(RawBuild {
            command: text(build, sink)?,
            dir: None,
            watch: Vec::new(),
        });
    }
    let DeValue::Table(_) = build.value else {
        wrong(build, "a command, or a table with `command`, `dir` and `watch`", sink);
        return None;
    };
    let section = Section::of(build, &keys::BUILD, sink)?;
    let command = section.text("command", sink);
    let dir = section.text("dir", sink);
    let watch = section
        .texts("watch", sink)
        .map(|watch| watch.value)
        .unwrap_or_default();
    section.done();
    Some(RawBuild {
        command: command?,
        dir,
        watch,
    })
}

fn read_routes(http: &Field<'_>, sink: &mut Sink) -> Option<Vec<At<Route>>> {
    match http.value {
        DeValue::Boolean(false) => Some(Vec::new()),
        DeValue::Boolean(true) => {
            sink.error(
                &http.span(),
                "`http` takes a route, a list of routes or `false`, found `true`",
            )
            .remedy("leave the key out for the default route");
            None
        }
        DeValue::String(_) => Some(read_route(http, sink).into_iter().collect()),
        DeValue::Array(_) => {
            let items = list(http, "a list of routes", sink)?;
            Some(items.iter().filter_map(|item| read_route(item, sink)).collect())
        }
        _ => {
            wrong(
                http,
                "a route such as \"GET /orders/{id}\", a list of them, or `false`",
                sink,
            );
            None
        }
    }
}

fn read_route(item: &Field<'_>, sink: &mut Sink) -> Option<At<Route>> {
    let written = text(item, sink)?;
    match Route::parse(&written.value) {
        Ok(route) => Some(At::new(route, written.span)),
        Err(RouteFault { message, remedy }) => {
            let problem = sink.error(&written.span, message);
            if let Some(remedy) = remedy {
                problem.remedy(remedy);
            }
            None
        }
    }
}

fn read_crons(cron: &Field<'_>, sink: &mut Sink) -> Vec<RawCron> {
    match cron.value {
        DeValue::Array(_) => list(cron, "a list of schedules", sink)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| read_cron(item, sink))
            .collect(),
        _ => read_cron(cron, sink).into_iter().collect(),
    }
}

fn read_cron(cron: &Field<'_>, sink: &mut Sink) -> Option<RawCron> {
    match cron.value {
        DeValue::String(_) => Some(RawCron {
            schedule: text(cron, sink)?,
            timezone: None,
            overlap: Overlap::default(),
        }),
        DeValue::Table(_) => {
            let section = Section::of(cron, &keys::CRON, sink)?;
            let schedule = section.text("schedule", sink);
            let timezone = section.text("timezone", sink);
            let overlap = match section.choice("overlap", sink).map(|overlap| overlap.value) {
                Some("queue") => Overlap::Queue,
                Some("allow") => Overlap::Allow,
                Some(_) | None => Overlap::Skip,
            };
            section.done();
            Some(RawCron {
                schedule: schedule?,
                timezone,
                overlap,
            })
        }
        _ => {
            wrong(
                cron,
                "a schedule such as \"*/5 * * * *\", a table with `schedule`, or a list of them",
                sink,
            );
            None
        }
    }
}

/// A table of texts, in the order of the file. A number or a truth value is an error that shows the quotes.
fn read_map(section: &Section<'_>, name: &'static str, sink: &mut Sink) -> Vec<(At<String>, At<String>)> {
    let Some(map) = section.get(name) else {
        return Vec::new();
    };
    let DeValue::Table(table) = map.value else {
        wrong(&map, "a table of texts", sink);
        return Vec::new();
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut pairs = Vec::new();
    for (key, value) in entries {
        let inner = field(key.get_ref(), value);
        match inner.value {
            DeValue::String(text) => {
                pairs.push((
                    At::new(key.get_ref().as_ref().to_owned(), key.span()),
                    inner.at(text.as_ref().to_owned()),
                ));
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                let written = sink.source.text.get(inner.span()).unwrap_or_default().to_owned();
                sink.error(&inner.span(), format!("`{}` takes a text in quotes", inner.name))
                    .remedy(format!("write `{} = \"{written}\"`", inner.name));
            }
            _ => wrong(&inner, "a text in quotes", sink),
        }
    }
    pairs
}

fn read_cors(cors: &Field<'_>, sink: &mut Sink) -> Option<RawCors> {
    let all = RawCors {
        span: cors.span(),
        origins: None,
        methods: None,
        headers: None,
        credentials: false,
        max_age: None,
    };
    match cors.value {
        DeValue::Boolean(true) => Some(all),
        DeValue::Boolean(false) => None,
        DeValue::Table(_) => {
            let section = Section::of(cors, &keys::CORS, sink)?;
            let read = RawCors {
                origins: section.texts("origins", sink).map(|list| list.value),
                methods: section.texts("methods", sink).map(|list| list.value),
                headers: section.texts("headers", sink).map(|list| list.value),
                credentials: section.boolean("credentials", sink).is_some_and(|yes| yes.value),
                max_age: section.duration("max_age", sink),
                ..all
            };
            section.done();
            Some(read)
        }
        _ => {
            wrong(cors, "`true`, or a table with `origins` and the like", sink);
            None
        }
    }
}

fn read_dev(dev: &Section<'_>, sink: &mut Sink) -> super::DevSettings {
    let port =
        |name: &'static str, sink: &mut Sink| dev.integer(name, sink).and_then(|port| u16::try_from(port.value).ok());
    super::DevSettings {
        port: port("port", sink),
        control_port: port("control_port", sink),
        host: dev.text("host", sink).and_then(|host| read_host(&host, sink)),
        clock: dev.text("clock", sink).and_then(|clock| read_clock(&clock, sink)),
        cold_starts: dev.choice("cold_starts", sink).map(|choice| match choice.value {
            "sleep" => ColdStarts::Sleep,
            "off" => ColdStarts::Off,
            _ => ColdStarts::Report,
        }),
        seed: dev.integer("seed", sink).map(|seed| seed.value),
        bus: None,
    }
}

fn read_bus(url: &At<String>, sink: &mut Sink) -> Option<BusUrl> {
    match url.value.parse() {
        Ok(parsed) => Some(parsed),
        Err(fault) => {
            sink.error(&url.span, fault)
                .remedy("write nats://HOST:4222; several servers of a cluster with commas");
            None
        }
    }
}

fn read_host(host: &At<String>, sink: &mut Sink) -> Option<String> {
    if host.value == "localhost" || host.value.parse::<std::net::IpAddr>().is_ok() {
        return Some(host.value.clone());
    }
    sink.error(&host.span, format!("`{}` is no address to listen on", host.value))
        .remedy("write an IP address of this machine, such as \"127.0.0.1\" or \"0.0.0.0\"");
    None
}

fn read_clock(clock: &At<String>, sink: &mut Sink) -> Option<ClockSetting> {
    match clock.value.parse() {
        Ok(setting) => Some(setting),
        Err(fault) => {
            sink.error(&clock.span, fault)
                .remedy("`clock` takes \"real\", or \"x60\" with any factor above zero");
            None
        }
    }
}
