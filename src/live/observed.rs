//! The core as the shell holds it: the platform, and whoever wants to hear every call of it and every effect, so that a run can
//! be looked at, or played again through the platform alone (`sim::replay`). Without an observer that costs a branch.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, LineWriter, Write as _};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::platform::Platform;
use crate::platform::billing::Ledger;
use crate::platform::call::Call;
use crate::platform::effect::Effect;
use crate::platform::ids::{InvocationId, MessageId, QueueId};
use crate::platform::input::Input;
use crate::platform::time::Time;

/// Hears of all that goes into the core and comes out of it, in order, while the core is locked.
pub trait Observer: Send + Sync + Debug {
    fn called(&mut self, call: &Call);
    fn effect(&mut self, effect: &Effect);
}

/// Reads as the platform; what changes it goes through here, and nothing else can.
pub(super) struct Observed {
    platform: Platform,
    observer: Option<Box<dyn Observer>>,
}

impl Deref for Observed {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

impl Observed {
    pub fn new(seed: u64, ids_from: u64, shared: bool, observer: Option<Box<dyn Observer>>) -> Observed {
        let mut observed = Observed {
            platform: Platform::with_store(seed, ids_from, shared),
            observer,
        };
        observed.tell(|| Call::New { seed, ids_from, shared });
        observed
    }

    /// For the one that comes after this.
    pub fn take_observer(&mut self) -> Option<Box<dyn Observer>> {
        self.observer.take()
    }

    #[inline]
    fn tell(&mut self, call: impl FnOnce() -> Call) {
        if let Some(observer) = &mut self.observer {
            observer.called(&call());
        }
    }

    pub fn handle(&mut self, now: Time, input: Input) {
        self.tell(|| Call::Handle(now, input.clone()));
        self.platform.handle(now, input);
    }

    pub fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.platform.poll_effect()?;
        if let Some(observer) = &mut self.observer {
            observer.effect(&effect);
        }
        Some(effect)
    }

    pub fn new_invocation(&mut self) -> InvocationId {
        self.tell(|| Call::NewInvocation);
        self.platform.new_invocation()
    }

    pub fn new_message(&mut self) -> MessageId {
        self.tell(|| Call::NewMessage);
        self.platform.new_message()
    }

    pub fn ids_above(&mut self, base: u64) {
        self.tell(|| Call::IdsAbove(base));
        self.platform.ids_above(base);
    }

    pub fn duplicate(&mut self, now: Time, queue: QueueId, key: &str) -> Option<MessageId> {
        self.tell(|| Call::Duplicate {
            now,
            queue,
            key: Arc::from(key),
        });
        self.platform.duplicate(now, queue, key)
    }

    pub fn ledger(&mut self, now: Time) -> Option<&Ledger> {
        self.tell(|| Call::Ledger(now));
        self.platform.ledger(now)
    }

    pub fn begin_again(&mut self, seed: u64) {
        self.tell(|| Call::BeginAgain { seed });
        self.platform.begin_again(seed);
    }
}

/// Writes a line for each call and each effect, for people.
#[derive(Debug)]
pub struct CoreLog(LineWriter<File>);

impl CoreLog {
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<CoreLog> {
        Ok(CoreLog(LineWriter::new(File::create(path)?)))
    }

    fn line(&mut self, line: &str) {
        if let Err(error) = writeln!(self.0, "{line}") {
            tracing::warn!("the core's log is not complete: {error}");
        }
    }
}

impl Observer for CoreLog {
    fn called(&mut self, call: &Call) {
        self.line(&format!("> {call:?}"));
    }

    fn effect(&mut self, effect: &Effect) {
        self.line(&format!("  < {effect:?}"));
    }
}
