//! Where records of asynchronous invocations go, and how often those are tried.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Kind, World};
use crate::project::Destination;
use crate::project::manifest::{Manifest, RawFunction};
use crate::project::read::{At, Sink};
use crate::project::units::format_span;

/// `queue:NAME`, `topic:NAME`, `function:NAME`, or a queue's name by itself.
pub fn resolve(written: Option<&At<String>>, world: &World<'_>, sink: &mut Sink) -> Option<Destination> {
    let written = written?;
    let (kind, name) = match written.value.split_once(':') {
        Some((prefix, name)) => match kind_of(prefix) {
            Some(kind) => (kind, name),
            None => {
                sink.error(&written.span, format!("`{}` is no destination", written.value))
                    .remedy("write `queue:NAME`, `topic:NAME` or `function:NAME`");
                return None;
            }
        },
        None => (Kind::Queue, written.value.as_str()),
    };
    let bare = !written.value.contains(':');
    let other = [Kind::Topic, Kind::Function]
        .into_iter()
        .find(|other| world.names.of(*other).contains_key(name));
    if let Some(other) = other.filter(|_| bare && !world.names.of(Kind::Queue).contains_key(name)) {
        sink.error(&written.span, format!("there is no queue `{name}`"))
            .remedy(format!("write `\"{}:{name}\"` for the {0}", other.word()));
        return None;
    }
    let named = At::new(name.to_owned(), written.span.clone());
    if !world.resolve(kind, &named, sink) {
        return None;
    }
    Some(match kind {
        Kind::Topic => Destination::Topic(named.value),
        Kind::Function => Destination::Function(named.value),
        Kind::Queue | Kind::Kv => Destination::Queue(named.value),
    })
}

fn kind_of(prefix: &str) -> Option<Kind> {
    [Kind::Queue, Kind::Topic, Kind::Function]
        .into_iter()
        .find(|kind| kind.prefix() == prefix)
}

/// What the provider would refuse works here, with a warning.
pub fn limits(raw: &RawFunction, world: &World<'_>, sink: &mut Sink) {
    let rules = &world.profile.asynchronous;
    let provider = world.provider();
    if let Some(retries) = raw.max_retries.as_ref().filter(|n| n.value > rules.retries_most) {
        let most = rules.retries_most;
        sink.warning(
            &retries.span,
            format!("{provider} retries an event at most {most} times"),
        )
        .remedy(format!("write `max_retries = {most}` or less before you deploy"));
    }
    let Some(age) = &raw.max_age else { return };
    if age.value > rules.age_most {
        let most = format_span(rules.age_most);
        sink.warning(&age.span, format!("{provider} keeps an event for at most {most}"))
            .remedy(format!("write `max_age = \"{most}\"` or less before you deploy"));
    } else if age.value < rules.age_least {
        let least = format_span(rules.age_least);
        sink.warning(&age.span, format!("{provider} keeps an event for at least {least}"))
            .remedy(format!("write `max_age = \"{least}\"` or more before you deploy"));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Failure,
    Success,
}

impl Edge {
    fn key(self) -> &'static str {
        match self {
            Edge::Failure => "on_failure",
            Edge::Success => "on_success",
        }
    }

    fn of(self, function: &RawFunction) -> Option<&At<String>> {
        match self {
            Edge::Failure => function.on_failure.as_ref(),
            Edge::Success => function.on_success.as_ref(),
        }
    }
}

/// Functions that hand their records to each other: an event would never rest. By one key alone nothing ends it, which
/// is an error; where both keys take part one of them may.
pub fn circles(manifest: &Manifest, sink: &mut Sink) {
    let by_name: BTreeMap<&str, &RawFunction> = manifest.functions.iter().map(|f| (f.name.value.as_str(), f)).collect();
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for edges in [&[Edge::Failure][..], &[Edge::Success], &[Edge::Failure, Edge::Success]] {
        for start in &manifest.functions {
            if reported.contains(start.name.value.as_str()) {
                continue;
            }
            let Some((span, path)) = circle(manifest, &by_name, start, edges) else {
                continue;
            };
            let shown: Vec<String> = path.iter().map(|name| format!("`{name}`")).collect();
            let shown = shown.join(" to ");
            match edges {
                [edge] if path.len() == 2 => sink
                    .error(
                        &span.span,
                        format!("the function `{}` is its own `{}`", path[0], edge.key()),
                    )
                    .remedy("name another destination: its records would go round for ever"),
                [edge] => sink
                    .error(&span.span, format!("`{}` goes in a circle: {shown}", edge.key()))
                    .remedy(format!(
                        "take one `{}` out: a record would go round for ever",
                        edge.key()
                    )),
                _ => sink
                    .warning(&span.span, format!("destinations go in a circle: {shown}"))
                    .remedy("see to it that one of these functions ends it"),
            };
            reported.extend(path);
        }
    }
}

/// The shortest way from a function by these keys back to it, with the destination that begins it.
fn circle<'a>(
    manifest: &'a Manifest,
    by_name: &BTreeMap<&'a str, &'a RawFunction>,
    start: &'a RawFunction,
    edges: &[Edge],
) -> Option<(&'a At<String>, Vec<&'a str>)> {
    let mut line = VecDeque::new();
    for (written, next) in edges.iter().flat_map(|edge| followers(manifest, start, *edge)) {
        line.push_back((written, vec![start.name.value.as_str(), next]));
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some((written, path)) = line.pop_front() {
        let at = *path.last()?;
        if at == start.name.value {
            return Some((written, path));
        }
        let Some(function) = by_name.get(at).filter(|_| seen.insert(at)) else {
            continue;
        };
        for (_, next) in edges.iter().flat_map(|edge| followers(manifest, function, *edge)) {
            line.push_back((written, path.iter().copied().chain([next]).collect()));
        }
    }
    None
}

/// The functions that a function's records reach: its destination, or those that take all of a topic.
fn followers<'a>(manifest: &'a Manifest, of: &'a RawFunction, edge: Edge) -> Vec<(&'a At<String>, &'a str)> {
    let Some(written) = edge.of(of) else {
        return Vec::new();
    };
    match written.value.split_once(':') {
        Some(("function", name)) => vec![(written, name)],
        Some(("topic", topic)) => {
            let subscribed = manifest.functions.iter().filter(|function| {
                let trigger = function.topic.as_ref();
                trigger.is_some_and(|trigger| trigger.from.value == topic && trigger.filter.policy.is_none())
            });
            subscribed.map(|f| (written, f.name.value.as_str())).collect()
        }
        _ => Vec::new(),
    }
}
