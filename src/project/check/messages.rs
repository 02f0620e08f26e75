//! Queues and topics: what they refer to, what the provider allows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, World};
use crate::platform::time::Span;
use crate::project::manifest::{Manifest, RawQueue};
use crate::project::read::{At, Sink};
use crate::project::units::format_span;
use crate::project::{Queue, Subscription, Topic};

const MAX_MESSAGES_DEFAULT: u64 = 100_000;

pub fn queues(manifest: &Manifest, world: &World<'_>, sink: &mut Sink) -> BTreeMap<String, Queue> {
    let by_name: BTreeMap<&str, &RawQueue> = manifest.queues.iter().map(|q| (q.name.value.as_str(), q)).collect();
    let mut queues = BTreeMap::new();
    for raw in &manifest.queues {
        limits(raw, world, sink);
        let dead_letter = raw
            .dead_letter
            .as_ref()
            .filter(|name| world.resolve(Kind::Queue, name, sink));
        if let Some(target) = dead_letter {
            check_dead_letter(raw, target, &by_name, sink);
        }
        let rules = &world.profile.queue;
        let dropped_anyway = rules.drops_without_dead_letter.then_some(rules.max_receives_default);
        let default_receives = dead_letter.map(|_| rules.max_receives_default).or(dropped_anyway);
        let queue = Queue {
            name: raw.name.value.clone(),
            fifo: raw.fifo,
            visibility_timeout: value_or(&raw.visibility_timeout, rules.visibility_timeout_default),
            delay: value_or(&raw.delay, Span::ZERO),
            retention: value_or(&raw.retention, rules.retention_default),
            max_receives: raw.max_receives.as_ref().map(|n| n.value).or(default_receives),
            dead_letter: dead_letter.map(|name| name.value.clone()),
            max_messages: raw.max_messages.as_ref().map_or(MAX_MESSAGES_DEFAULT, |n| n.value),
        };
        queues.insert(queue.name.clone(), queue);
    }
    check_circles(manifest, &by_name, sink);
    queues
}

fn value_or(value: &Option<At<Span>>, default: Span) -> Span {
    value.as_ref().map_or(default, |value| value.value)
}

/// What the provider would refuse works here, with a warning.
fn limits(raw: &RawQueue, world: &World<'_>, sink: &mut Sink) {
    let rules = &world.profile.queue;
    let provider = world.provider();
    let most = [
        (
            "visibility_timeout",
            &raw.visibility_timeout,
            rules.visibility_timeout_max,
        ),
        ("delay", &raw.delay, rules.delay_max),
        ("retention", &raw.retention, rules.retention_max),
    ];
    for (key, value, max) in most {
        if let Some(value) = value.as_ref().filter(|value| value.value > max) {
            let max = format_span(max);
            sink.warning(&value.span, format!("{provider} allows a `{key}` of at most {max}"))
                .remedy(format!("write `{key} = \"{max}\"` or less before you deploy"));
        }
    }
    if let Some(retention) = raw.retention.as_ref().filter(|value| value.value < rules.retention_min) {
        let min = rules.retention_min;
        sink.warning(&retention.span, format!("{provider} keeps messages for at least {min}"))
            .remedy(format!("write `retention = \"{min}\"` or more before you deploy"));
    }
    if let Some(zero) = raw
        .visibility_timeout
        .as_ref()
        .filter(|value| value.value == Span::ZERO)
    {
        sink.warning(
            &zero.span,
            "a `visibility_timeout` of zero delivers a message again while it is worked on",
        )
        .remedy("write at least the timeout of the function that takes the messages");
    }
}

fn check_dead_letter(raw: &RawQueue, target: &At<String>, by_name: &BTreeMap<&str, &RawQueue>, sink: &mut Sink) {
    if target.value == raw.name.value {
        sink.error(
            &target.span,
            format!("the queue `{}` is its own dead letter queue", target.value),
        )
        .remedy(format!("declare another one, such as `[queues.{}-dead]`", target.value));
        return;
    }
    let other = by_name.get(target.value.as_str()).copied();
    if let Some(other) = other.filter(|other| other.fifo != raw.fifo) {
        let (which, what) = if raw.fifo { ("is", "also") } else { ("is not", "not") };
        sink.error(
            &target.span,
            format!(
                "`{}` {which} a FIFO queue, so its dead letter queue must {what} be one",
                raw.name.value
            ),
        )
        .related(&other.name.span, "this one")
        .remedy("give both the same `fifo`");
    }
}

/// `a` to `b` to `a`: a message that always fails would never rest.
fn check_circles(manifest: &Manifest, by_name: &BTreeMap<&str, &RawQueue>, sink: &mut Sink) {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for start in &manifest.queues {
        let mut path = vec![start.name.value.as_str()];
        let mut at = start;
        while let Some(next) = at.dead_letter.as_ref() {
            if next.value == at.name.value || reported.contains(next.value.as_str()) {
                break;
            }
            if let Some(from) = path.iter().position(|name| *name == next.value) {
                let circle = path.split_off(from);
                let shown = circle
                    .iter()
                    .chain([&circle[0]])
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>();
                sink.error(
                    &next.span,
                    format!("dead letters go in a circle: {}", shown.join(" to ")),
                )
                .remedy("take one `dead_letter` out");
                reported.extend(circle);
                break;
            }
            let Some(queue) = by_name.get(next.value.as_str()) else {
                break;
            };
            path.push(&next.value);
            at = queue;
        }
    }
}

pub fn topics(manifest: &Manifest, world: &World<'_>, sink: &mut Sink) -> BTreeMap<String, Topic> {
    let mut topics = BTreeMap::new();
    for raw in &manifest.topics {
        let mut queues = Vec::new();
        let mut seen: BTreeMap<&str, &At<String>> = BTreeMap::new();
        for subscription in &raw.queues {
            let to = &subscription.to;
            if !world.resolve(Kind::Queue, to, sink) {
                continue;
            }
            if let Some(first) = seen.insert(&to.value, to) {
                sink.error(&to.span, format!("the queue `{}` stands twice in one topic", to.value))
                    .related(&first.span, "first here")
                    .remedy("take one out; each subscriber gets a message once");
            }
            queues.push(Subscription {
                queue: to.value.clone(),
                filter: super::functions::filter(&subscription.filter, sink),
                wrapped: subscription.wrapped,
            });
        }
        topics.insert(
            raw.name.value.clone(),
            Topic {
                name: raw.name.value.clone(),
                queues,
            },
        );
    }
    topics
}

/// One consumer a queue, batches within the provider's bounds, timeouts that fit.
pub fn triggers(manifest: &Manifest, world: &World<'_>, sink: &mut Sink) {
    let mut consumers: BTreeMap<&str, &At<String>> = BTreeMap::new();
    for function in &manifest.functions {
        let Some(trigger) = &function.queue else { continue };
        let from = &trigger.from;
        if let Some(first) = consumers.insert(&from.value, from) {
            sink.error(&from.span, format!("the queue `{}` has two consumers", from.value))
                .related(&first.span, "the first")
                .remedy("a message goes to one of them only; use a topic when both should get it");
        }
        let Some(queue) = manifest.queues.iter().find(|queue| queue.name.value == from.value) else {
            continue;
        };
        batch_limits(trigger, queue.fifo, world, sink);
        let visibility = value_or(
            &queue.visibility_timeout,
            world.profile.queue.visibility_timeout_default,
        );
        let timeout = value_or(&function.timeout, world.profile.timeout.default);
        // Zero has a warning of its own.
        if timeout > visibility && visibility > Span::ZERO {
            let span = function
                .timeout
                .as_ref()
                .map_or(&function.name.span, |timeout| &timeout.span);
            let other = queue
                .visibility_timeout
                .as_ref()
                .map_or(&queue.name.span, |visibility| &visibility.span);
            sink.warning(
                span,
                format!(
                    "the function `{}` may run for {timeout}, longer than the {visibility} that messages of `{}` stay hidden",
                    function.name.value, from.value
                ),
            )
            .related(other, format!("hidden for {visibility}"))
            .remedy(format!(
                "a message would be delivered again while it is worked on: give the queue a `visibility_timeout` of \
                 at least \"{timeout}\", or the function a shorter `timeout`"
            ));
        }
    }
}

fn batch_limits(trigger: &crate::project::manifest::RawQueueTrigger, fifo: bool, world: &World<'_>, sink: &mut Sink) {
    let rules = &world.profile.queue.batch;
    let provider = world.provider();
    let window = value_or(&trigger.batch_window, rules.window_default);
    if let Some(size) = &trigger.batch_size {
        let max = if fifo { rules.size_max_fifo } else { rules.size_max };
        let what = if fifo { "of a FIFO queue " } else { "" };
        if size.value > max {
            sink.warning(&size.span, format!("{provider} allows batches {what}of at most {max}"))
                .remedy(format!("write `batch_size = {max}` or less before you deploy"));
        } else if size.value > rules.size_max_without_window && window < Span::from_secs(1) {
            let max = rules.size_max_without_window;
            sink.warning(
                &size.span,
                format!("{provider} allows batches above {max} only with a window of at least a second"),
            )
            .remedy("add `batch_window = \"1s\"`, or make the batch smaller");
        }
    }
    if let Some(window) = trigger
        .batch_window
        .as_ref()
        .filter(|window| window.value > rules.window_max)
    {
        let max = rules.window_max;
        sink.warning(&window.span, format!("{provider} lets a batch wait for at most {max}"))
            .remedy(format!("write `batch_window = \"{max}\"` or less before you deploy"));
    }
}
