//! The fields of a cron expression, read strictly and with errors that point, and written anew as plain lists for the
//! calendar search. Croner's own reader is lenient where a typing slip should be told.

use std::ops::Range;

use super::ScheduleError;

/// Which day a weekday's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weekdays {
    /// 0 to 6 from Sunday, 7 is Sunday again.
    FromZero,
    /// 1 to 7 from Sunday, as at AWS and Cloudflare.
    FromOne,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek(Weekdays),
    Year,
}

/// A piece of the text and where it stands, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub at: usize,
}

/// A field as the calendar search takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// `*`, or a list of numbers and of forms with L, W and #; weekdays count from zero.
    pub pattern: String,
    /// The plain numbers among them.
    pub values: Vec<u16>,
    /// Holds forms that are no plain numbers.
    pub special: bool,
    /// Written as `?`.
    pub question: bool,
    /// Starts with `*`, with or without a step: a day field like this does not widen the other one.
    pub from_star: bool,
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl<'a> Piece<'a> {
    pub fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    fn error(&self, message: String, remedy: String) -> ScheduleError {
        ScheduleError {
            message,
            remedy,
            at: Some(self.span()),
        }
    }

    /// The parts between separators, each with its place.
    fn split(&self, separator: char) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let (mut at, separator_len) = (self.at, separator.len_utf8());
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, at };
            at += text.len() + separator_len;
            piece
        })
    }

    fn split_once(&self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (left, right) = self.text.split_once(separator)?;
        let after = self.at + left.len() + separator.len_utf8();
        Some((
            Piece {
                text: left,
                at: self.at,
            },
            Piece { text: right, at: after },
        ))
    }
}

impl Field {
    pub fn name(self) -> &'static str {
        match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek(_) => "day of week",
            Field::Year => "year",
        }
    }

    fn range(self) -> (u16, u16) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek(Weekdays::FromZero) => (0, 7),
            Field::DayOfWeek(Weekdays::FromOne) => (1, 7),
            Field::Year => (1970, 2199),
        }
    }

    /// What may stand in it, for messages.
    fn allowed(self) -> &'static str {
        match self {
            Field::Second | Field::Minute => "use 0 to 59, `*`, ranges like `10-20` or steps like `*/15`",
            Field::Hour => "use 0 to 23, `*`, ranges like `8-18` or steps like `*/2`",
            Field::DayOfMonth => "use 1 to 31, `*`, `L` for the last day, or `15W` for the weekday nearest to the 15th",
            Field::Month => "use 1 to 12 or JAN to DEC",
            Field::DayOfWeek(Weekdays::FromZero) => {
                "use 0 (Sunday) to 6 (Saturday) or SUN to SAT; `FRIL` is the last Friday, `FRI#2` the second"
            }
            Field::DayOfWeek(Weekdays::FromOne) => {
                "use 1 (Sunday) to 7 (Saturday) or SUN to SAT; `FRIL` is the last Friday, `FRI#2` the second"
            }
            Field::Year => "use 1970 to 2199 or `*`",
        }
    }

    /// Reads one field.
    pub fn read(self, piece: Piece<'_>) -> Result<Read, ScheduleError> {
        if piece.text == "?" {
            if !matches!(self, Field::DayOfMonth | Field::DayOfWeek(_)) {
                return Err(piece.error(
                    format!("`?` cannot stand for the {}", self.name()),
                    String::from("it goes for a day of month or a day of week; write `*` here, or wrap AWS's form in `cron(...)`"),
                ));
            }
            return Ok(Read {
                pattern: String::from("*"),
                question: true,
                from_star: true,
                ..Read::default()
            });
        }
        let mut read = Read {
            from_star: piece.text.starts_with('*'),
            ..Read::default()
        };
        let mut forms: Vec<String> = Vec::new();
        for item in piece.split(',') {
            if item.text.is_empty() {
                return Err(piece.error(
                    format!("the {} `{}` has an empty place in its list", self.name(), piece.text),
                    String::from("remove the extra comma"),
                ));
            }
            match self.special(item)? {
                Some(Special::Form(form)) => {
                    read.special = true;
                    forms.push(form);
                }
                Some(Special::Value(value)) => read.values.push(value),
                None => self.values(item, &mut read.values)?,
            }
        }
        read.values.sort_unstable();
        read.values.dedup();
        if piece.text == "*" {
            read.pattern = String::from("*");
        } else {
            let numbers = read.values.iter().map(u16::to_string);
            read.pattern = numbers.chain(forms).collect::<Vec<_>>().join(",");
        }
        Ok(read)
    }

    /// Forms of the day fields that are no numbers: `L`, `15W`, `5L`, `FRI#2`.
    fn special(self, item: Piece<'_>) -> Result<Option<Special>, ScheduleError> {
        let upper = item.text.to_ascii_uppercase();
        match self {
            Field::DayOfMonth if upper == "L" => Ok(Some(Special::Form(upper))),
            Field::DayOfMonth if upper.ends_with('W') => {
                let day = Piece {
                    text: &item.text[..item.text.len() - 1],
                    at: item.at,
                };
                if day.text.eq_ignore_ascii_case("L") {
                    return Err(item.error(
                        String::from("the last weekday of a month (`LW`) is not supported"),
                        String::from("use `L` for the last day, or several of `28W`, `29W` ..."),
                    ));
                }
                Ok(Some(Special::Form(format!("{}W", self.value(day)?))))
            }
            Field::DayOfMonth if upper.starts_with("L-") => Err(item.error(
                format!("`{}` (days before the last) is not supported", item.text),
                String::from("use `L` for the last day, or a day's number"),
            )),
            Field::DayOfWeek(Weekdays::FromOne) if upper == "L" => Ok(Some(Special::Value(6))),
            Field::DayOfWeek(Weekdays::FromZero) if upper == "L" => Err(item.error(
                String::from("`L` as a day of week does not say which day"),
                String::from("write `5L` or `FRIL` for the last Friday of the month"),
            )),
            Field::DayOfWeek(_) if item.text.contains('#') => {
                let Some((day, nth)) = item.split_once('#') else {
                    return Ok(None);
                };
                let day = self.value(day)? % 7;
                match nth.text.parse::<u8>() {
                    Ok(nth @ 1..=5) => Ok(Some(Special::Form(format!("{day}#{nth}")))),
                    _ => Err(nth.error(
                        format!("`{}` is no week of a month", nth.text),
                        String::from("`#` goes from 1 to 5, as in `FRI#2` for the second Friday"),
                    )),
                }
            }
            Field::DayOfWeek(_) if upper.ends_with('L') => {
                let day = Piece {
                    text: &item.text[..item.text.len() - 1],
                    at: item.at,
                };
                Ok(Some(Special::Form(format!("{}#L", self.value(day)? % 7))))
            }
            _ => Ok(None),
        }
    }

    /// `*`, `7`, `1-5`, `*/15`, `10-40/10`, `5/15`.
    fn values(self, item: Piece<'_>, into: &mut Vec<u16>) -> Result<(), ScheduleError> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (min, max) = self.range();
        // Seven is Sunday a second time: all days go to Saturday.
        let last = if self == Field::DayOfWeek(Weekdays::FromZero) {
            6
        } else {
            max
        };
        let (from, to) = if range.text == "*" {
            (self.plain(min), self.plain(last))
        } else if let Some((from, to)) = range.split_once('-') {
            if from.text.is_empty() || to.text.is_empty() {
                return Err(range.error(
                    format!("the {} `{}` is half a range", self.name(), range.text),
                    String::from(self.allowed()),
                ));
            }
            (self.value(from)?, self.value(to)?)
        } else if step.is_some() {
            (self.value(range)?, self.plain(last))
        } else {
            into.push(self.folded(self.value(range)?));
            return Ok(());
        };
        let step = step.map_or(Ok(1), |step| self.step(step, item))?;
        if from <= to {
            into.extend((from..=to).step_by(usize::from(step)).map(|value| self.folded(value)));
        } else if matches!(self, Field::DayOfWeek(_)) {
            // FRI-MON goes over the end of the week.
            into.extend((from..=to + 7).step_by(usize::from(step)).map(|value| value % 7));
        } else {
            return Err(range.error(
                format!("the {} range `{}` runs backwards", self.name(), range.text),
                format!("write it as two, `{from}-{max},{min}-{to}`"),
            ));
        }
        Ok(())
    }

    fn step(self, step: Piece<'_>, item: Piece<'_>) -> Result<u16, ScheduleError> {
        let (min, max) = self.range();
        match step.text.parse::<u16>() {
            Ok(0) | Err(_) => Err(step.error(
                format!("`{}` is no step for the {}", step.text, self.name()),
                String::from("a step is a number above zero, as in `*/15`"),
            )),
            Ok(n) if n > max - min => {
                let rate = match self {
                    Field::Minute => format!("; for every {n} minutes write `rate({n} minutes)`"),
                    Field::Hour => format!("; for every {n} hours write `rate({n} hours)`"),
                    _ => String::new(),
                };
                Err(item.error(
                    format!("a step of {n} goes past the last {} ({max})", self.name()),
                    format!("it would match a single value; write that value{rate}"),
                ))
            }
            Ok(n) => Ok(n),
        }
    }

    /// A number or a name; weekdays come out from zero, where a seven may still be Sunday.
    fn value(self, piece: Piece<'_>) -> Result<u16, ScheduleError> {
        let names: &[&str] = match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek(_) => &DAYS,
            _ => &[],
        };
        if let Some(at) = names.iter().position(|name| name.eq_ignore_ascii_case(piece.text)) {
            let first = if self == Field::Month { 1 } else { 0 };
            return Ok(u16::try_from(at).unwrap_or(0) + first);
        }
        let (min, max) = self.range();
        let is_number = !piece.text.is_empty() && piece.text.bytes().all(|b| b.is_ascii_digit());
        match piece.text.parse::<u16>() {
            Ok(value) if is_number && (min..=max).contains(&value) => Ok(self.plain(value)),
            _ if is_number => Err(piece.error(
                format!("the {} `{}` is outside {min} to {max}", self.name(), piece.text),
                String::from(self.allowed()),
            )),
            _ => Err(piece.error(
                format!("`{}` is no {}", piece.text, self.name()),
                String::from(self.allowed()),
            )),
        }
    }

    /// Weekdays as counted from zero.
    fn plain(self, value: u16) -> u16 {
        if self == Field::DayOfWeek(Weekdays::FromOne) {
            value - 1
        } else {
            value
        }
    }

    fn folded(self, value: u16) -> u16 {
        if matches!(self, Field::DayOfWeek(_)) {
            value % 7
        } else {
            value
        }
    }
}

enum Special {
    /// As Croner reads it.
    Form(String),
    Value(u16),
}
