//! Whether something is as expected, and how it differs.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

pub use crate::project::testfile::pattern::{ANY, fits as text};

/// Whether a part of a text is as the pattern says.
pub fn within(pattern: &str, whole: &str) -> bool {
    text(&format!("{ANY}{pattern}{ANY}"), whole)
}

/// Whether a value has all that is expected: objects may have more members, lists are whole.
pub fn json(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(any), _) if any == ANY => true,
        (Value::String(pattern), Value::String(found)) => text(pattern, found),
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().zip(actual).all(|(a, b)| json(a, b))
        }
        (Value::Object(expected), Value::Object(actual)) => expected
            .iter()
            .all(|(name, value)| actual.get(name).is_some_and(|found| json(value, found))),
        (expected, actual) => expected == actual,
    }
}

/// Of an actual value what the expected one speaks of; what fits is as it was expected.
pub fn part(expected: &Value, actual: &Value) -> Value {
    match (expected, actual) {
        _ if json(expected, actual) && !expected.is_object() && !expected.is_array() => expected.clone(),
        (Value::Array(expected), Value::Array(found)) => {
            let one = |(at, value): (usize, &Value)| expected.get(at).map_or(value.clone(), |e| part(e, value));
            found.iter().enumerate().map(one).collect()
        }
        (Value::Object(expected), Value::Object(found)) => {
            let one = |(name, e): (&String, &Value)| Some((name.clone(), part(e, found.get(name)?)));
            Value::Object(expected.iter().filter_map(one).collect::<Map<_, _>>())
        }
        _ => actual.clone(),
    }
}

/// Lines with `-` where they were expected and `+` where they came, with some around them.
pub fn diff(expected: &str, actual: &str) -> String {
    let diff = TextDiff::from_lines(expected, actual);
    let mut text = String::from("- expected\n+ actual\n");
    for (n, group) in diff.grouped_ops(3).iter().enumerate() {
        if n > 0 {
            text.push_str("  ...\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let _ = writeln!(text, "{sign} {}", change.value().trim_end_matches('\n'));
        }
    }
    text
}

/// [`diff`] of two values as JSON.
pub fn json_diff(expected: &Value, actual: &Value) -> String {
    diff(&format!("{expected:#}\n"), &format!("{:#}\n", part(expected, actual)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_with_gaps() {
        for (pattern, found, fits) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a[..]c", "abbbc", true),
            ("a[..]c", "abbbd", false),
            ("[..]", "", true),
            ("[..]x[..]x", "x1x", true),
            ("[..]x[..]x", "x", false),
            ("order [..]: charged [..]", "order 7: charged 2", true),
        ] {
            assert_eq!(text(pattern, found), fits, "{pattern:?} {found:?}");
        }
        assert!(within("b", "abc") && !within("d", "abc"));
    }

    #[test]
    fn objects_may_have_more_and_lists_may_not() {
        assert!(json(&json!({"a": 1}), &json!({"a": 1.0, "b": 2})));
        assert!(!json(&json!({"a": 1, "c": 1}), &json!({"a": 1})));
        assert!(!json(&json!([1]), &json!([1, 2])));
        assert!(json(
            &json!({"id": "[..]", "at": "[..]Z"}),
            &json!({"id": 7, "at": "12Z"})
        ));
        let part = part(
            &json!({"a": "[..]", "l": [{"x": 1}]}),
            &json!({"a": 5, "b": 6, "l": [{"x": 2, "y": 3}]}),
        );
        assert_eq!(part, json!({"a": "[..]", "l": [{"x": 2}]}));
    }

    #[test]
    fn a_difference_is_shown_by_lines() {
        assert_eq!(
            json_diff(&json!({"a": 1, "b": 2}), &json!({"a": 1, "b": 3, "c": 4})),
            "- expected\n+ actual\n  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n"
        );
    }
}
