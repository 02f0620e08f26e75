//! Joins the core and the engine: what happens goes into the platform, its effects become tasks.
//!
//! The platform stands behind one mutex, held for a microsecond at a time: a warm request is two short critical
//! sections on its own task, with no hop to another.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::pace::Keeper as _;
use crate::engine::{Engine, Failure, Sandbox, Version};
use crate::platform::config::ColdStarts;
use crate::platform::effect::{
    Delivery, Effect, End, MessageChange, Note, Record, RejectReason, Run, StoreChange, Work,
};
use crate::platform::ids::{FunctionId, InstanceId, InvocationId, MessageId, TriggerId, VersionNumber};
use crate::platform::input::{Completion, Input, Outcome};
use crate::platform::time::{Span, Time};
use crate::project::Isolation;
use crate::project::faults::Faults;

use super::caller::Waiting;
use super::clock::Clock;
use super::control::metrics::Durations;
use super::cron::Arm;
use super::destination::Response;
use super::events::{Done, Hub, Summary, What};
use super::exchange::{Exchange, Exchanges};
use super::faults::Chaos;
use super::gathered;
use super::group::Reached;
use super::idle::Barrier;
use super::keeper::{Commit, Keeper};
use super::load::Loads;
use super::manual::Kind;
use super::messages::Messages;
use super::names::{Names, PublicIds};
use super::observed::{Observed, Observer};
use super::outbound;
use super::restoring::Restoring;
use super::run::{self, Job};
use super::sequence::Sequence;
use super::settings::Settings;
use super::table::{Entry, Table};
use super::telemetry::Telemetry;

#[derive(Clone)]
pub struct Driver(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub core: Mutex<Core>,
    pub table: RwLock<Arc<Table>>,
    /// Locked after `core` where both are held.
    pub names: Arc<RwLock<Names>>,
    pub engine: Engine,
    pub clock: Clock,
    pub ids: PublicIds,
    pub hub: Hub,
    pub exchanges: Exchanges,
    pub store: Arc<dyn Keeper>,
    /// Ids of this run are above it.
    pub ids_from: u64,
    pub settings: RwLock<Settings>,
    /// The load that the emulator runs by itself.
    pub loads: Loads,
    pub seed: u64,
    /// Shutting down: nothing starts that nobody waits for.
    pub draining: AtomicBool,
    /// Everything that a shutdown waits for.
    pub running: TaskTracker,
    /// Set once the port is known.
    pub functions_url: OnceLock<String>,
    pub control_url: OnceLock<String>,
    /// As above, how others of a group reach it.
    pub reached: OnceLock<Reached>,
    /// Ends streams that would go on for ever.
    pub stopping: CancellationToken,
    /// Held for writing while the state is replaced; for reading from the store's commit to the core's step of what
    /// comes in.
    pub gate: tokio::sync::RwLock<()>,
    pub(super) timer: Notify,
    pub barrier: Barrier,
    pub chaos: Chaos,
    pub outside: outbound::Table,
    pub sequence: Sequence,
    pub telemetry: Option<Telemetry>,
    /// How long functions took, once somebody has asked.
    pub durations: OnceLock<Arc<Durations>>,
    cron: mpsc::UnboundedSender<Arm>,
}

/// What the mutex guards.
pub(super) struct Core {
    pub platform: Observed,
    pub messages: Messages,
    pub builds: HashMap<FunctionId, Build>,
    pub(super) waiting: HashMap<InvocationId, Waiting>,
    slots: HashMap<InstanceId, Slot>,
    /// The deadline that the timer knows of.
    pub(super) armed: Time,
    /// Of the last changes that the store was given.
    commit: Option<Commit>,
    /// How often there were any.
    pub(super) followed: u64,
    pub restoring: Restoring,
}

/// What one step leaves to be done after it.
#[derive(Default)]
struct After {
    changes: Vec<StoreChange>,
    runs: Vec<Job>,
}

/// The state of a function's code.
#[derive(Default)]
pub struct Build {
    /// In service.
    pub version: Option<(VersionNumber, Version)>,
    /// Numbers given out.
    pub count: u32,
    /// Of the version in service.
    pub package_bytes: u64,
    /// Of the last build, when it failed.
    pub error: Option<String>,
}

/// What the shell holds for an instance.
struct Slot {
    version: Version,
    /// `isolation = "instance"`: the sandbox between two invocations.
    parked: Option<Sandbox>,
}

/// What a step came to for the one who took it.
#[derive(Default)]
pub struct Own {
    pub invocation: Option<InvocationId>,
    pub message: Option<MessageId>,
    /// Consumed by the record of `invocation`.
    pub done: Option<Finish>,
    pub run: Option<Job>,
    pub reject: Option<RejectReason>,
    pub received: Vec<Delivery>,
    pub receipt_valid: Option<bool>,
    pub refused: bool,
    pub original: Option<MessageId>,
    /// What `invocation` answered, for its destination.
    pub response: Option<Response>,
    /// The store does not follow this step: it is about to be read anew.
    pub unwritten: bool,
}

/// What only the shell knows of an invocation that ended.
pub struct Finish {
    pub summary: Summary,
    pub status: Option<u16>,
    pub failure: Option<Failure>,
    pub sandbox_init: Span,
    pub log_bytes_dropped: u64,
    pub exchange: Option<Arc<Exchange>>,
}

impl Core {
    fn new(seed: u64, ids_from: u64, shared: bool, observer: Option<Box<dyn Observer>>) -> Core {
        Core {
            platform: Observed::new(seed, ids_from, shared, observer),
            messages: Messages::default(),
            builds: HashMap::new(),
            waiting: HashMap::new(),
            slots: HashMap::new(),
            armed: Time::NEVER,
            commit: None,
            followed: 0,
            restoring: Restoring::default(),
        }
    }

    /// As it was before anything happened, with the versions that are in service. The old one, to be dropped where nothing
    /// is locked.
    pub(super) fn anew(&mut self, seed: u64, ids_from: u64) -> Core {
        let builds = std::mem::take(&mut self.builds);
        let observer = self.platform.take_observer();
        // Only under the manual clock, which a group cannot have.
        let old = std::mem::replace(self, Core::new(seed, ids_from, false, observer));
        self.builds = builds;
        self.restoring = old.restoring.successor();
        old
    }

    /// Of the last changes that the store was given; `None`: there were none.
    pub fn commit(&self) -> Option<Commit> {
        self.commit.clone()
    }
}

pub(super) fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a driver is made of.
pub struct Parts {
    pub engine: Engine,
    pub clock: Clock,
    pub ids: PublicIds,
    pub names: Arc<RwLock<Names>>,
    pub hub: Hub,
    pub exchanges: Exchanges,
    pub table: Arc<Table>,
    pub store: Arc<dyn Keeper>,
    pub ids_from: u64,
    pub cold_starts: ColdStarts,
    pub seed: u64,
    pub cron: mpsc::UnboundedSender<Arm>,
    pub faults: Faults,
    pub outside: outbound::Outside,
    pub telemetry: Option<Telemetry>,
    pub observer: Option<Box<dyn Observer>>,
}

impl Driver {
    pub fn new(parts: Parts) -> Driver {
        Driver(Arc::new(Inner {
            core: Mutex::new(Core::new(
                parts.seed,
                parts.ids_from,
                parts.store.group().is_some(),
                parts.observer,
            )),
            table: RwLock::new(parts.table),
            names: parts.names,
            engine: parts.engine,
            clock: parts.clock,
            ids: parts.ids,
            hub: parts.hub,
            exchanges: parts.exchanges,
            store: parts.store,
            ids_from: parts.ids_from,
            settings: RwLock::new(Settings::new(parts.cold_starts)),
            loads: Loads::default(),
            chaos: Chaos::new(parts.faults, parts.seed),
            outside: outbound::Table::new(parts.outside),
            seed: parts.seed,
            draining: AtomicBool::new(false),
            running: TaskTracker::new(),
            functions_url: OnceLock::new(),
            control_url: OnceLock::new(),
            reached: OnceLock::new(),
            stopping: CancellationToken::new(),
            gate: tokio::sync::RwLock::default(),
            timer: Notify::new(),
            barrier: Barrier::default(),
            sequence: Sequence::default(),
            telemetry: parts.telemetry,
            durations: OnceLock::new(),
            cron: parts.cron,
        }))
    }

    pub fn table(&self) -> Arc<Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// One input, all its effects.
    pub fn step(&self, input: Input, own: &mut Own) {
        let mut core = lock(&self.0.core);
        self.step_locked(&mut core, input, own);
    }

    pub(super) fn step_locked(&self, core: &mut Core, input: Input, own: &mut Own) {
        let now = self.0.clock.now();
        core.platform.handle(now, input);
        let mut after = After::default();
        while let Some(effect) = core.platform.poll_effect() {
            self.effect(core, now, effect, own, &mut after);
        }
        if !after.changes.is_empty() {
            core.commit = Some(self.0.store.follow(after.changes));
            core.followed += 1;
        }
        for job in after.runs {
            self.spawn_event(core, job);
        }
        if let Some(next) = core.platform.next_deadline()
            && next < core.armed
        {
            core.armed = next;
            self.0.timer.notify_one();
        }
        self.0.barrier.stepped();
        if let Some(group) = self.0.store.group() {
            group.stepped();
        }
    }

    fn effect(&self, core: &mut Core, now: Time, effect: Effect, own: &mut Own, after: &mut After) {
        match effect {
            Effect::StartInstance {
                instance,
                function,
                modelled,
                ..
            } => {
                self.start_instance(core, now, instance, function, modelled.total());
            }
            Effect::Run(run) => self.dispatch(core, run, own, after),
            Effect::StopInstance { instance, .. } => {
                core.slots.remove(&instance);
            }
            Effect::Reject { invocation, reason, .. } if own.invocation == Some(invocation) => {
                own.reject = Some(reason);
            }
            Effect::Reject { invocation, reason, .. } => {
                if let Some(waiting) = core.waiting.get_mut(&invocation) {
                    // The entry stays for its record, which follows; the caller hears of it now.
                    let (sender, _) = oneshot::channel();
                    let _ = std::mem::replace(&mut waiting.started, sender).send(Err(reason));
                }
            }
            Effect::Record(record) => self.record(core, now, record, own),
            Effect::Note(note) => {
                if let Note::Message { message, change, .. } = &note
                    && own.message == Some(*message)
                {
                    match change {
                        MessageChange::Refused => own.refused = true,
                        MessageChange::Deduplicated { original } => own.original = Some(*original),
                        _ => {}
                    }
                }
                if let Some(manual) = self.0.clock.manual() {
                    manual.noted(&note);
                }
                if let Note::Throttled {
                    function,
                    invocation,
                    reason: RejectReason::OnPurpose { rule },
                } = &note
                {
                    self.tell_of_throttle(*rule, *function, *invocation);
                }
                self.0.hub.push(now, What::Note(note));
            }
            Effect::ArmCron { trigger, at, wake_at } => {
                // Closed only while shutting down.
                let _ = self.0.cron.send(Arm { trigger, at, wake_at });
            }
            Effect::AskCron { trigger, scheduled_at } => self.ask_cron(trigger, scheduled_at),
            Effect::Received { deliveries, .. } => own.received = deliveries,
            Effect::ReceiptChecked { valid, .. } => own.receipt_valid = Some(valid),
            Effect::Store(change) => self.store(core, now, change, own, after),
        }
    }

    fn start_instance(&self, core: &mut Core, now: Time, instance: InstanceId, function: FunctionId, modelled: Span) {
        let Some((_, version)) = core.builds.get(&function).and_then(|build| build.version.clone()) else {
            core.platform.handle(now, Input::InstanceFailed { instance });
            return;
        };
        core.slots.insert(instance, Slot { version, parked: None });
        if self.cold_starts() == ColdStarts::Sleep && modelled > Span::ZERO {
            let driver = self.clone();
            if let Some(manual) = self.0.clock.manual() {
                let init = Span::ZERO;
                let ready = move || driver.step(Input::InstanceReady { instance, init }, &mut Own::default());
                return manual.at(now + modelled, Box::new(ready));
            }
            self.0.running.spawn(async move {
                // A slept cold start takes its real time, whatever the clock's factor.
                tokio::time::sleep(modelled.to_std()).await;
                driver.step(
                    Input::InstanceReady {
                        instance,
                        init: Span::ZERO,
                    },
                    &mut Own::default(),
                );
            });
            return;
        }
        // Code is loaded when a version is deployed; what is left of a start is the fresh sandbox, which every
        // invocation has and which is measured with it.
        core.platform.handle(
            now,
            Input::InstanceReady {
                instance,
                init: Span::ZERO,
            },
        );
    }

    fn dispatch(&self, core: &mut Core, run: Run, own: &mut Own, after: &mut After) {
        let invocation = run.invocation;
        let Some(mut job) = self.job(core, run) else {
            return self.cannot_run(core, invocation);
        };
        if own.invocation == Some(invocation) {
            own.run = Some(job);
            return;
        }
        if let Some(waiting) = core.waiting.remove(&invocation) {
            let _ = waiting.started.send(Ok(job.run.cold));
            let ends = (waiting.reply, waiting.ended);
            match self.0.clock.manual() {
                Some(manual) => {
                    job.outside = waiting.pull.is_some();
                    self.run_virtually(manual, job, waiting.event, waiting.summary, ends);
                }
                None => drop(tokio::spawn(self.run(job, waiting.event, waiting.summary, ends))),
            }
            return;
        }
        after.runs.push(job);
    }

    /// Runs work that no caller brought, once what led to it lasts: a message that ends emu has been counted.
    fn spawn_event(&self, core: &Core, job: Job) {
        if let Some(group) = self.0.store.group() {
            group.begun(&job.run);
        }
        let gathered = gathered::gather(core, &job.run.work);
        let commit = match job.run.work {
            Work::Cron { .. } | Work::Request => None,
            Work::Async { .. } | Work::Batch { .. } | Work::Topic { .. } => core.commit(),
        };
        let driver = self.clone();
        if let Some(manual) = self.0.clock.manual() {
            let invocation = job.run.invocation;
            let kind = match job.run.work {
                Work::Cron { .. } => Kind::Cron,
                _ => Kind::Other,
            };
            let running = self.0.running.clone();
            return manual.spawn(invocation, kind, move |time| {
                let job = Job {
                    time: Some(time),
                    ..job
                };
                Box::pin(running.track_future(driver.run_event(job, gathered, commit)))
            });
        }
        self.0.running.spawn(driver.run_event(job, gathered, commit));
    }

    async fn run_event(self, mut job: Job, mut gathered: gathered::Gathered, commit: Option<Commit>) {
        // In virtual time runs of one instant begin in the order in which the core had them begin, however long the store takes.
        let turn = job.time.as_ref().map(|time| (time.turn(self.now()), time.hold()));
        let committed = match commit {
            Some(commit) => commit.before_run().await.is_ok(),
            None => true,
        };
        let event = match committed {
            true => gathered::event_of(&self, &job.entry, &job.run.work, &mut gathered).await,
            false => None,
        };
        if let Some((turn, hold)) = turn {
            drop(hold);
            turn.await;
        }
        let Some((event, summary)) = event else {
            let invocation = job.run.invocation;
            tracing::error!("work for invocation {invocation:?} without its content");
            return self.step(cannot_run(invocation), &mut Own::default());
        };
        job.trace = gathered.trace();
        run::execute(&self, job, event, summary, oneshot::channel().0).await;
    }

    /// What an invocation needs has left with a change of the manifest; it must end all the same.
    fn cannot_run(&self, core: &mut Core, invocation: InvocationId) {
        core.platform.handle(self.now(), cannot_run(invocation));
    }

    fn job(&self, core: &mut Core, run: Run) -> Option<Job> {
        let entry = self.table().functions.get(&run.function).cloned();
        let slot = core.slots.get_mut(&run.instance);
        match (entry, slot) {
            (Some(entry), Some(slot)) => Some(Job {
                entry,
                version: slot.version.clone(),
                sandbox: slot.parked.take(),
                run,
                time: None,
                outside: false,
                trace: None,
            }),
            // The core removes what leaves the manifest before its table goes.
            _ => {
                tracing::error!("no code for invocation {:?}", run.invocation);
                None
            }
        }
    }

    /// Lets go of what is kept for instances: a sandbox knows its run, and by that the driver, which would never go.
    pub(super) fn let_go(&self) {
        let kept = std::mem::take(&mut lock(&self.0.core).slots);
        drop(kept);
    }

    /// Keeps the sandbox for the instance's next invocation.
    pub(super) fn park(&self, entry: &Entry, instance: InstanceId, sandbox: Sandbox) {
        if entry.function.isolation == Isolation::Instance
            && let Some(slot) = lock(&self.0.core).slots.get_mut(&instance)
        {
            slot.parked = Some(sandbox);
        }
    }

    fn record(&self, core: &mut Core, now: Time, mut record: Record, own: &mut Own) {
        let finish = if own.invocation == Some(record.invocation) {
            own.done.take()
        } else {
            None
        };
        let finish = finish.unwrap_or_else(|| Finish {
            summary: core
                .waiting
                .remove(&record.invocation)
                .map_or(Summary::Unknown(record.trigger), |waiting| waiting.summary),
            status: None,
            failure: None,
            sandbox_init: Span::ZERO,
            log_bytes_dropped: 0,
            exchange: None,
        });
        if let Summary::Request {
            cause: Some(caller), ..
        } = &finish.summary
        {
            record.cause = Some(*caller);
        }
        if let Some(manual) = self.0.clock.manual() {
            manual.ended(record.function, !matches!(record.end, End::Ran(Outcome::Succeeded)));
        }
        let done = Done {
            record,
            summary: finish.summary,
            status: finish.status,
            failure: finish.failure,
            sandbox_init: finish.sandbox_init,
            log_bytes_dropped: finish.log_bytes_dropped,
            exchange: finish.exchange,
        };
        self.0.hub.push(now, What::Invocation(Box::new(done)));
    }

    fn store(&self, core: &mut Core, now: Time, change: StoreChange, own: &Own, after: &mut After) {
        if own.unwritten {
            return;
        }
        core.restoring.heard(&change);
        match &change {
            // Written before the core heard of it.
            StoreChange::Put { stored, of: None, .. } if own.message == Some(stored.message) => return,
            StoreChange::Put {
                stored,
                of: Some(of),
                wrapped: Some(topic),
                ..
            } => self.wrap(core, now, *topic, (*of, stored.message)),
            StoreChange::Put {
                stored, of: Some(of), ..
            } => core.messages.copy(*of, stored.message),
            StoreChange::Gone { message, .. } | StoreChange::LetGo { message, .. } => core.messages.remove(*message),
            StoreChange::EventDone { first } => core.messages.remove_event(*first),
            StoreChange::Destination { .. } => return self.send_record(core, now, &change, own),
            _ => {}
        }
        after.changes.push(change);
    }

    pub fn fire(&self, trigger: TriggerId) -> InvocationId {
        let mut core = lock(&self.0.core);
        let invocation = core.platform.new_invocation();
        self.step_locked(&mut core, Input::Fire { trigger, invocation }, &mut Own::default());
        invocation
    }
}

/// The end of a run that has come to nothing.
pub(super) fn cannot_run(invocation: InvocationId) -> Input {
    let completion = Completion {
        outcome: Outcome::Failed,
        duration: Span::ZERO,
        cpu: Span::ZERO,
        memory_bytes_max: 0,
        failed_messages: Vec::new(),
        acknowledged: false,
    };
    Input::Finished { invocation, completion }
}
