//! A platform among several: what it lets go of, and what it asks for.

use std::sync::Arc;

use super::super::Platform;
use super::super::config::{Config, CronSpec, Overlap, QueueConsumer};
use super::super::effect::{Effect, StoreChange, Stored, StoredEvent};
use super::super::ids::{InvocationId, MessageId, QueueId, TriggerId, VersionNumber};
use super::super::input::{Completion, Input, Message, Outcome};
use super::super::schedule::Schedule;
use super::super::time::{Span, Time};
use super::{API, completion, config, drain, function, queue};
use crate::provider;

const JOBS: QueueId = QueueId(0);
const DEAD: QueueId = QueueId(1);
const TICK: TriggerId = TriggerId(0);

fn shared(change: impl FnOnce(&mut Config)) -> Platform {
    let mut config = config(provider::all()[0].rules.clone());
    config.functions.insert(API, function("api"));
    let mut jobs = queue("jobs");
    jobs.dead_letter = Some(DEAD);
    jobs.max_receives = Some(2);
    jobs.consumer = Some(QueueConsumer {
        function: API,
        batch_size: 10,
        batch_window: Span::ZERO,
        max_concurrency: Some(2),
    });
    config.queues.insert(JOBS, jobs);
    config.queues.insert(DEAD, queue("dead"));
    change(&mut config);
    let mut platform = Platform::new(1);
    platform.share();
    platform.handle(Time::ZERO, Input::Configure(Arc::new(config)));
    let version = VersionNumber(1);
    platform.handle(
        Time::ZERO,
        Input::Deploy {
            function: API,
            version,
            package_bytes: 1,
        },
    );
    drain(&mut platform);
    platform
}

fn handed(id: u64, receive_count: u32) -> Stored {
    Stored {
        message: MessageId(id),
        sent_at: Time::ZERO,
        visible_at: Time::ZERO,
        in_flight: false,
        receive_count,
        first_received_at: None,
        receipt: None,
        group: None,
        source: None,
        cause: None,
    }
}

/// Effects of an input, instances made ready at once.
fn step(platform: &mut Platform, at: Time, input: Input) -> Vec<Effect> {
    platform.handle(at, input);
    let mut effects = drain(platform);
    let starting: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartInstance { instance, .. } => Some(*instance),
            _ => None,
        })
        .collect();
    for instance in starting {
        platform.handle(
            at,
            Input::InstanceReady {
                instance,
                init: Span::ZERO,
            },
        );
        effects.extend(drain(platform));
    }
    effects
}

fn hand(platform: &mut Platform, at: Time, messages: Vec<Stored>) -> Vec<Effect> {
    let keys = Vec::new();
    let queue = JOBS;
    step(platform, at, Input::Restore { queue, messages, keys })
}

fn runs(effects: &[Effect]) -> Vec<InvocationId> {
    let run = |effect: &Effect| match effect {
        Effect::Run(run) => Some(run.invocation),
        _ => None,
    };
    effects.iter().filter_map(run).collect()
}

fn changes(effects: &[Effect]) -> Vec<&StoreChange> {
    let mut changes = Vec::new();
    for effect in effects {
        if let Effect::Store(change) = effect {
            changes.push(change);
        }
    }
    changes
}

#[test]
fn what_is_sent_leaves_and_what_is_handed_out_runs() {
    let mut platform = shared(|_| {});
    let message = Message {
        id: platform.new_message(),
        size_bytes: 1,
        delay: None,
        group: None,
        deduplication: None,
        cause: None,
        admitted: true,
    };
    let sent = step(&mut platform, Time(1), Input::Send { queue: JOBS, message });
    assert!(
        matches!(changes(&sent)[..], [StoreChange::Put { queue: JOBS, .. }]),
        "{sent:?}"
    );
    assert!(runs(&sent).is_empty() && platform.queue(JOBS).is_some_and(|queue| queue.visible == 0));
    let effects = hand(&mut platform, Time(2), vec![handed(9, 0)]);
    assert_eq!(runs(&effects).len(), 1, "{effects:?}");
}

#[test]
fn the_appetite_is_what_free_pollers_take() {
    let mut platform = shared(|_| {});
    assert_eq!(platform.appetite(JOBS), 20, "two batches of ten");
    assert_eq!(platform.appetite(DEAD), 0, "nobody reads it");
    hand(&mut platform, Time(1), vec![handed(1, 0)]);
    assert_eq!(platform.appetite(JOBS), 10);
    hand(&mut platform, Time(1), vec![handed(2, 0)]);
    assert_eq!(platform.appetite(JOBS), 0);
    hand(&mut platform, Time(1), vec![handed(3, 0)]);
    assert_eq!(platform.appetite(JOBS), 0, "more than it asked for");
}

#[test]
fn what_failed_is_let_go_and_buried_when_it_has_failed_too_often() {
    let mut platform = shared(|_| {});
    let effects = hand(&mut platform, Time(1), vec![handed(1, 0), handed(2, 1)]);
    let invocation = runs(&effects)[0];
    let completion = completion(Outcome::Failed, Span::from_secs(1));
    step(&mut platform, Time(2), Input::Finished { invocation, completion });
    let visible_again = Time::ZERO + Span::from_secs(31);
    let effects = step(&mut platform, visible_again, Input::Tick);
    let changes = changes(&effects);
    assert!(
        changes.iter().any(|change| matches!(
            change,
            StoreChange::LetGo {
                message: MessageId(1),
                ..
            }
        )),
        "{changes:?}"
    );
    assert!(
        changes.iter().any(|change| matches!(
            change,
            StoreChange::Moved { to: DEAD, stored, .. } if stored.message == MessageId(2)
        )),
        "{changes:?}"
    );
    let empty = |queue| {
        platform
            .queue(queue)
            .is_some_and(|queue| queue.visible + queue.in_flight + queue.delayed == 0)
    };
    assert!(empty(JOBS) && empty(DEAD), "others have them");
}

#[test]
fn what_no_function_reads_any_more_goes_to_others() {
    let mut platform = shared(|_| {});
    let effects = hand(&mut platform, Time(1), vec![handed(1, 0)]);
    assert_eq!(runs(&effects).len(), 1);
    hand(&mut platform, Time(1), vec![handed(2, 0)]);
    hand(&mut platform, Time(1), vec![handed(3, 0)]);
    assert_eq!(
        platform.queue(JOBS).map(|queue| queue.visible),
        Some(1),
        "both pollers have one"
    );
    assert!(platform.consumes(JOBS));
    let mut config = config(provider::all()[0].rules.clone());
    config.functions.insert(API, function("api"));
    config.queues.insert(JOBS, queue("jobs"));
    let effects = step(&mut platform, Time(2), Input::Configure(Arc::new(config)));
    assert!(
        matches!(
            changes(&effects)[..],
            [StoreChange::LetGo {
                message: MessageId(3),
                ..
            }]
        ),
        "{effects:?}"
    );
    assert!(!platform.consumes(JOBS));
    assert_eq!(
        platform.queue(JOBS).map(|queue| (queue.visible, queue.in_flight)),
        Some((0, 2))
    );
}

#[test]
fn a_fifo_queue_keeps_what_failed() {
    let mut platform = shared(|config| {
        if let Some(jobs) = config.queues.get_mut(&JOBS) {
            jobs.fifo = true;
        }
    });
    assert_eq!(platform.appetite(JOBS), 1_000);
    let effects = hand(&mut platform, Time(1), vec![handed(1, 0)]);
    let invocation = runs(&effects)[0];
    let completion = completion(Outcome::Failed, Span::from_secs(1));
    step(&mut platform, Time(2), Input::Finished { invocation, completion });
    let effects = step(&mut platform, Time::ZERO + Span::from_secs(31), Input::Tick);
    assert_eq!(runs(&effects).len(), 1, "tried again here: {effects:?}");
}

/// Its place in its group is here: another copy of it would pass what stands behind it.
#[test]
fn a_fifo_queue_keeps_what_is_tried_again_later() {
    let mut platform = shared(|config| {
        config.queues.entry(JOBS).and_modify(|jobs| jobs.fifo = true);
    });
    let effects = hand(&mut platform, Time(1), vec![handed(1, 0), handed(2, 0)]);
    let invocation = runs(&effects)[0];
    let completion = Completion {
        failed_messages: vec![(MessageId(1), Some(Span::from_secs(5)))],
        ..completion(Outcome::Succeeded, Span::from_secs(1))
    };
    let effects = step(&mut platform, Time(2), Input::Finished { invocation, completion });
    let nobody_elses =
        |change: &&StoreChange| !matches!(change, StoreChange::Hidden { .. } | StoreChange::LetGo { .. });
    assert!(changes(&effects).iter().all(nobody_elses), "{effects:?}");
    let effects = step(&mut platform, Time::ZERO + Span::from_secs(6), Input::Tick);
    assert_eq!(runs(&effects).len(), 1, "{effects:?}");
}

#[test]
fn a_fifo_queue_that_another_hands_out_keeps_what_runs_and_begins_nothing_more() {
    let mut platform = shared(|config| {
        if let Some(jobs) = config.queues.get_mut(&JOBS) {
            jobs.fifo = true;
            jobs.max_receives = None;
            if let Some(consumer) = &mut jobs.consumer {
                consumer.batch_size = 1;
            }
        }
    });
    let let_go = |effects: &[Effect]| -> Vec<(u64, Time)> {
        let all = changes(effects).into_iter();
        all.filter_map(|change| match change {
            StoreChange::LetGo {
                message, visible_at, ..
            } => Some((message.0, *visible_at)),
            _ => None,
        })
        .collect()
    };
    let late = Stored {
        visible_at: Time(50),
        ..handed(3, 0)
    };
    let effects = hand(&mut platform, Time(1), vec![handed(1, 0), handed(2, 0), late]);
    let invocation = runs(&effects)[0];
    let effects = step(&mut platform, Time(2), Input::Resign { queue: JOBS });
    assert_eq!(let_go(&effects), [(2, Time(2)), (3, Time(50))]);
    // What fails now is tried again by whoever hands it out.
    let failed = |invocation| Input::Finished {
        invocation,
        completion: completion(Outcome::Failed, Span::from_secs(1)),
    };
    step(&mut platform, Time(3), failed(invocation));
    let over = Time::ZERO + Span::from_secs(31);
    let effects = step(&mut platform, over, Input::Tick);
    let visible_again = Time(1) + Span::from_secs(30);
    assert_eq!((let_go(&effects), runs(&effects)), (vec![(1, visible_again)], vec![]));
    // Handed something again, it is the one.
    let effects = hand(&mut platform, over, vec![handed(4, 0)]);
    let invocation = runs(&effects)[0];
    step(&mut platform, over, failed(invocation));
    let effects = step(&mut platform, over + Span::from_secs(31), Input::Tick);
    assert_eq!((let_go(&effects), runs(&effects).len()), (vec![], 1));
}

#[test]
fn the_next_attempt_at_an_event_is_anybodys() {
    let mut platform = shared(|_| {});
    let first = InvocationId(77);
    let event = StoredEvent {
        first,
        function: API,
        topic: None,
        accepted_at: Time(1),
        attempt: 1,
        at: Time(1),
        cause: None,
    };
    step(&mut platform, Time(1), Input::RestoreEvent(event));
    let effects = step(&mut platform, Time(1), Input::Tick);
    assert_eq!(runs(&effects), [first], "its first attempt has its name");
    let completion = completion(Outcome::Failed, Span::from_secs(1));
    let invocation = first;
    let effects = step(&mut platform, Time(2), Input::Finished { invocation, completion });
    assert!(
        changes(&effects)
            .iter()
            .any(|change| matches!(change, StoreChange::Event(event) if event.attempt == 2 && event.at > Time(2))),
        "{effects:?}"
    );
    let later = step(&mut platform, Time::ZERO + Span::from_secs(3_600), Input::Tick);
    assert!(runs(&later).is_empty(), "{later:?}");
}

#[test]
fn a_cron_asks_before_it_fires() {
    let mut platform = shared(|config| {
        let cron = CronSpec {
            name: "tick".into(),
            function: API,
            schedule: Schedule::parse("* * * * *", None).expect("a schedule"),
            overlap: Overlap::Allow,
        };
        config.triggers.insert(TICK, cron);
    });
    let minute = Time::ZERO + Span::from_secs(60);
    let asked = step(&mut platform, minute, Input::Tick);
    assert!(
        asked.iter().any(|effect| matches!(
            effect,
            Effect::AskCron { trigger: TICK, scheduled_at } if *scheduled_at == minute
        )),
        "{asked:?}"
    );
    assert!(runs(&asked).is_empty());
    let trigger = TICK;
    let scheduled_at = minute;
    let won = step(&mut platform, minute + Span(5), Input::Won { trigger, scheduled_at });
    assert_eq!(runs(&won).len(), 1);
}
