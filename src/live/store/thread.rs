//! The store's thread: many operations, one transaction; what to do when the disk is full or fails.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use super::disk::Reserve;
use super::place::Files;
use super::{StoreError, Tell};
use crate::live::keeper::Committed;

/// How often a full disk is looked at again, and whether the files still stand.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Pages of the database that must be free before messages are taken again on a disk that stays full.
const FREE_PAGES_MIN: i64 = 512;
/// Operations of one transaction, so that no caller waits for too many others.
const GROUP_MAX: usize = 4_096;

type Work = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) struct Op {
    pub work: Work,
    pub class: Class,
    pub done: Option<Done>,
}

/// What becomes of an operation on a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Adds something: refused.
    Write,
    /// Frees room or updates for a caller: room that was kept back is given to it.
    Shrink,
    /// The core has decided already: as `Shrink`, and kept in memory until there is room.
    Follow,
    Read,
    /// By itself and outside of a transaction, with all before it written; refused when that has no room.
    Alone,
}

pub(super) struct Shared {
    pub path: PathBuf,
    pub committed: watch::Sender<Committed>,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inbox {
    ops: Vec<Op>,
    /// Of the last operation that came in.
    seq: u64,
    /// How many of them are [`Class::Alone`].
    alone: usize,
    closed: bool,
}

impl Shared {
    pub fn new(path: PathBuf) -> Shared {
        Shared {
            path,
            committed: watch::channel(Committed::default()).0,
            inbox: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, op: Op) -> u64 {
        let mut inbox = self.inbox();
        if inbox.closed {
            drop(inbox);
            if let Some(done) = op.done {
                done(Err(StoreError::Closed));
            }
            return u64::MAX;
        }
        inbox.seq += 1;
        inbox.alone += usize::from(op.class == Class::Alone);
        let seq = inbox.seq;
        inbox.ops.push(op);
        let was_empty = inbox.ops.len() == 1;
        drop(inbox);
        if was_empty {
            self.arrived.notify_one();
        }
        seq
    }

    pub fn close(&self) {
        self.inbox().closed = true;
        self.arrived.notify_all();
    }

    /// What has come in, at most [`GROUP_MAX`], and the number of the last; `None` at the end. Empty after `timeout`.
    fn take(&self, timeout: Option<Duration>) -> Option<(Vec<Op>, u64)> {
        let mut inbox = self.inbox();
        while inbox.ops.is_empty() && !inbox.closed {
            match timeout {
                None => inbox = self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.arrived.wait_timeout(inbox, timeout);
                    inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
                    break;
                }
            }
        }
        if inbox.ops.is_empty() && inbox.closed {
            return None;
        }
        let mut count = inbox.ops.len().min(GROUP_MAX);
        if inbox.alone > 0 {
            count = match inbox.ops[..count].iter().position(|op| op.class == Class::Alone) {
                Some(0) => 1,
                Some(before) => before,
                None => count,
            };
            inbox.alone -= usize::from(inbox.ops[0].class == Class::Alone);
        }
        let rest = inbox.ops.split_off(count);
        let ops = std::mem::replace(&mut inbox.ops, rest);
        Some((ops, inbox.seq - inbox.ops.len() as u64))
    }
}

pub(super) fn start(
    shared: Arc<Shared>,
    connection: Connection,
    files: Option<Files>,
    tell: Tell,
) -> std::io::Result<()> {
    let writer = Writer {
        connection,
        reserve: Reserve::new(files.as_ref().map(|files| files.folder().to_owned())),
        tell,
        path: shared.path.clone(),
        files,
        removed: None,
        looked_at: Instant::now(),
        full: false,
        roomy: false,
        probed_at: Instant::now(),
        owed: Vec::new(),
        broken: None,
    };
    std::thread::Builder::new().name("store".into()).spawn(move || {
        let files = writer.run(&shared);
        drop(files);
        shared.committed.send_modify(|state| state.ended = true);
    })?;
    Ok(())
}

struct Writer {
    connection: Connection,
    reserve: Reserve,
    tell: Tell,
    path: PathBuf,
    /// On a disk.
    files: Option<Files>,
    /// Why files that somebody removed are not back.
    removed: Option<StoreError>,
    looked_at: Instant,
    /// The disk was full when last looked at.
    full: bool,
    /// There was room when last looked at.
    roomy: bool,
    probed_at: Instant,
    /// What the core decided and the disk has no room for yet, in order.
    owed: Vec<Work>,
    broken: Option<StoreError>,
}

impl Writer {
    /// The lock on the folder, when all is written.
    fn run(mut self, shared: &Shared) -> Option<Files> {
        loop {
            let timeout = (self.files.is_some() || self.full || !self.owed.is_empty()).then_some(PROBE_EVERY);
            let Some((ops, seq)) = shared.take(timeout) else { break };
            self.serve(ops);
            if self.full && self.probed_at.elapsed() >= PROBE_EVERY {
                self.probe();
            }
            if self.looked_at.elapsed() >= PROBE_EVERY {
                self.look();
            }
            shared.committed.send_modify(|state| {
                state.seq = state.seq.max(seq);
                state.broken.clone_from(&self.broken);
            });
        }
        self.pay();
        self.look();
        // Moves the log into the database; without it the next start does.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        self.files.take()
    }

    /// Puts the files back that somebody has removed.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        let Some(files) = self.files.as_mut().filter(|_| self.broken.is_none()) else {
            return;
        };
        let there = format!("the state in {}", files.folder().display());
        if files.stand() {
            if self.removed.take().is_some() {
                (self.tell)("info", format!("{there} is back: messages are taken again"));
            }
            return;
        }
        match files.put_back(&self.connection) {
            Ok((connection, held)) => {
                self.connection = connection;
                self.reserve = Reserve::new(Some(files.folder().to_owned()));
                self.roomy = false;
                self.removed = None;
                (self.tell)(
                    "warning",
                    format!("{there} was removed while emu runs: it is put back with {held}; `emu reset` empties it"),
                );
            }
            Err(error) => {
                let why = format!("{error:#}");
                if self.removed.is_none() {
                    let refused = "messages and key-value writes are refused until it is back, and what was taken in is held in \
                                   removed files until emu ends";
                    (self.tell)(
                        "error",
                        format!("{there} was removed and cannot be put back: {why}; {refused}"),
                    );
                }
                self.removed = Some(StoreError::Removed(self.path.clone(), why));
            }
        }
    }

    fn serve(&mut self, mut ops: Vec<Op>) {
        if let Some(error) = &self.broken {
            for op in ops {
                if let Some(done) = op.done {
                    done(Err(error.clone()));
                }
            }
            return;
        }
        if ops.is_empty() {
            return;
        }
        if ops[0].class == Class::Alone {
            return ops.into_iter().for_each(|op| self.by_itself(op));
        }
        let calm = !self.full && self.owed.is_empty() && self.removed.is_none();
        let writes = ops.iter().any(|op| op.class != Class::Read);
        if calm && writes && !self.has_room() {
            self.enter_full();
        } else if calm {
            match self.together(&mut ops) {
                Ok(()) => {
                    for op in ops {
                        if let Some(done) = op.done {
                            done(Ok(()));
                        }
                    }
                    return;
                }
                // A failed fsync is not tried again: what it lost, the next one would not tell.
                Err(error) if is_disk_failure(&error) && !is_full(&error) => _ = self.judge(&error),
                Err(_) => {}
            }
        }
        for op in ops {
            self.alone(op);
        }
    }

    /// All in one transaction, or nothing.
    fn together(&mut self, ops: &mut [Op]) -> rusqlite::Result<()> {
        let connection = &self.connection;
        transaction(connection, || ops.iter_mut().try_for_each(|op| (op.work)(connection)))
    }

    /// One by one, each by its class: something is wrong with the disk, or with one of them.
    fn alone(&mut self, op: Op) {
        let Op { mut work, class, done } = op;
        let outcome = match class {
            _ if self.broken.is_some() => Err(self.broken.clone().unwrap_or(StoreError::Closed)),
            Class::Write if self.full => Err(StoreError::Full(self.path.clone())),
            Class::Write if self.removed.is_some() => Err(self.removed.clone().unwrap_or(StoreError::Closed)),
            Class::Follow => {
                self.owed.push(work);
                self.pay();
                match &self.broken {
                    Some(error) => Err(error.clone()),
                    None => Ok(()),
                }
            }
            Class::Write | Class::Shrink | Class::Read | Class::Alone => self.attempt(&mut work, class),
        };
        if let Some(done) = done {
            done(outcome);
        }
    }

    /// A file beside the database may be full or broken without the database being so.
    fn by_itself(&mut self, op: Op) {
        let Op { mut work, done, .. } = op;
        self.pay();
        let outcome = match &self.broken {
            Some(error) => Err(error.clone()),
            None if !self.owed.is_empty() => Err(StoreError::Full(self.path.clone())),
            None => work(&self.connection).map_err(|error| match error.sqlite_error_code() {
                _ if is_full(&error) => StoreError::Failed("there is no room for it on the disk".to_owned()),
                Some(ErrorCode::SystemIoFailure) => self.judge(&error),
                _ => StoreError::Failed(error.to_string()),
            }),
        };
        if let Some(done) = done {
            done(outcome);
        }
    }

    fn attempt(&mut self, work: &mut Work, class: Class) -> Result<(), StoreError> {
        let connection = &self.connection;
        let mut outcome = transaction(connection, || work(connection));
        if outcome.as_ref().is_err_and(is_full) {
            self.enter_full();
            if class != Class::Write && self.make_room() {
                let connection = &self.connection;
                outcome = transaction(connection, || work(connection));
            }
        }
        outcome.map_err(|error| self.judge(&error))
    }

    /// Writes what is owed, as far as there is room.
    fn pay(&mut self) {
        let mut owed = std::mem::take(&mut self.owed).into_iter();
        for mut work in owed.by_ref() {
            match self.attempt(&mut work, Class::Follow) {
                Ok(()) => {}
                Err(StoreError::Full(_)) => {
                    self.owed.push(work);
                    break;
                }
                Err(error) => tracing::error!("a change of the state was lost: {error}"),
            }
        }
        self.owed.extend(owed);
    }

    /// Frees what was kept back, and begins the log anew where it has its room already.
    fn make_room(&mut self) -> bool {
        let released = self.reserve.release();
        let checkpoint = "PRAGMA wal_checkpoint(RESTART)";
        let moved = self.connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0));
        released || moved.is_ok_and(|busy| busy == 0)
    }

    /// Room is kept back on the disk, or enough of the database itself is free.
    fn has_room(&mut self) -> bool {
        self.roomy = self.roomy || self.reserve.take() || self.free_pages() >= FREE_PAGES_MIN;
        self.roomy
    }

    fn free_pages(&self) -> i64 {
        let count = self
            .connection
            .pragma_query_value(None, "freelist_count", |row| row.get(0));
        count.unwrap_or(0)
    }

    fn enter_full(&mut self) {
        self.roomy = false;
        self.probed_at = Instant::now();
        if !self.full {
            self.full = true;
            let message = format!(
                "the disk that holds {} is full: messages and key-value writes are refused until there is room; \
                 receives and deletes go on",
                self.path.display()
            );
            (self.tell)("error", message);
        }
    }

    fn probe(&mut self) {
        self.probed_at = Instant::now();
        self.pay();
        if self.owed.is_empty() && self.has_room() {
            self.full = false;
            (self.tell)("info", "there is room on the disk again: messages are taken".to_owned());
        }
    }

    fn judge(&mut self, error: &rusqlite::Error) -> StoreError {
        if is_full(error) {
            return StoreError::Full(self.path.clone());
        }
        if !is_disk_failure(error) {
            return StoreError::Failed(error.to_string());
        }
        let broken = StoreError::Broken(self.path.clone(), error.to_string());
        (self.tell)("error", format!("{broken}; restart emu when the disk is well again"));
        self.broken = Some(broken.clone());
        broken
    }
}

pub(super) fn transaction<T>(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let outcome = work().and_then(|done| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(done)
    });
    if outcome.is_err() && !connection.is_autocommit() {
        // Some errors have rolled back already.
        let _ = connection.execute_batch("ROLLBACK");
    }
    outcome
}

/// No room for what was to be written.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            failure.code == ErrorCode::DiskFull
                || failure.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE && disk_says_full()
        }
        _ => false,
    }
}

/// SQLite reports some writes beyond the end of a full disk as failed: what the system said last decides.
fn disk_says_full() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::StorageFull
}

/// After these nothing that was written can be relied on.
fn is_disk_failure(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(CannotOpen | DatabaseCorrupt | NotADatabase | ReadOnly | SystemIoFailure)
    )
}
