//! `--set KEY=VALUE`: values that take the place of a file's own. They are read as lines behind the file's text, so that a
//! mistake in one is pointed at like any other.

use toml::de::{DeTable, DeValue};

use super::keys;
use crate::project::keys::Table;

/// A key with dots, and a value as TOML or as a bare text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub key: String,
    pub value: String,
}

impl Override {
    /// From `KEY=VALUE`.
    ///
    /// # Errors
    /// A fragment that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Override, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!(
                "`{text}` has no `=`; write KEY=VALUE, such as workload.rate=20/s"
            ));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(format!(
                "`{text}` lacks its key or its value; write KEY=VALUE, such as workload.rate=20/s"
            ));
        }
        Ok(Override {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }

    /// As a line of TOML: a value that is none by itself is a text.
    fn line(&self, key: &str) -> String {
        let as_is = format!("x = {}", self.value);
        let value = match as_is.parse::<toml::Table>() {
            Ok(_) => self.value.clone(),
            Err(_) => toml::Value::String(self.value.clone()).to_string(),
        };
        let parts: Vec<String> = key.split('.').map(bare_or_quoted).collect();
        format!("{} = {value}\n", parts.join("."))
    }
}

/// A key as TOML writes it.
pub fn bare_or_quoted(part: &str) -> String {
    let bare = !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare {
        part.to_owned()
    } else {
        toml::Value::String(part.to_owned()).to_string()
    }
}

/// The file with the overrides behind it, and where they begin.
pub fn joined(text: &str, overrides: &[Override]) -> (String, usize) {
    let mut joined = text.to_owned();
    if !joined.is_empty() && !joined.ends_with('\n') {
        joined.push('\n');
    }
    let begins = joined.len();
    let functions = functions_of(text);
    // Of several for one key the last one holds.
    for (at, set) in overrides.iter().enumerate() {
        if !overrides[at + 1..].iter().any(|later| later.key == set.key) {
            joined.push_str(&set.line(&full_key(&set.key, &functions)));
        }
    }
    (joined, begins)
}

fn functions_of(text: &str) -> Vec<String> {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let functions = table.get("functions").and_then(toml::Value::as_table);
    functions
        .map(|functions| functions.keys().cloned().collect())
        .unwrap_or_default()
}

/// `rate` is `workload.rate`, and `memory` that of the function where there is only one.
fn full_key(key: &str, functions: &[String]) -> String {
    let first = key.split('.').next().unwrap_or(key);
    let knows = |table: &Table| table.keys.iter().any(|known| known.name == first);
    if knows(&keys::ROOT) {
        return key.to_owned();
    }
    match functions {
        [only] if knows(&keys::FUNCTION) => format!("functions.{only}.{key}"),
        _ if knows(&keys::WORKLOAD) => format!("workload.{key}"),
        _ => key.to_owned(),
    }
}

/// Puts values into a tree, table by table.
pub fn merge<'a>(into: &mut DeTable<'a>, from: DeTable<'a>) {
    for (key, value) in from {
        match (into.get_mut(&key).map(|old| old.get_mut()), value.get_ref()) {
            (Some(DeValue::Table(old)), DeValue::Table(_)) => {
                if let DeValue::Table(new) = value.into_inner() {
                    merge(old, new);
                }
            }
            _ => {
                into.remove(&key);
                into.insert(key, value);
            }
        }
    }
}
