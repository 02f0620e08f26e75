//! What stands before and after a number: signs, currencies, percent signs and units. Taken from what ICU4X makes of a
//! sample, so that digits and rounding can be as the script asks for.

use icu_decimal::input::Decimal;
use icu_experimental::dimension::currency::CurrencyType;
use icu_experimental::dimension::currency::formatter::{CurrencyFormatter, CurrencyFormatterPreferences};
use icu_experimental::dimension::currency::options::{CurrencyFormatterOptions, CurrencyUsage};
use icu_experimental::dimension::percent::formatter::PercentFormatter;
use icu_experimental::dimension::units::categorized_formatter::CategorizedFormatter;
use icu_experimental::dimension::units::options::{UnitsFormatterOptions, Width};
use icu_experimental::measure::category::{Duration, Length, Mass, Volume};
use icu_locale::Locale;
use icu_locale::subtags::Region;

use super::{Part, absent, range};

/// Writes a sample as text, whatever kind of formatter does it.
type Sample = Box<dyn Fn(&Decimal) -> String>;

/// What stands around numbers of one style.
pub struct Affixes {
    /// The name of the part that is neither sign nor space: `currency`, `unit`, `percentSign`.
    kind: &'static str,
    sample: Sample,
    /// The affixes depend on the number, as names do by their plural.
    by_number: bool,
    pub minus: String,
    pub plus: String,
}

/// How money is shown.
pub struct Money<'a> {
    pub code: &'a str,
    /// `symbol`, `narrowSymbol`, `code` or `name`.
    pub display: &'a str,
    pub accounting: bool,
}

fn currency(code: &str) -> Result<CurrencyType, String> {
    CurrencyType::try_from_str(code).map_err(|_| range(&format!("Invalid currency code : {code}")))
}

/// Digits after the point that a currency has: 2 for most, 0 for JPY.
///
/// # Errors
/// It is no code of a currency.
pub fn currency_digits(code: &str) -> Result<String, String> {
    let prefs = CurrencyFormatterPreferences::default();
    let formatter = CurrencyFormatter::try_new_code(prefs, currency(code)?, Default::default()).map_err(absent)?;
    let shown = formatter.format_fixed_decimal(&Decimal::from(0)).to_string();
    let digits = shown.chars().filter(|c| c.is_numeric()).count();
    Ok(digits.saturating_sub(1).to_string())
}

/// The compiled data names metric units in their own language only for regions that measure in them.
fn metric(locale: &Locale) -> Result<Locale, String> {
    let mut metric = locale.clone();
    if locale.id.region.is_none_or(|region| region.as_str() == "US") {
        let english = locale.id.language.as_str() == "en";
        let region = Region::try_from_str("AE").map_err(absent)?;
        metric.id.region = english.then_some(region);
    }
    Ok(metric)
}

impl Affixes {
    /// Signs only.
    pub fn plain(minus: String, plus: String) -> Affixes {
        Affixes {
            kind: "literal",
            sample: Box::new(|_| String::from("1")),
            by_number: false,
            minus,
            plus,
        }
    }

    pub fn money(self, locale: &Locale, money: &Money<'_>) -> Result<Affixes, String> {
        let prefs = locale.into();
        let code = currency(money.code)?;
        let mut options = CurrencyFormatterOptions::default();
        if money.accounting {
            options.usage = CurrencyUsage::Accounting;
        }
        let formatter = match money.display {
            "code" => CurrencyFormatter::try_new_code(prefs, code, options),
            "name" => CurrencyFormatter::try_new_name(prefs, code),
            "narrowSymbol" => CurrencyFormatter::try_new_symbol_narrow(prefs, code, options),
            _ => CurrencyFormatter::try_new_symbol(prefs, code, options),
        };
        let formatter = formatter.map_err(absent)?;
        Ok(Affixes {
            kind: "currency",
            sample: Box::new(move |value| formatter.format_fixed_decimal(value).to_string()),
            by_number: money.display == "name",
            ..self
        })
    }

    pub fn percent(self, locale: &Locale) -> Result<Affixes, String> {
        let formatter = PercentFormatter::try_new(locale.into(), Default::default()).map_err(absent)?;
        Ok(Affixes {
            kind: "percentSign",
            sample: Box::new(move |value| formatter.format(value).to_string()),
            ..self
        })
    }

    pub fn unit(self, locale: &Locale, unit: &str, display: &str) -> Result<Affixes, String> {
        let mut options = UnitsFormatterOptions::default();
        options.width = match display {
            "long" => Width::Long,
            "narrow" => Width::Narrow,
            _ => Width::Short,
        };
        let place = metric(locale)?;
        macro_rules! sample {
            ($category:ident, $unit:expr) => {{
                let made = CategorizedFormatter::<$category>::try_new_outlier((&place).into(), $unit, options);
                let made = made.map_err(absent)?;
                Box::new(move |value: &Decimal| made.format_fixed_decimal(value).to_string())
            }};
        }
        let sample: Sample = match unit {
            "year" => sample!(Duration, Duration::year()),
            "month" => sample!(Duration, Duration::month()),
            "week" => sample!(Duration, Duration::week()),
            "day" => sample!(Duration, Duration::day()),
            "hour" => sample!(Duration, Duration::hour()),
            "minute" => sample!(Duration, Duration::minute()),
            "second" => sample!(Duration, Duration::second()),
            "millisecond" => sample!(Duration, Duration::millisecond()),
            "microsecond" => sample!(Duration, Duration::microsecond()),
            "nanosecond" => sample!(Duration, Duration::nanosecond()),
            "meter" => sample!(Length, Length::meter()),
            "gram" => sample!(Mass, Mass::gram()),
            "kilogram" => sample!(Mass, Mass::kilogram()),
            "liter" => sample!(Volume, Volume::liter()),
            other => {
                let known = "year to nanosecond, meter, gram, kilogram and liter";
                return Err(range(&format!(
                    "the unit {other} is not there in emu, which has {known}"
                )));
            }
        };
        Ok(Affixes {
            kind: "unit",
            sample,
            by_number: true,
            ..self
        })
    }

    /// `body`, the digits of `value`, with what stands around it; `sign` is what to show: -1, 0 or 1.
    pub fn around(&self, value: &Decimal, sign: i8, body: Vec<Part>) -> Vec<Part> {
        let mut sample = if self.by_number {
            value.clone()
        } else {
            Decimal::from(1)
        };
        // Only money knows places and parentheses of its own for negative amounts.
        let own_sign = sign < 0 && matches!(self.kind, "currency" | "percentSign");
        if own_sign {
            sample = format!("-{sample}").parse().unwrap_or(sample);
        }
        let text = (self.sample)(&sample);
        let mut parts = Vec::new();
        if sign > 0 {
            parts.push(Part::new("plusSign", self.plus.as_str()));
        } else if sign < 0 && !own_sign {
            parts.push(Part::new("minusSign", self.minus.as_str()));
        }
        let last = text.char_indices().rfind(|(_, c)| c.is_numeric());
        // Some languages have a word for one and two of a thing, without the number.
        let (Some(first), Some((last, digit))) = (text.find(char::is_numeric), last) else {
            parts.extend(self.split(&text));
            return parts;
        };
        parts.extend(self.split(&text[..first]));
        parts.extend(body);
        parts.extend(self.split(&text[last + digit.len_utf8()..]));
        parts
    }

    /// An affix into its sign, its spaces and parentheses, and the rest.
    fn split(&self, affix: &str) -> Vec<Part> {
        if let Some(at) = affix.find(&self.minus)
            && !self.minus.is_empty()
        {
            let mut parts = self.split(&affix[..at]);
            parts.push(Part::new("minusSign", self.minus.as_str()));
            parts.extend(self.split(&affix[at + self.minus.len()..]));
            return parts;
        }
        let loose = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '\u{200e}' | '\u{200f}' | '\u{61c}');
        let rest = affix.trim_start_matches(loose);
        let lead = &affix[..affix.len() - rest.len()];
        let core = rest.trim_end_matches(loose);
        let tail = &rest[core.len()..];
        [("literal", lead), (self.kind, core), ("literal", tail)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(kind, text)| Part::new(kind, text))
            .collect()
    }
}
