//! `/_emu/kv`: the key-value stores, their keys and values.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::engine::{KeyValue as _, KvExpiry, KvList, KvPut};
use crate::live::Server;
use crate::live::api;
use crate::live::clock::rfc3339;
use crate::live::kv::Kv;

use super::handlers::host_failure;
use super::{Answer, ApiFailure, Reply, answered, bad_request, decode, read};

/// All that is asked by GET.
pub fn routes(get: BoxedFilter<(Server,)>) -> BoxedFilter<(Reply,)> {
    let query = warp::query::<HashMap<String, String>>();
    let get = get.and(warp::path("kv"));
    let all = get
        .clone()
        .and(warp::path::end())
        .then(|server: Server| async move { answered(stores(&server).await) });
    let keys = get
        .clone()
        .and(warp::path::param::<String>())
        .and(warp::path::end())
        .and(query)
        .then(
            |server: Server, store: String, query: HashMap<String, String>| async move {
                answered(list(&server, &decode(&store), &query).await)
            },
        );
    let value = get
        .and(warp::path::param::<String>())
        .and(warp::path("value"))
        .and(warp::path::end())
        .and(query)
        .then(
            |server: Server, store: String, query: HashMap<String, String>| async move {
                answered(value(&server, &decode(&store), &query).await)
            },
        );
    all.or(keys).unify().or(value).unify().boxed()
}

fn kv(server: &Server, store: &str) -> Answer<Kv> {
    server.driver.kv(store).map_err(host_failure)
}

async fn stores(server: &Server) -> Answer<Vec<api::KvStore>> {
    let project = server.driver.table().project.clone();
    let mut all = Vec::new();
    for store in project.kv.values() {
        all.push(api::KvStore {
            name: store.name.clone(),
            keys: kv(server, &store.name)?.count().await.map_err(host_failure)?,
            ttl_ms: store.ttl.map(|ttl| ttl.as_millis_f64()),
        });
    }
    Ok(all)
}

async fn list(server: &Server, store: &str, query: &HashMap<String, String>) -> Answer<api::KvKeys> {
    let limit = query.get("limit").map(|text| text.parse::<u32>()).transpose();
    let limit = limit.map_err(|_| bad_request("bad-limit", "limit is a number"))?;
    let list = KvList {
        prefix: query.get("prefix").cloned().unwrap_or_default(),
        cursor: query.get("cursor").cloned(),
        limit,
    };
    let page = kv(server, store)?.list(list).await.map_err(host_failure)?;
    let key = |key: crate::engine::KvKey| api::KvKey {
        name: key.name,
        expires_at: key.expires_at.map(rfc3339),
        metadata: key.metadata,
    };
    Ok(api::KvKeys {
        keys: page.keys.into_iter().map(key).collect(),
        cursor: page.cursor,
    })
}

async fn value(server: &Server, store: &str, query: &HashMap<String, String>) -> Answer<api::KvValue> {
    let key = query
        .get("key")
        .ok_or_else(|| bad_request("bad-key", "name the key: ?key=KEY"))?;
    let found = kv(server, store)?.get(key.clone()).await.map_err(host_failure)?;
    let Some(found) = found else {
        let message = format!("no key {key:?} in the key-value store {store}");
        return Err(ApiFailure::new(StatusCode::NOT_FOUND, "key-not-found", message)
            .remedy(format!("it may have expired; `emu kv ls {store}` lists what is there")));
    };
    let (value, base64) = match String::from_utf8(found.value.to_vec()) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64.encode(&found.value))),
    };
    Ok(api::KvValue {
        key: key.clone(),
        value,
        base64,
        metadata: found.metadata,
        expires_at: found.expires_at.map(rfc3339),
    })
}

/// POST `/_emu/kv/{store}/put`.
pub async fn put(server: &Server, store: &str, body: &Bytes) -> Answer<api::KvDone> {
    let put: api::KvPut = read(body, r#"send {"key": "KEY", "value": "TEXT", "ttl": "10m"}"#)?;
    let value = match (put.value, put.base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(base64)) => BASE64
            .decode(base64)
            .map_err(|error| bad_request("bad-value", format!("base64: {error}")))?
            .into(),
        _ => return Err(bad_request("bad-value", "give one of `value` (text) and `base64`")),
    };
    let expiry = match &put.ttl {
        None => KvExpiry::OfStore,
        Some(text) => KvExpiry::In(
            crate::project::units::parse_span(text)
                .map_err(|error| bad_request("bad-ttl", format!("ttl: {error}")).remedy("for example \"10m\""))?,
        ),
    };
    let metadata = put.metadata;
    let new = KvPut {
        value,
        metadata,
        expiry,
    };
    kv(server, store)?
        .put(put.key.clone(), new)
        .await
        .map_err(host_failure)?;
    Ok(api::KvDone { key: put.key })
}

/// POST `/_emu/kv/{store}/delete`.
pub async fn delete(server: &Server, store: &str, body: &Bytes) -> Answer<api::KvDone> {
    let done: api::KvDone = read(body, r#"send {"key": "KEY"}"#)?;
    kv(server, store)?
        .delete(done.key.clone())
        .await
        .map_err(host_failure)?;
    Ok(done)
}
