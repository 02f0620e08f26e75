//! Dialects, rates and the far future; properties over random schedules.

mod clock_changes;
mod errors;

use chrono::{DateTime, NaiveDateTime};

use super::*;

fn at(text: &str) -> Time {
    let parsed = DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Time::from_secs(u64::try_from(parsed.timestamp()).expect("after 1970"))
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, Some(zone)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The next fires after an instant, as the zone's clocks show them.
fn check(text: &str, zone: &str, after: &str, expect: &[&str]) {
    let schedule = schedule(text, zone);
    let found: Vec<String> = schedule
        .upcoming(at(after))
        .take(expect.len())
        .map(|time| schedule.format(time))
        .collect();
    assert_eq!(found, expect, "{text} in {zone} after {after}");
}

#[test]
fn five_and_six_fields() {
    let after = "2026-01-31T12:00:00Z";
    check(
        "* * * * *",
        "UTC",
        after,
        &["2026-01-31T12:01:00Z", "2026-01-31T12:02:00Z"],
    );
    check(
        "*/15 9-17 * * MON-FRI",
        "UTC",
        after,
        &["2026-02-02T09:00:00Z", "2026-02-02T09:15:00Z"],
    );
    check(
        "*/20 * * * * *",
        "UTC",
        after,
        &["2026-01-31T12:00:20Z", "2026-01-31T12:00:40Z", "2026-01-31T12:01:00Z"],
    );
    check("30 5 8 1 JAN *", "UTC", after, &["2027-01-01T08:05:30Z"]);
    check(
        "0 0 31 * *",
        "UTC",
        after,
        &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"],
    );
    check(
        "5/15 0 * * *",
        "UTC",
        after,
        &["2026-02-01T00:05:00Z", "2026-02-01T00:20:00Z", "2026-02-01T00:35:00Z"],
    );
    check("0 0 * * 7", "UTC", after, &["2026-02-01T00:00:00Z"]);
    check(
        "0 0 * * fri-mon",
        "UTC",
        after,
        &["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-06T00:00:00Z"],
    );
    check(
        "0 0 L * *",
        "UTC",
        after,
        &["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"],
    );
    check(
        "0 0 * * FRIL",
        "UTC",
        after,
        &["2026-02-27T00:00:00Z", "2026-03-27T00:00:00Z"],
    );
    check(
        "0 0 * * 1#2",
        "UTC",
        after,
        &["2026-02-09T00:00:00Z", "2026-03-09T00:00:00Z"],
    );
    check(
        "0 0 1W * *",
        "UTC",
        after,
        &["2026-02-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z"],
    );
    check("0 8 ? * 1", "UTC", after, &["2026-02-02T08:00:00Z"]);
}

/// Both days given: either will do; but a starred one narrows.
#[test]
fn day_of_month_and_day_of_week() {
    let after = "2026-01-01T00:00:00Z";
    check(
        "0 0 13 * 5",
        "UTC",
        after,
        &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"],
    );
    check(
        "0 0 */2 * 1",
        "UTC",
        after,
        &["2026-01-05T00:00:00Z", "2026-01-19T00:00:00Z", "2026-02-09T00:00:00Z"],
    );
}

#[test]
fn nicknames_rates_and_instants() {
    let after = "2026-01-31T12:30:00Z";
    check("@hourly", "UTC", after, &["2026-01-31T13:00:00Z"]);
    check("@daily", "Europe/Berlin", after, &["2026-02-01T00:00:00+01:00"]);
    check(
        "@weekly",
        "UTC",
        after,
        &["2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"],
    );
    check("@monthly", "UTC", after, &["2026-02-01T00:00:00Z"]);
    check("@yearly", "UTC", after, &["2027-01-01T00:00:00Z"]);
    check(
        "at(2026-02-01T08:00:00)",
        "America/New_York",
        after,
        &["2026-02-01T08:00:00-05:00"],
    );
    assert_eq!(schedule("at(2026-01-31T12:30:00)", "UTC").next_after(at(after)), None);

    for (text, seconds) in [
        ("rate(5 minutes)", 300),
        ("rate(1 minute)", 60),
        ("rate( 2 hours )", 7_200),
        ("rate(7 days)", 604_800),
        ("rate(30 seconds)", 30),
        ("@every 1h30m", 5_400),
    ] {
        let start = at(after);
        let rate = schedule(text, "UTC").counted_from(start);
        let period = Span::from_secs(seconds);
        assert_eq!(rate.next_after(start), Some(start + period), "{text}");
        assert_eq!(rate.next_after(start + period), Some(start + period + period), "{text}");
        assert_eq!(
            rate.next_after(start + Span(period.0 - 1)),
            Some(start + period),
            "{text}"
        );
        assert_eq!(rate.next_after(Time::ZERO), Some(start + period), "{text}");
    }
}

/// AWS's dialect: year last, `?` for one of the days, 1 = Sunday, L, W and #.
#[test]
fn aws_expressions() {
    let after = "2026-01-31T12:00:00Z";
    check("cron(0 10 * * ? *)", "UTC", after, &["2026-02-01T10:00:00Z"]);
    check(
        "cron(15 12 ? * SUN-MON *)",
        "UTC",
        after,
        &["2026-02-01T12:15:00Z", "2026-02-02T12:15:00Z"],
    );
    check("cron(0 18 ? * MON-FRI *)", "UTC", after, &["2026-02-02T18:00:00Z"]);
    check(
        "cron(0 18 ? * 1 *)",
        "UTC",
        after,
        &["2026-02-01T18:00:00Z", "2026-02-08T18:00:00Z"],
    );
    check(
        "cron(0 8 1 * ? *)",
        "UTC",
        after,
        &["2026-02-01T08:00:00Z", "2026-03-01T08:00:00Z"],
    );
    check(
        "cron(0/10 * ? * 2-6 *)",
        "UTC",
        after,
        &["2026-02-02T00:00:00Z", "2026-02-02T00:10:00Z"],
    );
    check("cron(0 0 L * ? *)", "UTC", after, &["2026-02-28T00:00:00Z"]);
    check("cron(0 9 ? * 6L *)", "UTC", after, &["2026-02-27T09:00:00Z"]);
    check("cron(0 9 ? * L *)", "UTC", after, &["2026-02-07T09:00:00Z"]);
    check("cron(0 9 ? * 5#3 *)", "UTC", after, &["2026-02-19T09:00:00Z"]);
    check(
        "cron(0 9 15W * ? *)",
        "UTC",
        after,
        &["2026-02-16T09:00:00Z", "2026-03-16T09:00:00Z"],
    );
    check(
        "cron(0 9 1 1 ? 2030-2031)",
        "UTC",
        after,
        &["2030-01-01T09:00:00Z", "2031-01-01T09:00:00Z"],
    );
    check("CRON(0 9 1 JAN ? *)", "UTC", after, &["2027-01-01T09:00:00Z"]);
    let past = schedule("cron(0 0 1 1 ? 2020)", "UTC");
    assert_eq!(past.next_after(at(after)), None);
}

#[test]
fn cloudflare_counts_weekdays_from_one() {
    let options = Options {
        weekday_one_is_sunday: true,
    };
    let monday = Schedule::parse_with("0 8 * * 2", None, options).expect("valid");
    assert_eq!(
        monday.next_after(at("2026-01-31T12:00:00Z")),
        Some(at("2026-02-02T08:00:00Z"))
    );
    let named = Schedule::parse_with("0 8 * * MON-FRI", None, options).expect("valid");
    assert_eq!(
        named.next_after(at("2026-01-31T12:00:00Z")),
        Some(at("2026-02-02T08:00:00Z"))
    );
    let zero = Schedule::parse_with("0 8 * * 0", None, options).expect_err("no day zero");
    assert_eq!(zero.message, "the day of week `0` is outside 1 to 7");
    assert_ne!(monday, schedule("0 8 * * 2", "UTC"));
}

#[test]
fn leap_days_and_the_far_future() {
    check(
        "0 0 29 2 *",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    );
    check("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    let leap = schedule("0 0 29 2 *", "UTC");
    assert_eq!(leap.next_after(Time::NEVER), None);
    assert_eq!(leap.next_after(at("2554-01-01T00:00:00Z")), None);
    assert_eq!(schedule("* * * * *", "Europe/Berlin").next_after(Time::NEVER), None);
    assert_eq!(schedule("rate(1 day)", "UTC").next_after(Time::NEVER), None);
}

/// A fraction of a second does not leak into the next fire.
#[test]
fn fires_fall_on_whole_seconds() {
    let after = Time(at("2026-01-31T12:00:00Z").0 + 1);
    assert_eq!(
        schedule("* * * * * *", "UTC").next_after(after),
        Some(at("2026-01-31T12:00:01Z"))
    );
    let just_before = Time(at("2026-01-31T12:01:00Z").0 - 1);
    assert_eq!(
        schedule("* * * * *", "UTC").next_after(just_before),
        Some(at("2026-01-31T12:01:00Z"))
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is typed, an error or a schedule comes out, and its next fire lies ahead.
        #[test]
        fn no_text_breaks_the_reader(text in "[0-9*/,?LW#a-zA-Z@() -]{0,40}", seconds in 0u64..4_000_000_000) {
            match Schedule::parse(&text, Some("Europe/Berlin")) {
                Ok(schedule) => {
                    let after = Time::from_secs(seconds);
                    if let Some(next) = schedule.next_after(after) {
                        prop_assert!(next > after);
                    }
                }
                Err(error) => {
                    prop_assert!(error.at.is_some_and(|at| text.get(at).is_some()));
                    prop_assert!(!error.remedy.is_empty());
                }
            }
        }

        /// Fires come in order, without end, and asking from any instant in between gives the same ones.
        #[test]
        fn fires_are_in_order(
            minute in 0u8..60, hour in 0u8..24, step in 2u8..12, start in 1_400_000_000u64..2_000_000_000, part in 0.0f64..1.0,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        ) {
            for text in [format!("{minute} {hour} * * *"), format!("*/{step} * * * *"), format!("{minute} */{step} * * *")] {
                let schedule = super::schedule(&text, zone);
                let fires: Vec<Time> = schedule.upcoming(Time::from_secs(start)).take(20).collect();
                prop_assert_eq!(fires.len(), 20);
                prop_assert!(fires.windows(2).all(|pair| pair[0] < pair[1]));
                let gap = fires[11].since(fires[10]).as_nanos();
                let between = fires[10] + Span((gap as f64 * part) as u64);
                prop_assert_eq!(schedule.next_after(between), Some(fires[11]));
            }
        }
    }
}
