//! A service as Rollcall's own resource types: `rollcall.v1.Service` and its `EndpointBucket`s.

use std::net::IpAddr;

use rollcall_catalog::clusterset;
use rollcall_catalog::input::{OriginKind, Place, ServiceKind};
use rollcall_catalog::model::{Attributes, Health, Name, Port, Ports, Protocol};
use rollcall_catalog::policy::WhenStale;
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::{Resource, ResourceType};

use super::stale;

/// The Service resource.
pub fn service(service: &Service) -> Resource {
    let facts = service.facts.as_deref();
    let mut message = v1::Service {
        namespace: service.key.namespace.to_string(),
        name: service.key.name.to_string(),
        kind: v1::service::Kind::Registered.into(),
        cluster_ips: Vec::new(),
        ports: service.ports.iter().map(port).collect(),
        external_name: String::new(),
        publish_not_ready: facts.is_some_and(|facts| facts.publish_not_ready),
        buckets: u32::try_from(service.buckets()).unwrap_or(u32::MAX),
        staleness: service.policy.staleness.as_ref().map(|staleness| v1::Staleness {
            after_ms: u64::try_from(staleness.after.as_millis()).unwrap_or(u64::MAX),
            refuse: staleness.then == WhenStale::Refuse,
            since_s: service.stale.unwrap_or_default(),
        }),
        external_ips: Vec::new(),
        external_names: Vec::new(),
    };
    if let Some(exposed) = facts.and_then(|facts| facts.exposed.as_deref()) {
        message.external_ips = exposed.addresses.iter().map(|ip| octets(*ip)).collect();
        message.external_names = exposed.names.iter().map(ToString::to_string).collect();
    }
    match facts.map(|facts| &facts.kind) {
        None => {}
        Some(ServiceKind::Headless) => message.set_kind(v1::service::Kind::Headless),
        Some(ServiceKind::ClusterIp(ips)) => {
            message.set_kind(v1::service::Kind::ClusterIp);
            message.cluster_ips = ips.iter().map(|ip| octets(*ip)).collect();
        }
        Some(ServiceKind::ExternalName(name)) => {
            message.set_kind(v1::service::Kind::ExternalName);
            message.external_name = name.to_string();
        }
    }
    let resource = Resource::new(ResourceType::Service, service.key.to_string(), &message);
    stale::marked(ResourceType::Service, resource, service)
}

/// An EndpointBucket resource. Those that are empty are served as well: their number is the bucket count.
pub fn bucket(service: &Service, index: usize, members: &[Member]) -> Resource {
    let message = message(service, members);
    Resource::new(ResourceType::EndpointBucket, bucket_name(service, index), &message)
}

/// `NAMESPACE/NAME/COUNT/INDEX`.
pub fn bucket_name(service: &Service, index: usize) -> String {
    format!("{}/{}/{index}", service.key, service.buckets())
}

fn message(service: &Service, members: &[Member]) -> v1::EndpointBucket {
    // Elsewhere it makes no difference to callers.
    let across = service.clusterset().is_some();
    let mut port_sets: Vec<&Ports> = members.iter().map(|member| &member.endpoint.ports).collect();
    port_sets.sort_unstable();
    port_sets.dedup();
    let endpoint = |member: &Member| v1::Endpoint {
        id: member.id.0,
        addresses: member.endpoint.addresses.iter().map(octets).collect(),
        port_set: port_sets
            .binary_search(&&member.endpoint.ports)
            .ok()
            .and_then(|at| u32::try_from(at).ok())
            .unwrap_or(0),
        hostname: member.endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
        ready: member.conditions.ready,
        weight: if member.endpoint.weight == 1 { 0 } else { member.endpoint.weight.into() },
        zone: member.zone.as_deref().unwrap_or_default().to_owned(),
        node: member.endpoint.node.as_deref().unwrap_or_default().to_owned(),
        tags: told(member).iter().flat_map(|told| &told.tags).map(ToString::to_string).collect(),
        metadata: told(member).iter().flat_map(|told| &told.metadata).map(key_value).collect(),
        cluster: match &member.origin.place {
            Place::Cluster(cluster) if across => cluster.to_string(),
            _ => String::new(),
        },
        suspect: member.endpoint.is_suspect(),
        warns: warns(member),
    };
    v1::EndpointBucket {
        namespace: service.key.namespace.to_string(),
        service: service.key.name.to_string(),
        endpoints: members.iter().map(endpoint).collect(),
        port_sets: port_sets.iter().map(|ports| v1::PortSet { ports: ports.iter().map(port).collect() }).collect(),
    }
}

/// Whether callers that want only passing endpoints leave it out.
pub(super) fn warns(member: &Member) -> bool {
    member.health == Health::Warning
}

/// What the owner of a registered endpoint says about it. The labels of pods change without meaning for callers.
fn told(member: &Member) -> Option<&Attributes> {
    match member.origin.kind {
        OriginKind::ServiceRegistration | OriginKind::Import => Some(&member.endpoint.attributes),
        OriginKind::EndpointSlice | OriginKind::Service => None,
    }
}

pub(crate) fn key_value((key, value): (&Name, &Name)) -> v1::KeyValue {
    v1::KeyValue { key: key.to_string(), value: value.to_string() }
}

/// The Zone resource: what a DNS server has to know beside the services. `across`: there are names across clusters.
pub fn zone(cluster_domain: &str, across: bool) -> Resource {
    let clusterset_domain = if across { clusterset::DOMAIN } else { "" }.to_owned();
    let message = v1::Zone { cluster_domain: cluster_domain.to_owned(), clusterset_domain };
    Resource::new(ResourceType::Zone, "zone", &message)
}

pub(crate) fn port(port: &Port) -> v1::Port {
    let protocol = match port.protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
        Protocol::Sctp => v1::Protocol::Sctp,
    };
    v1::Port {
        name: port.name.to_string(),
        protocol: protocol.into(),
        port: port.number.into(),
        app_protocol: port.app_protocol.as_deref().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn octets(ip: IpAddr) -> prost::bytes::Bytes {
    match ip {
        IpAddr::V4(v4) => prost::bytes::Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => prost::bytes::Bytes::copy_from_slice(&v6.octets()),
    }
}
