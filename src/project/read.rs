//! Reads a spanned TOML tree by the table of keys, and keeps every problem it meets.
//!
//! Serde would stop at the first wrong value and knows no span for a key; a walk over the tree reports them all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, list_names, nearest};
use super::keys::{self, Key};
use super::units;
use crate::platform::time::Span;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<T> At<T> {
    pub fn new(value: T, span: Range<usize>) -> At<T> {
        At { value, span }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: f(self.value),
            span: self.span,
        }
    }
}

/// Where problems go while a manifest is read and checked.
#[derive(Debug)]
pub struct Sink {
    pub source: Arc<Source>,
    pub list: Vec<Diagnostic>,
    /// What stands for `NAME` in the heading of the table being read.
    pub name: String,
}

impl Sink {
    pub fn new(source: Arc<Source>) -> Sink {
        Sink {
            source,
            list: Vec::new(),
            name: "NAME".to_owned(),
        }
    }

    /// Adds an error at a place; what comes back takes label, note and remedy.
    pub fn error(&mut self, span: &Range<usize>, message: impl Into<String>) -> Problem<'_> {
        self.push(Diagnostic::error(message).at(&self.source, span.clone()))
    }

    pub fn warning(&mut self, span: &Range<usize>, message: impl Into<String>) -> Problem<'_> {
        self.push(Diagnostic::warning(message).at(&self.source, span.clone()))
    }

    pub fn push(&mut self, diagnostic: Diagnostic) -> Problem<'_> {
        self.list.push(diagnostic);
        let last = self.list.len() - 1;
        Problem(&mut self.list[last])
    }
}

/// A problem just added.
pub struct Problem<'a>(&'a mut Diagnostic);

impl Problem<'_> {
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub fn note(self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    /// Marks a second place of the same file.
    pub fn related(self, span: &Range<usize>, what: impl Into<String>) -> Self {
        if let Some(place) = &self.0.place {
            let other = super::diagnostic::Place {
                source: Arc::clone(&place.source),
                span: span.clone(),
            };
            self.0.related = Some((other, what.into()));
        }
        self
    }
}

/// One key with its value.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// How a message calls it: the key's name, or that of the list it stands in.
    pub name: &'a str,
    pub value: &'a DeValue<'a>,
    pub span: (usize, usize),
}

impl<'a> Field<'a> {
    pub fn span(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    pub fn at<T>(&self, value: T) -> At<T> {
        At::new(value, self.span())
    }
}

/// A table that is being read. Dropping it unread is fine; in debug builds [`Section::done`] holds reader and key table
/// against each other.
pub struct Section<'a> {
    table: &'a DeTable<'a>,
    spec: &'static keys::Table,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    /// Reports keys that the table does not know.
    pub fn open(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        spec: &'static keys::Table,
        sink: &mut Sink,
    ) -> Section<'a> {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !spec.keys.iter().any(|known| known.name == name) {
                unknown_key(name, &key.span(), spec, sink);
            }
        }
        for key in spec
            .keys
            .iter()
            .filter(|key| key.required && !table.contains_key(key.name))
        {
            sink.error(&span, format!("`{}` is missing", key.name)).remedy(format!(
                "add `{} = ...`: {}",
                key.name,
                lower_first(key.doc)
            ));
        }
        Section {
            table,
            spec,
            asked: RefCell::default(),
        }
    }

    /// A table below a key, when it is one.
    pub fn of(field: &Field<'a>, spec: &'static keys::Table, sink: &mut Sink) -> Option<Section<'a>> {
        match field.value {
            DeValue::Table(table) => Some(Section::open(table, field.span(), spec, sink)),
            _ => {
                wrong(field, "a table", sink);
                None
            }
        }
    }

    pub fn get(&self, name: &'static str) -> Option<Field<'a>> {
        debug_assert!(
            self.key(name).is_some(),
            "`{name}` is not in the table of keys of `{}`",
            self.spec.path
        );
        self.asked.borrow_mut().insert(name);
        Some(field(name, self.table.get(name)?))
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.spec.keys.iter().find(|key| key.name == name)
    }

    /// Every key of the table of keys has a reader: holds the two together.
    pub fn done(self) {
        debug_assert!(
            self.spec.keys.iter().all(|key| self.asked.borrow().contains(key.name)),
            "`{}` has keys that nothing reads",
            self.spec.path
        );
    }

    pub fn text(&self, name: &'static str, sink: &mut Sink) -> Option<At<String>> {
        text(&self.get(name)?, sink)
    }

    pub fn boolean(&self, name: &'static str, sink: &mut Sink) -> Option<At<bool>> {
        let field = self.get(name)?;
        if let DeValue::Boolean(value) = field.value {
            return Some(field.at(*value));
        }
        let meant = match field.value {
            DeValue::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some("true".to_owned()),
                "false" | "no" | "off" => Some("false".to_owned()),
                _ => None,
            },
            _ => None,
        };
        wrong_quotes(&field, "`true` or `false`", meant, sink);
        None
    }

    /// An integer within the bounds of the table of keys.
    pub fn integer(&self, name: &'static str, sink: &mut Sink) -> Option<At<u64>> {
        let field = self.get(name)?;
        let (min, max) = match self.key(name).map(|key| &key.kind) {
            Some(keys::Kind::Integer { min, max }) => (*min, *max),
            _ => (0, u64::MAX),
        };
        let DeValue::Integer(integer) = field.value else {
            let meant = match field.value {
                DeValue::String(text) => text.trim().parse::<u64>().ok().map(|number| number.to_string()),
                _ => None,
            };
            wrong_quotes(&field, "a whole number", meant, sink);
            return None;
        };
        let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        match value
            .and_then(|value| u64::try_from(value).ok())
            .filter(|value| (min..=max).contains(value))
        {
            Some(value) => Some(field.at(value)),
            None => {
                let bounds = if max == u64::MAX || max == u64::from(u32::MAX) {
                    format!("at least {min}")
                } else {
                    format!("from {min} to {max}")
                };
                sink.error(&field.span(), format!("`{name}` is {integer}, and must be {bounds}"));
                None
            }
        }
    }

    /// A number from zero up, with or without decimals.
    pub fn decimal(&self, name: &'static str, sink: &mut Sink) -> Option<At<f64>> {
        let field = self.get(name)?;
        let number = match field.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() && number >= 0.0 => Some(field.at(number)),
            Some(_) => {
                sink.error(&field.span(), format!("`{name}` must be a number from zero up"));
                None
            }
            None => {
                wrong(&field, "a number", sink);
                None
            }
        }
    }

    pub fn integer_u32(&self, name: &'static str, sink: &mut Sink) -> Option<At<u32>> {
        let integer = self.integer(name, sink)?;
        // The table of keys bounds these; a missing bound would be a fault of emu's.
        Some(integer.map(|value| u32::try_from(value).unwrap_or(u32::MAX)))
    }

    pub fn duration(&self, name: &'static str, sink: &mut Sink) -> Option<At<Span>> {
        let field = self.get(name)?;
        with_unit(&field, "a time such as \"30s\"", "s", units::parse_span, sink)
    }

    /// Bytes.
    pub fn size(&self, name: &'static str, sink: &mut Sink) -> Option<At<u64>> {
        let field = self.get(name)?;
        with_unit(&field, "a size such as \"256MB\"", "MB", units::parse_size, sink)
    }

    pub fn texts(&self, name: &'static str, sink: &mut Sink) -> Option<At<Vec<At<String>>>> {
        let field = self.get(name)?;
        let items = list(&field, "a list of texts", sink)?;
        Some(field.at(items.iter().filter_map(|item| text(item, sink)).collect()))
    }

    /// One of the choices in the table of keys.
    pub fn choice(&self, name: &'static str, sink: &mut Sink) -> Option<At<&'static str>> {
        let typed = self.text(name, sink)?;
        let choices = match self.key(name).map(|key| &key.kind) {
            Some(keys::Kind::Text(keys::Text::Choice(choices))) => *choices,
            _ => &[],
        };
        if let Some(choice) = choices.iter().find(|choice| **choice == typed.value) {
            return Some(At::new(choice, typed.span));
        }
        let problem = sink.error(&typed.span, format!("`{}` is no value of `{name}`", typed.value));
        let all = list_names(choices.iter().copied());
        problem.remedy(match nearest(&typed.value, choices.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? It takes {all}"),
            None => format!("it takes {all}"),
        });
        None
    }
}

pub fn field<'a>(name: &'a str, value: &'a toml::Spanned<DeValue<'a>>) -> Field<'a> {
    let span = value.span();
    Field {
        name,
        value: value.get_ref(),
        span: (span.start, span.end),
    }
}

pub fn text(field: &Field<'_>, sink: &mut Sink) -> Option<At<String>> {
    match field.value {
        DeValue::String(text) => Some(field.at(text.as_ref().to_owned())),
        _ => {
            wrong_quotes(field, "a text in quotes", in_quotes(field.value), sink);
            None
        }
    }
}

/// The items of a list, each called like the list.
pub fn list<'a>(field: &Field<'a>, expected: &str, sink: &mut Sink) -> Option<Vec<Field<'a>>> {
    match field.value {
        DeValue::Array(items) => Some(
            items
                .iter()
                .map(|item| {
                    let span = item.span();
                    Field {
                        value: item.get_ref(),
                        span: (span.start, span.end),
                        ..*field
                    }
                })
                .collect(),
        ),
        DeValue::String(text) => {
            sink.error(
                &field.span(),
                format!("`{}` takes {expected}, found a text", field.name),
            )
            .remedy(format!("write `{} = [\"{text}\"]`", field.name));
            None
        }
        _ => {
            wrong(field, expected, sink);
            None
        }
    }
}

/// Reports a value of the wrong type.
pub fn wrong(field: &Field<'_>, expected: &str, sink: &mut Sink) {
    let name = field.name;
    sink.error(
        &field.span(),
        format!("`{name}` takes {expected}, found {}", type_name(field.value)),
    );
}

/// The same, where putting quotes on or off makes it right.
fn wrong_quotes(field: &Field<'_>, expected: &str, meant: Option<String>, sink: &mut Sink) {
    let problem = sink.error(
        &field.span(),
        format!("`{}` takes {expected}, found {}", field.name, type_name(field.value)),
    );
    if let Some(meant) = meant {
        problem.remedy(format!("write `{} = {meant}`", field.name));
    }
}

/// A scalar as it would stand in quotes.
fn in_quotes(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(format!("\"{number}\"")),
        DeValue::Float(number) => Some(format!("\"{number}\"")),
        DeValue::Boolean(flag) => Some(format!("\"{flag}\"")),
        DeValue::Datetime(date) => Some(format!("\"{date}\"")),
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn with_unit<T>(
    field: &Field<'_>,
    expected: &str,
    unit: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    sink: &mut Sink,
) -> Option<At<T>> {
    let name = field.name;
    match field.value {
        DeValue::String(text) => match parse(text) {
            Ok(value) => Some(field.at(value)),
            Err(fault) => {
                sink.error(&field.span(), format!("`{name}` takes {expected}, found {fault}"));
                None
            }
        },
        DeValue::Integer(number) => {
            sink.error(&field.span(), format!("`{name}` takes {expected}, found a bare number"))
                .remedy(format!("write the unit: `{name} = \"{number}{unit}\"`"));
            None
        }
        _ => {
            wrong(field, expected, sink);
            None
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(true) => "`true`",
        DeValue::Boolean(false) => "`false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn unknown_key(name: &str, span: &Range<usize>, spec: &'static keys::Table, sink: &mut Sink) {
    let place = if spec.path.is_empty() {
        String::new()
    } else {
        format!(" in `{}`", spec.heading(&sink.name))
    };
    if spec.path.is_empty() && name == "secrets" {
        sink.error(span, "secrets are not there yet")
            .remedy("take `[secrets]` out until a later version");
        return;
    }
    let lower = name.to_lowercase();
    let squashed = lower.replace(['_', '-'], "");
    let alias = spec
        .keys
        .iter()
        .find(|key| key.also.iter().any(|also| *also == lower) || key.name.replace('_', "") == squashed)
        .map(|key| key.name);
    let near = alias.or_else(|| nearest(name, spec.keys.iter().map(|key| key.name)));
    let elsewhere = || home_of(name, spec);
    let remedy = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => match elsewhere() {
            Some(table) => format!("`{name}` belongs in `[{table}]`"),
            None => format!(
                "known keys are {}",
                list_names(spec.keys.iter().map(|key| key.name)).replace(" or ", " and ")
            ),
        },
    };
    sink.error(span, format!("unknown key `{name}`{place}")).remedy(remedy);
}

/// Another main table that knows the key: a key typed under the wrong heading.
fn home_of(name: &str, not_in: &'static keys::Table) -> Option<&'static str> {
    [
        &keys::PROJECT,
        &keys::FUNCTION,
        &keys::QUEUE,
        &keys::TOPIC,
        &keys::KV,
        &keys::HTTP,
        &keys::DEV,
    ]
    .into_iter()
    .filter(|table| table.path != not_in.path)
    .find(|table| table.keys.iter().any(|key| key.name == name))
    .map(|table| table.path)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let lowered: String = chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default();
    lowered.trim_end_matches('.').to_owned()
}
