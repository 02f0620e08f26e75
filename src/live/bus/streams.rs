//! Streams, consumers and buckets as the project wants them: made when they are first needed, brought up to date when emu.toml
//! changes.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};

use super::place::Place;
use super::{Inner, away};
use crate::live::store::StoreError;
use crate::platform::time::Span;
use crate::project::Queue;

/// The broker drops what is published again under the same id within this.
const AGAIN_MAX: Duration = Duration::from_secs(120);
/// A member that is silent for this long has lost what it holds; a shorter visibility timeout shortens it.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// Messages of one queue that members hold together, as SQS bounds those in flight.
const PENDING_MAX: i64 = 120_000;

impl Inner {
    /// The stream of a queue.
    pub async fn queue_stream(&self, queue: &Queue) -> Result<Stream, StoreError> {
        let place = self.places.queue(&queue.name);
        let age_max = queue.retention.to_std();
        let window = match queue.fifo {
            true => self.window().to_std().max(AGAIN_MAX),
            false => AGAIN_MAX,
        };
        let config = Config {
            subjects: vec![place.subject],
            max_age: age_max,
            duplicate_window: window.min(age_max),
            ..work(&place.stream)
        };
        self.stream(config).await
    }

    pub async fn event_stream(&self) -> Result<Stream, StoreError> {
        self.wide_stream(&self.places.event(""), "event").await
    }

    pub async fn topic_stream(&self) -> Result<Stream, StoreError> {
        self.wide_stream(&self.places.topic(""), "topic").await
    }

    /// One stream for all of a kind.
    async fn wide_stream(&self, place: &Place, _kind: &str) -> Result<Stream, StoreError> {
        let config = Config {
            subjects: vec![format!("{}>", place.subject)],
            duplicate_window: AGAIN_MAX,
            ..work(&place.stream)
        };
        self.stream(config).await
    }

    /// Made or brought up to date, once for each content of its configuration.
    async fn stream(&self, mut config: Config) -> Result<Stream, StoreError> {
        let known = self.known.lock().await.get(&config.name).cloned();
        if let Some((made, stream)) = known
            && made.subjects == config.subjects
            && made.max_age == config.max_age
            && made.duplicate_window == config.duplicate_window
        {
            return Ok(stream);
        }
        let asked = config.clone();
        config.num_replicas = self.replicas;
        let made = self.context.create_or_update_stream(config).await;
        made.map_err(|error| away(self, &format!("stream {} cannot be made", asked.name), &error))?;
        let stream = self.context.get_stream(&asked.name).await;
        let stream = stream.map_err(|error| away(self, &format!("stream {} cannot be read", asked.name), &error))?;
        self.known
            .lock()
            .await
            .insert(asked.name.clone(), (asked, stream.clone()));
        Ok(stream)
    }

    /// The consumer that the members of the group share. `anew`: what others hold of it comes again, in its order.
    pub async fn consumer(
        &self,
        stream: &Stream,
        name: &str,
        subject: &str,
        wait: Duration,
        anew: bool,
    ) -> Result<PullConsumer, StoreError> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: subject.to_owned(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: wait,
            max_ack_pending: PENDING_MAX,
            ..pull::Config::default()
        };
        if anew {
            // There may be none.
            let _ = stream.delete_consumer(name).await;
        }
        let made = stream.create_consumer(config).await;
        made.map_err(|error| away(self, &format!("consumer {name} cannot be made"), &error))
    }

    /// A bucket whose entries vanish after `age_max`, if that is not zero.
    pub async fn bucket(&self, name: &str, age_max: Duration) -> Result<kv::Store, StoreError> {
        if let Some(store) = self.buckets.lock().await.get(name) {
            return Ok(store.clone());
        }
        let config = kv::Config {
            bucket: name.to_owned(),
            history: 1,
            max_age: age_max,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        let made = self.context.create_or_update_key_value(config).await;
        let store = made.map_err(|error| away(self, &format!("bucket {name} cannot be made"), &error))?;
        self.buckets.lock().await.insert(name.to_owned(), store.clone());
        Ok(store)
    }

    /// The provider's deduplication window.
    fn window(&self) -> Span {
        self.driver().map_or(Span::ZERO, |driver| {
            driver.table().profile.rules.queues.deduplication_window
        })
    }
}

/// What one consumer has acknowledged is gone.
fn work(name: &str) -> Config {
    Config {
        name: name.to_owned(),
        retention: RetentionPolicy::WorkQueue,
        allow_direct: false,
        ..Config::default()
    }
}

/// How long the broker waits for a member to say that it still has a message of this queue.
pub(super) fn silence(queue: &Queue) -> Duration {
    queue.visibility_timeout.to_std().clamp(SILENCE_MIN, SILENCE_MAX)
}
