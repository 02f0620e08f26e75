//! Everything that a shell can have the core do, as values: what one shell has said to it, another can say again.

use std::sync::Arc;

use super::Platform;
use super::ids::QueueId;
use super::input::Input;
use super::time::Time;

/// A call that changes a [`Platform`], or makes a new one.
#[derive(Clone, Debug)]
pub enum Call {
    New { seed: u64, ids_from: u64, shared: bool },
    Handle(Time, Input),
    NewInvocation,
    NewMessage,
    IdsAbove(u64),
    Duplicate { now: Time, queue: QueueId, key: Arc<str> },
    BeginAgain { seed: u64 },
    Ledger(Time),
}

impl Platform {
    /// For a shell that opens a store: see [`Platform::new`], [`Platform::ids_from`] and [`Platform::share`].
    pub fn with_store(seed: u64, ids_from: u64, shared: bool) -> Platform {
        let mut platform = Platform::new(seed);
        platform.ids_from(ids_from);
        if shared {
            platform.share();
        }
        platform
    }

    /// The same call as another shell's. Names that are given out are those that were given out there, and stand in the inputs
    /// that follow.
    pub fn call(&mut self, call: &Call) {
        match call {
            Call::New { seed, ids_from, shared } => *self = Platform::with_store(*seed, *ids_from, *shared),
            Call::Handle(now, input) => self.handle(*now, input.clone()),
            Call::NewInvocation => {
                self.new_invocation();
            }
            Call::NewMessage => {
                self.new_message();
            }
            Call::IdsAbove(base) => self.ids_above(*base),
            Call::Duplicate { now, queue, key } => {
                self.duplicate(*now, *queue, key);
            }
            Call::BeginAgain { seed } => self.begin_again(*seed),
            Call::Ledger(now) => {
                self.ledger(*now);
            }
        }
    }
}
