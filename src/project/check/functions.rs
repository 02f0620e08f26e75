//! Functions: routes, limits, bindings, schedules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Kind, World, destinations, source};
use crate::platform::schedule::{self, Schedule};
use crate::platform::time::Span;
use crate::platform::topic::Filter;
use crate::project::diagnostic::{list_names, nearest};
use crate::project::discover::kind_of;
use crate::project::manifest::{Manifest, RawBuild, RawCron, RawFilter, RawFunction, RawQueueTrigger};
use crate::project::read::{At, Sink};
use crate::project::units::format_size;
use crate::project::{Binding, Build, CronTrigger, Function, Isolation, QueueTrigger, Route, SourceKind, TopicTrigger};
use crate::provider::{Batch, Profile};

const MB: u64 = 1 << 20;

/// Every function with a source, declared or found.
pub fn all(
    manifest: &Manifest,
    sources: BTreeMap<String, PathBuf>,
    world: &World<'_>,
    sink: &mut Sink,
) -> BTreeMap<String, Function> {
    let raw: BTreeMap<&str, &RawFunction> = manifest.functions.iter().map(|f| (f.name.value.as_str(), f)).collect();
    // What is wrong with a function is said even when its source is missing, so every declared one is gone through.
    let mut functions = BTreeMap::new();
    for function in &manifest.functions {
        let source = sources.get(&function.name.value).cloned();
        let built = declared(function, source.clone().unwrap_or_default(), world, sink);
        // One that others serve counts by what it subscribes to.
        if source.is_some() || !world.is_here(&function.name.value) {
            functions.insert(built.name.clone(), built);
        }
    }
    for (name, source) in sources {
        if !raw.contains_key(name.as_str()) {
            functions.insert(
                name.clone(),
                plain(
                    &name,
                    source,
                    vec![Route::exact(&name), Route::below(&name)],
                    world.profile,
                ),
            );
        }
    }
    if let Some(default) = &manifest.keep_alive {
        for function in functions.values_mut() {
            function.keep_alive = function.keep_alive.or(Some(default.value));
        }
    }
    check_routes(manifest, &functions, sink);
    destinations::circles(manifest, sink);
    functions
}

/// A function that nothing was said about.
pub fn plain(name: &str, source: PathBuf, routes: Vec<Route>, profile: &Profile) -> Function {
    let kind = kind_of(&source).unwrap_or(SourceKind::Script);
    Function {
        name: name.to_owned(),
        source,
        kind,
        build: None,
        routes,
        memory_mb: profile.memory.default_mb,
        timeout: profile.timeout.default,
        runtime: runtime_of(kind, None, profile),
        isolation: Isolation::default(),
        payload_v1: false,
        min_instances: 0,
        max_concurrency: None,
        concurrency: None,
        keep_alive: None,
        allow_hosts: Vec::new(),
        env: BTreeMap::new(),
        bind: BTreeMap::new(),
        queue: None,
        crons: Vec::new(),
        topic: None,
        on_failure: None,
        on_success: None,
        max_retries: None,
        max_age: None,
        args: Vec::new(),
    }
}

fn declared(raw: &RawFunction, source: PathBuf, world: &World<'_>, sink: &mut Sink) -> Function {
    let name = &raw.name.value;
    let profile = world.profile;
    let routes = match &raw.http {
        Some(routes) => routes.iter().map(|route| route.value.clone()).collect(),
        None if raw.queue.is_some() || raw.topic.is_some() || !raw.crons.is_empty() => Vec::new(),
        None => vec![Route::exact(name), Route::below(name)],
    };
    let base = plain(name, source, routes, profile);
    let kind = base.kind;
    contradictions(raw, kind, sink);
    destinations::limits(raw, world, sink);
    Function {
        memory_mb: memory(raw.memory.as_ref(), world, sink).unwrap_or(base.memory_mb),
        timeout: timeout(raw, !base.routes.is_empty(), world, sink).unwrap_or(base.timeout),
        runtime: match &raw.runtime {
            Some(runtime) => check_runtime(runtime, profile, sink),
            None => runtime_of(kind, raw.build.as_ref(), profile),
        },
        build: raw.build.as_ref().and_then(|build| check_build(build, sink)),
        isolation: raw.isolation,
        payload_v1: raw.payload_v1,
        min_instances: raw.min_instances.as_ref().map_or(0, |n| n.value),
        max_concurrency: raw.max_concurrency.as_ref().map(|n| n.value),
        concurrency: raw.concurrency.as_ref().map(|n| n.value),
        keep_alive: raw.keep_alive.as_ref().map(|policy| policy.value),
        allow_hosts: raw
            .allow_hosts
            .iter()
            .filter_map(|host| check_host(host, sink))
            .collect(),
        env: check_env(raw, sink),
        bind: check_bindings(raw, world, sink),
        queue: raw
            .queue
            .as_ref()
            .filter(|trigger| world.resolve(Kind::Queue, &trigger.from, sink))
            .map(|trigger| queue_trigger(trigger, &profile.queue.batch)),
        crons: check_crons(name, &raw.crons, world, sink),
        topic: raw
            .topic
            .as_ref()
            .filter(|trigger| world.resolve(Kind::Topic, &trigger.from, sink))
            .map(|trigger| TopicTrigger {
                from: trigger.from.value.clone(),
                filter: filter(&trigger.filter, sink),
            }),
        on_failure: destinations::resolve(raw.on_failure.as_ref(), world, sink),
        on_success: destinations::resolve(raw.on_success.as_ref(), world, sink),
        max_retries: raw.max_retries.as_ref().map(|n| n.value),
        max_age: raw.max_age.as_ref().map(|span| span.value),
        args: raw.args.clone(),
        ..base
    }
}

/// Keys that fit the provider but not each other.
fn contradictions(raw: &RawFunction, kind: SourceKind, sink: &mut Sink) {
    if let (Some(min), Some(max)) = (&raw.min_instances, &raw.max_concurrency)
        && min.value > max.value
    {
        let message = format!(
            "`min_instances` is {} and `max_concurrency` only {}",
            min.value, max.value
        );
        sink.error(&min.span, message)
            .related(&max.span, "the most there can be")
            .remedy("raise `max_concurrency`, or lower `min_instances`");
    }
    if let (Some(first), SourceKind::Script) = (raw.args.first(), kind) {
        let message = format!("`args` (\"{first}\" ...) have no effect: a script has no command line");
        sink.warning(&raw.name.span, message).remedy("pass values with `env`");
    }
}

fn queue_trigger(raw: &RawQueueTrigger, batch: &Batch) -> QueueTrigger {
    QueueTrigger {
        from: raw.from.value.clone(),
        batch_size: raw.batch_size.as_ref().map_or(batch.size_default, |n| n.value),
        batch_window: raw
            .batch_window
            .as_ref()
            .map_or(batch.window_default, |window| window.value),
        max_concurrency: raw.max_concurrency.as_ref().map(|n| n.value),
    }
}

fn memory(written: Option<&At<u64>>, world: &World<'_>, sink: &mut Sink) -> Option<u32> {
    let written = written?;
    let rules = &world.profile.memory;
    let provider = world.provider();
    let (min, max, step) = (
        u64::from(rules.min_mb),
        u64::from(rules.max_mb),
        u64::from(rules.step_mb),
    );
    let shown = |mb: u64| format_size(mb * MB);
    let mb = written.value.div_ceil(MB);
    let fitting = mb.next_multiple_of(step).clamp(min, max);
    if mb < min || mb > max {
        let message = if min == max {
            format!("{provider} gives every function {}", shown(min))
        } else {
            format!("{provider} gives a function {} to {}", shown(min), shown(max))
        };
        sink.error(&written.span, message)
            .remedy(format!("write `memory = \"{}\"`", shown(fitting)));
        return None;
    }
    if written.value % MB != 0 || mb % step != 0 {
        sink.error(
            &written.span,
            format!("{provider} gives memory in steps of {}", shown(step)),
        )
        .remedy(format!("write `memory = \"{}\"`", shown(fitting)));
        return None;
    }
    u32::try_from(mb).ok()
}

fn timeout(raw: &RawFunction, has_routes: bool, world: &World<'_>, sink: &mut Sink) -> Option<Span> {
    let written = raw.timeout.as_ref()?;
    let rules = &world.profile.timeout;
    let provider = world.provider();
    if written.value == Span::ZERO {
        sink.error(&written.span, "a `timeout` of zero ends every invocation at once")
            .remedy(format!(
                "leave the key out for {provider}'s default of {}",
                rules.default
            ));
        return None;
    }
    if written.value > rules.max {
        sink.error(
            &written.span,
            format!("{provider} ends every invocation after {}", rules.max),
        )
        .remedy(format!("write `timeout = \"{}\"` or less", rules.max));
        return None;
    }
    if let Some(http_max) = rules.http_max.filter(|max| has_routes && written.value > *max) {
        sink.warning(
            &written.span,
            format!("{provider} gives up on an HTTP response after {http_max}, before this timeout"),
        )
        .remedy(format!(
            "answer within {http_max}, and do the rest in a function that takes messages"
        ));
    }
    Some(written.value)
}

/// What a deployed function of this kind would most likely run on.
fn runtime_of(kind: SourceKind, build: Option<&RawBuild>, profile: &Profile) -> String {
    let model = &profile.cold_start;
    if kind == SourceKind::Script {
        return model.script.clone();
    }
    let command = build.map_or("", |build| build.command.value.as_str());
    let guesses = [
        ("cargo", "rust"),
        ("tinygo", "go"),
        ("go build", "go"),
        ("componentize-py", "python"),
        ("dotnet", "dotnet"),
    ];
    guesses
        .iter()
        .filter(|(tool, _)| command.contains(tool))
        .find_map(|(_, prefix)| model.runtimes.keys().find(|runtime| runtime.starts_with(prefix)))
        .unwrap_or(&model.wasm)
        .clone()
}

/// A runtime of a family with figures at any provider will do: the same project is compared under all of them.
fn check_runtime(written: &At<String>, profile: &Profile, sink: &mut Sink) -> String {
    let here = profile.cold_start.runtimes.keys();
    let elsewhere = crate::provider::all()
        .iter()
        .flat_map(|other| other.cold_start.runtimes.keys());
    let mut known: Vec<&str> = here.chain(elsewhere).map(String::as_str).collect();
    if profile.cold_start.runtime(&written.value).is_err() {
        let problem = sink.error(
            &written.span,
            format!("there are no cold-start figures for the runtime `{}`", written.value),
        );
        let near = nearest(&written.value, known.iter().copied());
        known.truncate(profile.cold_start.runtimes.len());
        let all = list_names(known);
        problem.remedy(match near {
            Some(near) => format!("did you mean `{near}`? {} has {all}", profile.name),
            None => format!("{} has {all}", profile.name),
        });
    }
    written.value.clone()
}

fn check_build(raw: &RawBuild, sink: &mut Sink) -> Option<Build> {
    if raw.command.value.trim().is_empty() {
        sink.error(&raw.command.span, "the build command is empty")
            .remedy("write a shell command, or leave `build` out");
        return None;
    }
    let mut within = |written: &At<String>| match source::normalise(&written.value) {
        Ok(path) => Some(path),
        Err(fault) => {
            sink.error(&written.span, fault.message).remedy(fault.remedy);
            None
        }
    };
    let dir = raw.dir.as_ref().and_then(&mut within).unwrap_or_default();
    let watch = raw.watch.iter().filter_map(within).collect();
    Some(Build {
        command: raw.command.value.clone(),
        dir,
        watch,
    })
}

/// `api.example.com`, `*.example.com`, an address, each with an optional port; `*`.
fn check_host(written: &At<String>, sink: &mut Sink) -> Option<String> {
    let text = written.value.trim();
    if text == "*" {
        return Some("*".to_owned());
    }
    let mut refuse = |message: String, remedy: String| {
        sink.error(&written.span, message).remedy(remedy);
    };
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        refuse(
            format!("`{text}` is a URL; `allow_hosts` takes hosts"),
            format!("write `\"{host}\"`"),
        );
        return None;
    }
    if let Some((host, _)) = text.split_once('/') {
        refuse(
            format!("`{text}` has a path; `allow_hosts` takes hosts"),
            format!("write `\"{host}\"`"),
        );
        return None;
    }
    if text.is_empty() {
        refuse("an empty host".to_owned(), "take it out".to_owned());
        return None;
    }
    let (host, port) = split_port(text);
    let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let name = host.strip_prefix("*.").unwrap_or(host);
    let valid_host = !name.is_empty() && !name.contains('*') && url::Host::parse(name).is_ok();
    if !valid_port {
        refuse(
            format!("`{}` is no port", port.unwrap_or_default()),
            "write a number from 1 to 65535 after the `:`".to_owned(),
        );
    } else if valid_host {
        return Some(text.to_ascii_lowercase());
    } else if name.contains('*') {
        refuse(
            format!("`{text}` has a `*` that does not stand for whole labels at the front"),
            "write `*.example.com`, or `*` for all public hosts".to_owned(),
        );
    } else {
        refuse(
            format!("`{text}` is no host"),
            "write a host such as `api.example.com`, `*.example.com` or `localhost:8080`".to_owned(),
        );
    }
    None
}

/// The port after the last colon; an IPv6 address stands in brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    }
}

pub fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text != "__proto__"
}

fn check_env(raw: &RawFunction, sink: &mut Sink) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (key, value) in &raw.env {
        if !is_identifier(&key.value) {
            sink.error(
                &key.span,
                format!("`{}` is no name for an environment variable", key.value),
            )
            .remedy("use letters, digits and `_`, and no digit first");
        } else if value.contains('\0') {
            sink.error(&key.span, format!("the value of `{}` has a NUL character", key.value))
                .remedy("take it out");
        } else {
            env.insert(key.value.clone(), value.clone());
        }
    }
    env
}

fn check_bindings(raw: &RawFunction, world: &World<'_>, sink: &mut Sink) -> BTreeMap<String, Binding> {
    let mut bindings = BTreeMap::new();
    for (key, target) in &raw.bind {
        if !is_identifier(&key.value) {
            sink.error(&key.span, format!("`{}` is no name for a binding", key.value))
                .remedy("use letters, digits and `_`, and no digit first");
        }
        if let Some((variable, _)) = raw.env.iter().find(|(variable, _)| variable.value == key.value) {
            sink.error(&key.span, format!("`{}` stands in `bind` and in `env`", key.value))
                .related(&variable.span, "also here")
                .remedy("both become `env` members of the function; rename one");
        }
        if let Some(binding) = check_binding(target, world, sink) {
            bindings.insert(key.value.clone(), binding);
        }
    }
    bindings
}

fn check_binding(target: &At<String>, world: &World<'_>, sink: &mut Sink) -> Option<Binding> {
    let (kind, name) = target.value.split_once(':').unwrap_or(("", &target.value));
    let named = At::new(name.to_owned(), target.span.clone());
    match kind {
        "queue" => world
            .resolve(Kind::Queue, &named, sink)
            .then_some(Binding::Queue(named.value)),
        "topic" => world
            .resolve(Kind::Topic, &named, sink)
            .then_some(Binding::Topic(named.value)),
        "function" => world
            .resolve(Kind::Function, &named, sink)
            .then_some(Binding::Function(named.value)),
        "kv" => world
            .resolve(Kind::Kv, &named, sink)
            .then_some(Binding::Kv(named.value)),
        _ => {
            let kinds = [Kind::Queue, Kind::Topic, Kind::Kv, Kind::Function];
            let meant = kinds.into_iter().find(|kind| world.names.of(*kind).contains_key(name));
            let problem = sink.error(&target.span, format!("`{}` is no binding", target.value));
            problem.remedy(match meant {
                Some(meant) => format!("write `\"{}:{name}\"`", meant.prefix()),
                None => "write `queue:NAME`, `topic:NAME`, `kv:NAME` or `function:NAME`".to_owned(),
            });
            None
        }
    }
}

fn check_crons(function: &str, raw: &[RawCron], world: &World<'_>, sink: &mut Sink) -> Vec<CronTrigger> {
    let mut crons = Vec::new();
    for (index, cron) in raw.iter().enumerate() {
        if let Some(zone) = cron.timezone.as_ref().filter(|_| !world.profile.cron.timezones)
            && zone.value != "UTC"
        {
            sink.warning(&zone.span, format!("{} runs schedules in UTC alone", world.provider()))
                .remedy("write the schedule in UTC before you deploy");
        }
        let name = if index == 0 {
            function.to_owned()
        } else {
            format!("{function}#{}", index + 1)
        };
        if let Some(schedule) = parse_schedule(cron, world, sink) {
            crons.push(CronTrigger {
                name,
                schedule,
                overlap: cron.overlap,
            });
        }
    }
    crons
}

fn parse_schedule(cron: &RawCron, world: &World<'_>, sink: &mut Sink) -> Option<Schedule> {
    let options = schedule::Options {
        weekday_one_is_sunday: world.profile.cron.weekday_one_is_sunday,
    };
    let zone = cron.timezone.as_ref().map(|zone| zone.value.as_str());
    let error = match Schedule::parse_with(&cron.schedule.value, zone, options) {
        Ok(schedule) => return Some(schedule),
        Err(error) => error,
    };
    let whole = match (&error.at, &cron.timezone) {
        (None, Some(zone)) => &zone.span,
        _ => &cron.schedule.span,
    };
    // The field itself, where the string holds no escapes and is written between single quotes of either kind.
    let inner = whole.start + 1..whole.end.saturating_sub(1);
    let as_written = sink.source.text.get(inner.clone()) == Some(cron.schedule.value.as_str());
    let span = match error.at {
        Some(at) if as_written && !at.is_empty() => inner.start + at.start..inner.start + at.end,
        _ => whole.clone(),
    };
    sink.error(&span, error.message).remedy(error.remedy);
    None
}

/// A filter policy, in its JSON form, with where it looks.
pub fn filter(raw: &RawFilter, sink: &mut Sink) -> Option<Filter> {
    let Some(policy) = &raw.policy else {
        if let Some(scope) = &raw.scope {
            sink.error(&scope.span, "`filter_scope` without a `filter`")
                .remedy("add `filter`, or take `filter_scope` out");
        }
        return None;
    };
    let scope = raw.scope.as_ref().map(|scope| scope.value).unwrap_or_default();
    match Filter::parse(&policy.value).and_then(|filter| filter.within(scope)) {
        Ok(filter) => Some(filter),
        Err(fault) => {
            sink.error(&policy.span, fault);
            None
        }
    }
}

/// No two routes may take the same requests.
fn check_routes(manifest: &Manifest, functions: &BTreeMap<String, Function>, sink: &mut Sink) {
    let mut written: Vec<(&str, &At<Route>)> = Vec::new();
    for function in &manifest.functions {
        for route in function.http.iter().flatten() {
            if let Some((owner, first)) = written
                .iter()
                .find(|(_, first)| first.value.same_requests(&route.value))
            {
                let whose = if *owner == function.name.value {
                    String::new()
                } else {
                    format!(" of the function `{owner}`")
                };
                sink.error(&route.span, format!("the route `{}` is already taken", route.value))
                    .related(&first.span, format!("by this one{whose}"))
                    .remedy("give one of them another path or method");
            }
            written.push((&function.name.value, route));
        }
    }
    for function in functions.values() {
        let declared = manifest.functions.iter().find(|raw| raw.name.value == function.name);
        if declared.is_some_and(|raw| raw.http.is_some()) {
            continue;
        }
        for route in &function.routes {
            if let Some((owner, taken)) = written.iter().find(|(_, taken)| taken.value.same_requests(route)) {
                sink.error(
                    &taken.span,
                    format!("the route `{route}` is the default of the function `{}`", function.name),
                )
                .remedy(format!(
                    "give `{owner}` another route, or `{}` one of its own with `[functions.{}]` and `http = ...`",
                    function.name, function.name
                ));
            }
        }
    }
}
