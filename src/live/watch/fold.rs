//! Folds single file events into batches of paths that are worth a look: pure, from (events, now) to batches.
//!
//! Three wishes pull here. A lone save must be acted on at once: its file was closed or renamed into place, and the
//! user is about to press reload. A burst (a branch switch, "save all") must become one batch. And a file that is
//! still being written, or that an editor moved away to write it anew, must not be looked at too early. So each path
//! carries the time from which it is settled, and a batch waits for quiet only when more than one path changes or
//! when the last batch has just gone out. What a batch holds need not have changed: the ledger compares contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What an event says about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// A file or folder is there that was not; a file is usually still empty.
    Created,
    /// Written to, and maybe not for the last time.
    Writing,
    /// Closed after writing, or renamed into place: complete.
    Settled,
    /// Removed or renamed away; atomic saves bring it back at once.
    Gone,
    /// Permissions or times.
    Meta,
}

/// How a path matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A function read it or looked for it, or it is emu.toml.
    Known,
    /// A file that nobody has read yet, in a folder where new files count: never in a hurry, often temporary.
    New,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// After a write without a close.
    pub writing: Duration,
    /// After a removal, for the file to come back.
    pub gone: Duration,
    /// After the last event of a new file.
    pub new: Duration,
    /// After the last event of a burst.
    pub burst: Duration,
    /// So long after a batch the next event still counts as part of a burst.
    pub calm: Duration,
    /// No event waits longer than this, however the folder goes on.
    pub longest: Duration,
    /// With the folder held by a version control operation, no event waits longer than this.
    pub held: Duration,
}

impl Tuning {
    /// `closes`: the system tells when a file was closed after writing (inotify does), so that a write without a close
    /// is known to be unfinished.
    pub const fn new(closes: bool) -> Tuning {
        Tuning {
            writing: Duration::from_millis(if closes { 50 } else { 8 }),
            gone: Duration::from_millis(40),
            new: Duration::from_millis(20),
            burst: Duration::from_millis(12),
            calm: Duration::from_millis(30),
            longest: Duration::from_millis(400),
            held: Duration::from_millis(2000),
        }
    }

    fn settle(&self, touch: Touch) -> Duration {
        match touch {
            Touch::Settled => Duration::ZERO,
            Touch::Created | Touch::Writing | Touch::Meta => self.writing,
            Touch::Gone => self.gone,
        }
    }
}

/// Paths to look at together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub paths: BTreeSet<PathBuf>,
    /// Events were lost: everything must be looked at.
    pub rescan: bool,
    /// The first event.
    pub since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    ready: Instant,
    /// Settled or gone, so that a later change of metadata adds nothing to wait for.
    complete: bool,
    /// The first event was its creation: if it goes again within the batch it never was.
    fleeting: bool,
}

/// Most paths that wait at once; beyond it everything is looked at.
const PENDING_MAX: usize = 2_000;

/// How long a held folder waits before it is asked again.
const HOLD_STEP: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub struct Fold {
    tuning: Tuning,
    known: BTreeMap<PathBuf, Pending>,
    new: BTreeMap<PathBuf, Pending>,
    /// To be looked at again at a set time; (first event, when).
    later: BTreeMap<PathBuf, (Instant, Instant)>,
    rescan: Option<Instant>,
    last_known: Option<Instant>,
    last_new: Option<Instant>,
    last_batch: Option<Instant>,
    held_until: Option<Instant>,
}

impl Fold {
    pub fn new(tuning: Tuning) -> Fold {
        Fold {
            tuning,
            known: BTreeMap::new(),
            new: BTreeMap::new(),
            later: BTreeMap::new(),
            rescan: None,
            last_known: None,
            last_new: None,
            last_batch: None,
            held_until: None,
        }
    }

    /// An event that came at `at`. Events of ignored paths must not get here.
    pub fn event(&mut self, at: Instant, path: &Path, touch: Touch, weight: Weight) {
        let (map, last, settle) = match weight {
            Weight::Known => (&mut self.known, &mut self.last_known, self.tuning.settle(touch)),
            Weight::New => (
                &mut self.new,
                &mut self.last_new,
                self.tuning.settle(touch).max(self.tuning.new),
            ),
        };
        *last = Some(at);
        let complete = matches!(touch, Touch::Settled | Touch::Gone);
        match map.get_mut(path) {
            Some(pending) if weight == Weight::New && pending.fleeting && touch == Touch::Gone => {
                map.remove(path);
            }
            Some(pending) if touch == Touch::Meta && pending.complete => {}
            Some(pending) => {
                pending.ready = at + settle;
                pending.complete = complete;
            }
            None => {
                let fleeting = touch == Touch::Created;
                map.insert(
                    path.to_owned(),
                    Pending {
                        first: at,
                        ready: at + settle,
                        complete,
                        fleeting,
                    },
                );
            }
        }
        if self.known.len() + self.new.len() > PENDING_MAX {
            self.lost(at);
        }
    }

    /// Events were lost, or cannot be trusted: everything must be looked at.
    pub fn lost(&mut self, at: Instant) {
        let since = self.first().map_or(at, |first| first.min(at));
        self.known.clear();
        self.new.clear();
        self.later.clear();
        self.rescan.get_or_insert(since);
        self.last_known = Some(at);
    }

    /// Puts a path back whose content was not settled when it was looked at.
    pub fn again(&mut self, path: PathBuf, since: Instant, when: Instant) {
        self.later.insert(path, (since, when));
    }

    /// The folder is in the middle of a version control operation: wait a little. `false` when it has lasted too long.
    pub fn hold(&mut self, now: Instant) -> bool {
        let patience = self.first().is_none_or(|first| now < first + self.tuning.held);
        self.held_until = patience.then_some(now + HOLD_STEP);
        patience
    }

    /// When [`Fold::poll`] will have something.
    pub fn deadline(&self) -> Option<Instant> {
        let due = match self.rescan {
            Some(since) => self.quiet(self.last_known, self.tuning.burst, since),
            None => {
                let later = self.later.values().map(|&(_, when)| when).min();
                [self.known_due(), self.new_due(), later].into_iter().flatten().min()?
            }
        };
        Some(self.held_until.map_or(due, |until| until.max(due)))
    }

    /// What is due.
    pub fn poll(&mut self, now: Instant) -> Option<Batch> {
        if self.deadline().is_none_or(|due| now < due) {
            return None;
        }
        let mut batch = Batch {
            paths: BTreeSet::new(),
            rescan: false,
            since: now,
        };
        if let Some(since) = self.rescan.take() {
            batch.rescan = true;
            batch.since = since;
        }
        let is_due = |due: Option<Instant>| batch.rescan || due.is_some_and(|due| due <= now);
        let known_due = is_due(self.known_due());
        let new_due = is_due(self.new_due());
        let known = if known_due {
            std::mem::take(&mut self.known)
        } else {
            BTreeMap::new()
        };
        let new = if new_due {
            std::mem::take(&mut self.new)
        } else {
            BTreeMap::new()
        };
        for (path, pending) in known.into_iter().chain(new) {
            batch.since = batch.since.min(pending.first);
            batch.paths.insert(path);
        }
        self.later.retain(|path, &mut (since, when)| {
            if when <= now {
                batch.since = batch.since.min(since);
                batch.paths.insert(path.clone());
            }
            when > now
        });
        self.held_until = None;
        self.last_batch = Some(now);
        Some(batch)
    }

    /// From when on the folder counts as quiet, if nothing more comes.
    pub fn calm_at(&self) -> Option<Instant> {
        let last = self.last_known.max(self.last_new)?;
        Some(last + self.tuning.calm + self.tuning.burst)
    }

    fn first(&self) -> Option<Instant> {
        let waiting = self
            .known
            .values()
            .chain(self.new.values())
            .map(|pending| pending.first);
        waiting
            .chain(self.later.values().map(|&(since, _)| since))
            .chain(self.rescan)
            .min()
    }

    /// `wait` after the last event, but no later than the longest wait after the first.
    fn quiet(&self, last: Option<Instant>, wait: Duration, first: Instant) -> Instant {
        (last.unwrap_or(first) + wait).min(first + self.tuning.longest)
    }

    fn known_due(&self) -> Option<Instant> {
        let first = self.known.values().map(|pending| pending.first).min()?;
        let ready = self.known.values().map(|pending| pending.ready).max()?;
        let after_calm = self.last_batch.is_none_or(|last| last + self.tuning.calm <= first);
        if self.known.len() == 1 && after_calm {
            return Some(ready.min(first + self.tuning.longest));
        }
        let quiet = self.quiet(self.last_known, self.tuning.burst, first);
        Some(quiet.max(ready.min(first + self.tuning.longest)))
    }

    fn new_due(&self) -> Option<Instant> {
        let first = self.new.values().map(|pending| pending.first).min()?;
        let ready = self.new.values().map(|pending| pending.ready).max()?;
        Some(
            self.quiet(self.last_new, self.tuning.new, first)
                .max(ready.min(first + self.tuning.longest)),
        )
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
