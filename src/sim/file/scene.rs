//! From a file's tables to a [`Plan`].

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::distribution::Distribution;
use super::super::meter::Window;
use super::super::trace::Trace;
use super::super::{ColdStart, Function, Load, Scene, config, server};
use super::spread::{parse_rate, spread, table, workload};
use super::{Plan, keys, trace};
use crate::platform::cold_start::ColdStartModel;
use crate::platform::config::FunctionSpec;
use crate::platform::ids::FunctionId;
use crate::platform::rules::{RequestWait, Rules, ScaleUp};
use crate::platform::time::{Span, Time};
use crate::project::diagnostic::nearest;
use crate::project::manifest::{keep_alive, known_provider, named};
use crate::project::read::{At, Section, Sink, list};
use crate::provider::{self, Profile};

/// Pieces in which figures are shown over time.
const BINS: u32 = 120;

pub fn plan(root: &Spanned<DeTable<'_>>, file_name: &str, sink: &mut Sink) -> Option<Plan> {
    let begin = root.span().start;
    let section = Section::open(root.get_ref(), begin..begin, &keys::ROOT, sink);
    let name = section
        .text("name", sink)
        .map_or_else(|| file_name.to_owned(), |name| name.value);
    let id = section.text("provider", sink).filter(|id| known_provider(id, sink));
    let id = id.map_or_else(|| provider::DEFAULT_ID.to_owned(), |id| id.value);
    let mut profile = (*provider::by_id(&id).ok()?).clone();
    let horizon = section.duration("horizon", sink);
    let warmup = section.duration("warmup", sink).map_or(Span::ZERO, |span| span.value);
    if let Some(zero) = horizon.as_ref().filter(|span| span.value == Span::ZERO) {
        sink.error(&zero.span, "a `horizon` of zero leaves nothing to simulate");
    }
    let replications = section.integer_u32("replications", sink).map_or(10, |n| n.value);
    let seed = section.integer("seed", sink).map_or(1, |n| n.value);
    let (shared, trace) = requests(&section, sink);
    let assumptions = limits(&section, &mut profile, trace.as_ref(), sink);
    let has_workload = section.get("workload").is_some() || section.get("trace").is_some();
    let profile = Arc::new(profile);
    let functions: Vec<(Function, FunctionSpec)> =
        named(&section, "functions", &keys::FUNCTION, sink, |name, section, sink| {
            function(name, section, &profile, shared.as_ref(), has_workload, sink)
        })
        .into_iter()
        .flatten()
        .collect();
    let functions = traced(&section, trace.as_ref(), functions, sink);
    let mut servers: Vec<server::Group> = named(&section, "servers", &keys::SERVERS, sink, |name, section, sink| {
        servers(name, section, &functions, shared.as_ref(), sink)
    })
    .into_iter()
    .flatten()
    .collect();
    if let Some(trace) = &trace {
        follow(trace, &mut servers);
    }
    if section.get("functions").is_none() && section.get("servers").is_none() {
        sink.error(
            &(begin..begin),
            "there is nothing to simulate: no function and no server",
        )
        .remedy("write `[functions.api]` with `service = \"120ms\"`, and `[workload]` with `rate = \"10/s\"`");
    }
    section.done();
    let from = Time::ZERO + warmup;
    let whole = trace.as_ref().map_or(Span::from_secs(86_400), |trace| trace.lasts);
    let window = Window {
        from,
        until: from + horizon.map_or(whole, |span| span.value),
        bins: BINS,
    };
    Some(Plan {
        name,
        scene: Scene {
            shared: trace.map(|trace| trace.source),
            ..scene(functions, servers, profile, window)
        },
        seed,
        replications,
        warnings: Vec::new(),
        assumptions,
    })
}

/// `[limits]`; tells what the figures rest on because of them.
fn limits(section: &Section<'_>, profile: &mut Profile, trace: Option<&Trace>, sink: &mut Sink) -> Vec<String> {
    let mut own_account = false;
    if let Some(limits) = section
        .get("limits")
        .and_then(|limits| Section::of(&limits, &keys::LIMITS, sink))
    {
        own_account = limits.get("account_concurrency").is_some();
        profile.rules = rules(&limits, profile.rules.clone(), sink);
        limits.done();
    }
    let is_account = !own_account && profile.rules.account_concurrency.is_some();
    if is_account && trace.is_some_and(|trace| trace.many_accounts) {
        profile.rules.account_concurrency = None;
        let words = "the trace is of many accounts: no account's limit holds, unless `account_concurrency` is written";
        return vec![words.to_owned()];
    }
    Vec::new()
}

/// `[workload]`, or `[trace]`: then functions have no requests of their own.
fn requests(section: &Section<'_>, sink: &mut Sink) -> (Option<Load>, Option<Trace>) {
    let field = section.get("workload");
    let Some(trace) = section.get("trace") else {
        return (field.and_then(|field| workload(&field, sink)), None);
    };
    if let Some(field) = field {
        let problem = sink.error(&field.span(), "there are a `[workload]` and a `[trace]`");
        problem
            .related(&trace.span(), "requests come from here")
            .remedy("take one of them out");
    }
    (Some(Load::None), trace::read(&trace, sink))
}

/// The functions of the trace, where there is one.
fn traced(
    section: &Section<'_>,
    trace: Option<&Trace>,
    described: Vec<(Function, FunctionSpec)>,
    sink: &mut Sink,
) -> Vec<(Function, FunctionSpec)> {
    match (trace, section.get("trace")) {
        (Some(trace), Some(field)) => trace::functions(&field.at(()), trace, described, sink),
        _ => described,
    }
}

/// Servers without a workload of their own get the trace's requests.
fn follow(trace: &Trace, servers: &mut [server::Group]) {
    for group in servers {
        if group.loads.iter().all(|(_, load)| matches!(load, Load::None)) {
            group.loads = vec![(u32::MAX, Load::Source(Arc::clone(&trace.source)))];
        }
    }
}

fn scene(
    functions: Vec<(Function, FunctionSpec)>,
    servers: Vec<server::Group>,
    profile: Arc<Profile>,
    window: Window,
) -> Scene {
    let (functions, specs): (Vec<Function>, Vec<FunctionSpec>) = functions.into_iter().unzip();
    let specs = specs.into_iter().zip(0u32..).map(|(spec, id)| (FunctionId(id), spec));
    Scene {
        config: Arc::new(config(specs.collect(), profile)),
        functions,
        servers,
        window,
        shared: None,
    }
}

fn rules(section: &Section<'_>, provider: Rules, sink: &mut Sink) -> Rules {
    let keeps = section.boolean("provider", sink).is_none_or(|keeps| keeps.value);
    let mut rules = match keeps {
        true => provider,
        false => Rules {
            keep_alive: provider.keep_alive,
            asynchronous: provider.asynchronous,
            queues: provider.queues,
            ..Rules::none()
        },
    };
    if let Some(limit) = section.integer_u32("account_concurrency", sink) {
        rules.account_concurrency = Some(limit.value);
    }
    if let Some(starts) = section.text("starts", sink) {
        match parse_rate(&starts.value) {
            Ok((count, every)) if count >= 1.0 => {
                rules.scale_up = Some(ScaleUp {
                    burst: count as u32,
                    count: count as u32,
                    every,
                });
            }
            Ok(_) => {
                sink.error(&starts.span, "`starts` must let at least one instance start")
                    .remedy("write it as \"1/10s\"");
            }
            Err(fault) => {
                sink.error(
                    &starts.span,
                    format!("`starts` takes a rate such as \"1000/10s\", found {fault}"),
                );
            }
        }
    }
    if let Some(age) = section.duration("max_age", sink) {
        rules.instance_age_max = Some(age.value);
    }
    let requests = section.integer_u32("wait_requests", sink).map(|n| n.value);
    match section.duration("wait", sink).map(|wait| wait.value) {
        Some(Span::ZERO) => rules.request_wait = None,
        Some(time_max) => {
            let requests_max = requests
                .or(rules.request_wait.map(|wait| wait.requests_max))
                .unwrap_or(1_000);
            rules.request_wait = Some(RequestWait { time_max, requests_max });
        }
        None => {
            if let (Some(wait), Some(requests_max)) = (&mut rules.request_wait, requests) {
                wait.requests_max = requests_max;
            }
        }
    }
    rules
}

fn function(
    name: At<String>,
    section: &Section<'_>,
    profile: &Profile,
    shared: Option<&Load>,
    has_workload: bool,
    sink: &mut Sink,
) -> Option<(Function, FunctionSpec)> {
    let service = spread(section, "service", sink);
    let cold_service = spread(section, "cold_service", sink);
    let package_bytes = section.size("package", sink).map_or(1 << 10, |size| size.value);
    let runtime = section.text("runtime", sink);
    let model = model(runtime.as_ref(), profile, sink);
    let cold_start = cold_start(section, model.clone(), package_bytes, sink);
    let mb = |bytes: At<u64>| u32::try_from(bytes.value.div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let memory_mb = section.size("memory", sink).map_or(profile.memory.default_mb, mb);
    let memory_used_mb = section.size("memory_used", sink).map_or(memory_mb, mb);
    let load = load(&name, section, shared, has_workload, sink);
    let max = section.integer_u32("max_concurrency", sink);
    let min = section.integer_u32("min_instances", sink);
    if let (Some(min), Some(max)) = (&min, &max)
        && min.value > max.value
    {
        let message = format!(
            "`min_instances` is {} and `max_concurrency` only {}",
            min.value, max.value
        );
        sink.error(&min.span, message)
            .related(&max.span, "the most there can be");
    }
    let spec = FunctionSpec {
        name: Arc::from(name.value.as_str()),
        memory_mb,
        timeout: Span::MAX,
        cold_start: ColdStartModel {
            runtime: model.runtime,
            ..ColdStartModel::default()
        },
        instance_concurrency: section
            .integer_u32("concurrency", sink)
            .map_or(profile.instance.concurrency, |n| n.value),
        min_instances: min.map_or(0, |n| n.value),
        max_concurrency: max.map(|n| n.value).or(profile.scaling.function_instances_max),
        keep_alive: keep_alive(section, sink).map(|policy| policy.value),
        on_failure: None,
        on_success: None,
        async_max_retries: None,
        async_max_age: None,
    };
    let function = Function {
        name: name.value,
        load: load?,
        service: service?,
        cold_service,
        cold_start: cold_start?,
        package_bytes,
        memory_used_mb,
    };
    Some((function, spec))
}

/// The function's own requests, or those of `[workload]`.
fn load(
    name: &At<String>,
    section: &Section<'_>,
    shared: Option<&Load>,
    has_workload: bool,
    sink: &mut Sink,
) -> Option<Load> {
    let own = section.get("workload").map(|field| workload(&field, sink));
    match (own, shared) {
        (Some(own), _) => own,
        (None, Some(shared)) => Some(shared.clone()),
        (None, None) => {
            if !has_workload {
                sink.error(
                    &name.span,
                    format!("nothing says when requests for `{}` come", name.value),
                )
                .remedy("write `[workload]` with `rate = \"10/s\"`");
            }
            None
        }
    }
}

fn model(runtime: Option<&At<String>>, profile: &Profile, sink: &mut Sink) -> ColdStartModel {
    let name = runtime.map_or(profile.cold_start.script.as_str(), |runtime| runtime.value.as_str());
    match ColdStartModel::new(profile, name) {
        Ok(model) => model,
        Err(unknown) => {
            if let Some(runtime) = runtime {
                sink.error(
                    &runtime.span,
                    format!("there are no cold-start figures for the runtime `{name}`"),
                )
                .remedy(format!("did you mean `{}`?", unknown.nearest));
            }
            ColdStartModel::default()
        }
    }
}

fn cold_start(section: &Section<'_>, model: ColdStartModel, package_bytes: u64, sink: &mut Sink) -> Option<ColdStart> {
    let provider = ColdStart::Provider(Box::new(model), package_bytes);
    let Some(field) = section.get("cold_start") else {
        return Some(provider);
    };
    match field.value {
        DeValue::Table(_) => table(&field, sink).map(ColdStart::Drawn),
        DeValue::String(text) if text.as_ref() == "provider" => Some(provider),
        DeValue::String(text) if text.as_ref() == "none" => Some(ColdStart::Drawn(Distribution::Constant(Span::ZERO))),
        DeValue::String(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
            let near = nearest(text, ["provider", "none"]);
            sink.error(&field.span(), format!("`{text}` is no cold start"))
                .remedy(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `\"provider\"`, `\"none\"`, a time, or a table".to_owned(),
                });
            None
        }
        _ => section
            .duration("cold_start", sink)
            .map(|span| ColdStart::Drawn(Distribution::Constant(span.value))),
    }
}

fn servers(
    name: At<String>,
    section: &Section<'_>,
    functions: &[(Function, FunctionSpec)],
    shared: Option<&Load>,
    sink: &mut Sink,
) -> Option<server::Group> {
    let kind = section.text("type", sink);
    let known = kind.as_ref().and_then(|kind| known_server(kind, sink));
    let hourly = section.text("hourly", sink).and_then(|text| price(&text, sink));
    let hour = hourly.or(known);
    if hour.is_none() && kind.is_none() && section.get("hourly").is_none() {
        sink.error(
            &name.span,
            format!("nothing says what an hour of `{}` costs", name.value),
        )
        .remedy("write `type = \"t4g.small\"`, or `hourly = \"$0.0168\"`");
    }
    let service = spread(section, "service", sink);
    let own = section.get("workload").and_then(|field| workload(&field, sink));
    let has_own = section.get("workload").is_some();
    let services = match &service {
        Some(service) => vec![service.clone(); functions.len().max(1)],
        None => functions.iter().map(|(function, _)| function.service.clone()).collect(),
    };
    if services.is_empty() && section.get("service").is_none() {
        sink.error(
            &name.span,
            format!("nothing says how long a request takes on `{}`", name.value),
        )
        .remedy("write `service = \"120ms\"`");
    }
    // The same streams as the functions have, so that both sides meet the same requests.
    let loads = match (own, functions) {
        (Some(own), _) => vec![(0, own)],
        (None, _) if has_own => Vec::new(),
        (None, []) => shared.map(|load| (0, load.clone())).into_iter().collect(),
        (None, functions) => functions
            .iter()
            .zip(0u32..)
            .map(|((function, _), at)| (at, function.load.clone()))
            .collect(),
    };
    let count = section.integer_u32("count", sink).map_or(1, |n| n.value);
    let group = server::Group {
        name: name.value,
        loads,
        count,
        workers: section.integer_u32("workers", sink).map_or(1, |n| n.value),
        queue: section.integer_u32("queue", sink).map_or(100, |n| n.value),
        service: services,
        hour_picodollars: hour.unwrap_or(0),
        outages: outages(section, sink),
    };
    if group.loads.is_empty() && !has_own && functions.is_empty() {
        sink.error(
            &name.span,
            format!("nothing says when requests for `{}` come", group.name),
        )
        .remedy("write `[workload]` with `rate = \"10/s\"`");
    }
    Some(group)
}

fn known_server(kind: &At<String>, sink: &mut Sink) -> Option<u64> {
    let servers = provider::servers();
    if let Some(server) = servers.iter().find(|server| server.name == kind.value) {
        return Some(server.hour.0);
    }
    let names = servers.iter().map(|server| server.name.as_str());
    let problem = sink.error(&kind.span, format!("the price of a `{}` is not known", kind.value));
    problem.remedy(match nearest(&kind.value, names.clone()) {
        Some(near) => format!("did you mean `{near}`? Otherwise write `hourly = \"$0.05\"`"),
        None => format!(
            "write `hourly = \"$0.05\"`; known are {}",
            names.collect::<Vec<_>>().join(", ")
        ),
    });
    None
}

fn price(text: &At<String>, sink: &mut Sink) -> Option<u64> {
    match provider::units::parse_price(text.value.trim().trim_start_matches('$')) {
        Ok(price) => Some(price.0),
        Err(_) => {
            sink.error(&text.span, format!("`{}` is no price", text.value))
                .remedy("write dollars, such as \"$0.0168\"");
            None
        }
    }
}

fn outages(section: &Section<'_>, sink: &mut Sink) -> Vec<server::Outage> {
    let Some(field) = section.get("outages") else {
        return Vec::new();
    };
    let Some(items) = list(&field, "a list of tables", sink) else {
        return Vec::new();
    };
    let read = items.iter().filter_map(|item| {
        let section = Section::of(item, &keys::OUTAGE, sink)?;
        Some(server::Outage {
            at: Time::ZERO + section.duration("at", sink)?.value,
            lasts: section.duration("lasts", sink)?.value,
        })
    });
    read.collect()
}
