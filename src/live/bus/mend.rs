//! What has gone from the broker while emulators run: a stream that somebody deleted, all of it when a server came back with an
//! empty folder. It is made anew, and what was in it is told as lost: nobody here knows what that was.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::UpdateErrorKind;
use futures::future::join_all;

use super::Inner;
use super::connect::{NEXT_TRY, TRIES, number};
use super::streams::find;
use crate::live::store::StoreError;

/// Between two looks: while a server is away everything fails.
const LOOK: Duration = Duration::from_millis(500);
/// Names that are told.
const TOLD_MAX: usize = 5;

impl Inner {
    /// After each failure looks whether what emu has made there still is.
    pub async fn run_mending(self: Arc<Self>) {
        let mut is_whole = true;
        while self.stop.run_until_cancelled(self.failed.notified()).await.is_some() {
            let gone = self.gone().await;
            if !gone.is_empty() {
                self.forget_streams(&gone).await;
                is_whole = false;
            }
            if !is_whole {
                match self.make_again().await {
                    Ok(()) => is_whole = true,
                    Err(error) => {
                        tracing::warn!("{error}; again in a moment");
                        self.failed.notify_one();
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn gone(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known.lock().await.keys().cloned().collect();
        names.extend(self.buckets.lock().await.keys().map(|bucket| format!("KV_{bucket}")));
        names.sort_unstable();
        let looked = join_all(names.iter().map(|name| find(&self.context, name))).await;
        let looked = names.into_iter().zip(looked);
        looked
            .filter_map(|(name, found)| matches!(found, Ok(None)).then_some(name))
            .collect()
    }

    async fn forget_streams(&self, gone: &[String]) {
        self.known.lock().await.retain(|name, _| !gone.contains(name));
        self.buckets
            .lock()
            .await
            .retain(|bucket, _| !gone.contains(&format!("KV_{bucket}")));
        let more = gone.len().saturating_sub(TOLD_MAX);
        let named = gone[..gone.len() - more].join(", ");
        let named = if more > 0 {
            format!("{named} and {more} more")
        } else {
            named
        };
        self.tell(
            "error",
            format!(
                "the bus at {} has lost {named}: deleted, or begun anew with an empty folder. What was in there is gone; it is \
                 made again, and emu goes on",
                self.url
            ),
        );
    }

    async fn make_again(&self) -> Result<(), StoreError> {
        self.number_again().await?;
        let Some(driver) = self.driver() else { return Ok(()) };
        let queues = driver.table().project.queues.clone();
        for queue in queues.values() {
            self.queue_stream(queue).await?;
        }
        self.event_stream().await?;
        self.topic_stream().await.map(drop)
    }

    /// Whoever comes must not get the number of one that is here, nor other ids than those that are in use.
    async fn number_again(&self) -> Result<(), StoreError> {
        let failed = |error: &dyn std::fmt::Display| super::away(self, "the members cannot be counted", error);
        let meta = self.bucket(&self.places.meta(), Duration::ZERO).await?;
        // There already: another member was faster, with the same.
        let _ = meta.create("head", self.head.to_string().into()).await;
        for _ in 0..TRIES {
            let entry = meta.entry("members").await.map_err(|error| failed(&error))?;
            let (revision, before) = entry.map_or((0, 0), |entry| {
                (entry.revision, number(Some(&entry.value)).unwrap_or_default())
            });
            if before >= self.number {
                return Ok(());
            }
            let update = meta.update("members", self.number.to_string().into(), revision).await;
            match update {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => tokio::time::sleep(NEXT_TRY).await,
                Err(error) => return Err(failed(&error)),
            }
        }
        Err(failed(&"others change it all the time"))
    }
}
