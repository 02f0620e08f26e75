//! Faults on purpose: what fails, for whom, and how often. As the `[faults]` of a test file, as JSON for the control API, or in a
//! line: `fail=0.1,billing.kill=0.05,delay=0.2/2s`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::diagnostic::{list_names, nearest};
use crate::platform::time::Span;
use crate::platform::units::parse_span;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// An invocation fails before its handler runs.
    Fail,
    /// An instance is lost with what it runs, in the middle of it: what the handler did by then stays done.
    Kill,
    /// An invocation takes longer.
    Delay,
    /// A message that was handled is delivered once more, at once.
    Duplicate,
    /// The acknowledgement of a message comes too late: it is delivered again after its visibility timeout.
    LateAck,
    /// A message is held up on its way into the queue, so that later ones overtake it.
    Reorder,
    /// All idle instances of the function vanish.
    ColdStarts,
    /// A host is lost with all instances on it.
    HostLoss,
    /// What arrives is refused as by a provider that is short of room.
    Throttle,
}

impl FaultKind {
    pub const ALL: [FaultKind; 9] = [
        FaultKind::Fail,
        FaultKind::Kill,
        FaultKind::Delay,
        FaultKind::Duplicate,
        FaultKind::LateAck,
        FaultKind::Reorder,
        FaultKind::ColdStarts,
        FaultKind::HostLoss,
        FaultKind::Throttle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Fail => "fail",
            FaultKind::Kill => "kill",
            FaultKind::Delay => "delay",
            FaultKind::Duplicate => "duplicate",
            FaultKind::LateAck => "late_ack",
            FaultKind::Reorder => "reorder",
            FaultKind::ColdStarts => "cold_starts",
            FaultKind::HostLoss => "host_loss",
            FaultKind::Throttle => "throttle",
        }
    }

    /// Whether a time says something of it.
    fn takes_time(self) -> bool {
        matches!(
            self,
            FaultKind::Delay | FaultKind::Reorder | FaultKind::Kill | FaultKind::HostLoss
        )
    }

    /// # Errors
    /// What was probably meant.
    pub fn of(name: &str) -> Result<FaultKind, String> {
        let all = FaultKind::ALL.map(FaultKind::name);
        FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let hint = match nearest(name, all) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", list_names(all).replace(" or ", " and ")),
                };
                format!("no fault is called `{name}`: {hint}")
            })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub kind: FaultKind,
    /// Only this function, or the queue's for faults of messages; `None`: all.
    pub function: Option<String>,
    pub probability: f64,
    /// How long a delay is, the longest that a message is held up, or how far into its run an instance is lost at the most.
    pub by: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Of the draws; the run's own by default.
    pub seed: Option<u64>,
    pub rules: Vec<Rule>,
}

/// One rule as JSON has it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    probability: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Faults {
    /// `{"seed": 7, "fail": 0.1, "kill": {"probability": 0.05, "function": "billing"}, "delay": [...]}`
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(value: &Value) -> Result<Faults, String> {
        let Value::Object(members) = value else {
            return Err("faults are an object such as {\"fail\": 0.1}".to_owned());
        };
        let mut faults = Faults::default();
        for (name, value) in members {
            match name.as_str() {
                "seed" => {
                    let seed = value.as_u64();
                    faults.seed = Some(seed.ok_or_else(|| format!("seed is a whole number, not {value}"))?);
                }
                _ => faults.rules.extend(rules(FaultKind::of(name)?, value)?),
            }
        }
        // Members of an object have no order that anybody could rely on.
        faults.rules.sort_by_key(|rule| rule.kind);
        Ok(faults)
    }

    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        if let Some(seed) = self.seed {
            members.insert("seed".to_owned(), seed.into());
        }
        for kind in FaultKind::ALL {
            let of = self.rules.iter().filter(|rule| rule.kind == kind);
            let all: Vec<Value> = of
                .map(|rule| {
                    json!(RawRule {
                        probability: rule.probability,
                        function: rule.function.clone(),
                        by: rule.by.map(|by| by.to_string()),
                    })
                })
                .collect();
            if !all.is_empty() {
                members.insert(kind.name().to_owned(), Value::Array(all));
            }
        }
        Value::Object(members)
    }

    /// A line such as `fail=0.1,billing.kill=0.05,delay=0.2/2s,seed=7`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Faults, String> {
        let mut faults = Faults::default();
        for part in line.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no fault: write it as `fail=0.1`"))?;
            if name == "seed" {
                let seed = value.parse();
                faults.seed = Some(seed.map_err(|_| format!("seed is a whole number, not `{value}`"))?);
                continue;
            }
            let (function, name) = match name.rsplit_once('.') {
                Some((function, name)) => (Some(function.to_owned()), name),
                None => (None, name),
            };
            let (number, by) = match value.split_once('/') {
                Some((number, by)) => (number, Some(by.to_owned())),
                None => (value, None),
            };
            let kind = FaultKind::of(name)?;
            let raw = RawRule {
                probability: number.parse().map_err(|_| not_probable(kind, number))?,
                function,
                by,
            };
            faults.rules.push(rule(kind, raw)?);
        }
        Ok(faults)
    }

    /// The names of functions that rules speak of.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.function.as_deref())
    }
}

fn not_probable(kind: FaultKind, number: &str) -> String {
    format!(
        "{}: a probability lies between 0 and 1, and {number} does not",
        kind.name()
    )
}

/// A number, a rule, or a list of rules.
///
/// # Errors
/// What is wrong with it.
pub fn rules(kind: FaultKind, value: &Value) -> Result<Vec<Rule>, String> {
    match value {
        Value::Array(items) => {
            let one = |item: &Value| match item {
                Value::Object(_) => rules(kind, item),
                other => Err(format!(
                    "{}: a list holds rules such as {{\"probability\": 0.1}}, not {other}",
                    kind.name()
                )),
            };
            let all: Result<Vec<Vec<Rule>>, String> = items.iter().map(one).collect();
            Ok(all?.into_iter().flatten().collect())
        }
        Value::Number(number) => {
            let probability = number.as_f64().unwrap_or(f64::NAN);
            let raw = RawRule {
                probability,
                function: None,
                by: None,
            };
            Ok(vec![rule(kind, raw)?])
        }
        Value::Object(_) => {
            let raw = serde_json::from_value(value.clone()).map_err(|error| format!("{}: {error}", kind.name()))?;
            Ok(vec![rule(kind, raw)?])
        }
        other => Err(format!("{}: give a probability such as 0.1, not {other}", kind.name())),
    }
}

fn rule(kind: FaultKind, raw: RawRule) -> Result<Rule, String> {
    if !(0.0..=1.0).contains(&raw.probability) {
        return Err(not_probable(kind, &raw.probability.to_string()));
    }
    let by = match &raw.by {
        None => None,
        Some(_) if !kind.takes_time() => {
            let with = FaultKind::ALL.into_iter().filter(|kind| kind.takes_time());
            return Err(format!(
                "{}: `by` says nothing here: it belongs to {}",
                kind.name(),
                list_names(with.map(FaultKind::name)).replace(" or ", " and ")
            ));
        }
        Some(by) => Some(parse_span(by).map_err(|fault| format!("{}: by: {fault}", kind.name()))?),
    };
    Ok(Rule {
        kind,
        function: raw.function,
        probability: raw.probability,
        by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_json_say_the_same() {
        let line = Faults::parse("fail=0.1, billing.kill=1/20ms, delay=0.5/2s, seed=7").expect("valid");
        let json = json!({"seed": 7, "fail": 0.1, "kill": {"probability": 1, "function": "billing", "by": "20ms"},
            "delay": [{"probability": 0.5, "by": "2s"}]});
        assert_eq!(Faults::from_json(&json), Ok(line.clone()));
        assert_eq!(Faults::from_json(&line.to_json()), Ok(line.clone()));
        assert_eq!(line.functions().collect::<Vec<_>>(), ["billing"]);
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("fial=0.1", "did you mean `fail`?"),
            ("fail", "write it as `fail=0.1`"),
            ("fail=2", "between 0 and 1"),
            ("fail=often", "between 0 and 1"),
            ("fail=0.1/2s", "belongs to `kill`, `delay`, `reorder` and `host_loss`"),
            ("throttle=0.1/2s", "throttle: `by` says nothing here"),
            ("delay=0.1/2", "delay: by"),
            ("seed=x", "whole number"),
        ] {
            let error = Faults::parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(Faults::from_json(&json!({"fail": "0.1"})).is_err());
        assert!(Faults::from_json(&json!([1])).is_err());
        for item in [json!(0), json!([{"probability": 0}])] {
            let error = Faults::from_json(&json!({"host_loss": [item]})).expect_err("no list of rules");
            assert!(error.contains("host_loss: a list holds rules"), "{error}");
        }
    }
}
