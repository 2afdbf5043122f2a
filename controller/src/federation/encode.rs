//! An exported service as resources: what other clusters are told of it.

use std::net::IpAddr;

use prost::bytes::Bytes;
use rollcall_catalog::bucket;
use rollcall_catalog::input::{OriginKind, Place, ServiceKind};
use rollcall_catalog::model::{Attributes, Health, Ports};
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::{Resource, ResourceType};

use super::exports::Tags;
use super::mcs::said::Said;
use crate::serve::rollcall::{key_value, octets, port};

/// The name of the resource that says who exports.
pub const EXPORTER: &str = "cluster";

/// Why a service is not told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexportable {
    /// There is none of that name in this cluster.
    NoService,
    /// It is another name for something else.
    ExternalName,
    /// It stands for what is exported already.
    Derived,
}

/// A service, and since when it is exported, in seconds since the epoch.
///
/// # Errors
/// When it cannot be exported.
pub fn service(service: &Service, created: i64, with: &Tags) -> Result<Vec<(ResourceType, Resource)>, Unexportable> {
    exportable(service)?;
    let said = Said::of(service, with);
    let members: Vec<&Member> = own(service).collect();
    let count = if members.is_empty() { 0 } else { bucket::count(members.len()) };
    let mut message = v1::ExportedService {
        namespace: service.key.namespace.to_string(),
        name: service.key.name.to_string(),
        created,
        headless: said.headless,
        ports: service.ports.iter().map(port).collect(),
        buckets: u32::try_from(count).unwrap_or(u32::MAX),
        ..v1::ExportedService::default()
    };
    said.write(&mut message);
    let mut resources: Vec<_> = bucket::runs(&members, count.max(1), |member| member.id)
        .enumerate()
        .take(count)
        .map(|(index, run)| {
            let name = format!("{}/{count}/{index}", service.key);
            let resource = Resource::new(ResourceType::ExportedBucket, name, &bucket(service, &members[run]));
            (ResourceType::ExportedBucket, resource)
        })
        .collect();
    let told = Resource::new(ResourceType::ExportedService, service.key.to_string(), &message);
    resources.push((ResourceType::ExportedService, told));
    Ok(resources)
}

/// Whether a service can be exported.
///
/// # Errors
/// Why it cannot.
pub fn exportable(service: &Service) -> Result<(), Unexportable> {
    match service.facts.as_deref().map(|facts| &facts.kind) {
        Some(ServiceKind::ExternalName(_)) => Err(Unexportable::ExternalName),
        None if service.registrations.is_empty() => Err(Unexportable::NoService),
        // What stands for exports is none.
        Some(_) if service.clusterset().is_some() => Err(Unexportable::Derived),
        Some(ServiceKind::ClusterIp(_) | ServiceKind::Headless) | None => Ok(()),
    }
}

/// What is said every few seconds.
pub fn exporter(cluster_id: &str, cluster_uid: &str, beat: u64) -> Resource {
    let message = v1::Exporter { cluster_id: cluster_id.to_owned(), beat, cluster_uid: cluster_uid.to_owned() };
    Resource::new(ResourceType::Exporter, EXPORTER, &message)
}

/// What of a service has its origin in this cluster.
pub fn own(service: &Service) -> impl Iterator<Item = &Member> {
    service.endpoints.iter().filter(|member| is_own(member))
}

/// Whether it has its origin in this cluster. What was imported is told by its own cluster alone.
pub fn is_own(member: &Member) -> bool {
    member.origin.place == Place::Here
}

fn bucket(service: &Service, members: &[&Member]) -> v1::ExportedBucket {
    let mut port_sets: Vec<&Ports> = members.iter().map(|member| &member.endpoint.ports).collect();
    port_sets.sort_unstable();
    port_sets.dedup();
    let endpoint = |member: &&Member| endpoint(member, &port_sets);
    v1::ExportedBucket {
        namespace: service.key.namespace.to_string(),
        service: service.key.name.to_string(),
        endpoints: members.iter().map(endpoint).collect(),
        port_sets: port_sets.iter().map(|ports| v1::PortSet { ports: ports.iter().map(port).collect() }).collect(),
    }
}

fn endpoint(member: &Member, port_sets: &[&Ports]) -> v1::ExportedEndpoint {
    let endpoint = &member.endpoint;
    let set = port_sets.binary_search(&&endpoint.ports).ok().and_then(|at| u32::try_from(at).ok());
    let told = told(member);
    v1::ExportedEndpoint {
        id: member.id.0,
        addresses: endpoint.addresses.iter().map(octets).collect::<Vec<Bytes>>(),
        port_set: set.unwrap_or(0),
        hostname: endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
        ready: member.conditions.ready,
        serving: member.conditions.serving,
        terminating: member.conditions.terminating,
        health: health(member.health).into(),
        weight: if endpoint.weight == 1 { 0 } else { endpoint.weight.into() },
        zone: member.zone.as_deref().unwrap_or_default().to_owned(),
        region: member.region.as_deref().unwrap_or_default().to_owned(),
        node: endpoint.node.as_deref().unwrap_or_default().to_owned(),
        tags: told.iter().flat_map(|told| &told.tags).map(ToString::to_string).collect(),
        metadata: told.iter().flat_map(|told| &told.metadata).map(key_value).collect(),
    }
}

/// What the owner of a registered endpoint says about it. The labels of pods change without meaning for callers.
pub fn told(member: &Member) -> Option<&Attributes> {
    match member.origin.kind {
        OriginKind::ServiceRegistration => Some(&member.endpoint.attributes),
        OriginKind::EndpointSlice | OriginKind::Import | OriginKind::Service => None,
    }
}

fn health(health: Health) -> v1::ExportedHealth {
    match health {
        Health::Passing => v1::ExportedHealth::ExportedPassing,
        Health::Warning => v1::ExportedHealth::ExportedWarning,
        Health::Critical => v1::ExportedHealth::ExportedCritical,
        Health::Unknown => v1::ExportedHealth::ExportedUnknown,
        Health::Maintenance => v1::ExportedHealth::ExportedMaintenance,
    }
}

/// The addresses of the wire, or nothing for what is none.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
