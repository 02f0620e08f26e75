//! Replications of a scene, on all cores, merged in their order.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::random::{Purpose, Stream};
use super::workload::{Merged, Patterned};
use super::{Load, Scene, Tally, lane_run, platform_run, server};

/// What one replication came to.
#[derive(Debug)]
pub struct Replication {
    /// In the order of [`Scene::functions`].
    pub functions: Vec<Tally>,
    /// In the order of [`Scene::servers`].
    pub servers: Vec<server::Tally>,
}

/// Runs the replications; `done` hears of each that has ended, from whichever thread.
pub fn run(scene: &Scene, seed: u64, replications: u32, done: &(dyn Fn() + Sync)) -> Vec<Replication> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(replications as usize).max(1);
    let next = AtomicU32::new(0);
    let ended: Mutex<Vec<(u32, Replication)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let replication = next.fetch_add(1, Ordering::Relaxed);
            if replication >= replications {
                return;
            }
            let came = one(scene, seed, replication);
            ended
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((replication, came));
            done();
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(replication, _)| *replication);
    ended.into_iter().map(|(_, came)| came).collect()
}

/// One replication: functions by themselves where nothing joins them, else on one platform.
pub(super) fn one(scene: &Scene, seed: u64, replication: u32) -> Replication {
    let functions = if scene.by_lanes() {
        let lanes = (0..scene.functions.len()).map(|at| lane(scene, at, seed, replication));
        lanes.collect()
    } else {
        together(scene, seed, replication)
    };
    let servers = scene.servers.iter().zip(0u32..);
    Replication {
        functions,
        servers: servers
            .map(|(group, index)| server::run(group, scene.window, seed, replication, index))
            .collect(),
    }
}

fn lane(scene: &Scene, at: usize, seed: u64, replication: u32) -> Tally {
    let index = at as u32;
    match &scene.functions[at].load {
        // By its own type, not through a pointer: this is where a billion requests come from.
        Load::Pattern(pattern) => {
            let stream = Stream::new(seed, replication, Purpose::Arrivals, index);
            let mut arrivals = Patterned::new(pattern, index, stream);
            lane_run::run(scene, at, seed, replication, &mut arrivals)
        }
        load => {
            let mut arrivals = Merged(vec![load.open(seed, replication, index)]);
            lane_run::run(scene, at, seed, replication, &mut arrivals)
        }
    }
}

/// All functions on one platform.
pub(super) fn together(scene: &Scene, seed: u64, replication: u32) -> Vec<Tally> {
    let shared = scene.shared.as_ref().map(|source| {
        let stream = Stream::new(seed, replication, Purpose::Arrivals, u32::MAX);
        vec![source.open(0, stream)]
    });
    let own = || {
        let functions = scene.functions.iter().zip(0u32..);
        functions
            .map(|(function, index)| function.load.open(seed, replication, index))
            .collect()
    };
    let mut arrivals = Merged(shared.unwrap_or_else(own));
    platform_run::run(scene, seed, replication, &mut arrivals)
}
