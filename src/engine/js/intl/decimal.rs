//! Numbers of scripts as decimals, and their rounding as `Intl.NumberFormat` and `Intl.PluralRules` ask for it.

use icu_decimal::input::Decimal;
use serde::Deserialize;

use super::range;

/// Digits beside the exponent's that a number may have: those of the largest and of the smallest number there is.
const DIGITS_MAX: i16 = 1_100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    Ceil,
    Floor,
    Expand,
    Trunc,
    HalfCeil,
    HalfFloor,
    #[default]
    HalfExpand,
    HalfTrunc,
    HalfEven,
}

/// How many digits to show.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Digits {
    min_integer: i16,
    min_fraction: i16,
    max_fraction: i16,
    min_significant: i16,
    /// None of significant digits when this is 0.
    max_significant: i16,
    mode: Mode,
    /// Of fraction and significant digits the rule that keeps more, or less; otherwise significant digits win.
    priority: String,
    /// No fraction when it is all zeros.
    strip_if_integer: bool,
    /// As compact notation rounds: integers, or two significant digits below ten.
    pub compact: bool,
}

/// A number, or what is none. The sign is apart, because zero has one too.
#[derive(Debug, Clone)]
pub struct Value {
    pub negative: bool,
    pub size: Size,
}

#[derive(Debug, Clone)]
pub enum Size {
    /// Not below zero.
    Finite(Decimal),
    Infinite,
    NaN,
}

/// What JavaScript has made a text of: `12.5`, `1e+21`, `-Infinity`.
///
/// # Errors
/// It is no number.
pub fn parse(text: &str) -> Result<Value, String> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = match unsigned {
        "NaN" => Size::NaN,
        "Infinity" => Size::Infinite,
        _ => Size::Finite(digits(unsigned)?),
    };
    Ok(Value { negative, size })
}

fn digits(text: &str) -> Result<Decimal, String> {
    let not_a_number = || range(&format!("{text} is no number"));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i16 = exponent.parse().map_err(|_| not_a_number())?;
    if exponent.abs() > DIGITS_MAX || mantissa.len() > DIGITS_MAX as usize {
        return Err(range("this number has too many digits"));
    }
    if !mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(not_a_number());
    }
    let mut value = Decimal::try_from_str(mantissa.trim_end_matches('.')).map_err(|_| not_a_number())?;
    value.absolute.multiply_pow10(exponent);
    Ok(value)
}

impl Digits {
    /// Whole numbers only, for what has no options of its own.
    pub fn plain(max_fraction: i16) -> Digits {
        Digits {
            min_integer: 1,
            max_fraction,
            ..Digits::default()
        }
    }

    /// Rounds, and pads with zeros.
    pub fn apply(&self, value: &mut Decimal, negative: bool) {
        let start = value.absolute.nonzero_magnitude_start();
        let by_fraction = -self.max_fraction;
        let by_significance = start + 1 - self.max_significant;
        let significant = if self.compact {
            round(value, if start > 0 { 0 } else { start - 1 }, self.mode, negative);
            value.absolute.trim_end();
            value.absolute.pad_start(self.min_integer);
            return;
        } else if self.max_significant == 0 {
            false
        } else {
            match self.priority.as_str() {
                "morePrecision" => by_significance <= by_fraction,
                "lessPrecision" => by_significance > by_fraction,
                _ => true,
            }
        };
        round(
            value,
            if significant { by_significance } else { by_fraction },
            self.mode,
            negative,
        );
        value.absolute.trim_end();
        let padded = if significant {
            value.absolute.nonzero_magnitude_start() + 1 - self.min_significant
        } else {
            -self.min_fraction
        };
        if !(self.strip_if_integer && value.absolute.nonzero_magnitude_end() >= 0) {
            value.absolute.pad_end(padded.min(0));
        }
        value.absolute.trim_start();
        value.absolute.pad_start(self.min_integer);
    }
}

/// Rounds to a power of ten.
fn round(value: &mut Decimal, position: i16, mode: Mode, negative: bool) {
    let digits = &value.absolute;
    let first_lost = digits.digit_at(position.saturating_sub(1));
    let any_lost = !digits.is_zero() && digits.nonzero_magnitude_end() < position;
    let beyond = digits.nonzero_magnitude_end() < position.saturating_sub(1);
    let above_half = first_lost > 5 || (first_lost == 5 && beyond);
    let half = first_lost == 5 && !beyond;
    let away = match mode {
        Mode::Ceil => any_lost && !negative,
        Mode::Floor => any_lost && negative,
        Mode::Expand => any_lost,
        Mode::Trunc => false,
        Mode::HalfCeil => above_half || (half && !negative),
        Mode::HalfFloor => above_half || (half && negative),
        Mode::HalfExpand => above_half || half,
        Mode::HalfTrunc => above_half,
        Mode::HalfEven => above_half || (half && digits.digit_at(position) % 2 == 1),
    };
    if away {
        value.expand(position);
    } else {
        value.trunc(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, digits: &Digits) -> String {
        let value = parse(text).expect("a number");
        let Size::Finite(mut number) = value.size else {
            panic!("{text} is finite");
        };
        digits.apply(&mut number, value.negative);
        format!("{}{number}", if value.negative { "-" } else { "" })
    }

    #[test]
    fn numbers_are_read_as_scripts_write_them() {
        let all = Digits::plain(10);
        for (text, expected) in [
            ("12.50", "12.5"),
            ("1e+21", "1000000000000000000000"),
            ("-1.5e-7", "-0.00000015"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0", "-0"),
            ("007", "7"),
        ] {
            assert_eq!(shown(text, &all), expected, "{text}");
        }
        for text in ["", "abc", "1e9999", "--1", "0x10", "1e", &"1".repeat(2_000)] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse("NaN").expect("none").size, Size::NaN));
        assert!(parse("-Infinity").expect("infinite").negative);
    }

    #[test]
    fn halves_go_where_the_mode_says() {
        let modes = [
            (Mode::Ceil, ["3", "-2", "3", "4"]),
            (Mode::Floor, ["2", "-3", "2", "3"]),
            (Mode::Expand, ["3", "-3", "3", "4"]),
            (Mode::Trunc, ["2", "-2", "2", "3"]),
            (Mode::HalfCeil, ["3", "-2", "2", "4"]),
            (Mode::HalfFloor, ["2", "-3", "2", "3"]),
            (Mode::HalfExpand, ["3", "-3", "2", "4"]),
            (Mode::HalfTrunc, ["2", "-2", "2", "3"]),
            (Mode::HalfEven, ["2", "-2", "2", "4"]),
        ];
        for (mode, expected) in modes {
            let digits = Digits {
                mode,
                ..Digits::plain(0)
            };
            let got = ["2.5", "-2.5", "2.4", "3.5"].map(|text| shown(text, &digits));
            assert_eq!(got, expected, "{mode:?}");
        }
    }
}
