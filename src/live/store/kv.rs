//! Key-value pairs. What has expired is not seen any more, and is deleted when somebody comes across it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{Store, StoreError};
use crate::platform::time::Time;

/// One value with what stands beside it; the metadata is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    pub metadata: Option<String>,
    pub expires_at: Option<Time>,
}

impl Entry {
    /// What becomes of it when `delta` is added to its number; one that is not there counts as zero.
    ///
    /// # Errors
    /// A fragment for the guest: it is no number, or the sum is none.
    pub fn plus(
        found: Option<Entry>,
        delta: u64,
        expires_at: Option<Time>,
    ) -> std::result::Result<(u64, Entry), String> {
        let before = found.unwrap_or(Entry {
            value: Bytes::from_static(b"0"),
            metadata: None,
            expires_at,
        });
        let text = String::from_utf8_lossy(&before.value);
        let Ok(number) = text.trim().parse::<u64>() else {
            return Err("its value is no whole number".to_owned());
        };
        let Some(sum) = number.checked_add(delta) else {
            return Err(format!("{number} + {delta} is beyond 64 bits"));
        };
        let value = Bytes::from(sum.to_string());
        Ok((sum, Entry { value, ..before }))
    }
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub metadata: Option<String>,
    pub expires_at: Option<Time>,
}

/// A part of a list. `next`: there is more behind this key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub keys: Vec<Listed>,
    pub next: Option<String>,
}

/// Expired keys that one list deletes at most.
const EXPIRED_MAX: usize = 10_000;

impl Store {
    /// # Errors
    /// As [`Store::write`].
    pub async fn kv_put(&self, store: &str, key: &str, entry: Entry) -> std::result::Result<(), StoreError> {
        let (store, key) = (store.to_owned(), key.to_owned());
        self.write(move |connection| put(connection, &store, &key, &entry))
            .await
    }

    /// # Errors
    /// As [`Store::read`].
    pub async fn kv_get(&self, store: &str, key: &str, now: Time) -> std::result::Result<Option<Entry>, StoreError> {
        let owned = (store.to_owned(), key.to_owned());
        let found = self.read(move |connection| get(connection, &owned.0, &owned.1)).await?;
        match found {
            Some(entry) if is_over(entry.expires_at, now) => {
                self.forget(store, vec![key.to_owned()], now).await;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Goes on when the disk is full.
    ///
    /// # Errors
    /// As [`Store::shrink`].
    pub async fn kv_delete(&self, store: &str, key: &str) -> std::result::Result<(), StoreError> {
        let (store, key) = (store.to_owned(), key.to_owned());
        self.shrink(move |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM kv WHERE store = ?1 AND key = ?2")?;
            delete.execute(params![store, key]).map(drop)
        })
        .await
    }

    /// Keys in the order of their bytes, from behind `after`.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn kv_list(
        &self,
        store: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> std::result::Result<Page, StoreError> {
        let owned = (store.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        let list = move |connection: &Connection| list(connection, &owned.0, &owned.1, owned.2.as_deref(), limit, now);
        let (page, expired) = self.read(list).await?;
        if !expired.is_empty() {
            self.forget(store, expired, now).await;
        }
        Ok(page)
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn kv_count(&self, store: &str, now: Time) -> std::result::Result<u64, StoreError> {
        let store = store.to_owned();
        self.read(move |connection| {
            let sql = "SELECT count(*) FROM kv WHERE store = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
            let mut count = connection.prepare_cached(sql)?;
            count.query_row(params![store, number(now)], |row| row.get::<_, i64>(0))
        })
        .await
        .map(|count| u64::try_from(count).unwrap_or_default())
    }

    /// Adds to a number in decimal digits, or begins at zero. The inner error is what stands there instead.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn kv_increment(
        &self,
        store: &str,
        key: &str,
        delta: u64,
        now: Time,
        expires_at: Option<Time>,
    ) -> std::result::Result<std::result::Result<u64, String>, StoreError> {
        let (store, key) = (store.to_owned(), key.to_owned());
        self.write(move |connection| {
            let found = get(connection, &store, &key)?.filter(|entry| !is_over(entry.expires_at, now));
            let (sum, entry) = match Entry::plus(found, delta, expires_at) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            put(connection, &store, &key, &entry)?;
            Ok(Ok(sum))
        })
        .await
    }

    /// Deletes what has expired. That it fails is no matter: nobody sees it any more.
    async fn forget(&self, store: &str, keys: Vec<String>, now: Time) {
        let store = store.to_owned();
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM kv WHERE store = ?1 AND key = ?2 AND expires_at <= ?3";
            let mut delete = connection.prepare_cached(sql)?;
            keys.iter()
                .try_for_each(|key| delete.execute(params![store, key, number(now)]).map(drop))
        };
        let _ = self.shrink(work).await;
    }
}

fn put(connection: &Connection, store: &str, key: &str, entry: &Entry) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO kv (store, key, value, metadata, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut put = connection.prepare_cached(sql)?;
    let expires_at = entry.expires_at.map(number);
    put.execute(params![store, key, &entry.value[..], entry.metadata, expires_at])
        .map(drop)
}

fn get(connection: &Connection, store: &str, key: &str) -> Result<Option<Entry>> {
    let sql = "SELECT value, metadata, expires_at FROM kv WHERE store = ?1 AND key = ?2";
    let mut get = connection.prepare_cached(sql)?;
    get.query_row(params![store, key], |row| {
        Ok(Entry {
            value: row.get::<_, Vec<u8>>(0)?.into(),
            metadata: row.get(1)?,
            expires_at: row.get::<_, Option<i64>>(2)?.map(time),
        })
    })
    .optional()
}

/// The page, and the expired keys that lay on the way.
fn list(
    connection: &Connection,
    store: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    now: Time,
) -> Result<(Page, Vec<String>)> {
    let sql = "SELECT key, metadata, expires_at FROM kv \
               WHERE store = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3) ORDER BY key";
    let mut list = connection.prepare_cached(sql)?;
    let mut rows = list.query(params![store, prefix, after])?;
    let (mut page, mut expired) = (Page::default(), Vec::new());
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        let expires_at = row.get::<_, Option<i64>>(2)?.map(time);
        if is_over(expires_at, now) {
            if expired.len() < EXPIRED_MAX {
                expired.push(key);
            }
            continue;
        }
        if page.keys.len() >= limit {
            page.next = page.keys.last().map(|last| last.key.clone());
            break;
        }
        page.keys.push(Listed {
            key,
            metadata: row.get(1)?,
            expires_at,
        });
    }
    Ok((page, expired))
}

/// Whether an entry is not seen any more.
pub fn is_over(expires_at: Option<Time>, now: Time) -> bool {
    expires_at.is_some_and(|at| at <= now)
}

fn number(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(value: i64) -> Time {
    Time(u64::try_from(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str, expires_at: Option<u64>) -> Entry {
        Entry {
            value: Bytes::copy_from_slice(value.as_bytes()),
            metadata: None,
            expires_at: expires_at.map(Time),
        }
    }

    async fn keys(
        store: &Store,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: u64,
    ) -> (String, Option<String>) {
        let page = store.kv_list("s", prefix, after, limit, Time(now)).await.unwrap();
        let keys: Vec<String> = page.keys.into_iter().map(|listed| listed.key).collect();
        (keys.join(" "), page.next)
    }

    #[tokio::test]
    async fn values_are_kept_by_store_and_replaced() {
        let store = Store::in_memory();
        let whole = Entry {
            value: Bytes::from_static(b"\x00\xff"),
            metadata: Some("{\"a\":1}".to_owned()),
            expires_at: Some(Time(50)),
        };
        store.kv_put("s", "k", entry("one", None)).await.unwrap();
        store.kv_put("s", "k", whole.clone()).await.unwrap();
        store.kv_put("other", "k", entry("two", None)).await.unwrap();
        assert_eq!(store.kv_get("s", "k", Time(1)).await.unwrap(), Some(whole));
        store.kv_delete("s", "k").await.unwrap();
        store.kv_delete("s", "never").await.unwrap();
        assert_eq!(store.kv_get("s", "k", Time(1)).await.unwrap(), None);
        assert_eq!(
            store.kv_get("other", "k", Time(1)).await.unwrap(),
            Some(entry("two", None))
        );
    }

    #[tokio::test]
    async fn what_has_expired_is_not_seen_and_leaves() {
        let store = Store::in_memory();
        let rows = || {
            let count = "SELECT count(*) FROM kv";
            store.read(|connection| connection.query_row(count, [], |row| row.get::<_, i64>(0)))
        };
        for (key, expires_at) in [("a", Some(10)), ("b", Some(20)), ("c", None)] {
            store.kv_put("s", key, entry(key, expires_at)).await.unwrap();
        }
        assert_eq!(store.kv_count("s", Time(9)).await.unwrap(), 3);
        assert_eq!(
            store.kv_get("s", "a", Time(9)).await.unwrap(),
            Some(entry("a", Some(10)))
        );
        assert_eq!(store.kv_count("s", Time(10)).await.unwrap(), 2);
        assert_eq!(store.kv_get("s", "a", Time(10)).await.unwrap(), None);
        assert_eq!(rows().await.unwrap(), 2, "deleted when it was asked for");
        assert_eq!(keys(&store, "", None, 10, 20).await, ("c".to_owned(), None));
        assert_eq!(rows().await.unwrap(), 1, "deleted when it was to be listed");
    }

    #[tokio::test]
    async fn lists_are_in_order_by_prefix_and_by_pages() {
        let store = Store::in_memory();
        for key in ["user:2", "user:1", "user", "users", "z", "user:\u{e9}", "a", "user:10"] {
            store.kv_put("s", key, entry("v", None)).await.unwrap();
        }
        store.kv_put("t", "user:0", entry("v", None)).await.unwrap();
        let all = "user:1 user:10 user:2 user:\u{e9}";
        assert_eq!(keys(&store, "user:", None, 10, 0).await, (all.to_owned(), None));
        assert_eq!(keys(&store, "user:", None, 4, 0).await, (all.to_owned(), None));
        let (first, next) = keys(&store, "user:", None, 3, 0).await;
        assert_eq!(
            (first.as_str(), next.as_deref()),
            ("user:1 user:10 user:2", Some("user:2"))
        );
        let rest = keys(&store, "user:", next.as_deref(), 3, 0).await;
        assert_eq!(rest, ("user:\u{e9}".to_owned(), None));
        assert_eq!(keys(&store, "nothing", None, 3, 0).await, (String::new(), None));
    }

    #[tokio::test]
    async fn numbers_are_added_to() {
        let store = Store::in_memory();
        let add = |delta, now| store.kv_increment("s", "n", delta, Time(now), Some(Time(10)));
        assert_eq!(add(2, 1).await.unwrap(), Ok(2));
        assert_eq!(add(40, 1).await.unwrap(), Ok(42));
        assert_eq!(add(1, 10).await.unwrap(), Ok(1), "it had expired");
        store
            .kv_put("s", "n", entry(&u64::MAX.to_string(), None))
            .await
            .unwrap();
        assert!(add(1, 1).await.unwrap().unwrap_err().contains("64 bits"));
        store.kv_put("s", "n", entry("x", None)).await.unwrap();
        assert!(add(1, 1).await.unwrap().unwrap_err().contains("whole number"));
    }
}
