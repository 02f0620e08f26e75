//! What this member holds of the broker's: a claim for each message and event, renewed as long as it stands here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::message::Acker;

use super::label::Label;
use crate::live::messages::{Content, Payload};
use crate::platform::ids::{FunctionId, InvocationId, MessageId, QueueId};

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Message(MessageId),
    /// A topic's message that is to be handed on.
    Publication(MessageId),
    /// By its first attempt.
    Event(InvocationId),
}

pub(super) struct Claim {
    pub acker: Arc<Acker>,
    /// In its stream: what follows from it is published under this, so that doing it again does nothing.
    pub sequence: u64,
    pub of: Of,
    pub label: Arc<Label>,
    /// How often it was received before it came here.
    pub received: u64,
    /// A handler, or somebody outside, has it: this time counts as well.
    pub is_seen: bool,
    /// How long the broker waits for a sign of life.
    pub wait: Duration,
    pub renewed_at: Instant,
    /// The message whose content it carries.
    pub message: Option<MessageId>,
    pub content: Option<Arc<Content>>,
    pub payload: Option<Payload>,
}

/// Where a claim belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A FIFO queue's with its group.
    Queue(QueueId, Option<Arc<str>>),
    Topic,
    Function {
        function: FunctionId,
        attempt: u32,
    },
}

/// Where what a claim leads to is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Queue(QueueId),
    Topic,
    Function(FunctionId),
}

impl From<&Of> for Origin {
    fn from(of: &Of) -> Origin {
        match of {
            Of::Queue(queue, _) => Origin::Queue(*queue),
            Of::Topic => Origin::Topic,
            Of::Function { function, .. } => Origin::Function(*function),
        }
    }
}

#[derive(Default)]
pub(super) struct Claims {
    held: HashMap<Key, Claim>,
    /// The core is done with them, the broker is not: by the step that publishes what comes of them.
    open: HashMap<u64, Vec<Claim>>,
    opened: HashMap<Origin, u64>,
    /// Claims that carry a message's content: its deliveries to functions share it.
    contents: HashMap<MessageId, (Arc<Content>, usize)>,
    /// Of each group of a FIFO queue how many stand here, and the last of them.
    groups: HashMap<(QueueId, Arc<str>), (usize, MessageId)>,
    functions: BTreeMap<FunctionId, usize>,
}

impl Claims {
    /// A claim; `false`: it was here already, and has only been handed out again.
    pub fn insert(&mut self, key: Key, claim: Claim) -> bool {
        if let Some(held) = self.held.get_mut(&key) {
            held.acker = claim.acker;
            held.sequence = claim.sequence;
            held.renewed_at = claim.renewed_at;
            return false;
        }
        if let (Some(message), Some(content)) = (claim.message, &claim.content) {
            self.contents.entry(message).or_insert_with(|| (content.clone(), 0)).1 += 1;
        }
        match (&claim.of, key) {
            (Of::Queue(queue, Some(group)), Key::Message(id)) => {
                let entry = self.groups.entry((*queue, group.clone())).or_insert((0, id));
                entry.0 += 1;
                entry.1 = entry.1.max(id);
            }
            (Of::Function { function, .. }, _) => *self.functions.entry(*function).or_default() += 1,
            _ => {}
        }
        self.held.insert(key, claim);
        true
    }

    pub fn remove(&mut self, key: Key) -> Option<Claim> {
        let claim = self.held.remove(&key)?;
        if let Some(message) = claim.message
            && let Some((_, claims)) = self.contents.get_mut(&message)
        {
            *claims -= 1;
            if *claims == 0 {
                self.contents.remove(&message);
            }
        }
        match &claim.of {
            Of::Queue(queue, Some(group)) => {
                let group = (*queue, group.clone());
                if let Some((count, _)) = self.groups.get_mut(&group) {
                    *count -= 1;
                    if *count == 0 {
                        self.groups.remove(&group);
                    }
                }
            }
            Of::Function { function, .. } => {
                if let Some(count) = self.functions.get_mut(function) {
                    *count -= 1;
                }
            }
            Of::Queue(_, None) | Of::Topic => {}
        }
        Some(claim)
    }

    /// It is received now.
    pub fn see(&mut self, key: Key) {
        if let Some(claim) = self.held.get_mut(&key) {
            claim.is_seen = true;
        }
    }

    pub fn get(&self, key: Key) -> Option<&Claim> {
        self.held.get(&key)
    }

    pub fn content(&self, message: MessageId) -> Option<&Arc<Content>> {
        self.contents.get(&message).map(|(content, _)| content)
    }

    /// Whether a message may stand beside those of its group: the core goes by ids, which members give out in blocks, so one
    /// that was sent later must not have a smaller one.
    pub fn may_follow(&self, queue: QueueId, group: &Arc<str>, id: MessageId) -> bool {
        self.groups
            .get(&(queue, group.clone()))
            .is_none_or(|(_, last)| *last < id)
    }

    pub fn of_function(&self, function: FunctionId) -> usize {
        self.functions.get(&function).copied().unwrap_or_default()
    }

    /// Takes all that `wanted` says out.
    pub fn take(&mut self, wanted: impl Fn(&Key, &Of) -> bool) -> Vec<Claim> {
        let keys: Vec<Key> = self
            .held
            .iter()
            .filter(|(key, claim)| wanted(key, &claim.of))
            .map(|(key, _)| *key)
            .collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Those that need a sign of life; they count as renewed.
    pub fn due(&mut self, now: Instant) -> Vec<Arc<Acker>> {
        let open = self.open.values_mut().flatten();
        let due = self
            .held
            .values_mut()
            .chain(open)
            .filter(|claim| now - claim.renewed_at >= claim.wait / 3);
        due.map(|claim| {
            claim.renewed_at = now;
            claim.acker.clone()
        })
        .collect()
    }

    /// Keeps what a step comes from until it is closed.
    pub fn open(&mut self, step: u64, from: Vec<Claim>) {
        for claim in &from {
            *self.opened.entry(Origin::from(&claim.of)).or_default() += 1;
        }
        self.open.insert(step, from);
    }

    pub fn close(&mut self, step: u64) {
        for claim in self.open.remove(&step).into_iter().flatten() {
            if let Some(count) = self.opened.get_mut(&Origin::from(&claim.of)) {
                *count -= 1;
            }
        }
    }

    /// How many of one origin are in open steps.
    pub fn open_of(&self, of: &Of) -> u64 {
        self.opened.get(&Origin::from(of)).copied().unwrap_or_default()
    }

    /// Of a queue, by their places in its stream.
    pub fn sequences(&self, queue: QueueId) -> Vec<u64> {
        let of = |claim: &&Claim| matches!(claim.of, Of::Queue(of, _) if of == queue);
        self.held.values().filter(of).map(|claim| claim.sequence).collect()
    }

    /// The FIFO queue that a message is of.
    pub fn fifo_of(&self, message: MessageId) -> Option<QueueId> {
        match self.held.get(&Key::Message(message))?.of {
            Of::Queue(queue, Some(_)) => Some(queue),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }
}
