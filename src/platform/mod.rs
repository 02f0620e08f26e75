//! The control plane of a functions provider as one deterministic state machine: which instance runs which
//! invocation, when instances start, idle and vanish, what waits in which queue, what is retried, what is billed.
//!
//! No clock, no files, no tasks, no randomness of its own, no printing. A shell calls [`Platform::handle`] with the
//! time and what happened, drains [`Platform::poll_effect`], and wakes it again at [`Platform::next_deadline`].

pub mod billing;
pub mod call;
pub mod cold_start;
pub mod config;
mod configure;
mod cron;
mod deadline;
pub mod effect;
mod fanout;
mod fleet;
mod idle;
pub mod ids;
pub mod input;
mod instance;
mod invariants;
mod invoke;
pub mod lane;
mod lists;
mod lost;
mod poller;
mod queue;
mod retry;
pub mod rng;
pub mod rules;
pub mod scaling;
pub mod schedule;
mod shared;
mod shelf;
mod table;
#[cfg(test)]
mod tests;
mod throttle;
pub mod time;
pub mod topic;
pub mod units;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use billing::Ledger;
use config::{ColdStarts, Config};
use cron::Cron;
use deadline::{Deadline, Deadlines};
use effect::Effect;
use fleet::Fleet;
use ids::{FunctionId, InvocationId, MessageId, QueueId, TriggerId};
use input::Input;
use instance::Instances;
use invoke::Invocation;
use poller::Polled;
use rng::Rng;
use rules::Rules;
use scaling::greedy::Pool;
use table::Table;
use throttle::Throttles;
use time::{Span, Time};

pub use cron::CATCH_UP_MAX;
pub use fleet::Counters;

/// See the module's description.
pub struct Platform {
    /// The time of what is being served: a deadline's own, or the input's.
    now: Time,
    /// The time of the input, which may lie after the deadlines served before it.
    handled_at: Time,
    /// How far the machine's wall clock is ahead of the platform's time, which nobody sets.
    wall_ahead_ns: i64,
    rng: Rng,
    throttles: Throttles,
    effects: VecDeque<Effect>,
    deadlines: Deadlines,
    /// `None` until the first `Configure`.
    config: Option<Arc<Config>>,
    /// `None` until the first `Configure`.
    ledger: Option<Ledger>,
    rules: Rules,
    cold_starts: ColdStarts,
    cron_wakes: bool,
    /// What it holds is its share of what several platforms work on.
    shared: bool,
    /// No work of its own begins any more.
    draining: bool,
    cron_grace: Span,
    flips: bool,
    account_limit: u32,
    /// Instances of all functions that start or on which something runs.
    account: u32,
    /// Functions with requests that wait for the account's limit.
    account_waiters: BTreeSet<FunctionId>,
    fleets: Fleets,
    /// Memory that functions share whose instances are let go when it is short.
    pool: Pool,
    instances: Instances,
    invocations: Table<Invocation>,
    queues: BTreeMap<QueueId, Polled>,
    /// Whose message a receipt is, for receipts that may still be used.
    receipts: Table<(QueueId, MessageId)>,
    /// Deliveries to functions that are still to be made of a topic's message.
    topic_deliveries: Table<usize>,
    crons: BTreeMap<TriggerId, Cron>,
    /// Ids up to this are of runs before this one.
    ids_from: u64,
    /// Events of runs before this one whose first attempt this run has made under their own name.
    resumed: BTreeSet<InvocationId>,
    /// Asynchronous work that runs on after a reset: nothing comes of its end.
    cut_off: BTreeSet<InvocationId>,
    last_instance: u64,
    last_invocation: u64,
    last_message: u64,
    last_receipt: u64,
}

impl Platform {
    /// Two platforms with the same seed that are given the same inputs at the same times do the same.
    pub fn new(seed: u64) -> Platform {
        Platform {
            now: Time::ZERO,
            handled_at: Time::ZERO,
            wall_ahead_ns: 0,
            rng: Rng::new(seed),
            throttles: Throttles::default(),
            effects: VecDeque::new(),
            deadlines: Deadlines::default(),
            config: None,
            ledger: None,
            rules: Rules::none(),
            cold_starts: ColdStarts::Off,
            cron_wakes: false,
            shared: false,
            draining: false,
            cron_grace: Span::ZERO,
            flips: false,
            account_limit: u32::MAX,
            account: 0,
            account_waiters: BTreeSet::new(),
            fleets: Fleets::default(),
            pool: Pool::default(),
            instances: Instances::default(),
            invocations: Table::default(),
            queues: BTreeMap::new(),
            receipts: Table::default(),
            topic_deliveries: Table::default(),
            crons: BTreeMap::new(),
            ids_from: 0,
            resumed: BTreeSet::new(),
            cut_off: BTreeSet::new(),
            last_instance: 0,
            last_invocation: 0,
            last_message: 0,
            last_receipt: 0,
        }
    }

    /// Names things from here on. Of a store that outlives a run no id may come twice.
    pub fn ids_from(&mut self, base: u64) {
        self.ids_from = base;
        self.ids_above(base);
    }

    /// Names things above this, too: what another run has named is about to come in.
    pub fn ids_above(&mut self, base: u64) {
        self.last_invocation = self.last_invocation.max(base);
        self.last_message = self.last_message.max(base);
        self.last_receipt = self.last_receipt.max(base);
    }

    /// The last names that were given out.
    pub fn named(&self) -> (MessageId, InvocationId) {
        (MessageId(self.last_message), InvocationId(self.last_invocation))
    }

    /// The message that one with this key would repeat in this queue.
    pub fn duplicate(&mut self, now: Time, queue: QueueId, key: &str) -> Option<MessageId> {
        let polled = self.queues.get_mut(&queue)?;
        polled.queue.spec.fifo.then(|| polled.queue.duplicate(now, key))?
    }

    /// Whether a queue takes so many messages more.
    pub fn has_room(&self, queue: QueueId, messages: u64) -> bool {
        self.queues
            .get(&queue)
            .is_none_or(|polled| polled.queue.len() + messages <= polled.queue.spec.max_messages)
    }

    /// Takes note of what happened. Deadlines that have passed by then are served first, each at its own time. Time
    /// never goes back: an earlier `now` counts as the latest one.
    ///
    /// # Panics
    /// On what a shell cannot mean: an id used twice, a completion of something that was not started.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.handled_at = self.handled_at.max(now);
        while let Some((at, deadline)) = self.deadlines.pop_due(self.handled_at) {
            self.now = self.now.max(at);
            self.serve(deadline);
        }
        self.now = self.handled_at;
        self.dispatch(input);
    }

    /// What the shell must do next, in the order given; `None` when it has done all.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Platform::handle`] with [`Input::Tick`] at the latest. A wake-up for nothing does nothing.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// A new name, for [`Input::Arrive`], [`Input::ArriveAsync`] and [`Input::Fire`].
    pub fn new_invocation(&mut self) -> InvocationId {
        self.last_invocation += 1;
        InvocationId(self.last_invocation)
    }

    /// A new name, for [`Input::Send`] and [`Input::Publish`].
    pub fn new_message(&mut self) -> MessageId {
        self.last_message += 1;
        MessageId(self.last_message)
    }

    fn serve(&mut self, deadline: Deadline) {
        match deadline {
            Deadline::Expiry(function) => self.expiry_deadline(function),
            Deadline::Age(instance) => self.aged(instance),
            Deadline::Prewarm(function) => self.prewarm(function),
            Deadline::Provision(function) => self.provision_again(function),
            Deadline::Waiters(function) => self.serve_waiting(function),
            Deadline::WaitOver(invocation) => self.wait_over(invocation),
            Deadline::Parked(invocation) => self.unpark(invocation),
            Deadline::Queue(queue) => self.queue_deadline(queue),
            Deadline::Cron(trigger) => self.cron_deadline(trigger),
        }
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Configure(config) => self.configure(config),
            Input::Deploy {
                function,
                version,
                package_bytes,
            } => self.deploy(function, version, package_bytes),
            Input::Arrive { invocation, function } => self.arrive(invocation, function),
            Input::ArriveAsync {
                invocation,
                function,
                cause,
            } => self.arrive_async(invocation, function, cause),
            Input::CallerGone { invocation } => self.caller_gone(invocation),
            Input::ClockSet { wall_ahead_ns } => self.clock_set(wall_ahead_ns),
            Input::Due { trigger, scheduled_at } => self.cron_due(trigger, scheduled_at),
            Input::Won { trigger, scheduled_at } => self.cron_won(trigger, scheduled_at),
            Input::Fire { trigger, invocation } => self.fire_by_hand(trigger, invocation),
            Input::Send { queue, message } => self.send(queue, message),
            Input::Publish {
                topic,
                message,
                content,
            } => self.publish(topic, &message, &content),
            Input::Receive { queue, max, visibility } => self.receive(queue, max, visibility),
            Input::Delete { queue, receipt } => self.delete(queue, receipt),
            Input::ChangeVisibility {
                queue,
                receipt,
                visibility,
            } => self.change_visibility(queue, receipt, visibility),
            Input::Purge { queue } => self.purge(queue),
            Input::Resign { queue } => self.resign(queue),
            Input::Redrive { queue } => self.redrive(queue),
            Input::Restore { queue, messages, keys } => self.restore(queue, &messages, keys),
            Input::RestoreEvent(event) => self.restore_event(&event),
            Input::Reset => self.reset(),
            Input::Drain => self.wind_down(),
            Input::InstanceReady { instance, init } => self.instance_ready(instance, init),
            Input::InstanceFailed { instance } => self.instance_failed(instance),
            Input::HostLost { instances } => self.host_lost(&instances),
            Input::Throttle { rules, seed, anew } => self.throttles.set(rules, seed, anew),
            Input::Finished { invocation, completion } => self.finish(invocation, &completion),
            Input::Tick => {}
        }
    }
}

/// By function. Ids of functions are small and dense: the shell numbers names from 0 or 1.
#[derive(Default)]
struct Fleets(Vec<Option<Fleet>>);

/// More functions than any project has; an id above it is a mistake of the shell.
const FUNCTIONS_MAX: usize = 1 << 20;

impl Fleets {
    /// `None`: never configured. Removed ones are still there.
    fn get(&self, id: FunctionId) -> Option<&Fleet> {
        self.0.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: FunctionId) -> Option<&mut Fleet> {
        self.0.get_mut(id.0 as usize)?.as_mut()
    }

    fn insert(&mut self, fleet: Fleet) {
        let at = fleet.id.0 as usize;
        assert!(at < FUNCTIONS_MAX, "function ids are small and dense");
        if at >= self.0.len() {
            self.0.resize_with(at + 1, || None);
        }
        self.0[at] = Some(fleet);
    }

    fn iter(&self) -> impl Iterator<Item = &Fleet> {
        self.0.iter().flatten()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Fleet> {
        self.0.iter_mut().flatten()
    }
}

impl Index<FunctionId> for Fleets {
    type Output = Fleet;
    fn index(&self, id: FunctionId) -> &Fleet {
        self.get(id).expect("a function that was configured")
    }
}

impl IndexMut<FunctionId> for Fleets {
    fn index_mut(&mut self, id: FunctionId) -> &mut Fleet {
        self.get_mut(id).expect("a function that was configured")
    }
}
