//! The EndpointSlices of a service: endpoints from outside the cluster, in the Service of the same name.
//!
//! One set of slices for each address family and list of ports, cut into buckets like the stream. Names follow from the
//! content of the set and the bucket count, so packing needs no memory, and a changed count writes a new set before it
//! deletes the old one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{
    Endpoint as SliceEndpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use rollcall_catalog::bucket;
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::input::{OriginKind, ServiceFacts, ServiceKind, TrafficDistribution};
use rollcall_catalog::model::{Port, Ports};
use rollcall_catalog::service::{Member, Service};

/// The Service that a slice belongs to (discovery/v1 `LabelServiceName`).
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Who writes a slice (discovery/v1 `LabelManagedBy`).
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Our value of it.
pub const MANAGED_BY: &str = "controller.rollcall.dev";

/// The slices that should stand in the API for a service, sorted by name.
///
/// None when there is no Service of that name, or one that takes no endpoints (ExternalName).
pub fn desired(service: &Service) -> Vec<EndpointSlice> {
    let Some(facts) = service.facts.as_deref().filter(|facts| !matches!(facts.kind, ServiceKind::ExternalName(_)))
    else {
        return Vec::new();
    };
    let mut sets: BTreeMap<(Family, &Ports), Vec<(&Member, IpAddr)>> = BTreeMap::new();
    for member in service.endpoints.iter().filter(|member| member.origin.kind == OriginKind::ServiceRegistration) {
        for ip in member.endpoint.addresses.iter().filter(|ip| wanted(facts, *ip)) {
            sets.entry((Family::of(ip), &member.endpoint.ports)).or_default().push((member, ip));
        }
    }
    let mut slices = Vec::new();
    for ((family, ports), members) in &sets {
        let count = bucket::count(members.len());
        for (index, run) in bucket::runs(members, count, |(member, _)| member.id).enumerate() {
            if !run.is_empty() {
                slices.push(slice(service, facts, *family, ports, (count, index), &members[run]));
            }
        }
    }
    slices.sort_unstable_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    slices
}

/// The version of what matters about a slice, the same for one that should be and one that is.
pub fn version(slice: &EndpointSlice) -> Version {
    let meta = &slice.metadata;
    let label = |name: &str| meta.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let owner = meta.owner_references.iter().flatten().map(|owner| owner.uid.as_str()).next();
    // The typed form, not the text: the API server orders fields as it likes and fills in none of those that we set.
    let content = serde_json::to_string(&(&slice.address_type, &slice.ports, &slice.endpoints)).unwrap_or_default();
    Digest::default().maybe(label(SERVICE_LABEL)).maybe(label(MANAGED_BY_LABEL)).maybe(owner).text(&content).finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

// === impl Family ===

impl Family {
    fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    fn address_type(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// A Service has endpoints of its own families only.
fn wanted(facts: &ServiceFacts, ip: IpAddr) -> bool {
    match Family::of(ip) {
        Family::V4 => facts.families.v4,
        Family::V6 => facts.families.v6,
    }
}

fn slice(
    service: &Service,
    facts: &ServiceFacts,
    family: Family,
    ports: &Ports,
    part: (usize, usize),
    members: &[(&Member, IpAddr)],
) -> EndpointSlice {
    let name = &service.key.name;
    let labels = [(SERVICE_LABEL, &**name), (MANAGED_BY_LABEL, MANAGED_BY)];
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(slice_name(service, family, ports, part)),
            namespace: Some(service.key.namespace.to_string()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            owner_references: Some(vec![owner(service, facts)]),
            ..ObjectMeta::default()
        },
        address_type: family.address_type().to_owned(),
        ports: Some(ports.iter().map(port).collect()),
        endpoints: Some(members.iter().map(|(member, ip)| endpoint(member, *ip, facts)).collect()),
    }
}

/// The garbage collector removes the slices of a Service that is gone, whether or not we are there to do it.
fn owner(service: &Service, facts: &ServiceFacts) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: service.key.name.to_string(),
        uid: facts.uid.to_string(),
        controller: None,
        block_owner_deletion: None,
    }
}

/// `SERVICE-rollcall-HASH-INDEX`: the hash is of family, ports and bucket count. At most 63 + 10 + 9 + 6 characters.
fn slice_name(service: &Service, family: Family, ports: &Ports, (count, index): (usize, usize)) -> String {
    let mut digest = Digest::default();
    digest.text(family.address_type()).number(count as u64).ports(ports);
    let hash = digest.finish().0 >> 32;
    format!("{}-rollcall-{hash:08x}-{index}", service.key.name)
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.to_string()),
        port: Some(port.number.into()),
        protocol: Some(port.protocol.to_string()),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
    }
}

fn endpoint(member: &Member, ip: IpAddr, facts: &ServiceFacts) -> SliceEndpoint {
    let conditions = member.conditions;
    // As for pods (endpointslice `podToEndpoint`): who asks for endpoints that are not ready is told that they are.
    let ready = conditions.ready || facts.publish_not_ready;
    SliceEndpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(conditions.serving),
            terminating: Some(conditions.terminating),
        }),
        hostname: member.endpoint.hostname.as_deref().map(str::to_owned),
        zone: member.zone.as_deref().map(str::to_owned),
        node_name: member.endpoint.node.as_deref().map(str::to_owned),
        hints: if ready { hints(member, facts.traffic) } else { None },
        ..SliceEndpoint::default()
    }
}

/// Hints as the EndpointSlice controller gives them for `trafficDistribution` (KEP-3015); it does not touch our slices.
fn hints(member: &Member, traffic: TrafficDistribution) -> Option<EndpointHints> {
    let zones = || member.zone.as_deref().map(|zone| vec![ForZone { name: zone.to_owned() }]);
    let nodes = || member.endpoint.node.as_deref().map(|node| vec![ForNode { name: node.to_owned() }]);
    let (for_zones, for_nodes) = match traffic {
        TrafficDistribution::Any => return None,
        TrafficDistribution::PreferSameZone => (zones(), None),
        TrafficDistribution::PreferSameNode => (zones(), nodes()),
    };
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_zones, for_nodes })
}

#[cfg(test)]
mod tests;
