//! Results that can be written down: the platform must come out at them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::Platform;
use super::super::effect::{Effect, End};
use super::super::ids::{InstanceId, InvocationId, VersionNumber};
use super::super::input::{Input, Outcome};
use super::super::rng::Rng;
use super::super::rules::Rules;
use super::super::time::{Span, Time};
use super::{API, completion, config, function};

/// What a run of Poisson arrivals came to.
#[derive(Debug, Default)]
struct Tally {
    arrivals: u64,
    cold: u64,
    rejected: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Arrival,
    Ready(InstanceId),
    Finished(InvocationId, Span),
}

/// Poisson arrivals at `rate` a second, exponential service with these means, one function, virtual time.
fn poisson(rules: Rules, limit: Option<u32>, rate: f64, warm_s: f64, cold_s: f64, arrivals: u64) -> Tally {
    let mut platform = Platform::new(1);
    let mut rng = Rng::new(2);
    let mut exponential = move |mean: f64| Span((-(1.0 - rng.unit()).ln() * mean * 1e9) as u64);
    let mut config = config(rules);
    let mut spec = function("api");
    spec.max_concurrency = limit;
    config.functions.insert(API, spec);
    let mut now = Time::from_secs(1);
    platform.handle(now, Input::Configure(config.into()));
    let version = VersionNumber(1);
    platform.handle(
        now,
        Input::Deploy {
            function: API,
            version,
            package_bytes: 0,
        },
    );
    let mut tally = Tally::default();
    let mut due = BinaryHeap::from([Reverse((now, 0, Due::Arrival))]);
    let mut seq = 0;
    while let Some(Reverse((at, _, what))) = due.pop() {
        now = at;
        let input = match what {
            Due::Arrival => {
                tally.arrivals += 1;
                if tally.arrivals < arrivals {
                    seq += 1;
                    due.push(Reverse((now + exponential(1.0 / rate), seq, Due::Arrival)));
                }
                Input::Arrive {
                    invocation: platform.new_invocation(),
                    function: API,
                }
            }
            Due::Ready(instance) => Input::InstanceReady {
                instance,
                init: Span::ZERO,
            },
            Due::Finished(invocation, took) => Input::Finished {
                invocation,
                completion: completion(Outcome::Succeeded, took),
            },
        };
        platform.handle(now, input);
        while let Some(effect) = platform.poll_effect() {
            seq += 1;
            match effect {
                Effect::StartInstance { instance, .. } => due.push(Reverse((now, seq, Due::Ready(instance)))),
                Effect::Run(run) => {
                    let took = exponential(if run.cold { cold_s } else { warm_s });
                    due.push(Reverse((now + took, seq, Due::Finished(run.invocation, took))));
                }
                Effect::Record(record) => {
                    tally.cold += u64::from(record.cold);
                    tally.rejected += u64::from(matches!(record.end, End::Rejected(_)));
                }
                _ => {}
            }
        }
    }
    platform.check().expect("the invariants hold at the end");
    tally
}

fn keep(keep_alive: Span) -> Rules {
    Rules {
        keep_alive,
        ..Rules::none()
    }
}

/// With negligible service a request is cold when none came for the keep-alive: P(cold) = e^(-lambda T).
#[test]
fn cold_share_of_short_functions_is_exponential() {
    let arrivals = 40_000;
    let tally = poisson(keep(Span::from_secs(2)), None, 0.5, 1e-6, 1e-6, arrivals);
    let share = tally.cold as f64 / tally.arrivals as f64;
    let expected = (-0.5f64 * 2.0).exp();
    let sigma = (expected * (1.0 - expected) / arrivals as f64).sqrt();
    assert!(
        (share - expected).abs() < 4.0 * sigma,
        "{share} is not {expected} within {sigma}"
    );
}

/// Arrivals that find all servers busy are lost: Erlang's B formula.
#[test]
fn throttled_share_is_erlang_b() {
    let (load, servers) = (10.0, 8);
    let erlang_b = (1..=servers).fold(1.0, |b, n| load * b / (f64::from(n) + load * b));
    let tally = poisson(keep(Span::from_secs(1_000_000)), Some(8), 10.0, 1.0, 1.0, 40_000);
    let share = tally.rejected as f64 / tally.arrivals as f64;
    assert!((share - erlang_b).abs() < 0.015, "{share} is not {erlang_b}");
}

/// SimFaaS, lambda 10, service 2.016 s warm and 2.163 s cold, expiry 10 s: P(cold) 0.023818 (published beside their
/// simulator; a shorter horizon than theirs is enough to land within a tenth).
#[test]
fn cold_share_is_that_of_simfaas() {
    let tally = poisson(keep(Span::from_secs(10)), None, 10.0, 2.016, 2.163, 100_000);
    let share = tally.cold as f64 / tally.arrivals as f64;
    assert!((share / 0.023_818 - 1.0).abs() < 0.1, "{share} is not 0.023818");
}
