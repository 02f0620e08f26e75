//! What falls due when: served one at a time, at its own time, ties in the order in which they were set.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::{FunctionId, InstanceId, InvocationId, QueueId, TriggerId};
use super::time::Time;

/// A deadline that is no longer needed stays until it fires and then does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// When the longest idle instance of a function may have reached its keep-alive.
    Expiry(FunctionId),
    /// When an instance reaches its maximum age.
    Age(InstanceId),
    /// When a function's next request is likely, and an instance is to be there for it.
    Prewarm(FunctionId),
    /// When a function whose provisioned instance could not start tries again.
    Provision(FunctionId),
    /// When requests that wait for the scaling rate may go on.
    Waiters(FunctionId),
    /// When a waiting request has waited too long.
    WaitOver(InvocationId),
    /// When a retry or throttled asynchronous work is to be tried.
    Parked(InvocationId),
    /// When something in a queue changes: a message turns visible or expires, a batch window ends, a poller may go on.
    Queue(QueueId),
    /// When a cron is to be fired by the platform itself.
    Cron(TriggerId),
}

#[derive(Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, u64, Deadline)>>,
    seq: u64,
}

impl Deadlines {
    pub fn set(&mut self, at: Time, deadline: Deadline) {
        if at < Time::NEVER {
            self.seq += 1;
            self.heap.push(Reverse((at, self.seq, deadline)));
        }
    }

    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// All that are set, in no order; for checks.
    pub fn iter(&self) -> impl Iterator<Item = (Time, Deadline)> {
        self.heap.iter().map(|Reverse((at, _, deadline))| (*at, *deadline))
    }

    pub fn pop_due(&mut self, now: Time) -> Option<(Time, Deadline)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, deadline))| (at, deadline))
    }
}
