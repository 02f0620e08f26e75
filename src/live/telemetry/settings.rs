//! What the environment asks for, by the variables of OpenTelemetry's own specification. What is wrong there is told at the start under the
//! variable's name, and stops nothing: the specification has it so, and a function is worth more than its trace.

use http::uri::{Scheme, Uri};
use http::{HeaderName, HeaderValue};

/// Traces and metrics that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub service: String,
    /// Share of traces that begin here and are kept; of those that began elsewhere their flag decides.
    pub ratio: f64,
    /// Where traces go, as the variable has it.
    pub traces: Option<Endpoint>,
    pub metrics: Option<Endpoint>,
}

/// An address, and the variable that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub variable: String,
    pub address: String,
}

/// Settings, and what was found wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// `None`: nobody asked, or in a way that cannot be.
    pub settings: Option<Settings>,
    pub wrong: Vec<String>,
}

type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Asked {
    /// Headers and timeouts are read by the exporter.
    pub fn of_env(env: &Env<'_>, project: &str) -> Asked {
        let env = |name: &str| env(name).filter(|text| !text.trim().is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Asked::default();
        }
        let mut wrong = Vec::new();
        let traces = signal(&env, "TRACES", &mut wrong);
        let metrics = signal(&env, "METRICS", &mut wrong);
        // What is wrong for both is told once.
        let mut told = std::collections::BTreeSet::new();
        wrong.retain(|text| told.insert(text.clone()));
        if traces.is_none() && metrics.is_none() {
            return Asked { settings: None, wrong };
        }
        let settings = Settings {
            service: env("OTEL_SERVICE_NAME").unwrap_or_else(|| project.to_owned()),
            ratio: ratio(&env, &mut wrong),
            traces,
            metrics,
        };
        Asked {
            settings: Some(settings),
            wrong,
        }
    }
}

/// The variable of one signal, or that of all.
fn either(env: &Env<'_>, signal: &str, what: &str) -> Option<(String, String)> {
    let names = [
        format!("OTEL_EXPORTER_OTLP_{signal}_{what}"),
        format!("OTEL_EXPORTER_OTLP_{what}"),
    ];
    names.into_iter().find_map(|name| env(&name).map(|text| (name, text)))
}

/// Where a signal goes; `None`: nowhere.
fn signal(env: &Env<'_>, signal: &str, wrong: &mut Vec<String>) -> Option<Endpoint> {
    let (variable, address) = either(env, signal, "ENDPOINT")?;
    let exporter = format!("OTEL_{signal}_EXPORTER");
    match env(&exporter).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return None,
        Some(other) => {
            wrong.push(format!("{exporter}={other}: emu knows otlp and none; nothing is sent"));
            return None;
        }
    }
    let found = wrong.len();
    if let Some(fault) = endpoint_fault(&address) {
        let example = "for example http://localhost:4318";
        wrong.push(format!("{variable}={address}: {fault}, {example}; nothing is sent"));
    }
    if let Some((name, protocol)) = either(env, signal, "PROTOCOL").filter(|(_, one)| one != "http/protobuf") {
        let remedy = "emu speaks http/protobuf, on port 4318 of a collector";
        wrong.push(format!("{name}={protocol}: {remedy}; nothing is sent"));
    }
    if let Some((name, how)) = either(env, signal, "COMPRESSION").filter(|(_, one)| one != "none") {
        wrong.push(format!(
            "{name}={how}: emu sends uncompressed, leave it out; nothing is sent"
        ));
    }
    if wrong.len() > found {
        return None;
    }
    if let Some((name, text)) = either(env, signal, "HEADERS") {
        wrong.extend(header_faults(&name, &text));
    }
    let of_time = [
        either(env, signal, "TIMEOUT"),
        env("OTEL_METRIC_EXPORT_INTERVAL")
            .filter(|_| signal == "METRICS")
            .map(|text| ("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), text)),
    ];
    let no_number = |(_, text): &(String, String)| text.trim().parse::<u64>().is_err();
    wrong.extend(
        of_time
            .into_iter()
            .flatten()
            .filter(no_number)
            .map(|(name, text)| format!("{name}={text} is no number of milliseconds; it counts as not set")),
    );
    Some(Endpoint { variable, address })
}

/// Why nothing can be sent there.
fn endpoint_fault(address: &str) -> Option<String> {
    let uri: Uri = match address.parse() {
        Ok(uri) => uri,
        Err(error) => return Some(format!("no address ({error})")),
    };
    match (uri.scheme(), uri.host()) {
        (Some(scheme), Some(host)) if !host.is_empty() => {
            let is_known = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
            let port = uri.port();
            let is_port = port.is_some() || uri.authority().is_none_or(|all| all.as_str().ends_with(host));
            match (is_known, is_port) {
                (false, _) => Some(format!(
                    "{scheme}:// is not spoken here: an address begins with http:// or https://"
                )),
                (true, false) => Some("its port is none".to_owned()),
                (true, true) => None,
            }
        }
        _ => Some("an address begins with http:// or https://".to_owned()),
    }
}

/// Values are left out: they are often secret.
fn header_faults(variable: &str, text: &str) -> Vec<String> {
    let fault = |entry: &str| {
        let Some((name, value)) = entry.split_once('=') else {
            return Some(format!(
                "{variable}: an entry without `=` is left out; write name=value,name=value"
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        if HeaderName::try_from(name).is_err() {
            return Some(format!("{variable}: {name:?} is no name of a header; it is left out"));
        }
        HeaderValue::try_from(value)
            .is_err()
            .then(|| format!("{variable}: the value of {name} has characters that no header can; it is left out"))
    };
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
    entries.filter_map(fault).collect()
}

fn ratio(env: &Env<'_>, wrong: &mut Vec<String>) -> f64 {
    match env("OTEL_TRACES_SAMPLER").as_deref() {
        None | Some("always_on" | "parentbased_always_on") => 1.0,
        Some("always_off" | "parentbased_always_off") => 0.0,
        Some("traceidratio" | "parentbased_traceidratio") => {
            let Some(text) = env("OTEL_TRACES_SAMPLER_ARG") else {
                return 1.0;
            };
            let share = text.trim().parse::<f64>().ok();
            share.filter(|share| (0.0..=1.0).contains(share)).unwrap_or_else(|| {
                wrong.push(format!(
                    "OTEL_TRACES_SAMPLER_ARG={text} is no share between 0 and 1; all traces are kept"
                ));
                1.0
            })
        }
        Some(other) => {
            let known = "emu knows always_on, always_off, traceidratio and these with parentbased_";
            wrong.push(format!("OTEL_TRACES_SAMPLER={other}: {known}; all traces are kept"));
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(vars: &[(&str, &str)]) -> Asked {
        let env = |name: &str| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Asked::of_env(&env, "shop")
    }

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn the_environment_turns_it_on() {
        assert_eq!(asked(&[]), Asked::default());
        assert_eq!(asked(&[ON, ("OTEL_SDK_DISABLED", "true")]), Asked::default());
        let found = asked(&[ON, ("OTEL_METRICS_EXPORTER", "none")]);
        assert_eq!(found.wrong, [""; 0]);
        let found = found.settings.expect("on");
        assert_eq!((found.service.as_str(), found.ratio), ("shop", 1.0));
        assert!(found.traces.is_some() && found.metrics.is_none());
        let half = [
            ON,
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ];
        assert_eq!(asked(&half).settings.expect("on").ratio, 0.5);
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_stops_nothing() {
        let endpoint = |address| [("OTEL_EXPORTER_OTLP_ENDPOINT", address)];
        for address in [
            "localhost:4318",
            "htp://localhost:4318",
            "http:/localhost",
            "http://a b",
            "grpc://x:4317",
        ] {
            let found = asked(&endpoint(address));
            assert_eq!(found.settings, None, "{address}");
            let [told] = found.wrong.as_slice() else {
                panic!("{address}: {:?}", found.wrong)
            };
            let named = format!("OTEL_EXPORTER_OTLP_ENDPOINT={address}: ");
            assert!(
                told.starts_with(&named) && told.contains("http://localhost:4318"),
                "{told}"
            );
        }
        assert_eq!(asked(&endpoint("https://collector.example/otlp")).wrong, [""; 0]);
        for (name, value, goes_on) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", false),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", false),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", true),
            ("OTEL_METRIC_EXPORT_INTERVAL", "often", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret", true),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", true),
        ] {
            let found = asked(&[ON, (name, value)]);
            assert_eq!(found.settings.is_some(), goes_on, "{name}={value}");
            let [told] = found.wrong.as_slice() else {
                panic!("{name}: {:?}", found.wrong)
            };
            assert!(told.starts_with(name) && !told.contains("secret"), "{told}");
        }
        let share = [
            ON,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "10"),
        ];
        let found = asked(&share);
        assert!(
            found.wrong[0].starts_with("OTEL_TRACES_SAMPLER_ARG=10 "),
            "{:?}",
            found.wrong
        );
        assert_eq!(found.settings.expect("on").ratio, 1.0);
        let one = asked(&[ON, ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")]);
        let settings = one.settings.expect("traces");
        assert!(settings.traces.is_some() && settings.metrics.is_none());
    }
}
