//! `Intl.Collator`.

use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_locale::Locale;
use serde::Deserialize;

use super::{absent, told};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    sensitivity: String,
    ignore_punctuation: bool,
}

/// Numeric order and whether capitals come first are in the locale, as `kn` and `kf`.
pub struct Collator(CollatorBorrowed<'static>);

impl Collator {
    pub fn new(locale: &Locale, options: &Options) -> Result<Collator, String> {
        let mut chosen = CollatorOptions::default();
        chosen.strength = Some(match options.sensitivity.as_str() {
            "base" | "case" => Strength::Primary,
            "accent" => Strength::Secondary,
            _ => Strength::Tertiary,
        });
        if options.sensitivity == "case" {
            chosen.case_level = Some(CaseLevel::On);
        }
        if options.ignore_punctuation {
            chosen.alternate_handling = Some(AlternateHandling::Shifted);
            chosen.max_variable = Some(MaxVariable::Punctuation);
        }
        let made = CollatorBorrowed::try_new(CollatorPreferences::from(locale), chosen);
        Ok(Collator(made.map_err(absent)?))
    }

    /// -1, 0 or 1 for a JSON array of two texts.
    pub fn compare(&self, pair: &str) -> Result<String, String> {
        let (left, right): (String, String) = told(pair)?;
        Ok((self.0.compare(&left, &right) as i8).to_string())
    }
}
