//! Holds what came against what is expected.

use std::ops::Range;

use serde_json::Value;

use super::fits;
use super::stage::{Answer, Facts};
use super::vars::Vars;
use crate::live::api;
use crate::project::testfile::{Bound, Expect};

/// Something that is not as expected.
#[derive(Clone, Debug)]
pub struct Finding {
    pub span: Range<usize>,
    /// A lowercase fragment.
    pub message: String,
    /// Lines that show the difference.
    pub shown: Option<String>,
    /// What would be right at that place of the file.
    pub right: Option<Value>,
}

impl Finding {
    pub fn new(span: &Range<usize>, message: impl Into<String>) -> Finding {
        Finding {
            span: span.clone(),
            message: message.into(),
            shown: None,
            right: None,
        }
    }

    pub fn shown(mut self, lines: impl Into<String>) -> Finding {
        self.shown = Some(lines.into());
        self
    }

    fn right(mut self, value: impl Into<Value>) -> Finding {
        self.right = Some(value.into());
        self
    }
}

/// Longest body that is shown whole.
const SHOWN_BYTES_MAX: usize = 2_000;

/// What is expected of an answer; `act` is the place of the request.
pub fn answer(expect: &Expect, answer: &Answer, act: &Range<usize>, vars: &Vars) -> Vec<Finding> {
    let mut found = Vec::new();
    let body = answer.text();
    match &expect.status {
        Some(status) if status.value != answer.status => found.push(
            Finding::new(
                &status.span,
                format!("the status is {}, expected {}", answer.status, status.value),
            )
            .shown(shown(&body))
            .right(answer.status),
        ),
        None if answer.status >= 400 => found.push(
            Finding::new(
                act,
                format!("the status is {}, and none was expected above 399", answer.status),
            )
            .shown(shown(&body)),
        ),
        _ => {}
    }
    for (name, value) in &expect.headers {
        let wanted = vars.text(&value.value);
        match answer
            .headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
        {
            Some(is) if fits::text(&wanted, &is) => {}
            Some(is) => found.push(
                Finding::new(&value.span, format!("the header {name} is {is:?}, expected {wanted:?}"))
                    .right(is.into_owned()),
            ),
            None => found.push(Finding::new(&value.span, format!("the answer has no header {name}"))),
        }
    }
    if let Some(json) = &expect.json {
        let wanted = vars.json(&json.value);
        match serde_json::from_str::<Value>(&body) {
            Err(error) => {
                found.push(Finding::new(&json.span, format!("the body is not JSON: {error}")).shown(shown(&body)))
            }
            Ok(is) if fits::json(&wanted, &is) => {}
            Ok(is) => found.push(
                Finding::new(&json.span, "the body differs")
                    .shown(fits::json_diff(&wanted, &is))
                    .right(fits::part(&json.value, &is)),
            ),
        }
    }
    if let Some(text) = &expect.body {
        let wanted = vars.text(&text.value);
        if !fits::text(&wanted, &body) {
            let lines = fits::diff(&ended(&wanted), &ended(&body));
            found.push(
                Finding::new(&text.span, "the body differs")
                    .shown(lines)
                    .right(body.clone()),
            );
        }
    }
    if let Some(part) = &expect.contains
        && !fits::within(&vars.text(&part.value), &body)
    {
        found.push(Finding::new(&part.span, "the body does not contain this").shown(shown(&body)));
    }
    found
}

fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

fn shown(body: &str) -> String {
    let cut = body
        .char_indices()
        .nth(SHOWN_BYTES_MAX)
        .map_or(body.len(), |(at, _)| at);
    match (body.is_empty(), cut < body.len()) {
        (true, _) => "the body is empty".to_owned(),
        (_, true) => format!("{}...", &body[..cut]),
        (_, false) => body.to_owned(),
    }
}

/// What is expected of queues, invocations, output and bill.
pub fn state(expect: &Expect, facts: &Facts, vars: &Vars) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, count, bound) in &expect.queues {
        match facts.queues.iter().find(|queue| queue.name == *name) {
            None => found.push(Finding::new(&bound.span, format!("the project has no queue {name}"))),
            Some(queue) => {
                let is = of_queue(queue, count);
                let what = format!("queue {name} has {is} {}", count.replace('_', " "));
                found.extend(counted(what, is, bound.value, &bound.span));
            }
        }
    }
    for (name, count, bound) in &expect.invocations {
        if !facts.functions.iter().any(|function| function == name) {
            found.push(Finding::new(&bound.span, format!("the project has no function {name}")));
            continue;
        }
        let is = of_function(facts, name, count);
        let kind = if *count == "total" { "that ended" } else { count };
        let what = format!("function {name} has {is} invocations {kind}");
        found.extend(counted(what, is, bound.value, &bound.span));
    }
    found.extend(values(expect, facts, vars));
    found.extend(lines(expect, facts, vars));
    found.extend(events(expect, facts, vars));
    found.extend(bounds(expect, facts));
    found
}

fn counted(what: String, is: u64, bound: Bound, span: &Range<usize>) -> Option<Finding> {
    (!bound.holds(is)).then(|| Finding::new(span, format!("{what}, expected {bound}")).right(is))
}

fn of_queue(queue: &api::Queue, count: &str) -> u64 {
    match count {
        "visible" => queue.visible,
        "in_flight" => queue.in_flight,
        "delayed" => queue.delayed,
        _ => queue.dead,
    }
}

fn of_function(facts: &Facts, function: &str, count: &str) -> u64 {
    let fits = |event: &&Value| match count {
        "total" => true,
        "succeeded" => event["outcome"] == "succeeded",
        "failed" => event["outcome"] != "succeeded",
        _ => event["cold"] == true,
    };
    let ended = facts.invocations().filter(|event| event["function"] == function);
    ended.filter(fits).count() as u64
}

fn values(expect: &Expect, facts: &Facts, vars: &Vars) -> Vec<Finding> {
    let mut found = Vec::new();
    for (store, key, wanted) in &expect.kv {
        let is = facts.kv.get(&(store.clone(), key.clone()));
        let finding = match (is, &wanted.value) {
            (Some(Err(error)), _) => Finding::new(&wanted.span, error.clone()),
            (None | Some(Ok(None)), None) => continue,
            (None | Some(Ok(None)), Some(_)) => Finding::new(&wanted.span, format!("store {store} has no key {key:?}")),
            (Some(Ok(Some(is))), None) => {
                Finding::new(&wanted.span, format!("store {store} has a key {key:?}, and should not")).shown(shown(is))
            }
            (Some(Ok(Some(is))), Some(wanted_value)) => {
                let wanted_value = vars.json(wanted_value);
                let text = Value::String(is.clone());
                let parsed = serde_json::from_str(is).unwrap_or_else(|_| text.clone());
                if fits::json(&wanted_value, &text) || fits::json(&wanted_value, &parsed) {
                    continue;
                }
                Finding::new(&wanted.span, format!("the value of {key:?} in store {store} differs"))
                    .shown(fits::json_diff(&wanted_value, &parsed))
                    .right(fits::part(&wanted_value, &parsed))
            }
        };
        found.push(finding);
    }
    found
}

fn lines(expect: &Expect, facts: &Facts, vars: &Vars) -> Vec<Finding> {
    let mut found = Vec::new();
    for (function, wanted) in &expect.logs {
        let said: Vec<&str> = facts.said(function).collect();
        let mut left = said.iter();
        for line in wanted {
            let pattern = vars.text(&line.value);
            if !left.any(|said| fits::text(&pattern, said)) {
                let all = match said.is_empty() {
                    true => format!("{function} has written nothing"),
                    false => format!("{function} has written:\n{}", said.join("\n")),
                };
                found.push(Finding::new(&line.span, format!("{function} has not written this line")).shown(all));
                break;
            }
        }
    }
    found
}

/// Events that are shown where an expected one is missing.
const SHOWN_EVENTS_MAX: usize = 20;

fn events(expect: &Expect, facts: &Facts, vars: &Vars) -> Vec<Finding> {
    let mut left = facts.events.iter();
    for wanted in &expect.events {
        let pattern = vars.json(&wanted.value);
        if !left.any(|event| fits::json(&pattern, event)) {
            let alike = facts.events.iter().filter(|event| event["event"] == pattern["event"]);
            let alike: Vec<String> = alike.rev_take(SHOWN_EVENTS_MAX);
            let shown = match alike.is_empty() {
                true => "no such event came".to_owned(),
                false => format!("of this kind there came:\n{}", alike.join("\n")),
            };
            return vec![Finding::new(&wanted.span, "this event did not come, or not in this order").shown(shown)];
        }
    }
    Vec::new()
}

trait RevTake<'a> {
    fn rev_take(self, count: usize) -> Vec<String>;
}

impl<'a, I: DoubleEndedIterator<Item = &'a Value>> RevTake<'a> for I {
    /// The last of them, in their order.
    fn rev_take(self, count: usize) -> Vec<String> {
        let mut last: Vec<String> = self.rev().take(count).map(Value::to_string).collect();
        last.reverse();
        last
    }
}

fn bounds(expect: &Expect, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let figures = |name: &str| {
        facts
            .invocations()
            .filter_map(move |event| event[name].as_f64())
            .collect::<Vec<_>>()
    };
    if let Some(max) = &expect.max_cost {
        let cost: f64 = figures("cost").iter().sum();
        if cost > max.value {
            found.push(Finding::new(&max.span, format!("the invocations cost ${cost:.9}")).right(cost));
        }
    }
    if let Some(max) = &expect.max_cold_starts {
        let cold = facts.invocations().filter(|event| event["cold"] == true).count() as u64;
        if cold > max.value {
            found.push(Finding::new(&max.span, format!("{cold} invocations started cold")).right(cold));
        }
    }
    if let Some(max) = &expect.max_duration {
        let longest = figures("duration_ms").into_iter().fold(0.0, f64::max);
        if longest > max.value.as_millis_f64() {
            found.push(Finding::new(
                &max.span,
                format!("the longest invocation took {longest:.1} ms"),
            ));
        }
    }
    found
}
