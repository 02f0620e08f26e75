//! Functions of all kinds through the engine's own interface: what the user writes, what comes back.

mod api;
mod bench;
mod faults;
mod functions;
mod harness;
mod images;
mod kept;
mod modules;
mod node;
mod packages;
mod web;
mod workers;
