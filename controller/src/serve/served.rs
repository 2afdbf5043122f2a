//! What one service has on the stream: what of it has changed for callers, and is encoded anew, and what is left alone.
//!
//! A service is cut into buckets of about 64 endpoints. A bucket whose endpoints say to callers what they said before is
//! neither encoded nor hashed again; an assignment of Envoy's, which holds all endpoints of a port, is put together from
//! the bytes of the buckets that it was made of.

use std::sync::Arc;

use rollcall_catalog::members::Bucket;
use rollcall_catalog::model::Endpoint;
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::cache::Cache;
use rollcall_xds::resource::{Labels, ResourceType};

use super::envoy::{self, Assignment};
use super::rollcall;
use super::stale;

/// What a service has in the cache.
pub struct Served {
    /// As it was when that was written; the catalog holds it as well.
    service: Arc<Service>,
    /// Of each TCP port, in the order of the ports.
    assignments: Vec<Assignment>,
}

// === impl Served ===

impl Served {
    /// Brings the resources of a service up to date, from what they were before.
    pub fn update(before: Option<Self>, service: &Arc<Service>, cache: &mut Cache) -> Self {
        let (before, assignments) = match before {
            Some(Self { service: before, assignments }) => (Some(before), assignments),
            None => (None, Vec::new()),
        };
        let before = before.as_deref();
        if let Some(before) = before.filter(|before| before.version == service.version) {
            if labels(before) != labels(service) {
                relabel(service, cache);
            }
            return Self { service: Arc::clone(service), assignments };
        }
        let buckets: Vec<_> = service.endpoints.buckets().cloned().collect();
        let changed = changed_buckets(before, service, &buckets);
        cache.upsert(ResourceType::Service, rollcall::service(service));
        for (index, bucket) in buckets.iter().enumerate().filter(|(index, _)| changed[*index]) {
            cache.upsert(ResourceType::EndpointBucket, rollcall::bucket(service, index, &bucket.members));
        }
        let assignments = assign(service, &buckets, &changed, assignments, cache);
        if let Some(before) = before {
            withdraw_old(before, service, cache);
        }
        Self { service: Arc::clone(service), assignments }
    }

    /// The service as it was then.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Takes everything of the service out.
    pub fn withdraw(self, cache: &mut Cache) {
        let key = self.service.key.to_string();
        cache.remove(ResourceType::Service, &key);
        withdraw_buckets(&self.service, cache);
        withdraw_clusters(&self.service, |_| false, cache);
    }
}

/// Envoy's resources of each port. What is known of a port that is still there is used again.
fn assign(
    service: &Service,
    buckets: &[Arc<Bucket>],
    changed: &[bool],
    mut before: Vec<Assignment>,
    cache: &mut Cache,
) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    for port in envoy::ports(service) {
        let known = before.iter().position(|known| known.is_of(port)).map(|at| before.swap_remove(at));
        let mut assignment = known.unwrap_or_else(|| Assignment::new(port));
        let name = envoy::cluster_name(service, port);
        let endpoints = assignment.encode(&name, service, buckets, changed);
        let speaks = port.app_protocol.clone().or_else(|| assignment.spoken());
        let cluster = envoy::cluster(&name, speaks.as_deref(), &assignment.keys()).with_labels(labels(service));
        cache.upsert(ResourceType::Cluster, cluster);
        cache.upsert(ResourceType::Endpoints, stale::marked(ResourceType::Endpoints, endpoints, service));
        assignments.push(assignment);
    }
    assignments
}

/// Those of the Service, by which clients choose clusters; none where there is no Service.
fn labels(service: &Service) -> Labels {
    service.facts.as_ref().map(|facts| Arc::clone(&facts.labels)).unwrap_or_default()
}

/// Other labels: the clusters are as they were, but may be of another choice.
fn relabel(service: &Service, cache: &mut Cache) {
    for port in envoy::ports(service) {
        let cluster = cache.get(ResourceType::Cluster, &envoy::cluster_name(service, port)).cloned();
        if let Some(cluster) = cluster {
            cache.upsert(ResourceType::Cluster, cluster.with_labels(labels(service)));
        }
    }
}

/// Whether each bucket says something else to callers than before.
fn changed_buckets(before: Option<&Service>, now: &Service, buckets: &[Arc<Bucket>]) -> Vec<bool> {
    let alike = |before: &&Service| before.buckets() == now.buckets() && before.policy.warning == now.policy.warning;
    let Some(before) = before.filter(alike) else {
        return vec![true; buckets.len()];
    };
    let both = before.endpoints.buckets().zip(buckets);
    both.map(|(old, new)| !Arc::ptr_eq(old, new) && !same_members(&old.members, &new.members)).collect()
}

fn same_members(before: &[Member], now: &[Member]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| same_member(before, now))
}

/// Whether callers are told the same. What only people are told, such as a reason, does not matter.
fn same_member(before: &Member, now: &Member) -> bool {
    before.id == now.id
        && envoy::Standing::of(before) == envoy::Standing::of(now)
        && before.conditions.terminating == now.conditions.terminating
        && (&before.zone, &before.region) == (&now.zone, &now.region)
        && rollcall::warns(before) == rollcall::warns(now)
        && before.origin.kind == now.origin.kind
        && before.told() == now.told()
        && before.endpoint.is_suspect() == now.endpoint.is_suspect()
        && (Arc::ptr_eq(&before.endpoint, &now.endpoint) || same_endpoint(&before.endpoint, &now.endpoint))
}

fn same_endpoint(before: &Endpoint, now: &Endpoint) -> bool {
    let same_ports = Arc::ptr_eq(&before.ports, &now.ports) || before.ports == now.ports;
    let attributes = (&before.attributes, &now.attributes);
    same_ports
        && before.addresses == now.addresses
        && before.hostname == now.hostname
        && before.node == now.node
        && before.weight == now.weight
        && (Arc::ptr_eq(attributes.0, attributes.1) || attributes.0 == attributes.1)
}

/// Takes out what the service had and has no longer.
fn withdraw_old(before: &Service, now: &Service, cache: &mut Cache) {
    if before.buckets() != now.buckets() {
        withdraw_buckets(before, cache);
    }
    let names: Vec<_> = envoy::ports(now).map(|port| envoy::cluster_name(now, port)).collect();
    withdraw_clusters(before, |name| names.iter().any(|kept| kept == name), cache);
}

fn withdraw_buckets(service: &Service, cache: &mut Cache) {
    for index in 0..service.buckets() {
        cache.remove(ResourceType::EndpointBucket, &rollcall::bucket_name(service, index));
    }
}

fn withdraw_clusters(service: &Service, kept: impl Fn(&str) -> bool, cache: &mut Cache) {
    let names = envoy::ports(service).map(|port| envoy::cluster_name(service, port));
    for name in names.filter(|name| !kept(name)) {
        cache.remove(ResourceType::Cluster, &name);
        cache.remove(ResourceType::Endpoints, &name);
    }
}

#[cfg(test)]
mod tests;
