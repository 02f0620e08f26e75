//! `env.NAME` of a key-value store: what the prelude asks, in JSON, and the store's answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::{HostError, KeyValue, KvExpiry, KvList, KvPut};
use crate::platform::time::Time;

#[derive(Deserialize)]
struct Put {
    key: String,
    text: Option<String>,
    base64: Option<String>,
    metadata: Option<Value>,
    /// Seconds from now.
    #[serde(rename = "expirationTtl")]
    expiration_ttl: Option<f64>,
    /// Seconds since the epoch.
    expiration: Option<f64>,
}

#[derive(Deserialize)]
struct Named {
    key: String,
}

#[derive(Deserialize)]
struct List {
    prefix: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// # Errors
/// A text for the guest's `Error`.
pub async fn call(store: &dyn KeyValue, op: &str, payload: &str) -> Result<String, String> {
    let answer = match op {
        "get" => get(store, read::<Named>(payload)?.key).await?,
        "put" => {
            let put = read::<Put>(payload)?;
            let value = value(put.text, put.base64)?;
            let seconds = super::reply::seconds;
            let expiry = match (put.expiration_ttl, put.expiration) {
                (Some(ttl), _) => KvExpiry::In(seconds(ttl)),
                (None, Some(at)) => KvExpiry::At(Time(seconds(at).0)),
                (None, None) => KvExpiry::OfStore,
            };
            let metadata = put.metadata;
            let put_in = KvPut {
                value,
                metadata,
                expiry,
            };
            store.put(put.key, put_in).await.map_err(text)?;
            return Ok(String::new());
        }
        "delete" => {
            store.delete(read::<Named>(payload)?.key).await.map_err(text)?;
            return Ok(String::new());
        }
        "list" => list(store, read::<List>(payload)?).await?,
        _ => return Err(format!("a key-value store has no operation {op}")),
    };
    Ok(answer.to_string())
}

fn read<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, String> {
    serde_json::from_str(payload).map_err(|error| format!("not what a key-value store takes: {error}"))
}

fn text(error: HostError) -> String {
    error.message
}

fn value(text: Option<String>, base64: Option<String>) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(text), _) => Ok(text.into()),
        (None, Some(base64)) => BASE64
            .decode(base64)
            .map(Bytes::from)
            .map_err(|error| format!("the value is not base64: {error}")),
        (None, None) => Err("a value is needed: put(key, value, options)".to_owned()),
    }
}

/// Text where it is text, so that most values are spared base64; null when there is none.
async fn get(store: &dyn KeyValue, key: String) -> Result<Value, String> {
    let Some(found) = store.get(key).await.map_err(text)? else {
        return Ok(Value::Null);
    };
    let mut answer = json!({ "metadata": found.metadata });
    match std::str::from_utf8(&found.value) {
        Ok(value) => answer["text"] = value.into(),
        Err(_) => answer["base64"] = BASE64.encode(&found.value).into(),
    }
    Ok(answer)
}

async fn list(store: &dyn KeyValue, list: List) -> Result<Value, String> {
    let page = store.list(KvList {
        prefix: list.prefix.unwrap_or_default(),
        cursor: list.cursor,
        limit: list.limit,
    });
    let page = page.await.map_err(text)?;
    let mut keys = Vec::new();
    for key in page.keys {
        let mut one = json!({ "name": key.name });
        if let Some(at) = key.expires_at {
            one["expiration"] = at.as_secs().into();
        }
        if let Some(metadata) = key.metadata {
            one["metadata"] = metadata;
        }
        keys.push(one);
    }
    let mut answer = json!({ "keys": keys, "list_complete": page.cursor.is_none() });
    if let Some(cursor) = page.cursor {
        answer["cursor"] = cursor.into();
    }
    Ok(answer)
}
