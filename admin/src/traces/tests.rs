//! Tests: traces by OTLP (gRPC), where an endpoint is given.

use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::*;

/// An OTLP collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

fn sender() -> Sender {
    Sender { service: "rollcall-test", version: "1.2.3", instance: "pod-1".to_owned() }
}

fn count(count: &AtomicU64) -> u64 {
    count.load(Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_at_a_collector_with_their_attributes_and_the_resource() {
    let (collector, listener) = (Collector::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = TraceServiceServer::new(collector.clone());
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let traces = Traces::to(&endpoint, sender()).unwrap();
    let counts = Arc::clone(&traces.counts);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer().boxed()), || {
        let span = tracing::info_span!("batch", changes = 3, revision = tracing::field::Empty);
        span.record("revision", 7);
    });
    traces.flush().await;

    let requests = collector.0.lock().unwrap();
    let spans = &requests.first().expect("a request").resource_spans[0];
    let resource = format!("{:?}", spans.resource);
    for part in ["service.name", "rollcall-test", "service.version", "1.2.3", "service.instance.id", "pod-1"] {
        assert!(resource.contains(part), "{part}: {resource}");
    }
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!(span.name, "batch");
    let attributes = format!("{:?}", span.attributes);
    assert!(attributes.contains("changes") && attributes.contains("IntValue(7)"), "{attributes}");
    assert_eq!((count(&counts.ended), count(&counts.sent), count(&counts.failed)), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_delays_no_span_and_the_end_by_a_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces = Traces::to(&format!("http://{}", listener.local_addr().unwrap()), sender()).unwrap();
    let counts = Arc::clone(&traces.counts);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer().boxed()), || {
        for _ in 0..3 * QUEUE {
            drop(tracing::info_span!("batch"));
        }
    });
    // Who waits for room in the queue waits until batches were given up.
    assert_eq!(count(&counts.ended), 3 * QUEUE as u64);
    assert!(count(&counts.failed) < (2 * QUEUE - BATCH) as u64, "{counts:?}");
    tokio::time::timeout(Duration::from_secs(60), traces.flush()).await.expect("an end");
    // Who waits for the collector at the end sees all that waits be given up.
    assert!(count(&counts.failed) < QUEUE as u64, "{counts:?}");
    assert_eq!(count(&counts.sent), 0);
}

#[test]
fn an_endpoint_is_plain_grpc_with_host_and_port() {
    assert_eq!(endpoint("http://collector:4317").unwrap(), "http://collector:4317");
    for bad in ["collector:4317", "https://collector:4317", "http://collector", "http://collector:4317/v1/traces", ""] {
        assert!(endpoint(bad).unwrap_err().contains("such as http://collector:4317"), "{bad}");
    }
}
