//! The control plane of a functions provider as one deterministic state machine: which instance runs which
//! invocation, when instances start, idle and vanish, what waits in which queue, what is retried, what is billed.
//!
//! No clock, no files, no tasks, no randomness of its own, no printing. A shell calls [`Platform::handle`] with the
//! time and what happened, drains [`Platform::poll_effect`], and wakes it again at [`Platform::next_deadline`].

pub mod billing;
pub mod cold_start;
pub mod config;
pub mod effect;
pub mod ids;
pub mod input;
pub mod rng;
pub mod rules;
pub mod schedule;
pub mod time;
pub mod topic;
