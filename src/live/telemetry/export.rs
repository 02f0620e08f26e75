//! Sending: spans by a task of ours in batches, metrics by the SDK's own reader.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::settings::Endpoint;
use crate::live::store::Tell;

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_millis(500);
/// How long the end waits for a receiver.
const LAST: Duration = Duration::from_secs(3);

/// What sending spans needs beside them.
pub struct Sending {
    pub to: Endpoint,
    pub tell: Tell,
    /// Spans that found no room.
    pub dropped: Arc<AtomicU64>,
    pub stop: CancellationToken,
}

/// Sends spans until it is stopped, and then what is left.
pub fn spans(
    resource: Resource,
    mut from: mpsc::Receiver<SpanData>,
    sending: Sending,
) -> anyhow::Result<JoinHandle<()>> {
    let Sending {
        to,
        tell,
        dropped,
        stop,
    } = sending;
    let mut exporter = SpanExporter::builder().with_http().build()?;
    exporter.set_resource(&resource);
    Ok(tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut was_told = false;
        while gather(&mut from, &mut batch, &stop).await {
            match exporter.export(std::mem::take(&mut batch)).await {
                Ok(()) if was_told => {
                    tell("info", format!("traces are taken again by {}", to.address));
                    was_told = false;
                }
                Ok(()) => {}
                // Once for each outage.
                Err(error) if !was_told => {
                    let place = format!("{} ({})", to.address, to.variable);
                    tell(
                        "warning",
                        format!("traces are not taken by {place}: {error}; spans are dropped until they are"),
                    );
                    was_told = true;
                }
                Err(_) => {}
            }
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tell(
                    "warning",
                    format!("{lost} spans were dropped: {} is too slow", to.address),
                );
            }
        }
        let _ = exporter.shutdown();
    }))
}

/// Waits for the first span, and then a little for more: a request for each would cost more than the span. False at the end.
async fn gather(from: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>, stop: &CancellationToken) -> bool {
    let mut until = None;
    loop {
        let rest = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let room = BATCH_MAX - batch.len();
        tokio::select! {
            biased;
            came = from.recv_many(batch, room) => {
                if came == 0 || batch.len() == BATCH_MAX {
                    return !batch.is_empty();
                }
                until.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
            }
            () = stop.cancelled(), if !from.is_closed() => from.close(),
            () = rest => return true,
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
