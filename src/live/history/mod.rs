//! What has happened: the last of it in memory (`recent`), the rest in a database of its own that is never waited for.
//!
//! Every event is a row, a JSON document with the columns that are searched beside it, so that a field that is added to
//! the event schema is a field of the history. The data path pays for a bounded number of rows a second (`budget`); the
//! invocations above it are kept as sums by function and second, everything else above it as counts. One thread owns
//! the connection, writes what has gathered and answers questions between two writes, so that an answer holds all that
//! was told before the question. A loss of power may cost the last of it, and nothing waits for the disk.

mod archive;
mod budget;
mod caused;
mod read;
mod recent;
mod recorded;
mod schema;
#[cfg(test)]
mod tests;
mod why;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::live::exchange::Exchange;
use crate::live::removed::{self, Standing};
use crate::live::secrets::Secrets;
use crate::platform::time::{Span, Time};
use crate::report::event::Stamped;

pub use archive::{Archive, Ran};
pub use budget::Budget;
pub use caused::caused;
pub use read::{Query, events, exchange, invocation, invocations, logs};
pub use recent::Recent;
pub use recorded::{STEPS_MAX, Wanted, millis_between, recorded};
pub use why::{NoWhy, why};

use write::Writer;

/// Rows that wait for the thread; beyond it they are counted, not kept.
const WAITING_MAX: usize = 65_536;
/// How long rows gather for one transaction.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked, while there is something to write, whether the file is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub age_max: Span,
    /// Beyond it the oldest goes.
    pub bytes_max: u64,
    /// The same for requests and answers, which are counted there as well.
    pub bodies_bytes_max: u64,
}

/// In memory there is less room.
pub const MEMORY_BYTES_MAX: u64 = 8 << 20;
pub const MEMORY_BODIES_BYTES_MAX: u64 = 4 << 20;

/// One thing to keep.
#[derive(Debug)]
pub enum Row {
    Event(Arc<Stamped>),
    /// A request and its answer, made text by the history's own thread.
    Exchange(Arc<Exchange>, Arc<Secrets>),
    /// Invocations of one function in one second that were not kept singly.
    Folded(Folded),
    /// Other events of one second that were not kept.
    Skipped {
        at: Time,
        what: &'static str,
        count: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Folded {
    pub at: Time,
    pub function: Arc<str>,
    pub count: u64,
    pub failed: u64,
    pub duration_ms: f64,
    pub billed_ms: u64,
    pub cost_picodollars: u64,
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

enum Op {
    Rows(Time, Vec<Row>),
    Question(Question),
    Close,
}

/// The way to the database of the past.
#[derive(Clone)]
pub struct Past(Arc<Shared>);

struct Shared {
    ops: Sender<Op>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

/// Hears of trouble, once: a text for people.
pub type Tell = Box<dyn Fn(String) + Send>;

impl Past {
    /// Starts the thread, which opens the database (`None`: in memory). What goes wrong with it is told; the emulator
    /// goes on without.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(folder: Option<PathBuf>, bounds: Bounds, tell: Tell) -> std::io::Result<Past> {
        let (ops, received) = channel();
        let past = Past(Arc::new(Shared {
            ops,
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }));
        let shared = past.0.clone();
        std::thread::Builder::new().name("history".into()).spawn(move || {
            match schema::open(folder.as_deref(), &*tell) {
                Ok(connection) => run(&shared, &received, connection, bounds, &tell),
                Err(error) => {
                    tell(format!("the history cannot be kept: {error:#}"));
                    // Questions are answered by their sender's end being dropped.
                    for op in received {
                        if let Op::Close = op {
                            return;
                        }
                    }
                }
            }
        })?;
        Ok(past)
    }

    /// Never blocks: what finds no room is counted.
    pub fn keep(&self, now: Time, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let count = rows.len();
        if self.0.waiting.fetch_add(count, Ordering::Relaxed) + count > WAITING_MAX {
            self.0.waiting.fetch_sub(count, Ordering::Relaxed);
            self.0.dropped.fetch_add(count as u64, Ordering::Relaxed);
            return;
        }
        // Its thread has gone with the emulator.
        let _ = self.0.ops.send(Op::Rows(now, rows));
    }

    /// Asks the database, after all that was kept before. `None`: there is none.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<rusqlite::Result<T>> {
        let (sender, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            // Nobody waits any more: nothing to tell.
            let _ = sender.send(question(connection));
        });
        self.0.ops.send(Op::Question(question)).ok()?;
        answer.await.ok()
    }

    /// Writes what waits and ends the thread.
    pub async fn close(&self) {
        let _ = self.ask(|_| Ok(())).await;
        let _ = self.0.ops.send(Op::Close);
    }
}

fn run(shared: &Shared, ops: &Receiver<Op>, connection: Connection, bounds: Bounds, tell: &Tell) {
    let mut file = connection
        .path()
        .filter(|path| !path.is_empty())
        .map(|path| Standing::of(path.into()));
    let mut looked_at = Instant::now();
    let mut writer = Writer::new(connection, bounds);
    let mut in_trouble = false;
    let mut now = Time::ZERO;
    while let Ok(op) = ops.recv() {
        let mut rows = Vec::new();
        let mut next = Some(op);
        let until = Instant::now() + GATHER;
        let then = loop {
            match next.take() {
                Some(Op::Rows(at, more)) => {
                    now = at;
                    shared.waiting.fetch_sub(more.len(), Ordering::Relaxed);
                    rows.extend(more);
                }
                Some(then) => break Some(then),
                None => break None,
            }
            next = ops.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        };
        let dropped = shared.dropped.swap(0, Ordering::Relaxed);
        let lost_if_not_written = dropped + rows.len() as u64;
        if dropped > 0 {
            rows.push(Row::Skipped {
                at: now,
                what: "any",
                count: dropped,
            });
        }
        match writer.write(now, &rows) {
            Ok(()) => in_trouble = false,
            Err(error) => {
                shared.dropped.fetch_add(lost_if_not_written, Ordering::Relaxed);
                if !in_trouble {
                    tell(format!(
                        "the history cannot be written: {error}; it goes on when it can"
                    ));
                }
                in_trouble = true;
            }
        }
        if looked_at.elapsed() >= LOOK_EVERY || matches!(then, Some(Op::Close)) {
            looked_at = Instant::now();
            if let Some(error) = file.as_mut().and_then(|file| put_back(&mut writer, file, tell).err()) {
                tracing::warn!("the history cannot be put back: {error:#}");
            }
        }
        match then {
            Some(Op::Question(question)) => question(writer.connection()),
            Some(Op::Close) => return,
            Some(Op::Rows(..)) | None => {}
        }
    }
}

/// When somebody has removed the file under the emulator: what was in it is written again, once its folder is there.
fn put_back(writer: &mut Writer, file: &mut Standing, tell: &Tell) -> anyhow::Result<()> {
    let Some(folder) = file.path.parent().filter(|folder| folder.is_dir() && !file.stands()) else {
        return Ok(());
    };
    removed::put_back(writer.connection(), file)?;
    writer.go_on(schema::open(Some(folder), &**tell)?);
    *file = Standing::of(file.path.clone());
    Ok(())
}
