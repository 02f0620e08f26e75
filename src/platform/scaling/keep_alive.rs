//! How long idle instances stay. A [`Policy`] is what a manifest asks for; a `KeepAlive` is one at work in a fleet.

use super::hybrid::Hybrid;
use crate::platform::time::{Span, Time};

pub use super::hybrid::HybridSpec;

/// As a manifest asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// So long after the last invocation's end; zero: not at all, [`Span::MAX`]: for good.
    Fixed(Span),
    /// Half of the idle instances go in each such period, as measured at AWS (Copik et al., SeBS, 2021).
    HalfLife(Span),
    /// By a histogram of the function's idle times (Shahrad et al., Serverless in the Wild, 2020).
    Hybrid(HybridSpec),
    /// Until others need the memory: what starts slowly, is used often and is small stays longest (Fuerst and Sharma,
    /// FaasCache, 2021). All functions with this policy share so much memory, the most that one of them names.
    GreedyDual { memory_mb: u32 },
}

impl Policy {
    /// What stands for it where one time is shown.
    pub fn typical(&self) -> Span {
        match self {
            Policy::Fixed(idle) => *idle,
            Policy::HalfLife(period) => *period,
            Policy::Hybrid(spec) => spec.fallback,
            Policy::GreedyDual { .. } => Span::MAX,
        }
    }
}

/// A fleet's policy, with what it remembers.
#[derive(Clone, Debug)]
pub(in crate::platform) struct KeepAlive {
    pub policy: Policy,
    /// Provisioned instances are never let go for idleness.
    pub provisioned: u32,
    /// Times that an instance became idle; for the half-life.
    turns: u64,
    hybrid: Option<Box<Hybrid>>,
}

impl KeepAlive {
    pub fn new(policy: Policy, provisioned: u32) -> KeepAlive {
        KeepAlive {
            policy,
            provisioned,
            turns: 0,
            hybrid: match policy {
                Policy::Hybrid(spec) => Some(Box::new(Hybrid::new(spec))),
                _ => None,
            },
        }
    }

    /// A changed manifest; what has been learnt stays as long as the policy does.
    pub fn adapt(&mut self, policy: Policy, provisioned: u32) {
        if policy == self.policy {
            self.provisioned = provisioned;
        } else {
            *self = KeepAlive::new(policy, provisioned);
        }
    }

    /// Instances go in the order in which they became idle.
    pub fn is_fixed(&self) -> bool {
        matches!(self.policy, Policy::Fixed(_))
    }

    /// How long an instance stays that becomes idle now; `all` says that nothing starts or runs in its fleet any more.
    pub fn stay(&mut self, now: Time, all: bool) -> Span {
        match self.policy {
            Policy::Fixed(idle) => idle,
            Policy::GreedyDual { .. } => Span::MAX,
            Policy::HalfLife(period) => {
                // Every second instance goes after one period, every second of the others after two, and so on: of any
                // 2^n in a row exactly half are gone after each.
                self.turns += 1;
                Span(period.0.saturating_mul(1 + u64::from(self.turns.trailing_zeros())))
            }
            Policy::Hybrid(_) => self.hybrid.as_mut().map_or(Span::ZERO, |hybrid| hybrid.stay(now, all)),
        }
    }

    /// A request has come, whether or not an instance was there for it.
    pub fn arrived(&mut self, now: Time) {
        if let Some(hybrid) = &mut self.hybrid {
            hybrid.arrived(now);
        }
    }

    /// When an instance is to be started ahead of the next request; asked for after [`KeepAlive::stay`].
    pub fn prewarm_at(&self) -> Option<Time> {
        self.hybrid.as_ref()?.prewarm_at()
    }

    /// When an instance may go that is idle since then and was to stay so long, provided that `live` instances are more
    /// than the provisioned ones.
    #[inline]
    pub fn expires_at(&self, idle_since: Time, stay: Span, live: u32) -> Option<Time> {
        let stay = match self.policy {
            Policy::Fixed(idle) => idle,
            _ => stay,
        };
        (live > self.provisioned)
            .then(|| idle_since + stay)
            .filter(|at| *at < Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SeBS (FACTS 6C): D_warm = D_init x 2^(-floor(t / 380 s)).
    #[test]
    fn half_of_the_instances_go_in_each_period() {
        let period = Span::from_secs(380);
        for initial in [1u32, 8, 20, 1_000] {
            let mut keep = KeepAlive::new(Policy::HalfLife(period), 0);
            let stays: Vec<Span> = (0..initial).map(|_| keep.stay(Time::ZERO, false)).collect();
            for t_s in (0..4_000).step_by(95) {
                let warm = stays.iter().filter(|stay| **stay > Span::from_secs(t_s)).count();
                let expected = initial >> (t_s / 380).min(31);
                assert_eq!(warm as u32, expected, "{initial} instances after {t_s} s");
            }
        }
    }
}
