//! The metrics of a DNS server that has counted each of them, against the conventions and docs/metrics.md.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::text;
use rollcall_admin::conventions::assert_metric_conventions;
use rollcall_admin::{Readiness, Telemetry, metrics_doc};
use rollcall_dns::answer::{Summary, Transport};
use rollcall_dns::forward::upstreams::Standing;
use rollcall_dns::metrics::{Applied, DropReason, FailureReason, Metrics, ResourceKind};
use rollcall_dns::observe::Observer;
use rollcall_dns::zone::writer::Size;

#[test]
fn docs_metrics_md_lists_them_all() {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let took = Duration::from_micros(3);
    let summary =
        Summary { rtype: Some(RecordType::A), rcode: ResponseCode::NoError, truncated: true, known_client: false };
    metrics.answered(Transport::Udp, summary, took);
    metrics.dropped(Transport::Udp, DropReason::NotAQuery);
    let size = Size { services: 1, endpoints: 2, names: 3 };
    metrics.applied(ResourceKind::Service, Applied { used: 1, refused: 1, took, unix_time: took }, size);
    metrics.forward.answered(Transport::Udp, ResponseCode::NoError, took);
    metrics.forward.failed(FailureReason::Timeout);
    metrics.forward.asked(([192, 0, 2, 53], 53).into(), took, false);
    metrics.forward.upstreams(&[(Standing::Unchecked, 1)].into());
    drop(readiness.gate("catalog"));
    let observer = Arc::new(Observer::new(false).telling(1));
    observer.saw(b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01", None, &Transport::Udp.into(), 0);
    let mut registry = metrics.registry(&readiness, &Telemetry::default());
    observer.register(&mut registry);
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a page of text");
    assert_metric_conventions(&page);
    metrics_doc::assert_documented(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md"), "dns", &page);
}
