//! A standard queue beside a model so plain that it cannot be wrong: a list of messages, searched from the front.

use proptest::prelude::*;

use super::super::ids::{MessageId, ReceiptId};
use super::super::input::Message;
use super::super::queue::{Entry, MessageState, Queue};
use super::super::time::{Span, Time};
use super::queue;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Send { delay: Option<u64>, group: u8 },
    Receive { max: usize, visibility: u64 },
    Delete(usize),
    Hide(usize, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0u64..20).prop_map(Op::Wait),
        (proptest::option::of(0u64..10), 0u8..3).prop_map(|(delay, group)| Op::Send { delay, group }),
        (0usize..4, 1u64..15).prop_map(|(max, visibility)| Op::Receive { max, visibility }),
        (0usize..20).prop_map(Op::Delete),
        (0usize..20, 0u64..15).prop_map(|(at, visibility)| Op::Hide(at, visibility)),
    ]
}

#[derive(Clone, Debug)]
struct Plain {
    id: MessageId,
    group: u8,
    sent_at: u64,
    visible_at: u64,
    in_flight: bool,
    count: u32,
    receipt: Option<ReceiptId>,
}

struct Model {
    fifo: bool,
    max: usize,
    retention: u64,
    messages: Vec<Plain>,
}

impl Model {
    /// Time passes to `now`, second by second.
    fn wake(&mut self, now: u64) {
        for message in &mut self.messages {
            message.in_flight &= message.visible_at > now;
        }
        // Only the oldest is looked at: what was sent later expires later.
        while self
            .messages
            .first()
            .is_some_and(|message| message.sent_at + self.retention <= now)
        {
            self.messages.remove(0);
        }
    }

    fn receivable(&self, now: u64) -> Vec<usize> {
        let is_blocked = |at: usize| {
            let of = &self.messages[at];
            let locked = self
                .messages
                .iter()
                .any(|other| other.group == of.group && other.in_flight);
            let earlier = &self.messages[..at];
            let hidden = earlier
                .iter()
                .any(|other| other.group == of.group && other.visible_at > now);
            self.fifo && (locked || hidden)
        };
        let mut all: Vec<usize> = (0..self.messages.len())
            .filter(|at| self.messages[*at].visible_at <= now && !is_blocked(*at))
            .collect();
        if self.fifo {
            // Group by group, in the order of their first messages.
            let first = |at: &usize| {
                self.messages
                    .iter()
                    .position(|other| other.group == self.messages[*at].group)
            };
            all.sort_by_key(|at| (first(at), *at));
        }
        all
    }
}

fn run(fifo: bool, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut spec = queue("q");
    spec.fifo = fifo;
    spec.max_messages = 12;
    spec.retention = Span::from_secs(60);
    spec.delay = Span::ZERO;
    let mut model = Model {
        fifo,
        max: 12,
        retention: 60,
        messages: Vec::new(),
    };
    let mut queue = Queue::new(spec);
    let (mut now, mut ids, mut receipts) = (0u64, 0u64, 0u64);
    let mut given: Vec<(MessageId, ReceiptId)> = Vec::new();
    for op in ops {
        match op {
            Op::Wait(seconds) => {
                now += seconds;
                while let Some(id) = queue.next_expired(Time::from_secs(now)) {
                    queue.remove(id);
                }
                while let Some(id) = queue.next_visible(Time::from_secs(now)) {
                    queue.show(id);
                }
                model.wake(now);
            }
            Op::Send { delay, group } => {
                ids += 1;
                let message = Message {
                    id: MessageId(ids),
                    size_bytes: 1,
                    delay: delay.map(Span::from_secs),
                    group: Some(group.to_string().into()),
                    deduplication: None,
                    cause: None,
                    admitted: false,
                };
                let entry = queue.send(Time::from_secs(now), &message, Span::ZERO);
                if model.messages.len() >= model.max {
                    prop_assert_eq!(entry, Entry::Full);
                } else {
                    let visible_at = now + delay.unwrap_or(0);
                    prop_assert_eq!(entry, Entry::Accepted);
                    let stored = queue.get(MessageId(ids)).map(|held| held.stored(MessageId(ids)));
                    let kept_until = stored.map(|stored| stored.visible_at);
                    prop_assert_eq!(kept_until, Some(Time::from_secs(visible_at)));
                    let id = MessageId(ids);
                    let (group, sent_at) = (*group, now);
                    let (in_flight, count, receipt) = (false, 0, None);
                    model.messages.push(Plain {
                        id,
                        group,
                        sent_at,
                        visible_at,
                        in_flight,
                        count,
                        receipt,
                    });
                }
            }
            Op::Receive { max, visibility } => {
                let expected = model.receivable(now);
                prop_assert_eq!(queue.available(100), expected.len());
                let mut next = |_: MessageId, _: Option<ReceiptId>| {
                    receipts += 1;
                    ReceiptId(receipts)
                };
                let span = Span::from_secs(*visibility);
                let deliveries = queue.receive(Time::from_secs(now), *max, span, &mut next);
                prop_assert_eq!(deliveries.len(), expected.len().min(*max));
                for (delivery, at) in deliveries.iter().zip(expected) {
                    let plain = &mut model.messages[at];
                    plain.count += 1;
                    plain.in_flight = true;
                    plain.visible_at = now + visibility;
                    plain.receipt = Some(delivery.receipt);
                    prop_assert_eq!((delivery.message, delivery.receive_count), (plain.id, plain.count));
                    given.push((delivery.message, delivery.receipt));
                }
            }
            Op::Delete(at) => {
                if let Some(&(id, receipt)) = given.get(*at) {
                    let place = model.messages.iter().position(|plain| {
                        plain.id == id && plain.receipt == Some(receipt) && (!fifo || plain.in_flight)
                    });
                    prop_assert_eq!(queue.honours(id, receipt), place.is_some());
                    if let Some(place) = place {
                        model.messages.remove(place);
                        queue.remove(id);
                    }
                }
            }
            Op::Hide(at, visibility) => {
                if let Some(&(id, receipt)) = given.get(*at)
                    && let Some(plain) = model.messages.iter_mut().find(|plain| plain.id == id)
                    && plain.receipt == Some(receipt)
                    && plain.in_flight
                {
                    plain.visible_at = now + visibility;
                    plain.in_flight = *visibility > 0;
                    queue.hide_until(id, Time::from_secs(now + visibility));
                    while let Some(id) = queue.next_visible(Time::from_secs(now)) {
                        queue.show(id);
                    }
                }
            }
        }
        queue.check().map_err(TestCaseError::fail)?;
        let states: Vec<(MessageId, bool)> = queue
            .iter()
            .map(|(id, held)| (id, matches!(held.state(), MessageState::InFlight { .. })))
            .collect();
        let expected: Vec<(MessageId, bool)> = model.messages.iter().map(|plain| (plain.id, plain.in_flight)).collect();
        prop_assert_eq!(states, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn standard_queue_does_as_the_model(ops in proptest::collection::vec(op(), 1..60)) {
        run(false, &ops)?;
    }

    #[test]
    fn fifo_queue_does_as_the_model(ops in proptest::collection::vec(op(), 1..60)) {
        run(true, &ops)?;
    }
}
