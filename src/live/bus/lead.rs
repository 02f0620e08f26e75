//! Who hands out a FIFO queue: one member, by a lease, since order within a group is kept nowhere else.
//!
//! The consumer outlives its leaders, so that the broker goes on to know what each of them has. Whoever takes a queue over holds a group
//! back while the one before may have something of it, until that is acknowledged or has come back (`behind`). Whoever has lost
//! a queue begins nothing more of it: what is received is recorded before it runs, under the revision of a record that only the
//! leader has. The record also carries the receive counts over; the broker's own count everything that was only brought here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::kv::{self as buckets, CreateErrorKind, UpdateErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::behind::Behind;
use super::label::{Label, json};
use super::members::SILENCE;
use super::place::encode;
use super::{Inner, away};
use crate::live::keeper::Beside;
use crate::live::store::StoreError;
use crate::platform::ids::{MessageId, QueueId};
use crate::project::Queue;

/// Before others may think so, a leader that cannot reach the broker does.
const DOUBT: Duration = Duration::from_secs(7);
/// Between two tries to take a lease, and to reach a broker that is away.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a new leader looks whether the one before is done.
const LOOK: Duration = Duration::from_millis(250);
/// Groups of which it looks at the first message each time.
const LOOK_MAX: usize = 64;

/// The right to hand out a FIFO queue.
#[derive(Clone)]
pub(super) struct Lease(Arc<Leased>);

pub(super) struct Leased {
    queue: String,
    /// Locked over a call to the broker: it is given back under the revision of its last renewal.
    revision: tokio::sync::Mutex<(u64, Instant)>,
    lost: CancellationToken,
    /// Once the leader before is known to hold what it holds.
    taken: OnceCell<()>,
    tally: Mutex<Tally>,
    /// The record's revision; locked over a call to the broker.
    record: tokio::sync::Mutex<u64>,
    recorded: watch::Sender<Beside>,
}

/// How often messages were received that are not done.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<u64, u32>,
    version: u64,
}

/// The record, as it lies in the broker.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    member: String,
    version: u64,
    receives: BTreeMap<u64, u32>,
}

impl Lease {
    fn new(queue: &str, revision: u64) -> Lease {
        Lease(Arc::new(Leased {
            queue: queue.to_owned(),
            revision: tokio::sync::Mutex::new((revision, Instant::now())),
            lost: CancellationToken::new(),
            taken: OnceCell::new(),
            tally: Mutex::default(),
            record: tokio::sync::Mutex::default(),
            recorded: watch::Sender::default(),
        }))
    }

    pub async fn lost(&self) {
        self.0.lost.cancelled().await;
    }

    pub fn is_lost(&self) -> bool {
        self.0.lost.is_cancelled()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message was received; the version of the record that has it.
    pub fn received(&self, message: MessageId, count: u32) -> u64 {
        let mut tally = self.tally();
        tally.counts.insert(message.0, count);
        tally.version += 1;
        tally.version
    }

    /// It is done. The record need not say so.
    pub fn forget(&self, message: MessageId) {
        self.tally().counts.remove(&message.0);
    }

    pub fn receive_count(&self, message: MessageId) -> u32 {
        self.tally().counts.get(&message.0).copied().unwrap_or_default()
    }

    /// How far the record is.
    pub fn recorded(&self) -> watch::Receiver<Beside> {
        self.0.recorded.subscribe()
    }
}

impl Inner {
    pub fn leases(&self) -> Vec<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.values().cloned().collect()
    }

    pub fn lease_of(&self, queue: &str) -> Option<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(queue).filter(|lease| !lease.is_lost()).cloned()
    }

    /// Waits until nobody else hands out this queue.
    pub async fn lease(&self, queue: &str) -> Result<Lease, StoreError> {
        loop {
            if let Some(lease) = self.try_lease(queue).await? {
                return Ok(lease);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_lease(&self, queue: &str) -> Result<Option<Lease>, StoreError> {
        // Two at once would hold it twice.
        let _one = self.leasing.lock().await;
        // The task before this one, or somebody who receives from outside, may have taken it for this member.
        if let Some(lease) = self.lease_of(queue) {
            return Ok(Some(lease));
        }
        let bucket = self.bucket(&self.places.members(), SILENCE).await?;
        let key = lease_key(queue);
        let revision = match bucket.create(&key, self.member.clone().into()).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => match self.take_back(&bucket, &key).await {
                Some(revision) => revision,
                None => return Ok(None),
            },
            Err(error) => return Err(away(self, "a FIFO queue cannot be claimed", &error)),
        };
        let lease = Lease::new(queue, revision);
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(queue.to_owned(), lease.clone());
        Ok(Some(lease))
    }

    /// A lease that is this member's own and that it does not hold: it is being given back, or whoever took it was stopped before
    /// the answer came.
    async fn take_back(&self, bucket: &buckets::Store, key: &str) -> Option<u64> {
        let entry = bucket.entry(key).await.ok().flatten()?;
        if entry.value != self.member.as_bytes() {
            return None;
        }
        // From here on it is not given back under the revision of before.
        let updated = bucket.update(key, self.member.clone().into(), entry.revision).await;
        updated.ok()
    }

    pub async fn renew(self: &Arc<Self>, lease: &Lease) {
        let Ok(bucket) = self.bucket(&self.places.members(), SILENCE).await else {
            return;
        };
        let mut held = lease.0.revision.lock().await;
        if lease.is_lost() {
            return;
        }
        let (revision, renewed_at) = *held;
        let key = lease_key(&lease.0.queue);
        let updated = bucket.update(&key, self.member.clone().into(), revision).await;
        match updated {
            Ok(revision) => *held = (revision, Instant::now()),
            Err(error) => {
                tracing::debug!("{key}: {error}");
                if renewed_at.elapsed() >= DOUBT {
                    self.drop_lease(lease);
                }
            }
        }
    }

    fn drop_lease(self: &Arc<Self>, lease: &Lease) {
        lease.0.lost.cancel();
        lease.0.recorded.send_modify(|beside| beside.is_void = true);
        {
            let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            // A new one of the same queue may stand there already.
            if leases
                .get(&lease.0.queue)
                .is_some_and(|held| Arc::ptr_eq(&held.0, &lease.0))
            {
                leases.remove(&lease.0.queue);
            }
        }
        self.resign(&lease.0.queue);
    }

    /// What is here of a queue and was not received is the next leader's. What runs is done here: the next one waits for it.
    pub fn resign(&self, queue: &str) {
        let Some(id) = self.names().find_queue(queue) else {
            return;
        };
        let behind = self.behinds().remove(&id);
        for acker in behind.into_iter().flat_map(Behind::into_ackers) {
            tokio::spawn(async move { acker.ack_with(AckKind::Nak(None)).await.ok() });
        }
        if let Some(driver) = self.driver() {
            driver.resign(id);
        }
    }

    /// For a queue whose task was stopped, and with it what would have given the lease back.
    pub fn release(self: &Arc<Self>, queue: &str) {
        if let Some(lease) = self.lease_of(queue) {
            self.let_go(lease);
        }
    }

    /// For when the manifest changes: other members may still have the queues that left it.
    pub fn release_all_but<'a>(self: &Arc<Self>, queues: impl Iterator<Item = &'a Queue>) {
        let stay: BTreeSet<&str> = queues
            .filter(|queue| queue.fifo)
            .map(|queue| queue.name.as_str())
            .collect();
        for lease in self.leases() {
            if !stay.contains(lease.0.queue.as_str()) {
                self.let_go(lease);
            }
        }
    }

    fn let_go(self: &Arc<Self>, lease: Lease) {
        self.drop_lease(&lease);
        let inner = self.clone();
        tokio::spawn(async move { inner.give_back(lease).await });
    }

    pub async fn give_back(self: &Arc<Self>, lease: Lease) {
        self.drop_lease(&lease);
        let revision = lease.0.revision.lock().await.0;
        if let Ok(bucket) = self.bucket(&self.places.members(), SILENCE).await {
            // Gone by itself otherwise.
            let key = lease_key(&lease.0.queue);
            let _ = bucket.purge_expect_revision(&key, Some(revision)).await;
        }
    }

    /// For somebody who receives from outside: this member hands out the queue from now on, if no other does.
    pub async fn hold_lease(&self, queue: &Queue) -> Result<Lease, StoreError> {
        match self.try_lease(&queue.name).await? {
            Some(lease) => Ok(lease),
            None => Err(self.elsewhere(&queue.name).await),
        }
    }

    pub async fn check_lease(&self, queue: &str) -> Result<(), StoreError> {
        match self.lease_of(queue) {
            Some(_) => Ok(()),
            None => Err(self.elsewhere(queue).await),
        }
    }

    async fn elsewhere(&self, queue: &str) -> StoreError {
        let holder = match self.bucket(&self.places.members(), SILENCE).await {
            Ok(bucket) => bucket.get(lease_key(queue)).await.ok().flatten(),
            Err(_) => None,
        };
        let members = self.members().await.unwrap_or_default();
        // One that is being given back is nobody's.
        let mut others = members.into_iter().filter(|member| member.name != self.member);
        let holder = holder.and_then(|name| others.find(|member| member.name.as_bytes() == name));
        match holder {
            Some(member) => StoreError::Elsewhere(format!(
                "FIFO queue {queue} is handed out by member {}: receive at {}",
                member.name, member.control_url
            )),
            None => changes_hands(queue),
        }
    }

    /// The consumer of a queue, once it is known what the leader before may still have in flight.
    pub async fn take_over(&self, id: QueueId, queue: &Queue, lease: &Lease) -> Result<PullConsumer, StoreError> {
        let consumer = self.queue_consumer(queue).await?;
        let take = || async {
            self.begin_record(lease).await?;
            let theirs = self.held_by_others(id, queue, &consumer).await?;
            self.behinds().entry(id).or_default().wait_for(theirs);
            Ok::<_, StoreError>(())
        };
        lease.0.taken.get_or_try_init(take).await?;
        Ok(consumer)
    }

    /// What was handed out and is not acknowledged, by sequence, with its group.
    async fn held_by_others(
        &self,
        id: QueueId,
        queue: &Queue,
        consumer: &PullConsumer,
    ) -> Result<Vec<(u64, Arc<str>)>, StoreError> {
        let failed = |error: &dyn std::fmt::Display| {
            away(
                self,
                &format!("what is in flight of queue {} is not known", queue.name),
                error,
            )
        };
        let info = consumer.get_info().await.map_err(|error| failed(&error))?;
        if info.num_ack_pending == 0 {
            return Ok(Vec::new());
        }
        let mine = self.sequences(id);
        let stream = self.queue_stream(queue).await?;
        let subject = self.places.queue(&queue.name).subject;
        let (mut next, last) = (info.ack_floor.stream_sequence + 1, info.delivered.stream_sequence);
        let mut theirs = Vec::new();
        while next <= last {
            // What is acknowledged is there no more.
            let message = stream.raw_message_builder().next_by_subject(subject.as_str());
            let message = match message.sequence(next).send().await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(failed(&error)),
            };
            next = message.sequence + 1;
            if message.sequence <= last && !mine.contains(&message.sequence) {
                let label = Label::read(Some(&message.headers));
                let group = label.and_then(|label| label.group).unwrap_or_default();
                theirs.push((message.sequence, group.into()));
            }
        }
        Ok(theirs)
    }

    /// What stands here of a queue, by its place in the stream.
    fn sequences(&self, id: QueueId) -> HashSet<u64> {
        let behinds = self.behinds();
        let waiting = behinds.get(&id).map(Behind::sequences);
        waiting
            .into_iter()
            .flatten()
            .chain(self.held().claims.sequences(id))
            .collect()
    }

    /// Looks whether the leader before is done with what it had in flight.
    pub async fn settle(&self, id: QueueId, queue: &Queue, consumer: &PullConsumer) -> Result<(), StoreError> {
        let firsts = match self.behinds().get_mut(&id) {
            Some(behind) => behind.due_to_look(LOOK, LOOK_MAX),
            None => return Ok(()),
        };
        if firsts.is_empty() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| {
            away(
                self,
                &format!("what is in flight of queue {} is not known", queue.name),
                error,
            )
        };
        let before = self.sequences(id);
        let info = consumer.get_info().await.map_err(|error| failed(&error))?;
        // Here all the time in which the broker counted.
        let mine = self.sequences(id).intersection(&before).count();
        if info.num_ack_pending <= mine {
            if let Some(behind) = self.behinds().get_mut(&id) {
                behind.wait_for(Vec::new());
            }
            return Ok(());
        }
        let stream = self.queue_stream(queue).await?;
        let looked = join_all(firsts.iter().map(|sequence| stream.get_raw_message(*sequence))).await;
        let gone = looked.iter().zip(firsts).filter_map(|(found, sequence)| match found {
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Some(sequence),
            _ => None,
        });
        if let Some(behind) = self.behinds().get_mut(&id) {
            gone.for_each(|sequence| behind.is_gone(sequence));
        }
        Ok(())
    }

    /// Makes the record this leader's: from here on the one before can write it no more.
    async fn begin_record(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut revision = lease.0.record.lock().await;
        let bucket = self.bucket(&self.places.meta(), Duration::ZERO).await?;
        while !lease.is_lost() {
            let entry = bucket.entry(record_key(&lease.0.queue)).await;
            let entry = entry.map_err(|error| away(self, "receive counts cannot be read", &error))?;
            let before = entry.as_ref().map_or(0, |entry| entry.revision);
            let record = entry.and_then(|entry| serde_json::from_slice::<Record>(&entry.value).ok());
            lease.tally().counts = record.unwrap_or_default().receives;
            let (text, _) = self.record(lease);
            if let Some(next) = self.put_record(lease, text, before).await? {
                *revision = next;
                return Ok(());
            }
            // Of a cluster a server may have answered that has not heard of the last one yet.
            let _ = tokio::time::timeout(LOOK, lease.lost()).await;
        }
        Err(changes_hands(&lease.0.queue))
    }

    fn record(&self, lease: &Lease) -> (String, u64) {
        let tally = lease.tally();
        let record = Record {
            member: self.member.clone(),
            version: tally.version,
            receives: tally.counts.clone(),
        };
        (json(&record), tally.version)
    }

    /// `None`: somebody else has written it since.
    async fn put_record(&self, lease: &Lease, text: String, revision: u64) -> Result<Option<u64>, StoreError> {
        let bucket = self.bucket(&self.places.meta(), Duration::ZERO).await?;
        let key = record_key(&lease.0.queue);
        let failed = |error: &dyn std::fmt::Display| away(self, "receive counts cannot be written", error);
        match bucket.update(&key, text.clone().into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                // One's own, whose answer was lost.
                let entry = bucket.entry(&key).await.map_err(|error| failed(&error))?;
                let own = entry.filter(|entry| entry.value == text.as_bytes());
                Ok(own.map(|entry| entry.revision))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Records what was received up to this version; all that has come meanwhile goes with it.
    pub async fn write_record(self: &Arc<Self>, lease: &Lease, version: u64) {
        let mut revision = lease.0.record.lock().await;
        while !lease.is_lost() && lease.0.recorded.borrow().version < version {
            let (text, reached) = self.record(lease);
            match self.put_record(lease, text, *revision).await {
                Ok(Some(next)) => {
                    *revision = next;
                    lease.0.recorded.send_modify(|beside| beside.version = reached);
                }
                Ok(None) => return self.drop_lease(lease),
                Err(error) => {
                    tracing::warn!("{error}; again in a moment");
                    let _ = tokio::time::timeout(AGAIN, lease.lost()).await;
                }
            }
        }
    }
}

/// For what cannot be handed out by anybody at this moment.
pub(super) fn changes_hands(queue: &str) -> StoreError {
    StoreError::Elsewhere(format!(
        "FIFO queue {queue} is about to change hands: try again in a few seconds"
    ))
}

fn lease_key(queue: &str) -> String {
    format!("fifo.{}", encode(queue))
}

fn record_key(queue: &str) -> String {
    format!("receives.{}", encode(queue))
}
