//! `/_emu/settings`: how the running emulator behaves, and changes to that for as long as it runs.

use std::sync::PoisonError;

use bytes::Bytes;

use crate::live::Server;
use crate::live::api;
use crate::live::settings::{Change, FunctionSettings};
use crate::platform::config::ColdStarts;
use crate::platform::time::Span;
use crate::project::ClockSetting;

use super::{Answer, bad_request, handlers, read, views};

const REMEDY: &str =
    r#"for example {"clock": "x60", "cold_starts": "sleep", "functions": {"NAME": {"keep_alive": "5m"}}}"#;
/// Requests that one instance takes at once, at most; no provider allows more.
const CONCURRENCY_MAX: u32 = 1_000;
/// Instances that can be asked for.
const INSTANCES_MAX: u32 = 10_000;
const KEEP_ALIVE_MAX: Span = Span::from_secs(7 * 24 * 3_600);

pub fn show(server: &Server) -> api::Settings {
    let driver = &server.driver;
    let functions = views::functions(driver);
    let settings = driver.0.settings.read().unwrap_or_else(PoisonError::into_inner);
    let clock = &driver.0.clock;
    let functions = functions.into_iter().map(|function| api::FunctionSettings {
        changed: settings.changes(&function.name),
        name: function.name,
        keep_alive_ms: function.keep_alive_ms,
        max_concurrency: function.max_concurrency,
        concurrency: function.concurrency,
        min_instances: function.min_instances,
    });
    let first = match clock.setting() {
        ClockSetting::Scaled(factor) => factor,
        _ => 1.0,
    };
    api::Settings {
        clock: clock.name(),
        clock_factor: clock.speed(),
        cold_starts: views::cold_starts_name(settings.cold_starts()).to_owned(),
        functions: functions.collect(),
        changed: settings.is_changed() || clock.factor() != first,
    }
}

pub fn change(server: &Server, body: &Bytes) -> Answer<api::Settings> {
    let asked: api::ChangeSettings = read(body, REMEDY)?;
    let mut change = Change {
        reset: asked.reset,
        clock_factor: asked.clock.as_deref().map(clock).transpose()?,
        cold_starts: asked.cold_starts.as_deref().map(cold_starts).transpose()?,
        ..Change::default()
    };
    if change.clock_factor.is_some() && server.driver.0.clock.manual().is_some() {
        return Err(bad_request("manual-clock", "a manual clock has no speed").remedy("POST /_emu/clock moves it"));
    }
    for (name, wanted) in &asked.functions {
        handlers::entry(server, name)?;
        change.functions.insert(name.clone(), function(name, wanted)?);
    }
    server.driver.change_settings(&change);
    Ok(show(server))
}

fn clock(text: &str) -> Answer<f64> {
    let bad = |message: String| bad_request("bad-clock", message).remedy("for example \"x60\", or \"real\"");
    match text.parse::<ClockSetting>().map_err(bad)? {
        ClockSetting::Real => Ok(1.0),
        ClockSetting::Scaled(factor) => Ok(factor),
        ClockSetting::Manual => Err(bad(
            "a clock becomes manual at the start alone: `emu dev --clock manual`".to_owned(),
        )),
    }
}

fn cold_starts(text: &str) -> Answer<ColdStarts> {
    match text {
        "report" => Ok(ColdStarts::Report),
        "sleep" => Ok(ColdStarts::Sleep),
        "off" => Ok(ColdStarts::Off),
        _ => Err(bad_request("bad-cold-starts", format!("cold_starts is not {text:?}")).remedy("report, sleep or off")),
    }
}

fn function(name: &str, wanted: &api::ChangeFunction) -> Answer<FunctionSettings> {
    let bad = |code, message: String, remedy: String| bad_request(code, format!("{name}: {message}")).remedy(remedy);
    let keep_alive = match &wanted.keep_alive {
        None => None,
        Some(text) => {
            let span = crate::project::units::parse_span(text).map_err(|error| {
                bad(
                    "bad-keep-alive",
                    format!("keep_alive: {error}"),
                    "for example \"5m\"".into(),
                )
            })?;
            if span > KEEP_ALIVE_MAX {
                let remedy = format!("at most {KEEP_ALIVE_MAX}");
                return Err(bad("bad-keep-alive", format!("keep_alive {span} is too long"), remedy));
            }
            Some(span)
        }
    };
    let within = |key: &str, value: Option<u32>, least: u32, most: u32| match value {
        Some(value) if !(least..=most).contains(&value) => Err(bad(
            "out-of-range",
            format!("{key} {value} is out of range"),
            format!("give {least} to {most}"),
        )),
        other => Ok(other),
    };
    Ok(FunctionSettings {
        keep_alive,
        max_concurrency: within("max_concurrency", wanted.max_concurrency, 0, INSTANCES_MAX)?,
        concurrency: within("concurrency", wanted.concurrency, 1, CONCURRENCY_MAX)?,
        min_instances: within("min_instances", wanted.min_instances, 0, INSTANCES_MAX)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(answer: Answer<T>) -> &'static str {
        answer.err().map_or("", |failure| failure.code)
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(clock("x60").ok(), Some(60.0));
        assert_eq!(clock("real").ok(), Some(1.0));
        assert_eq!(code(clock("60")), "bad-clock");
        assert_eq!(code(cold_starts("on")), "bad-cold-starts");
        let wanted = |change: fn(&mut api::ChangeFunction)| {
            let mut wanted = api::ChangeFunction::default();
            change(&mut wanted);
            code(function("f", &wanted))
        };
        assert_eq!(wanted(|f| f.keep_alive = Some("5m".into())), "");
        assert_eq!(wanted(|f| f.keep_alive = Some("5".into())), "bad-keep-alive");
        assert_eq!(wanted(|f| f.keep_alive = Some("30d".into())), "bad-keep-alive");
        assert_eq!(wanted(|f| f.concurrency = Some(0)), "out-of-range");
        assert_eq!(wanted(|f| f.max_concurrency = Some(0)), "");
        assert_eq!(wanted(|f| f.min_instances = Some(1_000_000)), "out-of-range");
    }
}
