//! The project as the shell uses it: functions by id and by name, routes, and what the core is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{BindTarget, Settings};
use crate::platform::cold_start::ColdStartModel;
use crate::platform::config::{
    ColdStarts, Config, CronSpec, Destination, FunctionSpec, QueueConsumer, QueueSpec, Subscriber, Subscription,
    TopicSpec,
};
use crate::platform::ids::{FunctionId, QueueId};
use crate::platform::time::Span;
use crate::project::{self, Binding, Project, Router};
use crate::provider::Profile;

use super::clock::Clock;
use super::names::Names;

/// Guest output kept of one invocation.
const LOG_BYTES_MAX: u64 = 256 * 1024;
/// A cron served later than this has been missed: the machine slept.
const CRON_GRACE: Span = Span::from_secs(10);

/// Where a provider sets no bound, emu sets this one.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// Sizes that the shell enforces.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub request_bytes_max: u64,
    pub response_bytes_max: u64,
    pub event_bytes_max: u64,
    pub message_bytes_max: u64,
}

impl Limits {
    pub fn of(profile: &Profile) -> Limits {
        Limits {
            request_bytes_max: profile.body.request_max_bytes.unwrap_or(BODY_BYTES_MAX),
            response_bytes_max: profile.body.response_max_bytes.unwrap_or(BODY_BYTES_MAX),
            event_bytes_max: profile.asynchronous.event_max_bytes,
            message_bytes_max: profile.queue.message_max_bytes,
        }
    }
}

/// One function under one manifest.
pub struct Entry {
    pub id: FunctionId,
    pub settings: Arc<Settings>,
    pub function: project::Function,
}

impl Entry {
    pub fn name(&self) -> &Arc<str> {
        &self.settings.function
    }
}

/// Everything that changes with the manifest, swapped as a whole.
pub struct Table {
    pub project: Arc<Project>,
    pub profile: Arc<Profile>,
    pub limits: Limits,
    pub functions: BTreeMap<FunctionId, Arc<Entry>>,
    pub by_name: BTreeMap<Arc<str>, Arc<Entry>>,
    pub router: Router<Target>,
}

/// What a route leads to.
pub struct Target {
    pub entry: Arc<Entry>,
    /// `GET /products/{id}`.
    pub key: Arc<str>,
}

impl Table {
    pub fn new(project: Arc<Project>, profile: Arc<Profile>, names: &mut Names) -> Table {
        let limits = Limits::of(&profile);
        let mut functions = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        let mut router = Router::new();
        for function in project.functions.values() {
            let id = names.intern_function(&function.name);
            names.facts_mut(id).keep_alive = function
                .keep_alive
                .map_or(profile.rules.keep_alive, |policy| policy.typical());
            let settings = Arc::new(settings(function, &limits));
            let entry = Arc::new(Entry {
                id,
                settings,
                function: function.clone(),
            });
            for route in &function.routes {
                let target = Target {
                    entry: entry.clone(),
                    key: route.key().into(),
                };
                // The manifest was checked: no two functions share a route.
                let _ = router.insert(route, target);
            }
            by_name.insert(entry.name().clone(), entry.clone());
            functions.insert(id, entry);
        }
        Table {
            project,
            profile,
            limits,
            functions,
            by_name,
            router,
        }
    }
}

/// What the engine is told of a function.
pub fn settings(function: &project::Function, limits: &Limits) -> Settings {
    Settings {
        function: function.name.as_str().into(),
        memory_bytes: u64::from(function.memory_mb) << 20,
        timeout: function.timeout.to_std(),
        env: function
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        bind: function
            .bind
            .iter()
            .map(|(name, binding)| (name.clone(), target(binding)))
            .collect(),
        allow_hosts: function.allow_hosts.clone(),
        args: function.args.clone(),
        payload_v1: function.payload_v1,
        body_bytes_max: limits.response_bytes_max,
        log_bytes_max: LOG_BYTES_MAX,
    }
}

fn target(binding: &Binding) -> BindTarget {
    match binding {
        Binding::Queue(name) => BindTarget::Queue(name.clone()),
        Binding::Topic(name) => BindTarget::Topic(name.clone()),
        Binding::Kv(name) => BindTarget::Kv(name.clone()),
        Binding::Function(name) => BindTarget::Function(name.clone()),
    }
}

/// What the core needs of the project. `shared`: others take part, so that what a topic owes to functions that are served
/// elsewhere comes to them.
pub fn config(table: &Table, names: &mut Names, clock: &Clock, cold_starts: ColdStarts, shared: bool) -> Config {
    let project = &table.project;
    let mut consumers: BTreeMap<QueueId, QueueConsumer> = BTreeMap::new();
    let mut subscriptions: BTreeMap<&str, Vec<Subscription>> = BTreeMap::new();
    let mut functions = BTreeMap::new();
    let mut triggers = BTreeMap::new();
    for entry in table.functions.values() {
        let function = &entry.function;
        functions.insert(entry.id, function_spec(entry, &table.profile, names));
        if let Some(queue) = &function.queue {
            let consumer = QueueConsumer {
                function: entry.id,
                batch_size: queue.batch_size,
                batch_window: queue.batch_window,
                max_concurrency: queue.max_concurrency,
            };
            consumers.insert(names.intern_queue(&queue.from), consumer);
        }
        if let Some(topic) = &function.topic {
            let all = subscriptions.entry(&topic.from).or_default();
            all.push(subscription(entry.id, topic));
        }
        for cron in &function.crons {
            let spec = CronSpec {
                name: cron.name.as_str().into(),
                function: entry.id,
                // From the start of emu, so that an edit of the manifest does not put a rate off.
                schedule: cron.schedule.clone().counted_from(clock.started_at()),
                overlap: cron.overlap,
            };
            triggers.insert(names.intern_trigger(&cron.name), spec);
        }
    }
    for (name, topic) in project.elsewhere.iter().filter(|_| shared) {
        if let Some(topic) = topic {
            let all = subscriptions.entry(&topic.from).or_default();
            all.push(subscription(names.intern_function(name), topic));
        }
    }
    let mut topics = BTreeMap::new();
    for topic in project.topics.values() {
        let functions = subscriptions.remove(topic.name.as_str()).unwrap_or_default();
        let spec = topic_spec(topic, functions, names);
        topics.insert(names.intern_topic(&topic.name), spec);
    }
    let mut queues = BTreeMap::new();
    for queue in project.queues.values() {
        let id = names.intern_queue(&queue.name);
        queues.insert(id, queue_spec(queue, consumers.remove(&id), names));
    }
    Config {
        functions,
        queues,
        topics,
        triggers,
        profile: table.profile.clone(),
        cold_starts,
        cron_wakes: clock.is_real(),
        cron_grace: Span((CRON_GRACE.0 as f64 * clock.factor()) as u64),
        instance_flips: false,
    }
}

fn topic_spec(topic: &project::Topic, mut subscriptions: Vec<Subscription>, names: &mut Names) -> TopicSpec {
    subscriptions.extend(topic.queues.iter().map(|subscription| Subscription {
        to: Subscriber::Queue(names.intern_queue(&subscription.queue)),
        filter: subscription.filter.clone(),
        wrapped: subscription.wrapped,
    }));
    TopicSpec {
        name: topic.name.as_str().into(),
        subscriptions,
    }
}

fn subscription(function: FunctionId, topic: &project::TopicTrigger) -> Subscription {
    Subscription {
        to: Subscriber::Function(function),
        filter: topic.filter.clone(),
        wrapped: false,
    }
}

fn function_spec(entry: &Entry, profile: &Profile, names: &mut Names) -> FunctionSpec {
    let function = &entry.function;
    FunctionSpec {
        name: entry.name().clone(),
        memory_mb: function.memory_mb,
        timeout: function.timeout,
        // The manifest was checked: the profile knows the runtime.
        cold_start: ColdStartModel::new(profile, &function.runtime).unwrap_or_default(),
        instance_concurrency: function.concurrency.unwrap_or(profile.instance.concurrency),
        min_instances: function.min_instances,
        max_concurrency: function.max_concurrency.or(profile.scaling.function_instances_max),
        keep_alive: function.keep_alive,
        on_failure: function.on_failure.as_ref().map(|to| destination(to, names)),
        on_success: function.on_success.as_ref().map(|to| destination(to, names)),
        async_max_retries: function.max_retries,
        async_max_age: function.max_age,
    }
}

fn destination(to: &project::Destination, names: &mut Names) -> Destination {
    match to {
        project::Destination::Queue(name) => Destination::Queue(names.intern_queue(name)),
        project::Destination::Topic(name) => Destination::Topic(names.intern_topic(name)),
        project::Destination::Function(name) => Destination::Function(names.intern_function(name)),
    }
}

fn queue_spec(queue: &project::Queue, consumer: Option<QueueConsumer>, names: &mut Names) -> QueueSpec {
    QueueSpec {
        name: queue.name.as_str().into(),
        fifo: queue.fifo,
        visibility_timeout: queue.visibility_timeout,
        delay: queue.delay,
        retention: queue.retention,
        max_receives: queue.max_receives,
        dead_letter: queue.dead_letter.as_ref().map(|name| names.intern_queue(name)),
        consumer,
        max_messages: queue.max_messages,
    }
}
