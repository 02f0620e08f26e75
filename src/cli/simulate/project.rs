//! A project as a simulation file: its functions as emu.toml has them, with the times and rates of its history.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::Global;
use crate::cli::failure::Failure;
use crate::live::{Archive, Ran};
use crate::platform::scaling::keep_alive::Policy;
use crate::platform::time::{Span, Time};
use crate::platform::units::format_span;
use crate::project::{Function, LoadOptions, Project};
use crate::sim::file::bare_or_quoted;
use crate::sim::file::spread::QUANTILES;
use crate::sim::recorded::{Recorded, Request};

/// More invocations than this are not looked at: the newest say enough.
const INVOCATIONS_MAX: u32 = 1_000_000;

/// What recorded traffic is followed by, so that the last request comes to its end.
pub const AFTER_LAST: Span = Span::from_secs(60);

/// The name that problems show, the text, and the requests themselves.
///
/// # Errors
/// When the project is wrong, or has no history of any of its functions.
pub fn read(global: &Global) -> Result<(PathBuf, String, Recorded), Failure> {
    let loaded = Project::load_with(global.project.as_deref(), &LoadOptions::default())?;
    let project = loaded.project;
    let none = || {
        Failure::new(format!("{} has no history to simulate from", project.root.display()))
            .remedy("run `emu dev`, send it some requests (`emu load` does), and try again")
    };
    let archive = Archive::find(&project.root).ok_or_else(none)?;
    let mut ran = archive.ran(INVOCATIONS_MAX)?;
    ran.retain(|ran| project.functions.contains_key(&ran.function));
    let (Some(first), Some(last)) = (
        ran.iter().map(|ran| ran.began_us).min(),
        ran.iter().map(|ran| ran.began_us).max(),
    ) else {
        return Err(none());
    };
    // As if one more gap had been waited for.
    let seconds = (last - first) as f64 / 1e6 * (1.0 + 1.0 / ran.len() as f64);
    let text = text(&project, &ran, seconds.max(1.0));
    let names: BTreeMap<&str, u32> = measured(&project, &ran).into_keys().zip(0u32..).collect();
    let requests = ran.iter().filter_map(|ran| {
        Some(Request {
            at: Time(u64::try_from(ran.began_us - first).ok()?.saturating_mul(1_000)),
            function: *names.get(ran.function.as_str())?,
            took: Span::from_micros(ran.duration_us),
        })
    });
    Ok((
        PathBuf::from("history.sim.toml"),
        text,
        Recorded::new(requests.collect()),
    ))
}

/// Durations of the functions that have any, shortest first.
fn measured<'a>(project: &'a Project, ran: &[Ran]) -> BTreeMap<&'a str, Vec<u64>> {
    let mut by_function: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for ran in ran {
        if let Some((name, _)) = project.functions.get_key_value(&ran.function) {
            by_function.entry(name).or_default().push(ran.duration_us);
        }
    }
    by_function.values_mut().for_each(|durations| durations.sort_unstable());
    by_function
}

fn text(project: &Project, ran: &[Ran], seconds: f64) -> String {
    let of = format!("the times and rates of {} invocations in its history", ran.len());
    let mut text = head(project, &of);
    for (name, durations) in measured(project, ran) {
        if let Some(function) = project.functions.get(name) {
            let a_second = durations.len() as f64 / seconds;
            let figures = Figures {
                service: &durations,
                cold_service: None,
                rate: match a_second >= 1.0 {
                    true => format!("{a_second:.3}/s"),
                    false => format!("{:.3}/h", a_second * 3_600.0),
                },
            };
            text.push_str(&section(function, &figures));
        }
    }
    text
}

/// The beginning of a file of the project's functions; `with` says where their figures are from.
pub fn head(project: &Project, with: &str) -> String {
    format!(
        "# {}: its functions as emu.toml has them, with {with}.\nname = {}\nprovider = {}\n",
        project.name,
        quoted(&project.name),
        quoted(&project.provider)
    )
}

/// What is known of a function besides emu.toml. Times are in microseconds, shortest first, at least one.
pub struct Figures<'a> {
    pub service: &'a [u64],
    /// Of requests that wait for a cold start, beside it.
    pub cold_service: Option<&'a [u64]>,
    pub rate: String,
}

/// As a time, or as a table of quantiles.
fn spread(durations: &[u64]) -> String {
    let quantile = |share: f64| {
        let at = (share * durations.len().saturating_sub(1) as f64).round() as usize;
        format!("{}us", durations.get(at).copied().unwrap_or(0))
    };
    match durations {
        [only] => format!("\"{only}us\""),
        _ => {
            let points = QUANTILES.map(|(key, share)| format!("{key} = \"{}\"", quantile(share)));
            format!("{{ {} }}", points.join(", "))
        }
    }
}

/// One function's tables.
pub fn section(function: &Function, figures: &Figures<'_>) -> String {
    let name = bare_or_quoted(&function.name);
    let mut text = format!("\n[functions.{name}]\nservice = {}\n", spread(figures.service));
    if let Some(cold) = figures.cold_service {
        text.push_str(&format!("cold_service = {}\n", spread(cold)));
    }
    text.push_str(&format!(
        "runtime = {}\nmemory = \"{}MB\"\n",
        quoted(&function.runtime),
        function.memory_mb
    ));
    let mut number = |key: &str, value: Option<u32>| {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {value}\n"));
        }
    };
    number("concurrency", function.concurrency);
    number("min_instances", Some(function.min_instances).filter(|min| *min > 0));
    number("max_concurrency", function.max_concurrency);
    if let Some(policy) = function.keep_alive {
        text.push_str(&format!("keep_alive = {}\n", keep_alive(policy)));
    }
    text.push_str(&format!("\n[functions.{name}.workload]\nrate = \"{}\"\n", figures.rate));
    text
}

/// As files write it.
fn keep_alive(policy: Policy) -> String {
    match policy {
        Policy::Fixed(Span::ZERO) => "\"none\"".to_owned(),
        Policy::Fixed(Span::MAX) => "\"forever\"".to_owned(),
        Policy::Fixed(idle) => format!("\"{}\"", exact(idle)),
        Policy::HalfLife(period) => format!("{{ policy = \"half-life\", period = \"{}\" }}", exact(period)),
        Policy::GreedyDual { memory_mb } => format!("{{ policy = \"greedy-dual\", memory = \"{memory_mb}MB\" }}"),
        Policy::Hybrid(spec) => format!(
            "{{ policy = \"hybrid\", bin = \"{}\", range = \"{}\", fallback = \"{}\", head = {}, tail = {}, margin = {} }}",
            exact(spec.bin),
            exact(spec.range),
            exact(spec.fallback),
            spec.head_percent,
            spec.tail_percent,
            spec.margin_percent
        ),
    }
}

/// Whole units where they say it, else microseconds.
fn exact(span: Span) -> String {
    let shown = format_span(span);
    match crate::platform::units::parse_span(&shown) {
        Ok(same) if same == span => shown,
        _ => format!("{}us", span.0 / 1_000),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
