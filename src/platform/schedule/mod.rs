//! Next fire of a schedule in its time zone.
//!
//! Croner searches the calendar; it is handed local times without a zone and so never sees a change of the clocks.
//! What such a change means is decided here, because Croner 3 moves a skipped time to the end of the gap and lets
//! `0 1,2 * * *` fire twice when an hour repeats:
//!
//! - A local time that is skipped does not fire.
//! - A local time that is repeated fires once, at its first pass, when the schedule names its hours; a schedule that
//!   goes on in every hour (`*/10 * * * *`) goes on through the repeated one.
//! - `rate(...)` counts real time and sees no zone.

mod fields;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Offset, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::time::{Span, Time};
use super::units::parse_span;
use fields::{Field, Piece, Read, Weekdays};

/// A parsed schedule: five- or six-field cron, `rate(...)`, `at(...)` or AWS's `cron(...)`, with its zone.
///
/// Two are equal when text, zone and dialect are, whatever a rate counts from.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As written.
    text: Arc<str>,
    zone: Tz,
    options: Options,
    kind: Kind,
}

/// How the project's provider reads plain expressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Weekdays count 1 to 7 from Sunday (Cloudflare) rather than 0 to 6. `cron(...)` always does.
    pub weekday_one_is_sunday: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Calendar {
        cron: Arc<Cron>,
        /// Every hour of the day is in it, so that a repeated hour is no repetition to it.
        every_hour: bool,
    },
    Rate {
        period: Span,
        from: Time,
    },
    At(Time),
}

/// Why a schedule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct ScheduleError {
    /// Names the field.
    pub message: String,
    pub remedy: String,
    /// The bytes of the text that it is about; `None`: it is about the time zone.
    pub at: Option<Range<usize>>,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text && self.zone == other.zone && self.options == other.options
    }
}

impl Schedule {
    /// Reads a schedule; the zone is an IANA name, UTC by default.
    ///
    /// # Errors
    /// Names the field, the place in the text and what to write instead. A date that never comes is an error too.
    pub fn parse(text: &str, timezone: Option<&str>) -> Result<Schedule, ScheduleError> {
        Schedule::parse_with(text, timezone, Options::default())
    }

    /// The same for a provider with ways of its own.
    pub fn parse_with(text: &str, timezone: Option<&str>, options: Options) -> Result<Schedule, ScheduleError> {
        let zone = timezone.map_or(Ok(Tz::UTC), parse_zone)?;
        let trimmed = Piece {
            text: text.trim(),
            at: text.len() - text.trim_start().len(),
        };
        let schedule = Schedule {
            text: Arc::from(text),
            zone,
            options,
            kind: parse_kind(trimmed, zone, options)?,
        };
        if matches!(schedule.kind, Kind::Calendar { .. }) && schedule.next_after(Time::ZERO).is_none() {
            return Err(never(trimmed));
        }
        Ok(schedule)
    }

    /// Counts a rate from this instant: it fires one period later, and so on. Others stay as they are.
    #[must_use]
    pub fn counted_from(mut self, now: Time) -> Schedule {
        if let Kind::Rate { from, .. } = &mut self.kind {
            *from = now;
        }
        self
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone's IANA name.
    pub fn timezone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first instant after this one at which it fires; `None`: never again.
    pub fn next_after(&self, after: Time) -> Option<Time> {
        match &self.kind {
            Kind::Rate { period, from } => {
                if after < *from {
                    return Some(*from + *period);
                }
                let periods = after.since(*from).as_nanos() / period.as_nanos();
                let next = period.as_nanos().checked_mul(periods + 1)?;
                from.0.checked_add(next).map(Time)
            }
            Kind::At(at) => (*at > after).then_some(*at),
            Kind::Calendar { cron, every_hour } => {
                let after = i64::try_from(after.as_secs()).ok()?;
                let next = if *every_hour {
                    next_in_real_time(cron, self.zone, after)
                } else {
                    next_on_the_wall(cron, self.zone, after)
                };
                next.and_then(from_seconds)
            }
        }
    }

    /// All instants after this one, in order.
    pub fn upcoming(&self, after: Time) -> impl Iterator<Item = Time> + '_ {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
    }

    /// An instant as the zone's clocks show it: `2026-03-29T03:00:00+02:00`.
    pub fn format(&self, at: Time) -> String {
        let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        match self.zone.timestamp_opt(seconds, 0).single() {
            Some(local) => local.to_rfc3339_opts(SecondsFormat::Secs, true),
            None => String::from("never"),
        }
    }
}

/// For schedules that name their hours: each local time once, at its first pass; skipped ones not at all.
fn next_on_the_wall(cron: &Cron, zone: Tz, after: i64) -> Option<i64> {
    let mut local = local_time(zone, after)?;
    // In the second pass of a repeated hour, or within a gap, some candidates lie behind; a day of seconds bounds them.
    for _ in 0..100_000 {
        local = next_local(cron, local, false)?;
        if let Some(at) = zone.from_local_datetime(&local).earliest()
            && at.timestamp() > after
        {
            return Some(at.timestamp());
        }
    }
    None
}

/// For schedules that go on in every hour: wherever the local clock matches, also when it shows the same hour again.
fn next_in_real_time(cron: &Cron, zone: Tz, after: i64) -> Option<i64> {
    let (mut from, mut inclusive) = (after, false);
    // Each round ends at a candidate or at a change of the offset before it.
    for _ in 0..10_000 {
        let offset = offset_at(zone, from)?;
        let local = local_time(zone, from)?;
        let next = next_local(cron, local, inclusive)?;
        let candidate = next.and_utc().timestamp() - offset;
        match first_change(zone, from, candidate)? {
            None => return Some(candidate),
            Some(change) => (from, inclusive) = (change, true),
        }
    }
    None
}

/// The first second after `from`, up to `to`, with another offset. Looks once a week in between: no zone changes twice in
/// less.
fn first_change(zone: Tz, from: i64, to: i64) -> Option<Option<i64>> {
    const WEEK: i64 = 7 * 86_400;
    let offset = offset_at(zone, from)?;
    let mut before = from;
    while before < to {
        // The first look is a short one: an hour that repeats begins soon after.
        let look = if before == from {
            (from + 3 * 3600).min(to)
        } else {
            (before + WEEK).min(to)
        };
        if offset_at(zone, look)? != offset {
            let (mut same, mut changed) = (before, look);
            while changed - same > 1 {
                let middle = same + (changed - same) / 2;
                if offset_at(zone, middle)? == offset {
                    same = middle
                } else {
                    changed = middle
                }
            }
            return Some(Some(changed));
        }
        before = look;
    }
    Some(None)
}

/// The calendar search proper: local times dressed up as UTC, where no clock ever changes.
fn next_local(cron: &Cron, local: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    cron.find_next_occurrence(&local.and_utc(), inclusive)
        .ok()
        .map(|at| at.naive_utc())
}

fn offset_at(zone: Tz, seconds: i64) -> Option<i64> {
    let utc = DateTime::<Utc>::from_timestamp(seconds, 0)?.naive_utc();
    Some(i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()))
}

fn local_time(zone: Tz, seconds: i64) -> Option<NaiveDateTime> {
    let offset = TimeDelta::try_seconds(offset_at(zone, seconds)?)?;
    DateTime::<Utc>::from_timestamp(seconds, 0)?
        .naive_utc()
        .checked_add_signed(offset)
}

/// `None` beyond what [`Time`] can count (the year 2554).
fn from_seconds(seconds: i64) -> Option<Time> {
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000).map(Time)
}

fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
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

fn parse_kind(text: Piece<'_>, zone: Tz, options: Options) -> Result<Kind, ScheduleError> {
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

fn never(text: Piece<'_>) -> ScheduleError {
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
