//! What a wrong schedule is told.

use super::*;

/// Text, the part that the error points at, words of the message.
const WRONG: &[(&str, &str, &str)] = &[
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
];

#[test]
fn errors_name_the_field_the_place_and_the_remedy() {
    for (text, marked, complaint) in WRONG {
        let error = Schedule::parse(text, None).expect_err(text);
        assert!(error.to_string().contains(complaint), "{text}: {error}");
        let at = error.at.unwrap_or_else(|| panic!("{text}: no place"));
        assert_eq!(text.get(at), Some(*marked), "{text}");
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
