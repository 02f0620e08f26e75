//! Watches a project folder and tells which files really changed.
//!
//! notify's events are folded into batches ([`fold`]), a batch's paths are looked at on a blocking thread (`look`),
//! and a content that differs from the remembered one ([`ledger`]) is a change. A sweep over modification times stands
//! behind the notifications; where these cannot be had, or are seen to miss a change, the sweep comes at short intervals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub mod fold;
pub mod ignore;
pub mod ledger;
mod look;
pub mod native;
pub mod print;
mod scan;
mod task;

pub use ignore::ignored;
pub use ledger::How;

/// What is to be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Files that were read, and paths that were looked for and missed; absolute.
    pub files: BTreeSet<PathBuf>,
    /// Folders (or files) in which each file counts that is not ignored by its name, also new ones; absolute.
    pub trees: BTreeSet<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Changed {
        files: BTreeMap<PathBuf, How>,
        /// The first file event.
        since: Instant,
    },
    /// The project's folder is no longer there. Nothing else is told until it is back.
    RootGone,
    RootBack,
    /// Notifications cannot be relied on; from now on, modification times are compared at short intervals.
    Polling {
        why: String,
    },
    /// There are more files in the watched folders than can be followed.
    TooMany,
}

/// A watching task.
#[derive(Debug)]
pub struct Watch {
    interests: mpsc::UnboundedSender<Update>,
    pub found: mpsc::Receiver<Found>,
    calm: watch::Receiver<Option<Instant>>,
}

#[derive(Debug)]
struct Update {
    interest: Arc<Interest>,
    /// When the load began that read the new files: one that changed since counts as changed. `None`: nothing has
    /// read them yet.
    read_since: Option<Instant>,
    /// Look at everything at once.
    rescan: bool,
    /// Answered when all of it is watched.
    done: Option<oneshot::Sender<()>>,
}

impl Watch {
    /// Starts watching `root`, which is canonical. `poll`: do not rely on notifications.
    pub fn start(root: PathBuf, poll: bool, stop: CancellationToken) -> Watch {
        let (interests, updates) = mpsc::unbounded_channel();
        let (out, found) = mpsc::channel(64);
        let (calm_sender, calm) = watch::channel(None);
        tokio::spawn(task::Task::new(root, poll, updates, out, calm_sender).run(stop));
        Watch { interests, found, calm }
    }

    /// Replaces what is watched, and returns once it is: what changes after that is told.
    pub async fn set_now(&self, interest: Arc<Interest>) {
        let (done, is_done) = oneshot::channel();
        let _ = self.interests.send(Update {
            interest,
            read_since: None,
            rescan: false,
            done: Some(done),
        });
        // Not answered: the task has ended, with the whole reloader.
        let _ = is_done.await;
    }

    /// Replaces what is watched. `read_since`: when the load began that read the new files among them; one that has
    /// changed since is told as changed.
    pub fn set(&self, interest: Arc<Interest>, read_since: Option<Instant>) {
        // The task ends only with the whole reloader.
        let _ = self.interests.send(Update {
            interest,
            read_since,
            rescan: false,
            done: None,
        });
    }

    /// Compares all contents, whatever was notified.
    pub fn rescan(&self, interest: Arc<Interest>) {
        let _ = self.interests.send(Update {
            interest,
            read_since: None,
            rescan: true,
            done: None,
        });
    }

    /// From when on the folder counts as quiet if nothing more comes; a failure before that may be due to files that
    /// have not arrived yet.
    pub fn calm_at(&self) -> Option<Instant> {
        *self.calm.borrow()
    }
}
