//! Key-value stores as buckets. A value lies there as it is; what stands beside it is a header. What has expired is not seen any
//! more, and is deleted when somebody comes across it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::label::{HEADER, json, value};
use super::place::{decode, encode};
use super::{Inner, RAISE_PAYLOAD, away, too_large};
use crate::live::store::{KvEntry, KvListed, KvPage, StoreError, is_over};
use crate::platform::time::Time;

/// Tries to be the one who changes a number.
const TRIES: usize = 1_000;
/// How long a list waits for the next of its keys.
const LIST_MAX: Duration = Duration::from_secs(5);
/// Expired keys that one list deletes at most: each is a request of its own.
const EXPIRED_MAX: usize = 1_000;
const FORGET_AT_ONCE: usize = 32;

/// What stands beside a value.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Beside {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    /// Nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl Beside {
    fn read(headers: Option<&HeaderMap>) -> Beside {
        let text = headers.and_then(|headers| headers.get(HEADER));
        text.and_then(|text| serde_json::from_str(text.as_str()).ok())
            .unwrap_or_default()
    }
}

/// Deletes what has expired, as far as nobody has put anything there since. That it fails is no matter: nobody sees it any more.
async fn forget(stream: &Stream, expired: Vec<(String, u64)>) {
    let each = futures::stream::iter(expired.into_iter().map(Ok));
    let done = each.try_for_each_concurrent(FORGET_AT_ONCE, |(subject, revision)| async move {
        // Up to this one and not beyond.
        let purged = stream.purge().filter(subject).sequence(revision + 1).await;
        purged.map(drop)
    });
    if let Err(error) = done.await {
        tracing::debug!("what has expired was not deleted: {error}");
    }
}

fn is_deleted(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get("KV-Operation").is_some() || headers.get("Nats-Marker-Reason").is_some())
}

impl Inner {
    async fn kv(&self, store: &str) -> Result<(Stream, String), StoreError> {
        let bucket = self.bucket(&self.places.bucket(store), Duration::ZERO).await?;
        let prefix = format!("$KV.{}.", bucket.name);
        Ok((bucket.stream, prefix))
    }

    pub async fn kv_put(&self, store: &str, key: &str, entry: KvEntry) -> Result<(), StoreError> {
        let (_, prefix) = self.kv(store).await?;
        self.kv_write(&format!("{prefix}{}", encode(key)), &entry, None)
            .await
            .map(drop)
    }

    /// `false`: it has changed since `revision`.
    async fn kv_write(&self, subject: &str, entry: &KvEntry, revision: Option<u64>) -> Result<bool, StoreError> {
        let beside = Beside {
            metadata: entry.metadata.clone(),
            expires_at: entry.expires_at.map(|at| at.0),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, value(&json(&beside)));
        if let Some(revision) = revision {
            headers.insert(
                async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                value(&revision.to_string()),
            );
        }
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, entry.value.clone())
            .await;
        let answered = match sent {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        use async_nats::jetstream::context::PublishErrorKind;
        match answered {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(too_large(self, "value", entry.value.len(), RAISE_PAYLOAD))
            }
            Err(error) => Err(away(self, "a value was not taken", &error)),
        }
    }

    /// What stands under a key with its revision; no entry and a revision: it was deleted.
    async fn kv_read(&self, stream: &Stream, subject: &str) -> Result<(u64, Option<KvEntry>), StoreError> {
        // Of the leader: a value that was put must be seen.
        let message = match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok((0, None)),
            Err(error) => return Err(away(self, "a value cannot be read", &error)),
        };
        if is_deleted(Some(&message.headers)) {
            return Ok((message.sequence, None));
        }
        let beside = Beside::read(Some(&message.headers));
        let entry = KvEntry {
            value: message.payload,
            metadata: beside.metadata,
            expires_at: beside.expires_at.map(Time),
        };
        Ok((message.sequence, Some(entry)))
    }

    pub async fn kv_get(&self, store: &str, key: &str, now: Time) -> Result<Option<KvEntry>, StoreError> {
        let (stream, prefix) = self.kv(store).await?;
        let subject = format!("{prefix}{}", encode(key));
        let (revision, found) = self.kv_read(&stream, &subject).await?;
        match found {
            Some(entry) if is_over(entry.expires_at, now) => {
                forget(&stream, vec![(subject, revision)]).await;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    pub async fn kv_delete(&self, store: &str, key: &str) -> Result<(), StoreError> {
        let (stream, prefix) = self.kv(store).await?;
        let purged = stream.purge().filter(format!("{prefix}{}", encode(key))).await;
        purged
            .map(drop)
            .map_err(|error| away(self, "a value was not deleted", &error))
    }

    pub async fn kv_list(
        &self,
        store: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<KvPage, StoreError> {
        let mut keys = self.kv_keys(store, now).await?;
        keys.retain(|listed| listed.key.starts_with(prefix) && after.is_none_or(|after| listed.key.as_str() > after));
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = more.then(|| keys.last().map(|last| last.key.clone())).flatten();
        Ok(KvPage { keys, next })
    }

    pub async fn kv_count(&self, store: &str, now: Time) -> Result<u64, StoreError> {
        Ok(self.kv_keys(store, now).await?.len() as u64)
    }

    /// All keys, in no order: a bucket has none.
    async fn kv_keys(&self, store: &str, now: Time) -> Result<Vec<KvListed>, StoreError> {
        let (stream, prefix) = self.kv(store).await?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            headers_only: true,
            filter_subject: format!("{prefix}>"),
            inactive_threshold: LIST_MAX,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let failed = |error: &dyn std::fmt::Display| away(self, "keys cannot be listed", error);
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut left = consumer.cached_info().num_pending;
        let (mut keys, mut expired) = (Vec::new(), Vec::new());
        while left > 0 {
            let most = usize::try_from(left.min(1_000)).unwrap_or(1);
            let asked = consumer.batch().max_messages(most).expires(LIST_MAX).messages().await;
            let mut batch = asked.map_err(|error| failed(&error))?;
            let before = left;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| failed(&error))?;
                let revision = match message.info() {
                    Ok(info) => {
                        left = info.pending;
                        info.stream_sequence
                    }
                    Err(error) => return Err(failed(&error)),
                };
                let headers = message.headers.as_ref();
                let beside = Beside::read(headers);
                if is_deleted(headers) {
                    continue;
                }
                let expires_at = beside.expires_at.map(Time);
                if is_over(expires_at, now) {
                    if expired.len() < EXPIRED_MAX {
                        expired.push((message.subject.to_string(), revision));
                    }
                    continue;
                }
                if let Some(key) = message.subject.strip_prefix(&prefix).and_then(decode) {
                    keys.push(KvListed {
                        key,
                        metadata: beside.metadata,
                        expires_at,
                    });
                }
            }
            if left == before {
                return Err(failed(&"the bus stopped in the middle of a list"));
            }
        }
        // Gone by itself in a while otherwise.
        let _ = stream.delete_consumer(&consumer.cached_info().name).await;
        forget(&stream, expired).await;
        Ok(keys)
    }

    pub async fn kv_increment(
        &self,
        store: &str,
        key: &str,
        delta: u64,
        now: Time,
        expires_at: Option<Time>,
    ) -> Result<Result<u64, String>, StoreError> {
        let (stream, prefix) = self.kv(store).await?;
        let subject = format!("{prefix}{}", encode(key));
        for _ in 0..TRIES {
            let (revision, found) = self.kv_read(&stream, &subject).await?;
            let found = found.filter(|entry| !is_over(entry.expires_at, now));
            let (sum, entry) = match KvEntry::plus(found, delta, expires_at) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            if self.kv_write(&subject, &entry, Some(revision)).await? {
                return Ok(Ok(sum));
            }
        }
        Err(StoreError::Away(format!(
            "{key:?} is changed by others all the time: try again"
        )))
    }

    pub async fn kv_clear(&self, store: &str) -> Result<(), StoreError> {
        let (stream, _) = self.kv(store).await?;
        let purged = stream.purge().await;
        purged
            .map(drop)
            .map_err(|error| away(self, "a key-value store cannot be emptied", &error))
    }
}
