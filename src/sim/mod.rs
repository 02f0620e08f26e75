//! Simulation: the platform in virtual time. `platform_run` is to it what `live` is to `emu dev`; `lane_run` is the
//! fast way for one function that needs no waiting lines; [`server`] is the always-on side.
//!
//! A [`Scene`] says what is simulated, [`run`] simulates it in replications on all cores and returns what each came to,
//! in their order, so that the same seed gives the same figures on any machine. [`mod@file`] reads scenes from `*.sim.toml`,
//! [`figures`] makes means and confidence intervals of them.
//!
//! Functions that meet nowhere (no limit of an account, no memory that they share) are simulated one after the other, on all
//! cores: see [`Scene::apart`].
//!
//! **To add a source of requests** (a trace, say), implement [`workload::Arrivals`]: a stream in time order that is asked for
//! one request at a time and must not read the whole of a file. Implement [`Source`] for what opens it (each replication opens
//! its own), and put it into [`Load::Source`] of the function; where one stream feeds many functions, into
//! [`Scene::shared`]. `take` tells the function's place in [`Scene::functions`] and, where known, how long the request runs. A
//! source that can tell the requests of one function alone says so by [`Source::open_one`].

pub mod analytic;
pub mod distribution;
mod due;
pub mod figures;
pub mod file;
mod lane_run;
mod latency;
pub mod meter;
mod platform_run;
pub mod random;
pub mod recorded;
pub mod replay;
mod replicate;
pub mod server;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use platform_run::Tally;
pub use replicate::{Replication, parts, run};

use distribution::Distribution;
use meter::Window;
use random::{Purpose, Seeds, Stream};
use workload::{Arrivals, ClosedLoop, Pattern, Patterned};

use crate::platform::cold_start::ColdStartModel;
use crate::platform::config::{ColdStarts, Config, FunctionSpec};
use crate::platform::ids::FunctionId;
use crate::platform::lane::Lane;
use crate::platform::rng::Rng;
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::time::Span;
use crate::provider::Profile;
use crate::report::simulation::SHOWN_MAX;

/// What is simulated.
#[derive(Clone)]
pub struct Scene {
    /// As `config` makes it; functions have ids from 0 on.
    pub config: Arc<Config>,
    pub functions: Vec<Function>,
    pub servers: Vec<server::Group>,
    pub window: Window,
    /// One stream of requests for all functions, in place of their own loads.
    pub shared: Option<Arc<dyn Source>>,
}

/// A function, besides what the platform's configuration says of it.
#[derive(Clone)]
pub struct Function {
    pub name: String,
    pub load: Load,
    pub service: Distribution,
    /// Of requests that wait for a cold start, beside it; `None`: like others.
    pub cold_service: Option<Distribution>,
    pub cold_start: ColdStart,
    pub package_bytes: u64,
    /// What providers bill that go by memory used.
    pub memory_used_mb: u32,
}

/// Where requests come from.
#[derive(Clone)]
pub enum Load {
    Pattern(Pattern),
    Closed { clients: u32, think: Distribution },
    Source(Arc<dyn Source>),
    None,
}

/// Something that can be opened as a stream of requests, once for each replication.
pub trait Source: Send + Sync {
    /// `function` is the place of the function whose load this is.
    fn open(&self, function: u32, seeds: Seeds) -> Box<dyn Arrivals + Send>;

    /// The requests of one function alone, the same ones at the same times as among all; `None`: it cannot tell them without
    /// reading all the others, for no function.
    fn open_one(&self, function: u32, seeds: Seeds) -> Option<Box<dyn Arrivals + Send>> {
        let _ = (function, seeds);
        None
    }

    /// Whether [`Source::open_one`] answers.
    fn opens_one(&self) -> bool {
        false
    }
}

/// How long an instance takes to start.
#[derive(Clone)]
pub enum ColdStart {
    /// The provider's model for a runtime and a package of so many bytes.
    Provider(Box<ColdStartModel>, u64),
    Drawn(Distribution),
}

/// A cold start in one replication.
pub(crate) enum Starting<'a> {
    Provider(&'a ColdStartModel, u64, Box<Rng>),
    Drawn(&'a Distribution, Stream),
}

impl ColdStart {
    fn seeded(&self, seeds: Seeds, index: u32) -> Starting<'_> {
        let mut stream = seeds.stream(Purpose::ColdStart, index);
        match self {
            ColdStart::Provider(model, bytes) => {
                let rng = Rng::new(rand_core::RngCore::next_u64(&mut stream));
                Starting::Provider(model, *bytes, Box::new(rng))
            }
            ColdStart::Drawn(distribution) => Starting::Drawn(distribution, stream),
        }
    }
}

impl Starting<'_> {
    fn draw(&mut self) -> Span {
        match self {
            Starting::Provider(model, bytes, rng) => model.draw(rng, *bytes).total(),
            Starting::Drawn(distribution, stream) => distribution.draw(stream),
        }
    }
}

impl Load {
    fn open(&self, seeds: Seeds, function: u32) -> Box<dyn Arrivals + Send> {
        let stream = seeds.stream(Purpose::Arrivals, function);
        match self {
            Load::Pattern(pattern) => Box::new(Patterned::new(pattern, function, stream)),
            Load::Closed { clients, think } => Box::new(ClosedLoop::new(*clients, think.clone(), function, stream)),
            Load::Source(source) => source.open(function, seeds),
            Load::None => Box::new(workload::Nothing),
        }
    }
}

/// Functions on a provider's platform. It models nothing by itself: how long things take is drawn here.
fn config(functions: BTreeMap<FunctionId, FunctionSpec>, profile: Arc<Profile>) -> Config {
    Config {
        functions,
        queues: BTreeMap::new(),
        topics: BTreeMap::new(),
        triggers: BTreeMap::new(),
        profile,
        cold_starts: ColdStarts::Off,
        cron_wakes: false,
        cron_grace: Span::MAX,
        instance_flips: false,
    }
}

impl Scene {
    /// What the platform is told of the function at this place.
    fn spec(&self, at: usize) -> &FunctionSpec {
        &self.config.functions[&FunctionId(at as u32)]
    }

    /// Functions that meet nowhere: then each runs by itself.
    pub fn apart(&self) -> bool {
        let shares = |at: usize| matches!(self.spec(at).keep_alive, Some(Policy::GreedyDual { .. }));
        let meet = self.config.profile.rules.account_concurrency.is_some() || (0..self.functions.len()).any(shares);
        (self.functions.len() <= 1 || !meet) && self.shared.as_ref().is_none_or(|source| source.opens_one())
    }

    /// Whether a lane can serve the function at this place.
    fn fits_lane(&self, at: usize) -> bool {
        Lane::fits(self.spec(at), &self.config.profile.rules)
    }

    /// Functions that are apart, each of which a lane can serve.
    #[cfg(test)]
    fn by_lanes(&self) -> bool {
        self.apart() && (0..self.functions.len()).all(|at| self.fits_lane(at))
    }

    /// So many functions that each by itself is not looked at over time.
    pub fn many(&self) -> bool {
        self.functions.len() > SHOWN_MAX
    }
}
