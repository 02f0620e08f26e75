//! The fast way for one function without waiting lines: a [`Lane`] in place of the platform, and requests that are known by
//! their instance's slot. Draws come from the same streams in the same order as in `platform_run`, so that both come to the
//! same, digit for digit; a test holds them together.

use super::Scene;
use super::due::Due;
use super::meter::Meter;
use super::platform_run::Tally;
use super::random::{Purpose, Seeds};
use super::workload::Arrivals;
use crate::platform::billing::{Usage, Used};
use crate::platform::lane::{Lane, Placed};
use crate::platform::time::{Span, Time};

/// What runs on an instance, or waits for it.
#[derive(Clone, Copy, Debug, Default)]
struct Request {
    arrived_at: Time,
    took: Span,
    init: Span,
    /// Of one that waits: the time it will take, where the workload knows.
    known: Option<Span>,
    cold: bool,
    starting: bool,
}

/// One replication of the function at this place, which [fits](Lane::fits) a lane.
// tidy: long, because the loop keeps its state in locals: a request costs some fifty nanoseconds.
pub fn run<A: Arrivals>(scene: &Scene, at: usize, seeds: Seeds, arrivals: &mut A) -> Tally {
    let function = &scene.functions[at];
    let index = at as u32;
    let mut lane = Lane::new(scene.spec(at), &scene.config.profile, function.package_bytes);
    let mut services = seeds.stream(Purpose::Service, index);
    let mut cold_start = function.cold_start.seeded(seeds, index);
    let cold_service = function.cold_service.as_ref().unwrap_or(&function.service);
    let memory_bytes_max = u64::from(function.memory_used_mb) << 20;
    let mut meter = Meter::new(scene.window, false);
    let (from, until) = (scene.window.from, scene.window.until);
    let mut before: Option<Usage> = None;
    let mut due = Due::default();
    let mut requests: Vec<Request> = Vec::new();
    loop {
        let (next_due, deadline, arrival) = (due.next(), lane.next_deadline(), arrivals.next_at());
        let now = next_due.min(deadline).min(arrival);
        if now >= from && before.is_none() {
            before = Some(*lane.usage());
        }
        if now >= until {
            break;
        }
        meter.pass_to(now);
        if deadline == now {
            lane.serve(now, |created_at| meter.gone(now.since(created_at)));
        } else if next_due == now {
            let Some(slot) = due.pop() else { continue };
            let request = &mut requests[slot as usize];
            if request.starting {
                request.starting = false;
                request.took = request.known.unwrap_or_else(|| cold_service.draw(&mut services));
                lane.ready(slot);
                due.push(now, now + request.took, slot);
                continue;
            }
            meter.ended(now.since(request.arrived_at), request.cold);
            let used = Used {
                duration: request.took,
                cpu: request.took,
                init: request.init,
                init_is_modelled: false,
                busy: request.took,
                memory_bytes_max,
            };
            lane.finished(now, slot, &used, |created_at| meter.gone(now.since(created_at)));
            arrivals.ended(now, index);
        } else {
            let arrival = arrivals.take();
            meter.arrived();
            match lane.arrive(now) {
                Placed::Warm(slot) => {
                    let took = arrival.service.unwrap_or_else(|| function.service.draw(&mut services));
                    requests[slot as usize] = Request {
                        arrived_at: now,
                        took,
                        ..Request::default()
                    };
                    due.push(now, now + took, slot);
                }
                Placed::Cold(slot) => {
                    let init = cold_start.draw();
                    if slot as usize >= requests.len() {
                        requests.resize(slot as usize + 1, Request::default());
                    }
                    requests[slot as usize] = Request {
                        arrived_at: now,
                        took: Span::ZERO,
                        init,
                        known: arrival.service,
                        cold: true,
                        starting: true,
                    };
                    due.push(now, now + init, slot);
                }
                Placed::Refused => {
                    meter.refused();
                    arrivals.ended(now, index);
                }
            }
        }
        meter.now_are(lane.instances(), lane.running());
    }
    Tally {
        measured: meter.done(),
        usage: lane.usage().less(&before.unwrap_or_default()),
    }
}
