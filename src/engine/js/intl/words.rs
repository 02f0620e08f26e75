//! Names of months, weekdays, eras, halves of the day and time zones. ICU4X gives them as part of a date only, so each is
//! cut out of one that has nothing else but numbers.

use icu_datetime::DateTimeFormatterPreferences;
use icu_datetime::fieldsets::builder::{DateFields, FieldSetBuilder, ZoneStyle};
use icu_datetime::options::{Length, TimePrecision, YearStyle};
use icu_datetime::preferences::HourCycle;

use super::pattern::{Item, Whole, whole};
use super::range;
use super::zone::Local;

/// The name of one field.
pub struct Word {
    made: Whole,
    before: Vec<Item>,
    after: Vec<Item>,
}

/// Sets of fields that may have this one as a word, the best first.
fn candidates(field: char, width: usize) -> Vec<FieldSetBuilder> {
    let date = |fields: DateFields, length: Length| {
        let mut builder = FieldSetBuilder::new();
        builder.date_fields = Some(fields);
        builder.length = Some(length);
        builder
    };
    let length = if width >= 4 { Length::Long } else { Length::Medium };
    match field {
        'c' => vec![date(DateFields::E, length)],
        // Within a date a weekday may have another form than alone.
        'E' => vec![
            date(DateFields::DE, length),
            date(DateFields::YMDE, Length::Short),
            date(DateFields::E, length),
        ],
        'L' => vec![date(DateFields::M, length), date(DateFields::M, Length::Long)],
        'M' => vec![
            date(DateFields::MD, length),
            date(DateFields::YMD, length),
            date(DateFields::YM, length),
            date(DateFields::MD, Length::Long),
            date(DateFields::M, length),
        ],
        'G' => {
            let mut builder = date(DateFields::Y, length);
            builder.year_style = Some(YearStyle::WithEra);
            vec![builder]
        }
        'a' | 'b' | 'B' => {
            let mut builder = FieldSetBuilder::new();
            builder.time_precision = Some(TimePrecision::Hour);
            vec![builder]
        }
        _ => {
            let mut builder = FieldSetBuilder::new();
            builder.zone_style = Some(match (field, width) {
                ('z', 4) => ZoneStyle::SpecificLong,
                ('z', _) => ZoneStyle::SpecificShort,
                ('v', 4) => ZoneStyle::GenericLong,
                ('v', _) => ZoneStyle::GenericShort,
                (_, 4) => ZoneStyle::LocalizedOffsetLong,
                _ => ZoneStyle::LocalizedOffsetShort,
            });
            vec![builder]
        }
    }
}

/// Letters of UTS 35 that mean the same field.
fn alike(asked: char, found: char) -> bool {
    let groups = ["Ece", "ML", "abB"];
    asked == found
        || groups
            .iter()
            .any(|group| group.contains(asked) && group.contains(found))
}

impl Word {
    /// # Errors
    /// The data has no such names.
    pub fn new(mut prefs: DateTimeFormatterPreferences, field: char, width: usize) -> Result<Word, String> {
        if "abB".contains(field) {
            prefs.hour_cycle = Some(HourCycle::H12);
        }
        let mut close = None;
        for builder in candidates(field, width) {
            let (made, items) = whole(prefs, builder)?;
            let is_word = |item: &Item| match item {
                Item::Field('M' | 'L', width) if *width < 3 => false,
                Item::Field(found, _) => alike(field, *found),
                Item::Literal(_) => false,
            };
            let Some(at) = items.iter().position(is_word) else {
                continue;
            };
            let exact = items[at] == Item::Field(field, width) || "abBzvO".contains(field);
            let word = Word {
                made,
                before: items[..at].to_vec(),
                after: items[at + 1..].to_vec(),
            };
            if exact {
                return Ok(word);
            }
            close.get_or_insert(word);
        }
        close.ok_or_else(|| range(&format!("the data of this locale has no names for the field {field}")))
    }

    /// The name at that time; `number` writes the fields that are numbers.
    pub fn at(&self, local: &Local, number: impl Fn(char, usize) -> String) -> String {
        let text = self.made.format(&local.moment).to_string();
        let beside = |items: &[Item]| -> String {
            let shown = items.iter().map(|item| match item {
                Item::Field(field, width) => number(*field, *width),
                Item::Literal(text) => text.clone(),
            });
            shown.collect()
        };
        let rest = text.strip_prefix(&beside(&self.before)).unwrap_or(&text);
        rest.strip_suffix(&beside(&self.after)).unwrap_or(rest).to_owned()
    }
}
