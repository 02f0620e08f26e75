//! `/_emu/load`: traffic from inside, as `emu load` makes it from outside.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::live::Server;
use crate::live::api;
use crate::live::load::{Plan, Template, first_route};

use super::{Answer, ApiFailure, bad_request, handlers, read, views};

const REMEDY: &str =
    r#"for example {"function": "NAME", "pattern": "burst", "rate": 50, "duration": "10s"}, or {"stop": true}"#;
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
const CONCURRENCY: u32 = 1_000;
const CONCURRENCY_MAX: u32 = 20_000;

pub fn show(server: &Server) -> api::LoadState {
    let Some(progress) = server.driver.0.loads.progress() else {
        return api::LoadState::default();
    };
    let cold_starts = views::cold_starts_name(server.driver.cold_starts());
    api::LoadState {
        running: progress.running,
        pattern: Some(progress.plan.pattern),
        rate: progress.plan.rate,
        duration_ms: progress.plan.duration.as_secs_f64() * 1e3,
        under_way: progress.under_way,
        so_far: Some(
            progress
                .tally
                .summary(&progress.target, progress.elapsed, None, cold_starts),
        ),
    }
}

pub fn post(server: &Server, body: &Bytes) -> Answer<api::LoadState> {
    let asked: api::StartLoad = read(body, REMEDY)?;
    let plan = plan(&asked)?;
    if asked.stop {
        server.driver.0.loads.stop();
        return Ok(show(server));
    }
    let template = template(server, &asked)?;
    if !server.driver.0.loads.start(plan, template) {
        let failure = ApiFailure::new(StatusCode::CONFLICT, "load-running", "a load runs already");
        return Err(failure.remedy(r#"wait for its end, or send {"stop": true}"#));
    }
    Ok(show(server))
}

fn plan(asked: &api::StartLoad) -> Answer<Plan> {
    let text = asked.duration.as_deref().unwrap_or("30s");
    let duration = crate::project::units::parse_span(text)
        .map_err(|error| bad_request("bad-duration", format!("duration: {error}")).remedy("for example \"30s\""))?
        .to_std();
    if duration.is_zero() || duration > DURATION_MAX {
        return Err(bad_request(
            "bad-duration",
            "duration is more than nothing and at most 24h",
        ));
    }
    let concurrency = asked.concurrency.unwrap_or(CONCURRENCY);
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        let message = format!("concurrency {concurrency} is out of range");
        return Err(bad_request("out-of-range", message).remedy(format!("give 1 to {CONCURRENCY_MAX}")));
    }
    let plan = Plan {
        pattern: asked.pattern,
        rate: asked.rate.unwrap_or(50.0),
        duration,
        concurrency: concurrency as usize,
    };
    plan.check().map_err(|message| bad_request("out-of-range", message))?;
    Ok(plan)
}

fn template(server: &Server, asked: &api::StartLoad) -> Answer<Template> {
    let (method, path) = match (&asked.path, &asked.function) {
        (Some(path), _) => (None, path.clone()),
        (None, Some(name)) => {
            handlers::entry(server, name)?;
            let routes = views::functions(&server.driver).into_iter();
            let routes = routes.filter(|function| function.name == *name).flat_map(|f| f.routes);
            let routes: Vec<String> = routes.collect();
            first_route(&routes).ok_or_else(|| {
                bad_request("no-route", format!("{name} answers no HTTP requests"))
                    .remedy("send messages to its queue or topic, or fire its cron")
            })?
        }
        (None, None) => return Err(bad_request("no-target", "neither function nor path is given").remedy(REMEDY)),
    };
    let default = if asked.body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let given = asked.method.as_deref().map(parse_method).transpose()?;
    let body = asked.body.clone().unwrap_or_default();
    let mut headers = parse_headers(&asked.headers)?;
    if serde_json::from_str::<serde_json::Value>(&body).is_ok()
        && !headers.iter().any(|(name, _)| name == header::CONTENT_TYPE)
    {
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    }
    Ok(Template {
        method: given.or(method).unwrap_or(default),
        uri: own_uri(server, &path)?,
        headers,
        body: Bytes::from(body),
    })
}

pub fn parse_method(text: &str) -> Answer<Method> {
    Method::from_str(text).map_err(|_| bad_request("bad-method", format!("{text:?} is no HTTP method")))
}

pub fn parse_headers(given: &[(String, String)]) -> Answer<Vec<(HeaderName, HeaderValue)>> {
    let parsed = given.iter().map(|(name, value)| {
        let bad = |what: &str| bad_request("bad-header", format!("{what:?} cannot stand in a header"));
        let name = HeaderName::from_str(name).map_err(|_| bad(name))?;
        let value = HeaderValue::from_str(value).map_err(|_| bad(value))?;
        Ok((name, value))
    });
    parsed.collect()
}

/// A path at the functions' own address, and nowhere else.
pub fn own_uri(server: &Server, path: &str) -> Answer<http::Uri> {
    let bad = || bad_request("bad-path", format!("{path:?} is no path")).remedy("for example \"/orders?limit=10\"");
    if !path.starts_with('/') {
        return Err(bad());
    }
    let mut parts = http::Uri::from_str(&server.functions_url)
        .map_err(|_| bad())?
        .into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| bad())?);
    http::Uri::from_parts(parts).map_err(|_| bad())
}
