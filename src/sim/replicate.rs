//! Replications of a scene, on all cores, merged in their order. What needs nothing of one another is simulated by itself, so that
//! a single replication of many functions has all cores too.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::meter::Bin;
use super::random::{Purpose, Seeds};
use super::workload::{Arrivals, Merged, Patterned};
use super::{Load, Scene, Tally, lane_run, platform_run, server};

/// What one replication came to.
#[derive(Debug, Default)]
pub struct Replication {
    /// In the order of [`Scene::functions`]. Without bins where they are [many](Scene::many).
    pub functions: Vec<Tally>,
    /// In the order of [`Scene::servers`].
    pub servers: Vec<server::Tally>,
    /// Of all functions together, where there are several.
    pub bins: Vec<Bin>,
}

/// How many parts a replication of the scene has: each is one unit of work.
pub fn parts(scene: &Scene) -> u64 {
    (function_parts(scene, scene.apart()) + scene.servers.len()) as u64
}

/// `apart`: what [`Scene::apart`] says, which looks at every function and so is asked once for all parts.
fn function_parts(scene: &Scene, apart: bool) -> usize {
    if apart { scene.functions.len() } else { 1 }
}

/// What a part came to.
enum Came {
    All(Vec<Tally>, Option<Vec<Bin>>),
    Function(usize, Box<Tally>),
    Server(usize, Box<server::Tally>),
}

/// Runs the replications; `done` hears of each part that has ended, from whichever thread.
pub fn run(scene: &Scene, seed: u64, replications: u32, done: &(dyn Fn() + Sync)) -> Vec<Replication> {
    let apart = scene.apart();
    let parts = (function_parts(scene, apart) + scene.servers.len()) as u64;
    let work = parts * u64::from(replications);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(usize::try_from(work).unwrap_or(cores)).max(1);
    let next = AtomicU64::new(0);
    let ended: Vec<Mutex<Replication>> = (0..replications).map(|_| Mutex::new(empty(scene))).collect();
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= work {
                return;
            }
            let replication = (at / parts) as u32;
            let came = part(scene, apart, Seeds { seed, replication }, (at % parts) as usize);
            if let Some(whole) = ended.get(replication as usize) {
                enter(scene, &mut whole.lock().unwrap_or_else(PoisonError::into_inner), came);
            }
            done();
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let whole = ended.into_iter();
    whole
        .map(|whole| whole.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

/// One replication, by this thread alone.
#[cfg(test)]
pub(super) fn one(scene: &Scene, seeds: Seeds) -> Replication {
    let mut whole = empty(scene);
    let apart = scene.apart();
    for at in 0..function_parts(scene, apart) + scene.servers.len() {
        enter(scene, &mut whole, part(scene, apart, seeds, at));
    }
    whole
}

fn empty(scene: &Scene) -> Replication {
    let mut whole = Replication::default();
    whole.functions.resize_with(scene.functions.len(), Tally::default);
    whole.servers.resize_with(scene.servers.len(), server::Tally::default);
    whole
}

fn part(scene: &Scene, apart: bool, seeds: Seeds, at: usize) -> Came {
    match at.checked_sub(function_parts(scene, apart)) {
        Some(server) => {
            let group = &scene.servers[server];
            Came::Server(server, Box::new(server::run(group, scene.window, seeds, server as u32)))
        }
        None if apart => Came::Function(at, Box::new(alone(scene, at, seeds))),
        None => {
            let (functions, bins) = together(scene, seeds);
            Came::All(functions, bins)
        }
    }
}

/// Puts a part to where it belongs.
fn enter(scene: &Scene, whole: &mut Replication, came: Came) {
    match came {
        Came::Server(at, tally) => whole.servers[at] = *tally,
        Came::Function(at, mut tally) => {
            if scene.functions.len() > 1 {
                add(&mut whole.bins, &tally.measured.bins);
            }
            if scene.many() {
                tally.measured.bins = Vec::new();
            }
            whole.functions[at] = *tally;
        }
        Came::All(functions, bins) => {
            match bins {
                Some(bins) => whole.bins = bins,
                None if functions.len() > 1 => {
                    for tally in &functions {
                        add(&mut whole.bins, &tally.measured.bins);
                    }
                }
                None => {}
            }
            whole.functions = functions;
        }
    }
}

fn add(all: &mut Vec<Bin>, bins: &[Bin]) {
    if all.len() < bins.len() {
        all.resize(bins.len(), Bin::default());
    }
    for (sum, bin) in all.iter_mut().zip(bins) {
        sum.add(bin);
    }
}

/// A function that meets no other.
pub(super) fn alone(scene: &Scene, at: usize, seeds: Seeds) -> Tally {
    let index = at as u32;
    if let Load::Pattern(pattern) = &scene.functions[at].load
        && scene.shared.is_none()
    {
        // By its own type, not through a pointer: this is where a billion requests come from.
        let mut arrivals = Patterned::new(pattern, index, seeds.stream(Purpose::Arrivals, index));
        return by_itself(scene, at, seeds, &mut arrivals);
    }
    let shared = scene.shared.as_ref().and_then(|source| source.open_one(index, seeds));
    let mut arrivals = shared.unwrap_or_else(|| scene.functions[at].load.open(seeds, index));
    by_itself(scene, at, seeds, &mut arrivals)
}

fn by_itself<A: Arrivals>(scene: &Scene, at: usize, seeds: Seeds, arrivals: &mut A) -> Tally {
    match scene.fits_lane(at) {
        true => lane_run::run(scene, at, seeds, arrivals),
        false => platform_run::one(scene, at, seeds, arrivals),
    }
}

/// All functions on one platform.
pub(super) fn together(scene: &Scene, seeds: Seeds) -> (Vec<Tally>, Option<Vec<Bin>>) {
    let shared = scene.shared.as_ref().map(|source| vec![source.open(0, seeds)]);
    let own = || {
        let functions = scene.functions.iter().zip(0u32..);
        functions
            .map(|(function, index)| function.load.open(seeds, index))
            .collect()
    };
    let mut arrivals = Merged(shared.unwrap_or_else(own));
    platform_run::all(scene, seeds, &mut arrivals)
}
