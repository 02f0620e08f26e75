//! Reads schedules in all their dialects.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};

use super::fields::{Field, Piece, Read, Weekdays};
use super::{Kind, Options, ScheduleError, from_seconds};
use crate::platform::time::{Span, Time};
use crate::platform::units::parse_span;

pub(super) fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
    if let Ok(zone) = name.parse::<Tz>() {
        return Ok(zone);
    }
    let wanted = name.to_ascii_lowercase();
    let last_part = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).to_ascii_lowercase();
    let likeness = |zone: &str| {
        if zone.eq_ignore_ascii_case(name) {
            return 2.0;
        }
        let whole = strsim::jaro_winkler(&wanted, &zone.to_ascii_lowercase());
        whole.max(strsim::jaro_winkler(&last_part(&wanted), &last_part(zone)))
    };
    let mut best = (0.0, "UTC");
    for zone in TZ_VARIANTS {
        let score = likeness(zone.name());
        if score > best.0 {
            best = (score, zone.name());
        }
    }
    Err(ScheduleError {
        message: format!("no time zone is called `{name}`"),
        remedy: format!("did you mean `{}`? zones have IANA names like `Europe/Berlin`", best.1),
        at: None,
    })
}

pub(super) fn parse_kind(text: Piece<'_>, zone: Tz, options: Options) -> Result<Kind, ScheduleError> {
    if let Some(inner) = call(text, "rate")? {
        return parse_rate(inner);
    }
    if let Some(inner) = call(text, "cron")? {
        return parse_aws(inner);
    }
    if let Some(inner) = call(text, "at")? {
        return parse_at(inner, zone);
    }
    if text.text.starts_with('@') {
        return parse_nickname(text);
    }
    parse_plain(text, options)
}

/// `name(inner)`: the inner text.
fn call<'a>(text: Piece<'a>, name: &str) -> Result<Option<Piece<'a>>, ScheduleError> {
    let Some(open) = text.text.find('(') else {
        return Ok(None);
    };
    if !text.text[..open].trim_end().eq_ignore_ascii_case(name) {
        return Ok(None);
    }
    let Some(inner) = text.text[open + 1..].strip_suffix(')') else {
        return Err(error(
            text,
            format!("`{name}(` is not closed"),
            String::from("add `)` at the end"),
        ));
    };
    Ok(Some(Piece {
        text: inner,
        at: text.at + open + 1,
    }))
}

fn parse_rate(inner: Piece<'_>) -> Result<Kind, ScheduleError> {
    let malformed = || {
        error(
            inner,
            format!("`rate({})` is no rate", inner.text),
            String::from("write a number and a unit, like `rate(5 minutes)`, `rate(1 hour)` or `rate(7 days)`"),
        )
    };
    let mut words = inner.text.split_whitespace();
    let (Some(number), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err(malformed());
    };
    let seconds: u64 = match unit.to_ascii_lowercase().as_str() {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return Err(malformed()),
    };
    let number: u64 = number.parse().map_err(|_| malformed())?;
    rate(inner, number.saturating_mul(seconds).saturating_mul(1_000_000_000))
}

fn rate(text: Piece<'_>, ns: u64) -> Result<Kind, ScheduleError> {
    const CENTURY_NS: u64 = 100 * 366 * 86_400 * 1_000_000_000;
    if !(1_000_000_000..=CENTURY_NS).contains(&ns) {
        return Err(error(
            text,
            format!("a rate of `{}` is out of bounds", text.text),
            String::from("a rate lies between a second and a century"),
        ));
    }
    Ok(Kind::Rate {
        period: Span(ns),
        from: Time::ZERO,
    })
}

fn parse_at(inner: Piece<'_>, zone: Tz) -> Result<Kind, ScheduleError> {
    let local = NaiveDateTime::parse_from_str(inner.text.trim(), "%Y-%m-%dT%H:%M:%S").map_err(|_| {
        error(
            inner,
            format!("`at({})` is no date and time", inner.text),
            String::from("write it like `at(2026-12-31T18:00:00)`"),
        )
    })?;
    let at = zone
        .from_local_datetime(&local)
        .earliest()
        .and_then(|at| from_seconds(at.timestamp()));
    at.map(Kind::At).ok_or_else(|| {
        error(
            inner,
            format!("{local} does not exist in {}", zone.name()),
            String::from("the clocks skip it, or it lies outside 1970 to 2554; choose another time"),
        )
    })
}

fn parse_nickname(text: Piece<'_>) -> Result<Kind, ScheduleError> {
    let lower = text.text.to_ascii_lowercase();
    if let Some(every) = lower.strip_prefix("@every ") {
        let span = parse_span(every).map_err(|fault| {
            error(
                text,
                format!("`{}` holds {fault}", text.text),
                String::from("write it like `@every 5m` or `rate(5 minutes)`"),
            )
        })?;
        return rate(text, span.as_nanos());
    }
    let plain = match lower.as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            return Err(error(
                text,
                format!("no schedule is called `{}`", text.text),
                String::from("there are @hourly, @daily, @weekly, @monthly and @yearly; `emu fire NAME` fires one now"),
            ));
        }
    };
    parse_plain(
        Piece {
            text: plain,
            at: text.at,
        },
        Options::default(),
    )
}

/// Five fields, or six with the seconds first.
fn parse_plain(text: Piece<'_>, options: Options) -> Result<Kind, ScheduleError> {
    let pieces = words(text);
    let weekdays = if options.weekday_one_is_sunday {
        Weekdays::FromOne
    } else {
        Weekdays::FromZero
    };
    let zero = Piece { text: "0", at: text.at };
    let six: [Piece<'_>; 6] = match pieces.as_slice() {
        [zoned, ..] if zoned.text.contains('=') => {
            return Err(error(
                *zoned,
                format!("`{}` does not belong into the schedule", zoned.text),
                String::from("set `timezone = \"...\"` beside it"),
            ));
        }
        &[minute, hour, day, month, weekday] => [zero, minute, hour, day, month, weekday],
        &[second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday],
        [] => {
            return Err(error(
                text,
                String::from("the schedule is empty"),
                String::from("write five fields (minute, hour, day of month, month, day of week), like `0 8 * * 1-5`"),
            ));
        }
        other => {
            return Err(error(
                text,
                format!("a schedule of {} fields cannot be read", other.len()),
                String::from(
                    "write five (minute, hour, day of month, month, day of week), six with the seconds first, `rate(5 minutes)`, or \
                     `cron(...)` for AWS's form with a year",
                ),
            ));
        }
    };
    let [second, minute, hour, day, month, weekday] = six;
    calendar(
        text,
        Calendar {
            second: Field::Second.read(second)?,
            minute: Field::Minute.read(minute)?,
            hour: Field::Hour.read(hour)?,
            day: Field::DayOfMonth.read(day)?,
            month: Field::Month.read(month)?,
            weekday: Field::DayOfWeek(weekdays).read(weekday)?,
            year: None,
        },
    )
}

/// AWS's six fields: minute, hour, day of month, month, day of week, year; one of the days is `?`.
fn parse_aws(inner: Piece<'_>) -> Result<Kind, ScheduleError> {
    let pieces = words(inner);
    let &[minute, hour, day, month, weekday, year] = pieces.as_slice() else {
        return Err(error(
            inner,
            format!("`cron(...)` has {} fields rather than six", pieces.len()),
            String::from(
                "write minute, hour, day of month, month, day of week and year, like `cron(0 8 ? * MON-FRI *)`",
            ),
        ));
    };
    let read_day = Field::DayOfMonth.read(day)?;
    let read_weekday = Field::DayOfWeek(Weekdays::FromOne).read(weekday)?;
    if read_day.question == read_weekday.question {
        let (message, at) = if read_day.question {
            ("`?` stands for both the day of month and the day of week", weekday)
        } else {
            ("neither the day of month nor the day of week is `?`", weekday)
        };
        return Err(error(
            at,
            String::from(message),
            String::from("write `?` for exactly one of them, like `cron(0 8 * * ? *)`"),
        ));
    }
    calendar(
        inner,
        Calendar {
            second: Field::Second.read(Piece {
                text: "0",
                at: inner.at,
            })?,
            minute: Field::Minute.read(minute)?,
            hour: Field::Hour.read(hour)?,
            day: read_day,
            month: Field::Month.read(month)?,
            weekday: read_weekday,
            year: Some(Field::Year.read(year)?),
        },
    )
}

struct Calendar {
    second: Read,
    minute: Read,
    hour: Read,
    day: Read,
    month: Read,
    weekday: Read,
    year: Option<Read>,
}

fn calendar(text: Piece<'_>, fields: Calendar) -> Result<Kind, ScheduleError> {
    if fields.weekday.pattern == "*" && !can_come(&fields.day, &fields.month) {
        return Err(never(text));
    }
    // Both days given: either will do, as cron has always had it, unless one of them begins with a star.
    let both = fields.day.pattern != "*" && fields.weekday.pattern != "*";
    let and = if both && (fields.day.from_star || fields.weekday.from_star) {
        "+"
    } else {
        ""
    };
    let pattern = format!(
        "{} {} {} {} {} {and}{} {}",
        fields.second.pattern,
        fields.minute.pattern,
        fields.hour.pattern,
        fields.day.pattern,
        fields.month.pattern,
        fields.weekday.pattern,
        fields.year.as_ref().map_or("*", |year| year.pattern.as_str()),
    );
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .build();
    let cron = parser.parse(&pattern).map_err(|reason| {
        error(
            text,
            format!("`{}` cannot be read ({reason})", text.text),
            String::from("write five fields like `0 8 * * 1-5`"),
        )
    })?;
    Ok(Kind::Calendar {
        cron: Arc::new(cron),
        every_hour: fields.hour.values.len() == 24,
    })
}

/// Whether some month of the list has one of these days; February counts with its leap day.
fn can_come(day: &Read, month: &Read) -> bool {
    const LENGTHS: [u16; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let first = match day.values.first() {
        Some(first) if !day.special => *first,
        _ => return true,
    };
    month
        .values
        .iter()
        .any(|month| LENGTHS[usize::from(*month - 1) % 12] >= first)
}

fn words(text: Piece<'_>) -> Vec<Piece<'_>> {
    text.text
        .split_whitespace()
        .map(|word| Piece {
            text: word,
            at: text.at + (word.as_ptr() as usize - text.text.as_ptr() as usize),
        })
        .collect()
}

pub(super) fn never(text: Piece<'_>) -> ScheduleError {
    error(
        text,
        format!("`{}` never fires", text.text),
        String::from("no such date comes; check the day of month against the month"),
    )
}

fn error(text: Piece<'_>, message: String, remedy: String) -> ScheduleError {
    ScheduleError {
        message,
        remedy,
        at: Some(text.span()),
    }
}
