//! Faults on purpose. What is drawn comes from a generator of its own, so that a run without faults draws as it did; each
//! fault is an event with its cause, so that nobody takes it for a bug.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::engine::{Failure, FailureKind};
use crate::platform::effect::{Delivery, Run, Work};
use crate::platform::ids::{InstanceId, InvocationId, MessageId};
use crate::platform::input::Input;
use crate::platform::time::Span;
use crate::project::faults::{FaultKind, Faults};
use crate::report::event::{Event, Fault};

use super::driver::{Driver, Own, lock};
use super::events::What;
use super::run::Verdict;
use super::table::Entry;

/// Instances share so many hosts: one that is lost takes a quarter of them.
const HOSTS: u64 = 4;
/// Keeps the draws of faults apart from those of the core, which begin at the same seed.
const SALT: u64 = 0x6661_756c_7473_0001;

/// The faults of a run.
pub struct Chaos(Mutex<State>);

struct State {
    faults: Faults,
    seed: u64,
    rng: ChaCha12Rng,
    /// Busy instances on a host that was lost: what runs there fails.
    lost: BTreeSet<InstanceId>,
}

/// A fault that is to happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub kind: FaultKind,
    pub probability: f64,
    pub by: Span,
}

impl Chaos {
    /// `seed` is the run's, for faults that name none.
    pub fn new(faults: Faults, seed: u64) -> Chaos {
        let rng = generator(&faults, seed);
        Chaos(Mutex::new(State {
            faults,
            seed,
            rng,
            lost: BTreeSet::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// From now on; the draws begin anew.
    pub fn set(&self, faults: Faults) {
        let mut state = self.lock();
        state.rng = generator(&faults, state.seed);
        state.faults = faults;
    }

    /// The draws begin anew, as after a start.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.rng = generator(&state.faults, state.seed);
        state.lost.clear();
    }

    /// Whether a fault of this kind happens to a function now. Without a rule nothing is drawn.
    pub fn draw(&self, kind: FaultKind, function: &str) -> Option<Hit> {
        let mut guard = self.lock();
        let State { faults, rng, .. } = &mut *guard;
        let concerns = |of: &Option<String>| of.as_deref().is_none_or(|of| of == function);
        for rule in &faults.rules {
            if rule.kind == kind && concerns(&rule.function) && chance(rng) < rule.probability {
                return Some(Hit {
                    kind,
                    probability: rule.probability,
                    by: rule.by,
                });
            }
        }
        None
    }

    /// One of so many.
    fn one_of(&self, count: u64) -> u64 {
        let mut state = self.lock();
        state.rng.next_u64() % count.max(1)
    }

    /// A part of a span.
    pub fn part(&self, of: Span) -> Span {
        let mut state = self.lock();
        Span((of.0 as f64 * chance(&mut state.rng)) as u64)
    }
}

fn generator(faults: &Faults, seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(faults.seed.unwrap_or(seed) ^ SALT)
}

/// From 0 to below 1.
fn chance(rng: &mut ChaCha12Rng) -> f64 {
    // 53 bits, as many as a double has.
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

impl Hit {
    const LOST: Hit = Hit {
        kind: FaultKind::Kill,
        probability: 1.0,
        by: Span::ZERO,
    };

    /// The failure that stands for it.
    pub fn failure(self) -> Failure {
        let message = match self.kind {
            FaultKind::Delay => "the invocation was held up beyond its timeout",
            FaultKind::Kill => "the instance was lost before the end of the invocation was known",
            _ => "the invocation failed before its handler ran",
        };
        let timeout = self.kind == FaultKind::Delay;
        Failure {
            kind: if timeout {
                FailureKind::Timeout
            } else {
                FailureKind::Trap
            },
            message: format!("fault on purpose: {message}"),
            stack: Vec::new(),
        }
    }
}

/// Whom a fault happened to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whom {
    pub invocation: Option<InvocationId>,
    pub message: Option<MessageId>,
    pub instances: u64,
}

impl Whom {
    pub fn invocation(id: InvocationId) -> Whom {
        Whom {
            invocation: Some(id),
            ..Whom::default()
        }
    }
}

impl Driver {
    /// What happens to an invocation at its end: it takes longer, is lost with its instance, or its messages come again.
    pub(super) fn spoil(
        &self,
        run: &Run,
        entry: &Entry,
        duration: &mut Span,
        verdict: &mut Verdict,
        failure: &mut Option<Failure>,
    ) {
        let name = entry.name();
        let whom = Whom::invocation(run.invocation);
        if failure.is_none()
            && let Some(hit) = self.fault(FaultKind::Delay, name, whom)
        {
            *duration += hit.by;
            let timeout = entry.function.timeout;
            if *duration > timeout {
                *duration = timeout;
                *verdict = Verdict::default();
                *failure = Some(hit.failure());
            }
        }
        let host = self.0.chaos.lock().lost.remove(&run.instance);
        let lost = if host {
            None
        } else {
            self.fault(FaultKind::Kill, name, whom)
        };
        if lost.is_some() {
            let instances = vec![run.instance];
            self.step(Input::HostLost { instances }, &mut Own::default());
        }
        if lost.is_some() || host {
            *verdict = Verdict::default();
            *failure = Some(Hit::LOST.failure());
        }
        if failure.is_none()
            && let Work::Batch { deliveries, .. } = &run.work
        {
            for delivery in deliveries {
                self.again(name, delivery, verdict);
            }
        }
    }

    /// Whether a message that was handled is delivered again.
    fn again(&self, function: &str, delivery: &Delivery, verdict: &mut Verdict) {
        let id = delivery.message;
        if verdict.failed_messages.iter().any(|(failed, _)| *failed == id) {
            return;
        }
        let whom = Whom {
            message: Some(id),
            ..Whom::default()
        };
        // In a FIFO queue what is handed out twice was never acknowledged.
        if delivery.group.is_none() && self.fault(FaultKind::Duplicate, function, whom).is_some() {
            verdict.failed_messages.push((id, Some(Span::ZERO)));
        } else if self.fault(FaultKind::LateAck, function, whom).is_some() {
            verdict.failed_messages.push((id, None));
        }
    }

    /// How long a message is held up on its way into a queue.
    pub(super) fn held_up(&self, queue: &str) -> Option<Span> {
        if self.0.chaos.lock().faults.rules.is_empty() {
            return None;
        }
        let table = self.table();
        let reads = |entry: &&std::sync::Arc<Entry>| entry.function.queue.as_ref().is_some_and(|of| of.from == queue);
        let consumer = table.by_name.values().find(reads).map(|entry| entry.name().clone());
        let hit = self.fault(
            FaultKind::Reorder,
            consumer.as_deref().unwrap_or(queue),
            Whom::default(),
        )?;
        Some(self.0.chaos.part(hit.by))
    }

    /// Draws, and tells of what is to happen.
    pub(super) fn fault(&self, kind: FaultKind, function: &str, whom: Whom) -> Option<Hit> {
        let hit = self.0.chaos.draw(kind, function)?;
        self.tell_of_fault(hit, function, whom);
        Some(hit)
    }

    fn tell_of_fault(&self, hit: Hit, function: &str, whom: Whom) {
        let ids = &self.0.ids;
        let detail = match hit.kind {
            FaultKind::Fail => "fails before its handler runs".to_owned(),
            FaultKind::Kill => "its instance is lost before its end is known".to_owned(),
            FaultKind::Delay => format!("takes {} longer", hit.by),
            FaultKind::Duplicate => "delivered once more although it was handled".to_owned(),
            FaultKind::LateAck => "its acknowledgement comes after the visibility timeout".to_owned(),
            FaultKind::Reorder => format!("held up for up to {}", hit.by),
            FaultKind::ColdStarts => format!("{} idle instances vanish", whom.instances),
            FaultKind::HostLoss => format!("a host is lost with {} instances", whom.instances),
        };
        let fault = Fault {
            kind: hit.kind.name().to_owned(),
            function: function.to_owned(),
            invocation: whom.invocation.map(|id| ids.invocation(id)),
            message: whom.message.map(|id| ids.message(id)),
            probability: hit.probability,
            detail,
        };
        self.0.hub.push(self.now(), What::Made(Box::new(Event::Fault(fault))));
    }

    /// Before work arrives at a function: instances may be gone.
    pub(super) fn lose_instances(&self, function: &str) {
        for kind in [FaultKind::ColdStarts, FaultKind::HostLoss] {
            let Some(hit) = self.0.chaos.draw(kind, function) else {
                continue;
            };
            let host = self.0.chaos.one_of(HOSTS);
            let lost: Vec<InstanceId> = {
                let core = lock(&self.0.core);
                let names = self.names();
                let all = core.platform.instances().into_iter();
                let fits = all.filter(|instance| match kind {
                    FaultKind::ColdStarts => {
                        instance.idle_since.is_some() && *names.function(instance.function) == *function
                    }
                    _ => instance.id.0 % HOSTS == host,
                });
                let found: Vec<_> = fits.collect();
                let busy = found.iter().filter(|instance| instance.in_flight > 0);
                self.0.chaos.lock().lost.extend(busy.map(|instance| instance.id));
                found.into_iter().map(|instance| instance.id).collect()
            };
            if lost.is_empty() {
                continue;
            }
            let whom = Whom {
                instances: lost.len() as u64,
                ..Whom::default()
            };
            self.tell_of_fault(hit, function, whom);
            self.step(Input::HostLost { instances: lost }, &mut Own::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_seed_and_the_probabilities() {
        let faults = Faults::parse("fail=0.25,billing.kill=1").expect("valid");
        let chaos = Chaos::new(faults.clone(), 7);
        let first: Vec<bool> = (0..1_000)
            .map(|_| chaos.draw(FaultKind::Fail, "api").is_some())
            .collect();
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((200..300).contains(&hits), "{hits}");
        assert!(chaos.draw(FaultKind::Kill, "api").is_none());
        assert!(chaos.draw(FaultKind::Kill, "billing").is_some());
        assert!(chaos.draw(FaultKind::Delay, "api").is_none());
        chaos.reset();
        let again: Vec<bool> = (0..1_000)
            .map(|_| chaos.draw(FaultKind::Fail, "api").is_some())
            .collect();
        assert_eq!(first, again);
        let other = Chaos::new(faults, 8);
        let other: Vec<bool> = (0..1_000)
            .map(|_| other.draw(FaultKind::Fail, "api").is_some())
            .collect();
        assert_ne!(first, other);
    }
}
