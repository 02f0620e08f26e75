//! The store on its own: what comes back, who may hold it, and a disk with no room.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::live::messages::{Content, Payload};
use crate::live::telemetry::Trace;
use crate::platform::effect::{Stored, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

fn stored(id: u64) -> Stored {
    Stored {
        message: MessageId(id),
        sent_at: Time(id),
        visible_at: Time(id),
        in_flight: false,
        receive_count: 0,
        first_received_at: None,
        receipt: None,
        group: None,
        source: None,
        cause: None,
    }
}

pub(super) fn message(id: u64, bytes: usize) -> Intake {
    Intake::Message {
        queue: QueueId(1),
        stored: stored(id),
        key: None,
        content: Arc::new(Content {
            body: Bytes::from(vec![b'x'; bytes]),
            ..Content::default()
        }),
    }
}

pub(super) fn open(folder: &std::path::Path) -> (Store, Identity) {
    let opened = Opened::open(&Place::Folder(folder.to_owned()), Durability::Normal, 7).expect("it opens");
    let identity = opened.identity.clone();
    (opened.start(Box::new(|_, _| {})).expect("a thread"), identity)
}

/// All that a queue has.
pub(super) async fn piece_of(store: &Store, queue: u32) -> Piece {
    let all = store.messages(QueueId(queue), MessageId(0), MessageId(u64::MAX));
    all.await.expect("read")
}

#[tokio::test]
async fn a_second_run_finds_what_the_first_left_and_makes_other_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, first) = open(folder.path());
    store.name(vec![(Kind::Queue, 0, "a".into()), (Kind::Queue, 1, "b".into())]);
    store
        .take_in(vec![message(1, 10), message(2, 20)])
        .await
        .expect("taken");
    let queue = QueueId(1);
    let gone = store.follow(vec![StoreChange::Gone {
        queue: Some(queue),
        message: MessageId(1),
    }]);
    gone.wait().await.expect("committed");
    let refused = Opened::open(&Place::Folder(folder.path().to_owned()), Durability::Normal, 7);
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        said.contains("another emulator") && said.contains("--ephemeral"),
        "{said}"
    );
    store.close().await;
    assert_eq!(store.read(|_| Ok(())).await, Err(StoreError::Closed));

    let (store, second) = open(folder.path());
    assert_eq!(second.head, first.head);
    assert!(second.ids_from > first.ids_from + 1_000_000);
    assert_eq!(
        second.names,
        [(Kind::Queue, "a".to_owned()), (Kind::Queue, "b".to_owned())]
    );
    let piece = piece_of(&store, 1).await;
    assert_eq!(piece.messages, [stored(2)]);
    let bodies = store.bodies(vec![MessageId(1), MessageId(2)]).await.expect("read");
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0].1.body.len(), 20);
}

#[tokio::test]
async fn a_start_sweeps_bodies_that_a_kill_has_stranded() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path());
    store
        .take_in(vec![message(1, 10), message(5, 10)])
        .await
        .expect("taken");
    let publication = Intake::Publication {
        topic: TopicId(0),
        message: MessageId(3),
        cause: None,
        content: Arc::default(),
    };
    store.take_in(vec![publication]).await.expect("taken");
    let delivery = StoredEvent {
        first: InvocationId(9),
        function: FunctionId(0),
        topic: Some((TopicId(0), MessageId(4))),
        accepted_at: Time::ZERO,
        attempt: 1,
        at: Time::ZERO,
        cause: None,
    };
    for id in [2, 4, 6] {
        store.follow_body(MessageId(id), Arc::default());
    }
    store
        .follow(vec![StoreChange::Event(delivery)])
        .wait()
        .await
        .expect("written");
    store.close().await;
    let (store, _) = open(folder.path());
    let all = (1..=6).map(MessageId).collect();
    let left = store.bodies(all).await.expect("read");
    let left: Vec<u64> = left.iter().map(|(id, _)| id.0).collect();
    assert_eq!(left, [1, 3, 4, 5]);
}

/// What is written after a queue came back, its core is told of.
#[tokio::test]
async fn only_what_was_named_before_is_read() {
    let store = Store::in_memory();
    let event = |id: u64| Intake::Event {
        event: StoredEvent {
            first: InvocationId(id),
            function: FunctionId(0),
            topic: None,
            accepted_at: Time::ZERO,
            attempt: 1,
            at: Time::ZERO,
            cause: None,
        },
        payload: Payload {
            json: "1".into(),
            trace: None,
        },
    };
    let publication = |id: u64, topic: u32| Intake::Publication {
        topic: TopicId(topic),
        message: MessageId(id),
        cause: None,
        content: Arc::default(),
    };
    let all = vec![
        message(1, 10),
        message(2, 10),
        message(3, 10),
        event(4),
        event(5),
        publication(6, 0),
        publication(7, 0),
        publication(8, 1),
    ];
    store.take_in(all).await.expect("taken");
    let piece = store
        .messages(QueueId(1), MessageId(1), MessageId(2))
        .await
        .expect("read");
    assert_eq!(piece.messages, [stored(2)]);
    let events = store.events(FunctionId(0), InvocationId(4)).await.expect("read");
    assert_eq!(events.iter().map(|event| event.first.0).collect::<Vec<_>>(), [4]);
    for (topic, expected) in [(0, 6), (1, 8)] {
        let read = store.publications(TopicId(topic), MessageId(8 - 2 * u64::from(1 - topic)));
        let read = read.await.expect("read");
        assert_eq!(read.iter().map(|one| one.message.0).collect::<Vec<_>>(), [expected]);
    }
}

#[tokio::test]
async fn keys_whose_time_is_over_go() {
    let store = Store::in_memory();
    let keyed = |id: u64| match message(id, 1) {
        Intake::Message {
            queue, stored, content, ..
        } => Intake::Message {
            queue,
            stored,
            key: Some((format!("key {id}").into(), Time(id + 100))),
            content,
        },
        other => other,
    };
    let count = async || {
        let read = store.read(|connection| {
            connection.query_row("SELECT count(*) FROM deduplication", [], |row| row.get::<_, i64>(0))
        });
        read.await.expect("read")
    };
    // As `stored` has it, each is sent at the instant of its number.
    for id in 1..=100 {
        store.take_in(vec![keyed(id)]).await.expect("taken");
    }
    assert_eq!(count().await, 100);
    // With each that comes some go.
    store.take_in(vec![keyed(150)]).await.expect("taken");
    assert_eq!(count().await, 97);
    for id in 151..=180 {
        store.take_in(vec![keyed(id)]).await.expect("taken");
    }
    let piece = piece_of(&store, 1).await;
    assert!(piece.keys.iter().all(|key| key.until > Time(180)), "{:?}", piece.keys);
    store.forget_keys(Time(270));
    let piece = piece_of(&store, 1).await;
    assert_eq!(piece.keys.len(), 10);
}

#[tokio::test]
async fn an_event_keeps_its_trace_and_one_of_a_store_before_has_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let event = |id| StoredEvent {
        first: InvocationId(id),
        function: FunctionId(0),
        topic: None,
        accepted_at: Time::ZERO,
        attempt: 1,
        at: Time::ZERO,
        cause: None,
    };
    let payload = Payload {
        json: "{}".into(),
        trace: Trace::read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    };
    let (store, _) = open(folder.path());
    let function = vec![(Kind::Function, 0, "job".to_owned())];
    store.name(function.clone());
    let intake = Intake::Event {
        event: event(1),
        payload: payload.clone(),
    };
    store.take_in(vec![intake]).await.expect("taken");
    store.close().await;
    let (store, _) = open(folder.path());
    assert_eq!(store.payload(InvocationId(1)).await.expect("read"), Some(payload));
    // As it was in the first version of the tables.
    let before = "ALTER TABLE event DROP COLUMN trace; PRAGMA user_version = 1;";
    store
        .write(move |connection| connection.execute_batch(before))
        .await
        .expect("written");
    let snapshot = folder.path().join("before.db");
    store.close().await;
    std::fs::copy(folder.path().join(DATABASE), &snapshot).expect("a copy");
    let (store, _) = open(folder.path());
    let plain = Payload {
        json: "{}".into(),
        trace: None,
    };
    assert_eq!(store.payload(InvocationId(1)).await.expect("read"), Some(plain.clone()));
    store.load(&snapshot, function).await.expect("loaded");
    let to = InvocationId(9);
    assert_eq!(store.events(FunctionId(0), to).await.expect("read"), [event(1)]);
    assert_eq!(store.payload(InvocationId(1)).await.expect("read"), Some(plain));
}

#[tokio::test]
async fn one_that_fails_does_not_take_others_with_it() {
    let store = Store::in_memory();
    let bad = store.write(|connection| connection.execute("INSERT INTO nothing VALUES (1)", []));
    let good = store.take_in(vec![message(1, 10)]);
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(StoreError::Failed(_))), "{bad:?}");
    good.expect("taken");
    let piece = piece_of(&store, 1).await;
    assert_eq!(piece.messages.len(), 1);
}

/// A database that may not grow stands for a full disk.
#[tokio::test]
async fn on_a_full_disk_sends_are_refused_and_deletes_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = open(folder.path());
    store
        .read(|connection| connection.pragma_update_and_check(None, "max_page_count", 60, |_| Ok(())))
        .await
        .expect("limited");
    let mut taken = 0;
    let refused = loop {
        match store.take_in(vec![message(taken + 1, 2_000)]).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1_000, "the limit does not hold");
    };
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert!(taken > 10, "{taken}");
    let gone = (1..=taken).map(|id| StoreChange::Gone {
        queue: Some(QueueId(1)),
        message: MessageId(id),
    });
    store.follow(gone.collect()).wait().await.expect("deletes go on");
    let piece = piece_of(&store, 1).await;
    assert!(piece.messages.is_empty());
}

#[test]
fn the_reserve_takes_room_and_gives_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reserve");
    let mut reserve = disk::Reserve::new(Some(folder.path().to_owned()));
    assert!(!reserve.release(), "nothing was taken yet");
    assert!(reserve.take() && reserve.take());
    let held = std::fs::metadata(&path).expect("it is there").len();
    assert_eq!(held, 8 << 20);
    let mut next = disk::Reserve::new(Some(folder.path().to_owned()));
    assert!(next.release(), "a run before this one took it");
    assert!(!path.exists());
}
