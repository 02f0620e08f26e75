//! Values as TOML writes them in one line, for files that emu makes.

use serde_json::Value;

use super::pattern::ANY;

/// A value in one line. What is null in JSON cannot be written: anything is expected there.
#[must_use]
pub fn value(value_of: &Value) -> String {
    match value_of {
        Value::Null => format!("\"{ANY}\""),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let member = |(name, one): (&String, &Value)| format!("{} = {}", key(name), value(one));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether TOML has words for all of it: it has none for null, nor for integers beyond 64 bits with a sign.
#[must_use]
pub fn is_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_f64() || number.is_i64(),
        Value::Array(items) => items.iter().all(is_toml),
        Value::Object(members) => members.values().all(is_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// An answer of the outside as a table. `request`: method and URL.
#[must_use]
pub fn outbound(request: &str, status: u16, content_type: Option<&str>, body: &str) -> String {
    let mut text = format!("[[outbound]]\nurl = {}\nstatus = {status}\n", quoted(request));
    if let Some(kind) = content_type {
        text.push_str(&format!("headers = {{ content-type = {} }}\n", quoted(kind)));
    }
    match serde_json::from_str::<Value>(body) {
        Ok(json) if (json.is_object() || json.is_array()) && is_toml(&json) => {
            text.push_str(&format!("json = {}\n", value(&json)));
        }
        _ if body.is_empty() => {}
        // What TOML has no words for is kept as text.
        _ => text.push_str(&format!("body = {}\n", quoted(body))),
    }
    text
}

/// A key, bare where it may be.
#[must_use]
pub fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    match !name.is_empty() && name.bytes().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_toml_has_no_words_for_is_told() {
        for value in [json!({"a": [1, -2.5, "x", true]}), json!(i64::MIN), json!(1e300)] {
            assert!(is_toml(&value), "{value}");
        }
        for value in [json!(null), json!({"a": [null]}), json!([u64::MAX])] {
            assert!(!is_toml(&value), "{value}");
        }
    }

    #[test]
    fn values_are_written_as_toml_reads_them() {
        let written = json!({"a b": [1, 2.5, true, "x\"\\\n\u{1}"], "none": null, "in": {"e": {}}});
        let text = format!("value = {}", value(&written));
        let read: toml::Table = text.parse().expect("valid TOML");
        let mut expected = written;
        expected["none"] = json!(ANY);
        assert_eq!(serde_json::to_value(&read["value"]).expect("JSON"), expected);
    }
}
