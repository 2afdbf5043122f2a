//! The EndpointSlices of a service: endpoints from outside the cluster, in the Service of the same name.
//!
//! One set of slices for each address family and list of ports, cut into buckets like the stream. Names follow from the
//! content of the set and the bucket count, so packing needs no memory, and a changed count writes a new set before it
//! deletes the old one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{
    Endpoint as SliceEndpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use rollcall_catalog::bucket;
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::input::{OriginKind, Place, ServiceFacts, ServiceKind, TrafficDistribution};
use rollcall_catalog::model::{Name, Port, Ports};
use rollcall_catalog::service::{Member, Service};

use super::owned;
use crate::kubernetes::syntax;

/// The Service that a slice belongs to (discovery/v1 `LabelServiceName`).
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Who writes a slice (discovery/v1 `LabelManagedBy`).
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Our value of it.
pub const MANAGED_BY: &str = "controller.rollcall.dev";

/// The cluster that a slice's endpoints are imported from (KEP-1645 `LabelSourceCluster`).
pub const SOURCE_CLUSTER_LABEL: &str = "multicluster.kubernetes.io/source-cluster";

/// The cluster of a slice's endpoints has fallen silent, and they are told to be called last.
pub const SUSPECT_LABEL: &str = "rollcall.dev/suspect";

/// Headless Services have it on their slices, so that kube-proxy leaves them alone (core/v1 `IsHeadlessService`).
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// A slice that should stand in the API, and the registrations that its endpoints come from.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The slice.
    pub slice: EndpointSlice,
    /// Names of registrations, one for each endpoint of the slice.
    registrations: Vec<Name>,
}

// === impl Cut ===

impl Cut {
    /// The slice's name.
    pub fn name(&self) -> Name {
        Name::from(self.slice.metadata.name.as_deref().unwrap_or_default())
    }

    /// The endpoints that come from a registration.
    pub fn of<'a>(&'a self, registration: &'a Name) -> impl Iterator<Item = &'a SliceEndpoint> {
        let endpoints = self.slice.endpoints.iter().flatten().zip(&self.registrations);
        endpoints.filter(move |(_, its)| *its == registration).map(|(endpoint, _)| endpoint)
    }
}

/// The address of an endpoint in a slice, of which ours have one each.
pub fn address(endpoint: &SliceEndpoint) -> &str {
    endpoint.addresses.first().map(String::as_str).unwrap_or_default()
}

/// The addresses in a slice that stand in none or another one yet.
pub fn new_addresses(slice: &EndpointSlice, standing: Option<&EndpointSlice>) -> BTreeSet<Name> {
    let all = |slice: &EndpointSlice| -> BTreeSet<Name> {
        slice.endpoints.iter().flatten().map(|endpoint| Name::from(address(endpoint))).collect()
    };
    let standing = standing.map(all).unwrap_or_default();
    all(slice).into_iter().filter(|address| !standing.contains(address)).collect()
}

/// What all endpoints of a slice have in common: the cluster that they are of, unless it is this one, and what the API wants
/// to be alike.
type Set<'a> = (Option<&'a Name>, Family, &'a Ports);

/// The slices that should stand in the API for a service, sorted by name.
///
/// None when there is a Service of that name that takes no endpoints (ExternalName). Where there is no Service, what other clusters
/// export under its name stands all the same: nobody calls it by that, and a restart knows it while they are away.
pub fn desired(service: &Service) -> Vec<Cut> {
    let facts = service.facts.as_deref();
    if !takes(facts) {
        return Vec::new();
    }
    let demoted = demotes(service);
    let mut sets: BTreeMap<Set<'_>, Vec<(&Member, IpAddr)>> = BTreeMap::new();
    let written = |member: &&Member| is_written(member) && (facts.is_some() || source_cluster(member).is_some());
    for member in service.endpoints.iter().filter(written) {
        for ip in member.endpoint.addresses.iter().filter(|ip| wanted(facts, *ip)) {
            let set = (source_cluster(member), Family::of(ip), &member.endpoint.ports);
            sets.entry(set).or_default().push((member, ip));
        }
    }
    let auto = facts.is_some_and(|facts| facts.topology_auto);
    let zones = if auto { pod_zones(service) } else { BTreeSet::new() };
    let mut cuts = Vec::new();
    for ((cluster, family, ports), members) in &sets {
        let count = bucket::count(members.len());
        for (index, run) in bucket::runs(members, count, |(member, _)| member.id).enumerate() {
            if !run.is_empty() {
                let members = &members[run];
                let registrations = members.iter().map(|(member, _)| registration(member)).collect();
                let suspect = demoted && members.iter().any(|(member, _)| member.endpoint.is_suspect());
                let endpoints = members.iter().map(|(member, ip)| {
                    let endpoint = endpoint(service, member, *ip, facts, &zones);
                    if suspect { last(endpoint) } else { endpoint }
                });
                let endpoints = endpoints.collect();
                let name = slice_name(service, (*cluster, *family), ports, (count, index));
                let ports = ports.iter().map(port).collect();
                let mut slice = slice(service, facts, name, family.address_type(), ports, endpoints);
                if let (Some(cluster), Some(labels)) = (cluster, &mut slice.metadata.labels) {
                    labels.insert(SOURCE_CLUSTER_LABEL.to_owned(), cluster.to_string());
                    if suspect {
                        labels.insert(SUSPECT_LABEL.to_owned(), "true".to_owned());
                    }
                }
                cuts.push(Cut { slice, registrations });
            }
        }
    }
    cuts.sort_unstable_by(|a, b| a.slice.metadata.name.cmp(&b.slice.metadata.name));
    cuts
}

/// A slice that stands, with other endpoints; `None` when its Service takes none.
pub fn with_endpoints(
    service: &Service,
    standing: &EndpointSlice,
    endpoints: Vec<SliceEndpoint>,
) -> Option<EndpointSlice> {
    let name = standing.metadata.name.clone().unwrap_or_default();
    let ports = standing.ports.clone().unwrap_or_default();
    let facts = service.facts.as_deref();
    takes(facts).then(|| slice(service, facts, name, &standing.address_type, ports, endpoints))
}

/// The version of what matters about a slice, the same for one that should be and one that is: all that we write.
pub fn version(slice: &EndpointSlice) -> Version {
    let meta = &slice.metadata;
    let own = owned::labels(meta);
    let labels = meta.labels.iter().flatten().filter(|(key, _)| own.as_ref().is_none_or(|own| own.contains(*key)));
    let labels: Vec<_> = labels.collect();
    let owners: Vec<_> = meta.owner_references.iter().flatten().filter(|owner| owner.kind == "Service").collect();
    // The typed form, not the text: the API server orders fields as it likes and fills in none of those that we set.
    let content = (&slice.address_type, &slice.ports, &slice.endpoints, labels, owners);
    Digest::default().text(&serde_json::to_string(&content).unwrap_or_default()).finish()
}

/// The cluster that an endpoint is imported from. Each slice has endpoints of one (KEP-1645, "Using EndpointSlice objects").
fn source_cluster(member: &Member) -> Option<&Name> {
    match (&member.origin.place, member.origin.kind) {
        (Place::Cluster(cluster), OriginKind::Import) => Some(cluster),
        _ => None,
    }
}

/// The registration that an endpoint comes from; no name for one that comes from none.
fn registration(member: &Member) -> Name {
    match member.origin.kind {
        OriginKind::ServiceRegistration => Name::clone(&member.origin.name),
        OriginKind::EndpointSlice | OriginKind::Import | OriginKind::Service => Name::default(),
    }
}

/// Whether an endpoint stands in slices of ours: none else writes those outside the cluster.
pub fn is_written(member: &Member) -> bool {
    match member.origin.kind {
        OriginKind::ServiceRegistration | OriginKind::Import => true,
        OriginKind::EndpointSlice | OriginKind::Service => false,
    }
}

/// Whether a Service takes endpoints, should there be one.
fn takes(facts: Option<&ServiceFacts>) -> bool {
    !facts.is_some_and(|facts| matches!(facts.kind, ServiceKind::ExternalName(_)))
}

/// Whether endpoints of silent clusters are told to be called last: when the others are at least as many, and so can bear it.
fn demotes(service: &Service) -> bool {
    let (mut suspect, mut others) = (0_usize, 0_usize);
    for member in service.endpoints.iter().filter(|member| member.conditions.ready) {
        *(if member.endpoint.is_suspect() { &mut suspect } else { &mut others }) += 1;
    }
    suspect > 0 && others >= suspect
}

/// To be called when no other endpoint of the Service is ready: of an endpoint that is serving and terminating kube-proxy makes use
/// only then (KEP-1669). One that was about to end when its cluster fell silent is not called any more.
fn last(endpoint: SliceEndpoint) -> SliceEndpoint {
    let conditions = endpoint.conditions.unwrap_or_default();
    let callable = conditions.ready == Some(true);
    let conditions = EndpointConditions { ready: Some(false), serving: Some(callable), terminating: Some(true) };
    SliceEndpoint { conditions: Some(conditions), hints: None, ..endpoint }
}

/// The zones in which others' endpoints of a service are.
fn pod_zones(service: &Service) -> BTreeSet<Name> {
    let pods = service.endpoints.iter().filter(|member| member.origin.kind == OriginKind::EndpointSlice);
    pods.filter_map(|member| member.zone.clone()).collect()
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
fn wanted(facts: Option<&ServiceFacts>, ip: IpAddr) -> bool {
    let Some(facts) = facts else { return true };
    match Family::of(ip) {
        Family::V4 => facts.families.v4,
        Family::V6 => facts.families.v6,
    }
}

fn slice(
    service: &Service,
    facts: Option<&ServiceFacts>,
    name: String,
    address_type: &str,
    ports: Vec<EndpointPort>,
    endpoints: Vec<SliceEndpoint>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(service.key.namespace.to_string()),
            labels: Some(labels(service, facts)),
            owner_references: facts.map(|facts| vec![owner(service, facts)]),
            ..ObjectMeta::default()
        },
        address_type: address_type.to_owned(),
        ports: Some(ports),
        endpoints: Some(endpoints),
    }
}

/// The Service's own labels and those that say what the slice is, as the EndpointSlice controller has it
/// (endpointslice `setEndpointSliceLabels`). Without them, `service-proxy-name` would be ignored and every node would
/// handle headless Services.
fn labels(service: &Service, facts: Option<&ServiceFacts>) -> BTreeMap<String, String> {
    let own = facts.into_iter().flat_map(|facts| facts.labels.iter());
    let own = own.map(|(key, value)| (key.to_string(), value.to_string()));
    let mut labels: BTreeMap<_, _> = own.filter(|(key, _)| key != HEADLESS_LABEL).collect();
    // Where there is no Service no node has to look at it.
    if facts.is_none_or(|facts| facts.kind == ServiceKind::Headless) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_LABEL.to_owned(), service.key.name.to_string());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
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
fn slice_name(
    service: &Service,
    (cluster, family): (Option<&Name>, Family),
    ports: &Ports,
    (count, index): (usize, usize),
) -> String {
    let mut digest = Digest::default();
    if let Some(cluster) = cluster {
        digest.text(cluster);
    }
    digest.text(family.address_type()).number(count as u64).ports(ports);
    let hash = digest.finish().0 >> 32;
    format!("{}-rollcall-{hash:08x}-{index}", service.key.name)
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.to_string()),
        port: Some(port.number.into()),
        protocol: Some(port.protocol.to_string()),
        // The API server takes none of another form; the registration's status names it.
        app_protocol: port.app_protocol.as_deref().filter(|name| syntax::is_qualified_name(name)).map(str::to_owned),
    }
}

fn endpoint(
    service: &Service,
    member: &Member,
    ip: IpAddr,
    facts: Option<&ServiceFacts>,
    zones: &BTreeSet<Name>,
) -> SliceEndpoint {
    let conditions = member.conditions;
    // As for pods (endpointslice `podToEndpoint`): who asks for endpoints that are not ready is told that they are.
    let ready = service.gives(member);
    SliceEndpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(conditions.serving),
            terminating: Some(conditions.terminating),
        }),
        hostname: member.endpoint.hostname.as_deref().filter(|host| syntax::is_dns_label(host)).map(str::to_owned),
        zone: member.zone.as_deref().map(str::to_owned),
        node_name: member.endpoint.node.as_deref().map(str::to_owned),
        hints: facts.filter(|_| ready).and_then(|facts| hints(member, facts, zones)),
        ..SliceEndpoint::default()
    }
}

/// Hints as the EndpointSlice controller gives them, which does not touch our slices: for `trafficDistribution` (KEP-3015)
/// and, for topology-mode Auto, so that ours do not switch off those of the pods: kube-proxy uses hints only if every ready
/// endpoint has them. A machine in a zone without pods of the Service is for all zones then.
fn hints(member: &Member, facts: &ServiceFacts, pod_zones: &BTreeSet<Name>) -> Option<EndpointHints> {
    const ZONES_MAX: usize = 8;
    let own = member.zone.as_ref().filter(|zone| syntax::is_label_value(zone));
    let named = |zones: &mut dyn Iterator<Item = &Name>| -> Vec<_> {
        zones.take(ZONES_MAX).map(|zone| ForZone { name: zone.to_string() }).collect()
    };
    let zones = || own.map(|zone| named(&mut std::iter::once(zone)));
    let nodes = || member.endpoint.node.as_deref().map(|node| vec![ForNode { name: node.to_owned() }]);
    let (for_zones, for_nodes) = match facts.traffic {
        TrafficDistribution::Any if !facts.topology_auto || pod_zones.is_empty() => return None,
        TrafficDistribution::Any => match own.filter(|zone| pod_zones.contains(*zone)) {
            Some(zone) => (Some(named(&mut std::iter::once(zone))), None),
            None => (Some(named(&mut pod_zones.iter().filter(|zone| syntax::is_label_value(zone)))), None),
        },
        TrafficDistribution::PreferSameZone => (zones(), None),
        TrafficDistribution::PreferSameNode => (zones(), nodes()),
    };
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_zones, for_nodes })
}

#[cfg(test)]
mod tests;
