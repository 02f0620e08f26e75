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
mod parse;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Offset, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::time::{Span, Time};
use fields::Piece;
use parse::{never, parse_kind, parse_zone};

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
