//! Barriers: until nothing is queued, running or due any more.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::platform::time::{Span, Time};
use crate::platform::view::{Caused, Pending};
use crate::report::number::plural;

use super::clock::rfc3339;
use super::driver::{Driver, lock};
use super::history;
use super::keeper::{Group, Left};
use super::manual::Move;
use super::store::StoreError;

/// Who waits for rest; steps of the core tell them.
#[derive(Default)]
pub struct Barrier {
    waiting: AtomicUsize,
    stepped: Notify,
    steps: AtomicU64,
}

/// Between two looks at a group, whose other members tell nobody of their steps.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Barrier {
    /// Something changed. Costs next to nothing when nobody waits.
    pub fn stepped(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.stepped.notify_waiters();
        }
    }

    /// How many there were.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// What to wait for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// In the machine's time.
    pub timeout: Duration,
    /// What falls due later than this from now does not count.
    pub before: Option<Span>,
    /// The id of an invocation or a message: only what it led to counts.
    pub caused_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIdle {
    #[error("not idle after {} s: {left}", .timeout.as_secs_f64())]
    TimedOut { timeout: Duration, left: String },
    #[error("the clock stands still at {} and {left}: run_until_idle goes on until that is done", rfc3339(*.now))]
    Stopped { now: Time, left: String },
    #[error("emu is stopping")]
    Closed,
    #[error("what {0} led to may run at any member of the group, and none of them knows all of it")]
    Shared(String),
    #[error("{0:?} is no id of an invocation or a message of this emulator")]
    Unknown(String),
}

impl NotIdle {
    /// Stable.
    pub fn code(&self) -> &'static str {
        match self {
            NotIdle::TimedOut { .. } => "not-idle",
            NotIdle::Stopped { .. } => "clock-stands-still",
            NotIdle::Closed => "stopping",
            NotIdle::Shared(_) => "caused-by-in-a-group",
            NotIdle::Unknown(_) => "unknown-id",
        }
    }
}

/// `None`: nothing is left.
fn in_words(pending: &Pending) -> Option<String> {
    let mut parts = Vec::new();
    if pending.running > 0 {
        parts.push(format!(
            "{} running or waiting",
            plural(pending.running, "invocation is", "invocations are")
        ));
    }
    if pending.parked > 0 {
        parts.push(format!(
            "{} to be tried again",
            plural(pending.parked, "invocation is", "invocations are")
        ));
    }
    if pending.messages > 0 {
        parts.push(plural(pending.messages, "message is queued", "messages are queued"));
    }
    if parts.is_empty() {
        return None;
    }
    let next = pending.next.map(|at| format!(", the next due at {}", rfc3339(at)));
    Some(parts.join(", ") + &next.unwrap_or_default())
}

/// As [`in_words`], of a group.
fn left_in_words(left: &Left) -> String {
    let mut parts = Vec::new();
    if left.running > 0 {
        parts.push(format!(
            "{} running or waiting",
            plural(left.running, "invocation is", "invocations are")
        ));
    }
    if left.messages > 0 {
        parts.push(plural(
            left.messages,
            "message or event is on the bus",
            "messages and events are on the bus",
        ));
    }
    if !left.silent.is_empty() {
        parts.push(format!("no answer from member {}", left.silent.join(", ")));
    }
    match parts.is_empty() {
        true => "something has just ended".to_owned(),
        false => parts.join(", "),
    }
}

impl Driver {
    /// When something falls due next.
    pub fn next_due(&self) -> Option<Time> {
        let core = lock(&self.0.core).platform.next_deadline();
        let agenda = self.0.clock.manual().and_then(super::manual::Manual::next);
        super::manual::earlier(core, agenda)
    }

    async fn left(&self, wait: &Wait) -> Option<String> {
        let until = wait.before.map_or(Time::NEVER, |span| self.now() + span);
        let of = match &wait.caused_by {
            None => None,
            Some(id) => Some(self.caused(id).await),
        };
        in_words(&lock(&self.0.core).platform.pending(until, of.as_ref()))
    }

    /// What came of an invocation or a message, as far as it is known.
    async fn caused(&self, id: &str) -> Caused {
        let mut caused = Caused::default();
        let mut add = |id: &str| {
            let ids = self.0.ids;
            caused.invocations.extend(ids.parse_invocation(id));
            caused.messages.extend(ids.parse_message(id));
        };
        add(id);
        if let Some(past) = self.0.hub.past() {
            let root = id.to_owned();
            match past.ask(move |history| history::caused(history, &root)).await {
                Some(Ok(ids)) => ids.iter().for_each(|id| add(id)),
                Some(Err(error)) => tracing::error!("the history cannot be read: {error}"),
                None => {}
            }
        }
        caused
    }

    /// Returns when nothing is queued, running or due. A manual clock lets what runs come to its end, and goes no further.
    ///
    /// # Errors
    /// What is left when the time is over; or at once, when a manual clock would have to be moved for it.
    pub async fn idle(&self, wait: Wait) -> Result<(), NotIdle> {
        if let Some(id) = &wait.caused_by {
            let ids = self.0.ids;
            if ids.parse_invocation(id).is_none() && ids.parse_message(id).is_none() {
                return Err(NotIdle::Unknown(id.clone()));
            }
        }
        if let Some(manual) = self.0.clock.manual() {
            return self.idle_standing(manual, wait).await;
        }
        if let Some(group) = self.0.store.group() {
            return self.idle_together(group, wait).await;
        }
        self.0.barrier.waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(&self.0.barrier);
        let mut last = None;
        let rest = async {
            loop {
                let stepped = counted.0.stepped.notified();
                tokio::pin!(stepped);
                // Before the look, so that no step is missed in between.
                stepped.as_mut().enable();
                last = self.left(&wait).await;
                if last.is_none() {
                    return;
                }
                stepped.await;
            }
        };
        let timeout = wait.timeout;
        match tokio::time::timeout(timeout, rest).await {
            Ok(()) => Ok(()),
            Err(_) => Err(NotIdle::TimedOut {
                timeout,
                left: last.unwrap_or_else(|| "the history has not answered yet".to_owned()),
            }),
        }
    }

    /// Returns when all of a group is at rest.
    async fn idle_together(&self, group: &dyn Group, wait: Wait) -> Result<(), NotIdle> {
        if let Some(id) = wait.caused_by {
            return Err(NotIdle::Shared(id));
        }
        let mut last = None;
        let rest = async {
            loop {
                match group.left().await {
                    Ok(None) => return Ok(()),
                    Ok(Some(left)) => last = Some(left_in_words(&left)),
                    Err(StoreError::Closed) => return Err(NotIdle::Closed),
                    Err(error) => last = Some(error.to_string()),
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let timeout = wait.timeout;
        tokio::time::timeout(timeout, rest).await.unwrap_or_else(|_| {
            let left = last.unwrap_or_else(|| "the group has not answered yet".to_owned());
            Err(NotIdle::TimedOut { timeout, left })
        })
    }

    async fn idle_standing(&self, manual: &super::manual::Manual, wait: Wait) -> Result<(), NotIdle> {
        let timeout = wait.timeout;
        let settled = tokio::time::timeout(timeout, manual.go(Move::Settle, None)).await;
        match (settled, self.left(&wait).await) {
            (Ok(Ok(_)), None) => Ok(()),
            (Ok(_), Some(left)) => Err(NotIdle::Stopped { now: self.now(), left }),
            (Ok(Err(_)), None) => Err(NotIdle::Closed),
            (Err(_), left) => Err(NotIdle::TimedOut {
                timeout,
                left: left.unwrap_or_else(|| "something real is under way".to_owned()),
            }),
        }
    }
}

struct Counted<'a>(&'a Barrier);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
