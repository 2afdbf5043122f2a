//! Tests: what operators see.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::text;
use rollcall_admin::conventions::assert_metric_conventions;

use super::*;

fn page(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut page = String::new();
    text::encode(&mut page, &registry).unwrap();
    page
}

#[test]
fn all_metrics_keep_the_conventions() {
    let metrics = Metrics::default();
    let (took, unix_time) = (Duration::from_micros(3), Duration::from_secs(1_700_000_000));
    let summary =
        Summary { rtype: Some(RecordType::SRV), rcode: ResponseCode::NXDomain, truncated: true, known_client: false };
    metrics.answered(Transport::Udp, summary, took);
    metrics.answered(Transport::Udp, summary, took);
    metrics.answered(Transport::Tcp, Summary { rtype: Some(RecordType::Unknown(999)), ..summary }, took);
    metrics.dropped(Transport::Udp, DropReason::NotAQuery);
    let size = Size { services: 1, endpoints: 2, names: 3 };
    metrics.applied(ResourceKind::EndpointBucket, Applied { used: 4, refused: 1, took, unix_time }, size);
    metrics.connected();
    let page = page(&metrics);
    assert_metric_conventions(&page);
    let expected = [
        r#"rollcall_dns_queries_total{transport="udp",type="SRV",rcode="NXDOMAIN"} 2"#,
        r#"rollcall_dns_queries_total{transport="tcp",type="other",rcode="NXDOMAIN"} 1"#,
        r#"rollcall_dns_answer_seconds_count{transport="udp"} 2"#,
        r#"rollcall_dns_answer_seconds_bucket{le="+Inf",transport="udp"} 2"#,
        r#"rollcall_dns_truncated_answers_total{transport="udp"} 2"#,
        r#"rollcall_dns_dropped_total{transport="udp",reason="not_a_query"} 1"#,
        r#"rollcall_dns_resource_updates_total{type="endpoint_bucket"} 4"#,
        r#"rollcall_dns_resource_errors_total{type="endpoint_bucket"} 1"#,
        "rollcall_dns_last_update_timestamp_seconds 1700000000.0",
        "rollcall_dns_stream_connected 1",
        "rollcall_dns_names 3",
    ];
    for line in expected {
        assert!(page.lines().any(|each| each == line), "{line} is missing in\n{page}");
    }
}

#[test]
fn each_transport_type_and_code_has_a_counter_of_its_own() {
    let mut seen = std::collections::BTreeSet::new();
    for transport in Transport::ALL {
        for rtype in [None, Some(RecordType::A), Some(RecordType::TXT)] {
            for rcode in [ResponseCode::NoError, ResponseCode::BADVERS] {
                let labels = QueryLabels { transport, r#type: Type::of(rtype), rcode: Code::of(rcode) };
                assert!(seen.insert(labels.index()), "{labels:?}");
            }
        }
    }
    assert!(seen.iter().all(|index| *index < Metrics::default().by_labels.len()));
}
