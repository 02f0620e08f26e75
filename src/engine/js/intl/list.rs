//! `Intl.ListFormat`.

use icu_list::ListFormatter;
use icu_list::options::{ListFormatterOptions, ListLength};
use icu_locale::Locale;
use serde::Deserialize;

use super::{Part, absent, told};

/// Ends each element while the list is made: no text that people write has it.
const END: char = '\u{10ffff}';

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    r#type: String,
    style: String,
}

pub struct Format(ListFormatter);

impl Format {
    pub fn new(locale: &Locale, options: &Options) -> Result<Format, String> {
        let length = match options.style.as_str() {
            "short" => ListLength::Short,
            "narrow" => ListLength::Narrow,
            _ => ListLength::Wide,
        };
        let chosen = ListFormatterOptions::default().with_length(length);
        let made = match options.r#type.as_str() {
            "disjunction" => ListFormatter::try_new_or(locale.into(), chosen),
            "unit" => ListFormatter::try_new_unit(locale.into(), chosen),
            _ => ListFormatter::try_new_and(locale.into(), chosen),
        };
        Ok(Format(made.map_err(absent)?))
    }

    /// Of a JSON array of texts.
    pub fn format(&self, texts: &str) -> Result<Vec<Part>, String> {
        let texts: Vec<String> = told(texts)?;
        let ended = texts.iter().map(|text| format!("{text}{END}"));
        let whole = self.0.format(ended).to_string();
        let mut parts = Vec::new();
        let mut rest = whole.as_str();
        for text in &texts {
            let end = format!("{text}{END}");
            let Some((before, after)) = rest.split_once(&end) else {
                break;
            };
            parts.push(Part::new("literal", before));
            parts.push(Part::new("element", text.as_str()));
            rest = after;
        }
        parts.push(Part::new("literal", rest));
        parts.retain(|part| part.kind == "element" || !part.text.is_empty());
        Ok(parts)
    }
}
