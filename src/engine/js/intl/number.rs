//! `Intl.NumberFormat`.

use icu_decimal::input::Decimal;
use icu_decimal::options::{CompactDecimalFormatterOptions, GroupingStrategy};
use icu_decimal::{CompactDecimalFormatter, DecimalFormatter};
use icu_locale::Locale;
use serde::Deserialize;

use super::affix::{Affixes, Money};
use super::decimal::{self, Digits, Size, Value};
use super::{Part, absent};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    style: String,
    currency: String,
    currency_display: String,
    currency_sign: String,
    unit: String,
    unit_display: String,
    notation: String,
    compact_display: String,
    /// `auto`, `always`, `min2` or `never`.
    grouping: String,
    sign_display: String,
    digits: Digits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Standard,
    Compact,
    /// The exponent is a multiple of this.
    Scientific(i16),
}

pub struct Format {
    decimal: DecimalFormatter,
    compact: Option<CompactDecimalFormatter>,
    affixes: Affixes,
    notation: Notation,
    percent: bool,
    sign_display: String,
    digits: Digits,
    /// As this locale writes it: the digits, and what stands between whole numbers and fractions.
    zero: char,
    point: String,
    /// What parts thousands, when even four digits are to be parted.
    comma: Option<String>,
}

pub fn grouping(name: &str) -> GroupingStrategy {
    match name {
        "always" => GroupingStrategy::Always,
        "min2" => GroupingStrategy::Min2,
        "never" => GroupingStrategy::Never,
        _ => GroupingStrategy::Auto,
    }
}

/// What this formatter puts before a number with a sign.
fn sign_of(decimal: &DecimalFormatter, sample: &str) -> String {
    let shown = Decimal::try_from_str(sample).map(|value| decimal.format(&value).to_string());
    let shown = shown.unwrap_or_default();
    shown.chars().take_while(|c| !c.is_numeric()).collect()
}

/// The zero of this formatter's digits.
pub fn zero_of(decimal: &DecimalFormatter) -> char {
    let zero = decimal.format(&Decimal::from(0)).to_string();
    zero.chars().next().unwrap_or('0')
}

/// What this formatter puts before a fraction.
pub fn point_of(decimal: &DecimalFormatter) -> String {
    let half = Decimal::try_from_str("0.5").unwrap_or_default();
    let shown = decimal.format(&half).to_string();
    shown.chars().filter(|c| !c.is_numeric()).collect()
}

/// What this formatter puts between millions and thousands.
fn comma_of(decimal: &DecimalFormatter) -> String {
    let million = decimal.format(&Decimal::from(1_000_000)).to_string();
    let is_between = |c: &char| !c.is_numeric();
    million
        .chars()
        .skip_while(|c| c.is_numeric())
        .take_while(is_between)
        .collect()
}

/// The name of a numbering system by its zero.
pub fn digits_named(zero: char) -> &'static str {
    match zero {
        '\u{660}' => "arab",
        '\u{6f0}' => "arabext",
        '\u{966}' => "deva",
        '\u{9e6}' => "beng",
        '\u{1040}' => "mymr",
        '\u{e50}' => "thai",
        '\u{11136}' => "cakm",
        '\u{1c50}' => "olck",
        '\u{1e950}' => "adlm",
        '\u{f20}' => "tibt",
        _ => "latn",
    }
}

impl Format {
    pub fn new(locale: &Locale, options: &Options) -> Result<Format, String> {
        let strategy = grouping(&options.grouping);
        let decimal = DecimalFormatter::try_new(locale.into(), strategy.into()).map_err(absent)?;
        let notation = match options.notation.as_str() {
            "compact" => Notation::Compact,
            "scientific" => Notation::Scientific(1),
            "engineering" => Notation::Scientific(3),
            _ => Notation::Standard,
        };
        let compact = if notation == Notation::Compact {
            let strategy = CompactDecimalFormatterOptions::from(strategy);
            let made = match options.compact_display.as_str() {
                "long" => CompactDecimalFormatter::try_new_long(locale.into(), strategy),
                _ => CompactDecimalFormatter::try_new_short(locale.into(), strategy),
            };
            Some(made.map_err(absent)?)
        } else {
            None
        };
        let affixes = Affixes::plain(sign_of(&decimal, "-1"), sign_of(&decimal, "+1"));
        let affixes = match options.style.as_str() {
            "currency" => affixes.money(
                locale,
                &Money {
                    code: &options.currency,
                    display: &options.currency_display,
                    accounting: options.currency_sign == "accounting",
                },
            )?,
            "percent" => affixes.percent(locale)?,
            "unit" if options.unit == "percent" => affixes.percent(locale)?,
            "unit" => affixes.unit(locale, &options.unit, &options.unit_display)?,
            _ => affixes,
        };
        Ok(Format {
            compact,
            affixes,
            notation,
            percent: options.style == "percent",
            sign_display: options.sign_display.clone(),
            digits: options.digits.clone(),
            zero: zero_of(&decimal),
            point: point_of(&decimal),
            comma: (strategy == GroupingStrategy::Always).then(|| comma_of(&decimal)),
            decimal,
        })
    }

    /// The numbering system it writes.
    pub fn digits(&self) -> &'static str {
        digits_named(self.zero)
    }

    /// # Errors
    /// It is no number.
    pub fn format(&self, value: &str) -> Result<Vec<Part>, String> {
        let Value { negative, size } = decimal::parse(value)?;
        let one = Decimal::from(1);
        let (number, body, zero, nan) = match size {
            Size::NaN => (one, vec![Part::new("nan", "NaN")], false, true),
            Size::Infinite => (one, vec![Part::new("infinity", "∞")], false, false),
            Size::Finite(mut number) => {
                if self.percent {
                    number.absolute.multiply_pow10(2);
                }
                let body = self.body(&mut number, negative);
                let zero = number.absolute.is_zero();
                (number, body, zero, false)
            }
        };
        let sign = match self.sign_display.as_str() {
            "never" => 0,
            "always" => 1 - 2 * i8::from(negative && !nan),
            "exceptZero" if zero || nan => 0,
            "exceptZero" => 1 - 2 * i8::from(negative),
            "negative" => -i8::from(negative && !zero && !nan),
            _ => -i8::from(negative && !nan),
        };
        Ok(merged(self.affixes.around(&number, sign, body)))
    }

    /// Rounds the number, and its digits as parts.
    fn body(&self, number: &mut Decimal, negative: bool) -> Vec<Part> {
        match (self.notation, &self.compact) {
            (Notation::Compact, Some(compact)) => self.compact_body(compact, number, negative),
            (Notation::Scientific(step), _) => self.scientific_body(step, number, negative),
            _ => {
                self.digits.apply(number, negative);
                self.digits_of(number)
            }
        }
    }

    fn compact_body(&self, compact: &CompactDecimalFormatter, number: &mut Decimal, negative: bool) -> Vec<Part> {
        let exponent_of = |value: &Decimal| {
            if value.absolute.is_zero() {
                0
            } else {
                compact.compact_exponent_for_magnitude(value.absolute.nonzero_magnitude_start())
            }
        };
        let mut exponent = exponent_of(number);
        let mut short = number.clone().multiplied(exponent);
        self.digits.apply(&mut short, negative);
        // 999,999 becomes 1M by its rounding.
        let mut rounded = short.clone();
        rounded.absolute.multiply_pow10(exponent.into());
        let after = exponent_of(&rounded);
        if after != exponent {
            exponent = after;
            short = number.clone().multiplied(exponent);
            self.digits.apply(&mut short, negative);
        }
        *number = short.clone();
        number.absolute.multiply_pow10(exponent.into());
        let body = self.digits_of(&short);
        let plain: String = body.iter().map(|part| part.text.as_str()).collect();
        if exponent == 0 {
            return body;
        }
        let Ok(whole) = compact
            .format_with_exponent(&short, exponent)
            .map(|text| text.to_string())
        else {
            return body;
        };
        let (before, after) = whole.split_once(&plain).unwrap_or(("", ""));
        let mut parts = named("compact", before);
        parts.extend(body);
        parts.extend(named("compact", after));
        parts
    }

    fn scientific_body(&self, step: i16, number: &mut Decimal, negative: bool) -> Vec<Part> {
        let exponent_of = |value: &Decimal| value.absolute.nonzero_magnitude_start().div_euclid(step) * step;
        let mut exponent = if number.absolute.is_zero() {
            0
        } else {
            exponent_of(number)
        };
        number.absolute.multiply_pow10(-exponent);
        self.digits.apply(number, negative);
        let more = if number.absolute.is_zero() {
            0
        } else {
            exponent_of(number)
        };
        if more != 0 {
            exponent += more;
            number.absolute.multiply_pow10(-more);
            self.digits.apply(number, negative);
        }
        let mut parts = self.digits_of(number);
        parts.push(Part::new("exponentSeparator", "E"));
        if exponent < 0 {
            parts.push(Part::new("exponentMinusSign", self.affixes.minus.as_str()));
        }
        let digits = self.decimal.format(&Decimal::from(exponent.unsigned_abs())).to_string();
        parts.push(Part::new("exponentInteger", digits));
        parts
    }

    /// The digits as this locale groups them: `integer`, `group`, `decimal`, `fraction`.
    fn digits_of(&self, number: &Decimal) -> Vec<Part> {
        let shown = self.decimal.format(number).to_string();
        let whole = if number.to_string().contains('.') {
            shown.rfind(&self.point)
        } else {
            None
        };
        let (whole, fraction) = match whole {
            Some(at) => (&shown[..at], &shown[at + self.point.len()..]),
            None => (shown.as_str(), ""),
        };
        let mut parts: Vec<Part> = Vec::new();
        for c in whole.chars() {
            let kind = if c.is_numeric() { "integer" } else { "group" };
            match parts.last_mut() {
                Some(last) if last.kind == kind => last.text.push(c),
                _ => parts.push(Part::new(kind, c)),
            }
        }
        // ICU4X leaves four digits together where the locale does, whatever is asked for.
        if let (Some(comma), [four]) = (&self.comma, parts.as_mut_slice())
            && four.text.chars().count() == 4
            && !comma.is_empty()
        {
            let rest: String = four.text.chars().skip(1).collect();
            four.text.truncate(four.text.len() - rest.len());
            parts.push(Part::new("group", comma.as_str()));
            parts.push(Part::new("integer", rest));
        }
        if !fraction.is_empty() {
            parts.push(Part::new("decimal", self.point.as_str()));
            parts.push(Part::new("fraction", fraction));
        }
        parts
    }
}

/// A number over a power of ten.
trait Over {
    fn multiplied(self, exponent: u8) -> Self;
}

impl Over for Decimal {
    fn multiplied(mut self, exponent: u8) -> Decimal {
        self.absolute.multiply_pow10(-i16::from(exponent));
        self
    }
}

/// Text as a part, the spaces around it as others.
fn named(kind: &'static str, text: &str) -> Vec<Part> {
    let core = text.trim();
    let at = text.find(core).unwrap_or(0);
    [
        ("literal", &text[..at]),
        (kind, core),
        ("literal", &text[at + core.len()..]),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(kind, text)| Part::new(kind, text))
    .collect()
}

/// Literals beside each other become one.
pub fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if last.kind == "literal" && part.kind == "literal" => last.text.push_str(&part.text),
            _ if part.text.is_empty() => {}
            _ => merged.push(part),
        }
    }
    merged
}
