//! Traces by OTLP (gRPC), where an endpoint is given. A collector that is away costs spans and one log line, never time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Sends the spans of this process. Clones send to the same collector.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
}

/// Who sends them.
#[derive(Clone, Debug)]
pub struct Sender {
    /// `service.name`.
    pub service: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`: the pod.
    pub instance: String,
}

/// Spans that wait at most; further ones are dropped and counted.
const QUEUE: usize = 2048;
/// Spans in one request at most.
const BATCH: usize = 512;
/// How long spans wait for others.
const DELAY: Duration = Duration::from_secs(2);
/// How long the collector may take for one request.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long the last spans may take when the process ends.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Counts the spans that go into the queue.
#[derive(Debug)]
struct Counting {
    queue: BatchSpanProcessor,
    counts: Arc<Counts>,
}

/// Counts what comes out of the queue, and tells of a collector that is away once.
#[derive(Debug)]
struct Telling {
    exporter: opentelemetry_otlp::SpanExporter,
    endpoint: String,
    counts: Arc<Counts>,
    away: AtomicBool,
}

/// Checks the value of `--otlp-endpoint`.
///
/// # Errors
/// When it is not `http://HOST:PORT`. A sentence says what to give.
pub fn endpoint(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let plain =
        uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.port_u16().is_some() && uri.path() == "/");
    let remedy = "give http://HOST:PORT of an OTLP collector that takes gRPC, such as http://collector:4317; \
                  for TLS, run a collector beside this process";
    plain.then(|| text.to_owned()).ok_or_else(|| remedy.to_owned())
}

// === impl Traces ===

impl Traces {
    /// Sends to the collector at `endpoint`, which need not be there. Must be called within a runtime.
    pub fn to(endpoint: &str, sender: Sender) -> Result<Self, ExporterBuildError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()?;
        let counts = Arc::<Counts>::default();
        let exporter = Telling {
            exporter,
            endpoint: endpoint.to_owned(),
            counts: Arc::clone(&counts),
            away: AtomicBool::new(false),
        };
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(bounds).build();
        let resource = Resource::builder_empty()
            .with_service_name(sender.service)
            .with_attributes([
                KeyValue::new("service.version", sender.version),
                KeyValue::new("service.instance.id", sender.instance),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Counting { queue, counts: Arc::clone(&counts) })
            .with_resource(resource)
            .build();
        Ok(Self { provider, counts })
    }

    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> OpenTelemetryLayer<S, SdkTracer> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("rollcall"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
    }

    /// Sends what waits, for 2 seconds at most, and ends.
    pub async fn flush(self) {
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Registers `rollcall_traces_spans_total`. Without traces it stays 0.
pub fn register(traces: Option<&Traces>, registry: &mut Registry) {
    let counts = traces.map(|traces| Arc::clone(&traces.counts)).unwrap_or_default();
    registry.register_collector(Box::new(Spans(counts)));
}

#[derive(Debug)]
struct Spans(Arc<Counts>);

// === impl Spans ===

impl Collector for Spans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Spans that ended, were sent to the collector, or were lost because it did not take them (failed); \
                    \
                    all 0 without --otlp-endpoint. Ended minus the others are waiting, or were \
                    dropped from a full queue of 2,048.";
        let mut family = encoder.encode_descriptor("rollcall_traces_spans", help, None, MetricType::Counter)?;
        let Counts { ended, sent, failed } = &*self.0;
        [("ended", ended), ("sent", sent), ("failed", failed)].into_iter().try_for_each(|(stage, count)| {
            ConstCounter::new(count.load(Relaxed)).encode(family.encode_family(&[("stage", stage)])?)
        })
    }
}

// === impl Counting ===

impl SpanProcessor for Counting {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.counts.ended.fetch_add(1, Relaxed);
        self.queue.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

// === impl Telling ===

impl SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                self.counts.sent.fetch_add(spans, Relaxed);
                if self.away.swap(false, Relaxed) {
                    tracing::info!(endpoint = self.endpoint, "the collector takes traces again");
                }
            }
            Err(error) => {
                self.counts.failed.fetch_add(spans, Relaxed);
                if !self.away.swap(true, Relaxed) {
                    tracing::warn!(
                        endpoint = self.endpoint,
                        %error,
                        "traces cannot be sent and are dropped until the collector takes them; check --otlp-endpoint"
                    );
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
