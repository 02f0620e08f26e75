//! `Intl.DateTimeFormat`, in the Gregorian calendar.

use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_decimal::options::GroupingStrategy;
use icu_locale::Locale;
use serde_json::{Value, json};

use super::number::{digits_named, merged, point_of, zero_of};
use super::pattern::{self, Item, Options};
use super::words::Word;
use super::zone::{self, Local, Zone};
use super::{Part, absent, range};

/// As far from 1970 as times of JavaScript go.
const TIME_MS_MAX: u64 = 8_640_000_000_000_000;

pub struct Format {
    /// Each with its names, when it is a word.
    items: Vec<(Item, Option<Word>)>,
    numbers: DecimalFormatter,
    zone: Zone,
    zero: char,
}

impl Format {
    pub fn new(locale: &Locale, options: &Options) -> Result<Format, String> {
        let numbers = DecimalFormatter::try_new(locale.into(), GroupingStrategy::Never.into()).map_err(absent)?;
        let mut items = Vec::new();
        for item in pattern::pattern(locale, options)? {
            let words = match item {
                Item::Field('y' | 'd' | 'h' | 'H' | 'k' | 'K' | 'm' | 's' | 'S', _) | Item::Literal(_) => None,
                Item::Field('M' | 'L', width) if width < 3 => None,
                Item::Field(field, width) => Some(Word::new(locale.into(), field, width)?),
            };
            items.push((item, words));
        }
        // Seconds and their fraction are parted as other numbers are.
        for at in 1..items.len() {
            let seconds = matches!(items[at - 1].0, Item::Field('s', _));
            let fraction = matches!(items.get(at + 1), Some((Item::Field('S', _), _)));
            if seconds && fraction {
                items[at].0 = Item::Literal(point_of(&numbers));
            }
        }
        Ok(Format {
            items,
            zone: zone::find(&options.time_zone)?,
            zero: zero_of(&numbers),
            numbers,
        })
    }

    /// What only the locale's data says: numbering system, hour cycle.
    pub fn resolved(&self) -> Value {
        let cycle = self.items.iter().find_map(|(item, _)| match item {
            Item::Field('K', _) => Some("h11"),
            Item::Field('h', _) => Some("h12"),
            Item::Field('H', _) => Some("h23"),
            Item::Field('k', _) => Some("h24"),
            _ => None,
        });
        json!({ "numberingSystem": digits_named(self.zero), "hourCycle": cycle })
    }

    /// # Errors
    /// It is no time that JavaScript has.
    pub fn format(&self, ms: &str) -> Result<Vec<Part>, String> {
        let ms: i64 = ms.parse().map_err(|_| range("Invalid time value"))?;
        if ms.unsigned_abs() > TIME_MS_MAX {
            return Err(range("Invalid time value"));
        }
        let local = self.zone.local(ms)?;
        let part = |(item, word): &(Item, Option<Word>)| match (item, word) {
            (Item::Literal(text), _) => Part::new("literal", plain_space(text)),
            (Item::Field(field, _), Some(word)) => {
                let number = |field, width| self.number(field, width, &local);
                Part::new(kind(*field), plain_space(&word.at(&local, number)))
            }
            (Item::Field(field, width), None) => Part::new(kind(*field), self.number(*field, *width, &local)),
        };
        Ok(merged(self.items.iter().map(part).collect()))
    }

    fn number(&self, field: char, width: usize, local: &Local) -> String {
        let hour12 = |hour: u8| if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        let value = match field {
            'y' => {
                let year = if local.year > 0 { local.year } else { 1 - local.year };
                if width == 2 { year % 100 } else { year }
            }
            'M' | 'L' => local.month.into(),
            'd' => local.day.into(),
            'h' => hour12(local.hour).into(),
            'H' => local.hour.into(),
            'K' => (local.hour % 12).into(),
            'k' if local.hour == 0 => 24,
            'k' => local.hour.into(),
            'm' => local.minute.into(),
            's' => local.second.into(),
            _ => i32::from(local.ms) / [100, 10, 1].get(width.saturating_sub(1)).unwrap_or(&1),
        };
        let mut value = Decimal::from(value);
        value.absolute.pad_start(i16::try_from(width).unwrap_or(1));
        self.numbers.format(&value).to_string()
    }
}

/// As V8 does, because scripts compare and cut such texts: the narrow space that CLDR has before AM and PM is a plain one.
fn plain_space(text: &str) -> String {
    text.replace('\u{202f}', " ")
}

/// The name of a field's part.
fn kind(field: char) -> &'static str {
    match field {
        'G' => "era",
        'y' => "year",
        'M' | 'L' => "month",
        'd' => "day",
        'E' | 'c' | 'e' => "weekday",
        'a' | 'b' | 'B' => "dayPeriod",
        'h' | 'H' | 'k' | 'K' => "hour",
        'm' => "minute",
        's' => "second",
        'S' => "fractionalSecond",
        _ => "timeZoneName",
    }
}
