//! Virtual time: one clock over everything, which stands still until somebody moves it.
//!
//! The rules:
//! - Nothing happens by itself. The clock moves while a synchronous request waits for its answer, up to its end; and while a
//!   move is asked for ([`Move`]): an advance, a run until idle, a settling of what runs.
//! - What falls due is served one at a time, at its own instant, ordered by (time, sequence). The core's deadlines come before
//!   guests of the same instant.
//! - A guest computes at once, which takes no time of the clock: its own time ([`Pace`](crate::engine::pace::Pace)) runs ahead. All it does to others
//!   waits until the clock has come there: messages, calls, keys, log lines, its end.
//! - The clock stands still while anything real is under way: a request to the outside, the store, a body on its way.
//! - An answer leaves when all that is due at its instant has been done, so that the next request finds everything at rest.
//!
//! `agenda` holds what falls due, `tasks` the runs, `conduct` is the loop that serves both, `moves` what can be asked for.

mod agenda;
mod conduct;
mod moves;
mod tasks;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::platform::effect::{MessageChange, Note};
use crate::platform::ids::{FunctionId, InvocationId};
use crate::platform::time::Time;

use agenda::{Act, Agenda};
pub use conduct::{earlier, run as conduct};
use moves::Asked;
pub use moves::{ClockError, Control, Happened, Move, Moved, Ran};
pub use tasks::RunTime;
use tasks::Tasks;

/// Where a manual clock begins unless told otherwise: 2026-01-01T00:00:00Z.
pub const START: Time = Time::from_secs(1_767_225_600);

/// The virtual time of one emulator. Clones share it.
#[derive(Clone)]
pub struct Manual(Arc<Shared>);

struct Shared {
    now: Arc<AtomicU64>,
    start: Time,
    state: Mutex<State>,
    /// Something changed for the one who conducts.
    changed: Notify,
}

#[derive(Default)]
struct State {
    agenda: Agenda,
    tasks: Tasks,
    /// Real things under way.
    holds: usize,
    /// Synchronous requests that wait for their end.
    requests: usize,
    moves: std::collections::VecDeque<Asked>,
    /// Done when all that is due at this instant has been done.
    after: Vec<Act>,
    /// Runs that have not ended, with their begin; crons are marked.
    runs: std::collections::BTreeMap<InvocationId, Begun>,
    tally: Tally,
    /// Everything is to be dropped; answered when it has been.
    reset: Option<oneshot::Sender<()>>,
}

/// Whose run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody outside waits for its answer, and so pulls the clock.
    Request,
    Cron,
    /// A guest waits for it, or nobody.
    Other,
}

struct Begun {
    at: Time,
    cron: bool,
}

/// What has happened since the start.
#[derive(Clone, Default)]
struct Tally {
    ran: std::collections::BTreeMap<FunctionId, Ran>,
    begun: u64,
    retries: u64,
    dead_letters: u64,
    gave_up: u64,
}

impl Manual {
    pub fn new(start: Time) -> Manual {
        Manual(Arc::new(Shared {
            now: Arc::new(AtomicU64::new(start.0)),
            start,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    pub fn now(&self) -> Time {
        Time(self.0.now.load(Ordering::Acquire))
    }

    pub fn start(&self) -> Time {
        self.0.start
    }

    fn set(&self, now: Time) {
        self.0.now.store(now.0, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.0.changed.notify_one();
    }

    /// Pulls the clock as long as it lives: somebody waits for an answer.
    pub fn request(&self) -> Request {
        self.lock().requests += 1;
        self.changed();
        Request(self.clone())
    }

    /// A run, driven in virtual time from the next pull on.
    pub fn spawn(
        &self,
        invocation: InvocationId,
        kind: Kind,
        run: impl FnOnce(RunTime) -> BoxFuture<'static, ()> + Send,
    ) {
        let at = self.now();
        let mut state = self.lock();
        state.tally.begun += 1;
        let cron = kind == Kind::Cron;
        state.runs.insert(invocation, Begun { at, cron });
        let task = state.tasks.name();
        // From here on the clock does not go past what the task has not done.
        let pull = (kind == Kind::Request).then(|| {
            state.requests += 1;
            Request(self.clone())
        });
        drop(state);
        let future = run(RunTime::new(self.clone(), task));
        let future = Box::pin(async move {
            future.await;
            drop(pull);
        });
        self.lock().tasks.add(task, invocation, future);
        self.changed();
    }

    /// Does something at an instant: not before, and before all that is asked for later.
    pub fn at(&self, at: Time, act: Act) {
        self.lock().agenda.act(at, act);
        self.changed();
    }

    /// Does something when all that is due at this instant has been done.
    pub fn after(&self, act: Act) {
        self.lock().after.push(act);
        self.changed();
    }

    /// An invocation of this function has ended.
    pub fn ended(&self, function: FunctionId, failed: bool) {
        let mut state = self.lock();
        let ran = state.tally.ran.entry(function).or_default();
        ran.ran += 1;
        ran.failed += u64::from(failed);
    }

    pub fn noted(&self, note: &Note) {
        let mut state = self.lock();
        match note {
            Note::Retry { .. } => state.tally.retries += 1,
            Note::GaveUp { .. } => state.tally.gave_up += 1,
            Note::Message {
                change: MessageChange::DeadLettered { .. },
                ..
            } => state.tally.dead_letters += 1,
            _ => {}
        }
    }

    /// When something of the agenda falls due next.
    pub fn next(&self) -> Option<Time> {
        self.lock().agenda.next()
    }

    /// Whether anything pulls the clock just now.
    pub fn is_pulled(&self) -> bool {
        let state = self.lock();
        state.requests > 0 || !state.moves.is_empty()
    }

    /// Drops every run, every wait and every move, and puts the clock back to its start. Returns when nothing of them is left.
    pub async fn reset(&self) {
        let (dropped, done) = oneshot::channel();
        self.lock().reset = Some(dropped);
        self.changed();
        // Only a shutdown leaves it unanswered.
        let _ = done.await;
    }
}

/// Somebody waits for an answer: the clock goes on as long as this lives.
pub struct Request(Manual);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.lock().requests -= 1;
        self.0.changed();
    }
}
