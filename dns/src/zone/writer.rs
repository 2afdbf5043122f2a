//! The one writer of a zone: parts of the catalog in, changed records out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::apex::DomainError;
use super::apexes::Apexes;
use super::holders::{self, Holders, Role, Step};
use super::model::{Endpoint, Service};
use super::reading::pods::PodNames;
use super::record::Record;
use super::shards::Shards;
use super::{Settings, Zone};

/// A part of the catalog that changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A service, by its key `NAMESPACE/NAME`.
    Service(Arc<str>, Service),
    /// A service is gone.
    ServiceGone(Arc<str>),
    /// One bucket of a service's endpoints.
    Bucket(BucketName, Vec<Arc<Endpoint>>),
    /// A bucket is gone.
    BucketGone(BucketName),
}

/// Which part of which service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName {
    /// `NAMESPACE/NAME` of the service.
    pub service: Arc<str>,
    /// `COUNT/INDEX`: the cut and the part.
    pub part: Part,
}

/// Number of parts that a service is cut into, and which of them.
pub type Part = (u32, u32);

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Services, named or not.
    pub services: usize,
    /// Endpoints, ready or not.
    pub endpoints: usize,
    /// Owner names below the cluster domain that belong to services.
    pub names: usize,
}

/// Applies changes to a [`Zone`]. There is one.
#[derive(Debug)]
pub struct ZoneWriter {
    zone: Arc<Zone>,
    held: HashMap<Arc<str>, Held>,
    /// Services in each namespace.
    namespaces: BTreeMap<Arc<str>, usize>,
    size: Size,
}

/// What was received about one service.
#[derive(Debug, Default)]
struct Held {
    service: Option<Service>,
    /// In the order of arrival.
    buckets: Vec<(Part, Vec<Arc<Endpoint>>)>,
    /// Identities in `buckets`, each counted once.
    endpoints: usize,
    published: Option<Arc<Record>>,
    /// Addresses of all endpoints, sorted: kept when names of pods are verified.
    pods: Box<[(IpAddr, Role)]>,
}

/// Steps of services at addresses.
type Steps = BTreeMap<IpAddr, Vec<(Role, Arc<str>, Step)>>;

// === impl ZoneWriter ===

impl ZoneWriter {
    /// An empty zone, which answers nothing until [`ZoneWriter::sync`].
    pub fn new(settings: Settings) -> Self {
        let zone = Arc::new(Zone::new(settings));
        Self { zone, held: HashMap::new(), namespaces: BTreeMap::new(), size: Size::default() }
    }

    /// For readers.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// How much is held.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What is held of a service, by its key: itself and every endpoint once, ready or not.
    pub fn whole(&self, key: &str) -> Option<(&Service, Vec<&Arc<Endpoint>>)> {
        let held = self.held.get(key)?;
        Some((held.service.as_ref()?, held.union()))
    }

    /// The whole catalog has been seen, and this is the cluster's domain. Answers begin, or change to that domain.
    pub fn sync(&mut self, domain: &str, unix_time: u32) -> Result<(), DomainError> {
        let mut apexes = Apexes::of_cluster(domain)?;
        apexes.add_registry(&self.zone.settings.registry.domains);
        let origin = apexes.primary().origin();
        if self.zone.apexes.load().as_ref().is_none_or(|known| known.primary().origin() != origin) {
            self.serve(apexes, unix_time);
        }
        Ok(())
    }

    /// As [`ZoneWriter::sync`], with these zones.
    pub fn serve(&mut self, apexes: Apexes, unix_time: u32) {
        self.touch(unix_time);
        self.zone.apexes.store(Some(Arc::new(apexes)));
    }

    /// Applies changes; readers see each service change at once, and those together that share a shard. Only names of
    /// services in `changes` are touched.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>, unix_time: u32) {
        let dirty: BTreeSet<_> = changes.into_iter().map(|change| self.hold(change)).collect();
        if dirty.is_empty() {
            return;
        }
        let (mut records, mut moves, mut pods) = (Vec::new(), Steps::new(), Steps::new());
        for key in dirty {
            if self.zone.settings.pod_names == PodNames::Verified {
                self.move_pods(&key, &mut pods);
            }
            let (before, after) = self.rebuild(&key);
            moved(&key, before.as_deref(), after.as_deref(), &mut moves);
            records.push((key, after));
        }
        // Serial before data: who compares serials may look once too often, never once too seldom.
        self.touch(unix_time);
        self.publish_namespaces(&records);
        self.zone.services.apply(records);
        take(&self.zone.holders, moves);
        take(&self.zone.pods, pods);
    }

    /// Files a change; returns the service's key.
    fn hold(&mut self, change: Change) -> Arc<str> {
        match change {
            Change::Service(key, service) => {
                self.held.entry(Arc::clone(&key)).or_default().service = Some(service);
                key
            }
            Change::ServiceGone(key) => {
                if let Some(held) = self.held.get_mut(&key) {
                    held.service = None;
                }
                key
            }
            Change::Bucket(name, endpoints) => {
                let held = self.held.entry(Arc::clone(&name.service)).or_default();
                held.buckets.retain(|(part, _)| *part != name.part);
                held.buckets.push((name.part, endpoints));
                name.service
            }
            Change::BucketGone(name) => {
                if let Some(held) = self.held.get_mut(&name.service) {
                    held.buckets.retain(|(part, _)| *part != name.part);
                }
                name.service
            }
        }
    }

    /// Computes a service's record anew. Returns the one before and the one now.
    fn rebuild(&mut self, key: &Arc<str>) -> (Option<Arc<Record>>, Option<Arc<Record>>) {
        let Some(held) = self.held.get_mut(key) else { return (None, None) };
        let endpoints = held.union();
        let count = endpoints.len();
        let after = held.service.clone().map(|service| Arc::new(Record::new(Arc::clone(key), service, endpoints)));
        let before = mem::replace(&mut held.published, after.clone());
        self.size.endpoints = self.size.endpoints + count - mem::replace(&mut held.endpoints, count);
        self.size.services = self.size.services + usize::from(after.is_some()) - usize::from(before.is_some());
        let names = |record: &Option<Arc<Record>>| record.as_ref().map_or(0, |record| record.names());
        self.size.names = self.size.names + names(&after) - names(&before);
        self.count_namespace(key, before.is_some(), after.is_some());
        if self.held.get(key).is_some_and(Held::is_empty) {
            self.held.remove(key);
        }
        (before, after)
    }

    fn count_namespace(&mut self, key: &str, before: bool, after: bool) {
        let namespace = namespace(key);
        match (before, after) {
            (false, true) => match self.namespaces.get_mut(namespace) {
                Some(count) => *count += 1,
                None => drop(self.namespaces.insert(Arc::from(namespace), 1)),
            },
            (true, false) => {
                if let Some(count) = self.namespaces.get_mut(namespace) {
                    *count -= 1;
                }
            }
            (false, false) | (true, true) => {}
        }
    }

    fn publish_namespaces(&mut self, records: &[(Arc<str>, Option<Arc<Record>>)]) {
        let touched: BTreeSet<&str> = records.iter().map(|(key, _)| namespace(key)).collect();
        let exists = |name: &str| self.namespaces.get(name).is_some_and(|count| *count > 0);
        let known = |name: &str| self.zone.namespaces.get(name).is_some();
        let differ = touched.into_iter().filter(|name| exists(name) != known(name));
        let changes: Vec<(Arc<str>, _)> = differ.map(|name| (Arc::from(name), exists(name).then_some(()))).collect();
        self.zone.namespaces.apply(changes);
        self.namespaces.retain(|_, count| *count > 0);
    }

    /// Notes at which addresses a service's endpoints are now, and what that changes.
    fn move_pods(&mut self, key: &Arc<str>, steps: &mut Steps) {
        let Some(held) = self.held.get_mut(key) else { return };
        let endpoints = if held.service.is_some() { held.union() } else { Vec::new() };
        let addresses = endpoints.into_iter().flat_map(|endpoint| endpoint.addresses.iter());
        let mut after: Vec<_> = addresses.map(|address| (address, Role::Endpoint)).collect();
        after.sort_unstable();
        after.dedup();
        let before = mem::replace(&mut held.pods, after.into());
        for (address, role, step) in holders::steps(&before, &held.pods) {
            steps.entry(address).or_default().push((role, Arc::clone(key), step));
        }
    }

    fn touch(&mut self, unix_time: u32) {
        // Never back, whatever the clock does (RFC 1912 §2.2).
        self.zone.serial.fetch_max(unix_time, Ordering::Relaxed);
    }
}

// === impl Held ===

impl Held {
    /// Every endpoint once. Buckets of two counts overlap while a service is cut anew: what came last is true.
    fn union(&self) -> Vec<&Arc<Endpoint>> {
        let all = self.buckets.iter().flat_map(|(_, endpoints)| endpoints);
        let one_cut = self.buckets.windows(2).all(|pair| pair[0].0.0 == pair[1].0.0);
        if one_cut {
            return all.collect();
        }
        let latest: HashMap<u64, &Arc<Endpoint>> = all.map(|endpoint| (endpoint.id, endpoint)).collect();
        latest.into_values().collect()
    }

    fn is_empty(&self) -> bool {
        self.service.is_none() && self.buckets.is_empty()
    }
}

fn moved(key: &Arc<str>, before: Option<&Record>, after: Option<&Record>, steps: &mut Steps) {
    let before = before.map_or_else(Vec::new, Record::reverse_addresses);
    let after = after.map_or_else(Vec::new, Record::reverse_addresses);
    for (address, role, step) in holders::steps(&before, &after) {
        steps.entry(address).or_default().push((role, Arc::clone(key), step));
    }
}

/// Takes steps over into an index of addresses.
fn take(index: &Shards<IpAddr, Holders>, steps: Steps) {
    let changes: Vec<_> = steps
        .into_iter()
        .map(|(address, steps)| {
            let held = holders::after(index.get(&address), steps);
            (address, held)
        })
        .collect();
    index.apply(changes);
}

fn namespace(key: &str) -> &str {
    key.split_once('/').map_or(key, |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[path = "writer_properties.rs"]
mod properties;
