//! The platform in virtual time: the shell around [`Platform`] that `emu dev` is in real time. It hands in what comes due,
//! and every time that an effect asks for is drawn instead of waited for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::distribution::Distribution;
use super::meter::{Bin, Measured, Meter};
use super::random::{Purpose, Seeds, Stream};
use super::workload::{Arrivals, Nothing};
use super::{Scene, Starting, config};
use crate::platform::Platform;
use crate::platform::billing::Usage;
use crate::platform::config::Config;
use crate::platform::effect::{Effect, End, Record, Run};
use crate::platform::ids::{FunctionId, InstanceId, InvocationId, VersionNumber};
use crate::platform::input::{Completion, Input, Outcome};
use crate::platform::time::{Span, Time};

/// What falls due at its time; ties in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Ready(InstanceId, Span),
    Finished(InvocationId, Span, FunctionId),
}

/// What one replication came to, by function.
#[derive(Debug, Default)]
pub struct Tally {
    pub measured: Measured,
    /// Under the scene's own provider, without the warm-up.
    pub usage: Usage,
}

struct Shell<'a> {
    scene: &'a Scene,
    platform: Platform,
    /// Place in the scene of the first function: the platform knows it as number 0.
    first: u32,
    heap: BinaryHeap<Reverse<(Time, u64, Due)>>,
    seq: u64,
    functions: Vec<Function<'a>>,
    /// Requests whose own length the workload knows.
    known: BTreeMap<InvocationId, Span>,
    born: BTreeMap<InstanceId, Time>,
    /// Functions whose instances may have changed in this step.
    touched: Vec<FunctionId>,
    /// Of all functions together, where there are many.
    all: Option<Meter>,
    instances: u32,
    running: u32,
}

struct Function<'a> {
    service: &'a Distribution,
    cold_service: &'a Distribution,
    cold_start: Starting<'a>,
    memory_bytes: u64,
    services: Stream,
    meter: Meter,
    instances: u32,
    running: u32,
}

/// One replication of all functions on one platform, and where they are many, what they come to together over time.
pub fn all<A: Arrivals>(scene: &Scene, seeds: Seeds, arrivals: &mut A) -> (Vec<Tally>, Option<Vec<Bin>>) {
    let many = scene.many();
    let shell = Shell::new(scene, 0, &scene.functions, Arc::clone(&scene.config), seeds, many);
    run(shell, arrivals)
}

/// One replication of the function at this place, on a platform of its own.
pub fn one<A: Arrivals>(scene: &Scene, at: usize, seeds: Seeds, arrivals: &mut A) -> Tally {
    let config = match scene.functions.len() {
        1 => Arc::clone(&scene.config),
        _ => {
            let only = BTreeMap::from([(FunctionId(0), scene.spec(at).clone())]);
            Arc::new(config(only, Arc::clone(&scene.config.profile)))
        }
    };
    let shell = Shell::new(scene, at as u32, &scene.functions[at..=at], config, seeds, false);
    run(shell, arrivals).0.pop().unwrap_or_default()
}

fn run<A: Arrivals>(mut shell: Shell<'_>, arrivals: &mut A) -> (Vec<Tally>, Option<Vec<Bin>>) {
    let scene = shell.scene;
    let (from, until) = (scene.window.from, scene.window.until);
    let mut before = None;
    loop {
        let due = shell.heap.peek().map_or(Time::NEVER, |Reverse((at, ..))| *at);
        let deadline = shell.platform.next_deadline().unwrap_or(Time::NEVER);
        let arrival = arrivals.next_at();
        let now = due.min(deadline).min(arrival);
        if before.is_none() && now >= from {
            before = Some(shell.usages(from));
        }
        if now >= until {
            break;
        }
        // What ends at an instant makes room for what comes at it.
        let input = if deadline == now {
            Input::Tick
        } else if due == now {
            shell.due()
        } else {
            let arrival = arrivals.take();
            shell.arrives(now, arrival.function, arrival.service)
        };
        shell.step(now, input, arrivals);
    }
    let before = before.unwrap_or_default();
    let after = shell.usages(until);
    let used = after
        .into_iter()
        .zip(before.into_iter().chain(std::iter::repeat(Usage::default())));
    let functions = shell.functions.into_iter().zip(used);
    let tallies = functions.map(|(function, (after, before))| Tally {
        measured: function.meter.done(),
        usage: after.less(&before),
    });
    (tallies.collect(), shell.all.map(|meter| meter.done().bins))
}

impl<'a> Shell<'a> {
    fn new(
        scene: &'a Scene,
        first: u32,
        functions: &'a [super::Function],
        config: Arc<Config>,
        seeds: Seeds,
        many: bool,
    ) -> Shell<'a> {
        let states = functions.iter().zip(first..).map(|(function, index)| Function {
            service: &function.service,
            cold_service: function.cold_service.as_ref().unwrap_or(&function.service),
            cold_start: function.cold_start.seeded(seeds, index),
            memory_bytes: u64::from(function.memory_used_mb) << 20,
            services: seeds.stream(Purpose::Service, index),
            meter: Meter::new(scene.window, many),
            instances: 0,
            running: 0,
        });
        let mut shell = Shell {
            scene,
            platform: Platform::new(seeds.platform()),
            first,
            heap: BinaryHeap::new(),
            seq: 0,
            functions: states.collect(),
            known: BTreeMap::new(),
            born: BTreeMap::new(),
            touched: Vec::new(),
            all: many.then(|| Meter::new(scene.window, false)),
            instances: 0,
            running: 0,
        };
        shell.platform.handle(Time::ZERO, Input::Configure(config));
        for (function, id) in functions.iter().zip(0u32..) {
            let input = Input::Deploy {
                function: FunctionId(id),
                version: VersionNumber(1),
                package_bytes: function.package_bytes,
            };
            shell.step(Time::ZERO, input, &mut Nothing);
        }
        shell
    }

    fn due(&mut self) -> Input {
        match self.heap.pop() {
            Some(Reverse((_, _, Due::Ready(instance, init)))) => Input::InstanceReady { instance, init },
            Some(Reverse((_, _, Due::Finished(invocation, took, function)))) => Input::Finished {
                invocation,
                completion: Completion {
                    outcome: Outcome::Succeeded,
                    duration: took,
                    cpu: took,
                    memory_bytes_max: self.functions[function.0 as usize].memory_bytes,
                    failed_messages: Vec::new(),
                    acknowledged: false,
                },
            },
            None => Input::Tick,
        }
    }

    fn arrives(&mut self, now: Time, function: u32, service: Option<Span>) -> Input {
        let invocation = self.platform.new_invocation();
        if let Some(service) = service {
            self.known.insert(invocation, service);
        }
        let function = function.wrapping_sub(self.first);
        let own = self.functions.get_mut(function as usize);
        let own = own.map(|function| &mut function.meter);
        for meter in [own, self.all.as_mut()].into_iter().flatten() {
            meter.pass_to(now);
            meter.arrived();
        }
        Input::Arrive {
            invocation,
            function: FunctionId(function),
        }
    }

    fn step<A: Arrivals>(&mut self, now: Time, input: Input, arrivals: &mut A) {
        self.platform.handle(now, input);
        while let Some(effect) = self.platform.poll_effect() {
            match effect {
                Effect::StartInstance { instance, function, .. } => {
                    self.touched.push(function);
                    self.born.insert(instance, now);
                    let init = self.functions[function.0 as usize].cold_start.draw();
                    self.push(now + init, Due::Ready(instance, init));
                }
                Effect::Run(run) => self.run(now, &run),
                Effect::StopInstance { instance, function, .. } => {
                    self.touched.push(function);
                    let lived = self.born.remove(&instance).map_or(Span::ZERO, |born| now.since(born));
                    let meter = &mut self.functions[function.0 as usize].meter;
                    meter.pass_to(now);
                    meter.gone(lived);
                }
                Effect::Record(record) => {
                    self.touched.push(record.function);
                    self.record(&record);
                    arrivals.ended(now, self.first + record.function.0);
                }
                _ => {}
            }
        }
        self.measure(now);
    }

    fn push(&mut self, at: Time, due: Due) {
        self.seq += 1;
        self.heap.push(Reverse((at, self.seq, due)));
    }

    fn run(&mut self, now: Time, run: &Run) {
        self.touched.push(run.function);
        let state = &mut self.functions[run.function.0 as usize];
        let service = if run.cold { state.cold_service } else { state.service };
        let known = if self.known.is_empty() {
            None
        } else {
            self.known.remove(&run.invocation)
        };
        let took = known.unwrap_or_else(|| service.draw(&mut state.services));
        self.push(now + took, Due::Finished(run.invocation, took, run.function));
    }

    fn record(&mut self, record: &Record) {
        let own = &mut self.functions[record.function.0 as usize].meter;
        for meter in [Some(own), self.all.as_mut()].into_iter().flatten() {
            meter.pass_to(record.ended_at);
            match record.end {
                End::Ran(_) => meter.ended(record.ended_at.since(record.arrived_at), record.cold),
                _ => meter.refused(),
            }
        }
    }

    fn measure(&mut self, now: Time) {
        while let Some(function) = self.touched.pop() {
            if let (Some(view), Some(state)) = (
                self.platform.function(function),
                self.functions.get_mut(function.0 as usize),
            ) {
                let running = view.busy + view.starting;
                state.meter.pass_to(now);
                state.meter.now_are(view.instances, running);
                if let Some(all) = &mut self.all {
                    self.instances = self.instances + view.instances - state.instances;
                    self.running = self.running + running - state.running;
                    (state.instances, state.running) = (view.instances, running);
                    all.pass_to(now);
                    all.now_are(self.instances, self.running);
                }
            }
        }
    }

    fn usages(&mut self, now: Time) -> Vec<Usage> {
        let id = &self.scene.config.profile.id;
        let used: BTreeMap<FunctionId, Usage> = match self.platform.ledger(now) {
            Some(ledger) => ledger.usage(id).into_iter().collect(),
            None => BTreeMap::new(),
        };
        let ids = (0u32..).map(FunctionId).take(self.functions.len());
        ids.map(|id| used.get(&id).copied().unwrap_or_default()).collect()
    }
}
