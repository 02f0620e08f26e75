//! Raw events into the public schema: ids into names, reasons into words, money into dollars.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::engine::FailureKind;
use crate::platform::config::Destination;
use crate::platform::effect::{
    CronSkip, DropReason, End, InstanceState, MessageChange, Note, RejectReason, StopReason, TriggerKind,
};
use crate::platform::ids::{FunctionId, InvocationId};
use crate::platform::input::Outcome;
use crate::report::event::{self, Event, Stamped};
use crate::report::number::receives;

use super::clock::rfc3339;
use super::events::{Done, Raw, Summary, What};
use super::names::{Facts, Names, PublicIds};

const PICODOLLARS: f64 = 1e-12;

pub struct Renderer {
    names: Arc<RwLock<Names>>,
    ids: PublicIds,
}

impl Renderer {
    pub fn new(names: Arc<RwLock<Names>>, ids: PublicIds) -> Renderer {
        Renderer { names, ids }
    }

    pub fn stamped(&self, raw: &Raw) -> Stamped {
        let event = match &raw.what {
            What::Invocation(done) => Event::Invocation(self.invocation(done)),
            What::Note(note) => self.note(note),
            What::Log {
                invocation,
                function,
                stream,
                text,
            } => Event::Log(event::Log {
                function: self.name(|n| n.function(*function)),
                invocation: self.ids.invocation(*invocation),
                stream: *stream,
                text: text.clone(),
            }),
            What::Made(event) => Event::clone(event),
        };
        Stamped {
            time: rfc3339(raw.at),
            event,
        }
    }

    pub fn invocation(&self, done: &Done) -> event::Invocation {
        let record = &done.record;
        let metered = record.metered.unwrap_or_default();
        event::Invocation {
            id: self.ids.invocation(record.invocation),
            function: self.name(|n| n.function(record.function)),
            version: record.version.map_or(0, |v| v.0),
            trigger: trigger_name(record.trigger).to_owned(),
            summary: summary(&done.summary),
            outcome: outcome_name(record.end).to_owned(),
            status: done.status,
            cold: record.cold,
            instance: record.instance.map(|i| i.0),
            duration_ms: round(record.duration.as_millis_f64()),
            init_ms: round(
                (record.init
                    + if record.cold {
                        done.sandbox_init
                    } else {
                        Default::default()
                    })
                .as_millis_f64(),
            ),
            modelled_init_ms: round(record.modelled_init.as_millis_f64()),
            billed_ms: metered.billed_ms,
            memory_mb: metered.memory_mb,
            max_memory_mb: round(record.memory_bytes_max as f64 / (1024.0 * 1024.0)),
            cost: metered.cost_picodollars as f64 * PICODOLLARS,
            attempt: record.attempt.max(1),
            cause: record.cause.map(|id| self.ids.invocation(id)),
            first_attempt: record.event.map(|id| self.ids.invocation(id)),
            message: record.message.map(|id| self.ids.message(id)),
            error: self.error(done),
        }
    }

    fn error(&self, done: &Done) -> Option<event::Error> {
        if let Some(failure) = &done.failure {
            return Some(event::Error {
                kind: failure_name(failure.kind).to_owned(),
                message: failure.message.clone(),
                stack: failure.stack.clone(),
            });
        }
        let (kind, message) = match done.record.end {
            End::Rejected(reason) => (reject_code(reason), reject_text(reason)),
            End::Dropped(reason) => ("dropped", drop_text(reason).to_owned()),
            End::Expired => ("expired", "it waited longer than its maximum age".to_owned()),
            _ => return None,
        };
        Some(event::Error {
            kind: kind.to_owned(),
            message,
            stack: Vec::new(),
        })
    }

    // tidy: long, because it is one arm a note
    fn note(&self, note: &Note) -> Event {
        match note {
            Note::Instance {
                instance,
                function,
                version,
                state,
                reason,
            } => Event::Instance(event::Instance {
                id: instance.0,
                function: self.name(|n| n.function(*function)),
                version: version.0,
                state: state_name(*state).to_owned(),
                reason: reason.map(|reason| {
                    let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
                    stop_text(reason, names.facts(*function))
                }),
            }),
            Note::Throttled {
                function,
                invocation,
                reason,
            } => Event::Throttle(event::Throttle {
                function: self.name(|n| n.function(*function)),
                invocation: invocation.map(|id| self.ids.invocation(id)),
                reason: reject_text(*reason),
            }),
            Note::Message {
                queue,
                topic,
                message,
                change,
            } => Event::Message(event::Message {
                id: self.ids.message(*message),
                queue: queue.map(|q| self.name(|n| n.queue(q))),
                topic: topic.map(|t| self.name(|n| n.topic(t))),
                ..self.change(change)
            }),
            Note::CronSkipped {
                trigger,
                scheduled_at,
                reason,
            } => Event::Cron(event::Cron {
                name: self.name(|n| n.trigger(*trigger)),
                scheduled_at: rfc3339(*scheduled_at),
                outcome: match reason {
                    CronSkip::Overlap => "skipped".to_owned(),
                    CronSkip::Missed { .. } => "missed".to_owned(),
                },
                detail: match reason {
                    CronSkip::Overlap => "its last run still goes (overlap = \"skip\")".to_owned(),
                    CronSkip::Missed { count } => format!("{count} earlier instants passed while emu could not run"),
                },
            }),
            Note::Retry {
                first,
                function,
                failed,
                attempt,
                attempts_max,
                at,
            } => Event::Retry(event::Retry {
                function: self.name(|n| n.function(*function)),
                first_attempt: self.ids.invocation(*first),
                failed: self.ids.invocation(*failed),
                attempt: *attempt,
                attempts_max: *attempts_max,
                at: rfc3339(*at),
            }),
            Note::GaveUp {
                first,
                function,
                last,
                attempts,
                to,
            } => Event::GaveUp(event::GaveUp {
                function: self.name(|n| n.function(*function)),
                first_attempt: self.ids.invocation(*first),
                last: self.ids.invocation(*last),
                attempts: *attempts,
                to: to.map(|to| self.destination(to)),
            }),
        }
    }

    /// `queue orders-dead`.
    fn destination(&self, to: Destination) -> String {
        match to {
            Destination::Queue(queue) => format!("queue {}", self.name(|n| n.queue(queue))),
            Destination::Topic(topic) => format!("topic {}", self.name(|n| n.topic(topic))),
            Destination::Function(function) => format!("function {}", self.name(|n| n.function(function))),
        }
    }

    fn change(&self, change: &MessageChange) -> event::Message {
        let told = |change: &str, detail: Option<String>| event::Message {
            change: change.to_owned(),
            detail,
            ..event::Message::default()
        };
        let by = |id: &InvocationId| self.ids.invocation(*id);
        match change {
            MessageChange::Sent { cause, of } => event::Message {
                cause: cause.as_ref().map(by),
                of: of.map(|of| self.ids.message(of)),
                ..told("sent", None)
            },
            MessageChange::Deduplicated { original } => {
                told("deduplicated", Some(format!("repeats {}", self.ids.message(*original))))
            }
            MessageChange::Received { receive_count, by: who } => event::Message {
                by: who.as_ref().map(by),
                receive_count: Some(*receive_count),
                ..told("received", Some(format!("receive {receive_count}")))
            },
            MessageChange::Deleted => told("deleted", None),
            MessageChange::Purged { messages } => told("purged", Some(format!("{messages} messages"))),
            MessageChange::Returned { visible_at } => {
                told("returned", Some(format!("visible again at {}", rfc3339(*visible_at))))
            }
            MessageChange::DeadLettered { to, receive_count } => {
                let to = self.name(|n| n.queue(*to));
                event::Message {
                    receive_count: Some(*receive_count),
                    ..told(
                        "dead_lettered",
                        Some(format!("to {to} after {}", receives(*receive_count))),
                    )
                }
                .to(to)
            }
            MessageChange::Expired => told("expired", Some("its retention is over".to_owned())),
            MessageChange::Exhausted { receive_count } => event::Message {
                receive_count: Some(*receive_count),
                ..told(
                    "expired",
                    Some(format!(
                        "after {}, without a dead_letter queue",
                        receives(*receive_count)
                    )),
                )
            },
            MessageChange::FannedOut { deliveries, cause } => event::Message {
                cause: cause.as_ref().map(by),
                ..told("fanned_out", Some(subscriptions(*deliveries)))
            },
            MessageChange::Refused => told("refused", Some("the queue is full".to_owned())),
            MessageChange::Redriven { to } => {
                let to = self.name(|n| n.queue(*to));
                told("redriven", Some(format!("to {to}"))).to(to)
            }
        }
    }

    pub fn function(&self, id: FunctionId) -> Arc<str> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).function(id)
    }

    fn name(&self, find: impl FnOnce(&Names) -> Arc<str>) -> String {
        find(&self.names.read().unwrap_or_else(PoisonError::into_inner)).to_string()
    }
}

fn subscriptions(deliveries: u32) -> String {
    match deliveries {
        1 => "to 1 subscription".to_owned(),
        more => format!("to {more} subscriptions"),
    }
}

/// Three decimals: microseconds of a millisecond figure.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn summary(summary: &Summary) -> String {
    match summary {
        Summary::Request { method, path, .. } => format!("{method} {path}"),
        Summary::Event => "event".to_owned(),
        Summary::Cron { name, scheduled_at } => {
            let at = DateTime::<Utc>::from_timestamp(scheduled_at.as_secs().cast_signed(), 0).unwrap_or_default();
            format!("{name} at {}", at.format("%H:%M:%S"))
        }
        Summary::Batch { queue, messages: 1 } => format!("{queue} (1 message)"),
        Summary::Batch { queue, messages } => format!("{queue} ({messages} messages)"),
        Summary::Topic { topic } => format!("{topic} (topic)"),
        Summary::Unknown(trigger) => trigger_name(*trigger).to_owned(),
    }
}

pub fn trigger_name(trigger: TriggerKind) -> &'static str {
    match trigger {
        TriggerKind::Http => "http",
        TriggerKind::Cron => "cron",
        TriggerKind::Queue => "queue",
        TriggerKind::Topic => "topic",
        TriggerKind::Async => "async",
    }
}

pub fn outcome_name(end: End) -> &'static str {
    match end {
        End::Ran(Outcome::Succeeded) => "succeeded",
        End::Ran(Outcome::Failed) => "failed",
        End::Ran(Outcome::TimedOut) => "timed_out",
        End::Ran(Outcome::OutOfMemory) => "out_of_memory",
        End::Rejected(
            RejectReason::FunctionConcurrency { .. }
            | RejectReason::AccountConcurrency { .. }
            | RejectReason::ScalingRate { .. }
            | RejectReason::OnPurpose { .. },
        ) => "throttled",
        End::Rejected(_) => "rejected",
        End::Expired => "expired",
        End::Dropped(_) => "dropped",
        End::Cancelled => "cancelled",
    }
}

pub fn failure_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Error => "error",
        FailureKind::Trap => "trap",
        FailureKind::Timeout => "timeout",
        FailureKind::OutOfMemory => "out_of_memory",
        FailureKind::Exit => "exit",
        FailureKind::BadResponse => "bad_response",
    }
}

pub fn state_name(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Starting => "starting",
        InstanceState::Idle => "idle",
        InstanceState::Busy => "busy",
        InstanceState::Draining => "draining",
        InstanceState::Gone => "gone",
    }
}

pub fn stop_text(reason: StopReason, facts: Facts) -> String {
    match reason {
        StopReason::Idle => format!("idle for {}", facts.keep_alive),
        StopReason::Replaced => format!("replaced by version {}", facts.version),
        StopReason::Removed => "its function was removed".to_owned(),
        StopReason::ProviderUpdate => "provider update".to_owned(),
        StopReason::Crashed => "reset after a crash or timeout".to_owned(),
        StopReason::InitFailed => "its init failed".to_owned(),
        StopReason::ScaledDown => "scaled down".to_owned(),
        StopReason::HostLost => "fault on purpose: its host was lost".to_owned(),
    }
}

pub fn reject_code(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::FunctionConcurrency { .. } => "function-concurrency",
        RejectReason::AccountConcurrency { .. } => "account-concurrency",
        RejectReason::ScalingRate { .. } => "scaling-rate",
        RejectReason::QueueFull => "queue-full",
        RejectReason::Removed => "function-removed",
        RejectReason::NoVersion => "no-version",
        RejectReason::InitFailed => "init-failed",
        RejectReason::OnPurpose { .. } => "throttled-on-purpose",
    }
}

pub fn reject_text(reason: RejectReason) -> String {
    match reason {
        RejectReason::FunctionConcurrency { limit } => {
            format!("all {limit} instances that max_concurrency allows this function are busy")
        }
        RejectReason::AccountConcurrency { limit } => {
            format!("all {limit} concurrent executions of the provider's account limit are in use")
        }
        RejectReason::ScalingRate { retry_after } => {
            format!("the provider starts no more instances that fast; next in {retry_after}")
        }
        RejectReason::QueueFull => "too many requests wait for an instance".to_owned(),
        RejectReason::Removed => "the function was removed while the request waited".to_owned(),
        RejectReason::NoVersion => "no version of the function has been built yet".to_owned(),
        RejectReason::InitFailed => "the instance could not start".to_owned(),
        RejectReason::OnPurpose { .. } => "fault on purpose: throttled".to_owned(),
    }
}

fn drop_text(reason: DropReason) -> &'static str {
    match reason {
        DropReason::CronOverlap => "its last run still goes (overlap = \"skip\")",
        DropReason::CronNewerRun => "a newer run of this cron has taken its place",
        DropReason::Overflow => "too much waits already",
        DropReason::FunctionRemoved => "the function was removed",
        DropReason::Reset => "the emulator was reset",
    }
}
