//! What a load came to: counts, latencies, and what they mean.

use std::time::Duration;

use serde::Serialize;

use crate::report::number::{count, dollars, millis, percent};
use crate::report::sanitize::line;

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

    fn answered(&self) -> u64 {
        self.ok + self.throttled + self.errors
    }

    /// One line while it runs.
    pub fn progress(&self, elapsed: Duration) -> String {
        format!(
            "{:>4.0} s  {} sent  {} ok  {} errors  {} throttled  {} cold  {} under way",
            elapsed.as_secs_f64(),
            count(self.sent),
            count(self.ok),
            count(self.errors),
            count(self.throttled),
            count(self.cold),
            count(self.sent - self.answered().min(self.sent)),
        )
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

/// What `emu load --json` prints.
#[derive(Clone, Debug, Serialize)]
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

impl Summary {
    /// A row a figure, then what the cold share is worth.
    pub fn text(&self) -> String {
        let mut rows = self.counts();
        rows.push(("latency", self.latency()));
        if let Some(cost) = self.cost {
            let cost = dollars(cost);
            rows.push((
                "cost",
                format!("{cost} before the free tier, for all that ran meanwhile"),
            ));
        }
        let rows: String = rows
            .iter()
            .map(|(name, value)| format!("{name:<12}{value}\n"))
            .collect();
        rows + self.caveat()
    }

    fn counts(&self) -> Vec<(&'static str, String)> {
        let answered = (self.ok + self.errors + self.throttled) as f64;
        let with_share = |n: u64| match n {
            0 => count(n),
            n => format!("{}  {}", count(n), percent(n as f64 / answered)),
        };
        let rate = self.sent as f64 / (self.elapsed_ms / 1e3).max(1e-3);
        let took = millis(self.elapsed_ms);
        let first = self.first_error.as_ref();
        let first = first.map_or_else(String::new, |error| format!("  (first: {})", line(error)));
        let mut rows = vec![
            ("target", line(&self.target).into_owned()),
            ("sent", format!("{} in {took}, {rate:.1} a second", count(self.sent))),
            ("ok", with_share(self.ok)),
            ("errors", format!("{}{first}", with_share(self.errors))),
            ("throttled", with_share(self.throttled)),
        ];
        if self.held_back > 0 {
            let held_back = count(self.held_back);
            rows.push((
                "held back",
                format!("{held_back} were due while --concurrency was used up"),
            ));
        }
        if let Some(cold_share) = self.cold_share {
            rows.push(("cold starts", format!("{}  {}", count(self.cold), percent(cold_share))));
        }
        rows
    }

    fn latency(&self) -> String {
        let latencies = [
            ("p50", self.latency_ms_p50),
            ("p90", self.latency_ms_p90),
            ("p99", self.latency_ms_p99),
            ("max", self.latency_ms_max),
        ];
        let known = latencies
            .into_iter()
            .filter_map(|(name, ms)| Some(format!("{name} {}", millis(ms?))));
        match known.collect::<Vec<_>>().join("  ") {
            none if none.is_empty() => "-".to_owned(),
            known => known,
        }
    }

    /// What the cold share is worth.
    fn caveat(&self) -> &'static str {
        match self.cold_starts.as_str() {
            "report" => {
                "\nModelled cold starts are reported and billed, not slept: an instance is ready as soon as it really is, so\n\
                 fewer instances start than at the provider, and the cold share above is a lower bound. `emu dev\n\
                 --cold-starts sleep` waits for them.\n"
            }
            "off" => "\nCold starts are not modelled (--cold-starts off): the bill and the latencies have none.\n",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, ms: u64, cold: bool) -> Answer {
        Answer {
            status: Ok(status),
            cold: Some(cold),
            latency: Duration::from_millis(ms),
        }
    }

    #[test]
    fn a_load_in_figures_and_words() {
        let mut tally = Tally::default();
        for ms in 1..=97 {
            tally.add(answer(200, ms, ms <= 10));
        }
        tally.add(answer(429, 200, false));
        tally.add(answer(502, 300, false));
        tally.add(Answer {
            status: Err("connection refused".to_owned()),
            cold: None,
            latency: Duration::from_millis(400),
        });
        tally.sent = 100;
        tally.held_back = 3;
        let summary = tally.summary(
            "GET http://127.0.0.1:3680/api",
            Duration::from_secs(2),
            Some(0.0000412),
            "report",
        );
        let expect = "\
target      GET http://127.0.0.1:3680/api
sent        100 in 2.00 s, 50.0 a second
ok          97  97.0%
errors      2  2.0%  (first: status 502)
throttled   1  1.0%
held back   3 were due while --concurrency was used up
cold starts 10  10.1%
latency     p50 50.0 ms  p90 90.0 ms  p99 300 ms  max 400 ms
cost        $0.000041 before the free tier, for all that ran meanwhile

Modelled cold starts are reported and billed, not slept: an instance is ready as soon as it really is, so
fewer instances start than at the provider, and the cold share above is a lower bound. `emu dev
--cold-starts sleep` waits for them.
";
        assert_eq!(summary.text(), expect);
    }

    #[test]
    fn nothing_sent_is_no_division_by_zero() {
        let summary = Tally::default().summary("x", Duration::ZERO, None, "sleep");
        assert_eq!(
            summary.text(),
            "target      x\nsent        0 in 0.00 ms, 0.0 a second\nok          0\nerrors      0\nthrottled   0\nlatency     -\n"
        );
    }
}
