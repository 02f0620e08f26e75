//! Times, sizes and prices as profiles (and manifests) write them: strings with units, read without rounding.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::platform::time::Span;

/// A price in picodollars (1e-12 $), for one unit of whatever it prices. Written as decimal dollars in a string, so that
/// no figure ever passes through floating point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(pub u64);

/// Reads `250ms`, `1.5s`, `10m`, `1h30m`, `4d`. Parts add up; each needs its unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`).
pub fn parse_span(text: &str) -> Result<Span, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(String::from("a time is empty; write it with a unit, like `30s`"));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" => return Err(format!("`{text}` has no unit; write `{text}s` or `{text}ms`")),
            _ => {
                return Err(format!(
                    "`{unit}` in `{text}` is no unit of time; use ns, us, ms, s, m, h or d"
                ));
            }
        };
        let part =
            decimal(number, scale).ok_or_else(|| format!("`{text}` is not a time; write it like `30s` or `1.5h`"))?;
        total = total
            .checked_add(part)
            .ok_or_else(|| format!("`{text}` is longer than emu can count"))?;
        rest = tail.trim_start();
    }
    Ok(Span(total))
}

/// Reads `512B`, `128KB`, `6MB`, `1GB`; as in the providers' own documents 1 KB is 1,024 bytes, and so is 1 KiB.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "" => return Err(format!("`{text}` has no unit; write `{text}MB` or `{text}KB`")),
        other => return Err(format!("`{other}` in `{text}` is no unit of size; use B, KB, MB or GB")),
    };
    decimal(number, scale).ok_or_else(|| format!("`{text}` is not a size; write it like `256MB`"))
}

/// Reads decimal dollars (`0.0000166667`) into picodollars; more than twelve decimals are an error.
pub fn parse_price(text: &str) -> Result<Price, String> {
    decimal(text.trim(), 1_000_000_000_000)
        .map(Price)
        .ok_or_else(|| format!("`{text}` is not a price in dollars with at most twelve decimals"))
}

/// `number * scale` exactly; `None` when it is no plain decimal, overflows, or leaves a fraction.
fn decimal(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return u64::try_from(whole).ok();
    }
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
    let denominator = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if parts % denominator != 0 {
        return None;
    }
    u64::try_from(whole + parts / denominator).ok()
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        parse_price(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    parse_span(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse_span(&text).map_err(D::Error::custom))
        .transpose()
}

pub(super) fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| parse_span(text).map_err(D::Error::custom))
        .collect()
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse_bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn optional_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse_bytes(&text).map_err(D::Error::custom))
        .transpose()
}
