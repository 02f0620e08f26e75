//! One invocation on the engine: the event made for the guest, the run, and what it came to for the core.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use crate::engine::pace::{Pace, Share, cpu_time};
use crate::engine::{self, Event, Failure, FailureKind, Invocation, OutMessage, Reply, Sandbox, Version};
use crate::platform::effect::{Run, Work};
use crate::platform::ids::{InvocationId, MessageId};
use crate::platform::input::{Completion, Input, Message, Outcome};
use crate::platform::time::Span;
use crate::project::faults::FaultKind;

use super::bindings::Bindings;
use super::destination::Response;
use super::driver::{self, Driver, Finish, Own};
use super::events::Summary;
use super::exchange::Hold;
use super::fate::Fate;
use super::faults::{self, Whom};
use super::log::Log;
use super::manual::RunTime;
use super::messages::Content;
use super::names::PublicIds;
use super::table::Entry;
use super::telemetry::{Active, Trace};

/// A run with all that it needs.
pub struct Job {
    pub run: Run,
    pub entry: Arc<Entry>,
    pub version: Version,
    /// A kept sandbox, with `isolation = "instance"`.
    pub sandbox: Option<Sandbox>,
    /// Under the manual clock.
    pub time: Option<RunTime>,
    /// Under the manual clock: who waits is no guest.
    pub outside: bool,
    /// Of an event that nobody waits for.
    pub trace: Option<Trace>,
}

/// Runs the guest and tells the core, once, whatever happens on the way; why it failed, if it did.
pub async fn execute(
    driver: &Driver,
    job: Job,
    event: Event,
    summary: Summary,
    caller: oneshot::Sender<Reply>,
) -> Option<Failure> {
    let invocation = job.run.invocation;
    let mut untold = Some(summary);
    let executed = AssertUnwindSafe(executed(driver, job, event, &mut untold, caller));
    match executed.catch_unwind().await {
        Ok(failure) => failure,
        // Its instance would be busy for ever.
        Err(panic) => Some(driver.panicked(invocation, untold, &*panic)),
    }
}

/// `untold` is taken when the core is told.
// tidy: long, because a run is read from its beginning to its end
async fn executed(
    driver: &Driver,
    job: Job,
    event: Event,
    untold: &mut Option<Summary>,
    caller: oneshot::Sender<Reply>,
) -> Option<Failure> {
    let Job {
        run,
        entry,
        version,
        sandbox,
        time,
        outside,
        trace,
    } = job;
    let inner = &driver.0;
    let pace = time.as_ref().map(|time| driver.pace(&entry, time));
    let http = matches!(event, Event::Http(_));
    let by_hand = matches!(run.work, Work::Cron { manual: true, .. });
    let (mut event, hold) = inner.exchanges.begin(driver.now(), run.invocation, by_hand, event);
    let exchange = hold.as_ref().map(|hold| hold.exchange().clone());
    let name = entry.name().clone();
    let span = untold
        .as_ref()
        .and_then(|summary| driver.begin_span(&run, trace, &name, &mut event, summary));
    let trace = span.as_ref().map(Active::trace);
    let failed = driver.fault(FaultKind::Fail, &name, Whom::invocation(run.invocation));
    let fate = match failed {
        None => Fate::of(driver, &run, &entry, pace.as_deref()),
        Some(_) => None,
    };
    let invocation = Invocation {
        id: inner.ids.invocation(run.invocation),
        settings: entry.settings.clone(),
        event,
        now: inner.clock.wall(),
        pace: pace.clone(),
        seed: inner.seed ^ run.invocation.0.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        host: Arc::new(Bindings::new(
            driver.clone(),
            run.invocation,
            pace.clone(),
            exchange.clone(),
            trace.clone(),
        )),
        log: Arc::new(Log {
            hub: inner.hub.clone(),
            driver: driver.clone(),
            id: run.invocation,
            function: run.function,
            pace: pace.clone(),
        }),
        cut: fate.as_ref().map(Fate::cut),
    };
    let mut caller = Caller {
        sender: Some(caller),
        status: None,
        reply: None,
        hold,
    };
    let sandbox = match (failed, sandbox) {
        (Some(hit), kept) => {
            if let Some(kept) = kept {
                driver.park(&entry, run.instance, kept);
            }
            Err(hit.failure())
        }
        (None, Some(sandbox)) => Ok(sandbox),
        (None, None) => inner.engine.open(&version),
    };
    let outcome = match sandbox {
        Ok(mut sandbox) => {
            let whole = pace.as_ref().map(|_| entry.settings.body_bytes_max);
            let outcome = run_sandbox(&mut sandbox, invocation, &mut caller, whole).await;
            if outcome.result.is_ok() {
                driver.park(&entry, run.instance, sandbox);
            }
            outcome
        }
        Err(failure) => failed_to_open(failure),
    };
    let spent = Spent {
        init: Span::from(outcome.init),
        handler: Span::from(outcome.duration),
    };
    let mut duration = spent.handler;
    let (mut verdict, mut failure) = judge_batch(&inner.ids, &run.work, caller.reply.as_ref(), outcome.result.err());
    let held_up = driver.hold_up(&run, &entry, &mut duration, failure.is_some());
    let lost = pass(fate.as_ref(), pace.as_deref(), spent, &mut duration).await;
    match lost.or(held_up) {
        Some(on_purpose) => {
            verdict = Verdict::default();
            // What has not left does not any more.
            caller.status = caller.status.filter(|_| caller.sender.is_none());
            failure = Some(on_purpose);
        }
        None if failure.is_none() => driver.deliver_again(&run, &entry, &mut verdict),
        None => {}
    }
    if let Some(failure) = &mut failure {
        inner.hub.secrets().failure(failure);
    }
    if failure.is_some() && pace.is_some() {
        // Nothing of it has left.
        caller.status = None;
    }
    let status = match (&failure, caller.status) {
        (_, Some(status)) => Some(status),
        (Some(failure), None) if http => Some(if failure.kind == FailureKind::Timeout { 504 } else { 502 }),
        _ => None,
    };
    let completion = Completion {
        outcome: failure
            .as_ref()
            .map_or(Outcome::Succeeded, |failure| outcome_of(failure.kind)),
        duration,
        cpu: cpu_time(outcome.fuel).min(duration),
        memory_bytes_max: outcome.memory_bytes_max,
        failed_messages: verdict.failed_messages,
        acknowledged: verdict.acknowledged,
    };
    let ended = (status, failure.as_ref());
    driver.end_span(span, &name, run.cold, ended, &completion, Span::from(outcome.init));
    let function = &entry.function;
    let mut own = Own {
        invocation: Some(run.invocation),
        done: untold.take().map(|summary| Finish {
            status,
            summary,
            failure: failure.clone(),
            sandbox_init: Span::from(outcome.init),
            log_bytes_dropped: outcome.log_bytes_dropped,
            exchange,
        }),
        response: (function.on_failure.is_some() || function.on_success.is_some())
            .then(|| Response::of(caller.reply.as_ref(), failure.as_ref(), trace)),
        ..Own::default()
    };
    driver.step(
        Input::Finished {
            invocation: run.invocation,
            completion,
        },
        &mut own,
    );
    driver.lose_idle(&name);
    // Last, so that a caller who asks for the invocation's record finds it.
    if failure.is_none() || caller.status.is_some() {
        match time.filter(|_| outside) {
            Some(time) => time.manual().after(Box::new(move || caller.forward())),
            None => caller.forward(),
        }
    }
    failure
}

impl Driver {
    /// Ends a run that a bug of emu broke off, if it was not at its end.
    fn panicked(&self, invocation: InvocationId, untold: Option<Summary>, panic: &(dyn Any + Send)) -> Failure {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref().copied())
            .unwrap_or("no message");
        tracing::error!("invocation {invocation:?} panicked: {what}");
        let message = format!("emu panicked while it ran the function, which is a bug of emu: {what}");
        let failure = Failure::new(FailureKind::Error, message);
        if let Some(summary) = untold {
            let mut own = Own {
                invocation: Some(invocation),
                done: Some(Finish {
                    status: matches!(summary, Summary::Request { .. }).then_some(502),
                    summary,
                    failure: Some(failure.clone()),
                    sandbox_init: Span::ZERO,
                    log_bytes_dropped: 0,
                    exchange: None,
                }),
                ..Own::default()
            };
            self.step(driver::cannot_run(invocation), &mut own);
        }
        failure
    }

    /// The virtual time of a run that begins now.
    fn pace(&self, entry: &Entry, time: &RunTime) -> Arc<Pace> {
        let share = Share::of_memory(entry.function.memory_mb, self.table().profile.instance.cpu_full_mb);
        Arc::new(Pace::new(Arc::new(time.clone()), share, entry.settings.timeout))
    }
}

/// What a run has taken on the engine.
#[derive(Clone, Copy)]
struct Spent {
    init: Span,
    handler: Span,
}

/// Passes what is left of a run's time: what it has computed ahead of a manual clock, and a delay on purpose. The failure of one that is
/// lost with its instance, and how long it has taken then.
async fn pass(fate: Option<&Fate>, pace: Option<&Pace>, spent: Spent, duration: &mut Span) -> Option<Failure> {
    let lost = match fate.filter(|fate| fate.has_come()) {
        Some(_) => Some(faults::lost()),
        None => {
            let rest = async {
                match pace {
                    Some(pace) => pace.turn_at(pace.arrival() + spent.init + *duration).await,
                    None if *duration > spent.handler => {
                        tokio::time::sleep(duration.to_std().saturating_sub(spent.handler.to_std())).await;
                    }
                    None => {}
                }
            };
            match fate {
                Some(fate) => fate.end(rest).await.err(),
                None => {
                    rest.await;
                    None
                }
            }
        }
    };
    if let (Some(_), Some(pace)) = (&lost, pace) {
        pace.cut();
        *duration = (pace.elapsed_by_clock() - spent.init).min(*duration);
    }
    lost
}

/// Who waits for the answer.
struct Caller {
    sender: Option<oneshot::Sender<Reply>>,
    status: Option<u16>,
    reply: Option<Reply>,
    /// Keeps the answer for the history.
    hold: Option<Hold>,
}

impl Caller {
    fn take(&mut self, reply: Reply) {
        if let Reply::Http(response) = &reply {
            self.status = Some(response.status().as_u16());
        }
        self.reply = Some(match &self.hold {
            Some(hold) => hold.hear(reply),
            None => reply,
        });
    }

    fn forward(&mut self) {
        if let (Some(sender), Some(reply)) = (self.sender.take(), self.reply.take()) {
            // The caller may have gone.
            let _ = sender.send(reply);
        }
    }
}

/// Runs the guest; an answer that comes before the end is a stream, and goes to the caller at once.
/// Under the manual clock it is kept until it is `whole`, of so many bytes at the most.
async fn run_sandbox(
    sandbox: &mut Sandbox,
    invocation: Invocation,
    caller: &mut Caller,
    whole: Option<u64>,
) -> engine::Outcome {
    let (reply, mut answer) = oneshot::channel();
    let mut running = std::pin::pin!(sandbox.run(invocation, reply));
    let early = tokio::select! {
        biased;
        outcome = running.as_mut() => Err(outcome),
        reply = &mut answer => Ok(reply),
    };
    match early {
        Err(outcome) => {
            if let Ok(reply) = answer.try_recv() {
                caller.take(reply);
            }
            outcome
        }
        Ok(Ok(reply)) if whole.is_some() => {
            let collected = collect(reply, whole.unwrap_or(u64::MAX));
            let (mut outcome, reply) = tokio::join!(running, collected);
            match reply {
                Ok(reply) => caller.take(reply),
                Err(failure) => outcome.result = outcome.result.and(Err(failure)),
            }
            outcome
        }
        Ok(reply) => {
            if let Ok(reply) = reply {
                caller.take(reply);
                if matches!(caller.reply, Some(Reply::Http(_))) {
                    caller.forward();
                }
            }
            running.await
        }
    }
}

/// An answer with all of its body.
async fn collect(reply: Reply, bytes_max: u64) -> Result<Reply, Failure> {
    let Reply::Http(response) = reply else {
        return Ok(reply);
    };
    let (head, body) = response.into_parts();
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let collected = http_body_util::Limited::new(body, limit).collect().await;
    let body = collected.map_err(|error| Failure {
        kind: FailureKind::BadResponse,
        message: format!("the answer's body could not be had: {error}"),
        stack: Vec::new(),
    })?;
    let trailers = body.trailers().cloned();
    let full = http_body_util::Full::new(body.to_bytes()).map_err(|never| match never {});
    let body = full.with_trailers(async move { trailers.map(Ok) }).boxed_unsync();
    Ok(Reply::Http(http::Response::from_parts(head, body)))
}

fn failed_to_open(failure: Failure) -> engine::Outcome {
    engine::Outcome {
        result: Err(failure),
        duration: Duration::ZERO,
        init: Duration::ZERO,
        fuel: 0,
        memory_bytes_max: 0,
        log_bytes_dropped: 0,
    }
}

fn outcome_of(kind: FailureKind) -> Outcome {
    match kind {
        FailureKind::Timeout => Outcome::TimedOut,
        FailureKind::OutOfMemory => Outcome::OutOfMemory,
        FailureKind::Error | FailureKind::Trap | FailureKind::Exit | FailureKind::BadResponse => Outcome::Failed,
    }
}

/// What a batch's answer says of its messages.
#[derive(Default)]
pub(super) struct Verdict {
    pub failed_messages: Vec<(MessageId, Option<Span>)>,
    /// The handler spoke, even if it failed afterwards.
    pub acknowledged: bool,
}

/// Which messages of a batch go back. An identifier that is not of this batch fails all of it, as at the providers.
fn judge_batch(
    ids: &PublicIds,
    work: &Work,
    answer: Option<&Reply>,
    failure: Option<Failure>,
) -> (Verdict, Option<Failure>) {
    let (Work::Batch { deliveries, .. }, Some(Reply::Batch(retries))) = (work, answer) else {
        return (Verdict::default(), failure);
    };
    let mut failed_messages = Vec::with_capacity(retries.len());
    for retry in retries {
        let known = ids
            .parse_message(&retry.id)
            .filter(|id| deliveries.iter().any(|d| d.message == *id));
        let Some(id) = known else {
            let failure = failure.unwrap_or_else(|| Failure {
                kind: FailureKind::BadResponse,
                message: format!(
                    "batchItemFailures names {:?}, which is no message of this batch",
                    retry.id
                ),
                stack: Vec::new(),
            });
            return (Verdict::default(), Some(failure));
        };
        failed_messages.push((id, retry.delay));
    }
    (
        Verdict {
            failed_messages,
            acknowledged: true,
        },
        failure,
    )
}

#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    pub delay: Option<Span>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
}

impl SendOptions {
    pub fn of(message: &OutMessage) -> SendOptions {
        SendOptions {
            delay: message.delay,
            group: message.group.clone(),
            deduplication: message.deduplication.clone(),
        }
    }
}

pub fn message(id: MessageId, content: &Content, cause: Option<InvocationId>, options: &SendOptions) -> Message {
    Message {
        id,
        size_bytes: content.size_bytes(),
        delay: options.delay,
        group: options.group.as_deref().map(Into::into),
        deduplication: options.deduplication.as_deref().map(Into::into),
        cause,
        // Whether there is room was asked before it was written.
        admitted: true,
    }
}
