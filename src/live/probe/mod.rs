//! `emu probe`: the same events in fresh sandboxes and in one that is kept, and each message twice. What differs is state
//! that leaks between invocations, or a handler that may not be called again.
//!
//! Runs are comparable because nothing else can differ: each gets the same empty world (`world`, `kv`: bindings in
//! memory, nothing durable), the same seed and a clock that stands still. What a run gave is a list of facts (`seen`);
//! `compare` says where two lists differ, and which texts are drawn by lot or by time. `plan` makes the events.

mod compare;
mod kv;
mod plan;
mod seen;
mod world;

use std::sync::Arc;

use futures::future::join;
use tokio::sync::oneshot;

use crate::engine::{Engine, Failure, Invocation, LoadError, Outcome, Sandbox, Settings, Version};
use crate::platform::time::{Span, Time};
use crate::project::{Function, Isolation, Project};
use crate::report::probe::{Finding, Kind, Probed, ProbedEvent};

use super::alone::Alone;
use super::redact::Redactor;
use compare::{Lots, Place};
pub use plan::{Planned, sample};
use seen::Seen;
use world::{View, World};

/// Between the two times at which an event is delivered: another day, hour, minute and millisecond.
const APART: Span = Span((24 + 1) * 3_600_000_000_000 + 61_001_000_000);
/// After this a message that was not acknowledged is there again.
const REDELIVERY: Span = Span::from_secs(30);
/// Differences told of one event.
const FINDINGS_MAX: usize = 4;

/// How to probe.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: samples of what the function is triggered by.
    pub events: Vec<Planned>,
    /// Let requests go to `allow_hosts`.
    pub outbound: bool,
    pub seed: u64,
    /// The time of the first delivery.
    pub now: Time,
}

/// What one delivery has of its own; the same for runs that are compared.
#[derive(Clone, Debug)]
struct Delivery {
    /// The invocation's.
    id: String,
    message_id: String,
    seed: u64,
    /// When the message was sent, or the cron was due.
    event_at: Time,
    now: Time,
    receive_count: u32,
}

/// A function, ready to be probed.
struct Subject {
    engine: Engine,
    project: Arc<Project>,
    settings: Arc<Settings>,
    version: Version,
    redactor: Redactor,
}

/// Probes one function of a project.
///
/// # Errors
/// When the function does not build or load.
pub async fn probe(project: Project, function: &Function, options: &Options) -> Result<Probed, LoadError> {
    let subject = Subject::load(Arc::new(project), function, options).await?;
    let events = match options.events.as_slice() {
        [] => sample(function),
        given => given.to_vec(),
    };
    let mut probed = Probed {
        function: function.name.clone(),
        is_kept: subject.version.is_kept(),
        is_instance: function.isolation == Isolation::Instance,
        sampled: options.events.is_empty(),
        events: Vec::new(),
        findings: Vec::new(),
        outbound_refused: !options.outbound && !function.allow_hosts.is_empty(),
    };
    let mut runs = Vec::new();
    for (at, planned) in events.iter().enumerate() {
        runs.push(subject.fresh(planned, at, options).await);
    }
    if probed.is_kept {
        subject.warm(&events, &mut runs).await;
    }
    for (planned, run) in events.iter().zip(&runs) {
        let mut findings = run.findings(&planned.name);
        let is_repeated = planned.is_repeatable() && run.first.is_success();
        if is_repeated {
            findings.extend(subject.twice(planned, run).await);
        }
        let more = findings.len().saturating_sub(FINDINGS_MAX);
        findings.truncate(FINDINGS_MAX);
        probed.findings.extend(findings);
        probed.events.push(ProbedEvent {
            name: planned.name.clone(),
            outcome: run.first.outcome(),
            is_failure: !run.first.is_success(),
            is_repeated,
            more,
        });
    }
    Ok(probed)
}

/// One event's runs.
struct Runs {
    /// Two deliveries with nothing in common but the event.
    early: Delivery,
    late: Delivery,
    /// Each in a sandbox of its own.
    first: Seen,
    second: Seen,
    lots: Lots,
    /// In one sandbox with all other events: the early delivery, again at once, and the late one when all others had
    /// their turn.
    warm: Vec<(Warm, Seen)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warm {
    Early,
    AtOnce,
    Late,
}

impl Runs {
    /// Where warm answers are not the fresh ones.
    fn findings(&self, event: &str) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for (when, warm) in &self.warm {
            let fresh = match when {
                Warm::Early | Warm::AtOnce => &self.first,
                Warm::Late => &self.second,
            };
            let when = match when {
                Warm::Early => "after the events before it",
                Warm::AtOnce => "again at once",
                Warm::Late => "a day later",
            };
            for place in compare::differences(fresh, warm, &self.lots) {
                push(&mut findings, finding(Kind::Kept, event, place, when));
            }
        }
        let warm = |wanted: Warm| self.warm.iter().find(|(when, _)| *when == wanted).map(|(_, seen)| seen);
        if let (Some(early), Some(late)) = (warm(Warm::Early), warm(Warm::Late)) {
            for place in compare::stale([&self.first, &self.second], [early, late]) {
                push(&mut findings, finding(Kind::Stale, event, place, "a day later"));
            }
        }
        findings
    }
}

fn finding(kind: Kind, event: &str, place: Place, when: &str) -> Finding {
    Finding {
        kind,
        event: event.to_owned(),
        place: place.name,
        expected: place.left,
        found: place.right,
        when: when.to_owned(),
    }
}

/// One word about each place.
fn push(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.iter().any(|known| known.place == finding.place) {
        findings.push(finding);
    }
}

impl Subject {
    async fn load(project: Arc<Project>, function: &Function, options: &Options) -> Result<Subject, LoadError> {
        let Alone {
            engine,
            version,
            mut settings,
        } = Alone::load(&project, function).await?;
        if !options.outbound {
            settings.allow_hosts.clear();
        }
        Ok(Subject {
            engine,
            settings: Arc::new(settings),
            version,
            redactor: Redactor::new(project.secret_values.0.iter().cloned()),
            project,
        })
    }

    fn world(&self) -> Arc<World> {
        World::new(self.engine.clone(), Arc::clone(&self.project))
    }

    /// Both deliveries of an event, each by itself.
    async fn fresh(&self, planned: &Planned, at: usize, options: &Options) -> Runs {
        let delivery = |round: u64, now: Time| {
            // Neighbouring numbers make generators that have nothing in common.
            let seed = options.seed ^ (at as u64 * 2 + round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let number = at as u64 * 2 + round;
            Delivery {
                id: format!("{:08x}-0000-4000-8000-{number:012x}", seed >> 32),
                message_id: format!("{:08x}-0000-4000-9000-{number:012x}", seed >> 32),
                seed,
                event_at: now,
                now,
                receive_count: 1,
            }
        };
        let (early, late) = (delivery(0, options.now), delivery(1, options.now + APART));
        let first = self.run(&mut self.open(), planned, &early, &self.world()).await;
        let second = self.run(&mut self.open(), planned, &late, &self.world()).await;
        Runs {
            lots: Lots::of(&first, &second),
            early,
            late,
            first,
            second,
            warm: Vec::new(),
        }
    }

    /// All events in one sandbox, each delivery in a new world: what differs can only be the sandbox.
    async fn warm(&self, events: &[Planned], runs: &mut [Runs]) {
        let mut kept = self.open();
        for (planned, run) in events.iter().zip(runs.iter_mut()) {
            for when in [Warm::Early, Warm::AtOnce] {
                let seen = self.run(&mut kept, planned, &run.early, &self.world()).await;
                run.warm.push((when, seen));
            }
        }
        for (planned, run) in events.iter().zip(runs) {
            let seen = self.run(&mut kept, planned, &run.late, &self.world()).await;
            run.warm.push((Warm::Late, seen));
        }
    }

    /// The same message once more, to what the first delivery left behind.
    async fn twice(&self, planned: &Planned, run: &Runs) -> Vec<Finding> {
        let world = self.world();
        let first = self.run(&mut self.open(), planned, &run.early, &world).await;
        let again = Delivery {
            id: run.late.id.clone(),
            seed: run.late.seed,
            now: run.early.now + REDELIVERY,
            receive_count: 2,
            ..run.early.clone()
        };
        let second = self.run(&mut self.open(), planned, &again, &world).await;
        let places = compare::repeated(&first, &second, &run.lots);
        let found = places
            .into_iter()
            .map(|place| finding(Kind::Repeated, &planned.name, place, "delivered twice"));
        found.collect()
    }

    fn open(&self) -> Result<Sandbox, Failure> {
        self.engine.open(&self.version)
    }

    async fn run(
        &self,
        sandbox: &mut Result<Sandbox, Failure>,
        planned: &Planned,
        delivery: &Delivery,
        world: &Arc<World>,
    ) -> Seen {
        let sandbox = match sandbox {
            Ok(sandbox) => sandbox,
            Err(failure) => return Seen::failed(failure),
        };
        world.set_time(delivery.now);
        let invocation = Invocation {
            id: delivery.id.clone(),
            settings: Arc::clone(&self.settings),
            event: planned.event(delivery),
            now: delivery.now,
            pace: None,
            seed: delivery.seed,
            host: View::of(world),
            log: View::of(world),
            cut: None,
        };
        let (sender, reply) = oneshot::channel();
        // Side by side: a body may be written while it is read.
        let answer = async {
            match reply.await {
                Ok(reply) => seen::answer(reply, self.settings.body_bytes_max).await,
                Err(_) => Vec::new(),
            }
        };
        let (outcome, answer): (Outcome, _) = join(sandbox.run(invocation, sender), answer).await;
        Seen::new(answer, outcome.result.err(), world.take(), &self.redactor)
    }
}
