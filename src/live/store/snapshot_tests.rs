//! Snapshots on their own: what comes back, from whom, and what is none.

use super::super::tests::{message, open, piece_of};
use super::super::{Durability, Opened, Place};
use super::*;
use crate::live::store::KvEntry;
use crate::platform::effect::StoreChange;
use crate::platform::ids::{MessageId, QueueId, ReceiptId};
use crate::platform::time::Time;

fn names(names: &[&str]) -> Vec<(Kind, u32, String)> {
    let numbered = (0u32..).zip(names);
    numbered
        .map(|(id, name)| (Kind::Queue, id, (*name).to_owned()))
        .collect()
}

fn kv(value: &str) -> KvEntry {
    KvEntry {
        value: value.to_owned().into(),
        metadata: None,
        expires_at: None,
    }
}

/// Two messages in the second queue, the second received once, and a key.
async fn fill(store: &Store) {
    store.name(names(&["first", "second"]));
    store
        .take_in(vec![message(1, 10), message(2, 20)])
        .await
        .expect("taken");
    let received = StoreChange::Received {
        queue: QueueId(1),
        message: MessageId(2),
        receipt: ReceiptId(77),
        receive_count: 1,
        first_received_at: Time::from_secs(5),
        visible_at: Time::from_secs(35),
    };
    store.follow(vec![received]).wait().await.expect("written");
    store.kv_put("carts", "user:1", kv("tea")).await.expect("put");
}

#[tokio::test]
async fn the_state_comes_back_into_the_database_it_is_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path());
    fill(&store).await;
    let file = folder.path().join("snapshot.db");
    store.save(&file).await.expect("saved");
    let contents = check(&file).expect("a snapshot");
    assert_eq!((contents.messages, contents.events, contents.keys), (2, 0, 1));

    let gone = StoreChange::Gone {
        queue: Some(QueueId(1)),
        message: MessageId(1),
    };
    store.follow(vec![gone]).wait().await.expect("written");
    store.take_in(vec![message(3, 30)]).await.expect("taken");
    store.kv_put("carts", "user:1", kv("coffee")).await.expect("put");
    let ids = store.load(&file, names(&["first", "second"])).await.expect("loaded");
    assert_eq!(ids, None, "its ids mean what they meant");
    let piece = piece_of(&store, 1).await;
    let ids: Vec<u64> = piece.messages.iter().map(|stored| stored.message.0).collect();
    assert_eq!(ids, [1, 2]);
    let received = &piece.messages[1];
    assert_eq!(
        (received.receipt, received.receive_count, received.in_flight),
        (None, 1, true)
    );
    assert_eq!(received.visible_at, Time::from_secs(35));
    let value = store.kv_get("carts", "user:1", Time::ZERO).await.expect("read");
    assert_eq!(value, Some(kv("tea")));
    let bodies = store.bodies(vec![MessageId(1), MessageId(3)]).await.expect("read");
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn another_databases_state_gets_ids_and_numbers_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("snapshot.db");
    let (store, _) = open(&folder.path().join("a"));
    fill(&store).await;
    store.save(&file).await.expect("saved");
    store.close().await;

    let place = Place::Folder(folder.path().join("b"));
    let opened = Opened::open(&place, Durability::Normal, 999).expect("opens");
    let head = opened.identity.head;
    let store = opened.start(Box::new(|_, _| {})).expect("a thread");
    let own = names(&["second", "other"]);
    store.name(own.clone());
    store.take_in(vec![message(1, 10)]).await.expect("taken");
    let ids = store.load(&file, own).await.expect("loaded").expect("news");
    let piece = piece_of(&store, 0).await;
    let loaded: Vec<u64> = piece.messages.iter().map(|stored| stored.message.0).collect();
    assert_eq!(loaded.len(), 2, "`second` is number 0 here");
    assert!(
        loaded.iter().all(|id| *id > IDS_PER_RUN && *id <= ids),
        "{loaded:?} {ids}"
    );
    let elsewhere = piece_of(&store, 1).await;
    assert!(elsewhere.messages.is_empty(), "what was there is gone");
    assert_eq!(
        store
            .bodies(piece.messages.iter().map(|stored| stored.message).collect())
            .await
            .expect("read")
            .len(),
        2
    );
    store.close().await;

    let again = Opened::open(&place, Durability::Normal, 1).expect("opens");
    assert_eq!(again.identity.head, head);
    assert!(again.identity.ids_from >= ids);
    let known: Vec<&str> = again.identity.names.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(known, ["second", "other", "first"]);
}

#[tokio::test]
async fn what_is_no_snapshot_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path());
    fill(&store).await;
    let file = folder.path().join("snapshot.db");
    store.save(&file).await.expect("saved");
    let whole = std::fs::read(&file).expect("read");
    let middle = whole.len() / 2;
    let mut holed = whole.clone();
    holed[4096..middle].fill(0xff);
    let newer = {
        let mut newer = whole.clone();
        // The user version of the file's head.
        newer[60..64].copy_from_slice(&99u32.to_be_bytes());
        newer
    };
    for (what, bytes, why) in [
        ("text", b"no database".to_vec(), "is no snapshot"),
        ("empty", Vec::new(), "is no snapshot"),
        ("cut", whole[..4096].to_vec(), "is"),
        ("holed", holed, "is"),
        ("newer", newer, "newer emu"),
    ] {
        std::fs::write(&file, bytes).expect("written");
        let error = check(&file).expect_err(what);
        assert!(error.starts_with("is ") || error.starts_with("was "), "{what}: {error}");
        assert!(error.contains(why), "{what}: {error}");
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let failed = store.load(&file, Vec::new()).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    let piece = piece_of(&store, 1).await;
    assert_eq!(piece.messages.len(), 2, "rolled back");
    store.take_in(vec![message(9, 10)]).await.expect("and goes on");
}
