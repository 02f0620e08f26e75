//! Tests of the platform as a whole: scripts with the effects they lead to, random inputs under the invariants, closed
//! forms, a queue beside a plain model.

mod forms;
mod kept;
mod queues;
mod random;
mod reset;
mod restored;
mod script;
mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Platform;
use super::cold_start::ColdStartModel;
use super::config::{ColdStarts, Config, FunctionSpec, QueueSpec};
use super::effect::Effect;
use super::ids::FunctionId;
use super::input::{Completion, Outcome};
use super::rules::Rules;
use super::time::Span;
use crate::provider;

/// A function without any limits of its own.
pub(super) fn function(name: &str) -> FunctionSpec {
    FunctionSpec {
        name: Arc::from(name),
        memory_mb: 128,
        timeout: Span::from_secs(3),
        cold_start: ColdStartModel::default(),
        instance_concurrency: 1,
        min_instances: 0,
        max_concurrency: None,
        keep_alive: None,
        on_failure: None,
        on_success: None,
        async_max_retries: None,
        async_max_age: None,
    }
}

pub(super) fn queue(name: &str) -> QueueSpec {
    QueueSpec {
        name: Arc::from(name),
        fifo: false,
        visibility_timeout: Span::from_secs(30),
        delay: Span::ZERO,
        retention: Span::from_secs(4 * 86_400),
        max_receives: None,
        dead_letter: None,
        consumer: None,
        max_messages: 1_000,
    }
}

/// An empty project at a provider with these rules.
pub(super) fn config(rules: Rules) -> Config {
    let mut profile = (*provider::all()[0]).clone();
    profile.rules = rules;
    Config {
        functions: BTreeMap::new(),
        queues: BTreeMap::new(),
        topics: BTreeMap::new(),
        triggers: BTreeMap::new(),
        profile: Arc::new(profile),
        cold_starts: ColdStarts::Off,
        cron_wakes: false,
        cron_grace: Span::MAX,
        instance_flips: false,
    }
}

pub(super) fn completion(outcome: Outcome, duration: Span) -> Completion {
    Completion {
        outcome,
        duration,
        cpu: duration,
        memory_bytes_max: 10 << 20,
        failed_messages: Vec::new(),
        acknowledged: false,
    }
}

pub(super) fn drain(platform: &mut Platform) -> Vec<Effect> {
    std::iter::from_fn(|| platform.poll_effect()).collect()
}

pub(super) const API: FunctionId = FunctionId(0);
