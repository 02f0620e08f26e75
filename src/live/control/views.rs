//! What the control API shows, gathered from the core, the history and the project.

use std::sync::PoisonError;

use base64::Engine as _;
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::engine::Body;
use crate::live::Server;
use crate::live::api;
use crate::live::clock::rfc3339;
use crate::live::driver::{Driver, lock};
use crate::live::render::state_name;
use crate::live::table::Entry;
use crate::platform::config::{ColdStarts, Overlap};
use crate::platform::ids::InvocationId;
use crate::project::{CronTrigger, Isolation};
use crate::report::bill;

/// Next runs that a cron shows.
const NEXT_RUNS: usize = 3;
/// Body of an answer that `invoke` shows.
const SHOWN_BODY_BYTES_MAX: usize = 8 << 20;

pub fn health(server: &Server) -> api::Health {
    let inner = &server.driver.0;
    let table = server.driver.table();
    api::Health {
        status: if server.is_ready() {
            "ok".to_owned()
        } else {
            "starting".to_owned()
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        project: table.project.name.clone(),
        provider: table.profile.id.clone(),
        functions_url: server.functions_url.clone(),
        control_url: server.control_url.clone(),
        pid: std::process::id(),
        uptime_ms: inner.clock.uptime().as_secs_f64() * 1e3,
        clock: inner.clock.name(),
        now: rfc3339(inner.clock.now()),
        started_at: rfc3339(inner.clock.started_at()),
        clock_factor: inner.clock.speed(),
        cold_starts: cold_starts_name(server.driver.cold_starts()).to_owned(),
        network_url: server.network_url.clone(),
        bus: inner.store.group().map(|group| group.place().to_owned()),
    }
}

/// What changes all the time, for pages that follow it.
pub fn state(driver: &Driver) -> api::State {
    let inner = &driver.0;
    let table = driver.table();
    let core = lock(&inner.core);
    let names = inner.names.read().unwrap_or_else(PoisonError::into_inner);
    let functions = table.by_name.values().filter_map(|entry| {
        let view = core.platform.function(entry.id)?;
        Some(api::FunctionState {
            function: entry.function.name.clone(),
            version: view.version.map(|version| version.0),
            instances: view.instances,
            starting: view.starting,
            busy: view.busy,
            waiting: view.waiting,
            invocations: view.counters.invocations,
            errors: view.counters.errors,
            cold_starts: view.counters.cold_starts,
            throttles: view.counters.throttles,
        })
    });
    let queues = table.project.queues.keys().filter_map(|name| {
        let id = names.find_queue(name)?;
        let view = driver.queue_view(id, core.platform.queue(id))?;
        Some(api::QueueState {
            queue: name.clone(),
            visible: view.visible,
            in_flight: view.in_flight,
            delayed: view.delayed,
        })
    });
    let busy = core.platform.instances().into_iter();
    api::State {
        event: "state".to_owned(),
        time: String::new(),
        clock: inner.clock.name(),
        clock_factor: inner.clock.speed(),
        cold_starts: cold_starts_name(driver.cold_starts()).to_owned(),
        functions: functions.collect(),
        queues: queues.collect(),
        busy: busy
            .filter(|instance| instance.in_flight > 0)
            .map(|instance| instance.id.0)
            .collect(),
    }
}

pub fn cold_starts_name(cold_starts: ColdStarts) -> &'static str {
    match cold_starts {
        ColdStarts::Report => "report",
        ColdStarts::Sleep => "sleep",
        ColdStarts::Off => "off",
    }
}

pub fn functions(driver: &Driver) -> Vec<api::Function> {
    let table = driver.table();
    let base = driver.functions_url();
    table
        .by_name
        .values()
        .map(|entry| function(driver, entry, &base))
        .collect()
}

fn function(driver: &Driver, entry: &Entry, base: &str) -> api::Function {
    let function = &entry.function;
    let profile = &driver.table().profile;
    let (error, view) = {
        let core = lock(&driver.0.core);
        let error = core.builds.get(&entry.id).and_then(|build| build.error.clone());
        (error, core.platform.function(entry.id))
    };
    let counters = view.map(|view| view.counters).unwrap_or_default();
    api::Function {
        name: function.name.clone(),
        source: function.source.to_string_lossy().replace('\\', "/"),
        version: view.and_then(|view| view.version).map(|version| version.0),
        error,
        urls: urls(entry, base),
        routes: function
            .routes
            .iter()
            .map(|route| format!("{} {}", route.method.as_deref().unwrap_or("ANY"), route.pattern))
            .collect(),
        crons: crons_of(driver, entry),
        queue: function.queue.as_ref().map(|queue| queue.from.clone()),
        topic: function.topic.as_ref().map(|topic| topic.from.clone()),
        memory_mb: function.memory_mb,
        timeout_ms: function.timeout.as_millis_f64(),
        runtime: function.runtime.clone(),
        isolation: match function.isolation {
            Isolation::Invocation => "invocation".to_owned(),
            Isolation::Instance => "instance".to_owned(),
        },
        min_instances: function.min_instances,
        max_concurrency: function.max_concurrency,
        concurrency: function.concurrency.unwrap_or(profile.instance.concurrency),
        keep_alive_ms: function
            .keep_alive
            .map_or(profile.rules.keep_alive, |policy| policy.typical())
            .as_millis_f64(),
        instances: view.map_or(0, |view| view.instances),
        invocations: counters.invocations,
        errors: counters.errors,
        cold_starts: counters.cold_starts,
        throttles: counters.throttles,
    }
}

/// Where it answers: patterns without parameters are links, the others show theirs.
fn urls(entry: &Entry, base: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for route in &entry.function.routes {
        let path = route.pattern.trim_end_matches("/*");
        let url = format!("{base}{}", if path.is_empty() { "/" } else { path });
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

pub fn crons(driver: &Driver) -> Vec<api::CronState> {
    driver
        .table()
        .by_name
        .values()
        .flat_map(|entry| crons_of(driver, entry))
        .collect()
}

fn crons_of(driver: &Driver, entry: &Entry) -> Vec<api::CronState> {
    entry
        .function
        .crons
        .iter()
        .map(|cron| cron_state(driver, entry, cron))
        .collect()
}

fn cron_state(driver: &Driver, entry: &Entry, cron: &CronTrigger) -> api::CronState {
    let trigger = driver
        .0
        .names
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .find_trigger(&cron.name);
    let (instants, last) = {
        let core = lock(&driver.0.core);
        let instants = trigger
            .map(|id| core.platform.next_cron_instants(id, NEXT_RUNS))
            .unwrap_or_default();
        (
            instants,
            trigger.and_then(|id| core.platform.cron(id)).and_then(|view| view.last),
        )
    };
    let next = instants.into_iter().map(|at| cron.schedule.format(at)).collect();
    api::CronState {
        name: cron.name.clone(),
        function: entry.function.name.clone(),
        schedule: cron.schedule.text().to_owned(),
        timezone: cron.schedule.timezone().to_owned(),
        overlap: match cron.overlap {
            Overlap::Skip => "skip".to_owned(),
            Overlap::Queue => "queue".to_owned(),
            Overlap::Allow => "allow".to_owned(),
        },
        next,
        last: last.map(rfc3339),
    }
}

pub fn instances(driver: &Driver) -> Vec<api::Instance> {
    let now = driver.now();
    let core = lock(&driver.0.core);
    let names = driver.0.names.read().unwrap_or_else(PoisonError::into_inner);
    let instances = core.platform.instances().into_iter();
    instances
        .map(|instance| api::Instance {
            id: instance.id.0,
            function: names.function(instance.function).to_string(),
            version: instance.version.0,
            state: state_name(instance.state).to_owned(),
            age_ms: now.since(instance.created_at).as_millis_f64(),
            idle_ms: instance.idle_since.map(|since| now.since(since).as_millis_f64()),
            expires_in_ms: instance.expires_at.map(|at| at.since(now).as_millis_f64()),
            invocations: instance.served,
            in_flight: instance.in_flight,
        })
        .collect()
}

pub fn queues(driver: &Driver) -> Vec<api::Queue> {
    let table = driver.table();
    let now = driver.now();
    let core = lock(&driver.0.core);
    let names = driver.0.names.read().unwrap_or_else(PoisonError::into_inner);
    let counts = |name: &str| {
        names
            .find_queue(name)
            .and_then(|id| driver.queue_view(id, core.platform.queue(id)))
    };
    let consumer = |name: &str| {
        let reads = |entry: &&std::sync::Arc<Entry>| entry.function.queue.as_ref().is_some_and(|q| q.from == name);
        table
            .by_name
            .values()
            .find(reads)
            .map(|entry| entry.function.name.clone())
    };
    table
        .project
        .queues
        .values()
        .map(|queue| {
            let view = counts(&queue.name);
            let dead = queue.dead_letter.as_deref().and_then(counts);
            api::Queue {
                name: queue.name.clone(),
                fifo: queue.fifo,
                visible: view.map_or(0, |view| view.visible),
                in_flight: view.map_or(0, |view| view.in_flight),
                delayed: view.map_or(0, |view| view.delayed),
                dead: dead.map_or(0, |dead| dead.visible + dead.in_flight + dead.delayed),
                dead_letter: queue.dead_letter.clone(),
                consumer: consumer(&queue.name),
                oldest_ms: view
                    .and_then(|view| view.oldest_sent_at)
                    .map(|at| now.since(at).as_millis_f64()),
                max_receives: queue.max_receives,
                visibility_timeout_ms: queue.visibility_timeout.as_millis_f64(),
            }
        })
        .collect()
}

pub fn topics(driver: &Driver) -> Vec<api::Topic> {
    let table = driver.table();
    let subscriptions = |name: &str| {
        let functions = table
            .by_name
            .values()
            .filter(|entry| entry.function.topic.as_ref().is_some_and(|topic| topic.from == name))
            .map(|entry| format!("function:{}", entry.name()));
        let others = table
            .project
            .elsewhere
            .iter()
            .filter(|_| driver.0.store.group().is_some());
        let others = others
            .filter(|(_, topic)| topic.as_ref().is_some_and(|topic| topic.from == name))
            .map(|(function, _)| format!("function:{function}"));
        let queues = table
            .project
            .topics
            .get(name)
            .into_iter()
            .flat_map(|topic| &topic.queues);
        functions
            .chain(others)
            .chain(queues.map(|subscription| format!("queue:{}", subscription.queue)))
            .collect()
    };
    let all = table.project.topics.values();
    all.map(|topic| api::Topic {
        name: topic.name.clone(),
        subscriptions: subscriptions(&topic.name),
    })
    .collect()
}

pub fn invocation(driver: &Driver, id: InvocationId) -> Option<api::InvocationDetail> {
    let (mut found, exchange) = driver.0.hub.read(|history, renderer| {
        let (at, done) = history.invocation(id)?;
        let lines = history.log(id).iter();
        let found = api::InvocationDetail {
            time: rfc3339(*at),
            invocation: renderer.invocation(done),
            log: lines
                .map(|(stream, text)| api::LogLine {
                    stream: *stream,
                    text: text.clone(),
                })
                .collect(),
            log_dropped: done.log_bytes_dropped,
            response: None,
            outbound: Vec::new(),
            request: None,
            not_kept: None,
        };
        Some((found, done.exchange.clone()))
    })?;
    // Looking for secrets takes a while, and the reporter does not wait for it.
    found.keep(exchange.and_then(|exchange| exchange.kept(driver.0.hub.secrets())));
    Some(found)
}

/// An HTTP answer as `invoke` shows it: the shape of API Gateway.
pub async fn http_value(response: Response<Body>) -> Value {
    let (head, body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut body = body;
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref()
            && bytes.len() < SHOWN_BODY_BYTES_MAX
        {
            bytes.extend_from_slice(data);
        }
    }
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let (body, encoded) = match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (base64::engine::general_purpose::STANDARD.encode(error.as_bytes()), true),
    };
    json!({ "statusCode": head.status.as_u16(), "headers": headers, "body": body, "isBase64Encoded": encoded })
}

/// The bill under the project's provider, or another.
///
/// # Errors
/// When no provider has this id; the text names the nearest.
pub fn bill(driver: &Driver, provider: Option<&str>) -> Result<bill::Bill, String> {
    let table = driver.table();
    let profile = match provider {
        None => table.profile.clone(),
        Some(id) => crate::provider::by_id(id).map_err(|error| error.to_string())?,
    };
    let now = driver.now();
    let mut core = lock(&driver.0.core);
    let names = driver.0.names.read().unwrap_or_else(PoisonError::into_inner);
    let ledger = core
        .platform
        .ledger(now)
        .ok_or_else(|| "nothing is configured yet".to_owned())?;
    let bill = bill::Bill::new(ledger, &profile, |function| names.function(function).to_string());
    Ok(bill.projected(ledger, now.since(driver.0.clock.started_at())))
}
