//! Bodies of messages and of asynchronous events: the latest in memory, all of them in the store. The core decides
//! what becomes of them and knows only their ids and sizes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::telemetry::{self, Trace};
use crate::platform::ids::{InvocationId, MessageId};

/// Bodies kept in memory; older ones are read from the store when their turn comes.
const BYTES_MAX: u64 = 16 << 20;

/// Names and values, as JSON writes these.
pub fn attribute_bytes(attributes: &BTreeMap<String, Value>) -> usize {
    let one = |(name, value): (&String, &Value)| name.len() + value.to_string().len();
    attributes.iter().map(one).sum()
}

/// A message's content, shared by its copies in several queues.
#[derive(Debug, Default)]
pub struct Content {
    pub body: Bytes,
    pub content_type: Option<String>,
    pub attributes: BTreeMap<String, Value>,
}

impl Content {
    /// Body and attributes, as providers count.
    pub fn size_bytes(&self) -> u64 {
        (self.body.len() + attribute_bytes(&self.attributes)) as u64
    }

    /// The context that it was sent in.
    pub fn trace(&self) -> Option<Trace> {
        telemetry::of_attributes(&self.attributes)
    }

    /// The body as JSON, or its text when it is none.
    pub fn json_or_text(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into())
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An asynchronous event as it was accepted. Clones share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    pub json: Arc<str>,
    /// What its attempts go on with; messages carry that in an attribute.
    pub trace: Option<Trace>,
}

#[derive(Default)]
pub struct Messages {
    contents: Recent<MessageId, Arc<Content>>,
    events: Recent<InvocationId, Payload>,
}

impl Messages {
    pub fn put(&mut self, id: MessageId, content: Arc<Content>) {
        let bytes = content.size_bytes();
        self.contents.put(id, content, bytes);
    }

    pub fn copy(&mut self, of: MessageId, to: MessageId) {
        if let Some(content) = self.contents.get(of).cloned() {
            self.put(to, content);
        }
    }

    /// `None`: not in memory any more.
    pub fn get(&self, id: MessageId) -> Option<&Arc<Content>> {
        self.contents.get(id)
    }

    pub fn remove(&mut self, id: MessageId) {
        self.contents.remove(id);
    }

    pub fn put_event(&mut self, first: InvocationId, event: Payload) {
        let bytes = event.json.len() as u64;
        self.events.put(first, event, bytes);
    }

    /// `None`: not in memory any more.
    pub fn event(&self, first: InvocationId) -> Option<&Payload> {
        self.events.get(first)
    }

    pub fn remove_event(&mut self, first: InvocationId) {
        self.events.remove(first);
    }
}

/// What was put last, up to [`BYTES_MAX`].
struct Recent<K, V> {
    values: HashMap<K, (V, u64)>,
    order: VecDeque<K>,
    bytes: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent {
            values: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }
}

/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD: u64 = 128;

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    fn put(&mut self, key: K, value: V, bytes: u64) {
        let bytes = bytes + ENTRY_OVERHEAD;
        if bytes > BYTES_MAX {
            return;
        }
        self.remove(key);
        self.bytes += bytes;
        self.values.insert(key, (value, bytes));
        self.order.push_back(key);
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
        // Most leave before they are the oldest.
        if self.order.len() > 64 && self.order.len() > 2 * self.values.len() {
            let values = &self.values;
            self.order.retain(|key| values.contains_key(key));
        }
    }

    fn get(&self, key: K) -> Option<&V> {
        self.values.get(&key).map(|(value, _)| value)
    }

    fn remove(&mut self, key: K) {
        if let Some((_, bytes)) = self.values.remove(&key) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Arc<Content> {
        Arc::new(Content {
            body: Bytes::from(vec![b'x'; len]),
            ..Content::default()
        })
    }

    #[test]
    fn the_oldest_leave_and_room_comes_back_with_what_goes() {
        let mut messages = Messages::default();
        let third = BYTES_MAX as usize / 3;
        for id in 1..=3 {
            messages.put(MessageId(id), content(third));
        }
        assert!(messages.get(MessageId(1)).is_none() && messages.get(MessageId(3)).is_some());
        messages.remove(MessageId(2));
        messages.put(MessageId(4), content(third));
        assert!(messages.get(MessageId(3)).is_some() && messages.get(MessageId(4)).is_some());
        messages.copy(MessageId(9), MessageId(10));
        messages.copy(MessageId(4), MessageId(5));
        assert!(messages.get(MessageId(10)).is_none() && messages.get(MessageId(5)).is_some());
        messages.put(MessageId(6), content(BYTES_MAX as usize));
        assert!(
            messages.get(MessageId(6)).is_none(),
            "longer than all there is room for"
        );
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing() {
        let mut messages = Messages::default();
        for id in 0..10_000 {
            messages.put(MessageId(id), content(10));
            messages.remove(MessageId(id));
        }
        assert_eq!(messages.contents.bytes, 0);
        assert!(messages.contents.order.len() < 100);
    }
}
