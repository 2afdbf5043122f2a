//! Tests: the CatalogEntry of a service.

use std::sync::Arc;

use rollcall_catalog::Endpoint;
use rollcall_catalog::input::{Contribution, Input, OriginKind, ServiceFacts};
use rollcall_catalog::model::{Conditions, Health, HealthSource, Port, Protocol};

use super::*;
use crate::testing::*;

/// An endpoint of somebody else's slice, as unbounded as the API server takes it.
fn foreign() -> Input {
    let port = |number| Port { name: "p".into(), number, protocol: Protocol::Udp, app_protocol: None };
    let ports: Arc<[Port]> = (30_000..30_101).map(port).collect();
    let endpoint = offered("n", "192.0.2.60", HealthSource::Conditions { pod: None }).with(|described| {
        (described.zone, described.ports) = (Some("z".repeat(64).into()), Arc::clone(&ports));
        described.named = Some("n".repeat(254).into());
    });
    Input::Contribution(Contribution {
        ports,
        endpoints: [Arc::new(endpoint)].into(),
        ..Contribution::new(origin(OriginKind::EndpointSlice, "s"), service_key("payments"))
    })
}

#[test]
fn what_is_too_long_is_cut_and_counted_and_the_rest_is_told() {
    let entry = desired(&merged([cluster_ip("payments"), foreign()]), BTreeMap::new(), None, Timestamp::UNIX_EPOCH);
    let endpoint = &entry.spec.endpoints[0];
    assert_eq!(
        (endpoint.name.chars().count(), endpoint.zone.as_ref().map(|zone| zone.chars().count())),
        (253, Some(63))
    );
    assert_eq!((endpoint.ports.len(), endpoint.ports_omitted), (100, 1));
    assert_eq!((entry.spec.texts_cut, entry.spec.callable.as_str()), (2, "1/1"));
}

#[test]
fn a_terminating_pod_whose_address_a_live_one_has_is_no_loss() {
    let pod = |name: &str, ip: &str, conditions| {
        let endpoint = offered(name, ip, HealthSource::Conditions { pod: None });
        Arc::new(endpoint.with(|described| described.conditions = conditions))
    };
    let leaves = Conditions { ready: false, serving: true, terminating: true };
    let of = |endpoints: Vec<Arc<Endpoint>>| {
        let Input::Contribution(slice) = foreign() else { panic!("a slice") };
        let service = merged([
            cluster_ip("payments"),
            Input::Contribution(Contribution { endpoints: endpoints.into(), ..slice }),
        ]);
        desired(&service, BTreeMap::new(), None, Timestamp::UNIX_EPOCH).spec
    };
    let both = of(vec![pod("old", "192.0.2.119", leaves), pod("new", "192.0.2.119", Conditions::READY)]);
    assert_eq!((both.callable.as_str(), both.counts.critical, both.endpoints.len()), ("1/1", 0, 1));
    let apart = of(vec![pod("old", "192.0.2.118", leaves), pod("new", "192.0.2.119", Conditions::READY)]);
    assert_eq!((apart.callable.as_str(), apart.counts.critical), ("1/2", 1));
    let fails = Conditions { terminating: false, ..leaves };
    let failing = of(vec![pod("old", "192.0.2.119", fails), pod("new", "192.0.2.119", Conditions::READY)]);
    assert_eq!(failing.callable, "1/2");
}

#[test]
fn who_asks_for_endpoints_that_are_not_ready_is_shown_them_as_callable() {
    let all = ServiceFacts { publish_not_ready: true, ..facts() };
    let endpoints = vec![
        offered("new", "198.51.100.1", HealthSource::Verdict),
        offered("out", "198.51.100.2", HealthSource::Maintenance("upgrade".into())),
    ];
    let service =
        merged([Input::Service(service_key("payments"), Some(Arc::new(all))), registered("payments", endpoints)]);
    let entry = desired(&service, BTreeMap::new(), None, Timestamp::UNIX_EPOCH);
    assert_eq!(entry.spec.callable, "1/2", "as DNS answers; an operator's will holds even then");
    assert_eq!(
        service.counts().unknown,
        usize::from(service.endpoints.iter().any(|one| one.health == Health::Unknown))
    );
}
