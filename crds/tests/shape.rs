//! How objects look on the wire, and that a word of a newer version costs only itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rollcall_crds::*;
use serde_json::json;

#[test]
fn an_entry_has_its_content_at_the_top_level() {
    let content = CatalogEntryContent {
        service_kind: ServiceKind::ClusterIP,
        callable: "1/2".into(),
        counts: Counts { endpoints: 2, callable: 1, passing: 1, critical: 1, ..Counts::default() },
        origins: vec![OriginSummary { origin: OriginKind::EndpointSlice, name: None, endpoints: 2 }],
        endpoints: vec![CatalogEndpoint {
            name: "vm-1".into(),
            addresses: vec!["198.51.100.11".into()],
            ports: vec!["http:8080/TCP".into()],
            health: Health::Passing,
            callable: true,
            zone: None,
            tags: vec!["canary".into()],
            origin: "ServiceRegistration/payments-vm".into(),
            reason: "check healthz: 200".into(),
            ..CatalogEndpoint::default()
        }],
        revision: "0123456789abcdef".into(),
        last_change_time: Some(Time("2026-11-21T10:00:00Z".parse().expect("a time"))),
        time_to_evict: Some(ApiDuration::from_millis(2_500)),
        ..CatalogEntryContent::default()
    };
    let entry = CatalogEntry::new("payments", content);
    let wire = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "CatalogEntry",
        "metadata": {"name": "payments"},
        "serviceKind": "ClusterIP",
        "callable": "1/2",
        "counts": {
            "endpoints": 2, "callable": 1, "passing": 1, "warning": 0, "critical": 1, "unknown": 0, "maintenance": 0,
        },
        "origins": [{"origin": "EndpointSlice", "endpoints": 2}],
        "endpoints": [{
            "name": "vm-1", "addresses": ["198.51.100.11"], "ports": ["http:8080/TCP"], "health": "Passing",
            "callable": true, "tags": ["canary"], "origin": "ServiceRegistration/payments-vm", "reason": "check healthz: 200",
        }],
        "revision": "0123456789abcdef",
        "lastChangeTime": "2026-11-21T10:00:00Z",
        "timeToEvict": "2s500ms",
    });
    assert_eq!(serde_json::to_value(&entry).expect("serializes"), wire);
    assert_eq!(serde_json::from_value::<CatalogEntry>(wire).expect("decodes"), entry);
}

#[test]
fn a_short_registration_gets_the_documented_defaults() {
    let decoded: ServiceRegistrationSpec = serde_json::from_value(json!({
        "service": "payments",
        "ports": [{"port": 8080}],
        "endpoints": [{"name": "vm-1", "addresses": ["198.51.100.11"]}],
        "checks": [{"name": "healthz", "http": {}}],
    }))
    .expect("decodes");
    let expected = ServiceRegistrationSpec {
        service: "payments".into(),
        ports: vec![PortSpec { port: 8080, protocol: Protocol::Tcp, ..PortSpec::default() }],
        endpoints: vec![EndpointSpec {
            name: "vm-1".into(),
            addresses: vec!["198.51.100.11".into()],
            weight: 1,
            ..EndpointSpec::default()
        }],
        checks: vec![CheckSpec {
            name: "healthz".into(),
            http: Some(HttpCheck { path: "/".into(), ..HttpCheck::default() }),
            interval: ApiDuration::from_secs(10),
            timeout: ApiDuration::from_secs(1),
            failure_threshold: 2,
            success_threshold: 1,
            ..CheckSpec::default()
        }],
        heartbeat: None,
        maintenance: None,
        deregister_after: None,
    };
    assert_eq!(decoded, expected);
}

#[test]
fn a_word_of_a_newer_version_costs_only_itself() {
    let decoded: ServiceRegistration = serde_json::from_value(json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": "payments-vm"},
        "spec": {
            "service": "payments",
            "ports": [{"name": "http", "port": 8080}, {"name": "h3", "port": 8443, "protocol": "QUIC"}],
            "endpoints": [{"name": "vm-1", "addresses": ["198.51.100.11"], "color": "blue"}],
            "checks": [{"name": "quic", "quic": {"service": "shop.Payments"}}],
        },
        "status": {"endpoints": [{"name": "vm-1", "since": "2026-11-21T10:00:00Z", "health": "Draining"}]},
    }))
    .expect("decodes");
    let protocols: Vec<_> = decoded.spec.ports.iter().map(|port| port.protocol).collect();
    assert_eq!(protocols, [Protocol::Tcp, Protocol::Unsupported]);
    assert_eq!(decoded.spec.checks[0].kind(), None);
    assert_eq!(decoded.status.expect("a status").endpoints[0].health, Health::Unknown);

    let entry: CatalogEntry = serde_json::from_value(json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "CatalogEntry",
        "metadata": {"name": "payments"},
        "serviceKind": "Imported",
        "origins": [{"origin": "ClusterLink", "name": "east", "endpoints": 3}],
    }))
    .expect("decodes");
    assert_eq!(entry.spec.service_kind, ServiceKind::Other);
    assert_eq!(entry.spec.origins[0].origin, OriginKind::Other);
}
