//! Names of the manifest to the core's ids and back. Ids are never reused: a name that left and came back has the
//! one it had.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId, TopicId, TriggerId};
use crate::platform::time::Span;

use super::store::Kind;

/// What the reason of an instance's end says of its function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    pub keep_alive: Span,
    /// In service.
    pub version: u32,
}

/// Grows only.
#[derive(Default)]
pub struct Names {
    facts: BTreeMap<FunctionId, Facts>,
    functions: Table,
    queues: Table,
    topics: Table,
    triggers: Table,
}

#[derive(Default)]
struct Table {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Table {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = u32::try_from(self.names.len()).expect("more than four billion names");
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }

    fn name(&self, id: u32) -> Arc<str> {
        self.names.get(id as usize).cloned().unwrap_or_else(|| "?".into())
    }
}

macro_rules! kind {
    ($intern:ident, $find:ident, $name:ident, $table:ident, $id:ident) => {
        pub fn $intern(&mut self, name: &str) -> $id {
            $id(self.$table.intern(name))
        }

        pub fn $find(&self, name: &str) -> Option<$id> {
            self.$table.ids.get(name).copied().map($id)
        }

        pub fn $name(&self, id: $id) -> Arc<str> {
            self.$table.name(id.0)
        }
    };
}

impl Names {
    pub fn intern_function(&mut self, name: &str) -> FunctionId {
        FunctionId(self.functions.intern(name))
    }

    pub fn find_function(&self, name: &str) -> Option<FunctionId> {
        self.functions.ids.get(name).copied().map(FunctionId)
    }

    pub fn function(&self, id: FunctionId) -> Arc<str> {
        self.functions.name(id.0)
    }

    pub fn facts(&self, id: FunctionId) -> Facts {
        self.facts.get(&id).copied().unwrap_or_default()
    }

    pub fn facts_mut(&mut self, id: FunctionId) -> &mut Facts {
        self.facts.entry(id).or_default()
    }

    /// Gives the names of a run before this one the ids that they had.
    pub fn recall(&mut self, names: &[(Kind, String)]) {
        for (kind, name) in names {
            match kind {
                Kind::Function => _ = self.functions.intern(name),
                Kind::Queue => _ = self.queues.intern(name),
                Kind::Topic => _ = self.topics.intern(name),
            }
        }
    }

    /// What a store must know to [`Names::recall`] it.
    pub fn stored(&self) -> Vec<(Kind, u32, String)> {
        let kinds = [
            (Kind::Function, &self.functions),
            (Kind::Queue, &self.queues),
            (Kind::Topic, &self.topics),
        ];
        let all = kinds.into_iter().flat_map(|(kind, table)| {
            let named = (0u32..).zip(&table.names);
            named.map(move |(id, name)| (kind, id, name.to_string()))
        });
        all.collect()
    }

    kind!(intern_queue, find_queue, queue, queues, QueueId);
    kind!(intern_topic, find_topic, topic, topics, TopicId);
    kind!(intern_trigger, find_trigger, trigger, triggers, TriggerId);
}

/// Makes and reads the public form of ids: UUIDs of version 8 whose head is this run's, whose tail counts.
#[derive(Clone, Copy, Debug)]
pub struct PublicIds {
    run: u64,
}

const TAIL_BITS: u32 = 48;

impl PublicIds {
    pub fn new(seed: u64) -> PublicIds {
        // splitmix64, so that neighbouring seeds give heads that differ to the eye.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        PublicIds { run: z ^ (z >> 31) }
    }

    pub fn invocation(self, id: InvocationId) -> String {
        self.format(0, id.0)
    }

    pub fn message(self, id: MessageId) -> String {
        self.format(1, id.0)
    }

    pub fn parse_invocation(self, text: &str) -> Option<InvocationId> {
        self.parse(0, text).map(InvocationId)
    }

    pub fn parse_message(self, text: &str) -> Option<MessageId> {
        self.parse(1, text).map(MessageId)
    }

    fn format(self, kind: u64, n: u64) -> String {
        let run = self.run;
        let tail = n & ((1 << TAIL_BITS) - 1);
        format!(
            "{:08x}-{:04x}-8{:03x}-{:x}{:03x}-{tail:012x}",
            run >> 32,
            (run >> 16) & 0xffff,
            (run >> 4) & 0xfff,
            8 + kind,
            run.rotate_left(8) & 0xfff,
        )
    }

    fn parse(self, kind: u64, text: &str) -> Option<u64> {
        let tail = u64::from_str_radix(text.get(24..)?, 16).ok()?;
        (text.len() == 36 && self.format(kind, tail) == text).then_some(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ids_come_back_and_strangers_do_not() {
        let ids = PublicIds::new(7);
        let text = ids.invocation(InvocationId(123_456));
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "8", "version 8 of RFC 9562");
        assert_eq!(ids.parse_invocation(&text), Some(InvocationId(123_456)));
        assert_eq!(ids.parse_message(&text), None);
        assert_eq!(PublicIds::new(8).parse_invocation(&text), None);
        assert_eq!(ids.parse_invocation("not-an-id"), None);
    }

    #[test]
    fn a_name_keeps_its_id() {
        let mut names = Names::default();
        let a = names.intern_queue("a");
        let b = names.intern_queue("b");
        assert_ne!(a, b);
        assert_eq!(names.intern_queue("a"), a);
        assert_eq!(&*names.queue(b), "b");
        assert_eq!(names.find_queue("c"), None);
    }
}
