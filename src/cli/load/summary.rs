//! A load in words, while it runs and at its end.

use std::time::Duration;

use crate::live::load::{Summary, Tally};
use crate::report::number::{count, dollars, millis, percent};
use crate::report::sanitize::line;

/// One line while it runs.
pub fn progress(tally: &Tally, elapsed: Duration) -> String {
    format!(
        "{:>4.0} s  {} sent  {} ok  {} errors  {} throttled  {} cold  {} under way",
        elapsed.as_secs_f64(),
        count(tally.sent),
        count(tally.ok),
        count(tally.errors),
        count(tally.throttled),
        count(tally.cold),
        count(tally.sent - tally.answered().min(tally.sent)),
    )
}

/// A row a figure, then what the cold share is worth.
pub fn text(summary: &Summary) -> String {
    let mut rows = counts(summary);
    rows.push(("latency", latency(summary)));
    if let Some(cost) = summary.cost {
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
    rows + caveat(summary)
}

fn counts(summary: &Summary) -> Vec<(&'static str, String)> {
    let answered = (summary.ok + summary.errors + summary.throttled) as f64;
    let with_share = |n: u64| match n {
        0 => count(n),
        n => format!("{}  {}", count(n), percent(n as f64 / answered)),
    };
    let rate = summary.sent as f64 / (summary.elapsed_ms / 1e3).max(1e-3);
    let took = millis(summary.elapsed_ms);
    let first = summary.first_error.as_ref();
    let first = first.map_or_else(String::new, |error| format!("  (first: {})", line(error)));
    let mut rows = vec![
        ("target", line(&summary.target).into_owned()),
        ("sent", format!("{} in {took}, {rate:.1} a second", count(summary.sent))),
        ("ok", with_share(summary.ok)),
        ("errors", format!("{}{first}", with_share(summary.errors))),
        ("throttled", with_share(summary.throttled)),
    ];
    if summary.held_back > 0 {
        let held_back = count(summary.held_back);
        rows.push((
            "held back",
            format!("{held_back} were due while --concurrency was used up"),
        ));
    }
    if let Some(cold_share) = summary.cold_share {
        rows.push((
            "cold starts",
            format!("{}  {}", count(summary.cold), percent(cold_share)),
        ));
    }
    rows
}

fn latency(summary: &Summary) -> String {
    let latencies = [
        ("p50", summary.latency_ms_p50),
        ("p90", summary.latency_ms_p90),
        ("p99", summary.latency_ms_p99),
        ("max", summary.latency_ms_max),
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
fn caveat(summary: &Summary) -> &'static str {
    match summary.cold_starts.as_str() {
        "report" => {
            "\nModelled cold starts are reported and billed, not slept: an instance is ready as soon as it really is, so\n\
             fewer instances start than at the provider, and the cold share above is a lower bound. `emu dev\n\
             --cold-starts sleep` waits for them.\n"
        }
        "off" => "\nCold starts are not modelled (--cold-starts off): the bill and the latencies have none.\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::load::Answer;

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
        assert_eq!(text(&summary), expect);
    }

    #[test]
    fn nothing_sent_is_no_division_by_zero() {
        let summary = Tally::default().summary("x", Duration::ZERO, None, "sleep");
        assert_eq!(
            text(&summary),
            "target      x\nsent        0 in 0.00 ms, 0.0 a second\nok          0\nerrors      0\nthrottled   0\nlatency     -\n"
        );
    }
}
