//! Services become [`ServiceFacts`].

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::ResourceExt;
use rollcall_catalog::Input;
use rollcall_catalog::input::{Exposed, Families, Manner, ServiceFacts, ServiceKind, TrafficDistribution};
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{Name, Port, Protocol, ServiceKey};

use crate::kubernetes::Names;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writer::{Inbox, Message};

/// Hands Services to the catalog.
pub struct Services {
    inbox: Inbox,
    names: Names,
    ports: Interner<[Port]>,
}

// === impl Services ===

impl Services {
    /// A handler that speaks to `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, names: Names::default(), ports: Interner::default() }
    }

    fn facts(&mut self, service: &Service) -> ServiceFacts {
        let default = ServiceSpec::default();
        let spec = service.spec.as_ref().unwrap_or(&default);
        let mut ports: Vec<_> = spec.ports.iter().flatten().filter_map(|port| self.port(port)).collect();
        ports.sort_unstable();
        let families = spec.ip_families.as_deref().unwrap_or_default();
        ServiceFacts {
            uid: service.metadata.uid.as_deref().unwrap_or_default().into(),
            kind: kind(spec, &mut self.names),
            ports: self.ports.share(ports),
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
            traffic: traffic(spec.traffic_distribution.as_deref()),
            families: Families {
                v4: families.is_empty() || families.iter().any(|family| family == "IPv4"),
                v6: families.iter().any(|family| family == "IPv6"),
            },
            topology_auto: topology_auto(service),
            labels: service.labels().iter().map(|(key, value)| (self.names.get(key), self.names.get(value))).collect(),
            manner: manner(spec, &mut self.names),
            exposed: exposed(service, &mut self.names),
        }
    }

    fn port(&mut self, port: &ServicePort) -> Option<Port> {
        Some(Port {
            name: self.names.get(port.name.as_deref().unwrap_or_default()),
            number: u16::try_from(port.port).ok()?,
            protocol: protocol(port.protocol.as_deref())?,
            app_protocol: self.names.maybe(port.app_protocol.as_deref()),
        })
    }
}

impl Handler<Service> for Services {
    async fn apply(&mut self, service: Service) {
        let key = key(&ObjectKey::of(&service.metadata), &mut self.names);
        let facts = self.facts(&service);
        self.inbox.send(Message::Say(Input::Service(key, Some(Arc::new(facts))))).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        let key = key(gone, &mut self.names);
        self.inbox.send(Message::Say(Input::Service(key, None))).await;
    }

    async fn synced(&mut self) {
        self.inbox.send(Message::Synced(Source::Services)).await;
    }
}

fn key(object: &ObjectKey, names: &mut Names) -> ServiceKey {
    ServiceKey { namespace: names.get(&object.namespace), name: Name::clone(&object.name) }
}

/// `ClusterIP`, `NodePort` and `LoadBalancer` Services have a virtual address unless it is `None`.
fn kind(spec: &ServiceSpec, names: &mut Names) -> ServiceKind {
    if spec.type_.as_deref() == Some("ExternalName") {
        let target = spec.external_name.as_deref().unwrap_or_default();
        return ServiceKind::ExternalName(names.get(target.trim_end_matches('.')));
    }
    let single = spec.cluster_ip.iter();
    let all = spec.cluster_ips.iter().flatten().chain(single);
    let mut ips: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    ips.sort_unstable();
    ips.dedup();
    if ips.is_empty() { ServiceKind::Headless } else { ServiceKind::ClusterIp(ips) }
}

/// Both names of the annotation, the older one too (core/v1 `AnnotationTopologyMode`).
fn topology_auto(service: &Service) -> bool {
    let annotations = service.annotations();
    ["service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"]
        .into_iter()
        .filter_map(|name| annotations.get(name))
        .any(|mode| mode == "Auto" || mode == "auto")
}

fn traffic(distribution: Option<&str>) -> TrafficDistribution {
    match distribution {
        Some("PreferSameZone" | "PreferClose") => TrafficDistribution::PreferSameZone,
        Some("PreferSameNode") => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

/// What most Services do not have.
fn manner(spec: &ServiceSpec, names: &mut Names) -> Option<Arc<Manner>> {
    /// `spec.sessionAffinityConfig.clientIP.timeoutSeconds` where it is not said (core/v1).
    const AFFINITY_S: u32 = 10_800;
    let timeout = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    let client_ip = spec.session_affinity.as_deref() == Some("ClientIP");
    let manner = Manner {
        affinity_s: client_ip.then(|| timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(AFFINITY_S)),
        internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        traffic: names.maybe(spec.traffic_distribution.as_deref()),
        v6_first: spec.ip_families.iter().flatten().next().is_some_and(|family| family == "IPv6"),
    };
    (manner != Manner::default()).then(|| Arc::new(manner))
}

/// The addresses and names by which a Service is reached from outside, as far as they are some.
fn exposed(service: &Service, names: &mut Names) -> Option<Arc<Exposed>> {
    let given = service.spec.iter().flat_map(|spec| spec.external_ips.iter().flatten());
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let (mut addresses, mut hosts) = (given.filter_map(|ip| ip.parse().ok()).collect::<Vec<IpAddr>>(), Vec::new());
    for ingress in balancer.iter().flat_map(|balancer| balancer.ingress.iter().flatten()) {
        match (ingress.ip.as_deref().filter(|ip| !ip.is_empty()), ingress.hostname.as_deref()) {
            (Some(ip), _) => addresses.extend(ip.parse::<IpAddr>()),
            (None, Some(host)) if !host.trim_end_matches('.').is_empty() => {
                hosts.push(names.get(host.trim_end_matches('.')));
            }
            (None, _) => {}
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    hosts.sort_unstable();
    hosts.dedup();
    let exposed = Exposed { addresses, names: hosts };
    (exposed != Exposed::default()).then(|| Arc::new(exposed))
}

/// A protocol of the Kubernetes API; absent means TCP. `None` for one that this version does not know.
pub(super) fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("" | "TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(external: &Value, ingress: &Value) -> Option<Exposed> {
        let service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"externalIPs": external},
            "status": {"loadBalancer": {"ingress": ingress}},
        }));
        exposed(&service.unwrap(), &mut Names::default()).as_deref().cloned()
    }

    #[test]
    fn a_service_is_reached_by_its_external_addresses_and_its_load_balancer() {
        let ingress = json!([
            {"ip": "192.0.2.9"}, {"hostname": "b.example.com."}, {"hostname": "a.example.com"}, {"ip": "2001:db8::1"},
            {"ip": "192.0.2.1", "hostname": "ignored.example.com"}, {"ip": "", "hostname": "."}, {"ip": "none"},
        ]);
        let addresses = ["192.0.2.1", "192.0.2.9", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec();
        let names = ["a.example.com", "b.example.com"].map(Name::from).to_vec();
        assert_eq!(told(&json!(["192.0.2.9", "192.0.2.1"]), &ingress), Some(Exposed { addresses, names }));
        assert_eq!((told(&json!([]), &json!([])), told(&Value::Null, &Value::Null)), (None, None));
    }
}
