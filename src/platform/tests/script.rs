//! Scripts: what happens, line by line, and indented below it the effects it must have. `EMU_UPDATE_GOLDENS=1` writes the
//! effects that came.
//!
//! ```text
//! rules keep_alive=10m account_concurrency=2      what differs from "no rules at all"
//! function api concurrency=1 max=2 min=0          functions get ids from 0, queues and the others too
//! queue orders consumer=api batch=10 max_receives=2 dead_letter=orders-dead
//! topic news to=function:api to=queue:orders filter={"plan":["pro"]}
//! cron report function=api overlap=skip schedule=*/5 * * * *
//! configure                                       hands the above in; may come again
//! 0s deploy api 1                                 from here on: an instant since the start, then an input
//! ```
//!
//! `2h jump` is a machine that slept until then. The start is 2026-01-01T00:00:00Z. Deadlines on the way are served one by one, each shown at its own time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::super::Platform;
use super::super::config::{
    ColdStarts, Config, CronSpec, Destination, Overlap, QueueConsumer, Subscriber, Subscription, TopicSpec,
};
use super::super::effect::{Delivery, Effect, MessageChange, Note, Record, StoreChange, Work};
use super::super::ids::{
    FunctionId, InstanceId, InvocationId, MessageId, QueueId, ReceiptId, TopicId, TriggerId, VersionNumber,
};
use super::super::input::{Input, Message, Outcome, TopicContent};
use super::super::rules::{RequestWait, Rules, ScaleUp};
use super::super::scaling::keep_alive::{HybridSpec, Policy};
use super::super::schedule::Schedule;
use super::super::time::{Span, Time};
use super::super::topic::Filter;
use super::super::units::parse_span;
use super::{completion, config, function, queue};

/// 2026-01-01T00:00:00Z
const START: Time = Time::from_secs(1_767_225_600);

#[test]
fn scripts_have_the_effects_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/platform/tests/scripts");
    let folder = option_env!("EMU_SCRIPTS").map_or(folder, Into::into);
    let update = std::env::var_os("EMU_UPDATE_GOLDENS").is_some();
    let files = std::fs::read_dir(&folder).expect("the folder of scripts");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 5, "the scripts are there");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a script");
        let came = Script::default().run(&text);
        if came != text {
            let line = came.lines().zip(text.lines()).position(|(came, text)| came != text);
            let line = line.unwrap_or_else(|| came.lines().count().min(text.lines().count()));
            wrong.push(format!(
                "{}:{}: expected `{}`, came `{}`",
                file.display(),
                line + 1,
                text.lines().nth(line).unwrap_or("(end)"),
                came.lines().nth(line).unwrap_or("(end)")
            ));
            if update {
                std::fs::write(&file, came).expect("the script is writable");
            }
        }
    }
    assert!(
        wrong.is_empty() || update,
        "{}\nEMU_UPDATE_GOLDENS=1 accepts what came",
        wrong.join("\n")
    );
}

struct Script {
    platform: Platform,
    config: Config,
    functions: Vec<String>,
    queues: Vec<String>,
    topics: Vec<String>,
    triggers: Vec<String>,
    now: Time,
    out: String,
}

impl Default for Script {
    fn default() -> Script {
        let config = config(Rules {
            keep_alive: Span::from_secs(600),
            ..Rules::none()
        });
        let (functions, queues, topics, triggers) = Default::default();
        Script {
            platform: Platform::new(1),
            config,
            functions,
            queues,
            topics,
            triggers,
            now: START,
            out: String::new(),
        }
    }
}

/// The words of a line after its verb: plain ones, and `key=value`.
struct Words<'a> {
    plain: Vec<&'a str>,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Words<'a> {
        let (pairs, plain): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        Words {
            plain,
            pairs: pairs
                .into_iter()
                .map(|pair| pair.split_once('=').expect("partitioned"))
                .collect(),
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    fn span(&self, key: &str) -> Option<Span> {
        self.get(key).map(span)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)
            .map(|text| text.parse().ok().unwrap_or_else(|| panic!("{key}={text} is no number")))
    }

    fn at(&self, place: usize) -> &'a str {
        self.plain
            .get(place)
            .unwrap_or_else(|| panic!("word {place} is missing in {:?}", self.plain))
    }

    fn id(&self, place: usize) -> u64 {
        let word = self.at(place).trim_start_matches(|c: char| !c.is_ascii_digit());
        word.parse().unwrap_or_else(|_| panic!("{word} is no id"))
    }
}

fn span(text: &str) -> Span {
    parse_span(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `10m`, `half-life:380s`, `hybrid`, `greedy:512`.
fn policy(text: &str) -> Policy {
    match text.split_once(':') {
        Some(("half-life", period)) => Policy::HalfLife(span(period)),
        Some(("greedy", mb)) => Policy::GreedyDual {
            memory_mb: mb.parse().expect("greedy:512"),
        },
        None if text == "hybrid" => Policy::Hybrid(HybridSpec::default()),
        _ => Policy::Fixed(span(text)),
    }
}

/// The place of a name, which is its id; new names are added.
fn id(names: &mut Vec<String>, name: &str) -> u32 {
    let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(String::from(name));
        names.len() - 1
    });
    u32::try_from(at).expect("few names")
}

impl Script {
    /// The script again, with the effects that came.
    fn run(mut self, text: &str) -> String {
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            if let Some((at, rest)) = line.split_once(' ').filter(|(at, _)| parse_span(at).is_ok()) {
                match rest {
                    "jump" => self.now = START + span(at),
                    _ => self.pass_to(START + span(at)),
                }
                self.out.push_str(line);
                self.out.push('\n');
                let input = self.input(rest);
                self.step(input);
            } else {
                self.out.push_str(line);
                self.out.push('\n');
                self.set(line);
            }
        }
        self.out
    }

    fn pass_to(&mut self, until: Time) {
        while let Some(at) = self.platform.next_deadline().filter(|at| *at < until) {
            self.now = self.now.max(at);
            self.step(Input::Tick);
        }
        self.now = until;
    }

    fn step(&mut self, input: Input) {
        self.platform.handle(self.now, input);
        if let Err(problem) = self.platform.check() {
            panic!("{problem}; after\n{}", self.out);
        }
        while let Some(effect) = self.platform.poll_effect() {
            let line = self.show(&effect);
            writeln!(self.out, "  {} {line}", self.now.since(START)).expect("writing to a string");
        }
    }

    fn set(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = Words::new(rest.split(' ').filter(|word| !word.is_empty()));
        match verb {
            "" | "#" => {}
            "rules" => self.set_rules(&words),
            "function" => self.set_function(&words),
            "queue" => self.set_queue(&words),
            "topic" => self.set_topic(&words),
            "cron" => self.set_cron(&words, rest),
            "remove" => self.remove(&words),
            "configure" => self.step(Input::Configure(Arc::new(self.config.clone()))),
            _ => panic!("unknown line `{line}`"),
        }
    }

    fn set_rules(&mut self, words: &Words<'_>) {
        let mut profile = (*self.config.profile).clone();
        let rules = &mut profile.rules;
        for (key, value) in &words.pairs {
            match *key {
                "keep_alive" => rules.keep_alive = span(value),
                "age_max" => rules.instance_age_max = Some(span(value)),
                "account" => rules.account_concurrency = words.number(key),
                "burst" => {
                    let (burst, every) = value.split_once('/').expect("burst=2/10s");
                    let burst = burst.parse().expect("a number");
                    rules.scale_up = Some(ScaleUp {
                        burst,
                        count: burst,
                        every: span(every),
                    });
                }
                "wait" => {
                    let (requests_max, time_max) = value.split_once('/').expect("wait=2/10s");
                    let requests_max = requests_max.parse().expect("a number");
                    rules.request_wait = Some(RequestWait {
                        time_max: span(time_max),
                        requests_max,
                    });
                }
                "retries" => rules.asynchronous.retry_waits = value.split(',').map(span).collect(),
                "retries_crons" => rules.asynchronous.retries_crons = *value == "true",
                "async_age" => rules.asynchronous.age_max = span(value),
                "backoff" => {
                    let (min, max) = value.split_once("..").expect("backoff=1s..5m");
                    rules.asynchronous.backoff_min = span(min);
                    rules.asynchronous.backoff_max = span(max);
                }
                "pending" => rules.asynchronous.pending_max = words.number(key).expect("a number"),
                "batches" => {
                    let numbers: Vec<u32> = value
                        .split('/')
                        .map(|n| n.parse().expect("batches=5/300/1250"))
                        .collect();
                    rules.queues.batches_min = numbers[0];
                    rules.queues.batches_per_minute = numbers[1];
                    rules.queues.batches_max = numbers[2];
                }
                "failed_batch" => rules.queues.failed_batch_delay = Some(span(value)),
                "deduplication" => rules.queues.deduplication_window = span(value),
                "cold_starts" => self.config.cold_starts = ColdStarts::Report,
                "cron_wakes" => self.config.cron_wakes = *value == "true",
                "cron_grace" => self.config.cron_grace = span(value),
                "flips" => self.config.instance_flips = *value == "true",
                _ => panic!("no rule is called {key}"),
            }
        }
        self.config.profile = Arc::new(profile);
    }

    fn set_function(&mut self, words: &Words<'_>) {
        let name = words.at(0);
        let mut spec = function(name);
        spec.instance_concurrency = words.number("concurrency").unwrap_or(1);
        spec.min_instances = words.number("min").unwrap_or(0);
        spec.max_concurrency = words.number("max");
        spec.keep_alive = words.get("keep_alive").map(policy);
        spec.async_max_retries = words.number("async_retries");
        spec.async_max_age = words.span("async_age");
        spec.on_failure = words
            .get("on_failure")
            .map(|queue| Destination::Queue(QueueId(id(&mut self.queues, queue))));
        if let Some(init) = words.span("init") {
            spec.cold_start.quantiles = vec![(0, init), (1000, init)];
        }
        self.config
            .functions
            .insert(FunctionId(id(&mut self.functions, name)), spec);
    }

    fn set_queue(&mut self, words: &Words<'_>) {
        let name = words.at(0);
        let mut spec = queue(name);
        spec.fifo = words.get("fifo") == Some("true");
        spec.visibility_timeout = words.span("visibility").unwrap_or(spec.visibility_timeout);
        spec.delay = words.span("delay").unwrap_or(spec.delay);
        spec.retention = words.span("retention").unwrap_or(spec.retention);
        spec.max_receives = words.number("max_receives");
        spec.max_messages = words.number("max_messages").unwrap_or(spec.max_messages);
        spec.dead_letter = words.get("dead_letter").map(|dead| QueueId(id(&mut self.queues, dead)));
        spec.consumer = words.get("consumer").map(|function| QueueConsumer {
            function: FunctionId(id(&mut self.functions, function)),
            batch_size: words.number("batch").unwrap_or(10),
            batch_window: words.span("window").unwrap_or(Span::ZERO),
            max_concurrency: words.number("batches_max"),
        });
        self.config.queues.insert(QueueId(id(&mut self.queues, name)), spec);
    }

    fn set_topic(&mut self, words: &Words<'_>) {
        let name = words.at(0);
        let filter = words.get("filter").map(|text| {
            let policy = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            Filter::parse(&policy).unwrap_or_else(|error| panic!("{text}: {error}"))
        });
        let mut subscriptions = Vec::new();
        for (_, to) in words.pairs.iter().filter(|(key, _)| *key == "to") {
            let to = match to.split_once(':') {
                Some(("function", name)) => Subscriber::Function(FunctionId(id(&mut self.functions, name))),
                Some(("queue", name)) => Subscriber::Queue(QueueId(id(&mut self.queues, name))),
                _ => panic!("to=function:NAME or to=queue:NAME"),
            };
            subscriptions.push(Subscription {
                to,
                filter: filter.clone(),
                wrapped: words.get("wrapped") == Some("true"),
            });
        }
        let topic = TopicId(id(&mut self.topics, name));
        self.config.topics.insert(
            topic,
            TopicSpec {
                name: Arc::from(name),
                subscriptions,
            },
        );
    }

    fn set_cron(&mut self, words: &Words<'_>, rest: &str) {
        let name = words.at(0);
        let (_, schedule) = rest.split_once("schedule=").expect("schedule= comes last");
        let spec = CronSpec {
            name: Arc::from(name),
            function: FunctionId(id(&mut self.functions, words.get("function").expect("function="))),
            schedule: Schedule::parse(schedule, words.get("zone")).unwrap_or_else(|error| panic!("{error}")),
            overlap: match words.get("overlap") {
                None | Some("skip") => Overlap::Skip,
                Some("queue") => Overlap::Queue,
                _ => Overlap::Allow,
            },
        };
        self.config
            .triggers
            .insert(TriggerId(id(&mut self.triggers, name)), spec);
    }

    fn remove(&mut self, words: &Words<'_>) {
        let name = words.at(1);
        match words.at(0) {
            "function" => drop(self.config.functions.remove(&FunctionId(id(&mut self.functions, name)))),
            "queue" => drop(self.config.queues.remove(&QueueId(id(&mut self.queues, name)))),
            "cron" => drop(self.config.triggers.remove(&TriggerId(id(&mut self.triggers, name)))),
            other => panic!("nothing removes a {other}"),
        }
    }

    fn input(&mut self, line: &str) -> Input {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = Words::new(rest.split(' ').filter(|word| !word.is_empty()));
        let mut function = |words: &Words<'_>| FunctionId(id(&mut self.functions, words.at(0)));
        match verb {
            "tick" | "jump" => Input::Tick,
            "deploy" => Input::Deploy {
                function: function(&words),
                version: VersionNumber(words.id(1) as u32),
                package_bytes: 1_000,
            },
            "arrive" => Input::Arrive {
                invocation: self.platform.new_invocation(),
                function: function(&words),
            },
            "async" => Input::ArriveAsync {
                invocation: self.platform.new_invocation(),
                function: function(&words),
                cause: None,
            },
            "leave" => Input::CallerGone {
                invocation: InvocationId(words.id(0)),
            },
            "ready" => Input::InstanceReady {
                instance: InstanceId(words.id(0)),
                init: words.span("init").unwrap_or(Span::ZERO),
            },
            "fail" => Input::InstanceFailed {
                instance: InstanceId(words.id(0)),
            },
            "lost" => Input::HostLost {
                instances: vec![InstanceId(words.id(0))],
            },
            "throttle" => Input::Throttle {
                rules: vec![(Some(function(&words)), words.number("probability").expect("of 1"))],
                seed: 1,
                anew: true,
            },
            "finish" => self.finished(&words),
            "clock" => Input::ClockSet {
                wall_ahead_ns: words.number::<i64>("ahead").expect("seconds") * 1_000_000_000,
            },
            "due" => {
                let trigger = TriggerId(id(&mut self.triggers, words.at(0)));
                Input::Due {
                    trigger,
                    scheduled_at: START + span(words.at(1)),
                }
            }
            "fire" => {
                let invocation = self.platform.new_invocation();
                Input::Fire {
                    trigger: TriggerId(id(&mut self.triggers, words.at(0))),
                    invocation,
                }
            }
            "publish" => {
                let topic = TopicId(id(&mut self.topics, words.at(0)));
                let body = words
                    .get("body")
                    .map(|text| serde_json::from_str(text).expect("JSON without spaces"));
                let content = TopicContent {
                    attributes: BTreeMap::new(),
                    body: body.unwrap_or_default(),
                };
                Input::Publish {
                    topic,
                    message: self.message(&words),
                    content: Arc::new(content),
                }
            }
            _ => self.queue_input(verb, &words),
        }
    }

    fn finished(&mut self, words: &Words<'_>) -> Input {
        let outcome = match words.plain.get(1).copied() {
            None | Some("ok") => Outcome::Succeeded,
            Some("failed") => Outcome::Failed,
            Some("timeout") => Outcome::TimedOut,
            _ => Outcome::OutOfMemory,
        };
        let mut completion = completion(outcome, words.span("took").unwrap_or(Span::from_millis(10)));
        completion.acknowledged = words.plain.contains(&"acknowledged");
        for (_, value) in words.pairs.iter().filter(|(key, _)| *key == "again") {
            let (message, delay) = value
                .split_once('/')
                .map_or((*value, None), |(id, delay)| (id, Some(span(delay))));
            let message = message
                .trim_start_matches('m')
                .parse()
                .expect("again=m1 or again=m1/5s");
            completion.failed_messages.push((MessageId(message), delay));
        }
        Input::Finished {
            invocation: InvocationId(words.id(0)),
            completion,
        }
    }

    fn message(&mut self, words: &Words<'_>) -> Message {
        Message {
            id: self.platform.new_message(),
            size_bytes: 100,
            delay: words.span("delay"),
            group: words.get("group").map(Arc::from),
            deduplication: words.get("key").map(Arc::from),
            cause: words.number("cause").map(InvocationId),
            admitted: false,
        }
    }

    fn queue_input(&mut self, verb: &str, words: &Words<'_>) -> Input {
        let queue = QueueId(id(&mut self.queues, words.at(0)));
        match verb {
            "send" => Input::Send {
                queue,
                message: self.message(words),
            },
            "receive" => Input::Receive {
                queue,
                max: words.number("max").unwrap_or(1),
                visibility: words.span("visibility"),
            },
            "delete" => Input::Delete {
                queue,
                receipt: ReceiptId(words.id(1)),
            },
            "hide" => Input::ChangeVisibility {
                queue,
                receipt: ReceiptId(words.id(1)),
                visibility: words.span("visibility").unwrap_or(Span::ZERO),
            },
            "purge" => Input::Purge { queue },
            "redrive" => Input::Redrive { queue },
            other => panic!("nothing is called {other}"),
        }
    }

    fn show(&self, effect: &Effect) -> String {
        let function = |id: FunctionId| &self.functions[id.0 as usize];
        let queue = |id: QueueId| &self.queues[id.0 as usize];
        let trigger = |id: TriggerId| &self.triggers[id.0 as usize];
        match effect {
            Effect::StartInstance {
                instance,
                function: of,
                version,
                modelled,
            } => {
                format!(
                    "start i{} {} v{} modelled={}",
                    instance.0,
                    function(*of),
                    version.0,
                    modelled.total()
                )
            }
            Effect::AskCron {
                trigger: of,
                scheduled_at,
            } => format!("ask {} {}", trigger(*of), scheduled_at.0),
            Effect::Run(run) => format!(
                "run #{} on i{} {} v{}{} {}",
                run.invocation.0,
                run.instance.0,
                function(run.function),
                run.version.0,
                if run.cold { " cold" } else { "" },
                self.show_work(&run.work)
            ),
            Effect::StopInstance {
                instance,
                function: of,
                reason,
            } => {
                format!("stop i{} {} {reason:?}", instance.0, function(*of))
            }
            Effect::Reject {
                invocation,
                function: of,
                reason,
            } => {
                format!("reject #{} {} {reason:?}", invocation.0, function(*of))
            }
            Effect::Record(record) => self.show_record(record),
            Effect::Note(note) => format!("note {}", self.show_note(note)),
            Effect::ArmCron { trigger: of, at, .. } => format!("arm {} {}", trigger(*of), at.since(START)),
            Effect::Received { queue: of, deliveries } => {
                format!("received {}{}", queue(*of), show_deliveries(deliveries))
            }
            Effect::ReceiptChecked {
                queue: of,
                receipt,
                valid,
            } => {
                format!(
                    "receipt r{} of {} {}",
                    receipt.0,
                    queue(*of),
                    if *valid { "valid" } else { "invalid" }
                )
            }
            Effect::Store(change) => format!("store {}", self.show_store(change)),
        }
    }

    fn show_work(&self, work: &Work) -> String {
        match work {
            Work::Request => String::from("request"),
            Work::Async { first, attempt } => format!("async of #{} attempt {attempt}", first.0),
            Work::Cron {
                trigger,
                scheduled_at,
                manual,
            } => {
                let by_hand = if *manual { " by hand" } else { "" };
                format!(
                    "cron {} of {}{by_hand}",
                    self.triggers[trigger.0 as usize],
                    scheduled_at.since(START)
                )
            }
            Work::Batch { queue, deliveries } => {
                format!("batch {}{}", self.queues[queue.0 as usize], show_deliveries(deliveries))
            }
            Work::Topic {
                topic,
                message,
                attempt,
                ..
            } => {
                format!(
                    "topic {} m{} attempt {attempt}",
                    self.topics[topic.0 as usize], message.0
                )
            }
        }
    }

    fn show_record(&self, record: &Record) -> String {
        let mut text = format!(
            "record #{} {} ",
            record.invocation.0, self.functions[record.function.0 as usize]
        );
        write!(text, "{:?}", record.end).expect("writing to a string");
        if record.cold {
            write!(text, " cold init={} modelled={}", record.init, record.modelled_init).expect("writing to a string");
        }
        if let Some(started_at) = record.started_at {
            let waited = started_at.since(record.arrived_at);
            write!(text, " waited={waited} took={}", record.duration).expect("writing to a string");
        }
        if let Some(metered) = record.metered {
            write!(text, " billed={}ms", metered.billed_ms).expect("writing to a string");
        }
        if record.attempt > 1 {
            write!(text, " attempt={}", record.attempt).expect("writing to a string");
        }
        if let Some(cause) = record.cause {
            write!(text, " cause=#{}", cause.0).expect("writing to a string");
        }
        text
    }

    fn show_note(&self, note: &Note) -> String {
        let function = |id: &FunctionId| &self.functions[id.0 as usize];
        match note {
            Note::Instance {
                instance,
                state,
                reason,
                ..
            } => match reason {
                Some(reason) => format!("i{} {state:?} {reason:?}", instance.0),
                None => format!("i{} {state:?}", instance.0),
            },
            Note::Throttled {
                function: of,
                invocation,
                reason,
            } => match invocation {
                Some(invocation) => format!("throttled {} #{} {reason:?}", function(of), invocation.0),
                None => format!("throttled {} poller {reason:?}", function(of)),
            },
            Note::Message {
                queue,
                topic,
                message,
                change,
            } => {
                let place = queue.map(|queue| &self.queues[queue.0 as usize]);
                let place = place
                    .or(topic.map(|topic| &self.topics[topic.0 as usize]))
                    .expect("one of the two");
                format!("{place} m{} {}", message.0, self.show_change(change))
            }
            Note::CronSkipped {
                trigger,
                scheduled_at,
                reason,
            } => {
                let trigger = &self.triggers[trigger.0 as usize];
                format!("{trigger} skipped {} {reason:?}", scheduled_at.since(START))
            }
            Note::Retry {
                first,
                function: of,
                attempt,
                at,
                ..
            } => {
                format!(
                    "retry #{} {} attempt {attempt} at {}",
                    first.0,
                    function(of),
                    at.since(START)
                )
            }
            Note::GaveUp {
                first,
                function: of,
                to,
                ..
            } => {
                let to = to.map_or("nowhere".to_owned(), |to| self.show_destination(to));
                format!("gave up #{} {} to {to}", first.0, function(of))
            }
        }
    }

    fn show_change(&self, change: &MessageChange) -> String {
        match change {
            MessageChange::Returned { visible_at } => format!("returned, visible at {}", visible_at.since(START)),
            MessageChange::DeadLettered { to, receive_count } => {
                format!("dead-lettered to {} after {receive_count}", self.queues[to.0 as usize])
            }
            MessageChange::Exhausted { receive_count } => format!("expired after {receive_count}"),
            MessageChange::Redriven { to } => format!("redriven to {}", self.queues[to.0 as usize]),
            MessageChange::Deduplicated { original } => format!("repeats m{}", original.0),
            MessageChange::Sent { .. } => String::from("sent"),
            MessageChange::Received { receive_count, .. } => {
                format!("received {{ receive_count: {receive_count} }}")
            }
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn show_destination(&self, to: Destination) -> String {
        match to {
            Destination::Queue(queue) => self.queues[queue.0 as usize].clone(),
            Destination::Topic(topic) => format!("topic {}", topic.0),
            Destination::Function(function) => format!("function {}", function.0),
        }
    }

    fn show_store(&self, change: &StoreChange) -> String {
        let queue = |id: &QueueId| &self.queues[id.0 as usize];
        match change {
            StoreChange::Put {
                queue: of,
                of: original,
                wrapped,
                stored,
                ..
            } => {
                let envelope = if wrapped.is_some() { "wrapped " } else { "" };
                let copy = original.map_or(String::new(), |original| format!(" {envelope}copy of m{}", original.0));
                format!(
                    "put m{}{copy} in {} visible at {}",
                    stored.message.0,
                    queue(of),
                    stored.visible_at.since(START)
                )
            }
            StoreChange::Moved { from, to, stored } => {
                format!("move m{} from {} to {}", stored.message.0, queue(from), queue(to))
            }
            StoreChange::Hidden {
                message, visible_at, ..
            } => format!("hidden m{} until {}", message.0, visible_at.since(START)),
            StoreChange::LetGo {
                message, visible_at, ..
            } => format!("let go m{} until {}", message.0, visible_at.since(START)),
            StoreChange::Purged { queue: of } => format!("purged {}", queue(of)),
            StoreChange::FannedOut { message } => format!("fanned out m{}", message.0),
            StoreChange::Event(event) => {
                let at = event.at.since(START);
                format!("keep #{} attempt {} at {at}", event.first.0, event.attempt)
            }
            StoreChange::Received {
                message,
                receive_count,
                visible_at,
                ..
            } => {
                format!(
                    "received m{} {receive_count} times visible at {}",
                    message.0,
                    visible_at.since(START)
                )
            }
            StoreChange::Gone { message, .. } => format!("gone m{}", message.0),
            StoreChange::EventDone { first } => format!("done #{}", first.0),
            StoreChange::Destination { first, to, .. } => {
                format!("destination of #{} is {}", first.0, self.show_destination(*to))
            }
        }
    }
}

fn show_deliveries(deliveries: &[Delivery]) -> String {
    deliveries.iter().fold(String::new(), |mut text, delivery| {
        write!(text, " m{}:r{}", delivery.message.0, delivery.receipt.0).expect("writing to a string");
        if delivery.receive_count > 1 {
            write!(text, "({})", delivery.receive_count).expect("writing to a string");
        }
        text
    })
}
