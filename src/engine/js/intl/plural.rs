//! `Intl.PluralRules`.

use icu_locale::Locale;
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules};
use serde::Deserialize;
use serde_json::{Value, json};

use super::absent;
use super::decimal::{self, Digits, Size};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    ordinal: bool,
    digits: Digits,
}

pub struct Rules {
    rules: PluralRules,
    digits: Digits,
}

fn name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

impl Rules {
    pub fn new(locale: &Locale, options: Options) -> Result<Rules, String> {
        let kind = if options.ordinal {
            PluralRuleType::Ordinal
        } else {
            PluralRuleType::Cardinal
        };
        let rules = PluralRules::try_new(locale.into(), kind.into()).map_err(absent)?;
        Ok(Rules {
            rules,
            digits: options.digits,
        })
    }

    /// As JSON, in the order that scripts see them in.
    pub fn categories(&self) -> Value {
        let mut all: Vec<PluralCategory> = self.rules.categories().collect();
        let order = |category: &PluralCategory| match category {
            PluralCategory::Few => 0,
            PluralCategory::Many => 1,
            PluralCategory::One => 2,
            PluralCategory::Two => 3,
            PluralCategory::Zero => 4,
            PluralCategory::Other => 5,
        };
        all.sort_by_key(order);
        json!(all.into_iter().map(name).collect::<Vec<_>>())
    }

    pub fn select(&self, value: &str) -> Result<String, String> {
        let value = decimal::parse(value)?;
        let Size::Finite(mut number) = value.size else {
            return Ok("other".to_owned());
        };
        self.digits.apply(&mut number, value.negative);
        Ok(name(self.rules.category_for(&number)).to_owned())
    }
}
