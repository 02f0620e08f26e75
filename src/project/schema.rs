//! The table of keys in two other forms: a JSON Schema for editors, and the reference in the README.

use serde_json::{Map, Value, json};

use super::discover::NAME_LENGTH_MAX;
use super::keys::{self, Kind, Table, Text};

/// The JSON Schema (2020-12) of emu.toml.
pub fn json_schema() -> Value {
    schema_of(&keys::ROOT, "emu.toml")
}

/// The JSON Schema of test files.
pub fn test_schema() -> Value {
    schema_of(&keys::TEST, "test file of emu")
}

fn schema_of(root: &'static Table, title: &str) -> Value {
    let mut defs = Map::new();
    let mut root = table_schema(root, &mut defs);
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!(title));
    root.insert("$defs".into(), Value::Object(defs));
    Value::Object(root)
}

/// [`json_schema`] as text with a line end.
pub fn pretty() -> String {
    format!("{:#}\n", json_schema())
}

fn table_schema(table: &'static Table, defs: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in table.keys {
        let mut schema = kind_schema(&key.kind, defs);
        if let Value::Object(members) = &mut schema {
            let default = if key.default.is_empty() {
                String::new()
            } else {
                format!("\n\nDefault: {}.", key.default)
            };
            members.insert("description".into(), json!(format!("{}{default}", key.doc)));
        }
        properties.insert(key.name.into(), schema);
    }
    let required: Vec<&str> = table
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("description".into(), json!(table.doc));
    schema.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

/// A reference to a table's definition, which is made at the first one.
fn reference_to(table: &'static Table, defs: &mut Map<String, Value>) -> Value {
    let name = table
        .path
        .replace(".NAME", "")
        .replace('.', "-")
        .replace(['[', ']'], "");
    if !defs.contains_key(&name) {
        // Holds the place, should a table ever hold itself.
        defs.insert(name.clone(), Value::Null);
        let schema = table_schema(table, defs);
        defs.insert(name.clone(), Value::Object(schema));
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn kind_schema(kind: &'static Kind, defs: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::False => json!({ "const": false }),
        Kind::Text(text) => text_schema(*text),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Decimal => json!({ "type": "number", "minimum": 0 }),
        Kind::List(of) => json!({ "type": "array", "items": kind_schema(of, defs) }),
        Kind::MapOf(of) => json!({ "type": "object", "additionalProperties": kind_schema(of, defs) }),
        Kind::Named(table) => json!({
            "type": "object",
            "propertyNames": { "pattern": name_pattern() },
            "additionalProperties": reference_to(table, defs),
        }),
        Kind::Table(table) => reference_to(table, defs),
        Kind::OneOf(kinds) => {
            json!({ "anyOf": kinds.iter().map(|kind| kind_schema(kind, defs)).collect::<Vec<_>>() })
        }
        Kind::Object => json!({ "type": "object" }),
        Kind::Any => json!({}),
    }
}

fn name_pattern() -> String {
    format!("^[A-Za-z0-9][A-Za-z0-9_-]{{0,{}}}$", NAME_LENGTH_MAX - 1)
}

fn text_schema(text: Text) -> Value {
    let with = |pattern: &str, examples: &[&str]| json!({ "type": "string", "pattern": pattern, "examples": examples });
    match text {
        Text::Plain | Text::Cron => json!({ "type": "string", "minLength": 0 }),
        Text::Host => json!({ "type": "string", "minLength": 1 }),
        Text::Name => with(&format!("^(queue:)?{}", &name_pattern()[1..]), &[]),
        Text::Size => with(r"^\s*([0-9.]+\s*([KkMmGg][Ii]?[Bb]?|[Bb])\s*)+$", &["128MB", "1GB"]),
        Text::Duration => with(r"^\s*([0-9.]+\s*(us|ms|s|m|min|h|d)\s*)+$", &["500ms", "30s", "1m30s"]),
        Text::Path => with(r"^[^/]", &["functions/api.ts"]),
        Text::Route => with(r"^\s*(([A-Z]+|\*)\s+)?/", &["/*", "GET /products/{id}"]),
        Text::Destination => with(
            &format!("^((queue|topic|function):)?{}", &name_pattern()[1..]),
            &["queue:failed", "topic:failures", "function:cleanup"],
        ),
        Text::Binding => with("^(queue|topic|kv|function):", &["queue:orders"]),
        Text::Clock => with("^(real|manual|x[0-9.]+)$", &["real", "x60", "manual"]),
        Text::Choice(choices) => json!({ "type": "string", "enum": choices }),
    }
}

/// The README's reference of keys, in Markdown: a table for each table of the manifest.
pub fn reference() -> String {
    reference_of(all_tables().into_iter().skip(1))
}

/// The same for test files.
pub fn test_reference() -> String {
    reference_of(tables_of(&keys::TEST).into_iter())
}

fn reference_of(tables: impl Iterator<Item = &'static Table>) -> String {
    let mut text = String::new();
    for table in tables {
        match table.path {
            "" => text.push_str(&format!("{}\n\n", table.doc)),
            _ => text.push_str(&format!("#### `{}`\n\n{}\n\n", table.heading("NAME"), table.doc)),
        }
        text.push_str("| key | takes | default | |\n|---|---|---|---|\n");
        for key in table.keys {
            let default = match (key.required, key.default) {
                (true, _) => "required",
                (false, "") => "none",
                (false, default) => default,
            };
            text.push_str(&format!(
                "| `{}` | {} | {default} | {} |\n",
                key.name,
                key.kind.in_words(),
                key.doc
            ));
        }
        text.push('\n');
    }
    text
}

/// Every table, each before those that stand in it.
pub fn all_tables() -> Vec<&'static Table> {
    tables_of(&keys::ROOT)
}

fn tables_of(root: &'static Table) -> Vec<&'static Table> {
    let mut tables: Vec<&'static Table> = Vec::new();
    add_tables(root, &mut tables);
    tables
}

fn add_tables(table: &'static Table, tables: &mut Vec<&'static Table>) {
    if tables.iter().any(|known| std::ptr::eq(*known, table)) {
        return;
    }
    tables.push(table);
    for key in table.keys {
        tables_in(&key.kind, tables);
    }
}

fn tables_in(kind: &'static Kind, tables: &mut Vec<&'static Table>) {
    match kind {
        Kind::Named(table) | Kind::Table(table) => add_tables(table, tables),
        Kind::List(of) | Kind::MapOf(of) => tables_in(of, tables),
        Kind::OneOf(kinds) => kinds.iter().for_each(|kind| tables_in(kind, tables)),
        Kind::Bool | Kind::False | Kind::Text(_) | Kind::Integer { .. } | Kind::Decimal | Kind::Object | Kind::Any => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::project::tests::{fixtures, root};

    /// Checks the part of JSON Schema that [`json_schema`] uses, patterns left out. The first fault comes back.
    fn check(value: &Value, schema: &Value, defs: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return check(value, &defs[name.trim_start_matches("#/$defs/")], defs, at);
        }
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            let fits = options.iter().any(|option| check(value, option, defs, at).is_ok());
            return if fits {
                Ok(())
            } else {
                Err(format!("{at}: {value} fits no form"))
            };
        }
        if let Some(only) = schema.get("const") {
            return if only == value {
                Ok(())
            } else {
                Err(format!("{at}: {value} is not {only}"))
            };
        }
        let kind = schema["type"].as_str().expect("every schema has a type");
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64(),
            other => panic!("the test knows no type {other}"),
        };
        if !fits {
            return Err(format!("{at}: {value} is no {kind}"));
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array)
            && !choices.contains(value)
        {
            return Err(format!("{at}: {value} is no choice"));
        }
        if let Some(number) = value.as_u64() {
            let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
            if bound("minimum").is_some_and(|min| number < min) || bound("maximum").is_some_and(|max| number > max) {
                return Err(format!("{at}: {value} is out of bounds"));
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if value.get(required.as_str().expect("a key")).is_none() {
                return Err(format!("{at}: {required} is missing"));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            check(item, &schema["items"], defs, at)?;
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            let inner = match (schema["properties"].get(key), schema.get("additionalProperties")) {
                (Some(known), _) => known,
                (None, Some(Value::Bool(false))) => return Err(format!("{at}: unknown key {key}")),
                (None, Some(other)) => other,
                (None, None) => continue,
            };
            check(member, inner, defs, &format!("{at}.{key}"))?;
        }
        Ok(())
    }

    fn check_file(file: &Path) -> Result<(), String> {
        let table: toml::Table = fs::read_to_string(file).expect("readable").parse().expect("valid TOML");
        let value = serde_json::to_value(table).expect("TOML fits into JSON");
        let schema = json_schema();
        check(&value, &schema, &schema["$defs"], "emu.toml")
    }

    #[test]
    fn valid_manifests_and_examples_fit_the_schema() {
        let examples = fs::read_dir(root().join("examples"))
            .expect("examples")
            .filter_map(Result::ok);
        let manifests = examples
            .map(|entry| entry.path().join("emu.toml"))
            .filter(|file| file.is_file());
        for file in fixtures("valid").into_iter().chain(manifests) {
            assert_eq!(check_file(&file), Ok(()), "{}", file.display());
        }
    }

    #[test]
    fn wrong_manifests_do_not_fit() {
        for name in ["unknown-keys", "wrong-types", "queues", "provider"] {
            let file = root()
                .join("fixtures/manifests/invalid")
                .join(name)
                .with_extension("toml");
            assert!(check_file(&file).is_err(), "{name}");
        }
    }

    #[test]
    fn every_key_is_in_one_valid_fixture() {
        let text = fs::read_to_string(root().join("fixtures/manifests/valid/every-key.toml")).expect("readable");
        let table: toml::Table = text.parse().expect("valid TOML");
        let mut seen = BTreeSet::new();
        collect(&toml::Value::Table(table), &mut seen);
        for table in all_tables() {
            for key in table.keys {
                assert!(
                    seen.contains(key.name),
                    "`{}` of `{}` is missing in every-key.toml",
                    key.name,
                    table.path
                );
            }
        }
    }

    fn collect(value: &toml::Value, seen: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    seen.insert(key.clone());
                    collect(value, seen);
                }
            }
            toml::Value::Array(items) => items.iter().for_each(|item| collect(item, seen)),
            _ => {}
        }
    }

    #[test]
    fn names_and_aliases_do_not_collide() {
        for table in all_tables().into_iter().chain(tables_of(&keys::TEST)) {
            let names: BTreeSet<&str> = table.keys.iter().map(|key| key.name).collect();
            assert_eq!(names.len(), table.keys.len(), "{}", table.path);
            let mut aliases = BTreeSet::new();
            for alias in table.keys.iter().flat_map(|key| key.also) {
                assert!(
                    !names.contains(alias) && aliases.insert(alias),
                    "`{alias}` of `{}`",
                    table.path
                );
            }
        }
    }

    #[test]
    fn the_readme_has_these_references() {
        held("--markdown", &reference());
        held("--test --markdown", &test_reference());
    }

    fn held(flags: &str, reference: &str) {
        let readme = root().join("README.md");
        let text = fs::read_to_string(&readme)
            .expect("README.md is there")
            .replace("\r\n", "\n");
        let begin = format!("<!-- keys: made by `emu schema {flags}` -->\n");
        let end = "<!-- end of keys -->\n";
        let start = text.find(&begin).expect("README.md marks where the keys begin") + begin.len();
        let stop = start + text[start..].find(end).expect("README.md marks where the keys end");
        let expected = format!("\n{reference}");
        if text[start..stop] == expected {
            return;
        }
        assert!(
            std::env::var_os("EMU_UPDATE_GOLDENS").is_some(),
            "the reference in README.md is not that of the table of keys; EMU_UPDATE_GOLDENS=1 writes it anew"
        );
        fs::write(&readme, format!("{}{expected}{}", &text[..start], &text[stop..])).expect("README.md is writable");
    }
}
