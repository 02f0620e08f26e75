//! What outlives a restart: messages, asynchronous events and key-value state in one SQLite database.
//!
//! One thread owns the only connection. It drains what has come in into one transaction, commits, and only then tells
//! whoever waits: many small writes at once cost one commit. The core alone decides what becomes of a message; the
//! store follows its changes by id, and is read when emu starts, when a body is no longer in memory, and for key-value.
//!
//! `--ephemeral` is the same with a database in memory.

mod change;
mod disk;
mod folder;
mod intake;
mod keep;
mod kv;
mod place;
mod restore;
mod schema;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod thread;
mod wall;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::keeper::Commit;
use crate::platform::effect::StoreChange;

pub use folder::{DATABASE, Held, holder};
pub use intake::Intake;
pub use kv::{Entry as KvEntry, Listed as KvListed, Page as KvPage, is_over};
pub use restore::{Piece, Publication};

use thread::{Class, Op, Shared};

/// Where the state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    /// A folder of its own, made when it is not there; one emulator at a time.
    Folder(PathBuf),
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process, however it comes. A loss of power may take the last moments.
    #[default]
    Normal,
    /// A loss of power as well: every commit waits for the disk.
    Full,
}

/// Why a write or a read did not happen.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    #[error("the disk that holds {} is full", .0.display())]
    Full(PathBuf),
    /// The disk failed: nothing is written any more, so that nothing is promised that cannot be held.
    #[error("the state in {} cannot be written any more: {}", .0.display(), .1)]
    Broken(PathBuf, String),
    /// Somebody removed its files, and they cannot be put back now.
    #[error("the state in {} was removed while emu runs, and cannot be put back yet: {}", .0.display(), .1)]
    Removed(PathBuf, String),
    /// This queue holds its maximum.
    #[error("queue {0} holds its maximum (max_messages)")]
    QueueFull(String),
    /// What others share cannot be reached now.
    #[error("{0}")]
    Away(String),
    /// What others share has reached a limit.
    #[error("{0}")]
    NoRoom(String),
    /// Another emulator has it, and only one may.
    #[error("{0}")]
    Elsewhere(String),
    /// This one operation only.
    #[error("{0}")]
    Failed(String),
    #[error("emu is stopping")]
    Closed,
}

/// Numbers and names that must not come twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// All ids of this run are above it.
    pub ids_from: u64,
    /// Head of the public form of ids.
    pub head: u64,
    /// By kind (`function`, `queue`, `topic`), in the order of their ids from 0.
    pub names: Vec<(Kind, String)>,
}

/// What a stored name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    Queue,
    Topic,
}

/// A database that is open, its folder locked, its thread not yet started.
pub struct Opened {
    connection: Connection,
    place: Option<place::Files>,
    path: PathBuf,
    pub identity: Identity,
}

/// Hears of trouble: a level (`warning`, `info`) and a text for people.
pub type Tell = Box<dyn Fn(&'static str, String) + Send + Sync>;

#[derive(Clone)]
pub struct Store(Arc<Shared>);

impl Opened {
    /// Opens or makes the database. `head` serves a new one.
    ///
    /// # Errors
    /// When another emulator holds the folder, when it cannot be written, when a newer emu made it.
    pub fn open(place: &Place, durability: Durability, head: u64) -> anyhow::Result<Opened> {
        let (held, path) = match place {
            Place::Memory => (None, PathBuf::from("memory")),
            Place::Folder(folder) => (Some(Held::take(folder)?), folder.clone()),
        };
        let connection = schema::open(
            held.as_ref().map(|held| held.folder.join(DATABASE)).as_deref(),
            durability,
        )?;
        let identity = schema::identity(&connection, head)?;
        match restore::sweep(&connection) {
            Err(error) if !thread::is_full(&error) => return Err(error.into()),
            // A full disk keeps them until the next start.
            _ => {}
        }
        Ok(Opened {
            connection,
            place: held.map(|held| place::Files::new(held, durability)),
            path,
            identity,
        })
    }

    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self, tell: Tell) -> std::io::Result<Store> {
        let shared = Arc::new(Shared::new(self.path));
        thread::start(shared.clone(), self.connection, self.place, tell)?;
        Ok(Store(shared))
    }
}

impl Store {
    /// In memory, for tests of what stands on it.
    #[cfg(test)]
    pub fn in_memory() -> Store {
        let opened = Opened::open(&Place::Memory, Durability::Normal, 1).expect("memory opens");
        opened.start(Box::new(|_, _| {})).expect("a thread")
    }

    /// Follows the core: the changes of one step, together or not at all. Never refused for want of room; on a full
    /// disk they wait in memory until there is some.
    pub(super) fn follow(&self, changes: Vec<StoreChange>) -> Commit {
        let work = Box::new(move |connection: &Connection| {
            changes.iter().try_for_each(|change| change::apply(connection, change))
        });
        let seq = self.0.push(Op {
            work,
            class: Class::Follow,
            done: None,
        });
        Commit {
            seq,
            committed: self.0.committed.subscribe(),
            counts: true,
            beside: Vec::new(),
        }
    }

    /// Runs `work` in a transaction of the store's thread, with others that came at the same time, and answers after
    /// the commit. May run more than once, when what stood beside it failed.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(Class::Write, work).await
    }

    /// As [`Store::write`] for work that frees room or only updates: it goes on when the disk is full.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn shrink<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(Class::Shrink, work).await
    }

    /// As [`Store::write`] for work that only reads.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(Class::Read, work).await
    }

    async fn call<T: Send + 'static>(
        &self,
        class: Class,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let result = Arc::new(std::sync::Mutex::new(None));
        let slot = result.clone();
        self.0.push(Op {
            work: Box::new(move |connection| {
                let value = work(connection)?;
                *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
                Ok(())
            }),
            class,
            // Nobody waits any more: nothing to tell.
            done: Some(Box::new(move |outcome| drop(sender.send(outcome)))),
        });
        answer.await.unwrap_or(Err(StoreError::Closed))?;
        let value = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        value.ok_or(StoreError::Closed)
    }

    /// Commits what is pending and ends the thread. Later calls get [`StoreError::Closed`].
    pub async fn close(&self) {
        // The last word in the queue.
        let _ = self.read(|_| Ok(())).await;
        self.0.close();
        let mut committed = self.0.committed.subscribe();
        // The thread drops the lock on the folder before it says this.
        let _ = committed.wait_for(|state| state.ended).await;
    }
}
