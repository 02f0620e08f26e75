//! Shapes of traffic over time.

use rand_distr::{Distribution as _, Exp1};

use super::super::distribution::Distribution;
use super::super::random::Stream;
use crate::platform::time::{Span, Time};

/// Rates are requests a second.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Independent requests.
    Poisson { rate: f64 },
    /// Evenly spaced.
    Uniform { rate: f64 },
    /// Independent gaps of any distribution.
    Renewal { gaps: Distribution },
    /// So many at once, evenly spaced.
    Burst { size: u32, every: Span },
    /// Poisson, and another rate for a while.
    Spike {
        rate: f64,
        peak: f64,
        at: Span,
        lasts: Span,
    },
    /// Poisson with a rate that goes up and down like a sine, beginning at its lowest.
    Wave { low: f64, peak: f64, period: Span },
    /// Poisson while on; how long on and off last is drawn.
    OnOff {
        rate: f64,
        on: Distribution,
        off: Distribution,
    },
    /// Poisson whose rate is that of a state; states last exponentially and follow one another at random.
    Markov { states: Vec<State> },
}

/// Of a Markov-modulated workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub rate: f64,
    pub lasts: Span,
}

impl Pattern {
    /// Requests a second in the long run; a spike's is that beside the spike.
    pub fn mean_rate(&self) -> f64 {
        match self {
            Pattern::Poisson { rate } | Pattern::Uniform { rate } | Pattern::Spike { rate, .. } => *rate,
            Pattern::Renewal { gaps } => 1.0 / gaps.mean_s().max(1e-9),
            Pattern::Burst { size, every } => f64::from(*size) / seconds(*every).max(1e-9),
            Pattern::Wave { low, peak, .. } => f64::midpoint(*low, *peak),
            Pattern::OnOff { rate, on, off } => rate * on.mean_s() / (on.mean_s() + off.mean_s()).max(1e-9),
            Pattern::Markov { states } => {
                let all: f64 = states.iter().map(|state| seconds(state.lasts)).sum();
                let requests: f64 = states.iter().map(|state| state.rate * seconds(state.lasts)).sum();
                requests / all.max(1e-9)
            }
        }
    }

    /// The same shape with so many times the requests.
    pub fn scaled(&mut self, factor: f64) {
        match self {
            Pattern::Poisson { rate } | Pattern::Uniform { rate } | Pattern::OnOff { rate, .. } => *rate *= factor,
            Pattern::Renewal { .. } => {
                *self = Pattern::Poisson {
                    rate: self.mean_rate() * factor,
                }
            }
            Pattern::Burst { size, .. } => *size = (f64::from(*size) * factor).round() as u32,
            Pattern::Spike { rate, peak, .. } | Pattern::Wave { low: rate, peak, .. } => {
                *rate *= factor;
                *peak *= factor;
            }
            Pattern::Markov { states } => states.iter_mut().for_each(|state| state.rate *= factor),
        }
    }
}

fn seconds(span: Span) -> f64 {
    span.as_nanos() as f64 / 1e9
}

/// A pattern under way.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pattern: Pattern,
    /// Seconds, as a float within one `leg`, so that a year keeps its nanoseconds.
    leg: Time,
    /// Of the request before.
    at: Time,
    /// Of the burst: still to come at `at`.
    left: u32,
    /// Until when the present rate holds.
    until: Time,
    rate: f64,
    state: usize,
}

impl Running {
    pub fn new(pattern: &Pattern, stream: &mut Stream) -> Running {
        let mut running = Running {
            pattern: pattern.clone(),
            leg: Time::ZERO,
            at: Time::ZERO,
            left: 0,
            until: Time::ZERO,
            rate: 0.0,
            state: 0,
        };
        running.turn(stream);
        running
    }

    /// The instant of the next request; [`Time::NEVER`]: there is none.
    #[inline]
    pub fn next(&mut self, stream: &mut Stream) -> Time {
        match &self.pattern {
            Pattern::Poisson { rate } => {
                let unit: f64 = Exp1.sample(stream);
                self.at += nanos(unit / rate);
                self.at
            }
            _ => self.shaped(stream),
        }
    }

    fn shaped(&mut self, stream: &mut Stream) -> Time {
        match &self.pattern {
            Pattern::Poisson { .. } | Pattern::Spike { .. } | Pattern::OnOff { .. } | Pattern::Markov { .. } => {
                self.piecewise(stream)
            }
            Pattern::Uniform { rate } => {
                // Counted, not summed up, so that a million gaps do not drift.
                self.left += 1;
                self.at = self.leg + nanos(f64::from(self.left) / rate);
                if self.left == 1 << 20 {
                    self.leg = self.at;
                    self.left = 0;
                }
                self.at
            }
            Pattern::Renewal { gaps } => {
                self.at += gaps.draw(stream);
                self.at
            }
            Pattern::Burst { size, every } => {
                if self.left == 0 {
                    self.left = (*size).max(1);
                    self.at += *every;
                }
                self.left -= 1;
                self.at
            }
            Pattern::Wave { low, peak, period } => {
                let (low, peak, period) = (*low, *peak, *period);
                self.thinned(stream, peak.max(low), |at| {
                    let phase = (at.0 % period.0.max(1)) as f64 / period.0.max(1) as f64;
                    low + (peak - low) * (1.0 - (phase * std::f64::consts::TAU).cos()) / 2.0
                })
            }
        }
    }

    /// Candidates at the highest rate, each kept with the probability of its instant's rate.
    fn thinned(&mut self, stream: &mut Stream, most: f64, rate: impl Fn(Time) -> f64) -> Time {
        loop {
            let unit: f64 = Exp1.sample(stream);
            self.at += nanos(unit / most);
            if self.at == Time::NEVER || stream.unit() * most < rate(self.at) {
                return self.at;
            }
        }
    }

    /// Exponential gaps at a rate that changes at `until`: what is left of a gap there goes on at the next rate.
    fn piecewise(&mut self, stream: &mut Stream) -> Time {
        let mut unit: f64 = Exp1.sample(stream);
        while self.at < Time::NEVER {
            let gap = if self.rate > 0.0 {
                nanos(unit / self.rate)
            } else {
                Span::MAX
            };
            if self.at + gap < self.until || self.until == Time::NEVER {
                self.at += gap;
                return self.at;
            }
            unit -= seconds(self.until.since(self.at)) * self.rate;
            unit = unit.max(0.0);
            self.at = self.until;
            self.turn(stream);
        }
        Time::NEVER
    }

    /// The rate that holds from `at` on, and until when.
    fn turn(&mut self, stream: &mut Stream) {
        match &self.pattern {
            Pattern::Spike { rate, peak, at, lasts } => {
                let begins = Time::ZERO + *at;
                let ends = begins + *lasts;
                (self.rate, self.until) = match self.at {
                    now if now < begins => (*rate, begins),
                    now if now < ends => (*peak, ends),
                    _ => (*rate, Time::NEVER),
                };
            }
            Pattern::OnOff { rate, on, off } => {
                self.state ^= 1;
                let (lasts, rate) = if self.state == 1 { (on, *rate) } else { (off, 0.0) };
                self.rate = rate;
                self.until = self.at + Span(lasts.draw(stream).0.max(1));
            }
            Pattern::Markov { states } => {
                if self.until > Time::ZERO && states.len() > 1 {
                    let other = (stream.unit() * (states.len() - 1) as f64) as usize;
                    self.state = (self.state + 1 + other) % states.len();
                }
                let unit: f64 = Exp1.sample(stream);
                if let Some(state) = states.get(self.state) {
                    self.rate = state.rate;
                    self.until = self.at + Span(nanos(unit * seconds(state.lasts)).0.max(1));
                }
            }
            _ => self.until = Time::NEVER,
        }
    }
}

fn nanos(seconds: f64) -> Span {
    Span::from_nanos((seconds * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    fn count(pattern: &Pattern, from_s: u64, to_s: u64) -> u64 {
        let mut stream = Stream::new(5, 0, Purpose::Arrivals, 0);
        let mut running = Running::new(pattern, &mut stream);
        let (mut n, mut before) = (0, Time::ZERO);
        loop {
            let at = running.next(&mut stream);
            assert!(at >= before, "requests come in the order of time");
            before = at;
            if at >= Time::from_secs(to_s) {
                return n;
            }
            n += u64::from(at >= Time::from_secs(from_s));
        }
    }

    #[test]
    fn patterns_have_the_rate_they_say() {
        let s = Span::from_secs;
        for pattern in [
            Pattern::Poisson { rate: 20.0 },
            Pattern::Uniform { rate: 20.0 },
            Pattern::Renewal {
                gaps: Distribution::log_normal(Span::from_millis(40), 0.4),
            },
            Pattern::Burst {
                size: 200,
                every: s(10),
            },
            Pattern::Wave {
                low: 0.0,
                peak: 40.0,
                period: s(100),
            },
            Pattern::OnOff {
                rate: 40.0,
                on: Distribution::Constant(s(5)),
                off: Distribution::Exponential { mean: s(5) },
            },
            Pattern::Markov {
                states: vec![
                    State {
                        rate: 10.0,
                        lasts: s(3),
                    },
                    State {
                        rate: 30.0,
                        lasts: s(3),
                    },
                ],
            },
        ] {
            let said = pattern.mean_rate() * 10_000.0;
            let came = count(&pattern, 0, 10_000) as f64;
            assert!(
                (came / said - 1.0).abs() < 0.03,
                "{pattern:?}: {came} rather than {said}"
            );
        }
    }

    #[test]
    fn a_spike_is_where_it_is_said() {
        let s = Span::from_secs;
        let spike = Pattern::Spike {
            rate: 1.0,
            peak: 100.0,
            at: s(1_000),
            lasts: s(100),
        };
        let near = |came: u64, said: f64| (came as f64 / said - 1.0).abs() < 0.1;
        assert!(near(count(&spike, 0, 1_000), 1_000.0));
        assert!(near(count(&spike, 1_000, 1_100), 10_000.0));
        assert!(near(count(&spike, 1_100, 2_100), 1_000.0));
    }

    #[test]
    fn even_requests_do_not_drift() {
        let came = count(&Pattern::Uniform { rate: 3.0 }, 0, 1_000_001);
        assert!((3_000_002..=3_000_003).contains(&came), "{came}");
    }
}
