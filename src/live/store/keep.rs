//! The database as a [`Keeper`]: of this emulator alone.

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::restore::{Piece, Publication};
use super::{Intake, Kind, KvEntry, KvPage, Store};
use crate::live::keeper::{Commit, Keeper, Kept, MakeContent, MakeRecord, Taken};
use crate::live::messages::{Content, Payload};
use crate::platform::effect::{StoreChange, StoredEvent};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId};
use crate::platform::time::Time;

impl Keeper for Store {
    fn take_in(&self, intake: Vec<Intake>) -> Kept<'_, Taken> {
        Box::pin(async move { self.take_in(intake).await.map(|()| Taken::Here) })
    }

    fn follow(&self, changes: Vec<StoreChange>) -> Commit {
        self.follow(changes)
    }

    fn follow_body(&self, message: MessageId, content: Arc<Content>) {
        self.follow_body(message, content);
    }

    fn follow_made(&self, of: MessageId, to: MessageId, make: MakeContent) {
        self.follow_made(of, to, make);
    }

    fn follow_record(&self, first: InvocationId, message: MessageId, make: MakeRecord) {
        self.follow_record(first, message, make);
    }

    fn follow_event(&self, event: StoredEvent, payload: Payload) {
        self.follow_event(event, payload);
    }

    fn follow_wall(&self, ahead_ns: i64) {
        self.follow_wall(ahead_ns);
    }

    fn name(&self, names: Vec<(Kind, u32, String)>) {
        self.name(names);
    }

    fn bodies(&self, messages: Vec<MessageId>) -> Kept<'_, Vec<(MessageId, Arc<Content>)>> {
        Box::pin(self.bodies(messages))
    }

    fn payload(&self, first: InvocationId) -> Kept<'_, Option<Payload>> {
        Box::pin(self.payload(first))
    }

    fn messages(&self, queue: QueueId, after: MessageId, to: MessageId) -> Kept<'_, Piece> {
        Box::pin(self.messages(queue, after, to))
    }

    fn events(&self, function: FunctionId, to: InvocationId) -> Kept<'_, Vec<StoredEvent>> {
        Box::pin(self.events(function, to))
    }

    fn publications(&self, topic: TopicId, to: MessageId) -> Kept<'_, Vec<Publication>> {
        Box::pin(self.publications(topic, to))
    }

    fn forget_keys(&self, now: Time) {
        self.forget_keys(now);
    }

    fn clear(&self) -> Kept<'_, ()> {
        Box::pin(self.clear())
    }

    fn kv_put<'a>(&'a self, store: &'a str, key: &'a str, entry: KvEntry) -> Kept<'a, ()> {
        Box::pin(self.kv_put(store, key, entry))
    }

    fn kv_get<'a>(&'a self, store: &'a str, key: &'a str, now: Time) -> Kept<'a, Option<KvEntry>> {
        Box::pin(self.kv_get(store, key, now))
    }

    fn kv_delete<'a>(&'a self, store: &'a str, key: &'a str) -> Kept<'a, ()> {
        Box::pin(self.kv_delete(store, key))
    }

    fn kv_list<'a>(
        &'a self,
        store: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
        now: Time,
    ) -> Kept<'a, KvPage> {
        Box::pin(self.kv_list(store, prefix, after, limit, now))
    }

    fn kv_count<'a>(&'a self, store: &'a str, now: Time) -> Kept<'a, u64> {
        Box::pin(self.kv_count(store, now))
    }

    fn kv_increment<'a>(
        &'a self,
        store: &'a str,
        key: &'a str,
        delta: u64,
        now: Time,
        expires_at: Option<Time>,
    ) -> Kept<'a, Result<u64, String>> {
        Box::pin(self.kv_increment(store, key, delta, now, expires_at))
    }

    fn settled(&self) -> Kept<'_, ()> {
        Box::pin(self.settled())
    }

    fn save<'a>(&'a self, path: &'a Path) -> Kept<'a, ()> {
        Box::pin(self.save(path))
    }

    fn load<'a>(&'a self, path: &'a Path, names: Vec<(Kind, u32, String)>) -> Kept<'a, Option<u64>> {
        // Asked now, not when it is first polled: its place is before what follows.
        Box::pin(self.load(path, names))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close())
    }
}
