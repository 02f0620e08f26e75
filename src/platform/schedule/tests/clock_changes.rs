//! What happens when the clocks change.

use super::*;

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
