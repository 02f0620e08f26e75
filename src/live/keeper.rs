//! What keeps messages, asynchronous events and key-value state, as the rest of the shell sees it. There are two: a database of
//! this emulator's own (`store`), and a broker that several emulators share (`bus`).
//!
//! A keeper of one's own only remembers: what comes in is written and then told to the core, which alone holds the queues. A
//! shared one hands out: what comes in goes to it, and comes back to the core of that member which has room for it. The core
//! knows the difference as one rule (`platform/shared.rs`), the shell by [`Taken`]; nobody else asks.

use std::path::Path;
use std::sync::{Arc, RwLock};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Options;
use super::api::Member;
use super::bus;
use super::driver::Driver;
use super::messages::{Content, Payload};
use super::names::Names;
use super::store::{self, Identity, Intake, Kind, KvEntry, KvPage, Piece, Place, Publication, StoreError, Tell};
use crate::platform::effect::{Run, StoreChange, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

pub type Kept<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Who goes on with what was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It lasts, and the caller tells the core of it.
    Here,
    /// It lasts, and comes to the core of whoever is free. Of each message or event its id, or that of the one it repeats.
    There(Vec<u64>),
}

/// How far a keeper has come with what the core told it.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    pub seq: u64,
    pub broken: Option<StoreError>,
    pub ended: bool,
}

/// Waits for one step of the core to last.
#[derive(Clone)]
pub struct Commit {
    pub(super) seq: u64,
    pub(super) committed: tokio::sync::watch::Receiver<Committed>,
    /// That something was received is remembered by this, and not by whoever handed it out.
    pub(super) counts: bool,
    /// What must have come this far as well.
    pub(super) beside: Vec<(u64, tokio::sync::watch::Receiver<Beside>)>,
}

/// How far something has come that a step is not a part of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    pub version: u64,
    /// It comes no further: what waits for it must not be.
    pub is_void: bool,
}

impl Commit {
    async fn is_recorded(&mut self) -> Result<(), StoreError> {
        for (version, mut beside) in std::mem::take(&mut self.beside) {
            let far = beside.wait_for(|far| far.is_void || far.version >= version).await;
            if far.map_err(|_| StoreError::Closed)?.is_void {
                return Err(StoreError::Elsewhere(
                    "another emulator of the group hands this FIFO queue out now".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// For what was received, which must not run before it has been counted.
    ///
    /// # Errors
    /// As [`Commit::wait`].
    pub async fn before_run(mut self) -> Result<(), StoreError> {
        self.is_recorded().await?;
        match self.counts {
            true => self.wait().await,
            false => Ok(()),
        }
    }

    /// # Errors
    /// [`StoreError::Broken`], [`StoreError::Closed`] or [`StoreError::Elsewhere`]: it never will.
    pub async fn wait(mut self) -> Result<(), StoreError> {
        self.is_recorded().await?;
        let seq = self.seq;
        let state = self
            .committed
            .wait_for(|state| state.seq >= seq || state.broken.is_some() || state.ended)
            .await
            .map_err(|_| StoreError::Closed)?;
        match &state.broken {
            Some(error) => Err(error.clone()),
            None if state.seq >= seq => Ok(()),
            None => Err(StoreError::Closed),
        }
    }
}

/// Makes the content of one message of that of another.
pub type MakeContent = Box<dyn Fn(&Content) -> Content + Send>;
/// Makes the content of a record of an event.
pub type MakeRecord = Box<dyn Fn(&Payload) -> Content + Send>;

pub trait Keeper: Send + Sync {
    /// All of it or nothing (a shared one: each message by itself); returns when it lasts.
    fn take_in(&self, intake: Vec<Intake>) -> Kept<'_, Taken>;
    /// Follows the core: the changes of one step. Never refused.
    fn follow(&self, changes: Vec<StoreChange>) -> Commit;
    /// The content of a message that the core makes of something it knows; its changes follow in the next step.
    fn follow_body(&self, message: MessageId, content: Arc<Content>);
    /// As [`Keeper::follow_body`], made of the content of another message while that is still there.
    fn follow_made(&self, of: MessageId, to: MessageId, make: MakeContent);
    /// As [`Keeper::follow_body`], made of an event's payload while that is still there.
    fn follow_record(&self, first: InvocationId, message: MessageId, make: MakeRecord);
    /// The payload of an event that the core is about to keep.
    fn follow_event(&self, event: StoredEvent, payload: Payload);
    /// How far the wall clock is ahead of emu's time.
    fn follow_wall(&self, ahead_ns: i64);
    /// Names of the ids that changes refer to.
    fn name(&self, names: Vec<(Kind, u32, String)>);

    /// Contents by message, as far as they are there.
    fn bodies(&self, messages: Vec<MessageId>) -> Kept<'_, Vec<(MessageId, Arc<Content>)>>;
    /// An event's payload.
    fn payload(&self, first: InvocationId) -> Kept<'_, Option<Payload>>;
    /// The next messages of a queue behind `after`, up to and with `to`; a shared keeper has none: they come by themselves.
    fn messages(&self, queue: QueueId, after: MessageId, to: MessageId) -> Kept<'_, Piece>;
    /// As [`Keeper::messages`], of a function's events, by their first attempts.
    fn events(&self, function: FunctionId, to: InvocationId) -> Kept<'_, Vec<StoredEvent>>;
    /// As [`Keeper::messages`], of a topic's messages that were not handed on.
    fn publications(&self, topic: TopicId, to: MessageId) -> Kept<'_, Vec<Publication>>;
    /// Deduplication keys whose time is over need not be kept.
    fn forget_keys(&self, now: Time);
    /// Forgets everything.
    fn clear(&self) -> Kept<'_, ()>;

    fn kv_put<'a>(&'a self, store: &'a str, key: &'a str, entry: KvEntry) -> Kept<'a, ()>;
    fn kv_get<'a>(&'a self, store: &'a str, key: &'a str, now: Time) -> Kept<'a, Option<KvEntry>>;
    fn kv_delete<'a>(&'a self, store: &'a str, key: &'a str) -> Kept<'a, ()>;
    /// Keys in the order of their bytes, from behind `after`.
    fn kv_list<'a>(
        &'a self,
        store: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        now: Time,
    ) -> Kept<'a, KvPage>;
    fn kv_count<'a>(&'a self, store: &'a str, now: Time) -> Kept<'a, u64>;
    /// Adds to a number in decimal digits, or begins at zero. The inner error is what stands there instead.
    fn kv_increment<'a>(
        &'a self,
        store: &'a str,
        key: &'a str,
        delta: u64,
        now: Time,
        expires_at: Option<Time>,
    ) -> Kept<'a, Result<u64, String>>;

    /// Everything that was decided lasts.
    fn settled(&self) -> Kept<'_, ()>;
    /// A copy of the state.
    fn save<'a>(&'a self, path: &'a Path) -> Kept<'a, ()>;
    /// Replaces the state; the highest id in it. What is followed after this call comes after it.
    fn load<'a>(&'a self, path: &'a Path, names: Vec<(Kind, u32, String)>) -> Kept<'a, Option<u64>>;
    fn close(&self) -> BoxFuture<'_, ()>;

    /// What only a keeper does that several emulators share.
    fn group(&self) -> Option<&dyn Group> {
        None
    }
}

/// Several emulators on one keeper.
pub trait Group: Send + Sync {
    /// Begins to hand out to this member.
    fn join(&self, driver: &Driver);
    /// The manifest in force has changed: what the core has dropped with a queue or a function is another's.
    fn configured(&self);
    /// An attempt at an event begins.
    fn begun(&self, run: &Run);
    /// The core has taken a step: it may have room.
    fn stepped(&self);
    /// Hands up to so many messages of a queue to this member's core now, whether it asked for them or not.
    fn draw(&self, queue: QueueId, max: u32) -> Kept<'_, ()>;
    /// The oldest messages of a queue, wherever they are.
    fn peek(&self, queue: QueueId, max: usize) -> Kept<'_, Vec<Seen>>;
    /// Moves messages of a dead-letter queue back to where they came from; how many.
    fn redrive(&self, queue: QueueId) -> Kept<'_, u64>;
    /// Bytes of the largest body that it takes.
    fn bytes_max(&self) -> u64;
    /// Messages of a queue in the group: all, and those that somebody holds. As they were a moment ago.
    fn depth(&self, queue: QueueId) -> Depth;
    /// Whether this member is the first to claim an instant of a cron.
    fn is_first<'a>(&'a self, trigger: &'a str, at: Time) -> Kept<'a, bool>;
    /// What is left to do in the whole group; `None`: for a moment nothing was.
    fn left(&self) -> Kept<'_, Option<Left>>;
    /// Where it is, without a password.
    fn place(&self) -> &str;
    /// All members, this one first.
    fn members(&self) -> Kept<'_, Vec<Member>>;
}

/// What one member does, as it answers the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Busy {
    /// Steps of its core: who has taken none between two answers has done nothing.
    pub steps: u64,
    /// Invocations that run or wait for an instance.
    pub running: u64,
    /// Messages and events that these are about.
    pub taken: u64,
    /// What its functions consume.
    pub queues: Vec<String>,
    pub functions: Vec<String>,
    pub topics: Vec<String>,
}

/// What is left to do in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Invocations that run or wait for an instance.
    pub running: u64,
    /// Messages and asynchronous invocations that wait.
    pub messages: u64,
    /// Members that do not answer, and may still do something.
    pub silent: Vec<String>,
}

/// How many messages a queue has in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub messages: u64,
    /// Received by a member, or put back with a delay.
    pub pending: u64,
}

/// A message that was looked at where it lies.
#[derive(Clone, Debug)]
pub struct Seen {
    pub message: MessageId,
    pub sent_at: Time,
    pub visible_at: Time,
    pub source: Option<QueueId>,
    pub content: Arc<Content>,
}

/// A keeper that is there and not yet at work.
pub struct Opened {
    pub identity: Identity,
    place: OpenedPlace,
}

enum OpenedPlace {
    Own(Box<store::Opened>),
    Shared(Box<bus::Opened>),
}

impl Opened {
    /// Opens what the options name. `head` serves what is new.
    ///
    /// # Errors
    /// When another emulator holds the folder, when it cannot be written, when the broker is away or not fit.
    pub async fn open(options: &Options, folder: &Path, project: &str, head: u64) -> anyhow::Result<Opened> {
        if let Some(url) = &options.bus {
            let bus = bus::Opened::connect(url, project, head).await?;
            let identity = Identity {
                ids_from: bus.ids_from,
                head: bus.head,
                names: Vec::new(),
            };
            let place = OpenedPlace::Shared(Box::new(bus));
            return Ok(Opened { identity, place });
        }
        let place = match options.ephemeral {
            true => Place::Memory,
            false => Place::Folder(folder.to_owned()),
        };
        let own = store::Opened::open(&place, options.durability, head)?;
        Ok(Opened {
            identity: own.identity.clone(),
            place: OpenedPlace::Own(Box::new(own)),
        })
    }

    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self, names: Arc<RwLock<Names>>, tell: Tell) -> std::io::Result<Arc<dyn Keeper>> {
        Ok(match self.place {
            OpenedPlace::Own(own) => Arc::new(own.start(tell)?),
            OpenedPlace::Shared(bus) => Arc::new(bus.start(names, tell)),
        })
    }
}
