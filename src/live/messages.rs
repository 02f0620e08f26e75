//! Bodies of messages and of asynchronous events, in memory. The core decides what becomes of them and knows only
//! their ids and sizes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::platform::ids::{InvocationId, MessageId};

/// All bodies together. Beyond it sends are refused, so that a queue without a consumer cannot take the machine.
const BYTES_MAX: u64 = 1 << 30;

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
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.to_string().len())
            .sum();
        (self.body.len() + attributes) as u64
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

#[derive(Default)]
pub struct Messages {
    contents: HashMap<MessageId, Arc<Content>>,
    events: HashMap<InvocationId, Arc<Value>>,
    bytes: u64,
}

impl Messages {
    /// Whether there is room for so much more.
    pub fn fits(&self, bytes: u64) -> bool {
        self.bytes.saturating_add(bytes) <= BYTES_MAX
    }

    pub fn put(&mut self, id: MessageId, content: Arc<Content>) {
        self.bytes += content.size_bytes();
        if let Some(old) = self.contents.insert(id, content) {
            self.bytes -= old.size_bytes();
        }
    }

    pub fn copy(&mut self, of: MessageId, to: MessageId) {
        if let Some(content) = self.contents.get(&of).cloned() {
            self.put(to, content);
        }
    }

    pub fn get(&self, id: MessageId) -> Option<&Arc<Content>> {
        self.contents.get(&id)
    }

    pub fn remove(&mut self, id: MessageId) {
        if let Some(old) = self.contents.remove(&id) {
            self.bytes -= old.size_bytes();
        }
    }

    pub fn put_event(&mut self, first: InvocationId, event: Arc<Value>) {
        self.events.insert(first, event);
    }

    pub fn event(&self, first: InvocationId) -> Option<&Arc<Value>> {
        self.events.get(&first)
    }

    pub fn remove_event(&mut self, first: InvocationId) {
        self.events.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_what_goes() {
        let mut messages = Messages::default();
        let content = Arc::new(Content {
            body: Bytes::from_static(b"{\"a\":1}"),
            ..Content::default()
        });
        messages.put(MessageId(1), content);
        messages.copy(MessageId(1), MessageId(2));
        messages.copy(MessageId(9), MessageId(3));
        assert!(messages.get(MessageId(2)).is_some() && messages.get(MessageId(3)).is_none());
        assert!(!messages.fits(BYTES_MAX - 13));
        messages.remove(MessageId(1));
        messages.remove(MessageId(1));
        assert!(messages.fits(BYTES_MAX - 7));
    }
}
