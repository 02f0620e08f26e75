//! The group: who takes part, and who fires for an instant of a cron. Who hands out a FIFO queue is in `lead`.
//!
//! All of it are entries of buckets: made only where there is none, repeated as long as they hold, gone by themselves after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::kv::CreateErrorKind;
use futures::future::join_all;

use super::place::encode;
use super::{Inner, away};
use crate::live::api::Member;
use crate::live::driver::Driver;
use crate::live::store::StoreError;
use crate::platform::time::Time;

/// How often a member repeats what it has said.
const REPEAT: Duration = Duration::from_secs(2);
/// What is not repeated for this long is void.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Instants of crons are remembered for longer than any member catches up.
const INSTANTS: Duration = Duration::from_secs(48 * 3600);
/// How long a stop waits for the broker.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// Whose queues were compared with one's own.
#[derive(Default)]
struct Compared {
    queues: BTreeMap<String, String>,
    members: BTreeSet<String>,
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
        tokio::spawn(self.clone().run_answers());
        tokio::spawn(self.clone().run_membership());
    }

    /// What is decided is carried out, what is left goes to others at once.
    pub async fn leave(self: &Arc<Self>) {
        self.pumps.cancel();
        self.pumping.close();
        let asked_for_no_more = async {
            self.pumping.wait().await;
            // Once the server has heard of it: a request that still stands would have what is given back below, and count it.
            let _ = self.context.client().flush().await;
        };
        let _ = tokio::time::timeout(LEAVE_MAX, asked_for_no_more).await;
        let mut open = self.open.subscribe();
        let done = open.wait_for(|open| *open == 0);
        // Without the broker it comes to others by itself.
        let _ = tokio::time::timeout(LEAVE_MAX, done).await;
        let behinds = std::mem::take(&mut *self.behinds());
        let behind = behinds.into_values().flat_map(super::behind::Behind::into_ackers);
        let left = self.held().claims.take(|_, _| true);
        let back = left.into_iter().map(|claim| self.give_back_claim(claim, None).wait());
        let _ = tokio::time::timeout(LEAVE_MAX, join_all(back)).await;
        self.stop.cancel();
        let give_up = async {
            join_all(behind.map(|acker| async move { acker.ack_with(AckKind::Nak(None)).await })).await;
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
        let mut compared = Compared::default();
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
            if let Err(error) = self.compare(&mut compared).await {
                tracing::debug!("{error}");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(REPEAT) => {}
            }
        }
    }

    /// Says of each member that comes whose queues are others than here.
    async fn compare(&self, compared: &mut Compared) -> Result<(), StoreError> {
        let Some(driver) = self.driver() else { return Ok(()) };
        let own = self.describe(&driver).queues;
        drop(driver);
        if own != compared.queues {
            *compared = Compared {
                queues: own,
                members: BTreeSet::new(),
            };
        }
        let names: BTreeSet<String> = self.member_names().await?.into_iter().collect();
        let bucket = self.bucket(&self.places.members(), SILENCE).await?;
        for name in names.difference(&compared.members).filter(|name| **name != self.member) {
            let text = bucket.get(format!("member.{name}")).await;
            let text = text.map_err(|error| away(self, "a member cannot be read", &error))?;
            let Some(member) = text.and_then(|text| serde_json::from_slice::<Member>(&text).ok()) else {
                continue;
            };
            for (queue, there) in &member.queues {
                let Some(here) = compared.queues.get(queue).filter(|here| *here != there) else {
                    continue;
                };
                self.tell(
                    "warning",
                    format!(
                        "queue {queue} is {there} at member {name} ({}, pid {}), and {here} here: emulators of one [project] name \
                         share their queues, and are to have the same emu.toml; another project needs another name",
                        member.host, member.pid
                    ),
                );
            }
        }
        compared.members = names;
        Ok(())
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
        let names = self.member_names().await?;
        let keys = names.iter().map(|name| format!("member.{name}"));
        let entries = join_all(keys.map(|key| bucket.entry(key))).await;
        let mut members = Vec::with_capacity(names.len() + 1);
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

    /// Who has said lately that it is there, this member included.
    pub async fn member_names(&self) -> Result<Vec<String>, StoreError> {
        let bucket = self.bucket(&self.places.members(), SILENCE).await?;
        let failed = |error: &dyn std::fmt::Display| away(self, "the members cannot be read", error);
        let prefix = format!("{}member.", bucket.prefix);
        // A list of keys would leave a consumer behind each time.
        let asked = bucket.stream.info_with_subjects(format!("{prefix}>")).await;
        let subjects = asked.map_err(|error| failed(&error))?;
        let subjects: Vec<(String, usize)> = futures::TryStreamExt::try_collect(subjects)
            .await
            .map_err(|error| failed(&error))?;
        let names = subjects.iter().filter_map(|(subject, _)| subject.strip_prefix(&prefix));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
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
}
