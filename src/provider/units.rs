//! Times, sizes and prices as profiles write them: strings with units, and dollars read without rounding.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::platform::time::Span;
use crate::platform::units::{parse_size, parse_span};

/// A price in picodollars (1e-12 $), for one unit of whatever it prices. Written as decimal dollars in a string, so that
/// no figure ever passes through floating point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(pub u64);

/// Reads decimal dollars (`0.0000166667`) into picodollars; more than twelve decimals are an error.
pub fn parse_price(text: &str) -> Result<Price, String> {
    picodollars(text.trim())
        .map(Price)
        .ok_or_else(|| format!("`{text}` is not a price in dollars with at most twelve decimals"))
}

fn picodollars(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 12 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<12}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000_000)?
        .checked_add(fraction)
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        parse_price(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn read_span(text: &str) -> Result<Span, String> {
    parse_span(text).map_err(|fault| format!("expected a time like `30s`, found {fault}"))
}

fn read_bytes(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|fault| format!("expected a size like `6MB`, found {fault}"))
}

pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    read_span(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| read_span(&text).map_err(D::Error::custom))
        .transpose()
}

pub(super) fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| read_span(text).map_err(D::Error::custom))
        .collect()
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    read_bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn optional_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| read_bytes(&text).map_err(D::Error::custom))
        .transpose()
}
