//! The always-on side: servers that run all the time, each with a number of workers, behind one waiting line that is bounded.
//! What arrives while the line is full is refused.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Load;
use super::distribution::Distribution;
use super::meter::{Measured, Meter, Window};
use super::random::{Purpose, Seeds, Stream};
use super::workload::{Arrival, Arrivals};
use crate::platform::time::{Span, Time};

/// Servers of one kind that share a line.
#[derive(Clone)]
pub struct Group {
    pub name: String,
    /// Whose requests it serves: loads of functions, with the stream each has there, so that both sides meet the same
    /// requests.
    pub loads: Vec<(u32, Load)>,
    pub count: u32,
    /// Requests that one server works on at once.
    pub workers: u32,
    /// Requests that may wait, for each server.
    pub queue: u32,
    /// By the function the request is for; one for all where there is only one.
    pub service: Vec<Distribution>,
    /// Picodollars an hour, of one server.
    pub hour_picodollars: u64,
    /// When one of the servers is away, and for how long.
    pub outages: Vec<Outage>,
}

/// One server dies and comes back. What it worked on is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    pub at: Time,
    pub lasts: Span,
}

/// What one replication came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Instances are workers that are there, running ones those that work.
    pub measured: Measured,
}

/// A request under way: when it came, for which function, on which server and since which of its starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    ends_at: Time,
    seq: u64,
    server: u32,
    boot: u32,
    arrived_at: Time,
    function: u32,
}

struct Server {
    busy: u32,
    /// How often it has died; work of an earlier life is lost.
    boot: u32,
    up: bool,
}

struct Farm<'a> {
    group: &'a Group,
    meter: Meter,
    servers: Vec<Server>,
    working: BinaryHeap<Reverse<Work>>,
    waiting: VecDeque<(Time, Arrival)>,
    running: u32,
    stream: Stream,
    seq: u64,
}

/// One replication.
pub fn run(group: &Group, window: Window, seeds: Seeds, index: u32) -> Tally {
    let loads = group.loads.iter();
    let mut arrivals = super::workload::Merged(loads.map(|(function, load)| load.open(seeds, *function)).collect());
    let mut changes: VecDeque<(Time, bool)> = outages(&group.outages);
    let mut farm = Farm {
        group,
        meter: Meter::new(window, false),
        servers: (0..group.count)
            .map(|_| Server {
                busy: 0,
                boot: 0,
                up: true,
            })
            .collect(),
        working: BinaryHeap::new(),
        waiting: VecDeque::new(),
        running: 0,
        stream: seeds.stream(Purpose::Server, index),
        seq: 0,
    };
    farm.measure();
    loop {
        let ends = farm.working.peek().map_or(Time::NEVER, |Reverse(work)| work.ends_at);
        let change = changes.front().map_or(Time::NEVER, |(at, _)| *at);
        let now = ends.min(change).min(arrivals.next_at());
        if now >= window.until {
            break;
        }
        farm.meter.pass_to(now);
        if change == now {
            if let Some((_, up)) = changes.pop_front() {
                farm.turn(now, up, &mut arrivals);
            }
        } else if ends == now {
            farm.end(now, &mut arrivals);
        } else {
            let arrival = arrivals.take();
            farm.arrive(now, arrival, &mut arrivals);
        }
        farm.measure();
    }
    Tally {
        measured: farm.meter.done(),
    }
}

fn outages(outages: &[Outage]) -> VecDeque<(Time, bool)> {
    let mut changes: Vec<(Time, bool)> = outages
        .iter()
        .flat_map(|outage| [(outage.at, false), (outage.at + outage.lasts, true)])
        .collect();
    changes.sort_unstable();
    changes.into()
}

impl Farm<'_> {
    fn measure(&mut self) {
        let up = self.servers.iter().filter(|server| server.up).count();
        let workers = u32::try_from(up).unwrap_or(u32::MAX).saturating_mul(self.group.workers);
        self.meter.now_are(workers, self.running);
    }

    /// The one with the fewest requests, the first of several.
    fn free(&self) -> Option<u32> {
        let servers = self.servers.iter().zip(0u32..);
        let free = servers.filter(|(server, _)| server.up && server.busy < self.group.workers);
        free.min_by_key(|(server, _)| server.busy).map(|(_, at)| at)
    }

    fn arrive(&mut self, now: Time, arrival: Arrival, arrivals: &mut impl Arrivals) {
        self.meter.arrived();
        match self.free() {
            Some(server) => self.start(now, now, arrival, server),
            None if self.waiting.len() < self.group.count as usize * self.group.queue as usize => {
                self.waiting.push_back((now, arrival));
            }
            None => {
                self.meter.refused();
                arrivals.ended(now, arrival.function);
            }
        }
    }

    fn start(&mut self, now: Time, arrived_at: Time, arrival: Arrival, server: u32) {
        let services = &self.group.service;
        let service = services.get(arrival.function as usize).or(services.first());
        let drawn = service.map_or(Span::ZERO, |service| service.draw(&mut self.stream));
        let state = &mut self.servers[server as usize];
        state.busy += 1;
        self.running += 1;
        self.seq += 1;
        self.working.push(Reverse(Work {
            ends_at: now + arrival.service.unwrap_or(drawn),
            seq: self.seq,
            server,
            boot: state.boot,
            arrived_at,
            function: arrival.function,
        }));
    }

    fn end(&mut self, now: Time, arrivals: &mut impl Arrivals) {
        let Some(Reverse(work)) = self.working.pop() else {
            return;
        };
        let server = &mut self.servers[work.server as usize];
        if server.boot != work.boot {
            return;
        }
        server.busy -= 1;
        self.running -= 1;
        self.meter.ended(now.since(work.arrived_at), false);
        arrivals.ended(now, work.function);
        self.serve_waiting(now);
    }

    fn serve_waiting(&mut self, now: Time) {
        while let Some(server) = self.free()
            && let Some((arrived_at, arrival)) = self.waiting.pop_front()
        {
            self.start(now, arrived_at, arrival, server);
        }
    }

    /// A server dies, or the one that died first is back.
    fn turn(&mut self, now: Time, up: bool, arrivals: &mut impl Arrivals) {
        let Some(at) = self.servers.iter().position(|server| server.up != up) else {
            return;
        };
        let server = &mut self.servers[at];
        server.up = up;
        if up {
            return self.serve_waiting(now);
        }
        let boot = server.boot;
        server.boot += 1;
        self.running -= std::mem::take(&mut server.busy);
        let lost: Vec<u32> = self
            .working
            .iter()
            .filter(|Reverse(work)| work.server as usize == at && work.boot == boot)
            .map(|Reverse(work)| work.function)
            .collect();
        for function in lost {
            self.meter.failed();
            arrivals.ended(now, function);
        }
    }
}
