//! What can be asked of a manual clock, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Manual, Tally};
use crate::live::clock::rfc3339;
use crate::live::driver::Driver;
use crate::platform::time::{Span, Time};

/// Invocations that one move begins at the most unless told otherwise: a year of a cron that fires each minute is half of it.
pub const INVOCATIONS_MAX: u64 = 1_000_000;

/// A move of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To this instant; what has begun by then is run to its end, which may be later.
    To(Time),
    /// Until nothing is queued, running or waits for its time. Crons count as work up to the bound only.
    UntilIdle { bound: Option<Time> },
    /// What runs, to its end. Nothing that waits for a later time.
    Settle,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub ran: u64,
    pub failed: u64,
}

/// What happened during a move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// By function: invocations that ended.
    pub invocations: BTreeMap<String, Ran>,
    pub retries: u64,
    pub dead_letters: u64,
    /// Asynchronous work that failed for good.
    pub gave_up: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub from: Time,
    pub to: Time,
    pub happened: Happened,
    /// When something falls due next.
    pub next: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    #[error("the clock is {name}, and only a manual one can be moved: start emu with --clock manual")]
    NotManual { name: String },
    #[error("{} lies before {}, where the clock stands, and time does not go back: reset the emulator to begin again", rfc3339(*.to), rfc3339(*.now))]
    Past { to: Time, now: Time },
    #[error(
        "stopped at {} after {invocations} invocations, which is the bound; {most}. Move less far, or raise max_invocations", rfc3339(*.at)
    )]
    TooMuch { at: Time, invocations: u64, most: String },
    #[error("work waits at {} that nothing will ever let go on: {what}", rfc3339(*.at))]
    Stuck { at: Time, what: String },
    #[error("emu is stopping, or was reset meanwhile")]
    Stopped,
}

impl ClockError {
    /// Stable.
    pub fn code(&self) -> &'static str {
        match self {
            ClockError::NotManual { .. } => "clock-not-manual",
            ClockError::Past { .. } => "clock-in-the-past",
            ClockError::TooMuch { .. } => "clock-too-much",
            ClockError::Stuck { .. } => "clock-stuck",
            ClockError::Stopped => "clock-stopped",
        }
    }
}

/// A move in the line.
pub struct Asked {
    pub to: Move,
    pub invocations_max: u64,
    pub begun: Option<Began>,
    pub answer: oneshot::Sender<Result<Moved, ClockError>>,
}

/// How it stood when the move began.
pub struct Began {
    pub at: Time,
    pub tally: Tally,
}

impl Manual {
    /// Moves the clock when the moves before it are done. Returns when all that fell due has been done.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub async fn go(&self, to: Move, invocations_max: Option<u64>) -> Result<Moved, ClockError> {
        let now = self.now();
        if let Move::To(at) | Move::UntilIdle { bound: Some(at) } = to
            && at < now
        {
            return Err(ClockError::Past { to: at, now });
        }
        let (answer, answered) = oneshot::channel();
        self.lock().moves.push_back(Asked {
            to,
            invocations_max: invocations_max.unwrap_or(INVOCATIONS_MAX),
            begun: None,
            answer,
        });
        self.changed();
        answered.await.unwrap_or(Err(ClockError::Stopped))
    }
}

/// Emu's clock as a program moves it.
#[derive(Clone)]
pub struct Control {
    driver: Driver,
    invocations_max: Option<u64>,
}

impl Control {
    pub fn new(driver: Driver) -> Control {
        Control {
            driver,
            invocations_max: None,
        }
    }

    /// Invocations that one move may begin.
    #[must_use]
    pub fn invocations_max(mut self, max: Option<u64>) -> Control {
        self.invocations_max = max;
        self
    }

    pub fn now(&self) -> Time {
        self.driver.now()
    }

    /// `real`, `x60` or `manual`.
    pub fn name(&self) -> String {
        self.driver.0.clock.name()
    }

    /// When something falls due next, as far as it is known: what runs may bring it forward.
    pub fn next(&self) -> Option<Time> {
        self.driver.next_due()
    }

    async fn go(&self, to: Move) -> Result<Moved, ClockError> {
        let Some(manual) = self.driver.0.clock.manual() else {
            return Err(ClockError::NotManual { name: self.name() });
        };
        manual.go(to, self.invocations_max).await
    }

    /// Serves all that falls due within `span`, each at its own instant, and runs it to its end.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub async fn advance(&self, span: Span) -> Result<Moved, ClockError> {
        self.go(Move::To(self.now() + span)).await
    }

    /// As [`Control::advance`], to an instant.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub async fn advance_to(&self, at: Time) -> Result<Moved, ClockError> {
        self.go(Move::To(at)).await
    }

    /// Goes on until nothing is queued, running or waits for its time. Crons are work only within a bound.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub async fn run_until_idle(&self, bound: Option<Span>) -> Result<Moved, ClockError> {
        let bound = bound.map(|bound| self.now() + bound);
        self.go(Move::UntilIdle { bound }).await
    }

    /// Runs what has begun to its end, and nothing that waits for a later time.
    ///
    /// # Errors
    /// See [`ClockError`].
    pub async fn settle(&self) -> Result<Moved, ClockError> {
        self.go(Move::Settle).await
    }
}
