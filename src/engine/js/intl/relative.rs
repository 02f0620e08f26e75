//! `Intl.RelativeTimeFormat`.

use icu_decimal::DecimalFormatter;
use icu_experimental::relativetime::options::Numeric;
use icu_experimental::relativetime::{RelativeTimeFormatter as Made, RelativeTimeFormatterOptions};
use icu_locale::Locale;
use serde::Deserialize;

use super::decimal::{self, Digits, Size};
use super::{Part, absent, range};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    style: String,
    unit: String,
    auto: bool,
}

/// For one unit.
pub struct Format {
    made: Made,
    decimal: DecimalFormatter,
}

impl Format {
    pub fn new(locale: &Locale, options: &Options) -> Result<Format, String> {
        let numeric = if options.auto { Numeric::Auto } else { Numeric::Always };
        let chosen = RelativeTimeFormatterOptions::default().with_numeric(numeric);
        let make = match (options.style.as_str(), options.unit.as_str()) {
            ("narrow", "second") => Made::try_new_narrow_second,
            ("narrow", "minute") => Made::try_new_narrow_minute,
            ("narrow", "hour") => Made::try_new_narrow_hour,
            ("narrow", "day") => Made::try_new_narrow_day,
            ("narrow", "week") => Made::try_new_narrow_week,
            ("narrow", "month") => Made::try_new_narrow_month,
            ("narrow", "quarter") => Made::try_new_narrow_quarter,
            ("narrow", "year") => Made::try_new_narrow_year,
            ("short", "second") => Made::try_new_short_second,
            ("short", "minute") => Made::try_new_short_minute,
            ("short", "hour") => Made::try_new_short_hour,
            ("short", "day") => Made::try_new_short_day,
            ("short", "week") => Made::try_new_short_week,
            ("short", "month") => Made::try_new_short_month,
            ("short", "quarter") => Made::try_new_short_quarter,
            ("short", "year") => Made::try_new_short_year,
            (_, "second") => Made::try_new_long_second,
            (_, "minute") => Made::try_new_long_minute,
            (_, "hour") => Made::try_new_long_hour,
            (_, "day") => Made::try_new_long_day,
            (_, "week") => Made::try_new_long_week,
            (_, "month") => Made::try_new_long_month,
            (_, "quarter") => Made::try_new_long_quarter,
            (_, "year") => Made::try_new_long_year,
            (_, other) => return Err(range(&format!("there is no unit {other}"))),
        };
        Ok(Format {
            made: make(locale.into(), chosen).map_err(absent)?,
            decimal: DecimalFormatter::try_new(locale.into(), Default::default()).map_err(absent)?,
        })
    }

    /// # Errors
    /// It is no finite number.
    pub fn format(&self, value: &str) -> Result<Vec<Part>, String> {
        let value = decimal::parse(value)?;
        let Size::Finite(mut number) = value.size else {
            return Err(range("the value must be a finite number"));
        };
        Digits::plain(3).apply(&mut number, value.negative);
        let digits = self.decimal.format(&number).to_string();
        let signed = if value.negative {
            format!("-{number}").parse().unwrap_or(number)
        } else {
            number
        };
        let text = self.made.format(signed).to_string();
        let Some((before, after)) = text.split_once(&digits) else {
            return Ok(vec![Part::new("literal", text)]);
        };
        let parts = [
            Part::new("literal", before),
            Part::new("integer", digits.as_str()),
            Part::new("literal", after),
        ];
        Ok(parts.into_iter().filter(|part| !part.text.is_empty()).collect())
    }
}
