//! What came from another cluster: kept by service, with what of it is news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_catalog::model::{Endpoint, Name, ServiceKey};
use rollcall_crds::LinkCounts;
use rollcall_xds::client::{Event, Update};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::ResourceType;

use super::decode::{Cut, Decoder, Exported};

/// What is taken of what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The id that the other cluster must have.
    pub cluster: Name,
    /// This cluster's own.
    pub me: Name,
    /// Namespaces; `None` for all.
    pub namespaces: Option<BTreeSet<Name>>,
    /// Services at most.
    pub services_max: usize,
    /// Endpoints at most.
    pub endpoints_max: usize,
}

/// What one stream has brought.
#[derive(Debug)]
pub struct Heard {
    wanted: Wanted,
    decoder: Decoder,
    services: BTreeMap<ServiceKey, Service>,
    endpoints: usize,
    held_back: BTreeMap<(ResourceType, Arc<str>), usize>,
    /// Services of which something else is said than was taken last.
    pub changed: BTreeSet<ServiceKey>,
    /// All that the other cluster exports has come once.
    pub complete: bool,
    /// Beats that have come and were not looked at.
    pub beats: u64,
    /// The address of the stream.
    pub address: Arc<str>,
    /// Why there is no stream, or why what it brings is of no use.
    pub trouble: Option<String>,
    /// What was refused last.
    pub refused: Option<String>,
}

#[derive(Debug, Default)]
struct Service {
    said: Option<Exported>,
    buckets: BTreeMap<Cut, Vec<(u64, Arc<Endpoint>)>>,
}

/// Refusals that are told to the other cluster in one answer.
const REFUSALS_TOLD_MAX: usize = 4;

// === impl Heard ===

impl Heard {
    /// Nothing yet.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            decoder: Decoder::default(),
            services: BTreeMap::new(),
            endpoints: 0,
            held_back: BTreeMap::new(),
            changed: BTreeSet::new(),
            complete: false,
            beats: 0,
            address: Arc::from(""),
            trouble: None,
            refused: None,
        }
    }

    /// Something happened on the stream.
    ///
    /// # Errors
    /// What of an update cannot be taken in; the rest of it is.
    pub fn on(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Connected { server } => (self.address, self.trouble) = (server, None),
            Event::Disconnected { reason, .. } => self.trouble = Some(reason),
            Event::Update(update) => return self.update(update),
        }
        Ok(())
    }

    /// What is said of a service now, with the endpoints that its buckets have, each once; `None` when it is not exported.
    pub fn service(&self, key: &ServiceKey) -> Option<(&Exported, Vec<Arc<Endpoint>>)> {
        let service = self.services.get(key)?;
        let mut endpoints: BTreeMap<u64, &Arc<Endpoint>> = BTreeMap::new();
        for (id, endpoint) in service.buckets.values().flatten() {
            endpoints.entry(*id).or_insert(endpoint);
        }
        Some((service.said.as_ref()?, endpoints.into_values().cloned().collect()))
    }

    /// All services that are exported and wanted.
    pub fn keys(&self) -> BTreeSet<ServiceKey> {
        self.services.iter().filter(|(_, service)| service.said.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// What came and was not taken in.
    pub fn held_back(&self) -> LinkCounts {
        let services = self.held_back.keys().filter(|(ty, _)| *ty == ResourceType::ExportedService).count();
        LinkCounts { services: number(services), endpoints: number(self.held_back.values().sum()) }
    }

    /// Whether something is held back because there is too much of it.
    pub fn is_full(&self) -> bool {
        self.endpoints >= self.wanted.endpoints_max || self.services.len() >= self.wanted.services_max
    }

    fn update(&mut self, update: Update) -> Result<(), String> {
        let mut refusals = Vec::new();
        for upsert in update.upserts {
            let result = match update.ty {
                ResourceType::Exporter => self.exporter(&upsert.value),
                ResourceType::ExportedService => self.put_service(&upsert.name, &upsert.value),
                ResourceType::ExportedBucket => self.put_bucket(&upsert.name, &upsert.value),
                _ => Ok(()),
            };
            refusals.extend(result.err());
        }
        for name in update.removed {
            self.remove(update.ty, &name);
        }
        if refusals.is_empty() {
            return Ok(());
        }
        let told = refusals[..refusals.len().min(REFUSALS_TOLD_MAX)].join("; ");
        self.refused = Some(told.clone());
        Err(format!("{} resources refused, the others applied: {told}", refusals.len()))
    }

    fn exporter(&mut self, body: &[u8]) -> Result<(), String> {
        let message: v1::Exporter = prost::Message::decode(body).map_err(|error| format!("exporter: {error}"))?;
        let (said, wanted) = (&*message.cluster_id, &*self.wanted.cluster);
        let wrong = match said {
            said if said == &*self.wanted.me => {
                Some(format!("{} is this cluster itself ({said}); give the addresses of {wanted}", self.address))
            }
            said if said != wanted => Some(format!(
                "the cluster at {} says that its id is {said:.63}, and this link is to {wanted}; name the link {said:.63}, or correct \
                 its addresses",
                self.address
            )),
            _ => None,
        };
        self.trouble.clone_from(&wrong);
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        self.complete = true;
        self.beats += 1;
        Ok(())
    }

    fn put_service(&mut self, name: &Arc<str>, body: &[u8]) -> Result<(), String> {
        let (key, said) = self.decoder.service(name, body)?;
        if !self.has_room(ResourceType::ExportedService, name, &key, 0) {
            return Ok(());
        }
        self.services.entry(key.clone()).or_default().said = Some(said);
        self.changed.insert(key);
        Ok(())
    }

    fn put_bucket(&mut self, name: &Arc<str>, body: &[u8]) -> Result<(), String> {
        let (key, cut, endpoints) = self.decoder.bucket(name, body)?;
        let before = self.services.get(&key).and_then(|service| service.buckets.get(&cut)).map_or(0, Vec::len);
        self.endpoints -= before;
        if !self.has_room(ResourceType::ExportedBucket, name, &key, endpoints.len()) {
            self.endpoints += before;
            return Ok(());
        }
        self.endpoints += endpoints.len();
        self.services.entry(key.clone()).or_default().buckets.insert(cut, endpoints);
        self.changed.insert(key);
        Ok(())
    }

    /// Whether it is wanted and there is room for it; else it is counted as held back.
    fn has_room(&mut self, ty: ResourceType, name: &Arc<str>, key: &ServiceKey, endpoints: usize) -> bool {
        let wanted = &self.wanted;
        let named = wanted.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(&key.namespace));
        // The API server of this cluster is not to be found elsewhere.
        let own = &*key.namespace == "default" && &*key.name == "kubernetes";
        let known = self.services.contains_key(key);
        let room =
            self.endpoints + endpoints <= wanted.endpoints_max && (known || self.services.len() < wanted.services_max);
        if named && !own && room {
            self.held_back.remove(&(ty, Arc::clone(name)));
            return true;
        }
        self.held_back.insert((ty, Arc::clone(name)), endpoints);
        false
    }

    fn remove(&mut self, ty: ResourceType, name: &Arc<str>) {
        self.held_back.remove(&(ty, Arc::clone(name)));
        let key = match ty {
            ResourceType::ExportedService => {
                let key = self.decoder.key(name);
                key.inspect(|key| _ = self.services.get_mut(key).and_then(|service| service.said.take()))
            }
            ResourceType::ExportedBucket => self.decoder.bucket_name(name).map(|(key, cut)| {
                let gone = self.services.get_mut(&key).and_then(|service| service.buckets.remove(&cut));
                self.endpoints -= gone.map_or(0, |gone| gone.len());
                key
            }),
            _ => None,
        };
        let Some(key) = key else { return };
        if self.services.get(&key).is_some_and(|service| service.said.is_none() && service.buckets.is_empty()) {
            self.services.remove(&key);
        }
        self.changed.insert(key);
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
