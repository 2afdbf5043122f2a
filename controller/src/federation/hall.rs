//! What each peer is given: the exported services of the namespaces that it may see, and a beat every three seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use rollcall_catalog::digest::Version;
use rollcall_catalog::input::Manner;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_catalog::snapshot::{Changes, Revision, Snapshot};
use rollcall_crds::LinkExported;
use rollcall_xds::cache::{self, Cache};
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Admits, Showing};
use tokio::sync::watch;
use tonic::Status;

use super::encode::{self, Unexportable};
use super::exports::{Exports, Tags};
use super::marks::Marks;
use super::rights::{NAMESPACES_MAX, Rights, Scope, Sight};
use super::table::{News, Table};
use crate::access::Access;
use crate::writer::Snapshots;

/// The exported services, as others read them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hall(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    me: Name,
    exports: Exports,
    told: Told,
    rights: Rights,
    shelves: Mutex<Shelves>,
}

/// Whether others are told of a service that is exported; complete once it is known of each.
pub type Told = Table<ServiceKey, Result<(), Unexportable>>;

/// What is exported, and each selection of it that somebody reads.
#[derive(Debug, Default)]
struct Shelves {
    exported: BTreeMap<ServiceKey, Exported>,
    shelves: Vec<Shelf>,
    /// Who reads which selection, one for each stream that is open, by its number.
    peers: BTreeMap<u64, Peer>,
    streams: u64,
    beat: u64,
    /// What no other cluster has.
    uid: Name,
    /// The catalog's revision that it was made from; `None` before the catalog is complete and ServiceExports have been listed:
    /// nothing is told before.
    revision: Option<Revision>,
}

/// What the resources of a service are made of: its version and manner, since when it is exported, and with what.
type Of = (Version, Option<Arc<Manner>>, i64, Arc<Tags>);

/// One service.
#[derive(Debug)]
struct Exported {
    /// What the resources are of.
    of: Of,
    said: Result<Vec<(ResourceType, Resource)>, Unexportable>,
    endpoints: usize,
}

/// The services of some namespaces.
#[derive(Debug)]
struct Shelf {
    scope: Scope,
    cache: Cache,
    names: BTreeMap<ServiceKey, Vec<(ResourceType, Arc<str>)>>,
    /// Endpoints of each, and of all.
    endpoints: (BTreeMap<ServiceKey, usize>, usize),
    /// What is on it.
    marks: Marks,
    /// All that there is has been put on it once.
    filled: bool,
    published: watch::Sender<Shown>,
}

/// Who reads.
#[derive(Debug)]
struct Peer {
    /// The id that it gives itself.
    id: Name,
    sight: Sight,
}

/// A stream, as long as it is open.
struct Present {
    hall: Hall,
    number: u64,
}

/// What a stream is given; `None` before there is anything to tell.
type Shown = Option<Arc<cache::Snapshot>>;

/// Between two beats. Who has heard nothing for three of them takes this cluster for silent.
const BEAT: Duration = Duration::from_secs(3);
/// How often it is asked again whether a peer may still see what it sees.
const REVIEW: Duration = Duration::from_secs(60);

// === impl Hall ===

impl Hall {
    /// The hall of the cluster `me`, still closed.
    pub fn new(me: Name, exports: Exports, access: Access) -> Self {
        let rights = Rights::new(access);
        Self(Arc::new(Shared { me, exports, told: Told::default(), rights, shelves: Mutex::default() }))
    }

    /// Whether others are told of what is exported.
    pub fn told(&self) -> Told {
        self.0.told.clone()
    }

    /// Keeps it in step with the catalog, until the writer is gone.
    pub async fn run(self, mut snapshots: Snapshots) {
        let mut exports = self.0.exports.follow();
        if snapshots.wait_for(Option::is_some).await.is_err() {
            return;
        }
        exports.complete().await;
        let mut beats = tokio::time::interval(BEAT);
        loop {
            let beat = tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return } else { false },
                () = exports.changed() => false,
                _ = beats.tick() => true,
            };
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                let mut shelves = self.lock();
                shelves.beat += u64::from(beat);
                let keys = shelves.changed(exports.news(), &self.0.exports, &snapshot);
                let news = shelves.refresh(keys, &self.0, &snapshot);
                shelves.publish(&self.0.me, &news);
                self.0.told.complete();
            }
        }
    }

    /// How many services others are told of, how many streams somebody reads of them, and how many namespaces with exports are not
    /// asked about for one of these, at most.
    pub fn counts(&self) -> (usize, usize, usize) {
        let shelves = self.lock();
        let told = shelves.exported.values().filter(|exported| exported.said.is_ok()).count();
        let unasked = shelves.peers.values().map(|peer| peer.sight.unasked).max();
        (told, shelves.shelves.iter().map(|shelf| shelf.published.receiver_count()).sum(), unasked.unwrap_or(0))
    }

    /// How many namespaces with exports are not asked about for the cluster of this id.
    pub fn unasked(&self, cluster: &Name) -> usize {
        self.lock().peers.values().filter(|peer| peer.id == *cluster).map(|peer| peer.sight.unasked).max().unwrap_or(0)
    }

    /// What the cluster of this id is told by its streams to this replica, if it has any here. Of several that differ, what the last
    /// one is told.
    pub fn tells(&self, cluster: &Name) -> Option<LinkExported> {
        let shelves = self.lock();
        let peer = shelves.peers.values().rev().find(|peer| peer.id == *cluster)?;
        let shelf = shelves.shelves.iter().find(|shelf| shelf.scope == peer.sight.scope)?;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(LinkExported {
            services: number(shelf.names.len()),
            endpoints: number(shelf.endpoints.1),
            version: shelf.marks.version().map(|version| version.to_string()).unwrap_or_default(),
        })
    }

    /// A stream of what somebody sees. It ends when that has changed.
    fn stream(&self, showing: Showing, sight: Sight) -> watch::Receiver<Shown> {
        let mut shelf = self.lock().shelf(&sight.scope, &self.0.me);
        let (sender, given) = watch::channel(shelf.borrow_and_update().clone());
        let peer = Peer { id: Name::from(showing.says.as_deref().unwrap_or_default()), sight };
        if peer.sight.unasked > 0 {
            tracing::warn!(peer = ?peer.id, namespaces = peer.sight.unasked, "{}", too_many(peer.sight.unasked));
        }
        let present = Present { hall: self.clone(), number: self.lock().enter(peer) };
        tokio::spawn(async move {
            tokio::select! {
                () = forward(shelf, sender) => {}
                // It dials anew, and is given what it may see now, or told why it may not.
                () = present.review(&showing) => {}
            }
        });
        given
    }

    /// The namespaces in which anything is exported.
    fn namespaces(&self) -> BTreeSet<Name> {
        self.0.exports.with(|all| all.keys().map(|key| Name::clone(&key.namespace)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admits for Hall {
    fn admit(&self, showing: Showing) -> BoxFuture<'_, Result<rollcall_xds::server::Snapshots, Status>> {
        Box::pin(async move {
            let sight = self.0.rights.sight(&showing, &self.namespaces(), None).await?;
            Ok(self.stream(showing, sight))
        })
    }
}

/// Shows what is on a shelf, until nobody looks.
async fn forward(mut shelf: watch::Receiver<Shown>, to: watch::Sender<Shown>) {
    loop {
        tokio::select! {
            () = to.closed() => return,
            changed = shelf.changed() => match changed {
                Ok(()) => _ = to.send_replace(shelf.borrow_and_update().clone()),
                Err(_) => return,
            },
        }
    }
}

/// Said where a peer may see some namespaces, and more have exports than are asked about.
pub fn too_many(unasked: usize) -> String {
    format!(
        "it may see the exports of some namespaces, and only the first {NAMESPACES_MAX} that have any are asked about: {unasked} are not, and \
         nothing of them is told; bind rollcall-peer to it by a ClusterRoleBinding, or export from fewer namespaces"
    )
}

// === impl Present ===

impl Present {
    /// Looks at times at what it may see, until that is something else.
    async fn review(&self, showing: &Showing) {
        let mut reviews = tokio::time::interval_at(tokio::time::Instant::now() + REVIEW, REVIEW);
        let hall = &self.hall;
        loop {
            reviews.tick().await;
            let before = hall.lock().peers.get(&self.number).map(|peer| peer.sight.clone());
            let now = hall.0.rights.sight(showing, &hall.namespaces(), before.as_ref()).await;
            match (now, before) {
                (Ok(now), Some(before)) if now.scope == before.scope => {
                    _ = hall.lock().peers.get_mut(&self.number).map(|peer| peer.sight = now);
                }
                _ => return,
            }
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.hall.lock().peers.remove(&self.number);
    }
}

// === impl Shelves ===

impl Shelves {
    fn enter(&mut self, peer: Peer) -> u64 {
        self.streams += 1;
        self.peers.insert(self.streams, peer);
        self.streams
    }

    /// The services of which something may be told otherwise than before.
    fn changed(&self, news: News<ServiceKey>, exports: &Exports, snapshot: &Snapshot) -> BTreeSet<ServiceKey> {
        let changes = self.revision.map_or(Changes::Resync, |revision| snapshot.changes_since(revision));
        let (News::Keys(mut keys), Changes::Services(changed)) = (news, changes) else {
            let mut all = exports.keys();
            all.extend(self.exported.keys().cloned());
            return all;
        };
        keys.extend(changed.into_iter().filter(|key| self.exported.contains_key(key)));
        keys
    }

    /// Encodes what changed of these. What is told otherwise.
    fn refresh(&mut self, keys: BTreeSet<ServiceKey>, shared: &Shared, snapshot: &Snapshot) -> BTreeSet<ServiceKey> {
        let mut news = BTreeSet::new();
        for key in keys {
            let Some(export) = shared.exports.get(&key) else {
                shared.told.put(&key, None);
                if self.exported.remove(&key).is_some() {
                    news.insert(key);
                }
                continue;
            };
            let service = snapshot.get(&key);
            let version = service.map_or_else(Version::default, |service| service.version);
            let manner = service.and_then(|service| service.facts.as_ref()?.manner.clone());
            let of = (version, manner, export.created, export.with);
            if self.exported.get(&key).is_some_and(|exported| exported.of == of) {
                continue;
            }
            let said = service.map_or(Err(Unexportable::NoService), |service| encode::service(service, of.2, &of.3));
            shared.told.put(&key, Some(said.as_ref().map(|_| ()).map_err(|why| *why)));
            let endpoints = service.map_or(0, |service| encode::own(service).count());
            self.exported.insert(key.clone(), Exported { of, said, endpoints });
            news.insert(key);
        }
        self.revision = Some(snapshot.revision());
        let api = snapshot.get(&ServiceKey::new("default", "kubernetes")).and_then(|service| service.facts.clone());
        self.uid = api.map_or_else(|| Name::clone(&self.uid), |facts| Name::clone(&facts.uid));
        news
    }

    /// Puts it on each shelf that somebody reads; the others are cleared away.
    fn publish(&mut self, me: &str, news: &BTreeSet<ServiceKey>) {
        self.shelves.retain(|shelf| shelf.published.receiver_count() > 0);
        for shelf in &mut self.shelves {
            // One that was made before there was anything to tell.
            match shelf.filled {
                true => news.iter().for_each(|key| shelf.put(key, self.exported.get(key))),
                false => shelf.fill(&self.exported),
            }
            shelf.show(me, &self.uid, self.beat);
        }
    }

    fn shelf(&mut self, scope: &Scope, me: &str) -> watch::Receiver<Shown> {
        if let Some(shelf) = self.shelves.iter().find(|shelf| shelf.scope == *scope) {
            return shelf.published.subscribe();
        }
        let (published, given) = watch::channel(None);
        let mut shelf = Shelf {
            scope: scope.clone(),
            cache: Cache::new(),
            names: BTreeMap::new(),
            endpoints: (BTreeMap::new(), 0),
            marks: Marks::new(usize::MAX),
            filled: false,
            published,
        };
        if self.revision.is_some() {
            shelf.fill(&self.exported);
            shelf.show(me, &self.uid, self.beat);
        }
        self.shelves.push(shelf);
        given
    }
}

// === impl Shelf ===

impl Shelf {
    /// Puts all on it that its readers may see.
    fn fill(&mut self, exported: &BTreeMap<ServiceKey, Exported>) {
        exported.iter().for_each(|(key, exported)| self.put(key, Some(exported)));
        self.filled = true;
    }

    /// Puts on it what it lacks of a service, and takes off it what is told of it no more.
    fn put(&mut self, key: &ServiceKey, exported: Option<&Exported>) {
        if !self.scope.sees(&key.namespace) {
            return;
        }
        let resources = exported.and_then(|exported| exported.said.as_deref().ok()).unwrap_or_default();
        let now: Vec<_> = resources.iter().map(|(ty, resource)| (*ty, Arc::clone(&resource.name))).collect();
        for (ty, resource) in resources {
            self.marks.put(*ty, &resource.name, &resource.version.to_string());
            self.cache.upsert(*ty, resource.clone());
        }
        for (ty, name) in self.names.remove(key).unwrap_or_default() {
            if !now.iter().any(|(its, same)| *its == ty && *same == name) {
                self.marks.remove(ty, &name);
                self.cache.remove(ty, &name);
            }
        }
        let (endpoints, all) = &mut self.endpoints;
        *all -= endpoints.remove(key).unwrap_or(0);
        if let Some(exported) = exported.filter(|_| !now.is_empty()) {
            *all += exported.endpoints;
            endpoints.insert(key.clone(), exported.endpoints);
            self.names.insert(key.clone(), now);
        }
    }

    /// Shows it to who reads it, with the beat.
    fn show(&mut self, me: &str, uid: &str, beat: u64) {
        self.cache.upsert(ResourceType::Exporter, encode::exporter(me, uid, beat));
        let snapshot = self.cache.publish();
        self.published.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, &snapshot));
            *current = Some(snapshot);
            changed
        });
    }
}
