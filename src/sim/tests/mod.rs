//! Simulations against what is published, against closed forms, and the fast way against the platform.

mod forms;
mod lanes;
mod published;

use std::path::Path;

use super::figures;
use super::file;
use super::random::Seeds;
use super::{Replication, replicate};
use crate::report::simulation::{Interval, Point};

/// The plan of a file's text.
pub(super) fn plan(text: &str) -> file::Plan {
    file::read(Path::new("test.sim.toml"), text, &[]).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

pub(super) fn point(text: &str) -> Point {
    let plan = plan(text);
    let came = super::run(&plan.scene, plan.seed, plan.replications, &|| ());
    figures::point(&plan.scene, &came, Vec::new())
}

/// A figure of the only function.
pub(super) fn of(point: &Point, name: &str) -> Interval {
    point.functions[0].figures[name]
}

/// One replication by itself, whatever the number of cores.
pub(super) fn alone(plan: &file::Plan, replication: u32) -> Replication {
    replicate::one(
        &plan.scene,
        Seeds {
            seed: plan.seed,
            replication,
        },
    )
}
