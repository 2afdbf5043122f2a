//! What each peer is given: the exported services of the namespaces that it may see, and a beat every three seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use rollcall_catalog::Snapshot;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_xds::cache::{self, Cache};
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::Admits;
use tokio::sync::watch;
use tonic::Status;

use super::encode::{self, Unexportable};
use super::exports::Exports;
use super::rights::{Rights, Scope};
use crate::access::Access;
use crate::writer::Snapshots;

/// The exported services, as others read them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hall(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    me: Name,
    exports: Exports,
    rights: Rights,
    shelves: Mutex<Shelves>,
}

/// What is exported, and each selection of it that somebody reads.
#[derive(Debug, Default)]
struct Shelves {
    exported: BTreeMap<ServiceKey, Exported>,
    shelves: Vec<Shelf>,
    beat: u64,
    /// The catalog is complete and ServiceExports have been listed: nothing is told before.
    open: bool,
}

/// One service.
#[derive(Debug)]
struct Exported {
    /// The version of the service that the resources are of, and since when it is exported.
    of: (Version, i64),
    said: Result<Vec<(ResourceType, Resource)>, Unexportable>,
}

/// The services of some namespaces.
#[derive(Debug)]
struct Shelf {
    scope: Scope,
    cache: Cache,
    names: BTreeMap<ServiceKey, Vec<(ResourceType, Arc<str>)>>,
    published: watch::Sender<Option<Arc<cache::Snapshot>>>,
}

/// Between two beats. Who has heard nothing for three of them takes this cluster for silent.
const BEAT: Duration = Duration::from_secs(3);
/// How often it is asked again whether a peer may still see what it sees.
const REVIEW: Duration = Duration::from_secs(60);

// === impl Hall ===

impl Hall {
    /// The hall of the cluster `me`, still closed.
    pub fn new(me: Name, exports: Exports, access: Access) -> Self {
        Self(Arc::new(Shared { me, exports, rights: Rights::new(access), shelves: Mutex::default() }))
    }

    /// Keeps it in step with the catalog, until the writer is gone.
    pub async fn run(self, mut snapshots: Snapshots) {
        let mut changes = self.0.exports.changes();
        let synced = async {
            snapshots.wait_for(Option::is_some).await.ok()?;
            changes.wait_for(|(synced, _)| *synced).await.ok()
        };
        if synced.await.is_none() {
            return;
        }
        let mut beats = tokio::time::interval(BEAT);
        loop {
            let beat = tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return } else { false },
                changed = changes.changed() => if changed.is_err() { return } else { false },
                _ = beats.tick() => true,
            };
            let snapshot = snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                let mut shelves = self.lock();
                shelves.beat += u64::from(beat);
                let news = shelves.refresh(&self.0.exports, &snapshot);
                shelves.publish(&self.0.me, news);
            }
        }
    }

    /// How many services others are told of, and how many selections of them somebody reads.
    pub fn counts(&self) -> (usize, usize) {
        let shelves = self.lock();
        let told = shelves.exported.values().filter(|exported| exported.said.is_ok()).count();
        (told, shelves.shelves.iter().map(|shelf| shelf.published.receiver_count()).sum())
    }

    /// Whether others are told of a service; `None` while that is not known yet.
    pub fn tells(&self, key: &ServiceKey) -> Option<Result<(), Unexportable>> {
        let shelves = self.lock();
        let exported = shelves.exported.get(key).filter(|_| shelves.open)?;
        Some(exported.said.as_ref().map(|_| ()).map_err(|why| *why))
    }

    /// A stream of what `scope` holds. It ends when the rights of who reads it have changed.
    fn stream(&self, token: String, peer: IpAddr, scope: Scope) -> watch::Receiver<Option<Arc<cache::Snapshot>>> {
        let mut shelf = self.lock().shelf(&scope, &self.0.me);
        let (sender, given) = watch::channel(shelf.borrow_and_update().clone());
        let hall = self.clone();
        tokio::spawn(async move {
            let mut reviews = tokio::time::interval_at(tokio::time::Instant::now() + REVIEW, REVIEW);
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    changed = shelf.changed() => match changed {
                        Ok(()) => _ = sender.send_replace(shelf.borrow_and_update().clone()),
                        Err(_) => return,
                    },
                    _ = reviews.tick() => match hall.0.rights.scope(&token, peer, hall.namespaces()).await {
                        Ok(now) if now == scope => {}
                        // It dials anew, and is given what it may see now, or told why it may not.
                        Ok(_) | Err(_) => return,
                    },
                }
            }
        });
        given
    }

    /// The namespaces in which anything is exported.
    fn namespaces(&self) -> BTreeSet<Name> {
        self.0.exports.all().into_keys().map(|key| key.namespace).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admits for Hall {
    fn admit<'a>(
        &'a self,
        token: &'a str,
        peer: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<rollcall_xds::server::Snapshots, Status>> {
        Box::pin(async move {
            let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let scope = self.0.rights.scope(token, peer, self.namespaces()).await?;
            Ok(self.stream(token.to_owned(), peer, scope))
        })
    }
}

// === impl Shelves ===

impl Shelves {
    /// Encodes what changed of what is exported. Whether anything did.
    fn refresh(&mut self, exports: &Exports, snapshot: &Snapshot) -> bool {
        let (wanted, before) = (exports.all(), self.exported.len());
        self.exported.retain(|key, _| wanted.contains_key(key));
        let mut news = self.exported.len() != before || !self.open;
        for (key, export) in wanted {
            let service = snapshot.get(&key);
            let of = (service.map_or_else(Version::default, |service| service.version), export.created);
            if self.exported.get(&key).is_some_and(|exported| exported.of == of) {
                continue;
            }
            let said = service.map_or(Err(Unexportable::NoService), |service| encode::service(service, of.1));
            self.exported.insert(key, Exported { of, said });
            news = true;
        }
        self.open = true;
        news
    }

    /// Puts it on each shelf that somebody reads; the others are cleared away.
    fn publish(&mut self, me: &str, news: bool) {
        self.shelves.retain(|shelf| shelf.published.receiver_count() > 0);
        for shelf in &mut self.shelves {
            if news {
                shelf.fill(&self.exported);
            }
            shelf.show(me, self.beat);
        }
    }

    fn shelf(&mut self, scope: &Scope, me: &str) -> watch::Receiver<Option<Arc<cache::Snapshot>>> {
        if let Some(shelf) = self.shelves.iter().find(|shelf| shelf.scope == *scope) {
            return shelf.published.subscribe();
        }
        let (published, given) = watch::channel(None);
        let mut shelf = Shelf { scope: scope.clone(), cache: Cache::new(), names: BTreeMap::new(), published };
        if self.open {
            shelf.fill(&self.exported);
            shelf.show(me, self.beat);
        }
        self.shelves.push(shelf);
        given
    }
}

// === impl Shelf ===

impl Shelf {
    /// Puts on it what it lacks, and takes off it what is exported no more.
    fn fill(&mut self, exported: &BTreeMap<ServiceKey, Exported>) {
        let seen = exported.iter().filter(|(key, _)| self.scope.sees(&key.namespace));
        let said = seen.filter_map(|(key, exported)| Some((key, exported.said.as_ref().ok()?)));
        let mut names = BTreeMap::new();
        for (key, resources) in said {
            let of_service: Vec<_> = resources.iter().map(|(ty, resource)| (*ty, Arc::clone(&resource.name))).collect();
            for (ty, resource) in resources {
                self.cache.upsert(*ty, resource.clone());
            }
            names.insert(key.clone(), of_service);
        }
        for (key, before) in std::mem::replace(&mut self.names, names) {
            let now = self.names.get(&key);
            for (ty, name) in before {
                if !now.is_some_and(|now| now.iter().any(|(its, same)| *its == ty && *same == name)) {
                    self.cache.remove(ty, &name);
                }
            }
        }
    }

    /// Shows it to who reads it, with the beat.
    fn show(&mut self, me: &str, beat: u64) {
        self.cache.upsert(ResourceType::Exporter, encode::exporter(me, beat));
        let snapshot = self.cache.publish();
        self.published.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, &snapshot));
            *current = Some(snapshot);
            changed
        });
    }
}
