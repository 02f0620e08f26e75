//! Sizes and times as people write them: `"256MB"`, `"1m30s"`, `"500ms"`.

use super::time::Span;

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// `(name, nanoseconds)`; the first names are the ones messages show.
const TIME_UNITS: [(&str, u128); 7] = [
    ("ms", 1_000_000),
    ("s", NANOS_PER_SEC),
    ("m", 60 * NANOS_PER_SEC),
    ("h", 3_600 * NANOS_PER_SEC),
    ("d", 86_400 * NANOS_PER_SEC),
    ("us", 1_000),
    ("min", 60 * NANOS_PER_SEC),
];

/// `(name in lower case, bytes)`. Providers count in powers of 1024 and call them MB, and so does emu.
const SIZE_UNITS: [(&str, u128); 10] = [
    ("b", 1),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("mi", 1 << 20),
    ("m", 1 << 20),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
    ("gi", 1 << 30),
];

/// A length of time: one or more numbers with a unit, `"1m30s"`, `"1.5s"`.
///
/// # Errors
/// A fragment for "expected ..., found ...": what is wrong with the text.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let nanos = parse_sum(text, |unit| {
        TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ns)| *ns)
    })
    .map_err(|fault| fault.describe("s", "ms, s, m, h or d"))?;
    u64::try_from(nanos)
        .map(Span::from_nanos)
        .map_err(|_| "longer than 584 years".to_owned())
}

/// A size in bytes: `"256MB"`, `"1.5GB"`, `"64KB"`.
///
/// # Errors
/// A fragment that says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let bytes = parse_sum(&lower, |unit| {
        SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, b)| *b)
    })
    .map_err(|fault| fault.describe("MB", "B, KB, MB or GB"))?;
    u64::try_from(bytes).map_err(|_| "more than a machine can hold".to_owned())
}

/// Why a text with units could not be read.
enum Fault {
    Empty,
    NoUnit(String),
    NoNumber(String),
    UnknownUnit(String),
    BadNumber,
}

impl Fault {
    fn describe(self, unit: &str, units: &str) -> String {
        match self {
            Fault::Empty => "an empty text".to_owned(),
            Fault::NoUnit(number) => format!("a number without a unit; write \"{number}{unit}\""),
            Fault::NoNumber(text) => format!("no number before `{text}`"),
            Fault::UnknownUnit(text) => format!("the unknown unit `{text}`; units are {units}"),
            Fault::BadNumber => "a number that cannot be read".to_owned(),
        }
    }
}

/// Adds up `NUMBER UNIT` pairs; a number may have decimals, of which nine count.
fn parse_sum(text: &str, unit_value: impl Fn(&str) -> Option<u128>) -> Result<u128, Fault> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Fault::Empty);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_len = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let after = after.trim_start();
        let unit_len = after
            .find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace())
            .unwrap_or(after.len());
        let (unit, remainder) = after.split_at(unit_len);
        if number.is_empty() {
            return Err(Fault::NoNumber(unit.to_owned()));
        }
        if unit.is_empty() {
            return Err(Fault::NoUnit(number.to_owned()));
        }
        let value = unit_value(unit).ok_or_else(|| Fault::UnknownUnit(unit.to_owned()))?;
        total = scaled(number, value)
            .and_then(|part| total.checked_add(part))
            .ok_or(Fault::BadNumber)?;
        rest = remainder.trim_start();
    }
    Ok(total)
}

/// `number * unit` with up to nine decimals, rounded down; `None` when it is no number or overflows.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let billionths: u128 = digits.parse().ok()?;
    whole
        .checked_mul(unit)?
        .checked_add(billionths.checked_mul(unit)? / 1_000_000_000)
}

/// A time as the manifest takes it: whole days as such, `14d`.
pub fn format_span(span: Span) -> String {
    const DAY_NS: u64 = 86_400_000_000_000;
    let ns = span.as_nanos();
    if ns > 0 && ns.is_multiple_of(DAY_NS) {
        format!("{}d", ns / DAY_NS)
    } else {
        span.to_string()
    }
}

/// Bytes in the largest unit that shows them exactly: `256MB`, `1536MB`, `1GB`.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    UNITS
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_with_units() {
        let ms = |text: &str| parse_span(text).map(Span::as_millis);
        assert_eq!(ms("3s"), Ok(3_000));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1m 30s"), Ok(90_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("1.5s"), Ok(1_500));
        assert_eq!(ms(".25h"), Ok(900_000));
        assert_eq!(ms("4d"), Ok(345_600_000));
        assert_eq!(ms("0s"), Ok(0));
        assert_eq!(parse_span("250us"), Ok(Span::from_micros(250)));
    }

    #[test]
    fn spans_that_are_none() {
        let fault = |text: &str| parse_span(text).expect_err(text);
        assert_eq!(fault(""), "an empty text");
        assert_eq!(fault("30"), "a number without a unit; write \"30s\"");
        assert_eq!(fault("s"), "no number before `s`");
        assert_eq!(fault("3 weeks"), "the unknown unit `weeks`; units are ms, s, m, h or d");
        assert_eq!(fault("-3s"), "no number before `-`");
        assert_eq!(fault("1.2.3s"), "a number that cannot be read");
        assert_eq!(fault("99999999999999d"), "longer than 584 years");
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        assert_eq!(parse_size("256MB"), Ok(256 << 20));
        assert_eq!(parse_size("256 MiB"), Ok(256 << 20));
        assert_eq!(parse_size("1.5GB"), Ok(1536 << 20));
        assert_eq!(parse_size("64kb"), Ok(64 << 10));
        assert_eq!(
            parse_size("128"),
            Err("a number without a unit; write \"128MB\"".to_owned())
        );
        assert!(parse_size("1XB").is_err());
        assert!(parse_size("99999999999999999999999GB").is_err());
    }

    #[test]
    fn spans_read_back() {
        for text in ["14d", "36h", "15m", "90s", "1.5s", "250ms", "0s"] {
            assert_eq!(parse_span(text).map(format_span).as_deref(), Ok(text));
        }
    }

    #[test]
    fn sizes_read_back() {
        for text in ["1GB", "1536MB", "3KB", "7B", "0B"] {
            assert_eq!(parse_size(text).map(format_size).as_deref(), Ok(text));
        }
    }
}
