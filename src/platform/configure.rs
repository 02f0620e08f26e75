//! A new configuration replaces the one before: what left goes, what is new comes, what changed adapts.

use std::sync::Arc;

use super::Platform;
use super::billing::Ledger;
use super::config::Config;
use super::fleet::Fleet;
use super::ids::{FunctionId, QueueId, TriggerId};
use super::poller::Polled;
use super::queue::Queue;

impl Platform {
    pub(super) fn configure(&mut self, config: Arc<Config>) {
        self.rules = config.profile.rules.clone();
        match &mut self.ledger {
            Some(ledger) => ledger.set_provider(&config.profile.id),
            None => self.ledger = Some(Ledger::new(&config.profile)),
        }
        self.account_limit = self.rules.account_concurrency.unwrap_or(u32::MAX);
        self.cold_starts = config.cold_starts;
        self.cron_wakes = config.cron_wakes;
        self.cron_grace = config.cron_grace;
        self.flips = config.instance_flips;
        self.config = Some(config.clone());
        self.configure_queues(&config);
        self.configure_crons(&config);
        self.configure_functions(&config);
        let queues: Vec<QueueId> = self.queues.keys().copied().collect();
        for queue in queues {
            self.bury_exhausted(queue);
            self.leave_to_others(queue);
            self.poll(queue);
        }
    }

    fn configure_functions(&mut self, config: &Config) {
        let gone = self
            .fleets
            .iter()
            .filter(|fleet| !fleet.removed && !config.functions.contains_key(&fleet.id));
        let gone: Vec<FunctionId> = gone.map(|fleet| fleet.id).collect();
        for function in gone {
            self.remove_function(function);
        }
        for (&id, spec) in &config.functions {
            let spec = Arc::new(spec.clone());
            match self.fleets.get_mut(id) {
                Some(fleet) => fleet.adapt(spec, &self.rules),
                None => self.fleets.insert(Fleet::new(id, spec, &self.rules)),
            }
            self.meter_by(id);
            self.size_pool();
            self.provision(id);
            self.expire(id);
            self.capacity_freed(id);
        }
    }

    fn configure_queues(&mut self, config: &Config) {
        let gone = self.queues.keys().filter(|queue| !config.queues.contains_key(queue));
        let gone: Vec<QueueId> = gone.copied().collect();
        for queue in gone {
            self.forget_queue(queue);
        }
        for (&id, spec) in &config.queues {
            match self.queues.get_mut(&id) {
                Some(polled) => polled.queue.adapt(spec.clone()),
                None => {
                    let mut polled = Polled::new(Queue::new(spec.clone()));
                    // Of one that left and came back batches may still run.
                    polled.poller.in_flight = self.batches(id);
                    self.queues.insert(id, polled);
                }
            }
        }
    }

    fn configure_crons(&mut self, config: &Config) {
        let gone = self
            .crons
            .keys()
            .filter(|trigger| !config.triggers.contains_key(trigger));
        let gone: Vec<TriggerId> = gone.copied().collect();
        for trigger in gone {
            self.remove_cron(trigger);
        }
        for (&trigger, spec) in &config.triggers {
            self.set_cron(trigger, spec);
        }
    }
}
