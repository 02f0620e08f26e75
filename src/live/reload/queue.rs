//! Which build or load runs when: pure, after rust-analyzer's operation queue.
//!
//! For each unit one operation runs at a time. A newer wish for the same unit ends the older operation and takes its
//! place; wishes that wait melt into one. A failure that comes while files still change is held back until the folder
//! is quiet: it may be due to a file that has not arrived yet.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

use super::{Cause, Reason};

/// Something that is made as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A build command, which several functions may share.
    Build(BuildKey),
    /// Loading a function's source.
    Load(String),
}

/// Functions with the same command in the same folder share its runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildKey {
    pub command: String,
    /// Relative to the root.
    pub dir: PathBuf,
}

/// Names one operation; never used again, so that a result of one that was ended falls on the floor.
pub type Ticket = u64;

/// What the loop must do.
#[derive(Debug)]
pub enum Effect<R> {
    Start {
        ticket: Ticket,
        unit: Unit,
        cause: Cause,
    },
    /// End the operation: something newer has come.
    Cancel {
        ticket: Ticket,
    },
    /// An operation's result counts.
    Report {
        unit: Unit,
        cause: Cause,
        started: Instant,
        result: R,
    },
    /// Nothing runs or waits any more.
    Settled,
}

/// At most so many operations at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub loads: usize,
    pub builds: usize,
}

#[derive(Debug)]
enum State<R> {
    /// With its place in the order of wishes.
    Waiting { cause: Cause, order: u64 },
    Running {
        cause: Cause,
        ticket: Ticket,
        started: Instant,
    },
    /// Failed, and to be reported at `until` if nothing newer comes.
    Held {
        cause: Cause,
        started: Instant,
        result: R,
        until: Instant,
    },
}

/// See the module. `R`: an operation's result.
#[derive(Debug)]
pub struct Queue<R> {
    limits: Limits,
    units: BTreeMap<Unit, State<R>>,
    effects: VecDeque<Effect<R>>,
    next: u64,
    busy: bool,
}

impl<R> Queue<R> {
    pub fn new(limits: Limits) -> Queue<R> {
        Queue {
            limits,
            units: BTreeMap::new(),
            effects: VecDeque::new(),
            next: 0,
            busy: false,
        }
    }

    /// The unit is to be made anew.
    pub fn want(&mut self, now: Instant, unit: Unit, cause: Cause) {
        self.busy = true;
        let order = self.take_number();
        let state = match self.units.remove(&unit) {
            None => State::Waiting { cause, order },
            Some(State::Waiting { cause: before, order }) => {
                let since = before.since.min(cause.since);
                State::Waiting {
                    cause: Cause {
                        since,
                        ..merged(before, cause)
                    },
                    order,
                }
            }
            Some(State::Running {
                cause: before, ticket, ..
            }) => {
                self.effects.push_back(Effect::Cancel { ticket });
                State::Waiting {
                    cause: merged(before, cause),
                    order,
                }
            }
            Some(State::Held { cause: before, .. }) => State::Waiting {
                cause: merged(before, cause),
                order,
            },
        };
        self.units.insert(unit, state);
        self.start_waiting(now);
    }

    /// An operation came to its end. `hold`: it failed, and files may be missing that arrive until then.
    pub fn finished(&mut self, now: Instant, ticket: Ticket, result: R, hold: Option<Instant>) {
        let is_it = |state: &State<R>| matches!(state, State::Running { ticket: running, .. } if *running == ticket);
        let Some(unit) = self
            .units
            .iter()
            .find(|(_, state)| is_it(state))
            .map(|(unit, _)| unit.clone())
        else {
            return;
        };
        let Some(State::Running { cause, started, .. }) = self.units.remove(&unit) else {
            return;
        };
        self.hold_or_report(unit, (cause, started, result), hold.filter(|&until| until > now));
        self.start_waiting(now);
    }

    /// The unit is no longer there.
    pub fn remove(&mut self, now: Instant, unit: &Unit) {
        if let Some(State::Running { ticket, .. }) = self.units.remove(unit) {
            self.effects.push_back(Effect::Cancel { ticket });
        }
        self.start_waiting(now);
    }

    /// What the operation makes and when it began, if it still counts.
    pub fn current(&self, ticket: Ticket) -> Option<(&Unit, Instant)> {
        self.units.iter().find_map(|(unit, state)| match state {
            State::Running {
                ticket: running,
                started,
                ..
            } if *running == ticket => Some((unit, *started)),
            _ => None,
        })
    }

    /// Waiting or running.
    pub fn is_active(&self, unit: &Unit) -> bool {
        matches!(
            self.units.get(unit),
            Some(State::Waiting { .. } | State::Running { .. })
        )
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let held = |state: &State<R>| match state {
            State::Held { until, .. } => Some(*until),
            State::Waiting { .. } | State::Running { .. } => None,
        };
        self.units.values().filter_map(held).min()
    }

    /// Keeps a result back until then, or reports it now.
    fn hold_or_report(&mut self, unit: Unit, (cause, started, result): (Cause, Instant, R), until: Option<Instant>) {
        match until {
            Some(until) => {
                let held = State::Held {
                    cause,
                    started,
                    result,
                    until,
                };
                self.units.insert(unit, held);
            }
            None => self.effects.push_back(Effect::Report {
                unit,
                cause,
                started,
                result,
            }),
        }
    }

    /// Lets go of failures that have been held long enough. `calm_at`: from when on the folder is quiet, by what is
    /// known now.
    pub fn tick(&mut self, now: Instant, calm_at: Option<Instant>) {
        let is_due = |state: &State<R>| matches!(state, State::Held { until, .. } if *until <= now);
        let due: Vec<Unit> = self
            .units
            .iter()
            .filter(|(_, state)| is_due(state))
            .map(|(unit, _)| unit.clone())
            .collect();
        for unit in due {
            let Some(State::Held {
                cause, started, result, ..
            }) = self.units.remove(&unit)
            else {
                continue;
            };
            let until = calm_at.filter(|&calm_at| calm_at > now);
            self.hold_or_report(unit, (cause, started, result), until);
        }
    }

    /// The next thing to do; `Settled` comes when all that was wanted has been reported.
    pub fn poll_effect(&mut self) -> Option<Effect<R>> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if self.busy && self.units.is_empty() {
            self.busy = false;
            return Some(Effect::Settled);
        }
        None
    }

    fn start_waiting(&mut self, now: Instant) {
        let mut running = Limits { loads: 0, builds: 0 };
        let mut waiting = Vec::new();
        for (unit, state) in &self.units {
            match (state, unit) {
                (State::Running { .. }, Unit::Load(_)) => running.loads += 1,
                (State::Running { .. }, Unit::Build(_)) => running.builds += 1,
                (State::Waiting { order, .. }, unit) => waiting.push((*order, unit.clone())),
                (State::Held { .. }, _) => {}
            }
        }
        waiting.sort();
        for (_, unit) in waiting {
            let (count, limit) = match unit {
                Unit::Load(_) => (&mut running.loads, self.limits.loads),
                Unit::Build(_) => (&mut running.builds, self.limits.builds),
            };
            if *count >= limit {
                continue;
            }
            *count += 1;
            let ticket = self.take_number();
            if let Some(state) = self.units.get_mut(&unit)
                && let State::Waiting { cause, .. } = state
            {
                let cause = cause.clone();
                *state = State::Running {
                    cause: cause.clone(),
                    ticket,
                    started: now,
                };
                self.effects.push_back(Effect::Start { ticket, unit, cause });
            }
        }
    }

    fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Both causes' files, and the newer one's time: what then serves holds the newer change.
fn merged(before: Cause, newer: Cause) -> Cause {
    let mut files = before.files;
    files.extend(newer.files);
    files.sort();
    files.dedup();
    let reason = match (before.reason, newer.reason) {
        (Reason::Start, _) => Reason::Start,
        (_, newer) => newer,
    };
    Cause {
        reason,
        files,
        since: newer.since,
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
