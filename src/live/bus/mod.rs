//! NATS JetStream as a [`Keeper`] that several emulators share. ARCHITECTURE.md's "A group" has the mapping and its differences.
//!
//! `place` and `label` say how things lie in the broker, `streams` makes what they lie in, `take` puts in what comes from
//! outside, `pump` brings it to a core that has room, `behind` is what waits for its turn, `claims` what stands here, `follow` carries
//! out what the core decides of it. `lead` is who hands out a FIFO queue, `kv` are the stores, `members` the group, `rest` whether it is idle, `mend` what becomes of what somebody deletes there. `cut` leaves a server
//! that its cluster has lost.

mod behind;
mod claims;
mod connect;
mod cut;
mod follow;
mod kv;
mod label;
mod lead;
mod look;
mod members;
mod mend;
mod place;
mod pump;
mod rest;
mod streams;
mod take;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::Instant;

use async_nats::jetstream::{Context, kv as buckets, stream};
use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::Member;
use super::driver::{self, Driver};
use super::keeper::{Commit, Committed, Depth, Group, Keeper, Kept, Left, MakeContent, MakeRecord, Seen, Taken};
use super::messages::{Content, Payload};
use super::names::Names;
use super::store::{Intake, Kind, KvEntry, KvPage, Piece, Publication, StoreError, Tell};
use crate::platform::effect::{Run, StoreChange, StoredEvent, Work};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

use claims::{Claims, Key};
use follow::Given;
use place::Places;

pub use connect::Opened;

/// One member's side of the broker.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    /// Without a password.
    url: String,
    /// This member's name in the group.
    member: String,
    number: u64,
    /// Head of the public form of ids.
    head: u64,
    context: Context,
    places: Places,
    /// Copies of each stream in a cluster.
    replicas: usize,
    names: Arc<RwLock<Names>>,
    /// Set when it joins.
    driver: OnceLock<Weak<driver::Inner>>,
    held: Mutex<Held>,
    steps: mpsc::UnboundedSender<Given>,
    /// Steps that are not done.
    open: watch::Sender<usize>,
    /// For steps that lead to nothing here.
    nothing: watch::Sender<Committed>,
    /// When it was last said that the bus takes nothing.
    told_at: Mutex<Option<Instant>>,
    /// The core may have room.
    room: Notify,
    known: tokio::sync::Mutex<HashMap<String, (stream::Config, stream::Stream)>>,
    buckets: tokio::sync::Mutex<HashMap<String, buckets::Store>>,
    depths: Mutex<HashMap<QueueId, Depth>>,
    /// FIFO queues that this member hands out.
    leases: Mutex<HashMap<String, lead::Lease>>,
    leasing: tokio::sync::Mutex<()>,
    /// Of FIFO queues that this member hands out: what waits for those before it.
    behinds: Mutex<HashMap<QueueId, behind::Behind>>,
    /// When this member last said that it is there.
    said_at: Mutex<Option<Instant>>,
    tell: Tell,
    /// Something was refused.
    failed: Notify,
    /// Nothing more is brought here.
    pumps: CancellationToken,
    /// The tasks that bring it.
    pumping: TaskTracker,
    stop: CancellationToken,
}

/// What stands here.
#[derive(Default)]
struct Held {
    claims: Claims,
    /// How many steps there have been.
    steps: u64,
    /// Contents and payloads that the core has made, on their way to the broker.
    made: HashMap<MessageId, Arc<Content>>,
    made_events: HashMap<InvocationId, Payload>,
}

impl Held {
    fn content(&self, message: MessageId) -> Option<&Arc<Content>> {
        self.made.get(&message).or_else(|| self.claims.content(message))
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> std::sync::RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: before it joins, and when the emulator is gone.
    fn driver(&self) -> Option<Driver> {
        self.driver.get()?.upgrade().map(Driver)
    }

    /// Of a message with its headers, as it is accepted: a dead letter has more of them, and must fit all the same.
    fn bytes_max(&self) -> usize {
        let max = self.context.client().server_info().max_payload;
        max.saturating_sub(BESIDE_BYTES)
    }

    fn tell(&self, level: &'static str, message: String) {
        (self.tell)(level, message);
    }
}

/// The broker did not do it, or did not answer in time.
fn away(inner: &Inner, what: &str, error: &dyn std::fmt::Display) -> StoreError {
    inner.failed.notify_one();
    let error = error.to_string();
    if NO_ROOM.iter().any(|code| error.contains(code)) {
        return StoreError::NoRoom(format!(
            "{what}: the bus at {} has no room left ({error}): consume or purge, or raise max_file_store or the account's limit",
            inner.url
        ));
    }
    StoreError::Away(format!("{what} on the bus at {}: {error}", inner.url))
}

/// As the broker's answers show what has reached a limit: the account's, the server's, its disk.
const NO_ROOM: [&str; 5] = [
    "error code 10002)",
    "error code 10023)",
    "error code 10028)",
    "error code 10047)",
    "error code 10077)",
];

/// The broker will never take it as it is set up.
fn too_large(inner: &Inner, what: &str, bytes: usize, remedy: &str) -> StoreError {
    StoreError::Failed(format!(
        "a {what} of {bytes} bytes is larger than the bus at {} takes: {remedy}",
        inner.url
    ))
}

const RAISE_PAYLOAD: &str = "raise its max_payload";
/// Of what the server takes at once, so much is kept for what comes to stand beside a body later.
const BESIDE_BYTES: usize = 1_024;

impl Keeper for Bus {
    fn take_in(&self, intake: Vec<Intake>) -> Kept<'_, Taken> {
        Box::pin(self.0.take_in(intake))
    }

    fn follow(&self, changes: Vec<StoreChange>) -> Commit {
        self.0.follow(&changes)
    }

    fn follow_body(&self, message: MessageId, content: Arc<Content>) {
        self.0.held().made.insert(message, content);
    }

    fn follow_made(&self, of: MessageId, to: MessageId, make: MakeContent) {
        let mut held = self.0.held();
        if let Some(content) = held.content(of).map(|content| Arc::new(make(content))) {
            held.made.insert(to, content);
        }
    }

    fn follow_record(&self, first: InvocationId, message: MessageId, make: MakeRecord) {
        let mut held = self.0.held();
        let payload = held
            .claims
            .get(Key::Event(first))
            .and_then(|claim| claim.payload.clone());
        let content = make(&payload.unwrap_or_default());
        held.made.insert(message, Arc::new(content));
    }

    fn follow_event(&self, event: StoredEvent, payload: Payload) {
        self.0.held().made_events.insert(event.first, payload);
    }

    // Members go by the wall clock.
    fn follow_wall(&self, _ahead_ns: i64) {}

    // What lies in the broker is named by name.
    fn name(&self, _names: Vec<(Kind, u32, String)>) {}

    fn bodies(&self, messages: Vec<MessageId>) -> Kept<'_, Vec<(MessageId, Arc<Content>)>> {
        let held = self.0.held();
        let found = messages.into_iter();
        let found = found.filter_map(|id| Some((id, held.content(id)?.clone()))).collect();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn payload(&self, first: InvocationId) -> Kept<'_, Option<Payload>> {
        let payload = self
            .0
            .held()
            .claims
            .get(Key::Event(first))
            .and_then(|claim| claim.payload.clone());
        Box::pin(std::future::ready(Ok(payload)))
    }

    fn messages(&self, _queue: QueueId, _after: MessageId, _to: MessageId) -> Kept<'_, Piece> {
        Box::pin(std::future::ready(Ok(Piece::default())))
    }

    fn events(&self, _function: FunctionId, _to: InvocationId) -> Kept<'_, Vec<StoredEvent>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn publications(&self, _topic: TopicId, _to: MessageId) -> Kept<'_, Vec<Publication>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    // The broker forgets them by itself.
    fn forget_keys(&self, _now: Time) {}

    fn clear(&self) -> Kept<'_, ()> {
        Box::pin(self.0.clear())
    }

    fn kv_put<'a>(&'a self, store: &'a str, key: &'a str, entry: KvEntry) -> Kept<'a, ()> {
        Box::pin(self.0.kv_put(store, key, entry))
    }

    fn kv_get<'a>(&'a self, store: &'a str, key: &'a str, now: Time) -> Kept<'a, Option<KvEntry>> {
        Box::pin(self.0.kv_get(store, key, now))
    }

    fn kv_delete<'a>(&'a self, store: &'a str, key: &'a str) -> Kept<'a, ()> {
        Box::pin(self.0.kv_delete(store, key))
    }

    fn kv_list<'a>(
        &'a self,
        store: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        now: Time,
    ) -> Kept<'a, KvPage> {
        Box::pin(self.0.kv_list(store, prefix, after, limit, now))
    }

    fn kv_count<'a>(&'a self, store: &'a str, now: Time) -> Kept<'a, u64> {
        Box::pin(self.0.kv_count(store, now))
    }

    fn kv_increment<'a>(
        &'a self,
        store: &'a str,
        key: &'a str,
        delta: u64,
        now: Time,
        expires_at: Option<Time>,
    ) -> Kept<'a, Result<u64, String>> {
        Box::pin(self.0.kv_increment(store, key, delta, now, expires_at))
    }

    fn settled(&self) -> Kept<'_, ()> {
        Box::pin(std::future::ready(Err(no_snapshots())))
    }

    fn save<'a>(&'a self, _path: &'a Path) -> Kept<'a, ()> {
        Box::pin(std::future::ready(Err(no_snapshots())))
    }

    fn load<'a>(&'a self, _path: &'a Path, _names: Vec<(Kind, u32, String)>) -> Kept<'a, Option<u64>> {
        Box::pin(std::future::ready(Err(no_snapshots())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.leave())
    }

    fn group(&self) -> Option<&dyn Group> {
        Some(self)
    }
}

fn no_snapshots() -> StoreError {
    StoreError::Failed(
        "the state is on a bus that several emulators share, and a snapshot is of one emulator's own: copy the streams with \
         `nats account backup`, or start without --bus"
            .to_owned(),
    )
}

impl Group for Bus {
    fn join(&self, driver: &Driver) {
        self.0.join(driver);
    }

    fn configured(&self) {
        self.0.configured();
    }

    fn begun(&self, run: &Run) {
        match run.work {
            Work::Async { first, .. } | Work::Topic { first, .. } => self.0.held().claims.see(Key::Event(first)),
            // Whatever is received of a queue counts.
            Work::Batch { .. } | Work::Request | Work::Cron { .. } => {}
        }
    }

    fn stepped(&self) {
        self.0.room.notify_waiters();
    }

    fn draw(&self, queue: QueueId, max: u32) -> Kept<'_, ()> {
        Box::pin(self.0.draw(queue, max))
    }

    fn peek(&self, queue: QueueId, max: usize) -> Kept<'_, Vec<Seen>> {
        Box::pin(self.0.peek(queue, max))
    }

    fn redrive(&self, queue: QueueId) -> Kept<'_, u64> {
        Box::pin(self.0.redrive(queue))
    }

    fn bytes_max(&self) -> u64 {
        self.0.bytes_max() as u64
    }

    fn depth(&self, queue: QueueId) -> Depth {
        let depths = self.0.depths.lock().unwrap_or_else(PoisonError::into_inner);
        depths.get(&queue).copied().unwrap_or_default()
    }

    fn is_first<'a>(&'a self, trigger: &'a str, at: Time) -> Kept<'a, bool> {
        Box::pin(self.0.is_first(trigger, at))
    }

    fn left(&self) -> Kept<'_, Option<Left>> {
        Box::pin(self.0.left())
    }

    fn place(&self) -> &str {
        &self.0.url
    }

    fn members(&self) -> Kept<'_, Vec<Member>> {
        Box::pin(self.0.members())
    }
}
