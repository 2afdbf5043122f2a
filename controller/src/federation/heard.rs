//! What came from another cluster: kept by service, with what of it is news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_catalog::digest as catalog;
use rollcall_catalog::model::{Endpoint, Name, ServiceKey};
use rollcall_crds::LinkCounts;
use rollcall_xds::client::{Event, Update, Upsert};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::ResourceType;

use super::decode::{Cut, Decoder, Exported};
use super::encode::EXPORTER;
use super::marks::{Marks, content};

use wanted::HELD_BACK_MAX;
pub use wanted::Wanted;

mod left;
mod wanted;

/// What one stream has brought.
#[derive(Debug)]
pub struct Heard {
    wanted: Wanted,
    decoder: Decoder,
    services: BTreeMap<ServiceKey, Service>,
    endpoints: usize,
    held_back: BTreeMap<(ResourceType, Arc<str>), HeldBack>,
    refused: BTreeMap<(ResourceType, Arc<str>), String>,
    /// What came and is remembered, taken in or held back.
    marks: Marks,
    changed: BTreeSet<ServiceKey>,
    /// The address by which it was said which cluster this is.
    believed: Option<Arc<str>>,
    /// The uid of the cluster that was believed, which another one of the same id has not.
    pub uid: Option<Name>,
    /// All that the other cluster exports has come once.
    pub complete: bool,
    /// Beats that have come and were not looked at.
    pub beats: u64,
    /// The address of the stream.
    pub address: Arc<str>,
    /// Why there is no stream.
    pub trouble: Option<String>,
    /// Why nothing that comes by this stream may be believed: it is of another cluster.
    pub wrong: Option<String>,
    /// How much came and was not counted yet.
    pub traffic: Traffic,
}

/// How much came by streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Streams that were opened.
    pub streams: u64,
    /// Resources.
    pub resources: u64,
    /// Bytes of their content.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Service {
    said: Option<Box<Exported>>,
    buckets: BTreeMap<Cut, Bucket>,
}

/// Endpoints, each with its id.
type Bucket = Box<[(u64, Arc<Endpoint>)]>;

/// What is not taken in of a resource.
#[derive(Clone, Copy, Debug)]
struct HeldBack {
    endpoints: usize,
    /// It would be, were there not so much else.
    too_much: bool,
    /// Its service is taken in.
    known: bool,
}

/// Whether there is room for a service.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// There is.
    slot: bool,
    /// It would be taken in.
    is_wanted: bool,
    /// It has its place.
    known: bool,
}

/// Refusals that are told to the other cluster in one answer.
const REFUSALS_TOLD_MAX: usize = 4;
/// Names that are remembered because they are refused; further ones are refused without being counted.
const REFUSED_MAX: usize = 256;
/// Bytes of a name that are remembered.
const NAME_MAX: usize = 512;

// === impl Heard ===

impl Heard {
    /// Nothing yet, of a cluster that may be known by its uid.
    pub fn new(wanted: Wanted, uid: Option<Name>) -> Self {
        Self {
            marks: Marks::new(wanted.names_max()),
            wanted,
            decoder: Decoder::default(),
            services: BTreeMap::new(),
            endpoints: 0,
            held_back: BTreeMap::new(),
            refused: BTreeMap::new(),
            changed: BTreeSet::new(),
            believed: None,
            uid,
            complete: false,
            beats: 0,
            address: Arc::from(""),
            trouble: None,
            wrong: None,
            traffic: Traffic::default(),
        }
    }

    /// Something happened on the stream.
    ///
    /// # Errors
    /// What of an update cannot be taken in; the rest of it is.
    pub fn on(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Connected { server } => {
                (self.address, self.trouble) = (server, None);
                self.traffic.streams += 1;
            }
            Event::Disconnected { reason, .. } => self.trouble = Some(reason),
            Event::Update(update) => return self.update(update),
        }
        Ok(())
    }

    /// What is said of a service now, with the endpoints that its buckets have, each once; `None` when it is not exported.
    pub fn service(&self, key: &ServiceKey) -> Option<(&Exported, Arc<[Arc<Endpoint>]>)> {
        let service = self.services.get(key)?;
        let mut endpoints: BTreeMap<u64, &Arc<Endpoint>> = BTreeMap::new();
        for (id, endpoint) in service.buckets.values().flat_map(|bucket| bucket.iter()) {
            endpoints.entry(*id).or_insert(endpoint);
        }
        Some((service.said.as_deref()?, endpoints.into_values().cloned().collect()))
    }

    /// All services that are exported and wanted.
    pub fn keys(&self) -> BTreeSet<ServiceKey> {
        self.services.iter().filter(|(_, service)| service.said.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// Services of which something else is said than was taken last. Nothing while a stream by another address has not said yet which
    /// cluster it is of: that comes after all else.
    pub fn take_changed(&mut self) -> BTreeSet<ServiceKey> {
        match self.is_believed() {
            true => std::mem::take(&mut self.changed),
            false => BTreeSet::new(),
        }
    }

    /// What of it cannot be taken in, in words.
    pub fn refused(&self) -> Option<String> {
        let (first, more) = (self.refused.values().next()?, self.refused.len() - 1);
        match more {
            0 => Some(first.clone()),
            more => Some(format!("{first}; and {more} more that cannot be taken in")),
        }
    }

    /// What came and was not taken in.
    pub fn held_back(&self) -> LinkCounts {
        let services = self.held_back.keys().filter(|(ty, _)| *ty == ResourceType::ExportedService).count();
        LinkCounts {
            services: number(services),
            endpoints: number(self.held_back.values().map(|held| held.endpoints).sum()),
        }
    }

    /// The version of all that came and is remembered.
    pub fn version(&self) -> Option<catalog::Version> {
        self.marks.version()
    }

    /// Whether what comes is of the cluster that it was heard to be of.
    pub fn is_believed(&self) -> bool {
        self.wrong.is_none() && self.believed.as_ref() == Some(&self.address)
    }

    /// Whether all that it exports is on its way.
    pub fn brings(&self) -> bool {
        !self.address.is_empty() && self.trouble.is_none() && self.wrong.is_none()
    }

    /// Whether something is held back because there is too much of it.
    pub fn is_full(&self) -> bool {
        self.held_back.values().any(|held| held.too_much)
    }

    /// Whether there is room by now for something that is held back because there was too much. It is not here any more: who wants
    /// it asks for all anew.
    pub fn has_room_again(&self) -> bool {
        let room = |held: &HeldBack| {
            let slot = held.known || self.services.len() < self.wanted.services_max;
            held.too_much && slot && (held.endpoints == 0 || self.endpoints < self.wanted.endpoints_max)
        };
        self.complete && self.held_back.values().any(room)
    }

    fn update(&mut self, update: Update) -> Result<(), String> {
        let (mut refusals, mut count) = (Vec::new(), 0_usize);
        for upsert in update.upserts {
            self.traffic.resources += 1;
            self.traffic.bytes += upsert.value.len() as u64;
            let result = self.remember(update.ty, &upsert).and_then(|()| match update.ty {
                ResourceType::Exporter => self.exporter(&upsert),
                ResourceType::ExportedService => self.put_service(&upsert.name, &upsert.value),
                ResourceType::ExportedBucket => self.put_bucket(&upsert.name, &upsert.value),
                _ => Ok(()),
            });
            let place = (update.ty, short(&upsert.name));
            match result {
                Ok(()) => _ = self.refused.remove(&place),
                Err(why) => {
                    self.marks.remove(update.ty, &upsert.name);
                    count += 1;
                    if refusals.len() < REFUSALS_TOLD_MAX {
                        refusals.push(why.clone());
                    }
                    if update.ty != ResourceType::Exporter
                        && (self.refused.len() < REFUSED_MAX || self.refused.contains_key(&place))
                    {
                        self.refused.insert(place, why);
                    }
                }
            }
        }
        for name in update.removed {
            self.refused.remove(&(update.ty, short(&name)));
            self.marks.remove(update.ty, &name);
            self.remove(update.ty, &name);
        }
        match count {
            0 => Ok(()),
            count => Err(format!("{count} resources refused, the others applied: {}", refusals.join("; "))),
        }
    }

    /// Its content is that of its version, and there is room to remember it: what a cluster may make this one keep has a bound,
    /// whatever it says.
    fn remember(&mut self, ty: ResourceType, upsert: &Upsert) -> Result<(), String> {
        content(upsert)?;
        match ty == ResourceType::Exporter || self.marks.put(ty, &upsert.name, &upsert.version) {
            true => Ok(()),
            false => Err(format!(
                "{:.300} is one more than the {} resources that are remembered of a cluster by this link's limits; raise spec.limits, or \
                 have it export less",
                upsert.name,
                self.wanted.names_max()
            )),
        }
    }

    fn exporter(&mut self, upsert: &Upsert) -> Result<(), String> {
        if *upsert.name != *EXPORTER {
            return Err(format!("{:.300} is not what a cluster speaks of itself by, which is {EXPORTER}", upsert.name));
        }
        let message: v1::Exporter =
            prost::Message::decode(&*upsert.value).map_err(|error| format!("exporter: {error}"))?;
        let (said, wanted) = (&*message.cluster_id, &*self.wanted.cluster);
        let uid = Some(&*message.cluster_uid).filter(|uid| !uid.is_empty() && uid.len() <= NAME_MAX);
        let address = self.address.trim_start_matches("https://");
        let wrong = match (said, &self.uid, uid) {
            (said, ..) if said == &*self.wanted.me => {
                Some(format!("{address} is this cluster itself ({said}); give the addresses of {wanted}"))
            }
            (said, ..) if said != wanted => Some(format!(
                "the cluster at {address} says that its id is {said:.63}, and this link is to {wanted}; name the link {said:.63}, or \
                 correct its addresses"
            )),
            (_, Some(known), Some(uid)) if **known != *uid => Some(format!(
                "two clusters say that they are {wanted}: the one at {address} is not the one that was heard before (uid {uid:.63} and \
                 not {known}); give each an id of its own, or, if {wanted} was built anew, delete this link and make it again"
            )),
            _ => None,
        };
        self.wrong.clone_from(&wrong);
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if let (None, Some(uid)) = (&self.uid, uid) {
            self.uid = Some(uid.into());
        }
        self.believed = Some(Arc::clone(&self.address));
        self.complete = true;
        self.beats += 1;
        Ok(())
    }

    fn put_service(&mut self, name: &Arc<str>, body: &[u8]) -> Result<(), String> {
        let (key, said) = self.decoder.service(name, body)?;
        let room = self.room(&key);
        if !room.slot {
            self.hold_back(ResourceType::ExportedService, name, 0, &room);
            return Ok(());
        }
        self.held_back.remove(&(ResourceType::ExportedService, Arc::clone(name)));
        self.services.entry(key.clone()).or_default().said = Some(Box::new(said));
        self.changed.insert(key);
        Ok(())
    }

    /// Takes in as many of its endpoints as there is room for: first those that were there before, so that one that comes pushes out
    /// none that stays.
    fn put_bucket(&mut self, name: &Arc<str>, body: &[u8]) -> Result<(), String> {
        let (key, cut, mut endpoints) = self.decoder.bucket(name, body)?;
        let before = self.services.get(&key).and_then(|service| service.buckets.get(&cut));
        let known: BTreeSet<u64> = before.into_iter().flat_map(|before| before.iter()).map(|(id, _)| *id).collect();
        self.endpoints -= before.map_or(0, |before| before.len());
        let room = self.room(&key);
        let most = if room.slot { self.wanted.endpoints_max.saturating_sub(self.endpoints) } else { 0 };
        let mut rest = 0;
        if endpoints.len() > most {
            endpoints.sort_by_key(|(id, _)| !known.contains(id));
            rest = endpoints.split_off(most).len();
        }
        if rest > 0 {
            self.hold_back(ResourceType::ExportedBucket, name, rest, &room);
        } else {
            self.held_back.remove(&(ResourceType::ExportedBucket, Arc::clone(name)));
        }
        if !room.slot || (endpoints.is_empty() && rest > 0 && known.is_empty()) {
            return Ok(());
        }
        self.endpoints += endpoints.len();
        self.services.entry(key.clone()).or_default().buckets.insert(cut, endpoints.into());
        self.changed.insert(key);
        Ok(())
    }

    /// Whether a service is wanted, and has its place or finds one.
    fn room(&self, key: &ServiceKey) -> Room {
        let wanted = &self.wanted;
        // The API server of this cluster is not to be found elsewhere.
        let own = &*key.namespace == "default" && &*key.name == "kubernetes";
        let known = self.services.contains_key(key);
        let is_wanted = wanted.has(&key.namespace) && !own;
        let slot = is_wanted && (known || self.services.len() < wanted.services_max);
        Room { slot, is_wanted, known }
    }

    /// Counts what is not taken in.
    fn hold_back(&mut self, ty: ResourceType, name: &Arc<str>, endpoints: usize, room: &Room) {
        if self.held_back.len() < HELD_BACK_MAX {
            let held = HeldBack { endpoints, too_much: room.is_wanted, known: room.known };
            self.held_back.insert((ty, Arc::clone(name)), held);
        }
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

/// As much of a name as is remembered.
fn short(name: &Arc<str>) -> Arc<str> {
    match name.len() > NAME_MAX {
        true => name.chars().take(NAME_MAX / 4).collect::<String>().into(),
        false => Arc::clone(name),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
