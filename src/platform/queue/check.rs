//! What must hold in a queue after every input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::ids::MessageId;
use super::{MessageState, Queue, group_key};

impl Queue {
    /// Checks the indexes against the messages.
    pub fn check(&self) -> Result<(), String> {
        let mut hidden = BTreeSet::new();
        let mut visible = BTreeSet::new();
        let mut in_flight = 0;
        let mut groups: BTreeMap<Arc<str>, (BTreeSet<MessageId>, u32)> = BTreeMap::new();
        for (id, held) in self.messages.iter() {
            match held.state().until() {
                Some(until) => hidden.insert((until, id)),
                None => visible.insert(id),
            };
            let flies = matches!(held.state(), MessageState::InFlight { .. });
            in_flight += u64::from(flies);
            let group = groups.entry(group_key(held)).or_default();
            group.0.insert(id);
            group.1 += u32::from(flies);
        }
        if hidden != self.hidden || in_flight != self.in_flight {
            return Err(String::from("what is hidden is not what should be"));
        }
        if !self.spec.fifo {
            let fresh = visible.split_off(&self.fresh);
            let right = visible == self.visible && fresh.len() == self.fresh_visible && self.groups.is_empty();
            return right
                .then_some(())
                .ok_or_else(|| String::from("what is visible is not what should be"));
        }
        let ready: BTreeMap<MessageId, Arc<str>> = groups
            .iter()
            .filter(|(_, (_, in_flight))| *in_flight == 0)
            .filter_map(|(key, (messages, _))| Some((*messages.first()?, key.clone())))
            .filter(|(first, _)| visible.contains(first))
            .collect();
        let kept = self
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), (group.messages.clone(), group.in_flight)));
        let kept: BTreeMap<Arc<str>, (BTreeSet<MessageId>, u32)> = kept.collect();
        let right = kept == groups && ready == self.ready && self.visible.is_empty();
        right
            .then_some(())
            .ok_or_else(|| String::from("groups are not what they should be"))
    }
}
