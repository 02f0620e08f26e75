//! Filters of subscriptions: SNS's filter policies, over a message's attributes and the JSON of its body.
//!
//! A policy is an object; every key of it must match (and), by any of its patterns (or). Unless it has a scope, a key is
//! looked for among the attributes first, then in the body. An object below a key describes an object in the body.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::input::TopicContent;

/// A subscription's filter policy, as [`Filter::parse`] made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    keys: BTreeMap<String, Rule>,
    scope: Scope,
}

/// Where a filter looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Among the attributes, then in the body.
    #[default]
    Any,
    Attributes,
    /// A body that is no JSON object never passes.
    Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// Any of these.
    Any(Vec<Pattern>),
    /// Deeper in the body.
    Nested(BTreeMap<String, Rule>),
}

#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Exact(Value),
    Prefix(String),
    Suffix(String),
    EqualsIgnoreCase(String),
    /// Present, and none of these.
    AnythingBut(Vec<Pattern>),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// Bounds of a policy, so that matching stays cheap.
const DEPTH_MAX: usize = 8;
const PATTERNS_MAX: usize = 150;

impl Filter {
    /// Reads a policy such as `{"plan": ["pro"], "price": [{"numeric": [">", 10]}]}`. A single value stands for a list
    /// of one.
    ///
    /// # Errors
    /// What is wrong and where, as a fragment with the remedy.
    pub fn parse(policy: &Value) -> Result<Filter, String> {
        let Value::Object(policy) = policy else {
            return Err(format!(
                "a filter is a table of keys and patterns, such as {{ plan = [\"pro\"] }}, not {policy}"
            ));
        };
        let keys = parse_keys(policy, "", 0)?;
        let scope = Scope::default();
        Ok(Filter { keys, scope })
    }

    /// The same filter, looking in one place only.
    ///
    /// # Errors
    /// When it describes an object, which attributes are not, as a fragment with the remedy.
    pub fn within(self, scope: Scope) -> Result<Filter, String> {
        let nested = self.keys.iter().find(|(_, rule)| matches!(rule, Rule::Nested(_)));
        match nested {
            Some((key, _)) if scope == Scope::Attributes => Err(format!(
                "`{key}` describes an object, and attributes are values; filter on the body, with `filter_scope = \"body\"`"
            )),
            _ => Ok(Filter { scope, ..self }),
        }
    }

    /// Whether a message passes. An empty filter lets everything pass.
    pub fn matches(&self, content: &TopicContent) -> bool {
        let body = content.body.as_object();
        if self.scope == Scope::Body && body.is_none() {
            return false;
        }
        self.keys.iter().all(|(key, rule)| {
            let attribute = content.attributes.get(key).filter(|_| self.scope != Scope::Body);
            let body = body.filter(|_| self.scope != Scope::Attributes);
            rule.matches(attribute.or_else(|| body.and_then(|body| body.get(key))))
        })
    }
}

impl Rule {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Rule::Any(patterns) => patterns.iter().any(|pattern| pattern.matches(value)),
            Rule::Nested(keys) => keys.iter().all(|(key, rule)| match value {
                Some(Value::Array(items)) => items.iter().any(|item| rule.matches(member(Some(item), key))),
                value => rule.matches(member(value, key)),
            }),
        }
    }
}

fn member<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    value?.as_object()?.get(key)
}

impl Pattern {
    /// A list matches when any of its items does (of `anything-but`: when none is excluded).
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Pattern::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (Pattern::AnythingBut(excluded), Some(Value::Array(items))) => !items
                .iter()
                .any(|item| excluded.iter().any(|pattern| pattern.matches_one(item))),
            (Pattern::AnythingBut(excluded), Some(value)) => !excluded.iter().any(|pattern| pattern.matches_one(value)),
            (pattern, Some(Value::Array(items))) => items.iter().any(|item| pattern.matches_one(item)),
            (pattern, Some(value)) => pattern.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        match self {
            Pattern::Exact(Value::Number(wanted)) => value.as_f64().is_some() && value.as_f64() == wanted.as_f64(),
            Pattern::Exact(wanted) => value == wanted,
            Pattern::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
            Pattern::Suffix(suffix) => value.as_str().is_some_and(|text| text.ends_with(suffix)),
            Pattern::EqualsIgnoreCase(wanted) => value
                .as_str()
                .is_some_and(|text| text.to_lowercase() == wanted.to_lowercase()),
            Pattern::Numeric(bounds) => value
                .as_f64()
                .is_some_and(|number| bounds.iter().all(|(how, bound)| how.holds(number, *bound))),
            Pattern::AnythingBut(excluded) => !excluded.iter().any(|pattern| pattern.matches_one(value)),
            Pattern::Exists(wanted) => *wanted,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Comparison::Less => number < bound,
            Comparison::LessOrEqual => number <= bound,
            Comparison::Greater => number > bound,
            Comparison::GreaterOrEqual => number >= bound,
            Comparison::Equal => number == bound,
        }
    }
}

fn parse_keys(policy: &Map<String, Value>, at: &str, depth: usize) -> Result<BTreeMap<String, Rule>, String> {
    if depth > DEPTH_MAX {
        return Err(format!(
            "`{at}` lies deeper than {DEPTH_MAX} levels; filter on something further up"
        ));
    }
    let rule = |(key, value): (&String, &Value)| {
        let at = if at.is_empty() {
            key.clone()
        } else {
            format!("{at}.{key}")
        };
        parse_rule(value, &at, depth).map(|rule| (key.clone(), rule))
    };
    policy.iter().map(rule).collect()
}

fn parse_rule(value: &Value, at: &str, depth: usize) -> Result<Rule, String> {
    match value {
        Value::Object(object) if operator(object).is_none() => {
            if object.is_empty() {
                return Err(format!("`{at}` is empty; give patterns, such as {at} = [\"pro\"]"));
            }
            if let Some(key) = misspelt(object) {
                let known = OPERATORS.join(", ");
                return Err(format!("`{at}` uses the unknown operator `{key}`; known are {known}"));
            }
            Ok(Rule::Nested(parse_keys(object, at, depth + 1)?))
        }
        Value::Array(items) => {
            if items.is_empty() {
                return Err(format!(
                    "`{at}` has no pattern, so that nothing could pass; remove the key or list values"
                ));
            }
            if items.len() > PATTERNS_MAX {
                return Err(format!(
                    "`{at}` has {} patterns; {PATTERNS_MAX} are the most",
                    items.len()
                ));
            }
            let patterns: Result<Vec<Pattern>, String> = items.iter().map(|item| parse_pattern(item, at)).collect();
            Ok(Rule::Any(patterns?))
        }
        single => Ok(Rule::Any(vec![parse_pattern(single, at)?])),
    }
}

const OPERATORS: [&str; 6] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "anything-but",
    "numeric",
    "exists",
];

/// The operator of an object with one key that is one.
fn operator(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, value) = object.iter().next()?;
    (object.len() == 1 && OPERATORS.contains(&key.as_str())).then_some((key.as_str(), value))
}

/// A single key that looks like an operator but is none: with a plain value below it that is no list.
fn misspelt(object: &Map<String, Value>) -> Option<&str> {
    let (key, _) = object.iter().next()?;
    let near = OPERATORS
        .iter()
        .any(|known| strsim::damerau_levenshtein(known, key) <= 2);
    (object.len() == 1 && near).then_some(key.as_str())
}

fn parse_pattern(value: &Value, at: &str) -> Result<Pattern, String> {
    let object = match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => return Ok(Pattern::Exact(value.clone())),
        Value::Array(_) => {
            return Err(format!(
                "`{at}` has a list within its list; patterns are values or operators"
            ));
        }
        Value::Object(object) => object,
    };
    let Some((name, operand)) = operator(object) else {
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        return Err(format!(
            "`{at}` has a pattern with `{}`; a pattern is a value or a table with one of {}",
            keys.join("`, `"),
            OPERATORS.join(", ")
        ));
    };
    let text = || match operand {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("`{name}` of `{at}` needs a string, not {other}")),
    };
    match name {
        "prefix" => Ok(Pattern::Prefix(text()?)),
        "suffix" => Ok(Pattern::Suffix(text()?)),
        "equals-ignore-case" => Ok(Pattern::EqualsIgnoreCase(text()?)),
        "exists" => match operand {
            Value::Bool(wanted) => Ok(Pattern::Exists(*wanted)),
            other => Err(format!("`exists` of `{at}` needs true or false, not {other}")),
        },
        "numeric" => parse_numeric(operand, at),
        _ => parse_anything_but(operand, at),
    }
}

fn parse_anything_but(operand: &Value, at: &str) -> Result<Pattern, String> {
    let one = |item: &Value| match item {
        Value::Object(object) => match operator(object) {
            Some(("prefix" | "suffix" | "equals-ignore-case", _)) => parse_pattern(item, at),
            _ => Err(format!(
                "`anything-but` of `{at}` takes values, or prefix, suffix, equals-ignore-case"
            )),
        },
        Value::Array(_) => Err(format!("`anything-but` of `{at}` has a list within its list")),
        value => Ok(Pattern::Exact(value.clone())),
    };
    match operand {
        Value::Array(items) if items.is_empty() => Err(format!(
            "`anything-but` of `{at}` excludes nothing; use {{ exists = true }}"
        )),
        Value::Array(items) => Ok(Pattern::AnythingBut(items.iter().map(one).collect::<Result<_, _>>()?)),
        single => Ok(Pattern::AnythingBut(vec![one(single)?])),
    }
}

/// `["=", 5]`, `[">", 0]`, `[">=", 0, "<", 100]`.
fn parse_numeric(operand: &Value, at: &str) -> Result<Pattern, String> {
    let wrong =
        || format!("`numeric` of `{at}` needs one or two comparisons, such as [\">=\", 0, \"<\", 100], not {operand}");
    let items = operand.as_array().ok_or_else(wrong)?;
    let mut bounds = Vec::new();
    for pair in items.chunks(2) {
        let [how, bound] = pair else { return Err(wrong()) };
        let how = match how.as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some(">") => Comparison::Greater,
            Some(">=") => Comparison::GreaterOrEqual,
            Some("=") => Comparison::Equal,
            _ => return Err(wrong()),
        };
        bounds.push((how, bound.as_f64().ok_or_else(wrong)?));
    }
    match bounds.len() {
        1 | 2 => Ok(Pattern::Numeric(bounds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
