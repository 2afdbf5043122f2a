//! The one writer of a zone: parts of the catalog in, changed records out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::apex::DomainError;
use super::apexes::Apexes;
use super::holders::{self, Role, Step};
use super::machines::{self, Machines};
use super::model::{Endpoint, Service};
use super::reading::pods::PodNames;
use super::record::{self, Record};
use super::section::{Backwards, Section};
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
    /// Endpoints in each zone, in each bucket counted, and machines.
    zones: BTreeMap<Box<str>, usize>,
    machines: Machines,
    size: Size,
}

/// What was received about one service.
#[derive(Debug, Default)]
struct Held {
    service: Option<Service>,
    /// In the order of arrival.
    buckets: Vec<Bucket>,
    /// Identities in `buckets`, each counted once.
    endpoints: usize,
    published: Option<Arc<Record>>,
}

/// One bucket of a service.
#[derive(Debug)]
struct Bucket {
    part: Part,
    endpoints: Box<[Arc<Endpoint>]>,
    /// What queries see of it, once that was needed.
    section: Option<Arc<Section>>,
}

/// Steps of services at addresses.
type Steps = BTreeMap<IpAddr, Vec<(Role, Arc<str>, Step)>>;

// === impl ZoneWriter ===

impl ZoneWriter {
    /// An empty zone, which answers nothing until [`ZoneWriter::sync`].
    pub fn new(settings: Settings) -> Self {
        let (zone, machines) = (Arc::new(Zone::new(settings)), Machines::default());
        let (namespaces, zones) = (BTreeMap::new(), BTreeMap::new());
        Self { zone, held: HashMap::new(), namespaces, zones, machines, size: Size::default() }
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
        self.sync_across(domain, "", unix_time)
    }

    /// The same, with the domain of names across clusters; empty where there are none.
    pub fn sync_across(&mut self, domain: &str, across: &str, unix_time: u32) -> Result<(), DomainError> {
        let mut apexes = Apexes::of_cluster(domain)?;
        if !across.is_empty() {
            apexes.add_clusterset(across)?;
        }
        apexes.add_registry(&self.zone.settings.registry.domains);
        apexes.add_exposed(&self.zone.settings.outward.domains);
        if self.zone.apexes.load().as_ref().is_none_or(|known| !known.is_like(&apexes)) {
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
        let mut dirty = BTreeSet::new();
        for change in changes {
            dirty.insert(self.key_of(&change));
            self.hold(change);
        }
        if dirty.is_empty() {
            return;
        }
        let (mut records, mut moves) = (Vec::with_capacity(dirty.len()), Steps::new());
        for key in dirty {
            let (before, after) = self.rebuild(&key);
            for (address, role, step) in Record::steps(before.as_deref(), after.as_deref()) {
                moves.entry(address).or_default().push((role, Arc::clone(&key), step));
            }
            records.push((key, after));
        }
        // Serial before data: who compares serials may look once too often, never once too seldom.
        self.touch(unix_time);
        self.publish_namespaces(&records);
        self.publish_zones();
        self.zone.services.apply(records);
        self.publish_holders(moves);
    }

    /// The same of machines. Nobody asks for them where there are no names of a registry.
    pub fn apply_machines(&mut self, changes: Vec<machines::Change>, unix_time: u32) {
        if changes.is_empty() || self.zone.settings.registry.domains.is_empty() {
            return;
        }
        self.touch(unix_time);
        let zones = &mut self.zones;
        self.machines.apply(changes, &self.zone.machines, |zone, step| count_zone(zones, zone, step));
        self.publish_zones();
    }

    /// The key of the service that a change is of: the one that is held, if there is one, so that there is no second.
    fn key_of(&self, change: &Change) -> Arc<str> {
        let key = match change {
            Change::Service(key, _) | Change::ServiceGone(key) => key,
            Change::Bucket(name, _) | Change::BucketGone(name) => &name.service,
        };
        Arc::clone(self.held.get_key_value(key).map_or(key, |(held, _)| held))
    }

    /// Files a change.
    fn hold(&mut self, change: Change) {
        match change {
            Change::Service(key, service) => {
                let is_asked = !self.zone.settings.outward.domains.is_empty();
                let exposed = service.exposed.filter(|_| is_asked);
                self.held.entry(key).or_default().describe(Service { exposed, ..service });
            }
            Change::ServiceGone(key) => {
                if let Some(held) = self.held.get_mut(&key) {
                    held.service = None;
                    held.buckets.iter_mut().for_each(|bucket| bucket.section = None);
                }
            }
            Change::Bucket(name, endpoints) => {
                self.count_zones(&endpoints, 1);
                let held = self.held.entry(name.service).or_default();
                let before = held.take(name.part);
                held.buckets.reserve_exact(1);
                held.buckets.push(Bucket { part: name.part, endpoints: endpoints.into(), section: None });
                self.count_zones(&before, -1);
            }
            Change::BucketGone(name) => {
                let before = self.held.get_mut(&name.service).map(|held| held.take(name.part));
                self.count_zones(&before.unwrap_or_default(), -1);
            }
        }
    }

    /// Endpoints come (1) or go (-1).
    fn count_zones(&mut self, endpoints: &[Arc<Endpoint>], step: isize) {
        for area in endpoints.iter().flat_map(|endpoint| endpoint.place.areas()) {
            count_zone(&mut self.zones, &area, step);
        }
    }

    fn publish_zones(&mut self) {
        self.zones.retain(|_, count| *count > 0);
        if !self.zones.keys().eq(self.zone.zones.load().iter()) {
            self.zone.zones.store(Arc::new(self.zones.keys().cloned().collect()));
        }
    }

    /// Computes a service's record anew, as far as it changed: what it was before, and is now.
    fn rebuild(&mut self, key: &Arc<str>) -> (Option<Arc<Record>>, Option<Arc<Record>>) {
        let settings = &self.zone.settings;
        let silent = settings.knows_pods || settings.pod_names == PodNames::Verified;
        let backwards = Backwards { told: record::leads_back(key), silent };
        let Some(held) = self.held.get_mut(key) else { return (None, None) };
        let count = held.count();
        let before = held.published.take();
        let after = held.record(key, before.as_deref(), backwards).map(Arc::new);
        held.published.clone_from(&after);
        self.size.endpoints = self.size.endpoints + count - std::mem::replace(&mut held.endpoints, count);
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

    /// Takes steps over into the index of addresses.
    fn publish_holders(&self, steps: Steps) {
        let index = &self.zone.holders;
        let changes: Vec<_> = steps
            .into_iter()
            .map(|(address, steps)| {
                let held = holders::after(index.get(&address), steps);
                (address, held)
            })
            .collect();
        index.apply(changes);
    }

    fn touch(&mut self, unix_time: u32) {
        // Never back, whatever the clock does (RFC 1912 §2.2).
        self.zone.serial.fetch_max(unix_time, Ordering::Relaxed);
    }
}

// === impl Held ===

impl Held {
    /// Takes over what a service is.
    fn describe(&mut self, service: Service) {
        if self.service.as_ref() != Some(&service) {
            self.service = Some(service);
            self.buckets.iter_mut().for_each(|bucket| bucket.section = None);
        }
    }

    /// What queries see of it; only buckets that changed are computed. `before`: what it was.
    fn record(&mut self, key: &Arc<str>, before: Option<&Record>, backwards: Backwards) -> Option<Record> {
        let service = self.service.clone()?;
        let sections = if self.is_one_cut() {
            let mut all = Vec::with_capacity(self.buckets.len());
            for bucket in &mut self.buckets {
                let new = || Arc::new(Section::new(&service, bucket.endpoints.iter(), backwards));
                all.push((bucket.part, Arc::clone(bucket.section.get_or_insert_with(new))));
            }
            all.sort_unstable_by_key(|(part, _)| *part);
            all.into_iter().map(|(_, section)| section).collect()
        } else {
            Box::from([Arc::new(Section::new(&service, self.union(), backwards))])
        };
        Some(Record::new(Arc::clone(key), service, sections, before))
    }

    /// Whether all buckets are of one count. Those of two overlap while a service is cut anew.
    fn is_one_cut(&self) -> bool {
        self.buckets.windows(2).all(|pair| pair[0].part.0 == pair[1].part.0)
    }

    /// How many endpoints there are, each counted once.
    fn count(&self) -> usize {
        match self.is_one_cut() {
            true => self.buckets.iter().map(|bucket| bucket.endpoints.len()).sum(),
            false => self.union().len(),
        }
    }

    /// Every endpoint once. Of buckets that overlap what came last is true.
    fn union(&self) -> Vec<&Arc<Endpoint>> {
        let all = self.buckets.iter().flat_map(|bucket| &bucket.endpoints);
        if self.is_one_cut() {
            return all.collect();
        }
        let latest: HashMap<u64, &Arc<Endpoint>> = all.map(|endpoint| (endpoint.id, endpoint)).collect();
        latest.into_values().collect()
    }

    /// The endpoints of a bucket, which is then no more.
    fn take(&mut self, part: Part) -> Box<[Arc<Endpoint>]> {
        let place = self.buckets.iter().position(|bucket| bucket.part == part);
        // In the order of arrival.
        place.map(|place| self.buckets.remove(place).endpoints).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.service.is_none() && self.buckets.is_empty()
    }
}

fn count_zone(zones: &mut BTreeMap<Box<str>, usize>, zone: &str, step: isize) {
    match zones.get_mut(zone) {
        _ if zone.is_empty() => {}
        Some(count) => *count = count.saturating_add_signed(step),
        None => drop(zones.insert(zone.into(), usize::from(step > 0))),
    }
}

fn namespace(key: &str) -> &str {
    key.split_once('/').map_or(key, |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[path = "writer_properties.rs"]
mod properties;
