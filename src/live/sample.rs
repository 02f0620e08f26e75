//! What pages are shown of a flood: so many events of each kind singly, and sums of all of them, made once for all
//! pages. `/_emu/events?sample` sends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::platform::effect::End;
use crate::platform::ids::FunctionId;
use crate::platform::input::Outcome;
use crate::platform::time::Span;

use super::api::{FunctionSums, LeftOut, Sums};
use super::events::{Done, Kind, Raw, What};

/// Sums are told this often, and the single events are counted anew.
const PERIOD: Duration = Duration::from_millis(500);

/// Invocations that succeeded, those that did not, and so on, that are shown singly of one period.
const GOOD_MAX: u32 = 100;
const BAD_MAX: u32 = 50;
const LOGS_MAX: u32 = 100;
const MESSAGES_MAX: u32 = 150;
/// Instances: a burst that starts a thousand is what a page is there to show.
const OTHERS_MAX: u32 = 4_000;

/// Upper bounds of a histogram's buckets grow by a quarter of an octave from here.
const BUCKET_FIRST_MS: f64 = 0.1;
const BUCKETS_PER_OCTAVE: f64 = 4.0;
const BUCKETS: usize = 96;

const MAX: [u32; 5] = [GOOD_MAX, BAD_MAX, LOGS_MAX, MESSAGES_MAX, OTHERS_MAX];

/// What the period that runs has seen.
pub struct Sampler {
    since: Instant,
    seen: [u32; 5],
    sums: BTreeMap<FunctionId, Sum>,
    any: bool,
}

struct Sum {
    invocations: u64,
    errors: u64,
    throttled: u64,
    cold: u64,
    duration: Span,
    cost_picodollars: u128,
    durations: [u32; BUCKETS],
}

impl Default for Sum {
    fn default() -> Sum {
        Sum {
            invocations: 0,
            errors: 0,
            throttled: 0,
            cold: 0,
            duration: Span::ZERO,
            cost_picodollars: 0,
            durations: [0; BUCKETS],
        }
    }
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler {
            since: Instant::now(),
            seen: [0; 5],
            sums: BTreeMap::new(),
            any: false,
        }
    }
}

impl Sampler {
    /// Whether this event is shown by itself; it is in the sums in any case.
    pub fn take(&mut self, raw: &Raw) -> bool {
        self.any = true;
        let kind = Kind::of(&raw.what);
        if let What::Invocation(done) = &raw.what {
            self.sums.entry(done.record.function).or_default().add(done);
        }
        let seen = &mut self.seen[kind as usize];
        *seen = seen.saturating_add(1);
        *seen <= MAX[kind as usize]
    }

    /// The sums of the period that is over; `None` while it goes on, and when nothing happened.
    pub fn due(&mut self, now: Instant, time: String, name: impl Fn(FunctionId) -> Arc<str>) -> Option<Sums> {
        let period = now.saturating_duration_since(self.since);
        if period < PERIOD {
            return None;
        }
        self.since = now;
        if !std::mem::take(&mut self.any) {
            return None;
        }
        let seen = std::mem::take(&mut self.seen);
        let over = |kind: Kind| u64::from(seen[kind as usize].saturating_sub(MAX[kind as usize]));
        let functions = std::mem::take(&mut self.sums).into_iter();
        Some(Sums {
            event: "sums".to_owned(),
            time,
            period_ms: period.as_secs_f64() * 1e3,
            functions: functions
                .map(|(function, sum)| sum.told(name(function).to_string()))
                .collect(),
            left_out: LeftOut {
                invocations: over(Kind::Good) + over(Kind::Bad),
                logs: over(Kind::Log),
                messages: over(Kind::Message),
                others: over(Kind::Other),
            },
        })
    }
}

impl Sum {
    fn add(&mut self, done: &Done) {
        let record = &done.record;
        self.invocations += 1;
        match record.end {
            End::Ran(Outcome::Succeeded) => {}
            End::Rejected(_) => self.throttled += 1,
            _ => self.errors += 1,
        }
        self.cold += u64::from(record.cold);
        self.cost_picodollars += u128::from(record.metered.unwrap_or_default().cost_picodollars);
        if matches!(record.end, End::Ran(_)) {
            self.duration += record.duration;
            self.durations[bucket(record.duration.as_millis_f64())] += 1;
        }
    }

    fn told(self, function: String) -> FunctionSums {
        let counted = self.durations.iter().zip(0u32..).filter(|(count, _)| **count > 0);
        FunctionSums {
            function,
            invocations: self.invocations,
            errors: self.errors,
            throttled: self.throttled,
            cold: self.cold,
            duration_ms: self.duration.as_millis_f64(),
            cost: self.cost_picodollars as f64 * 1e-12,
            durations: counted.map(|(count, at)| (upper_ms(at), *count)).collect(),
        }
    }
}

fn bucket(ms: f64) -> usize {
    let at = (BUCKETS_PER_OCTAVE * (ms / BUCKET_FIRST_MS).log2()).ceil();
    // Nothing is below the first bucket, whatever the logarithm of nothing is.
    (at.max(0.0) as usize).min(BUCKETS - 1)
}

fn upper_ms(bucket: u32) -> f64 {
    let exact = BUCKET_FIRST_MS * (f64::from(bucket) / BUCKETS_PER_OCTAVE).exp2();
    (exact * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stream;
    use crate::platform::ids::InvocationId;
    use crate::platform::time::Time;

    #[test]
    fn buckets_hold_what_they_say() {
        for ms in [0.0, 0.05, 0.1, 0.11, 1.0, 12.3, 300.0, 900_000.0] {
            let at = bucket(ms);
            assert!(ms <= upper_ms(at as u32) + 1e-3, "{ms} in {at}");
            assert!(at == 0 || ms > upper_ms(at as u32 - 1) - 1e-3, "{ms} in {at}");
        }
        assert_eq!(bucket(f64::MAX), BUCKETS - 1);
    }

    #[test]
    fn of_a_flood_some_are_shown_and_all_are_counted() {
        let mut sampler = Sampler::default();
        let log = Raw {
            at: Time::ZERO,
            what: What::Log {
                invocation: InvocationId(1),
                function: FunctionId(0),
                stream: Stream::Stdout,
                text: "x".into(),
            },
        };
        let shown = (0..1_000).filter(|_| sampler.take(&log)).count();
        assert_eq!(shown, LOGS_MAX as usize);
        let name = |_| Arc::from("f");
        assert!(sampler.due(sampler.since, String::new(), name).is_none(), "too early");
        let later = sampler.since + PERIOD;
        let sums = sampler.due(later, String::new(), name).expect("something happened");
        assert_eq!(sums.left_out.logs, 900);
        assert!(
            sampler.due(later + PERIOD, String::new(), name).is_none(),
            "nothing since"
        );
    }
}
