//! What a load came to: counts and latencies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Latencies that a look at a running load takes into account: the last ones.
const GLANCE_MAX: usize = 20_000;

/// Grows while answers come in.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub sent: u64,
    /// Below 400.
    pub ok: u64,
    pub throttled: u64,
    /// Any other status, and answers that never came.
    pub errors: u64,
    /// Due while `--concurrency` requests were under way.
    pub held_back: u64,
    pub cold: u64,
    /// Answers that say whether they were cold.
    pub cold_known: u64,
    /// The first error's text or status, for people.
    pub first_error: Option<String>,
    /// From the instant a request was due, so that waiting counts.
    latencies_us: Vec<u32>,
}

/// How one request ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `Err`: no answer, and why.
    pub status: Result<u16, String>,
    pub cold: Option<bool>,
    pub latency: Duration,
}

impl Tally {
    pub fn add(&mut self, answer: Answer) {
        match answer.status {
            Ok(..400) => self.ok += 1,
            Ok(429) => self.throttled += 1,
            Ok(status) => self.error(format!("status {status}")),
            Err(why) => self.error(why),
        }
        if let Some(cold) = answer.cold {
            self.cold_known += 1;
            self.cold += u64::from(cold);
        }
        self.latencies_us
            .push(u32::try_from(answer.latency.as_micros()).unwrap_or(u32::MAX));
    }

    fn error(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }

    pub fn answered(&self) -> u64 {
        self.ok + self.throttled + self.errors
    }

    /// A copy, with its latencies when they are not too many to be sorted while more come in.
    pub fn glance(&self, ended: bool) -> Tally {
        if ended || self.latencies_us.len() <= GLANCE_MAX {
            return self.clone();
        }
        Tally {
            latencies_us: self.latencies_us[self.latencies_us.len() - GLANCE_MAX..].to_vec(),
            first_error: self.first_error.clone(),
            ..*self
        }
    }

    /// The end result. `cost` is what everything that ran meanwhile would have cost.
    pub fn summary(mut self, target: &str, elapsed: Duration, cost: Option<f64>, cold_starts: &str) -> Summary {
        self.latencies_us.sort_unstable();
        let rank = |share: f64| -> Option<f64> {
            let last = self.latencies_us.len().checked_sub(1)?;
            // Nearest rank: the smallest value that this share of all does not exceed.
            let at = (share * self.latencies_us.len() as f64).ceil() as usize;
            Some(f64::from(self.latencies_us[at.saturating_sub(1).min(last)]) / 1e3)
        };
        Summary {
            target: target.to_owned(),
            elapsed_ms: elapsed.as_secs_f64() * 1e3,
            sent: self.sent,
            ok: self.ok,
            errors: self.errors,
            throttled: self.throttled,
            held_back: self.held_back,
            cold: self.cold,
            cold_share: (self.cold_known > 0).then(|| self.cold as f64 / self.cold_known as f64),
            latency_ms_p50: rank(0.5),
            latency_ms_p90: rank(0.9),
            latency_ms_p99: rank(0.99),
            latency_ms_max: rank(1.0),
            cost,
            cold_starts: cold_starts.to_owned(),
            first_error: self.first_error,
        }
    }
}

/// What `emu load --json` prints, and what GET `/_emu/load` tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub target: String,
    pub elapsed_ms: f64,
    pub sent: u64,
    pub ok: u64,
    pub errors: u64,
    pub throttled: u64,
    pub held_back: u64,
    pub cold: u64,
    pub cold_share: Option<f64>,
    pub latency_ms_p50: Option<f64>,
    pub latency_ms_p90: Option<f64>,
    pub latency_ms_p99: Option<f64>,
    pub latency_ms_max: Option<f64>,
    /// Dollars before the free tier.
    pub cost: Option<f64>,
    /// `report`, `sleep` or `off`.
    pub cold_starts: String,
    pub first_error: Option<String>,
}
