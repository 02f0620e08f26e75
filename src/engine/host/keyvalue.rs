//! `wasi:keyvalue`: the stores that a component's bindings lead to.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::{Guest, Run};
use crate::engine::{BindTarget, HostError, KeyValue, KvList, KvPut};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package wasi:keyvalue@0.2.0-draft;
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                record key-response { keys: list<string>, cursor: option<u64> }
                open: func(identifier: string) -> result<bucket, error>;
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                    delete: func(key: string) -> result<_, error>;
                    exists: func(key: string) -> result<bool, error>;
                    list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                }
            }
            interface atomics {
                use store.{bucket, error};
                increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
            }
            interface batch {
                use store.{bucket, error};
                get-many: func(bucket: borrow<bucket>, keys: list<string>)
                    -> result<list<option<tuple<string, list<u8>>>>, error>;
                set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>) -> result<_, error>;
                delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
            }
            world imports { import store; import atomics; import batch; }
        ",
        world: "imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
    });
}

use bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use bindings::wasi::keyvalue::{atomics, batch};

/// One open store.
pub struct Bucket(Arc<dyn KeyValue>);

struct HasStores;

impl HasData for HasStores {
    type Data<'a> = Stores<'a>;
}

struct Stores<'a> {
    run: &'a Run,
    table: &'a mut ResourceTable,
}

fn stores(guest: &mut Guest) -> Stores<'_> {
    Stores {
        run: &guest.run,
        table: &mut guest.table,
    }
}

pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasStores>(l, stores)?;
    atomics::add_to_linker::<_, HasStores>(l, stores)?;
    batch::add_to_linker::<_, HasStores>(l, stores)
}

/// The store's name in the manifest: by the binding, or by its own name if some binding leads there.
fn resolve<'a>(run: &'a Run, identifier: &str) -> Option<&'a str> {
    let bind = &run.settings.bind;
    if let Some(BindTarget::Kv(store)) = bind.get(identifier) {
        return Some(store);
    }
    bind.values().find_map(|target| match target {
        BindTarget::Kv(store) if store == identifier => Some(store.as_str()),
        _ => None,
    })
}

fn other(error: HostError) -> Error {
    Error::Other(error.message)
}

async fn get(bucket: &Bucket, key: String) -> Result<Option<Vec<u8>>, Error> {
    let found = bucket.0.get(key).await.map_err(other)?;
    Ok(found.map(|found| found.value.to_vec()))
}

async fn set(bucket: &Bucket, key: String, value: Vec<u8>) -> Result<(), Error> {
    let value = value.into();
    let put = KvPut {
        value,
        ..KvPut::default()
    };
    bucket.0.put(key, put).await.map_err(other)
}

impl Stores<'_> {
    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(Bucket(self.table.get(bucket)?.0.clone()))
    }
}

impl store::Host for Stores<'_> {
    async fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, Error>> {
        let Some(name) = resolve(self.run, &identifier) else {
            return Ok(Err(Error::NoSuchStore));
        };
        match self.run.host.kv(name) {
            Ok(store) => Ok(Ok(self.table.push(Bucket(store))?)),
            Err(error) => Ok(Err(other(error))),
        }
    }
}

impl store::HostBucket for Stores<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(get(&self.bucket(&bucket)?, key).await)
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(set(&self.bucket(&bucket)?, key, value).await)
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.0.delete(key).await.map_err(other))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<bool, Error>> {
        let found = get(&self.bucket(&bucket)?, key).await;
        Ok(found.map(|found| found.is_some()))
    }

    /// The cursor counts the keys that were listed before.
    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let bucket = self.bucket(&bucket)?;
        Ok(list_from(&*bucket.0, cursor.unwrap_or(0)).await.map_err(other))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

async fn list_from(store: &dyn KeyValue, skipped: u64) -> Result<KeyResponse, HostError> {
    let (mut list, mut seen) = (KvList::default(), 0);
    loop {
        let page = store.list(list.clone()).await?;
        let here = page.keys.len() as u64;
        let skip = usize::try_from(skipped - seen).unwrap_or(usize::MAX);
        seen += here;
        let more = page.cursor.is_some();
        if seen > skipped || !more {
            return Ok(KeyResponse {
                keys: page.keys.into_iter().skip(skip).map(|key| key.name).collect(),
                cursor: more.then_some(seen),
            });
        }
        list.cursor = page.cursor;
    }
}

impl atomics::Host for Stores<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.bucket(&bucket)?.0.increment(key, delta).await.map_err(other))
    }
}

type Pair = (String, Vec<u8>);

impl batch::Host for Stores<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<Pair>>, Error>> {
        let bucket = self.bucket(&bucket)?;
        let mut all = Vec::new();
        for key in keys {
            match get(&bucket, key.clone()).await {
                Ok(found) => all.push(found.map(|value| (key, value))),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(all))
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<Pair>) -> wasmtime::Result<Result<(), Error>> {
        let bucket = self.bucket(&bucket)?;
        for (key, value) in pairs {
            if let Err(error) = set(&bucket, key, value).await {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let bucket = self.bucket(&bucket)?;
        for key in keys {
            if let Err(error) = bucket.0.delete(key).await {
                return Ok(Err(other(error)));
            }
        }
        Ok(Ok(()))
    }
}
