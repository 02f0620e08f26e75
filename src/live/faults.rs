//! Faults on purpose. What is drawn comes from a generator of its own, so that a run without faults draws as it did; each
//! fault is an event with its cause, so that nobody takes it for a bug.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use tokio::sync::oneshot;

use crate::engine::{Failure, FailureKind};
use crate::platform::effect::{Delivery, Run, Work};
use crate::platform::ids::{FunctionId, InstanceId, InvocationId, MessageId};
use crate::platform::input::Input;
use crate::platform::time::Span;
use crate::platform::view::InstanceView;
use crate::project::faults::{FaultKind, Faults};
use crate::report::event::{Event, Fault};
use crate::report::number::plural;

use super::driver::{Driver, Own, lock};
use super::events::What;
use super::run::Verdict;
use super::table::Entry;

/// How long a delay is, and a message held up at the most, unless it is said.
const DELAY: Span = Span::from_secs(1);
/// Instances share so many hosts: one that is lost takes a quarter of them.
const HOSTS: u64 = 4;
/// Keeps the draws of faults apart from those of the core, which begin at the same seed.
const SALT: u64 = 0x6661_756c_7473_0001;
/// And those of throttling, which the core makes, from both.
const THROTTLE_SALT: u64 = 0x6661_756c_7473_0002;

/// The faults of a run.
pub struct Chaos(Mutex<State>);

struct State {
    faults: Faults,
    seed: u64,
    rng: ChaCha12Rng,
    /// How often faults have been set: what was drawn before does not happen any more.
    epoch: u64,
    /// What runs where, while there are faults; told when its instance is lost.
    running: BTreeMap<InvocationId, (InstanceId, oneshot::Sender<()>)>,
    /// Probabilities of the rules for throttling that the core has, in its order.
    throttles: Vec<f64>,
}

/// A fault that is to happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub kind: FaultKind,
    pub probability: f64,
    pub by: Option<Span>,
}

/// The loss of an instance or host, drawn for a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doom {
    pub hit: Hit,
    /// After the run's begin, if it takes so long.
    pub after: Span,
    epoch: u64,
}

impl Chaos {
    /// `seed` is the run's, for faults that name none.
    pub fn new(faults: Faults, seed: u64) -> Chaos {
        let rng = generator(&faults, seed);
        Chaos(Mutex::new(State {
            faults,
            seed,
            rng,
            epoch: 0,
            running: BTreeMap::new(),
            throttles: Vec::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// From now on; the draws begin anew.
    fn set(&self, faults: Faults) {
        let mut state = self.lock();
        state.rng = generator(&faults, state.seed);
        state.faults = faults;
        state.epoch += 1;
    }

    /// The draws begin anew, as after a start.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.rng = generator(&state.faults, state.seed);
        state.epoch += 1;
        state.running.clear();
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

    /// A part of a span.
    fn part(&self, of: Span) -> Span {
        part(&mut self.lock().rng, of)
    }

    /// Whether a run that begins now is to lose its instance, and when.
    pub fn doom(&self, function: &str, timeout: Span) -> Option<Doom> {
        let kinds = [FaultKind::Kill, FaultKind::HostLoss];
        let hit = kinds.into_iter().find_map(|kind| self.draw(kind, function))?;
        let mut guard = self.lock();
        let State { rng, epoch, .. } = &mut *guard;
        let after = match hit.by {
            Some(by) => part(rng, by),
            None => instant(rng, timeout),
        };
        Some(Doom {
            hit,
            after,
            epoch: *epoch,
        })
    }

    /// A run begins, while there are faults: tells when its instance is lost.
    pub fn begins(&self, run: &Run) -> Option<oneshot::Receiver<()>> {
        let mut state = self.lock();
        if state.faults.rules.is_empty() {
            return None;
        }
        let (sender, lost) = oneshot::channel();
        state.running.insert(run.invocation, (run.instance, sender));
        Some(lost)
    }

    pub fn ends(&self, invocation: InvocationId) {
        self.lock().running.remove(&invocation);
    }
}

fn part(rng: &mut ChaCha12Rng, of: Span) -> Span {
    Span((of.0 as f64 * chance(rng)) as u64)
}

/// Some instant of a run: from a tenth of a millisecond on each doubling of time is as likely as any other, up to the timeout, since nobody
/// knows how long a run will take.
fn instant(rng: &mut ChaCha12Rng, timeout: Span) -> Span {
    const FIRST: Span = Span(100_000);
    let doublings = (timeout.0 / FIRST.0).checked_ilog2().unwrap_or(0);
    let from = FIRST.0 << (rng.next_u64() % u64::from(doublings + 1));
    Span(from) + part(rng, Span(from))
}

fn generator(faults: &Faults, seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(faults.seed.unwrap_or(seed) ^ SALT)
}

/// From 0 to below 1.
fn chance(rng: &mut ChaCha12Rng) -> f64 {
    // 53 bits, as many as a double has.
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The failure that stands for a lost instance.
pub fn lost() -> Failure {
    on_purpose(FailureKind::Trap, "the instance was lost")
}

fn on_purpose(kind: FailureKind, what: &str) -> Failure {
    Failure {
        kind,
        message: format!("fault on purpose: {what}"),
        stack: Vec::new(),
    }
}

impl Hit {
    /// The failure that stands for it.
    pub fn failure(self) -> Failure {
        match self.kind {
            FaultKind::Delay => on_purpose(FailureKind::Timeout, "the invocation was held up beyond its timeout"),
            _ => on_purpose(FailureKind::Trap, "the invocation failed before its handler ran"),
        }
    }
}

/// Whom a fault happened to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whom {
    pub invocation: Option<InvocationId>,
    pub message: Option<MessageId>,
    pub instances: u64,
    /// Of a run that is lost: after so long; `None`: at its end.
    pub after: Option<Span>,
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
    /// An invocation that has not failed takes longer; the failure of one that takes too long then.
    pub(super) fn hold_up(&self, run: &Run, entry: &Entry, duration: &mut Span, failed: bool) -> Option<Failure> {
        if failed {
            return None;
        }
        let hit = self.fault(FaultKind::Delay, entry.name(), Whom::invocation(run.invocation))?;
        *duration += hit.by.unwrap_or(DELAY);
        let timeout = entry.function.timeout;
        if *duration <= timeout {
            return None;
        }
        *duration = timeout;
        Some(hit.failure())
    }

    /// Messages of a batch that was handled come again.
    pub(super) fn deliver_again(&self, run: &Run, entry: &Entry, verdict: &mut Verdict) {
        if let Work::Batch { deliveries, .. } = &run.work {
            for delivery in deliveries {
                self.again(entry.name(), delivery, verdict);
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
        Some(self.0.chaos.part(hit.by.unwrap_or(DELAY)))
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
            FaultKind::Kill => format!("its instance is lost {}", when(whom.after)),
            FaultKind::Delay => format!("takes {} longer", hit.by.unwrap_or(DELAY)),
            FaultKind::Duplicate => "delivered once more although it was handled".to_owned(),
            FaultKind::LateAck => "its acknowledgement comes after the visibility timeout".to_owned(),
            FaultKind::Reorder => format!("held up for up to {}", hit.by.unwrap_or(DELAY)),
            FaultKind::ColdStarts => {
                let what = match whom.instances {
                    1 => "instance vanishes",
                    _ => "instances vanish",
                };
                format!("{} idle {what}", whom.instances)
            }
            FaultKind::HostLoss => {
                let instances = plural(whom.instances, "instance", "instances");
                format!("a host is lost with {instances} {}", when(whom.after))
            }
            FaultKind::Throttle => "throttled".to_owned(),
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

    /// After an invocation: its function may lose what idles.
    pub(super) fn lose_idle(&self, function: &str) {
        let Some(hit) = self.0.chaos.draw(FaultKind::ColdStarts, function) else {
            return;
        };
        let lost = self.instances_that(|instance, name| instance.idle_since.is_some() && name == function);
        if lost.is_empty() {
            return;
        }
        let whom = Whom {
            instances: lost.len() as u64,
            ..Whom::default()
        };
        self.tell_of_fault(hit, function, whom);
        self.step(Input::HostLost { instances: lost }, &mut Own::default());
    }

    fn instances_that(&self, fits: impl Fn(&InstanceView, &str) -> bool) -> Vec<InstanceId> {
        let core = lock(&self.0.core);
        let names = self.names();
        let all = core.platform.instances().into_iter();
        all.filter(|instance| fits(instance, &names.function(instance.function)))
            .map(|instance| instance.id)
            .collect()
    }

    /// The instance of a run is lost, or its host, and all that runs there with it. False: faults have been set since it was drawn.
    pub(super) fn strike(&self, doom: &Doom, run: &Run, after: Option<Span>) -> bool {
        if self.0.chaos.lock().epoch != doom.epoch {
            return false;
        }
        let host = run.instance.0 % HOSTS;
        let instances = match doom.hit.kind {
            FaultKind::HostLoss => self.instances_that(|instance, _| instance.id.0 % HOSTS == host),
            _ => vec![run.instance],
        };
        let whom = Whom {
            instances: instances.len() as u64,
            after,
            ..Whom::invocation(run.invocation)
        };
        let name = self.names().function(run.function);
        self.tell_of_fault(doom.hit, &name, whom);
        let there = |of: &InstanceId| instances.contains(of);
        let ended: Vec<_> = {
            let running = &mut self.0.chaos.lock().running;
            let ids: Vec<InvocationId> = running
                .iter()
                .filter(|(_, (on, _))| there(on))
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| running.remove(id)).collect()
        };
        self.step(Input::HostLost { instances }, &mut Own::default());
        for (_, lost) in ended {
            // It may have ended meanwhile.
            let _ = lost.send(());
        }
        true
    }

    /// From now on; the draws begin anew.
    pub fn set_faults(&self, faults: Faults) {
        self.0.chaos.set(faults);
        if let Some(input) = self.throttle(true) {
            self.step(input, &mut Own::default());
        }
    }

    /// What the core is to throttle; none when it never was to.
    pub(super) fn throttle(&self, anew: bool) -> Option<Input> {
        let names = self.names();
        let mut state = self.0.chaos.lock();
        let of_kind = state
            .faults
            .rules
            .iter()
            .filter(|rule| rule.kind == FaultKind::Throttle);
        // Of what is no function of the project nothing can be throttled.
        let rules: Vec<(Option<FunctionId>, f64)> = of_kind
            .filter_map(|rule| match &rule.function {
                None => Some((None, rule.probability)),
                Some(name) => Some((Some(names.find_function(name)?), rule.probability)),
            })
            .collect();
        if rules.is_empty() && state.throttles.is_empty() {
            return None;
        }
        state.throttles = rules.iter().map(|(_, probability)| *probability).collect();
        let seed = state.faults.seed.unwrap_or(state.seed) ^ THROTTLE_SALT;
        Some(Input::Throttle { rules, seed, anew })
    }

    /// The core has throttled by this one of its rules.
    pub(super) fn tell_of_throttle(&self, rule: usize, function: FunctionId, invocation: Option<InvocationId>) {
        let probability = self.0.chaos.lock().throttles.get(rule).copied().unwrap_or_default();
        let hit = Hit {
            kind: FaultKind::Throttle,
            probability,
            by: None,
        };
        let whom = Whom {
            invocation,
            ..Whom::default()
        };
        let name = self.names().function(function);
        self.tell_of_fault(hit, &name, whom);
    }
}

fn when(after: Option<Span>) -> String {
    match after {
        Some(after) => format!("after {after}"),
        None => "before the end is known".to_owned(),
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
