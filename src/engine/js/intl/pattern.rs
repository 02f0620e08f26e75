//! Which fields a date shows, in which order and between which words: the pattern for a locale and the options of a
//! script. The order is ICU4X's; widths are then made what was asked for, as ICU for C does it.

use icu_calendar::Gregorian;
use icu_datetime::DateTimeFormatterPreferences;
use icu_datetime::FixedCalendarDateTimeFormatter;
use icu_datetime::fieldsets::builder::{DateFields, FieldSetBuilder, ZoneStyle};
use icu_datetime::fieldsets::enums::CompositeFieldSet;
use icu_datetime::options::{Length, SubsecondDigits, TimePrecision, YearStyle};
use icu_datetime::preferences::HourCycle;
use icu_locale::Locale;
use serde::Deserialize;

use super::zone::Zone;
use super::{absent, range};

/// Dates of numbers alone, which CLDR has apart from its short dates and ICU4X has not: locale, then the patterns of
/// year, month and day, of month and day, and of year and month.
const NUMERIC: &str = include_str!("numeric.txt");

/// An afternoon on which month, day and hour differ, for what ICU4X shows of its pattern only with a date.
const SAMPLE_MS: i64 = 1_709_557_445_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    pub date_style: String,
    pub time_style: String,
    weekday: String,
    era: String,
    year: String,
    month: String,
    day: String,
    day_period: String,
    hour: String,
    minute: String,
    second: String,
    fractional_second_digits: u8,
    time_zone_name: String,
    /// `h11`, `h12`, `h23`, `h24`, or empty for what the locale has.
    hour_cycle: String,
    pub time_zone: String,
}

/// A piece of a pattern: a field, as UTS 35 has its letters, or text between fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Field(char, usize),
    Literal(String),
}

/// # Errors
/// The data lacks something.
pub fn pattern(locale: &Locale, options: &Options) -> Result<Vec<Item>, String> {
    let mut prefs = DateTimeFormatterPreferences::from(locale);
    match options.hour_cycle.as_str() {
        "h11" => prefs.hour_cycle = Some(HourCycle::H11),
        "h12" => prefs.hour_cycle = Some(HourCycle::H12),
        "h23" | "h24" => prefs.hour_cycle = Some(HourCycle::H23),
        _ => {}
    }
    let mut items = if options.date_style.is_empty() && options.time_style.is_empty() {
        by_fields(locale, prefs, options)?
    } else {
        by_style(prefs, options)?
    };
    if options.hour_cycle == "h24" {
        for item in &mut items {
            if let Item::Field('H', width) = item {
                *item = Item::Field('k', *width);
            }
        }
    }
    Ok(items)
}

/// A formatter of ICU4X for a set of fields.
pub type Whole = FixedCalendarDateTimeFormatter<Gregorian, CompositeFieldSet>;

/// The formatter of ICU4X for a set of fields, and its pattern.
///
/// # Errors
/// The data lacks something.
pub fn whole(prefs: DateTimeFormatterPreferences, builder: FieldSetBuilder) -> Result<(Whole, Vec<Item>), String> {
    let fields = builder.build_composite().map_err(|error| range(&error.to_string()))?;
    let made = Whole::try_new(prefs, fields).map_err(absent)?;
    let moment = Zone::Named(chrono_tz::UTC).local(SAMPLE_MS)?.moment;
    let items = parse(&made.format(&moment).pattern().to_string());
    Ok((made, items))
}

fn known(prefs: DateTimeFormatterPreferences, builder: FieldSetBuilder) -> Result<Vec<Item>, String> {
    whole(prefs, builder).map(|(_, items)| items)
}

fn by_style(prefs: DateTimeFormatterPreferences, options: &Options) -> Result<Vec<Item>, String> {
    let mut builder = FieldSetBuilder::new();
    builder.length = Some(match options.date_style.as_str() {
        "full" | "long" => Length::Long,
        "short" => Length::Short,
        _ => Length::Medium,
    });
    builder.date_fields = match options.date_style.as_str() {
        "" => None,
        "full" => Some(DateFields::YMDE),
        _ => Some(DateFields::YMD),
    };
    builder.time_precision = match options.time_style.as_str() {
        "" => None,
        "short" => Some(TimePrecision::Minute),
        _ => Some(TimePrecision::Second),
    };
    builder.zone_style = match options.time_style.as_str() {
        "full" => Some(ZoneStyle::SpecificLong),
        "long" => Some(ZoneStyle::SpecificShort),
        _ => None,
    };
    known(prefs, builder)
}

impl Options {
    fn date_fields(&self) -> Option<DateFields> {
        let year = !self.year.is_empty() || !self.era.is_empty();
        let month = !self.month.is_empty();
        let day = !self.day.is_empty();
        Some(match (year, month, day, !self.weekday.is_empty()) {
            (false, false, false, false) => return None,
            (true, false, false, false) => DateFields::Y,
            (false, true, false, false) => DateFields::M,
            (true, true, false, false) => DateFields::YM,
            (false, false, true, false) => DateFields::D,
            (false, true, true, false) => DateFields::MD,
            (true, _, true, false) => DateFields::YMD,
            (false, false, false, true) => DateFields::E,
            (false, false, true, true) => DateFields::DE,
            (false, true, _, true) => DateFields::MDE,
            (true, _, _, true) => DateFields::YMDE,
        })
    }

    fn numeric_month(&self) -> bool {
        matches!(self.month.as_str(), "numeric" | "2-digit")
    }

    fn length(&self) -> Length {
        if self.numeric_month() {
            Length::Short
        } else if self.month == "long" || (self.month.is_empty() && self.weekday == "long") {
            Length::Long
        } else {
            Length::Medium
        }
    }

    fn precision(&self) -> Option<TimePrecision> {
        if let Some(digits) = SubsecondDigits::try_from_int(self.fractional_second_digits) {
            return Some(TimePrecision::Subsecond(digits));
        }
        if !self.second.is_empty() {
            Some(TimePrecision::Second)
        } else if !self.minute.is_empty() {
            Some(TimePrecision::Minute)
        } else if !self.hour.is_empty() || !self.day_period.is_empty() {
            Some(TimePrecision::Hour)
        } else {
            None
        }
    }

    fn zone_style(&self) -> Option<ZoneStyle> {
        Some(match self.time_zone_name.as_str() {
            "short" => ZoneStyle::SpecificShort,
            "long" => ZoneStyle::SpecificLong,
            "shortOffset" => ZoneStyle::LocalizedOffsetShort,
            "longOffset" => ZoneStyle::LocalizedOffsetLong,
            "shortGeneric" => ZoneStyle::GenericShort,
            "longGeneric" => ZoneStyle::GenericLong,
            _ => return None,
        })
    }

    fn builder(&self, length: Length) -> FieldSetBuilder {
        let mut builder = FieldSetBuilder::new();
        builder.date_fields = self.date_fields();
        builder.time_precision = self.precision();
        builder.zone_style = self.zone_style();
        builder.length = Some(length);
        let style = if self.era.is_empty() {
            YearStyle::Full
        } else {
            YearStyle::WithEra
        };
        builder.year_style = (!self.year.is_empty() || !self.era.is_empty()).then_some(style);
        builder
    }
}

fn by_fields(locale: &Locale, prefs: DateTimeFormatterPreferences, options: &Options) -> Result<Vec<Item>, String> {
    let mut items = known(prefs, options.builder(options.length()))?;
    let has_word = |items: &[Item]| {
        let is_word = |item: &Item| matches!(item, Item::Field('M' | 'L', 3..));
        items.iter().any(is_word)
    };
    let dated = |length: Length| {
        let mut alone = options.builder(length);
        alone.time_precision = None;
        alone.zone_style = None;
        known(prefs, alone)
    };
    if options.length() == Length::Medium && !options.month.is_empty() && !has_word(&items) {
        let medium = dated(Length::Medium)?;
        if items.starts_with(&medium) {
            items.splice(..medium.len(), dated(Length::Long)?);
        }
    }
    // A zone behind a date alone is parted from it as a time is.
    if options.precision().is_none() && options.zone_style().is_some() && options.date_fields().is_some() {
        let mut timed = options.builder(options.length());
        timed.zone_style = None;
        timed.time_precision = Some(TimePrecision::Minute);
        let timed = known(prefs, timed)?;
        let date = dated(options.length())?;
        if items.starts_with(&date)
            && timed.starts_with(&date)
            && let (Some(Item::Literal(own)), Some(Item::Literal(glue))) =
                (items.get_mut(date.len()), timed.get(date.len()))
        {
            own.clone_from(glue);
        }
    }
    if let Some(numeric) = numeric(locale, options) {
        let short = dated(Length::Short)?;
        if items.starts_with(&short) {
            items.splice(..short.len(), numeric);
        }
    }
    if options.hour.is_empty() {
        items = without_hour(items, options);
    }
    for item in &mut items {
        widen(item, options);
    }
    Ok(items)
}

/// The pattern of a date of numbers alone, when it is one.
fn numeric(locale: &Locale, options: &Options) -> Option<Vec<Item>> {
    if !options.numeric_month() || !options.era.is_empty() || !options.weekday.is_empty() {
        return None;
    }
    let column = match (options.year.is_empty(), options.day.is_empty()) {
        (false, false) => 1,
        (true, false) => 2,
        (false, true) => 3,
        (true, true) => return None,
    };
    let id = &locale.id;
    let mut names = vec![id.to_string()];
    if let Some(region) = id.region {
        names.push(format!("{}-{region}", id.language));
    }
    if let Some(script) = id.script {
        names.push(format!("{}-{script}", id.language));
    }
    names.push(id.language.to_string());
    let row = |name: &String| {
        let mut rows = NUMERIC.lines().map(|line| line.split('|'));
        rows.find_map(|mut row| (row.next() == Some(name)).then_some(row))
    };
    let text = names.iter().find_map(row)?.nth(column - 1)?;
    let mut items: Vec<Item> = Vec::new();
    for c in text.chars() {
        match (items.last_mut(), c) {
            (Some(Item::Field(field, width)), _) if *field == c => *width += 1,
            (_, 'y' | 'M' | 'd') => items.push(Item::Field(c, 1)),
            (Some(Item::Literal(text)), _) => text.push(c),
            _ => items.push(Item::Literal(c.into())),
        }
    }
    Some(items)
}

/// ICU4X has minutes and seconds after hours only.
fn without_hour(items: Vec<Item>, options: &Options) -> Vec<Item> {
    let unasked = |item: &Item| match item {
        Item::Field('h' | 'H' | 'k' | 'K', _) => true,
        Item::Field('m', _) => options.minute.is_empty(),
        Item::Field('s', _) => options.second.is_empty(),
        Item::Field('a' | 'b' | 'B', _) => options.day_period.is_empty(),
        _ => false,
    };
    if options.precision().is_none() {
        return items;
    }
    let mut kept: Vec<Item> = Vec::new();
    let mut dropped = false;
    for item in items {
        if unasked(&item) {
            dropped = true;
            // What stood before a field that has gone at the end goes with it.
            if matches!(item, Item::Field('a' | 'b' | 'B', _)) && matches!(kept.last(), Some(Item::Literal(_))) {
                kept.pop();
            }
        } else if dropped && matches!(item, Item::Literal(_)) {
            dropped = false;
        } else {
            dropped = false;
            kept.push(item);
        }
    }
    let fields = kept.iter().filter(|item| matches!(item, Item::Field(..))).count();
    for item in &mut kept {
        if let Item::Field('m' | 's', width) = item {
            *width = if fields == 1 { 1 } else { 2 };
        }
    }
    kept
}

/// Gives a field the width that the options ask for; numbers stay numbers, and words words.
fn widen(item: &mut Item, options: &Options) {
    let Item::Field(field, width) = item else {
        return;
    };
    let word = |option: &str| match option {
        "long" => Some(4),
        // ICU4X gives no narrow names.
        "narrow" => Some(3),
        "short" => Some(3),
        _ => None,
    };
    match field {
        'y' if options.year == "2-digit" => *width = 2,
        'y' if options.year == "numeric" => *width = 1,
        'G' => *width = word(&options.era).unwrap_or(*width),
        'E' | 'c' => *width = word(&options.weekday).unwrap_or(*width),
        'M' | 'L' if *width > 2 => *width = word(&options.month).unwrap_or(*width),
        'M' | 'L' if options.month == "2-digit" => *width = 2,
        'd' if options.day == "2-digit" => *width = 2,
        'h' | 'H' | 'k' | 'K' if options.hour == "2-digit" => *width = 2,
        _ => {}
    }
}

/// Reads a pattern as UTS 35 writes it.
fn parse(text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        if c == '\'' {
            if letters.next_if_eq(&'\'').is_none() {
                quoted = !quoted;
                continue;
            }
        } else if !quoted && c.is_ascii_alphabetic() {
            match items.last_mut() {
                Some(Item::Field(field, width)) if *field == c => *width += 1,
                _ => items.push(Item::Field(c, 1)),
            }
            continue;
        }
        match items.last_mut() {
            Some(Item::Literal(literal)) => literal.push(c),
            _ => items.push(Item::Literal(c.into())),
        }
    }
    items
}
