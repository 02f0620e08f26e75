//! emu: a cloud provider for functions, on your laptop.
//!
//! The rooms, in reading order; an arrow only ever points to a room further up.

// The order is the reading order.
pub mod platform;

pub mod provider;

pub mod project;

pub mod engine;

pub mod report;

pub mod live;

pub mod sim;

pub mod pack;

pub mod cli;
