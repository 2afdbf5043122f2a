//! Short ways to say what sources say.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::sync::Arc;

use rollcall_catalog::input::{
    Contribution, Families, Input, Origin, OriginKind, PodFacts, ServiceFacts, ServiceKind, TrafficDistribution,
    Verdict,
};
use rollcall_catalog::model::{
    Addresses, Conditions, Description, Endpoint, Health, HealthSource, Name, PodRef, Port, Ports, Protocol,
    ServiceKey, Uid,
};

pub fn key(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

pub fn slice(name: &str) -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::EndpointSlice, "shop", name))
}

pub fn registration(name: &str) -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", name))
}

pub fn ports(ports: &[(&str, u16)]) -> Ports {
    ports
        .iter()
        .map(|(name, number)| Port {
            name: (*name).into(),
            number: *number,
            protocol: Protocol::Tcp,
            app_protocol: None,
        })
        .collect()
}

pub fn addresses(list: &str) -> Addresses {
    Addresses::from_ips(list.split(' ').map(|ip| ip.parse().expect("an address"))).expect("one a family")
}

pub fn endpoint(name: &str, ips: &str, health_source: HealthSource) -> Endpoint {
    Endpoint {
        addresses: addresses(ips),
        described: Arc::new(Description {
            named: Some(name).filter(|name| *name != ips).map(Into::into),
            ports: ports(&[("http", 8080)]),
            hostname: None,
            zone: None,
            region: None,
            node: None,
            weight: 1,
            conditions: Conditions::READY,
            health_source,
            attributes: Arc::default(),
        }),
    }
}

pub fn pod(name: &str, ips: &str) -> Endpoint {
    endpoint(name, ips, HealthSource::Conditions { pod: Some(PodRef::default()) })
}

/// A pod of which the slice says which one it is.
pub fn pod_of(name: &str, uid: &str, ips: &str) -> Endpoint {
    let pod = PodRef { namespace: None, uid: Uid::of(uid) };
    endpoint(name, ips, HealthSource::Conditions { pod: Some(pod) })
}

/// An endpoint of a slice that is no pod.
pub fn address(ip: &str) -> Endpoint {
    endpoint(ip, ip, HealthSource::Conditions { pod: None })
}

pub fn pod_facts(uid: &str) -> PodFacts {
    PodFacts { uid: Uid::of(uid), addresses: None, attributes: Arc::default(), terminating: false, finished: false }
}

pub fn pod_is(name: &str, facts: Option<PodFacts>) -> Input {
    Input::Pod("shop".into(), name.into(), facts.map(Arc::new))
}

pub fn vm(name: &str, ips: &str) -> Endpoint {
    endpoint(name, ips, HealthSource::Unchecked)
}

pub fn checked(name: &str, ips: &str) -> Endpoint {
    endpoint(name, ips, HealthSource::Verdict)
}

pub fn contribution(origin: &Arc<Origin>, service: &str, endpoints: Vec<Endpoint>) -> Contribution {
    Contribution {
        ports: ports(&[("http", 8080)]),
        endpoints: endpoints.into_iter().map(Arc::new).collect(),
        ..Contribution::new(Arc::clone(origin), key(service))
    }
}

pub fn said(origin: &Arc<Origin>, service: &str, endpoints: Vec<Endpoint>) -> Input {
    Input::Contribution(contribution(origin, service, endpoints))
}

pub fn verdict(origin: &Arc<Origin>, name: &str, ips: &str, health: Health) -> Input {
    let verdict = Verdict {
        health,
        since_ms: 7,
        reason: format!("said {health}").into(),
        addresses: addresses(ips),
        checks: Arc::default(),
    };
    Input::Verdict(Arc::clone(origin), Name::from(name), Some(verdict))
}

pub fn cluster_ip(service: &str, port: &[(&str, u16)]) -> Input {
    let facts = ServiceFacts {
        uid: "uid".into(),
        kind: ServiceKind::ClusterIp(vec!["10.96.0.9".parse().expect("an address")]),
        ports: ports(port),
        publish_not_ready: false,
        traffic: TrafficDistribution::Any,
        families: Families { v4: true, v6: false },
        topology_auto: false,
        labels: Arc::default(),
        manner: None,
        exposed: None,
    };
    Input::Service(key(service), Some(Arc::new(facts)))
}

/// A Service that has endpoints themselves as addresses, any ports and both families.
pub fn headless(service: &str) -> Input {
    Input::Service(key(service), Some(Arc::new(facts_of(ServiceKind::Headless))))
}

/// What a Service of a kind says that names no port and has both families.
pub fn facts_of(kind: ServiceKind) -> ServiceFacts {
    ServiceFacts {
        uid: "uid".into(),
        kind,
        ports: ports(&[]),
        publish_not_ready: false,
        traffic: TrafficDistribution::Any,
        families: Families { v4: true, v6: true },
        topology_auto: false,
        labels: Arc::default(),
        manner: None,
        exposed: None,
    }
}
