//! Streams, consumers and buckets as the project wants them: made when they are first needed, brought up to date when emu.toml
//! changes.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{Context, ErrorCode, kv};

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
        self.wide_stream(&self.places.event("")).await
    }

    pub async fn topic_stream(&self) -> Result<Stream, StoreError> {
        self.wide_stream(&self.places.topic("")).await
    }

    /// One stream for all of a kind.
    async fn wide_stream(&self, place: &Place) -> Result<Stream, StoreError> {
        let config = Config {
            subjects: vec![format!("{}>", place.subject)],
            duplicate_window: AGAIN_MAX,
            ..work(&place.stream)
        };
        self.stream(config).await
    }

    /// Made or brought up to date, once for each content of its configuration.
    async fn stream(&self, config: Config) -> Result<Stream, StoreError> {
        let known = self.known.lock().await.get(&config.name).cloned();
        if let Some((made, stream)) = known
            && is_same(&made, &config)
        {
            return Ok(stream);
        }
        let failed =
            |error: &dyn std::fmt::Display| away(self, &format!("stream {} cannot be made", config.name), error);
        let found = find(&self.context, &config.name)
            .await
            .map_err(|error| failed(&error))?;
        let wanted = Config {
            num_replicas: copies(&self.context, found.as_ref(), self.replicas),
            ..config.clone()
        };
        let stream = match found {
            None => self
                .context
                .create_stream(wanted)
                .await
                .map_err(|error| failed(&error))?,
            Some(stream) if is_up_to_date(&stream, &wanted) => stream,
            Some(_) => {
                let updated = self.context.update_stream(wanted).await;
                updated.map_err(|error| failed(&error))?;
                let stream = self.context.get_stream(&config.name).await;
                stream.map_err(|error| failed(&error))?
            }
        };
        let made = (config.clone(), stream.clone());
        self.known.lock().await.insert(config.name, made);
        Ok(stream)
    }

    /// The consumer that the members of the group share.
    pub async fn consumer(
        &self,
        stream: &Stream,
        name: &str,
        subject: &str,
        wait: Duration,
    ) -> Result<PullConsumer, StoreError> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: subject.to_owned(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: wait,
            max_ack_pending: PENDING_MAX,
            ..pull::Config::default()
        };
        let made = stream.create_consumer(config).await;
        made.map_err(|error| away(self, &format!("consumer {name} cannot be made"), &error))
    }

    /// A bucket whose entries vanish after `age_max`, if that is not zero.
    pub async fn bucket(&self, name: &str, age_max: Duration) -> Result<kv::Store, StoreError> {
        if let Some(store) = self.buckets.lock().await.get(name) {
            return Ok(store.clone());
        }
        let made = open_bucket(&self.context, name, age_max, self.replicas).await;
        let store =
            made.map_err(|error| away(self, &format!("bucket {name} cannot be made"), &format!("{error:#}")))?;
        self.buckets.lock().await.insert(name.to_owned(), store.clone());
        Ok(store)
    }

    /// The provider's deduplication window.
    pub fn window(&self) -> Span {
        self.driver().map_or(Span::ZERO, |driver| {
            driver.table().profile.rules.queues.deduplication_window
        })
    }
}

/// A bucket whose entries vanish after `age_max`, if that is not zero.
///
/// # Errors
/// When it can be neither found nor made.
pub(super) async fn open_bucket(
    context: &Context,
    name: &str,
    age_max: Duration,
    replicas: usize,
) -> anyhow::Result<kv::Store> {
    let found = find(context, &format!("KV_{name}")).await?;
    let config = kv::Config {
        bucket: name.to_owned(),
        history: 1,
        max_age: age_max,
        num_replicas: copies(context, found.as_ref(), replicas),
        ..kv::Config::default()
    };
    let Some(stream) = found else {
        return Ok(context.create_key_value(config).await?);
    };
    let there = &stream.cached_info().config;
    if there.max_age == age_max && there.num_replicas == config.num_replicas {
        return Ok(context.get_key_value(name).await?);
    }
    Ok(context.create_or_update_key_value(config).await?)
}

/// Looks before anything is made: a cluster never answers an update of a stream that another is making at this moment.
pub(super) async fn find(context: &Context, stream: &str) -> Result<Option<Stream>, GetStreamError> {
    match context.get_stream(stream).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(error),
        },
    }
}

/// As many copies as a stream has, if those are more than `wanted`: who comes while a server is down sees a smaller cluster, and must
/// not take copies away. A server by itself keeps one of each.
fn copies(context: &Context, found: Option<&Stream>, wanted: usize) -> usize {
    match found {
        Some(stream) if context.client().server_info().cluster.is_some() => {
            stream.cached_info().config.num_replicas.max(wanted)
        }
        _ => wanted,
    }
}

fn is_same(one: &Config, other: &Config) -> bool {
    one.subjects == other.subjects && one.max_age == other.max_age && one.duplicate_window == other.duplicate_window
}

fn is_up_to_date(stream: &Stream, wanted: &Config) -> bool {
    let there = &stream.cached_info().config;
    is_same(there, wanted) && there.num_replicas == wanted.num_replicas
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
