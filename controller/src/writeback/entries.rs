//! The CatalogEntry of a service.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::input::{OriginKind, Place, ServiceKind};
use rollcall_catalog::model::{EndpointId, Health, Port};
use rollcall_catalog::service::{Excluded, Member, Service, Why};
use rollcall_crds::{self as api, CatalogEndpoint, CatalogEntry, CatalogEntryContent, Conflict, Counts, OriginSummary};

use super::entry_labels;
use super::evict;
use super::limits::{self, Cutter};
use super::observed::SeenEntry;
use super::policies;
use super::status;

/// The entry that should stand in the API, with `labels`. It keeps the time of the last change as long as the revision stays.
pub fn desired(
    service: &Service,
    labels: BTreeMap<String, String>,
    stands: Option<&SeenEntry>,
    now: Timestamp,
) -> CatalogEntry {
    let replaced = replaced(service);
    let shown = || service.endpoints.iter().filter(|member| !replaced.contains(&member.id));
    let (counts, listed) = (service.counts(), service.endpoints.len() - replaced.len());
    let origins = origins(shown());
    let mut cutter = Cutter::default();
    let conflicts: Vec<_> = service.excluded.iter().filter_map(conflict).collect();
    let endpoints = shown().take(limits::ENTRY_ENDPOINTS);
    let endpoints = endpoints.map(|member| endpoint(service, member, &mut cutter)).collect();
    let revision = service.version.to_string();
    let unchanged = stands.filter(|stands| stands.revision == revision).and_then(|stands| stands.last_change);
    let content = CatalogEntryContent {
        service_kind: kind(service),
        callable: format!("{}/{listed}", counts.callable),
        counts: Counts {
            endpoints: number(listed),
            callable: number(counts.callable),
            passing: number(counts.passing),
            warning: number(counts.warning),
            // A terminating pod counts as Critical.
            critical: number(counts.critical - replaced.len()),
            unknown: number(counts.unknown),
            maintenance: number(counts.maintenance),
        },
        origins_omitted: number(origins.len().saturating_sub(limits::ENTRY_ORIGINS)),
        origins: origins.into_iter().take(limits::ENTRY_ORIGINS).collect(),
        endpoints,
        texts_cut: cutter.cut,
        endpoints_omitted: number(listed.saturating_sub(limits::ENTRY_ENDPOINTS)),
        conflicts_omitted: number(conflicts.len().saturating_sub(limits::ENTRY_CONFLICTS)),
        conflicts: conflicts.into_iter().take(limits::ENTRY_CONFLICTS).collect(),
        policy: policies::in_force(service),
        held: number(service.held),
        damped: number(service.damped),
        stale_since: service.stale.and_then(|since_s| Timestamp::from_second(since_s).ok()).map(Time),
        revision,
        last_change_time: Some(Time(status::whole_seconds(unchanged.unwrap_or(now)))),
        time_to_evict: service.time_to_evict().map(|terms| evict::terms(&terms).total),
        time_to_evict_terms: service.time_to_evict().map(|terms| evict::terms(&terms)),
    };
    let (name, namespace) = (service.key.name.to_string(), service.key.namespace.to_string());
    let labels = (!labels.is_empty()).then_some(labels);
    let metadata = ObjectMeta { name: Some(name), namespace: Some(namespace), labels, ..ObjectMeta::default() };
    CatalogEntry { metadata, spec: content }
}

/// Terminating endpoints whose addresses live ones have already: a pod in the host's network, and the one that takes its
/// place. They are no loss that people should look for.
fn replaced(service: &Service) -> BTreeSet<EndpointId> {
    let leaves =
        |member: &&Member| member.conditions.terminating && member.health == Health::Critical && !service.gives(member);
    let leaving: Vec<_> = service.endpoints.iter().filter(leaves).collect();
    if leaving.is_empty() {
        return BTreeSet::new();
    }
    let live = service.endpoints.iter().filter(|member| service.gives(member));
    let live: BTreeSet<_> = live.flat_map(|member| member.endpoint.addresses.iter()).collect();
    let is_replaced = |member: &&Member| member.endpoint.addresses.iter().all(|ip| live.contains(&ip));
    leaving.into_iter().filter(is_replaced).map(|member| member.id).collect()
}

/// The version of what matters about an entry: all of it but the time, which follows from the revision.
pub fn version(entry: &CatalogEntry) -> Version {
    let content = CatalogEntryContent { last_change_time: None, ..entry.spec.clone() };
    let mut digest = Digest::default();
    digest.text(&serde_json::to_string(&content).unwrap_or_default());
    for (key, value) in entry_labels::own(entry) {
        digest.text(key).text(value);
    }
    digest.finish()
}

fn kind(service: &Service) -> api::ServiceKind {
    match service.facts.as_deref().map(|facts| &facts.kind) {
        Some(ServiceKind::ClusterIp(_)) => api::ServiceKind::ClusterIP,
        Some(ServiceKind::Headless) => api::ServiceKind::Headless,
        Some(ServiceKind::ExternalName(_)) => api::ServiceKind::ExternalName,
        None => api::ServiceKind::Registered,
    }
}

/// EndpointSlices counted together: their names mean nothing to people. Registrations one by one.
fn origins<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<OriginSummary> {
    let mut counted: BTreeMap<(OriginKind, Option<&str>), usize> = BTreeMap::new();
    for member in members {
        let name = match member.origin.kind {
            OriginKind::EndpointSlice | OriginKind::Service => None,
            OriginKind::ServiceRegistration => Some(&*member.origin.name),
            OriginKind::Import => match &member.origin.place {
                Place::Cluster(cluster) => Some(&**cluster),
                Place::Here | Place::Registry(_) => None,
            },
        };
        *counted.entry((member.origin.kind, name)).or_default() += 1;
    }
    let summary = |((kind, name), endpoints): ((OriginKind, Option<&str>), usize)| OriginSummary {
        origin: match kind {
            OriginKind::EndpointSlice | OriginKind::Service => api::OriginKind::EndpointSlice,
            OriginKind::ServiceRegistration => api::OriginKind::ServiceRegistration,
            OriginKind::Import => api::OriginKind::Import,
        },
        name: name.map(str::to_owned),
        endpoints: number(endpoints),
    };
    counted.into_iter().map(summary).collect()
}

fn endpoint(service: &Service, member: &Member, cutter: &mut Cutter) -> CatalogEndpoint {
    let ports = &member.endpoint.ports;
    let tags = member.endpoint.attributes.tags.iter().take(limits::ENTRY_TAGS);
    CatalogEndpoint {
        name: cutter.text(limits::ENTRY_ENDPOINT_NAME, &member.endpoint.name()),
        addresses: member.endpoint.addresses.iter().map(|ip| ip.to_string()).collect(),
        ports: ports.iter().take(limits::ENTRY_PORTS).map(|own| cutter.text(limits::ENTRY_PORT, &port(own))).collect(),
        ports_omitted: number(ports.len().saturating_sub(limits::ENTRY_PORTS)),
        health: health(member.health),
        callable: service.gives(member),
        zone: member.zone.as_deref().map(|zone| cutter.text(limits::ENTRY_ZONE, zone)),
        tags: tags.map(|tag| cutter.text(limits::ENTRY_TAG, tag)).collect(),
        origin: cutter.text(limits::ENTRY_ORIGIN, &member.origin.to_string()),
        reason: cutter.text(limits::ENTRY_REASON, &member.reason),
    }
}

fn port(port: &Port) -> String {
    match &*port.name {
        "" => format!("{}/{}", port.number, port.protocol),
        name => format!("{name}:{}/{}", port.number, port.protocol),
    }
}

fn conflict(excluded: &Excluded) -> Option<Conflict> {
    match &excluded.why {
        Why::Claimed { address, winner, .. } => Some(Conflict {
            address: address.to_string(),
            winner: winner.to_string(),
            loser: excluded.origin.to_string(),
            rule: rule(winner.kind, excluded.origin.kind).to_owned(),
        }),
        Why::Refused(..)
        | Why::UnknownPorts(_)
        | Why::Unusable(_)
        | Why::NoService
        | Why::PodGone
        | Why::Alias(_)
        | Why::Deregistered(_)
        | Why::Family(_) => None,
    }
}

/// The rule of precedence that decided, in plain words.
fn rule(winner: OriginKind, loser: OriginKind) -> &'static str {
    let (first, second) = (winner.min(loser), winner.max(loser));
    match (first, second) {
        (OriginKind::ServiceRegistration, OriginKind::ServiceRegistration) => {
            "the callable one, else of two registrations the older one"
        }
        (OriginKind::ServiceRegistration, OriginKind::Import) => {
            "the callable one, else registrations before other clusters"
        }
        (OriginKind::Import, OriginKind::Import) => "the callable one, else of two clusters the older export",
        (OriginKind::EndpointSlice | OriginKind::Service, OriginKind::Import) => {
            "the callable one, else pods before other clusters"
        }
        (OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import | OriginKind::Service, _) => {
            "the callable one, else pods before registrations"
        }
    }
}

/// The API's word for a health.
pub(super) fn health(health: Health) -> api::Health {
    match health {
        Health::Passing => api::Health::Passing,
        Health::Warning => api::Health::Warning,
        Health::Critical => api::Health::Critical,
        Health::Unknown => api::Health::Unknown,
        Health::Maintenance => api::Health::Maintenance,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
