//! A reset drops what waits, and nothing comes of what runs.

use std::sync::Arc;

use super::super::Platform;
use super::super::effect::{Effect, Note, StoreChange, StoredEvent};
use super::super::ids::{InvocationId, MessageId, QueueId, VersionNumber};
use super::super::input::{Input, Message, Outcome};
use super::super::rules::Rules;
use super::super::time::{Span, Time};
use super::{API, completion, config, drain, function, queue};

const QUEUE: QueueId = QueueId(0);

fn platform() -> Platform {
    let mut rules = Rules::none();
    rules.keep_alive = Span::from_secs(600);
    rules.asynchronous.retry_waits = vec![Span::from_secs(60)];
    rules.asynchronous.age_max = Span::from_secs(3_600);
    rules.asynchronous.pending_max = 100;
    rules.queues.deduplication_window = Span::from_secs(300);
    let mut config = config(rules);
    config.functions.insert(API, function("api"));
    let mut jobs = queue("jobs");
    jobs.fifo = true;
    config.queues.insert(QUEUE, jobs);
    let mut platform = Platform::new(1);
    platform.handle(Time::ZERO, Input::Configure(Arc::new(config)));
    let deploy = Input::Deploy {
        function: API,
        version: VersionNumber(1),
        package_bytes: 1,
    };
    platform.handle(Time::ZERO, deploy);
    drain(&mut platform);
    platform
}

/// Starts an event; its first attempt runs when this returns.
fn start(platform: &mut Platform) -> InvocationId {
    let invocation = platform.new_invocation();
    let arrive = Input::ArriveAsync {
        invocation,
        function: API,
        cause: None,
    };
    platform.handle(Time::from_secs(1), arrive);
    let mut running = false;
    for _ in 0..3 {
        for effect in drain(platform) {
            match effect {
                Effect::StartInstance { instance, .. } => {
                    let init = Span::ZERO;
                    platform.handle(Time::from_secs(1), Input::InstanceReady { instance, init });
                }
                Effect::Run(run) => running |= run.invocation == invocation,
                _ => {}
            }
        }
    }
    assert!(running);
    invocation
}

fn fail(platform: &mut Platform, invocation: InvocationId) -> Vec<Effect> {
    let completion = completion(Outcome::Failed, Span::from_secs(1));
    platform.handle(Time::from_secs(2), Input::Finished { invocation, completion });
    drain(platform)
}

fn is_followed(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Note(Note::Retry { .. }) | Effect::Store(_)))
}

#[test]
fn nothing_comes_of_what_ran_on() {
    let mut platform = platform();
    let invocation = start(&mut platform);
    assert!(is_followed(&fail(&mut platform, invocation)), "a failure is retried");

    let mut platform = self::platform();
    let invocation = start(&mut platform);
    platform.handle(Time::from_secs(1), Input::Reset);
    let effects = drain(&mut platform);
    let done =
        |effect: &Effect| matches!(effect, Effect::Store(StoreChange::EventDone { first }) if *first == invocation);
    assert!(effects.iter().any(done), "{effects:?}");
    // The same event from a snapshot: it runs under another name, and the end of the first does not concern it.
    let event = StoredEvent {
        first: invocation,
        function: API,
        topic: None,
        accepted_at: Time::ZERO,
        attempt: 1,
        at: Time::from_secs(50),
        cause: None,
    };
    platform.handle(Time::from_secs(1), Input::RestoreEvent(event));
    drain(&mut platform);
    assert!(
        !is_followed(&fail(&mut platform, invocation)),
        "after a reset it is not"
    );
    platform.handle(Time::from_secs(50), Input::Tick);
    let runs = drain(&mut platform);
    assert!(
        runs.iter()
            .any(|effect| matches!(effect, Effect::Run(run) if run.invocation != invocation)),
        "{runs:?}"
    );
}

#[test]
fn a_key_of_before_is_no_duplicate() {
    let mut platform = platform();
    let send = |platform: &mut Platform, id: u64| {
        let message = Message {
            id: MessageId(id),
            size_bytes: 1,
            delay: None,
            group: Some("g".into()),
            deduplication: Some("key".into()),
            cause: None,
            admitted: false,
        };
        platform.handle(Time::from_secs(1), Input::Send { queue: QUEUE, message });
        drain(platform);
        platform.queue(QUEUE).map_or(0, |view| view.visible)
    };
    assert_eq!(send(&mut platform, 1), 1);
    assert_eq!(send(&mut platform, 2), 1, "a duplicate");
    platform.handle(Time::from_secs(1), Input::Reset);
    drain(&mut platform);
    assert_eq!(send(&mut platform, 3), 1);
}
