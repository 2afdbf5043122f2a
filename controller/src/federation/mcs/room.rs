//! Keeps services across clusters in step with what clusters export: the endpoints of derived Services in the catalog, and what
//! should stand in the API.
//!
//! What is known of a cluster before it was heard is what stands: an import of which one cluster was not heard yet is left as
//! it is, and so are the endpoints of that cluster. So neither a restart nor a cluster that is away takes anything from callers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::Input;
use rollcall_catalog::clusterset;
use rollcall_catalog::digest::Version;
use rollcall_catalog::few::Few;
use rollcall_catalog::input::{Contribution, Manner, ServiceFacts};
use rollcall_catalog::model::{Description, Endpoint, Name, ServiceKey};
use rollcall_catalog::snapshot::{Changes, Revision, Snapshot};

use super::offers::{Cluster, Offer, Offers};
use super::own;
use super::plans::{Plan, Plans};
use super::said::Said;
use super::seen::{Import, Seen, ours};
use super::union::{Export, Union, union};
use crate::federation::exports::{self, Exports, Tags};
use crate::federation::link::origin;
use crate::federation::restored::Restored;
use crate::federation::table::{News, Reader};
use crate::writer::{Inbox, Message, Snapshots};

/// What it stands between.
#[derive(Debug)]
pub struct Room {
    /// This cluster's id.
    pub me: Name,
    /// What it exports.
    pub exports: Exports,
    /// What others export.
    pub offers: Offers,
    /// What an earlier process wrote.
    pub restored: Restored,
    /// The imports that stand.
    pub seen: Seen,
    /// Those that should.
    pub plans: Plans,
    /// The catalog's writer.
    pub inbox: Inbox,
}

/// What was last made of a service.
#[derive(Debug, Default)]
struct Known {
    /// What the own offer was made of, whatever came of it.
    of: Option<Of>,
    own: Option<Arc<Offer>>,
    derived: Option<Arc<ServiceFacts>>,
    has_endpoints: bool,
    /// What the catalog has been told, by cluster.
    said: Few<Name, Contribution>,
}

/// All that was made.
#[derive(Debug, Default)]
struct Made {
    known: BTreeMap<ServiceKey, Known>,
    /// The service that a derived Service stands for.
    derived: HashMap<ServiceKey, ServiceKey>,
    /// Services of which a cluster was not heard yet.
    frozen: BTreeSet<ServiceKey>,
    /// What an earlier process wrote of this cluster's own endpoints, by derived Service.
    own_before: BTreeMap<ServiceKey, Contribution>,
}

/// What an own offer is made of.
type Of = (Version, Option<Arc<Manner>>, i64, Arc<Tags>);

/// Who tells what to look at.
struct Sources {
    snapshots: Snapshots,
    revision: Option<Revision>,
    exports: Reader<ServiceKey, exports::Export>,
    offers: Reader<ServiceKey, Few<Name, Arc<Offer>>>,
    clusters: Reader<Name, Cluster>,
    seen: Reader<ServiceKey, Import>,
}

/// Changes that come at once are looked at together.
const PAUSE: Duration = Duration::from_millis(5);

// === impl Sources ===

impl Sources {
    /// Waits until it is known what there is.
    async fn begun(&mut self) -> Option<()> {
        self.snapshots.wait_for(Option::is_some).await.ok()?;
        self.exports.complete().await;
        self.seen.complete().await;
        Some(())
    }

    /// Waits for something new; `None` when the writer is gone.
    async fn changed(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.snapshots.changed() => changed.ok()?,
            () = self.exports.changed() => {}
            () = self.offers.changed() => {}
            () = self.clusters.changed() => {}
            () = self.seen.changed() => {}
        }
        tokio::time::sleep(PAUSE).await;
        Some(())
    }

    /// The services of which something is new; `None`: any may be.
    fn news(&mut self, snapshot: &Snapshot, made: &Made) -> Option<BTreeSet<ServiceKey>> {
        let told = [self.exports.news(), self.offers.news(), self.seen.news()];
        let clusters = self.clusters.news();
        let revision = self.revision.replace(snapshot.revision());
        let changes = revision.map_or(Changes::Resync, |revision| snapshot.changes_since(revision));
        let mut keys = BTreeSet::new();
        for news in told {
            let News::Keys(news) = news else { return None };
            keys.extend(news);
        }
        if clusters != News::Keys(BTreeSet::new()) {
            keys.extend(made.frozen.iter().cloned());
        }
        let Changes::Services(changed) = changes else { return None };
        for key in changed {
            if made.known.contains_key(&key) {
                keys.insert(key);
            } else if let Some(of) = made.derived.get(&key) {
                keys.insert(of.clone());
            }
        }
        Some(keys)
    }
}

// === impl Room ===

impl Room {
    /// Runs until the writer is gone.
    pub async fn run(self, snapshots: Snapshots) {
        let mut sources = Sources {
            snapshots,
            revision: None,
            exports: self.exports.follow(),
            offers: self.offers.said.follow(),
            clusters: self.offers.clusters.follow(),
            seen: self.seen.follow(),
        };
        if sources.begun().await.is_none() {
            return;
        }
        let mut made = Made { own_before: self.restored.take(&self.me), ..Made::default() };
        loop {
            let snapshot = sources.snapshots.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                let keys = sources.news(&snapshot, &made).unwrap_or_else(|| self.all(&made));
                for key in keys {
                    self.look(key, &snapshot, &mut made).await;
                }
                self.plans.wanted.complete();
            }
            if sources.changed().await.is_none() {
                return;
            }
        }
    }

    /// Every service that anybody exports, exported, or has an import of.
    fn all(&self, made: &Made) -> BTreeSet<ServiceKey> {
        let mut keys = self.offers.said.keys();
        keys.extend(self.exports.keys());
        keys.extend(made.known.keys().cloned());
        keys.extend(self.seen.with(|all| ours(all).cloned().collect::<Vec<_>>()));
        keys
    }

    /// Looks at one service, and makes it anew.
    async fn look(&self, key: ServiceKey, snapshot: &Snapshot, made: &mut Made) {
        let derived = clusterset::derived(&key);
        let it = made.known.entry(key.clone()).or_insert_with(|| {
            let mut said = self.offers.restored(&derived);
            if let Some(own) = made.own_before.remove(&derived) {
                said.insert(Name::clone(&self.me), own);
            }
            Known { said, ..Known::default() }
        });
        made.derived.entry(derived.clone()).or_insert_with(|| key.clone());
        let export = self.exports.get(&key);
        let own = snapshot.get(&key);
        let of = export.as_ref().zip(own).map(|(export, service)| {
            let manner = service.facts.as_ref().and_then(|facts| facts.manner.clone());
            (service.version, manner, export.created, Arc::clone(&export.with))
        });
        if of != it.of {
            let offer = export.zip(own).and_then(|(export, own)| own::offer(&self.me, own, &export));
            (it.of, it.own) = (of, offer.map(Arc::new));
        }
        let service = snapshot.get(&derived).filter(|service| service.clusterset() == Some(&key.name));
        it.derived = service.and_then(|service| service.facts.clone());
        it.has_endpoints = service.is_some_and(|service| !service.endpoints.is_empty());
        let (there, frozen) = self.make(&key, &derived, it).await;
        match frozen {
            true => _ = made.frozen.insert(key.clone()),
            false => _ = made.frozen.remove(&key),
        }
        // An export of what does not exist is looked at again once it does.
        if !there && !self.exports.with(|all| all.contains_key(&key)) {
            made.known.remove(&key);
            made.derived.remove(&derived);
        }
    }

    /// Makes one anew. Whether there is anything of it, and whether a cluster of it was not heard yet.
    async fn make(&self, key: &ServiceKey, derived: &ServiceKey, it: &mut Known) -> (bool, bool) {
        let mut offers = self.offers.of(key);
        offers.extend(it.own.clone());
        let stands = self.seen.get(key).filter(|import| import.ours);
        let unheard: BTreeSet<Name> = stands
            .iter()
            .flat_map(Import::clusters)
            .filter(|cluster| *cluster != self.me && !self.offers.is_known(cluster))
            .collect();
        let frozen = !unheard.is_empty();
        let exports: Vec<Export> = offers.iter().map(|offer| offer.export.clone()).collect();
        let made = match stands.as_ref().filter(|_| frozen) {
            Some(stands) => Some(standing(stands)),
            None => union(&exports),
        };
        let mut now = Few::default();
        if let (Some(made), true) = (&made, it.derived.is_some()) {
            for offer in &offers {
                now.insert(Name::clone(&offer.export.cluster), contribution(derived, made, offer));
            }
            let restored = self.offers.restored(derived).into_iter();
            for (cluster, said) in restored.filter(|(cluster, _)| unheard.contains(cluster)) {
                now.insert_if_absent(cluster, || said);
            }
        }
        self.tell(derived, it, now).await;
        let plan = made.map(|made| Plan {
            union: (!frozen).then(|| Arc::new(made)),
            derived: it.derived.clone(),
            has_endpoints: it.has_endpoints,
        });
        let there = plan.is_some();
        if !there {
            self.plans.refused.put(key, None);
        }
        self.plans.wanted.put(key, plan);
        (there, frozen)
    }

    /// Tells the catalog the difference.
    async fn tell(&self, derived: &ServiceKey, it: &mut Known, now: Few<Name, Contribution>) {
        for (cluster, said) in now.iter() {
            if it.said.get(cluster) != Some(said) {
                self.inbox.send(Message::Say(Input::Contribution(said.clone()))).await;
            }
        }
        for cluster in it.said.keys().filter(|cluster| !now.contains_key(*cluster)) {
            self.inbox.send(Message::Say(Input::Gone(origin(cluster, derived)))).await;
        }
        it.said = now;
    }
}

/// What one cluster contributes to the derived Service.
fn contribution(derived: &ServiceKey, made: &Union, offer: &Offer) -> Contribution {
    // What many have alike they have alike afterwards.
    let mut known: HashMap<*const Description, Option<Arc<Description>>> = HashMap::new();
    let fitting = |endpoint: &Arc<Endpoint>| {
        let described = known.entry(Arc::as_ptr(&endpoint.described)).or_insert_with(|| {
            let ports = made.fit(&offer.export.ports, endpoint)?;
            match Arc::ptr_eq(&ports, &endpoint.ports) {
                true => Some(Arc::clone(&endpoint.described)),
                false => Some(endpoint.with(|described| described.ports = ports).described),
            }
        });
        let described = described.as_ref()?;
        match Arc::ptr_eq(described, &endpoint.described) {
            true => Some(Arc::clone(endpoint)),
            false => Some(Arc::new(Endpoint { described: Arc::clone(described), addresses: endpoint.addresses })),
        }
    };
    let all: Vec<_> = offer.endpoints.iter().filter_map(fitting).collect();
    let alike = all.len() == offer.endpoints.len() && all.iter().zip(&*offer.endpoints).all(|(a, b)| Arc::ptr_eq(a, b));
    Contribution {
        created: offer.export.created,
        ports: Arc::clone(&offer.export.ports),
        endpoints: if alike { Arc::clone(&offer.endpoints) } else { all.into() },
        ..Contribution::new(origin(&offer.export.cluster, derived), derived.clone())
    }
}

/// What an import that stands says of its ports, while not all clusters of it have been heard.
fn standing(import: &Import) -> Union {
    Union {
        said: Said::default(),
        ports: import.ports(),
        clusters: import.clusters().collect(),
        conflicts: BTreeMap::new(),
    }
}
