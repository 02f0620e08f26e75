//! Time zones by their IANA names or as offsets, and what a clock there shows.

use chrono::{DateTime, Datelike, FixedOffset, Offset, TimeZone as _, Timelike};
use chrono_tz::{TZ_VARIANTS, Tz};
use icu_calendar::{Date, Gregorian};
use icu_time::zone::models::AtTime;
use icu_time::zone::{TimeZone, TimeZoneInfo, UtcOffset};
use icu_time::{DateTime as Moment, Time, ZonedDateTime};

use super::range;

/// 400 years, and what chrono surely has.
const ROUND_MS: i64 = 146_097 * 86_400_000;
const NEAR_MS_MAX: u64 = 8_000_000_000_000_000;

#[derive(Debug, Clone, Copy)]
pub enum Zone {
    Named(Tz),
    Offset(FixedOffset),
}

/// Date and time on a clock of some zone.
pub struct Local {
    /// As astronomers count: 0 is 1 BC.
    pub year: i32,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub ms: u16,
    /// The same for ICU4X. Its year is another one, with the same weekdays, where ICU4X knows none so far away.
    pub moment: ZonedDateTime<Gregorian, TimeZoneInfo<AtTime>>,
}

/// The name that `resolvedOptions` has for a zone.
///
/// # Errors
/// There is no such zone.
pub fn canonical(name: &str) -> Result<String, String> {
    Ok(match find(name)? {
        Zone::Named(zone) => match zone.name() {
            "Etc/UTC" | "Etc/GMT" | "GMT" | "Etc/UCT" | "UCT" | "Zulu" | "Etc/Zulu" | "Universal" | "Etc/Universal" => {
                "UTC".to_owned()
            }
            other => other.to_owned(),
        },
        Zone::Offset(offset) => offset.to_string(),
    })
}

/// All zones that are places, and UTC.
pub fn names() -> Vec<&'static str> {
    let areas = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    ];
    let is_place = |name: &&str| name.split_once('/').is_some_and(|(area, _)| areas.contains(&area));
    let mut names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).filter(is_place).collect();
    names.push("UTC");
    names.sort_unstable();
    names
}

/// # Errors
/// There is no such zone.
pub fn find(name: &str) -> Result<Zone, String> {
    if let Ok(zone) = name.parse::<Tz>() {
        return Ok(Zone::Named(zone));
    }
    if let Some(zone) = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name)) {
        return Ok(Zone::Named(*zone));
    }
    offset(name)
        .map(Zone::Offset)
        .ok_or_else(|| range(&format!("Invalid time zone specified: {name}")))
}

/// `+05:30`, `+0530` or `-03`.
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match (rest.len(), rest.split_once(':')) {
        (5, Some(pair)) => pair,
        (4, None) => rest.split_at_checked(2)?,
        (2, None) => (rest, "00"),
        _ => return None,
    };
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3_600 + minutes * 60))
}

impl Zone {
    /// What the clock shows that many milliseconds after 1970 began in UTC.
    ///
    /// # Errors
    /// That is millions of years away.
    pub fn local(self, ms: i64) -> Result<Local, String> {
        let invalid = || range("Invalid time value");
        // The calendar repeats after 400 years, and JavaScript has some that chrono has not.
        let rounds = if ms.unsigned_abs() > NEAR_MS_MAX {
            ms / ROUND_MS
        } else {
            0
        };
        let utc = DateTime::from_timestamp_millis(ms - rounds * ROUND_MS)
            .ok_or_else(invalid)?
            .naive_utc();
        let skipped = i32::try_from(rounds * 400).map_err(|_| invalid())?;
        let offset = match self {
            Zone::Named(zone) => zone.offset_from_utc_datetime(&utc).fix(),
            Zone::Offset(offset) => offset,
        };
        let local = utc.checked_add_offset(offset).ok_or_else(invalid)?;
        let (month, day) = (narrow(local.month()), narrow(local.day()));
        let (hour, minute, second) = (narrow(local.hour()), narrow(local.minute()), narrow(local.second()));
        let near = 2_000 + local.year().rem_euclid(400);
        let date = Date::try_new_gregorian(local.year(), month, day)
            .or_else(|_| Date::try_new_gregorian(near, month, day))
            .map_err(|_| invalid())?;
        let time = Time::try_new(hour, minute, second, 0).map_err(|_| invalid())?;
        let id = match self {
            Zone::Named(zone) => TimeZone::from_iana_id(zone.name()),
            Zone::Offset(_) => TimeZone::UNKNOWN,
        };
        let info = id.with_offset(UtcOffset::try_from_seconds(offset.local_minus_utc()).ok());
        Ok(Local {
            year: local.year() + skipped,
            month,
            day,
            hour,
            minute,
            second,
            ms: u16::try_from(local.and_utc().timestamp_subsec_millis()).unwrap_or(999),
            moment: ZonedDateTime {
                date,
                time,
                zone: info.at_date_time(Moment { date, time }),
            },
        })
    }
}

/// Months to seconds all fit.
fn narrow(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
