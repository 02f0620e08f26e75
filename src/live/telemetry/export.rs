//! Sending: spans by a task of ours in batches, metrics by the SDK's own reader.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::settings::Endpoint;
use crate::live::store::Tell;

/// Spans on their way out; beyond it they are counted, not kept.
const SPANS_MAX: usize = 8_192;
/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_millis(500);
/// How long the end waits for a receiver.
const LAST: Duration = Duration::from_secs(3);

/// Spans on their way out: a run puts its own in, and wakes the one who sends only with the first and the last of a request.
#[derive(Default)]
pub struct Outbox {
    spans: Mutex<Vec<SpanData>>,
    /// The first is there, or those of a request.
    filled: Notify,
    /// Spans that found no room.
    dropped: AtomicU64,
}

impl Outbox {
    pub fn put(&self, span: SpanData) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= SPANS_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push(span);
        let many = spans.len();
        drop(spans);
        if many == 1 || many == BATCH_MAX {
            self.filled.notify_one();
        }
    }

    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.spans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn len(&self) -> usize {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for the first span, and then a little for more: a request for each would cost more than the span.
    async fn gather(&self) {
        while self.len() == 0 {
            self.filled.notified().await;
        }
        let until = tokio::time::Instant::now() + GATHER;
        while self.len() < BATCH_MAX {
            tokio::select! {
                () = self.filled.notified() => {}
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }
}

/// Sends spans until it is stopped, and then what is left.
///
/// # Errors
/// When the exporter cannot be made.
pub fn spans(
    resource: Resource,
    outbox: Arc<Outbox>,
    to: Endpoint,
    tell: Tell,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let mut exporter = SpanExporter::builder().with_http().build()?;
    exporter.set_resource(&resource);
    Ok(tokio::spawn(async move {
        let mut was_told = false;
        loop {
            let stopped = stop.run_until_cancelled(outbox.gather()).await.is_none();
            let mut spans = outbox.take().into_iter().peekable();
            while spans.peek().is_some() {
                let batch = spans.by_ref().take(BATCH_MAX).collect();
                was_told = told(exporter.export(batch).await, was_told, &to, &tell);
            }
            let lost = outbox.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tell(
                    "warning",
                    format!("{lost} spans were dropped: {} is too slow", to.address),
                );
            }
            if stopped {
                break;
            }
        }
        let _ = exporter.shutdown();
    }))
}

/// Says of an outage when it begins and when it is over; whether it goes on.
fn told(sent: OTelSdkResult, was_told: bool, to: &Endpoint, tell: &Tell) -> bool {
    match (sent, was_told) {
        (Ok(()), false) => false,
        (Ok(()), true) => {
            tell("info", format!("traces are taken again by {}", to.address));
            false
        }
        (Err(_), true) => true,
        (Err(error), false) => {
            let place = format!("{} ({})", to.address, to.variable);
            let rest = "spans are dropped until they are";
            tell("warning", format!("traces are not taken by {place}: {error}; {rest}"));
            true
        }
    }
}

/// Waits for what is left to leave.
pub async fn finish(sender: JoinHandle<()>) {
    let _ = tokio::time::timeout(LAST, sender).await;
}

/// A provider whose reader sends every so often, by `OTEL_METRIC_EXPORT_INTERVAL`.
pub fn metrics(resource: Resource) -> anyhow::Result<SdkMeterProvider> {
    let exporter = OnRuntime {
        exporter: MetricExporter::builder().with_http().build()?,
        runtime: Handle::current(),
    };
    let reader = PeriodicReader::builder(exporter).build();
    Ok(SdkMeterProvider::builder()
        .with_reader(reader)
        .with_resource(resource)
        .build())
}

/// The SDK polls its exporter on a thread of its own, where the HTTP client finds no runtime.
struct OnRuntime {
    exporter: MetricExporter,
    runtime: Handle,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnRuntime").finish_non_exhaustive()
    }
}

impl PushMetricExporter for OnRuntime {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let work = Entered {
            runtime: self.runtime.clone(),
            work: Box::pin(self.exporter.export(metrics)),
        };
        work.await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Work that finds the runtime whoever polls it.
struct Entered<'a> {
    runtime: Handle,
    work: Pin<Box<dyn Future<Output = OTelSdkResult> + Send + 'a>>,
}

impl Future for Entered<'_> {
    type Output = OTelSdkResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OTelSdkResult> {
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        self.work.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures::FutureExt as _;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: "one".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[tokio::test]
    async fn those_of_a_request_leave_at_once_and_what_finds_no_room_is_counted() {
        let outbox = Outbox::default();
        assert!(outbox.gather().now_or_never().is_none());
        outbox.put(span());
        assert!(outbox.gather().now_or_never().is_none(), "more may come");
        for _ in 0..SPANS_MAX {
            outbox.put(span());
        }
        assert!(outbox.gather().now_or_never().is_some());
        assert_eq!(outbox.take().len(), SPANS_MAX);
        assert_eq!(outbox.dropped.load(Ordering::Relaxed), 1);
        outbox.put(span());
        assert_eq!(outbox.take().len(), 1);
    }
}
