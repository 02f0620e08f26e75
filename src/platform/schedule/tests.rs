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
fn a_skipped_local_time_is_skipped() {
    // Clocks go from 2:00 to 3:00.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00Z",
        &["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"],
    );
    check(
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T12:00:00Z",
        &["2026-03-09T02:30:00-04:00"],
    );
    // Half an hour, from 2:00 to 2:30.
    check(
        "0,15,30,45 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T12:00:00Z",
        &[
            "2026-10-04T02:30:00+11:00",
            "2026-10-04T02:45:00+11:00",
            "2026-10-05T02:00:00+11:00",
        ],
    );
    // At midnight: the whole first hour of the day is missing.
    check(
        "0 0 * * *",
        "America/Sao_Paulo",
        "2018-11-03T12:00:00Z",
        &["2018-11-05T00:00:00-02:00"],
    );
    check(
        "30 0 4 11 *",
        "America/Sao_Paulo",
        "2018-01-01T00:00:00Z",
        &["2019-11-04T00:30:00-03:00"],
    );
    // A day that an island skipped.
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"],
    );
    // In every hour: real time goes on without a hole.
    check(
        "30 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:00:00Z",
        &[
            "2026-03-29T01:30:00+01:00",
            "2026-03-29T03:30:00+02:00",
            "2026-03-29T04:30:00+02:00",
        ],
    );
}

#[test]
fn a_repeated_local_time_fires_once() {
    // Clocks go back from 3:00 to 2:00.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    );
    // Asked in between the two passes, and in the second one.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:45:00Z",
        &["2026-10-26T02:30:00+01:00"],
    );
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:10:00Z",
        &["2026-10-26T02:30:00+01:00"],
    );
    check(
        "0 1,2 * * *",
        "America/New_York",
        "2026-11-01T04:00:00Z",
        &[
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T02:00:00-05:00",
            "2026-11-02T01:00:00-05:00",
        ],
    );
    // Half an hour, from 2:00 to 1:30.
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    );
    // Midnight back to 23:00 of the day before.
    check(
        "30 23 * * *",
        "America/Sao_Paulo",
        "2018-02-17T12:00:00Z",
        &["2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"],
    );
}

#[test]
fn schedules_of_every_hour_go_on_through_a_repeated_one() {
    check(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ],
    );
    check(
        "0 * * * *",
        "Australia/Lord_Howe",
        "2026-04-04T13:30:00Z",
        &["2026-04-05T01:00:00+11:00", "2026-04-05T02:00:00+10:30"],
    );
    // The repeated hour belongs to the day before; the next match by the calendar alone is a week away.
    check(
        "5 * * * SAT",
        "America/Sao_Paulo",
        "2018-02-18T01:00:00Z",
        &[
            "2018-02-17T23:05:00-02:00",
            "2018-02-17T23:05:00-03:00",
            "2018-02-24T00:05:00-03:00",
        ],
    );
}

/// Against the definition: every second of a DST change, in zones of all kinds.
#[test]
fn every_minute_of_a_change_agrees_with_the_zone() {
    for (zone, around) in [
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ] {
        let tz: Tz = zone.parse().expect("a zone");
        let start = at(around).as_secs() - 4 * 3600;
        let local_of = |second: u64| {
            tz.timestamp_opt(i64::try_from(second).expect("small"), 0)
                .single()
                .expect("an instant")
                .naive_local()
        };
        let named = "7,22,37,52 0-22 * * *";
        let hourly = "7,22,37,52 * * * *";
        let is_match = |local: NaiveDateTime| [7, 22, 37, 52].contains(&(local.and_utc().timestamp() / 60 % 60));
        for (text, once) in [(named, true), (hourly, false)] {
            let mut seen: Vec<NaiveDateTime> = Vec::new();
            let mut expect = Vec::new();
            for minute in 0..8 * 60 {
                let second = start + minute * 60;
                let local = local_of(second);
                let in_hours = !once || local.and_utc().timestamp() / 3600 % 24 < 23;
                if !is_match(local) || !in_hours || (once && seen.contains(&local)) {
                    continue;
                }
                seen.push(local);
                expect.push(Time::from_secs(second));
            }
            let schedule = schedule(text, zone);
            for minute in 0..8 * 60 {
                let after = Time::from_secs(start + minute * 60);
                let wanted = expect.iter().find(|time| **time > after);
                let found = schedule.next_after(after);
                if let Some(wanted) = wanted {
                    assert_eq!(
                        found,
                        Some(*wanted),
                        "{text} in {zone} after {}",
                        schedule.format(after)
                    );
                }
            }
        }
    }
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

#[test]
fn errors_name_the_field_the_place_and_the_remedy() {
    for (text, marked, complaint) in [
        (
            "0 25 * * *",
            "25",
            "the hour `25` is outside 0 to 23; use 0 to 23, `*`, ranges like `8-18` or steps like `*/2`",
        ),
        ("60 * * * *", "60", "the minute `60` is outside 0 to 59"),
        ("0 0 0 * *", "0", "the day of month `0` is outside 1 to 31"),
        ("0 0 * 13 *", "13", "the month `13` is outside 1 to 12"),
        ("0 0 * * 8", "8", "the day of week `8` is outside 0 to 7"),
        ("0 0 * * MONDAY", "MONDAY", "`MONDAY` is no day of week; use 0 (Sunday)"),
        ("0 0 * JUNE *", "JUNE", "`JUNE` is no month; use 1 to 12 or JAN to DEC"),
        ("0 -1 * * *", "-1", "the hour `-1` is half a range; use 0 to 23"),
        (
            "0 18-8 * * *",
            "18-8",
            "the hour range `18-8` runs backwards; write it as two, `18-23,0-8`",
        ),
        ("*/0 * * * *", "0", "`0` is no step for the minute"),
        ("*/90 * * * *", "*/90", "for every 90 minutes write `rate(90 minutes)`"),
        (
            "1,,2 * * * *",
            "1,,2",
            "the minute `1,,2` has an empty place in its list; remove the extra comma",
        ),
        ("? * * * *", "?", "`?` cannot stand for the minute"),
        ("0 8 * * ? *", "?", "`?` cannot stand for the month"),
        (
            "* * * *",
            "* * * *",
            "a schedule of 4 fields cannot be read; write five",
        ),
        (
            "0 0 8 * * ? *",
            "0 0 8 * * ? *",
            "a schedule of 7 fields cannot be read",
        ),
        ("", "", "the schedule is empty; write five fields"),
        (
            "0 0 30 2 *",
            "0 0 30 2 *",
            "`0 0 30 2 *` never fires; no such date comes",
        ),
        ("0 0 31 4,6,9,11 ?", "0 0 31 4,6,9,11 ?", "never fires"),
        ("0 0 * * L", "L", "write `5L` or `FRIL`"),
        ("0 0 * * FRI#6", "6", "`6` is no week of a month; `#` goes from 1 to 5"),
        (
            "0 0 LW * *",
            "LW",
            "the last weekday of a month (`LW`) is not supported",
        ),
        ("0 0 99W * *", "99", "the day of month `99` is outside 1 to 31"),
        (
            "CRON_TZ=Asia/Tokyo 0 8 * * *",
            "CRON_TZ=Asia/Tokyo",
            "set `timezone = \"...\"` beside it",
        ),
        (
            "@reboot",
            "@reboot",
            "no schedule is called `@reboot`; there are @hourly",
        ),
        ("rate(5 parsecs)", "5 parsecs", "is no rate; write a number and a unit"),
        (
            "rate(0 minutes)",
            "0 minutes",
            "a rate lies between a second and a century",
        ),
        (
            "rate(5 minutes",
            "rate(5 minutes",
            "`rate(` is not closed; add `)` at the end",
        ),
        (
            "cron(0 8 * * *)",
            "0 8 * * *",
            "`cron(...)` has 5 fields rather than six",
        ),
        (
            "cron(0 8 * * * *)",
            "*",
            "neither the day of month nor the day of week is `?`",
        ),
        (
            "cron(0 8 ? * ? *)",
            "?",
            "`?` stands for both the day of month and the day of week",
        ),
        (
            "cron(0 8 ? * 0 *)",
            "0",
            "the day of week `0` is outside 1 to 7; use 1 (Sunday)",
        ),
        ("at(tomorrow)", "tomorrow", "write it like `at(2026-12-31T18:00:00)`"),
        ("  0 25 * * *", "25", "the hour `25`"),
        ("0 0 29 2 ١", "١", "is no day of week"),
    ] {
        let error = Schedule::parse(text, None).expect_err(text);
        assert!(error.to_string().contains(complaint), "{text}: {error}");
        let at = error.at.unwrap_or_else(|| panic!("{text}: no place"));
        assert_eq!(text.get(at), Some(marked), "{text}");
    }
    let skipped = Schedule::parse("at(2026-03-29T02:30:00)", Some("Europe/Berlin")).expect_err("skipped");
    assert!(
        skipped.to_string().contains("does not exist in Europe/Berlin"),
        "{skipped}"
    );
    for (zone, nearest) in [
        ("Europe/Berln", "Europe/Berlin"),
        ("Sao_Paulo", "America/Sao_Paulo"),
        ("america/new_york", "America/New_York"),
        ("utc", "UTC"),
    ] {
        let error = Schedule::parse("* * * * *", Some(zone)).expect_err(zone);
        assert!(
            error.remedy.contains(&format!("did you mean `{nearest}`?")),
            "{zone}: {error}"
        );
        assert_eq!(error.at, None);
    }
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
