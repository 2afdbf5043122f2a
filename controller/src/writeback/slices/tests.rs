//! Tests: the EndpointSlices of a service.

use std::sync::Arc;

use rollcall_catalog::input::{Input, ServiceKind};
use rollcall_catalog::model::{Health, HealthSource, PodRef};

use super::*;
use crate::testing::*;

/// The slices alone.
fn desired(service: &Service) -> Vec<EndpointSlice> {
    super::desired(service).into_iter().map(|cut| cut.slice).collect()
}

fn many(count: usize) -> Vec<Arc<rollcall_catalog::Endpoint>> {
    (0..count).map(|n| vm(&format!("vm-{n}"), &format!("198.51.{}.{}", n / 250, n % 250))).collect()
}

fn names(slices: &[EndpointSlice]) -> Vec<String> {
    slices.iter().filter_map(|slice| slice.metadata.name.clone()).collect()
}

#[test]
fn each_family_has_a_slice_of_its_own_in_the_service_of_the_name() {
    let slices =
        desired(&merged([cluster_ip("payments"), registered("payments", vec![vm("a", "198.51.100.1 2001:db8::1")])]));
    let types: Vec<_> = slices.iter().map(|slice| slice.address_type.as_str()).collect();
    assert_eq!((types.contains(&"IPv4"), types.contains(&"IPv6"), types.len()), (true, true, 2));
    let labels = slices[0].metadata.labels.as_ref().expect("labels");
    assert_eq!((labels[SERVICE_LABEL].as_str(), labels[MANAGED_BY_LABEL].as_str()), ("payments", MANAGED_BY));
    assert_eq!(slices[0].metadata.owner_references.as_ref().expect("an owner")[0].uid, "uid-1");
}

#[test]
fn without_a_service_or_with_an_alias_nothing_is_written() {
    let vms = registered("payments", vec![vm("a", "198.51.100.1")]);
    assert!(desired(&merged([vms.clone()])).is_empty());
    let alias = ServiceFacts { kind: ServiceKind::ExternalName("elsewhere.example".into()), ..facts() };
    assert!(desired(&merged([Input::Service(service_key("payments"), Some(Arc::new(alias))), vms])).is_empty());
}

#[test]
fn pods_are_never_written() {
    let pods = rollcall_catalog::input::Contribution {
        ports: crate::testing::ports(&[("http", 8080)]),
        endpoints: vec![offered("pod", "10.1.0.4", HealthSource::Conditions { pod: Some(PodRef::default()) })].into(),
        ..rollcall_catalog::input::Contribution::new(
            origin(OriginKind::EndpointSlice, "payments-x7"),
            service_key("payments"),
        )
    };
    assert!(desired(&merged([cluster_ip("payments"), Input::Contribution(pods)])).is_empty());
}

#[test]
fn an_endpoint_that_fails_or_is_in_maintenance_is_neither_ready_nor_serving() {
    let vms = origin(OriginKind::ServiceRegistration, "vms");
    let endpoints = vec![
        offered("bad", "198.51.100.1", HealthSource::Verdict),
        offered("out", "198.51.100.2", HealthSource::Maintenance("upgrade".into())),
    ];
    let verdict = rollcall_catalog::input::Verdict {
        health: Health::Critical,
        since_ms: 0,
        reason: "refused".into(),
        addresses: "198.51.100.1".parse::<std::net::IpAddr>().expect("an address").into(),
        checks: std::sync::Arc::default(),
    };
    let inputs =
        [cluster_ip("payments"), registered("payments", endpoints), Input::Verdict(vms, "bad".into(), Some(verdict))];
    let slices = desired(&merged(inputs));
    let said = |ip: &str| {
        let endpoint =
            slices[0].endpoints.iter().flatten().find(|endpoint| endpoint.addresses[0] == ip).expect("there");
        let conditions = endpoint.conditions.as_ref().expect("conditions");
        (conditions.ready, conditions.serving)
    };
    assert_eq!(said("198.51.100.1"), (Some(false), Some(false)));
    assert_eq!(said("198.51.100.2"), (Some(false), Some(false)));
}

#[test]
fn traffic_distribution_asks_for_hints_and_only_ready_endpoints_get_them() {
    let near = ServiceFacts { traffic: TrafficDistribution::PreferSameZone, ..facts() };
    let endpoints = vec![vm("good", "198.51.100.1"), offered("new", "198.51.100.2", HealthSource::Verdict)];
    let slices = desired(&merged([
        Input::Service(service_key("payments"), Some(Arc::new(near))),
        registered("payments", endpoints),
    ]));
    let mut hints: Vec<_> = slices[0]
        .endpoints
        .iter()
        .flatten()
        .map(|endpoint| (endpoint.addresses[0].clone(), endpoint.hints.is_some()))
        .collect();
    hints.sort();
    assert_eq!(hints, [("198.51.100.1".to_owned(), true), ("198.51.100.2".to_owned(), false)]);
}

#[test]
fn a_large_set_is_cut_and_a_new_cut_has_new_names() {
    let slices = |count| desired(&merged([cluster_ip("payments"), registered("payments", many(count))]));
    let (small, large) = (slices(64), slices(65));
    assert_eq!((small.len(), large.len()), (1, 2));
    assert!(
        names(&small).iter().all(|name| !names(&large).contains(name)),
        "the old set stands until the new one is written"
    );
    let all: usize = large.iter().map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len)).sum();
    assert_eq!(all, 65);
}

#[test]
fn what_the_api_server_returns_has_the_version_of_what_was_sent() {
    let sent = desired(&merged([cluster_ip("payments"), registered("payments", many(3))])).remove(0);
    let text = serde_json::to_string(&sent).expect("text");
    let mut returned: EndpointSlice = serde_json::from_str(&text).expect("a slice");
    returned.metadata.resource_version = Some("9".into());
    returned.metadata.managed_fields = Some(Vec::new());
    assert_eq!(version(&returned), version(&sent));
    returned.endpoints.as_mut().expect("endpoints")[0].addresses[0] = "203.0.113.1".into();
    assert_ne!(version(&returned), version(&sent), "what somebody else changed is put right");
}

#[test]
fn slices_have_the_services_labels_and_say_that_it_is_headless() {
    let labels = [("service.kubernetes.io/service-proxy-name".into(), "none".into())].into();
    let headless = ServiceFacts { kind: ServiceKind::Headless, labels, ..facts() };
    let vms = registered("payments", vec![vm("a", "198.51.100.1")]);
    let slices = desired(&merged([Input::Service(service_key("payments"), Some(Arc::new(headless))), vms]));
    let labels = slices[0].metadata.labels.as_ref().expect("labels");
    assert_eq!(labels["service.kubernetes.io/service-proxy-name"], "none");
    assert_eq!(labels["service.kubernetes.io/headless"], "");
}

#[test]
fn with_topology_mode_auto_a_machine_does_not_switch_off_the_hints_of_the_pods() {
    let auto = ServiceFacts { topology_auto: true, ..facts() };
    let pods = rollcall_catalog::input::Contribution {
        ports: crate::testing::ports(&[("http", 8080)]),
        endpoints: vec![offered("pod", "10.1.0.4", HealthSource::Conditions { pod: None })].into(),
        ..rollcall_catalog::input::Contribution::new(
            origin(OriginKind::EndpointSlice, "payments-x7"),
            service_key("payments"),
        )
    };
    let far = vm("far", "198.51.100.2").with(|described| described.zone = Some("far".into()));
    let slices = desired(&merged([
        Input::Service(service_key("payments"), Some(Arc::new(auto))),
        Input::Contribution(pods),
        registered("payments", vec![vm("near", "198.51.100.1"), Arc::new(far)]),
    ]));
    for endpoint in slices[0].endpoints.iter().flatten() {
        let hints =
            endpoint.hints.as_ref().and_then(|hints| hints.for_zones.clone()).expect("every ready endpoint has hints");
        assert_eq!(hints.iter().map(|zone| zone.name.as_str()).collect::<Vec<_>>(), ["zone-a"]);
    }
}

#[test]
fn all_that_is_written_is_compared() {
    let sent = desired(&merged([cluster_ip("payments"), registered("payments", many(1))])).remove(0);
    let mut dead = sent.clone();
    dead.metadata.owner_references.as_mut().expect("an owner")[0].uid = "uid-of-the-service-before".into();
    assert_ne!(version(&dead), version(&sent), "the garbage collector would delete it, again and again");
    let mut taken = sent.clone();
    taken.metadata.labels.as_mut().expect("labels").remove(MANAGED_BY_LABEL);
    assert_ne!(version(&taken), version(&sent));
}
