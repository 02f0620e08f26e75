//! Traces and metrics for others' tools, by OTLP over HTTP, when somebody has named a receiver in the environment. Off, it costs
//! nothing; on, a run makes one span and hands it to a task that sends; one that is not kept is a context only.
//!
//! W3C trace context comes in with requests and messages, and goes out with what functions ask and send: `context` reads and writes it,
//! `span` is a span, `run` where runs meet theirs, `sent` what goes to queues, topics and functions, `export` sends. A message carries
//! its context as an attribute, an event beside its payload (`Payload::trace`), through stores and the bus.

mod context;
mod export;
mod run;
mod sent;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use context::Trace;
pub use run::Active;
pub use sent::{attributes, carry, of_attributes};
pub use span::Open;

/// Spans on their way out; beyond it they are counted, not kept.
const SPANS_MAX: usize = 8_192;

/// As the environment says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub service: String,
    /// Share of traces that begin here and are kept; of those that began elsewhere their flag decides.
    pub ratio: f64,
    pub has_traces: bool,
    pub has_metrics: bool,
}

impl Settings {
    /// By the variables of OpenTelemetry's own specification; `None`: nobody asked for it. Endpoints, headers and timeouts
    /// are read by the exporter.
    ///
    /// # Errors
    /// When a variable holds what it cannot.
    pub fn of_env(env: &dyn Fn(&str) -> Option<String>, project: &str) -> Result<Option<Settings>, String> {
        let env = |name: &str| env(name).filter(|text| !text.is_empty());
        let is_there = |signal: &str| {
            let own = env(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
            own.or_else(|| env("OTEL_EXPORTER_OTLP_ENDPOINT")).is_some()
                && env(&format!("OTEL_{signal}_EXPORTER")).is_none_or(|exporter| exporter == "otlp")
        };
        let (has_traces, has_metrics) = (is_there("TRACES"), is_there("METRICS"));
        let is_off = env("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if is_off || !(has_traces || has_metrics) {
            return Ok(None);
        }
        if let Some(protocol) = env("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: emu speaks http/protobuf, on port 4318 of a collector"
            ));
        }
        let ratio = match env("OTEL_TRACES_SAMPLER").as_deref() {
            None | Some("always_on" | "parentbased_always_on") => 1.0,
            Some("always_off" | "parentbased_always_off") => 0.0,
            Some("traceidratio" | "parentbased_traceidratio") => {
                let share = env("OTEL_TRACES_SAMPLER_ARG").map_or(Ok(1.0), |text| text.parse::<f64>());
                let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
                share.ok_or("OTEL_TRACES_SAMPLER_ARG is no share between 0 and 1")?
            }
            Some(other) => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER={other}: emu knows always_on, always_off, traceidratio and these with parentbased_"
                ));
            }
        };
        Ok(Some(Settings {
            service: env("OTEL_SERVICE_NAME").unwrap_or_else(|| project.to_owned()),
            ratio,
            has_traces,
            has_metrics,
        }))
    }
}

/// Traces and metrics of an emulator. Clones share everything.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    ratio: f64,
    spans: Option<mpsc::Sender<SpanData>>,
    scope: InstrumentationScope,
    dropped: Arc<AtomicU64>,
    instruments: Option<Instruments>,
    metrics: Option<SdkMeterProvider>,
    sender: std::sync::Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

/// Bounds of the conventions.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// How a run ended.
struct Ended {
    failed: bool,
    timed_out: bool,
    cold: bool,
    duration: Duration,
    init: Duration,
    memory_bytes: u64,
}

/// By the conventions for FaaS.
struct Instruments {
    invocations: Counter<u64>,
    errors: Counter<u64>,
    timeouts: Counter<u64>,
    cold_starts: Counter<u64>,
    duration: Histogram<f64>,
    init: Histogram<f64>,
    memory: Histogram<u64>,
}

impl Instruments {
    fn new(meter: &Meter) -> Instruments {
        let seconds = |name: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Instruments {
            invocations: meter.u64_counter("faas.invocations").with_unit("{invocation}").build(),
            errors: meter.u64_counter("faas.errors").with_unit("{error}").build(),
            timeouts: meter.u64_counter("faas.timeouts").with_unit("{timeout}").build(),
            cold_starts: meter.u64_counter("faas.coldstarts").with_unit("{coldstart}").build(),
            duration: seconds("faas.invoke_duration"),
            init: seconds("faas.init_duration"),
            memory: meter.u64_histogram("faas.mem_usage").with_unit("By").build(),
        }
    }

    fn record(&self, function: &Arc<str>, trigger: &'static str, ended: &Ended) {
        let of = [
            KeyValue::new("faas.name", function.clone()),
            KeyValue::new("faas.trigger", trigger),
        ];
        match (ended.failed, ended.timed_out) {
            (false, _) => self.invocations.add(1, &of),
            (true, true) => self.timeouts.add(1, &of),
            (true, false) => self.errors.add(1, &of),
        }
        if ended.cold {
            self.cold_starts.add(1, &of);
            self.init.record(ended.init.as_secs_f64(), &of);
        }
        self.duration.record(ended.duration.as_secs_f64(), &of);
        self.memory.record(ended.memory_bytes, &of);
    }
}

impl Telemetry {
    /// Begins to send, on the runtime that this is called on.
    ///
    /// # Errors
    /// When an endpoint is no address.
    pub fn start(settings: &Settings) -> anyhow::Result<Telemetry> {
        // Another part of the program may have chosen one before.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attributes([
                KeyValue::new("service.instance.id", std::process::id().to_string()),
                KeyValue::new("emu.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let dropped = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let (spans, sender) = match settings.has_traces {
            true => {
                let (to, from) = mpsc::channel(SPANS_MAX);
                let sender = export::spans(resource.clone(), from, dropped.clone(), stop.clone())
                    .context("traces cannot be sent")?;
                (Some(to), Some(sender))
            }
            false => (None, None),
        };
        let metrics = match settings.has_metrics {
            true => Some(export::metrics(resource).context("metrics cannot be sent")?),
            false => None,
        };
        let instruments = metrics
            .as_ref()
            .map(|provider| Instruments::new(&provider.meter("emu")));
        Ok(Telemetry(Arc::new(Inner {
            ratio: settings.ratio,
            spans,
            scope: InstrumentationScope::builder("emu")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            dropped,
            instruments,
            metrics,
            sender: std::sync::Mutex::new(sender),
            stop,
        })))
    }

    /// A run is over.
    fn count(&self, function: &Arc<str>, trigger: &'static str, ended: &Ended) {
        if let Some(instruments) = &self.0.instruments {
            instruments.record(function, trigger, ended);
        }
    }

    /// A span is over.
    fn keep(&self, span: SpanData) {
        if let Some(to) = &self.0.spans
            && to.try_send(span).is_err()
        {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what is left. Nothing may be handed to it any more.
    pub async fn close(&self) {
        self.0.stop.cancel();
        let sender = self
            .0
            .sender
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(sender) = sender {
            export::finish(sender).await;
        }
        if let Some(metrics) = self.0.metrics.clone() {
            // It waits for the thread that sends; a receiver that is away is told of by the log.
            let _ = tokio::task::spawn_blocking(move || metrics.shutdown()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_turns_it_on() {
        let settings = |vars: &[(&str, &str)]| {
            let env = |name: &str| {
                vars.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            Settings::of_env(&env, "shop")
        };
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(settings(&[]), Ok(None));
        assert_eq!(settings(&[on, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let found = settings(&[on, ("OTEL_METRICS_EXPORTER", "none")])
            .expect("valid")
            .expect("on");
        assert_eq!((found.service.as_str(), found.ratio), ("shop", 1.0));
        assert!(found.has_traces && !found.has_metrics);
        let half = [
            on,
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ];
        assert_eq!(settings(&half).expect("valid").expect("on").ratio, 0.5);
        assert!(settings(&[on, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_err());
        assert!(settings(&[on, ("OTEL_TRACES_SAMPLER", "jaeger_remote")]).is_err());
    }
}
