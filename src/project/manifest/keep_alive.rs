//! `keep_alive`: a time, a word, or a policy.

use toml::de::DeValue;

use crate::platform::scaling::keep_alive::{HybridSpec, Policy};
use crate::platform::time::Span;
use crate::project::diagnostic::nearest;
use crate::project::keys;
use crate::project::read::{At, Field, Section, Sink};

/// SeBS measured it at AWS.
const HALF_LIFE: Span = Span::from_secs(380);

/// Reads the key of this section.
pub(crate) fn keep_alive(section: &Section<'_>, sink: &mut Sink) -> Option<At<Policy>> {
    let field = section.get("keep_alive")?;
    match field.value {
        DeValue::Table(_) => policy(&field, sink).map(|policy| field.at(policy)),
        DeValue::String(word) => match word.as_ref() {
            "none" => Some(field.at(Policy::Fixed(Span::ZERO))),
            "forever" => Some(field.at(Policy::Fixed(Span::MAX))),
            word => match nearest(word, ["none", "forever", "half-life", "hybrid", "greedy-dual"]) {
                Some(near) if !word.starts_with(|c: char| c.is_ascii_digit()) => {
                    let remedy = match near {
                        "none" | "forever" => format!("did you mean `keep_alive = \"{near}\"`?"),
                        "greedy-dual" => {
                            "write `keep_alive = { policy = \"greedy-dual\", memory = \"1GB\" }`".to_owned()
                        }
                        policy => format!("write `keep_alive = {{ policy = \"{policy}\" }}`"),
                    };
                    sink.error(&field.span(), format!("`keep_alive` is no time: `{word}`"))
                        .remedy(remedy);
                    None
                }
                _ => fixed(section, sink),
            },
        },
        _ => fixed(section, sink),
    }
}

fn fixed(section: &Section<'_>, sink: &mut Sink) -> Option<At<Policy>> {
    section.duration("keep_alive", sink).map(|span| span.map(Policy::Fixed))
}

fn policy(field: &Field<'_>, sink: &mut Sink) -> Option<Policy> {
    let section = Section::of(field, &keys::KEEP_ALIVE, sink)?;
    let policy = section.choice("policy", sink);
    let period = section.duration("period", sink);
    let memory = section.size("memory", sink);
    let default = HybridSpec::default();
    let time = |name: &'static str, sink: &mut Sink| {
        let span = section.duration(name, sink)?;
        if span.value > Span::ZERO {
            return Some(span.value);
        }
        sink.error(&span.span, format!("`{name}` must be above zero"));
        None
    };
    let bin = time("bin", sink);
    let range = time("range", sink);
    let fallback = time("fallback", sink);
    let mut percent = |name: &'static str| section.integer_u32(name, sink).map(|number| number.value);
    let (head, tail, margin) = (percent("head"), percent("tail"), percent("margin"));
    let strays: &[&'static str] = match policy.as_ref()?.value {
        "half-life" => &["memory", "bin", "range", "fallback", "head", "tail", "margin"],
        "hybrid" => &["period", "memory"],
        _ => &["period", "bin", "range", "fallback", "head", "tail", "margin"],
    };
    let chosen = policy.as_ref()?.value;
    for stray in strays.iter().filter_map(|name| section.get(name)) {
        sink.error(
            &stray.span(),
            format!("`policy = \"{chosen}\"` has no use for `{}`", stray.name),
        )
        .remedy("take it out");
    }
    section.done();
    match chosen {
        "half-life" => match period {
            Some(zero) if zero.value == Span::ZERO => {
                sink.error(&zero.span, "`period` must be above zero");
                None
            }
            period => Some(Policy::HalfLife(period.map_or(HALF_LIFE, |span| span.value))),
        },
        "hybrid" => Some(Policy::Hybrid(HybridSpec {
            bin: bin.unwrap_or(default.bin),
            range: range.unwrap_or(default.range),
            head_percent: head.unwrap_or(default.head_percent),
            tail_percent: tail.unwrap_or(default.tail_percent),
            margin_percent: margin.unwrap_or(default.margin_percent),
            fallback: fallback.or(range).unwrap_or(default.fallback),
        })),
        _ => match memory {
            Some(memory) => Some(Policy::GreedyDual {
                memory_mb: u32::try_from(memory.value >> 20).unwrap_or(u32::MAX),
            }),
            None => {
                sink.error(&field.span(), "`policy = \"greedy-dual\"` needs `memory`")
                    .remedy("add `memory = \"1GB\"`: what all functions with this policy share");
                None
            }
        },
    }
}
