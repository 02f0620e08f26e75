//! Times that are drawn, rates, and workloads, as files write them.

use std::ops::Range;

use toml::de::DeValue;

use super::super::Load;
use super::super::distribution::Distribution;
use super::super::workload::{Pattern, State};
use super::keys;
use crate::platform::time::Span;
use crate::platform::units::parse_span;
use crate::project::diagnostic::list_names;
use crate::project::read::{At, Field, Section, Sink, list, wrong};

/// 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874;

/// A time, or a table that says how it is drawn.
pub fn spread(section: &Section<'_>, name: &'static str, sink: &mut Sink) -> Option<Distribution> {
    let field = section.get(name)?;
    match field.value {
        DeValue::Table(_) => table(&field, sink),
        DeValue::String(_) | DeValue::Integer(_) => section
            .duration(name, sink)
            .map(|span| Distribution::Constant(span.value)),
        _ => {
            wrong(
                &field,
                "a time such as \"120ms\", or a table such as { median = \"80ms\", p99 = \"400ms\" }",
                sink,
            );
            None
        }
    }
}

/// Quantile keys with their probabilities.
pub const QUANTILES: [(&str, f64); 10] = [
    ("min", 0.0),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("max", 1.0),
];

pub fn table(field: &Field<'_>, sink: &mut Sink) -> Option<Distribution> {
    let problems = sink.list.len();
    let section = Section::of(field, &keys::SPREAD_TABLE, sink)?;
    let exponential = section.duration("exponential", sink);
    let median = section.duration("median", sink);
    let sigma = section.decimal("sigma", sink);
    let quantiles: Vec<(&str, f64, At<Span>)> = QUANTILES
        .iter()
        .filter_map(|&(name, share)| Some((name, share, section.duration(name, sink)?)))
        .collect();
    section.done();
    if sink.list.len() > problems {
        return None;
    }
    let shown = |sink: &mut Sink, message: &str| {
        sink.error(&field.span(), format!("`{}` {message}", field.name)).remedy(
            "write `{ exponential = \"2s\" }`, `{ median = \"80ms\", p99 = \"400ms\" }`, `{ min = \"10ms\", max = \"30ms\" }` \
             or quantiles `{ p50 = \"80ms\", p90 = \"120ms\", p99 = \"400ms\" }`",
        );
        None
    };
    match (exponential, median, sigma, quantiles.as_slice()) {
        (Some(mean), None, None, []) => Some(Distribution::Exponential { mean: mean.value }),
        (None, Some(median), Some(sigma), []) => Some(Distribution::log_normal(median.value, sigma.value)),
        (None, Some(median), None, [("p99", _, p99)]) => {
            if p99.value < median.value {
                sink.error(&p99.span, "`p99` is shorter than `median`")
                    .related(&median.span, "the median");
                return None;
            }
            let ratio = p99.value.as_nanos() as f64 / median.value.as_nanos().max(1) as f64;
            Some(Distribution::log_normal(median.value, ratio.ln() / Z_99))
        }
        (None, Some(_), None, []) => shown(sink, "has a median and nothing that says how far it spreads"),
        (None, None, None, [("min", _, min), ("max", _, max)]) if min.value <= max.value => {
            Some(Distribution::Uniform {
                min: min.value,
                max: max.value,
            })
        }
        (None, None, None, points) if points.len() >= 2 => quantile_table(points, sink),
        (None, None, None, []) => shown(sink, "says no time"),
        (None, None, None, _) => shown(sink, "needs a second quantile"),
        _ => shown(sink, "mixes several distributions"),
    }
}

fn quantile_table(points: &[(&str, f64, At<Span>)], sink: &mut Sink) -> Option<Distribution> {
    for pair in points.windows(2) {
        if let [(low, _, from), (high, _, to)] = pair
            && to.value < from.value
        {
            sink.error(&to.span, format!("`{high}` is shorter than `{low}`"))
                .related(&from.span, "longer than what comes after it");
            return None;
        }
    }
    let mut table: Vec<(f64, f64)> = points
        .iter()
        .map(|(_, share, span)| (*share, span.value.as_nanos() as f64))
        .collect();
    // Flat below the first one and beyond the last one: what was not measured is not made up.
    if let (Some(&(from, low)), Some(&(to, high))) = (table.first(), table.last()) {
        if from > 0.0 {
            table.insert(0, (0.0, low));
        }
        if to < 1.0 {
            table.push((1.0, high));
        }
    }
    Some(Distribution::Quantiles(table.into()))
}

/// `"10/s"`, `"600/m"`, `"1000/10s"`: requests a second.
pub fn rate(section: &Section<'_>, name: &'static str, sink: &mut Sink) -> Option<At<f64>> {
    let field = section.get(name)?;
    let number = match field.value {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(number) = number {
        sink.error(
            &field.span(),
            format!("`{name}` takes a rate such as \"10/s\", found a bare number"),
        )
        .remedy(format!("write what it counts in: `{name} = \"{number}/s\"`"));
        return None;
    }
    let text = section.text(name, sink)?;
    match parse_rate(&text.value) {
        Ok((count, every)) => Some(text.map(|_| count / (every.as_nanos() as f64 / 1e9))),
        Err(fault) => {
            sink.error(
                &text.span,
                format!("`{name}` takes a rate such as \"10/s\", found {fault}"),
            )
            .remedy("rates are a number, `/` and a time: \"10/s\", \"600/m\", \"5/h\", \"1000/10s\"");
            None
        }
    }
}

/// A count and the time it is counted in.
///
/// # Errors
/// A fragment that says what is wrong with the text.
pub fn parse_rate(text: &str) -> Result<(f64, Span), String> {
    let Some((count, every)) = text.split_once('/') else {
        return Err(format!("`{text}` without a time"));
    };
    let number = count.trim().replace(['_', ','], "").parse::<f64>().ok();
    let Some(number) = number.filter(|number| number.is_finite() && *number >= 0.0) else {
        return Err(format!("`{}`, which is no number", count.trim()));
    };
    let every = every.trim();
    let every = match every {
        "second" | "sec" => "1s".to_owned(),
        "minute" | "min" => "1m".to_owned(),
        "hour" => "1h".to_owned(),
        "day" => "1d".to_owned(),
        other if other.starts_with(|c: char| c.is_ascii_digit()) => other.to_owned(),
        other => format!("1{other}"),
    };
    match parse_span(&every) {
        Ok(span) if span > Span::ZERO => Ok((number, span)),
        Ok(_) => Err("a rate in no time".to_owned()),
        Err(fault) => Err(fault),
    }
}

/// Which keys a pattern takes: those that it needs, then those that it may have.
const PATTERNS: [(&str, &[&str], &[&str]); 9] = [
    ("poisson", &["rate"], &[]),
    ("uniform", &["rate"], &[]),
    ("burst", &["size", "every"], &[]),
    ("spike", &["rate", "peak", "at", "lasts"], &[]),
    ("wave", &["peak"], &["low", "period"]),
    ("on-off", &["rate", "on", "off"], &[]),
    ("markov", &["states"], &[]),
    ("closed", &["clients"], &["think"]),
    ("gaps", &["gaps"], &[]),
];

/// A `workload` table.
pub fn workload(field: &Field<'_>, sink: &mut Sink) -> Option<Load> {
    let problems = sink.list.len();
    let section = Section::of(field, &keys::WORKLOAD, sink)?;
    let written = section.choice("pattern", sink);
    let pattern = match (&written, section.get("pattern")) {
        (Some(pattern), _) => pattern.value,
        (None, Some(_)) => return None,
        (None, None) => "poisson",
    };
    check_keys(field.span(), pattern, &section, sink);
    let load = read(pattern, &section, sink);
    if sink.list[problems..].iter().any(crate::project::Diagnostic::is_error) {
        None
    } else {
        load
    }
}

fn check_keys(span: Range<usize>, pattern: &str, section: &Section<'_>, sink: &mut Sink) {
    let Some((_, needed, optional)) = PATTERNS.iter().find(|(name, ..)| *name == pattern) else {
        return;
    };
    for name in *needed {
        if section.get(name).is_none() {
            let problem = sink.error(&span, format!("`pattern = \"{pattern}\"` needs `{name}`"));
            problem.remedy(format!(
                "it takes {}",
                list_names(needed.iter().chain(*optional).copied())
            ));
        }
    }
    for key in keys::WORKLOAD.keys.iter().filter(|key| key.name != "pattern") {
        if !needed.contains(&key.name)
            && !optional.contains(&key.name)
            && let Some(stray) = section.get(key.name)
        {
            let fits = PATTERNS
                .iter()
                .filter(|(_, needed, optional)| needed.contains(&key.name) || optional.contains(&key.name));
            sink.error(
                &stray.span(),
                format!("`pattern = \"{pattern}\"` has no use for `{}`", key.name),
            )
            .remedy(format!(
                "take it out; it belongs to {}",
                list_names(fits.map(|(name, ..)| *name)).replace(" or ", " and ")
            ));
        }
    }
}

fn read(pattern: &str, section: &Section<'_>, sink: &mut Sink) -> Option<Load> {
    let above_zero = |name: &'static str, sink: &mut Sink| {
        let rate = rate(section, name, sink)?;
        if rate.value > 0.0 {
            return Some(rate.value);
        }
        sink.error(&rate.span, format!("`{name}` must be above zero"));
        None
    };
    let span = |name: &'static str, sink: &mut Sink| section.duration(name, sink).map(|span| span.value);
    let pattern = match pattern {
        "poisson" => Pattern::Poisson {
            rate: above_zero("rate", sink)?,
        },
        "uniform" => Pattern::Uniform {
            rate: above_zero("rate", sink)?,
        },
        "burst" => Pattern::Burst {
            size: section.integer_u32("size", sink)?.value,
            every: positive(section, "every", sink)?,
        },
        "spike" => Pattern::Spike {
            rate: rate(section, "rate", sink)?.value,
            peak: rate(section, "peak", sink)?.value,
            at: span("at", sink)?,
            lasts: span("lasts", sink)?,
        },
        "wave" => Pattern::Wave {
            low: if section.get("low").is_some() {
                rate(section, "low", sink)?.value
            } else {
                0.0
            },
            peak: above_zero("peak", sink)?,
            period: if section.get("period").is_some() {
                positive(section, "period", sink)?
            } else {
                Span::from_secs(86_400)
            },
        },
        "on-off" => Pattern::OnOff {
            rate: above_zero("rate", sink)?,
            on: spread(section, "on", sink)?,
            off: spread(section, "off", sink)?,
        },
        "markov" => Pattern::Markov {
            states: states(section, sink)?,
        },
        "gaps" => Pattern::Renewal {
            gaps: spread(section, "gaps", sink)?,
        },
        "closed" => {
            return Some(Load::Closed {
                clients: section.integer_u32("clients", sink)?.value,
                think: match section.get("think") {
                    Some(_) => spread(section, "think", sink)?,
                    None => Distribution::Constant(Span::from_secs(1)),
                },
            });
        }
        _ => return None,
    };
    Some(Load::Pattern(pattern))
}

fn positive(section: &Section<'_>, name: &'static str, sink: &mut Sink) -> Option<Span> {
    let span = section.duration(name, sink)?;
    if span.value > Span::ZERO {
        return Some(span.value);
    }
    sink.error(&span.span, format!("`{name}` must be above zero"));
    None
}

fn states(section: &Section<'_>, sink: &mut Sink) -> Option<Vec<State>> {
    let field = section.get("states")?;
    let items = list(&field, "a list of tables", sink)?;
    let states: Vec<State> = items
        .iter()
        .filter_map(|item| {
            let section = Section::of(item, &keys::STATE, sink)?;
            Some(State {
                rate: rate(&section, "rate", sink)?.value,
                lasts: positive(&section, "lasts", sink)?,
            })
        })
        .collect();
    if states.iter().all(|state| state.rate == 0.0) {
        sink.error(&field.span(), "no state has a rate above zero");
        return None;
    }
    Some(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, a_second) in [
            ("10/s", 10.0),
            ("600/m", 10.0),
            ("5/h", 5.0 / 3_600.0),
            ("1000/10s", 100.0),
            ("1_000 / min", 1_000.0 / 60.0),
        ] {
            let (count, every) = parse_rate(text).expect(text);
            let came = count / (every.as_nanos() as f64 / 1e9);
            assert!((came - a_second).abs() < 1e-9, "{text}: {came}");
        }
        for wrong in ["10", "x/s", "-1/s", "3/fortnight", "3/0s", "/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
