//! Short ways for unit tests to say what the API holds.

use std::sync::Arc;

use rollcall_catalog::input::{
    Contribution, Families, Input, Origin, OriginKind, ServiceFacts, ServiceKind, TrafficDistribution,
};
use rollcall_catalog::model::{
    Addresses, Conditions, Description, Endpoint, HealthSource, Port, Ports, Protocol, ServiceKey,
};
use rollcall_catalog::service::Service;
use rollcall_catalog::{Catalog, Snapshot};
use rollcall_crds::ServiceRegistration;

pub(crate) fn service_key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

pub(crate) fn origin(kind: OriginKind, name: &str) -> Arc<Origin> {
    Arc::new(Origin::here(kind, "shop", name))
}

pub(crate) fn ports(list: &[(&str, u16)]) -> Ports {
    let port = |(name, number): &(&str, u16)| Port {
        name: (*name).into(),
        number: *number,
        protocol: Protocol::Tcp,
        app_protocol: None,
    };
    list.iter().map(port).collect()
}

pub(crate) fn offered(name: &str, ips: &str, health_source: HealthSource) -> Arc<Endpoint> {
    let ips = ips.split(' ').map(|ip| ip.parse().expect("an address"));
    Arc::new(Endpoint {
        addresses: Addresses::from_ips(ips).expect("one a family"),
        described: Arc::new(Description {
            named: Some(name.into()),
            ports: ports(&[("http", 8080)]),
            hostname: None,
            zone: Some("zone-a".into()),
            region: None,
            node: None,
            weight: 1,
            conditions: Conditions::READY,
            health_source,
            attributes: Arc::default(),
        }),
    })
}

/// Endpoints of the registration `vms`, unchecked.
pub(crate) fn registered(service: &str, endpoints: Vec<Arc<Endpoint>>) -> Input {
    Input::Contribution(Contribution {
        generation: Some(2),
        ports: ports(&[("http", 8080)]),
        endpoints: endpoints.into(),
        ..Contribution::new(origin(OriginKind::ServiceRegistration, "vms"), service_key(service))
    })
}

pub(crate) fn vm(name: &str, ips: &str) -> Arc<Endpoint> {
    offered(name, ips, HealthSource::Unchecked)
}

pub(crate) fn facts() -> ServiceFacts {
    ServiceFacts {
        uid: "uid-1".into(),
        kind: ServiceKind::ClusterIp(vec!["10.96.0.9".parse().expect("an address")]),
        ports: ports(&[("http", 80)]),
        publish_not_ready: false,
        traffic: TrafficDistribution::Any,
        families: Families { v4: true, v6: true },
        topology_auto: false,
        labels: Arc::default(),
        manner: None,
        exposed: None,
    }
}

pub(crate) fn cluster_ip(service: &str) -> Input {
    Input::Service(service_key(service), Some(Arc::new(facts())))
}

pub(crate) fn snapshot(inputs: impl IntoIterator<Item = Input>) -> Arc<Snapshot> {
    let mut catalog = Catalog::default();
    inputs.into_iter().for_each(|input| catalog.apply(input));
    catalog.publish(rollcall_catalog::time::Now::default());
    catalog.snapshot()
}

pub(crate) fn merged(inputs: impl IntoIterator<Item = Input>) -> Arc<Service> {
    Arc::clone(snapshot(inputs).get(&service_key("payments")).expect("payments is there"))
}

/// The registration `shop/vms` from the YAML-like JSON of its spec.
pub(crate) fn registration(spec: serde_json::Value) -> ServiceRegistration {
    let object = serde_json::json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": { "name": "vms", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2, "creationTimestamp": "2026-11-01T00:00:00Z" },
        "spec": spec,
    });
    serde_json::from_value(object).expect("a registration")
}
