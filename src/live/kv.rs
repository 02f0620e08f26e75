//! The project's key-value stores: what a key and a value may be, and emu's clock for what expires.

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;

use super::bindings::not_found;
use super::driver::Driver;
use super::state::store_error;
use super::store::{KvEntry, StoreError};
use crate::engine::{HostError, KeyValue, KvExpiry, KvKey, KvList, KvPage, KvPut, KvValue};
use crate::platform::time::{Span, Time};

// Cloudflare's limits of KV: <https://developers.cloudflare.com/kv/platform/limits/>.
const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 25 << 20;
const METADATA_BYTES_MAX: usize = 1_024;
/// Keys on one page of a list.
const LIST_MAX: u32 = 1_000;

/// One store of the manifest.
#[derive(Clone)]
pub struct Kv {
    driver: Driver,
    name: String,
    ttl: Option<Span>,
}

impl Driver {
    /// The store that the manifest calls so.
    ///
    /// # Errors
    /// `kv-not-found`.
    pub fn kv(&self, name: &str) -> Result<Kv, HostError> {
        let table = self.table();
        let Some(store) = table.project.kv.get(name) else {
            return Err(not_found("key-value store", name, table.project.kv.keys()));
        };
        Ok(Kv {
            driver: self.clone(),
            name: store.name.clone(),
            ttl: store.ttl,
        })
    }
}

impl Kv {
    /// # Errors
    /// `store-failed`.
    pub async fn count(&self) -> Result<u64, HostError> {
        let counted = self.driver.0.store.kv_count(&self.name, self.driver.now()).await;
        counted.map_err(store_error)
    }

    async fn read(self, key: String) -> Result<Option<KvValue>, HostError> {
        check_key(&key)?;
        let found = self.driver.0.store.kv_get(&self.name, &key, self.driver.now()).await;
        Ok(found.map_err(store_error)?.map(|entry| KvValue {
            value: entry.value,
            metadata: entry.metadata.as_deref().and_then(metadata),
            expires_at: entry.expires_at,
        }))
    }

    async fn write(self, key: String, put: KvPut) -> Result<(), HostError> {
        check_key(&key)?;
        check_value(&put.value)?;
        let metadata = put
            .metadata
            .filter(|value| !value.is_null())
            .map(|value| value.to_string());
        if metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
            return Err(refused(
                "metadata-too-large",
                format!("metadata has at most {METADATA_BYTES_MAX} bytes as JSON"),
            ));
        }
        let now = self.driver.now();
        let expires_at = match put.expiry {
            KvExpiry::OfStore => self.of_store(now),
            KvExpiry::In(span) => Some(now + span),
            KvExpiry::At(at) => Some(at),
        };
        if expires_at.is_some_and(|at| at <= now) {
            return Err(refused(
                "bad-expiry",
                format!("the value of {key:?} would expire at once: give a time to come"),
            ));
        }
        let entry = KvEntry {
            value: put.value,
            metadata,
            expires_at,
        };
        self.driver
            .0
            .store
            .kv_put(&self.name, &key, entry)
            .await
            .map_err(store_error)
    }

    async fn remove(self, key: String) -> Result<(), HostError> {
        check_key(&key)?;
        let deleted = self.driver.0.store.kv_delete(&self.name, &key).await;
        deleted.map_err(store_error)
    }

    async fn page(self, list: KvList) -> Result<KvPage, HostError> {
        let limit = list.limit.unwrap_or(LIST_MAX);
        if limit == 0 || limit > LIST_MAX {
            return Err(refused(
                "bad-limit",
                format!("a list has 1 to {LIST_MAX} keys, not {limit}"),
            ));
        }
        let (now, after) = (
            self.driver.now(),
            list.cursor.as_deref().filter(|after| !after.is_empty()),
        );
        let store = &self.driver.0.store;
        let found = store
            .kv_list(&self.name, &list.prefix, after, limit as usize, now)
            .await;
        let page = found.map_err(store_error)?;
        let key = |listed: super::store::KvListed| KvKey {
            name: listed.key,
            metadata: listed.metadata.as_deref().and_then(metadata),
            expires_at: listed.expires_at,
        };
        Ok(KvPage {
            keys: page.keys.into_iter().map(key).collect(),
            cursor: page.next,
        })
    }

    async fn add(self, key: String, delta: u64) -> Result<u64, HostError> {
        check_key(&key)?;
        let now = self.driver.now();
        let store = &self.driver.0.store;
        let added: Result<_, StoreError> = store
            .kv_increment(&self.name, &key, delta, now, self.of_store(now))
            .await;
        let added = added.map_err(store_error)?;
        added.map_err(|why| refused("not-a-number", format!("{key:?} cannot be added to: {why}")))
    }

    fn of_store(&self, now: Time) -> Option<Time> {
        self.ttl.map(|ttl| now + ttl)
    }
}

impl KeyValue for Kv {
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<KvValue>, HostError>> {
        Box::pin(self.clone().read(key))
    }

    fn put(&self, key: String, put: KvPut) -> BoxFuture<'static, Result<(), HostError>> {
        Box::pin(self.clone().write(key, put))
    }

    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), HostError>> {
        Box::pin(self.clone().remove(key))
    }

    fn list(&self, list: KvList) -> BoxFuture<'static, Result<KvPage, HostError>> {
        Box::pin(self.clone().page(list))
    }

    fn increment(&self, key: String, delta: u64) -> BoxFuture<'static, Result<u64, HostError>> {
        Box::pin(self.clone().add(key, delta))
    }
}

/// What the store wrote was JSON.
fn metadata(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn check_key(key: &str) -> Result<(), HostError> {
    match key.len() {
        0 => Err(refused("bad-key", "a key has at least one character".to_owned())),
        1..=KEY_BYTES_MAX => Ok(()),
        more => Err(refused(
            "bad-key",
            format!("a key has at most {KEY_BYTES_MAX} bytes, this one {more}"),
        )),
    }
}

fn check_value(value: &Bytes) -> Result<(), HostError> {
    if value.len() > VALUE_BYTES_MAX {
        let (max, is) = (VALUE_BYTES_MAX, value.len());
        return Err(refused(
            "value-too-large",
            format!("a value has at most {max} bytes (25 MiB), this one {is}"),
        ));
    }
    Ok(())
}

fn refused(code: &'static str, message: String) -> HostError {
    HostError { code, message }
}
