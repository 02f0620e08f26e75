//! Traces and metrics for others' tools, by OTLP over HTTP, when somebody has named a receiver in the environment. Off, it costs
//! nothing; on, a run makes one span and hands it to a task that sends; one that is not kept is a context only.
//!
//! W3C trace context comes in with requests and messages, and goes out with what functions ask and send: `context` reads and writes it,
//! `settings` is what the environment asks for, `span` is a span, `run` where runs meet theirs, `sent` what goes to queues, topics and functions, `export` sends. A message carries
//! its context as an attribute, an event beside its payload (`Payload::trace`), through stores and the bus.

mod context;
mod export;
mod run;
mod sent;
mod settings;
mod span;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SpanData;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::live::store::Tell;

pub use context::Trace;
use export::Outbox;
pub use run::Active;
pub use sent::{attributes, carry, of_attributes};
pub use settings::{Asked, Settings};
pub use span::Open;

/// Traces and metrics of an emulator. Clones share everything.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    ratio: f64,
    spans: Option<Arc<Outbox>>,
    scope: InstrumentationScope,
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

/// Drawn by lot: a process's number may be another's on another machine, or after a restart.
fn instance() -> String {
    let mut bytes = [0u8; 16];
    // Without the system's randomness there is the process's number, which is told beside.
    let _ = getrandom::fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

impl Telemetry {
    /// Begins to send, on the runtime that this is called on.
    ///
    /// # Errors
    /// When an endpoint is no address.
    pub fn start(settings: &Settings, tell: Tell) -> anyhow::Result<Telemetry> {
        // Another part of the program may have chosen one before.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attributes([
                KeyValue::new("service.instance.id", instance()),
                KeyValue::new("process.pid", i64::from(std::process::id())),
                KeyValue::new("emu.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let stop = CancellationToken::new();
        let (spans, sender) = match &settings.traces {
            Some(to) => {
                let outbox = Arc::new(Outbox::default());
                let sender = export::spans(resource.clone(), outbox.clone(), to.clone(), tell, stop.clone())
                    .context("traces cannot be sent")?;
                (Some(outbox), Some(sender))
            }
            None => (None, None),
        };
        let metrics = match settings.metrics {
            Some(_) => Some(export::metrics(resource).context("metrics cannot be sent")?),
            None => None,
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
        if let Some(outbox) = &self.0.spans {
            outbox.put(span);
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
