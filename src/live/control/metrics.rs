//! GET `/metrics`: what the emulator counts anyway, in the form that Prometheus reads. Nothing is counted for it but durations, and
//! those from the first time that somebody asks.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::live::Server;
use crate::live::api;

use super::{Reply, views};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the histogram, in seconds: from a hello to the longest timeout.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    function: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct In {
    queue: String,
    state: &'static str,
}

/// How long functions took.
#[derive(Clone)]
pub struct Durations(Family<Of, Histogram, fn() -> Histogram>);

impl Default for Durations {
    fn default() -> Durations {
        Durations(Family::new_with_constructor(|| Histogram::new(BUCKETS)))
    }
}

impl Durations {
    pub fn observe(&self, function: &str, seconds: f64) {
        let of = Of {
            function: function.to_owned(),
        };
        self.0.get_or_create(&of).observe(seconds);
    }
}

/// The whole page.
pub fn reply(server: &Server) -> Reply {
    let durations = server.driver.0.durations.get_or_init(|| Arc::new(Durations::default()));
    let text = page(
        &views::functions(&server.driver),
        &views::queues(&server.driver),
        durations,
    );
    let mut response = Reply::new(text.into());
    let kind = http::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn page(functions: &[api::Function], queues: &[api::Queue], durations: &Durations) -> String {
    let mut registry = Registry::with_prefix("emu");
    let count = |registry: &mut Registry, name: &str, help: &str, of: fn(&api::Function) -> u64| {
        let family = Family::<Of, Counter>::default();
        for function in functions {
            let label = Of {
                function: function.name.clone(),
            };
            family.get_or_create(&label).inc_by(of(function));
        }
        registry.register(name, help, family);
    };
    count(&mut registry, "invocations", "Invocations that ended", |function| {
        function.invocations
    });
    count(&mut registry, "errors", "Invocations that failed", |function| {
        function.errors
    });
    count(
        &mut registry,
        "cold_starts",
        "Invocations that started cold",
        |function| function.cold_starts,
    );
    count(
        &mut registry,
        "throttles",
        "Invocations that were throttled",
        |function| function.throttles,
    );
    let instances = Family::<Of, Gauge>::default();
    for function in functions {
        let label = Of {
            function: function.name.clone(),
        };
        instances.get_or_create(&label).set(function.instances.into());
    }
    registry.register("instances", "Instances that are there", instances);
    let messages = Family::<In, Gauge>::default();
    for queue in queues {
        for (state, number) in [
            ("visible", queue.visible),
            ("in_flight", queue.in_flight),
            ("delayed", queue.delayed),
        ] {
            let label = In {
                queue: queue.name.clone(),
                state,
            };
            messages
                .get_or_create(&label)
                .set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
    registry.register("queue_messages", "Messages in queues", messages);
    let help = "Time of handlers, since the first scrape";
    registry.register_with_unit("invocation_duration", help, Unit::Seconds, durations.0.clone());
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_queues_and_durations() {
        let durations = Durations::default();
        durations.observe("api", 0.003);
        let queue = api::Queue {
            name: "orders".to_owned(),
            fifo: false,
            visible: 3,
            in_flight: 1,
            delayed: 0,
            dead: 0,
            dead_letter: None,
            consumer: None,
            oldest_ms: None,
            max_receives: None,
            visibility_timeout_ms: 0.0,
        };
        let text = page(&[], &[queue], &durations);
        assert!(
            text.contains("emu_queue_messages{queue=\"orders\",state=\"visible\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("emu_invocation_duration_seconds_bucket{le=\"0.005\",function=\"api\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
