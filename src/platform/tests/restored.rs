//! What a store has kept comes back beside what happens meanwhile; what has no queue or topic stays with the store.

use std::sync::Arc;

use super::super::Platform;
use super::super::config::{Config, QueueConsumer};
use super::super::effect::{Effect, StoreChange, Stored};
use super::super::ids::{MessageId, QueueId, TopicId, VersionNumber};
use super::super::input::{Input, Key, Message, TopicContent};
use super::super::rules::Rules;
use super::super::time::{Span, Time};
use super::{API, config, drain, function, queue};

const JOBS: QueueId = QueueId(0);
const DEAD: QueueId = QueueId(1);

fn platform(change: impl FnOnce(&mut Config)) -> Platform {
    let mut rules = Rules::none();
    rules.queues.deduplication_window = Span::from_secs(300);
    let mut config = config(rules);
    config.queues.insert(JOBS, queue("jobs"));
    config.queues.insert(DEAD, queue("dead"));
    change(&mut config);
    let mut platform = Platform::new(1);
    platform.handle(Time::ZERO, Input::Configure(Arc::new(config)));
    drain(&mut platform);
    platform
}

fn message(id: u64) -> Message {
    Message {
        id: MessageId(id),
        size_bytes: 1,
        delay: None,
        group: Some("g".into()),
        deduplication: Some("key".into()),
        cause: None,
        admitted: false,
    }
}

fn kept(id: u64) -> Stored {
    Stored {
        message: MessageId(id),
        sent_at: Time::ZERO,
        visible_at: Time::ZERO,
        in_flight: false,
        receive_count: 0,
        first_received_at: None,
        receipt: None,
        group: Some("g".into()),
        source: None,
        cause: None,
    }
}

fn receive(platform: &mut Platform, queue: QueueId, at: Time) -> usize {
    let (max, visibility) = (10, None);
    platform.handle(at, Input::Receive { queue, max, visibility });
    let effects = drain(platform);
    let received = effects.iter().find_map(|effect| match effect {
        Effect::Received { deliveries, .. } => Some(deliveries.len()),
        _ => None,
    });
    received.expect("an answer")
}

fn goes(effects: &[Effect]) -> bool {
    let gone = |effect: &Effect| {
        matches!(
            effect,
            Effect::Store(StoreChange::Gone { .. } | StoreChange::FannedOut { .. })
        )
    };
    effects.iter().any(gone)
}

/// It was written, read again for a queue that came back, and only then told of.
#[test]
fn a_message_that_was_restored_before_it_was_told_of_is_one() {
    for fifo in [false, true] {
        let mut platform = platform(|config| {
            config.queues.entry(JOBS).and_modify(|jobs| jobs.fifo = fifo);
        });
        let own = Key {
            key: "key".into(),
            message: MessageId(7),
            until: Time::from_secs(300),
        };
        let restore = Input::Restore {
            queue: JOBS,
            messages: vec![kept(7)],
            keys: vec![own],
        };
        platform.handle(Time::from_secs(1), restore);
        assert_eq!(receive(&mut platform, JOBS, Time::from_secs(1)), 1);
        let message = message(7);
        platform.handle(Time::from_secs(2), Input::Send { queue: JOBS, message });
        let effects = drain(&mut platform);
        assert!(!goes(&effects), "fifo {fifo}: {effects:?}");
        assert_eq!(receive(&mut platform, JOBS, Time::from_secs(2)), 0, "fifo {fifo}");
        let view = platform.queue(JOBS).expect("a queue");
        assert_eq!((view.visible, view.in_flight), (0, 1), "fifo {fifo}");
        assert_eq!(receive(&mut platform, JOBS, Time::from_secs(40)), 1, "fifo {fifo}");
    }
}

/// A key that was used again since is not that of before.
#[test]
fn a_restored_key_does_not_replace_a_newer_one() {
    let mut platform = platform(|config| {
        config.queues.entry(JOBS).and_modify(|jobs| jobs.fifo = true);
    });
    let newer = message(8);
    platform.handle(
        Time::from_secs(1),
        Input::Send {
            queue: JOBS,
            message: newer,
        },
    );
    let older = Key {
        key: "key".into(),
        message: MessageId(3),
        until: Time::from_secs(2),
    };
    let restore = Input::Restore {
        queue: JOBS,
        messages: Vec::new(),
        keys: vec![older],
    };
    platform.handle(Time::from_secs(1), restore);
    assert_eq!(
        platform.duplicate(Time::from_secs(100), JOBS, "key"),
        Some(MessageId(8))
    );
}

#[test]
fn what_was_taken_for_a_queue_or_topic_that_left_stays_in_the_store() {
    let mut platform = platform(|_| {});
    let message = message(7);
    let queue = QueueId(9);
    platform.handle(
        Time::from_secs(1),
        Input::Send {
            queue,
            message: message.clone(),
        },
    );
    let effects = drain(&mut platform);
    assert!(!goes(&effects), "{effects:?}");
    let publish = Input::Publish {
        topic: TopicId(9),
        message,
        content: Arc::new(TopicContent::default()),
    };
    platform.handle(Time::from_secs(1), publish);
    let effects = drain(&mut platform);
    assert!(!goes(&effects), "{effects:?}");
}

/// It is about to end: what it received now would have been received for nothing.
#[test]
fn one_that_drains_begins_nothing_of_its_own() {
    let mut platform = platform(|config| {
        config.functions.insert(API, function("api"));
        config.queues.entry(JOBS).and_modify(|jobs| {
            jobs.consumer = Some(QueueConsumer {
                function: API,
                batch_size: 1,
                batch_window: Span::ZERO,
                max_concurrency: None,
            });
        });
    });
    let version = VersionNumber(1);
    let deploy = Input::Deploy {
        function: API,
        version,
        package_bytes: 1,
    };
    platform.handle(Time::ZERO, deploy);
    platform.handle(Time::from_secs(1), Input::Drain);
    drain(&mut platform);
    let message = message(7);
    platform.handle(Time::from_secs(1), Input::Send { queue: JOBS, message });
    let invocation = platform.new_invocation();
    let event = Input::ArriveAsync {
        invocation,
        function: API,
        cause: None,
    };
    platform.handle(Time::from_secs(1), event);
    platform.handle(Time::from_secs(1), Input::Tick);
    platform.handle(Time::from_secs(100), Input::Tick);
    let effects = drain(&mut platform);
    let begins = |effect: &Effect| {
        matches!(
            effect,
            Effect::StartInstance { .. } | Effect::Run(_) | Effect::Store(StoreChange::Received { .. })
        )
    };
    assert!(!effects.iter().any(begins), "{effects:?}");
    let kept = |effect: &Effect| matches!(effect, Effect::Store(StoreChange::Event(event)) if event.attempt == 1);
    assert!(effects.iter().any(kept), "{effects:?}");
    assert!(
        platform.check().is_ok() && platform.events().contains(&invocation),
        "it waits"
    );
    // Somebody waits for this one.
    let invocation = platform.new_invocation();
    platform.handle(
        Time::from_secs(100),
        Input::Arrive {
            invocation,
            function: API,
        },
    );
    assert!(drain(&mut platform).iter().any(begins));
}

#[test]
fn a_redrive_leaves_what_somebody_has_received() {
    let mut platform = platform(|config| {
        config.queues.entry(JOBS).and_modify(|jobs| {
            jobs.max_receives = Some(1);
            jobs.dead_letter = Some(DEAD);
        });
    });
    for id in [1, 2] {
        let message = Message {
            deduplication: None,
            ..message(id)
        };
        platform.handle(Time::from_secs(1), Input::Send { queue: JOBS, message });
    }
    assert_eq!(receive(&mut platform, JOBS, Time::from_secs(1)), 2);
    platform.handle(Time::from_secs(40), Input::Tick);
    drain(&mut platform);
    let one = Input::Receive {
        queue: DEAD,
        max: 1,
        visibility: None,
    };
    platform.handle(Time::from_secs(40), one);
    platform.handle(Time::from_secs(41), Input::Redrive { queue: DEAD });
    drain(&mut platform);
    let count = |platform: &Platform, queue| {
        let view = platform.queue(queue).expect("a queue");
        (view.visible, view.in_flight)
    };
    assert_eq!((count(&platform, JOBS), count(&platform, DEAD)), ((1, 0), (0, 1)));
}
