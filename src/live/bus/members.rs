//! The group: who takes part, who hands out a FIFO queue, who fires for an instant of a cron.
//!
//! All of it are entries of buckets: made only where there is none, repeated as long as they hold, gone by themselves after a while.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{self as buckets, CreateErrorKind};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::place::encode;
use super::{Inner, away};
use crate::live::api::Member;
use crate::live::driver::Driver;
use crate::live::store::StoreError;
use crate::platform::time::Time;
use crate::project::Queue;

/// How often a member repeats what it has said.
const REPEAT: Duration = Duration::from_secs(2);
/// What is not repeated for this long is void.
const SILENCE: Duration = Duration::from_secs(10);
/// Before others may think so, a member that cannot reach the broker does.
const DOUBT: Duration = Duration::from_secs(7);
/// Instants of crons are remembered for longer than any member catches up.
const INSTANTS: Duration = Duration::from_secs(48 * 3600);
/// How long a stop waits for the broker.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// The right to hand out a FIFO queue.
#[derive(Clone)]
pub(super) struct Lease(Arc<Leased>);

pub(super) struct Leased {
    key: String,
    /// Locked over a call to the broker: it is given back under the revision of its last renewal.
    revision: tokio::sync::Mutex<(u64, Instant)>,
    lost: CancellationToken,
}

impl Lease {
    pub async fn lost(&self) {
        self.0.lost.cancelled().await;
    }

    pub fn is_lost(&self) -> bool {
        self.0.lost.is_cancelled()
    }
}

impl Inner {
    pub fn join(self: &Arc<Self>, driver: &Driver) {
        if self.driver.set(Arc::downgrade(&driver.0)).is_err() {
            return;
        }
        let (stop, leaving) = (self.pumps.clone(), driver.0.stopping.clone());
        tokio::spawn(async move {
            leaving.cancelled().await;
            stop.cancel();
        });
        tokio::spawn(self.clone().run_pumps());
        tokio::spawn(self.clone().run_renewal());
        tokio::spawn(self.clone().run_counts());
        tokio::spawn(self.clone().run_membership());
    }

    /// What is decided is carried out, what is left goes to others at once.
    pub async fn leave(&self) {
        self.pumps.cancel();
        let mut open = self.open.subscribe();
        let done = open.wait_for(|open| *open == 0);
        // Without the broker it comes to others by itself.
        let _ = tokio::time::timeout(LEAVE_MAX, done).await;
        let left = self.held().claims.take(|_, _| true);
        let back = left.into_iter().map(|claim| self.give_back_claim(claim, None).wait());
        let _ = tokio::time::timeout(LEAVE_MAX, join_all(back)).await;
        self.stop.cancel();
        let give_up = async {
            for lease in self.leases() {
                self.give_back(lease).await;
            }
            if let Ok(members) = self.bucket(&self.places.members(), SILENCE).await {
                let _ = members.purge(format!("member.{}", self.member)).await;
            }
            let _ = self.context.client().flush().await;
        };
        let _ = tokio::time::timeout(LEAVE_MAX, give_up).await;
    }

    async fn run_membership(self: Arc<Self>) {
        loop {
            let Some(driver) = self.driver() else { return };
            let said = self.say(&driver).await;
            drop(driver);
            if let Err(error) = said {
                tracing::debug!("{error}");
            }
            for lease in self.leases() {
                self.renew(&lease).await;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(REPEAT) => {}
            }
        }
    }

    async fn say(&self, driver: &Driver) -> Result<(), StoreError> {
        let members = self.bucket(&self.places.members(), SILENCE).await?;
        let text = super::label::json(&self.describe(driver));
        let put = members.put(format!("member.{}", self.member), text.into()).await;
        put.map_err(|error| away(self, "this member cannot say that it is there", &error))?;
        *self.said_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// What the others show of this member.
    fn describe(&self, driver: &Driver) -> Member {
        // The core is locked before what is held, never after.
        let holds = self.held().claims.len() as u64;
        Member {
            name: self.member.clone(),
            holds,
            ..driver.described()
        }
    }

    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let Some(driver) = self.driver() else {
            return Ok(Vec::new());
        };
        let own = self.describe(&driver);
        drop(driver);
        let bucket = self.bucket(&self.places.members(), SILENCE).await?;
        let failed = |error: &dyn std::fmt::Display| away(self, "the members cannot be read", error);
        // A list of keys would leave a consumer behind each time.
        let asked = bucket
            .stream
            .info_with_subjects(format!("{}member.>", bucket.prefix))
            .await;
        let subjects = asked.map_err(|error| failed(&error))?;
        let subjects: Vec<(String, usize)> = futures::TryStreamExt::try_collect(subjects)
            .await
            .map_err(|error| failed(&error))?;
        let mut keys: Vec<&str> = subjects
            .iter()
            .filter_map(|(subject, _)| subject.strip_prefix(&bucket.prefix))
            .collect();
        keys.sort_unstable();
        let entries = join_all(keys.iter().map(|key| bucket.entry(*key))).await;
        let mut members = Vec::with_capacity(keys.len() + 1);
        let said_at = *self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = None;
        for entry in entries {
            // It may have left just now.
            let Some(entry) = entry.map_err(|error| failed(&error))? else {
                continue;
            };
            let written_ns = entry.created.unix_timestamp_nanos();
            newest = newest.max(Some(written_ns));
            if let Ok(member) = serde_json::from_slice::<Member>(&entry.value) {
                members.push((written_ns, member));
            }
        }
        // By the broker's clock: the members' own may differ.
        let wrote_ns = members
            .iter()
            .find(|(_, member)| member.name == own.name)
            .map(|(at, _)| *at);
        let now_ns = match (wrote_ns, said_at) {
            (Some(at), Some(said_at)) => at + i128::try_from(said_at.elapsed().as_nanos()).unwrap_or_default(),
            _ => newest.unwrap_or_default(),
        };
        let others = members.into_iter().filter(|(_, member)| member.name != own.name);
        let others = others.map(|(at, member)| Member {
            silent_ms: Duration::from_nanos(u64::try_from(now_ns - at).unwrap_or_default()).as_secs_f64() * 1e3,
            ..member
        });
        Ok(std::iter::once(own.clone()).chain(others).collect())
    }

    /// Whether this member is the first to claim an instant.
    pub async fn is_first(&self, trigger: &str, at: Time) -> Result<bool, StoreError> {
        let bucket = self.bucket(&self.places.crons(), INSTANTS).await?;
        let key = format!("{}.{}", encode(trigger), at.0);
        let failed = |error: &dyn std::fmt::Display| away(self, "an instant cannot be claimed", error);
        match bucket.create(&key, self.member.clone().into()).await {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => tracing::debug!("{error}"),
        }
        // Another's, or one's own whose answer was lost.
        let held = bucket.get(&key).await.map_err(|error| failed(&error))?;
        match held {
            Some(member) => Ok(member.as_ref() == self.member.as_bytes()),
            None => Err(failed(&"no answer")),
        }
    }

    fn leases(&self) -> Vec<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.values().cloned().collect()
    }

    fn lease_of(&self, queue: &str) -> Option<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(&lease_key(queue)).filter(|lease| !lease.is_lost()).cloned()
    }

    /// Waits until nobody else hands out this queue.
    pub async fn lease(&self, queue: &str) -> Result<Lease, StoreError> {
        loop {
            if let Some(lease) = self.try_lease(queue).await? {
                return Ok(lease);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
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
        self.forget_outside(queue);
        let lease = Lease(Arc::new(Leased {
            key: key.clone(),
            revision: tokio::sync::Mutex::new((revision, Instant::now())),
            lost: CancellationToken::new(),
        }));
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(key, lease.clone());
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

    /// What waits here for somebody outside was handed out by a consumer that is gone.
    pub fn forget_outside(&self, queue: &str) {
        let id = self.names().find_queue(queue);
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = id {
            outside.remove(&id);
        }
    }

    async fn renew(&self, lease: &Lease) {
        let Ok(bucket) = self.bucket(&self.places.members(), SILENCE).await else {
            return;
        };
        let mut held = lease.0.revision.lock().await;
        if lease.is_lost() {
            return;
        }
        let (revision, renewed_at) = *held;
        let updated = bucket.update(&lease.0.key, self.member.clone().into(), revision).await;
        match updated {
            Ok(revision) => *held = (revision, Instant::now()),
            Err(error) => {
                tracing::debug!("{}: {error}", lease.0.key);
                if renewed_at.elapsed() >= DOUBT {
                    self.drop_lease(lease);
                }
            }
        }
    }

    fn drop_lease(&self, lease: &Lease) {
        lease.0.lost.cancel();
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        // A new one of the same queue may stand there already.
        if leases
            .get(&lease.0.key)
            .is_some_and(|held| Arc::ptr_eq(&held.0, &lease.0))
        {
            leases.remove(&lease.0.key);
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
        let stay: BTreeSet<String> = queues
            .filter(|queue| queue.fifo)
            .map(|queue| lease_key(&queue.name))
            .collect();
        for lease in self.leases() {
            if !stay.contains(&lease.0.key) {
                self.let_go(lease);
            }
        }
    }

    fn let_go(self: &Arc<Self>, lease: Lease) {
        self.drop_lease(&lease);
        let inner = self.clone();
        tokio::spawn(async move { inner.give_back(lease).await });
    }

    pub async fn give_back(&self, lease: Lease) {
        self.drop_lease(&lease);
        let revision = lease.0.revision.lock().await.0;
        if let Ok(bucket) = self.bucket(&self.places.members(), SILENCE).await {
            // Gone by itself otherwise.
            let _ = bucket.purge_expect_revision(&lease.0.key, Some(revision)).await;
        }
    }

    /// For somebody who receives from outside: this member hands out the queue from now on, if no other does.
    pub async fn hold_lease(&self, queue: &Queue) -> Result<(), StoreError> {
        if self.lease_of(&queue.name).is_some() {
            return Ok(());
        }
        if self.try_lease(&queue.name).await?.is_none() {
            return Err(self.elsewhere(&queue.name).await);
        }
        self.queue_consumer(queue, true).await.map(drop)
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
        StoreError::Elsewhere(match holder {
            Some(member) => format!(
                "FIFO queue {queue} is handed out by member {}: receive at {}",
                member.name, member.control_url
            ),
            None => format!("FIFO queue {queue} is about to change hands: try again in a few seconds"),
        })
    }
}

fn lease_key(queue: &str) -> String {
    format!("fifo.{}", encode(queue))
}
