//! Key-value stores of a probed function, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use crate::engine::{HostError, KeyValue, KvExpiry, KvKey, KvList, KvPage, KvPut, KvValue};
use crate::platform::time::{Span, Time};
use crate::project::Project;

/// Keys on one page of a list, as the real ones have.
const LIST_MAX: u32 = 1_000;

/// The stores of one world.
pub struct Stores(Arc<Mutex<State>>);

struct State {
    now: Time,
    /// Each store's time to live.
    known: BTreeMap<String, Option<Span>>,
    values: BTreeMap<(String, String), KvValue>,
}

impl State {
    fn find(&self, at: &(String, String)) -> Option<&KvValue> {
        let alive = |value: &&KvValue| value.expires_at.is_none_or(|at| at > self.now);
        self.values.get(at).filter(alive)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stores {
    pub fn new(project: &Project) -> Stores {
        let known = project.kv.values().map(|store| (store.name.clone(), store.ttl));
        Stores(Arc::new(Mutex::new(State {
            now: Time::ZERO,
            known: known.collect(),
            values: BTreeMap::new(),
        })))
    }

    pub fn set_time(&self, now: Time) {
        lock(&self.0).now = now;
    }

    pub fn time(&self) -> Time {
        lock(&self.0).now
    }

    /// `None` when the project has no such store.
    pub fn open(&self, name: &str) -> Option<Store> {
        lock(&self.0).known.contains_key(name).then(|| Store {
            state: Arc::clone(&self.0),
            name: name.to_owned(),
        })
    }

    /// `store key` and its value, of all that is there.
    pub fn content(&self) -> BTreeMap<String, String> {
        let state = lock(&self.0);
        let shown = state.values.iter().filter(|(at, _)| state.find(at).is_some());
        let text = |value: &KvValue| {
            let text = String::from_utf8_lossy(&value.value).into_owned();
            match &value.metadata {
                Some(metadata) => format!("{text} with {metadata}"),
                None => text,
            }
        };
        shown
            .map(|((store, key), value)| (format!("{store} {key}"), text(value)))
            .collect()
    }
}

/// One store.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    name: String,
}

impl Store {
    fn at(&self, key: String) -> (String, String) {
        (self.name.clone(), key)
    }

    fn done<T: Send + 'static>(answer: T) -> BoxFuture<'static, Result<T, HostError>> {
        Box::pin(async move { Ok(answer) })
    }

    fn of_store(&self, state: &State) -> Option<Time> {
        let ttl = state.known.get(&self.name).copied().flatten();
        ttl.map(|ttl| state.now + ttl)
    }
}

impl KeyValue for Store {
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<KvValue>, HostError>> {
        Self::done(lock(&self.state).find(&self.at(key)).cloned())
    }

    fn put(&self, key: String, put: KvPut) -> BoxFuture<'static, Result<(), HostError>> {
        let mut state = lock(&self.state);
        let expires_at = match put.expiry {
            KvExpiry::OfStore => self.of_store(&state),
            KvExpiry::In(span) => Some(state.now + span),
            KvExpiry::At(at) => Some(at),
        };
        let value = KvValue {
            value: put.value,
            metadata: put.metadata.filter(|metadata| !metadata.is_null()),
            expires_at,
        };
        state.values.insert(self.at(key), value);
        Self::done(())
    }

    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), HostError>> {
        lock(&self.state).values.remove(&self.at(key));
        Self::done(())
    }

    fn list(&self, list: KvList) -> BoxFuture<'static, Result<KvPage, HostError>> {
        let state = lock(&self.state);
        let after = list.cursor.unwrap_or_default();
        let wanted = |store: &str, key: &str| {
            store == self.name && key.starts_with(&list.prefix) && (after.is_empty() || *key > *after)
        };
        let found = state.values.iter().filter(|((store, key), _)| wanted(store, key));
        let mut alive = found.filter(|(at, _)| state.find(at).is_some());
        let limit = list.limit.unwrap_or(LIST_MAX).clamp(1, LIST_MAX) as usize;
        let keys: Vec<KvKey> = alive
            .by_ref()
            .take(limit)
            .map(|((_, name), value)| KvKey {
                name: name.clone(),
                metadata: value.metadata.clone(),
                expires_at: value.expires_at,
            })
            .collect();
        let cursor = alive.next().and(keys.last()).map(|last| last.name.clone());
        Self::done(KvPage { keys, cursor })
    }

    fn increment(&self, key: String, delta: u64) -> BoxFuture<'static, Result<u64, HostError>> {
        let mut state = lock(&self.state);
        let at = self.at(key);
        let known = state.find(&at).cloned();
        let number = match &known {
            None => Some(0),
            Some(value) => std::str::from_utf8(&value.value)
                .ok()
                .and_then(|text| text.parse::<u64>().ok()),
        };
        let Some(sum) = number.and_then(|number| number.checked_add(delta)) else {
            let error = HostError {
                code: "not-a-number",
                message: format!("{:?} cannot be added to: it holds no whole number", at.1),
            };
            return Box::pin(async move { Err(error) });
        };
        let value = KvValue {
            value: sum.to_string().into(),
            metadata: known.as_ref().and_then(|value| value.metadata.clone()),
            expires_at: known.map_or_else(|| self.of_store(&state), |value| value.expires_at),
        };
        state.values.insert(at, value);
        Self::done(sum)
    }
}
