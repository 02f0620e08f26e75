//! Key-value stores as a guest sees them; whoever runs the engine keeps the values.

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;

use super::HostError;
use crate::platform::time::{Span, Time};

/// One store of the project.
pub trait KeyValue: Send + Sync {
    /// `None` for a key that is not there or has expired.
    fn get(&self, key: String) -> BoxFuture<'static, Result<Option<KvValue>, HostError>>;
    fn put(&self, key: String, put: KvPut) -> BoxFuture<'static, Result<(), HostError>>;
    /// A key that is not there is deleted as well.
    fn delete(&self, key: String) -> BoxFuture<'static, Result<(), HostError>>;
    fn list(&self, list: KvList) -> BoxFuture<'static, Result<KvPage, HostError>>;
    /// Adds to a whole number, written in decimal digits, in one step; a key that is not there counts as zero. Keeps
    /// the expiry.
    fn increment(&self, key: String, delta: u64) -> BoxFuture<'static, Result<u64, HostError>>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct KvValue {
    pub value: Bytes,
    pub metadata: Option<Value>,
    pub expires_at: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct KvPut {
    pub value: Bytes,
    pub metadata: Option<Value>,
    pub expiry: KvExpiry,
}

/// When a value goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvExpiry {
    /// After the store's `ttl`, or never.
    #[default]
    OfStore,
    In(Span),
    At(Time),
}

/// What to list, in the order of the keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvList {
    pub prefix: String,
    /// Of the page before.
    pub cursor: Option<String>,
    /// `None`: as many as one page holds.
    pub limit: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct KvPage {
    pub keys: Vec<KvKey>,
    /// There is more: the next page begins behind it.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KvKey {
    pub name: String,
    pub metadata: Option<Value>,
    pub expires_at: Option<Time>,
}
