//! What of an answer can be expected again: ids, times and tokens give way to `[..]`.

use serde_json::{Map, Value};

use crate::project::testfile::pattern::ANY;

/// Shorter parts of a text say too little to be expected.
const PART_CHARS_MIN: usize = 4;
/// Texts without a space from this length on are drawn or a secret.
const TOKEN_CHARS: usize = 32;
/// A number this near to the time of the recording is a time, in seconds.
const NEAR_SECS: f64 = 2.0 * 86_400.0;

/// Looks at values of one time.
#[derive(Clone, Copy)]
pub struct Stable {
    /// Seconds since 1970, of the recording.
    pub epoch_secs: f64,
}

impl Stable {
    /// What one answer, or two of the same request, allow to expect. `None`: nothing.
    pub fn json(self, a: &Value, b: &Value) -> Option<Value> {
        let any = || Value::String(ANY.to_owned());
        Some(match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                let common = a.iter().filter_map(|(name, value)| Some((name, value, b.get(name)?)));
                let one = |(name, a, b): (&String, &Value, &Value)| Some((name.clone(), self.json(a, b)?));
                Value::Object(common.filter_map(one).collect::<Map<_, _>>())
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
                .iter()
                .zip(b)
                .map(|(a, b)| self.json(a, b).unwrap_or_else(any))
                .collect(),
            (Value::String(a), Value::String(b)) => Value::String(self.text(a, b)),
            (Value::Number(a), Value::Number(b)) if a == b => match a.as_f64() {
                Some(number) if self.is_time(number) => any(),
                _ => Value::Number(a.clone()),
            },
            (Value::Null, Value::Null) => return None,
            (a, b) if a == b => a.clone(),
            _ => any(),
        })
    }

    pub fn text(self, a: &str, b: &str) -> String {
        if a == b {
            return plain(a);
        }
        let (a, b) = (plain(a), plain(b));
        if a == b {
            return a;
        }
        // What comes before and after the part that differs.
        let head: String = a
            .chars()
            .zip(b.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a)
            .collect();
        let (rest_a, rest_b) = (&a[head.len()..], &b[head.len()..]);
        let common = rest_a
            .chars()
            .rev()
            .zip(rest_b.chars().rev())
            .take_while(|(a, b)| a == b);
        let mut tail: Vec<char> = common.map(|(a, _)| a).collect();
        tail.reverse();
        match head.chars().count() + tail.len() < PART_CHARS_MIN {
            true => ANY.to_owned(),
            false => format!("{head}{ANY}{}", tail.into_iter().collect::<String>()),
        }
    }

    fn is_time(self, number: f64) -> bool {
        [1.0, 1e3]
            .iter()
            .any(|factor| (number / factor - self.epoch_secs).abs() < NEAR_SECS)
    }
}

/// Without ids, instants and tokens.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in words(text) {
        match is_drawn(word) {
            // One for several that stand together.
            true if out.ends_with(ANY) => {}
            true => out.push_str(ANY),
            false => out.push_str(word),
        }
    }
    out
}

/// Runs of characters that ids, instants and tokens consist of, and what lies between.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_:.+/=".contains(c);
    let mut left = text;
    std::iter::from_fn(move || {
        let first = is_word(left.chars().next()?);
        let end = left.find(|c| is_word(c) != first).unwrap_or(left.len());
        let (word, rest) = left.split_at(end);
        left = rest;
        Some(word)
    })
}

fn is_drawn(word: &str) -> bool {
    is_uuid(word) || is_instant(word) || is_token(word)
}

fn is_uuid(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_instant(word: &str) -> bool {
    word.len() >= 19 && chrono::DateTime::parse_from_rfc3339(word).is_ok()
        || chrono::NaiveDateTime::parse_from_str(word, "%Y-%m-%dT%H:%M:%S%.f").is_ok()
}

/// Long, of letters and digits mixed: no path, no sentence.
fn is_token(word: &str) -> bool {
    let has = |test: fn(&u8) -> bool| word.as_bytes().iter().any(test);
    word.len() >= TOKEN_CHARS
        && !word.contains("//")
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && word
            .split(['/', '.', '_', '-'])
            .any(|part| part.len() >= TOKEN_CHARS / 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STABLE: Stable = Stable {
        epoch_secs: 1_795_000_000.0,
    };

    #[test]
    fn ids_times_and_tokens_give_way_and_the_rest_stays() {
        for (text, expected) in [
            (
                "order 6f1c2a7e-91d4-8b3e-8c55-000100000007 is paid",
                "order [..] is paid",
            ),
            ("2026-11-23T19:30:00.123Z", "[..]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3NyJ9.c2lnbmF0dXJlLW9mLWl0", "[..]"),
            (
                "https://shop.example/products/mug-2",
                "https://shop.example/products/mug-2",
            ),
            ("two words", "two words"),
        ] {
            assert_eq!(STABLE.text(text, text), expected);
        }
        assert_eq!(STABLE.text("order 17 of anna", "order 9 of anna"), "order [..] of anna");
        assert_eq!(STABLE.text("ab", "xy"), "[..]");
    }

    #[test]
    fn what_two_answers_share_is_expected() {
        let a =
            json!({"n": 1, "at": 1_795_000_100, "ms": 1_795_000_100_000_u64, "list": [1, 2], "gone": null, "id": "a1"});
        let b = json!({"n": 1, "at": 1_795_000_100, "ms": 1_795_000_100_000_u64, "list": [1], "gone": null, "id": "b2", "more": 1});
        let expected = json!({"n": 1, "at": "[..]", "ms": "[..]", "list": "[..]", "id": "[..]"});
        assert_eq!(STABLE.json(&a, &b), Some(expected));
    }
}
