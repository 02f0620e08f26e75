//! Requests that somebody waits for: taken in, waiting for an instance, run.

use tokio::sync::oneshot;

use crate::engine::{Event, Failure, Reply};
use crate::platform::effect::RejectReason;
use crate::platform::ids::InvocationId;
use crate::platform::input::Input;
use crate::platform::time::Span;

use super::driver::{Driver, Finish, Own, lock};
use super::events::Summary;
use super::manual::{Kind, Manual, Request};
use super::run::{self, Job};
use super::table::Entry;
use super::ticket::{self, Ticket};

/// Where the answer of a run goes, and why it failed.
pub(super) type Ends = (oneshot::Sender<Reply>, oneshot::Sender<Option<Failure>>);

/// A request that no instance has taken yet.
pub(super) struct Waiting {
    pub event: Event,
    pub summary: Summary,
    pub reply: oneshot::Sender<Reply>,
    pub ended: oneshot::Sender<Option<Failure>>,
    pub started: oneshot::Sender<Result<bool, RejectReason>>,
    /// Under the manual clock.
    pub pull: Option<Request>,
}

impl Driver {
    /// A request that somebody waits for. When it returns, the guest runs or has run.
    ///
    /// # Errors
    /// Why the platform would not run it.
    pub async fn invoke(&self, entry: &Entry, event: Event, summary: Summary) -> Result<Ticket, RejectReason> {
        let (reply_tx, reply) = oneshot::channel();
        let (ended_tx, ended) = oneshot::channel();
        let (started_tx, started) = oneshot::channel();
        let id = {
            let mut core = lock(&self.0.core);
            let id = core.platform.new_invocation();
            let mut own = Own {
                invocation: Some(id),
                ..Own::default()
            };
            own.done = Some(Finish {
                summary: summary.clone(),
                status: None,
                failure: None,
                sandbox_init: Span::ZERO,
                log_bytes_dropped: 0,
                exchange: None,
            });
            let (invocation, function) = (id, entry.id);
            self.step_locked(&mut core, Input::Arrive { invocation, function }, &mut own);
            if let Some(reason) = own.reject {
                return Err(reason);
            }
            let manual = self.0.clock.manual();
            // What a guest waits for is pulled by those who wait for the guest.
            let called = matches!(summary, Summary::Request { cause: Some(_), .. });
            let outside = manual.filter(|_| !called);
            if let Some(mut job) = own.run {
                drop(core);
                let cold = job.run.cold;
                let ends = (reply_tx, ended_tx);
                let run = match manual {
                    Some(manual) => {
                        job.outside = outside.is_some();
                        self.run_virtually(manual, job, event, summary, ends);
                        ticket::Run::ELSEWHERE
                    }
                    None => ticket::Run::new(self.run(job, event, summary, ends)),
                };
                return Ok(Ticket::new(id, cold, reply, ended, run));
            }
            let waiting = Waiting {
                event,
                summary,
                reply: reply_tx,
                ended: ended_tx,
                started: started_tx,
                pull: outside.map(Manual::request),
            };
            core.waiting.insert(id, waiting);
            id
        };
        // The caller may go while the request waits: its future is dropped then.
        let guard = CallerGuard {
            driver: self,
            id: Some(id),
        };
        let started = started.await;
        guard.defuse();
        match started {
            Ok(Ok(cold)) => Ok(Ticket::new(id, cold, reply, ended, ticket::Run::ELSEWHERE)),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err(RejectReason::Removed),
        }
    }

    /// A shutdown waits for it.
    pub(super) fn run(
        &self,
        job: Job,
        event: Event,
        summary: Summary,
        (reply, ended): Ends,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = self.clone();
        self.0.running.track_future(async move {
            let outside = job.time.clone().filter(|_| job.outside);
            let failure = run::execute(&driver, job, event, summary, reply).await;
            // The caller may have gone.
            let tell = move || drop(ended.send(failure));
            match outside {
                Some(time) => time.manual().after(Box::new(tell)),
                None => tell(),
            }
        })
    }

    /// The same in virtual time: the conductor drives it, not the one who waits.
    pub(super) fn run_virtually(&self, manual: &Manual, job: Job, event: Event, summary: Summary, ends: Ends) {
        let driver = self.clone();
        let kind = if job.outside { Kind::Request } else { Kind::Other };
        manual.spawn(job.run.invocation, kind, move |time| {
            let job = Job {
                time: Some(time),
                ..job
            };
            Box::pin(driver.run(job, event, summary, ends))
        });
    }
}

struct CallerGuard<'a> {
    driver: &'a Driver,
    id: Option<InvocationId>,
}

impl CallerGuard<'_> {
    fn defuse(mut self) {
        self.id = None;
    }
}

impl Drop for CallerGuard<'_> {
    fn drop(&mut self) {
        if let Some(invocation) = self.id {
            self.driver.step(Input::CallerGone { invocation }, &mut Own::default());
        }
    }
}
