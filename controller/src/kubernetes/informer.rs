//! One list-and-watch loop for every kind of object.
//!
//! It differs from kube's `watcher` in what a catalog needs: it sees bookmarks and regular ends of a watch, so its age is
//! known; removals are computed on every re-list; a start that fails again and again, whatever the status, leads to a new
//! list (docs/decisions/002-informers.md).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ListParams, WatchParams};
use kube::core::WatchEvent;
use kube::{Resource, ResourceExt};
use rollcall_admin::readiness::Gate;
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

use super::ObjectKey;
use super::freshness::Freshness;
use super::guarded::{Bad, Guarded};
use super::trouble::{Trouble, is_not_served};
use crate::time::backoff::Backoff;

/// What a source does with the objects of its kind.
pub trait Handler<K>: Send {
    /// An object as it is now.
    fn apply(&mut self, object: K) -> impl Future<Output = ()> + Send;
    /// An object is gone.
    fn delete(&mut self, key: &ObjectKey) -> impl Future<Output = ()> + Send;
    /// An object is there and cannot be decoded; what was known of it before stays.
    fn unreadable(&mut self, bad: Box<Bad>) -> impl Future<Output = ()> + Send {
        let _ = bad;
        std::future::ready(())
    }
    /// The first complete list has been handed over, of the last namespace if there are several.
    fn synced(&mut self) -> impl Future<Output = ()> + Send;
}

/// Watches one kind for ever, in the whole cluster or in one namespace.
pub struct Informer<K, H> {
    /// Where to list and watch.
    pub api: Api<Guarded<K>>,
    /// What to do with objects.
    pub handler: H,
    /// Where the life of the watch is counted.
    pub freshness: Arc<Freshness>,
    /// Opens for good once the kind has been listed and its watch stands.
    pub gate: Gate,
    /// Which of the kind's watches have not been listed yet: shared by those of all namespaces.
    pub unlisted: Arc<Unlisted>,
    /// Only objects with these labels; all if it is empty.
    labels: &'static str,
    stage: Stage,
}

/// How many watches of a kind have not been listed yet.
#[derive(Debug)]
pub struct Unlisted(AtomicUsize);

/// How far a watch has come. It never goes back: what it has told stays in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    New,
    /// The first list has been handed over, or there is none to be had of an optional kind.
    Listed,
    /// A watch has been answered too.
    Watched,
}

/// Objects per page of a list, as in client-go.
const PAGE_OBJECTS: u32 = 500;
/// A page that has not come by now will not come.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one watch request runs. Short, because its end is how a half-open connection is noticed.
const WATCH_SECONDS: u32 = 30;
/// The server ends a watch by itself; this is the grace for that to arrive.
const WATCH_GRACE: Duration = Duration::from_secs(5);
/// Watches that fail to start in a row before the list is read anew.
const STARTS_BEFORE_RELIST: u32 = 5;
/// Between two looks for an optional kind that the API server does not serve: it may be upgraded.
const NOT_SERVED_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause before the list is read anew: a list is the dearest thing to ask an API server for.
const RELIST_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why a watch ended.
enum End {
    /// As it should: go on from this version.
    Resume(String),
    /// The version is too old or the server says so: list again.
    Relist,
    /// It broke or did not start: go on from this version, after a pause.
    Broken(String, Trouble),
}

// === impl Unlisted ===

impl Unlisted {
    /// This many watches, none of which has been listed.
    pub fn new(watches: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(watches)))
    }

    /// One of them has been listed; whether it was the last.
    fn was_last(&self) -> bool {
        // What the others have sent was sent before they counted down.
        self.0.fetch_sub(1, AcqRel) == 1
    }
}

// === impl Informer ===

impl<K, H> Informer<K, H>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
    H: Handler<K>,
{
    /// A watch that has not begun.
    pub fn new(
        api: Api<Guarded<K>>,
        handler: H,
        freshness: Arc<Freshness>,
        gate: Gate,
        unlisted: Arc<Unlisted>,
    ) -> Self {
        Self { api, handler, freshness, gate, unlisted, labels: "", stage: Stage::New }
    }

    /// Of objects with these labels alone, as `kubectl get --selector` takes them.
    pub fn selecting(self, labels: &'static str) -> Self {
        Self { labels, ..self }
    }

    /// Lists, watches and starts over, until the future is dropped.
    pub async fn run(mut self) {
        let mut known = HashSet::new();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut relist = Backoff::new(Duration::from_millis(200), RELIST_PAUSE_MAX);
        loop {
            match self.list(&mut known).await {
                Ok(version) => {
                    backoff.reset();
                    if self.watch(version, &mut known).await {
                        relist.reset();
                    }
                    // A server that ends every watch at once, or allows none, must not be listed again and again.
                    tokio::time::sleep(relist.pause()).await;
                }
                Err(error) if self.freshness.id.kind.is_optional() && is_not_served(&error) => {
                    self.not_served(&Trouble::of("listing", &self.freshness, &error)).await;
                    tokio::time::sleep(NOT_SERVED_PAUSE).await;
                }
                Err(error) => {
                    self.failed("listing", Trouble::of("listing", &self.freshness, &error));
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Hands over every object, then the removal of those that are no longer there. Returns the version of the list.
    async fn list(&mut self, known: &mut HashSet<ObjectKey>) -> Result<String, kube::Error> {
        let mut params = ListParams::default().limit(PAGE_OBJECTS).labels(self.labels);
        let mut listed = HashSet::with_capacity(known.len());
        loop {
            let page = tokio::time::timeout(PAGE_TIMEOUT, self.api.list(&params)).await;
            let page = page.unwrap_or_else(|_| Err(kube::Error::Service("no answer within 60 s".into())))?;
            self.freshness.touch();
            for object in page.items {
                let key = ObjectKey::of(object.meta());
                self.apply(&key, object).await;
                known.insert(key.clone());
                listed.insert(key);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => {
                    self.remove_all(known, |key| !listed.contains(key)).await;
                    self.listed(known.len()).await;
                    return Ok(page.metadata.resource_version.unwrap_or_default());
                }
            }
        }
    }

    async fn listed(&mut self, objects: usize) {
        self.freshness.objects.store(objects as u64, Relaxed);
        self.freshness.lists.fetch_add(1, Relaxed);
        info!(source = %self.freshness.id.kind, namespace = self.freshness.id.instance.as_deref(), objects, "listed");
        self.reached_list().await;
    }

    /// The API server has none of an optional kind: that is an answer too, and what was known before stays.
    async fn not_served(&mut self, trouble: &Trouble) {
        self.freshness.touch();
        if self.stage == Stage::New {
            warn!(source = %self.freshness.id.kind, "{}", trouble.words);
        }
        self.reached_list().await;
        self.reached_watch();
    }

    async fn reached_list(&mut self) {
        if self.stage == Stage::New {
            self.stage = Stage::Listed;
            self.gate.close("listed; its watch is being started");
            if self.unlisted.was_last() {
                self.handler.synced().await;
            }
        }
    }

    fn reached_watch(&mut self) {
        self.stage = Stage::Watched;
        self.gate.open();
    }

    async fn remove_all(&mut self, known: &mut HashSet<ObjectKey>, gone: impl Fn(&ObjectKey) -> bool) {
        let removed: Vec<_> = known.iter().filter(|key| gone(key)).cloned().collect();
        for key in removed {
            known.remove(&key);
            self.handler.delete(&key).await;
        }
    }

    /// Watches from `version` on, until a new list is needed. Whether a watch told anything or came to its regular end.
    async fn watch(&mut self, mut version: String, known: &mut HashSet<ObjectKey>) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut broken = 0;
        let mut went_well = false;
        loop {
            let listed = version.clone();
            match self.watch_once(version, known).await {
                End::Resume(at) => {
                    version = at;
                    broken = 0;
                    went_well = true;
                    backoff.reset();
                }
                End::Relist => return went_well,
                End::Broken(at, trouble) => {
                    went_well |= at != listed;
                    broken += 1;
                    self.failed("watching", trouble);
                    if broken >= STARTS_BEFORE_RELIST {
                        return went_well;
                    }
                    version = at;
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn watch_once(&mut self, mut version: String, known: &mut HashSet<ObjectKey>) -> End {
        let params = WatchParams::default().timeout(WATCH_SECONDS).labels(self.labels);
        let limit = Duration::from_secs(WATCH_SECONDS.into()) + WATCH_GRACE;
        let mut events = match tokio::time::timeout(limit, self.api.watch(&params, &version)).await {
            Ok(Ok(events)) => events.boxed(),
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return End::Relist,
            Ok(Err(error)) => return self.broken(version, &error),
            Err(_) => return self.silent(version, "no answer to a watch request"),
        };
        self.freshness.touch();
        self.reached_watch();
        loop {
            match tokio::time::timeout(limit, events.try_next()).await {
                Ok(Ok(Some(event))) => match self.event(event, known).await {
                    Some(at) => version = at,
                    None => return End::Relist,
                },
                Ok(Ok(None)) => {
                    self.freshness.touch();
                    return End::Resume(version);
                }
                Ok(Err(error)) => return self.broken(version, &error),
                Err(_) => return self.silent(version, "the watch fell silent"),
            }
        }
    }

    fn broken(&self, version: String, error: &kube::Error) -> End {
        End::Broken(version, Trouble::of("watching", &self.freshness, error))
    }

    fn silent(&self, version: String, what: &str) -> End {
        End::Broken(version, Trouble::passing("watching", self.freshness.id.kind, what))
    }

    /// Takes in one event; the version it brought, or `None` when the list has to be read anew.
    async fn event(&mut self, event: WatchEvent<Guarded<K>>, known: &mut HashSet<ObjectKey>) -> Option<String> {
        self.freshness.touch();
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.freshness.events.fetch_add(1, Relaxed);
                let (key, version) = (ObjectKey::of(object.meta()), object.resource_version());
                self.apply(&key, object).await;
                known.insert(key);
                self.freshness.objects.store(known.len() as u64, Relaxed);
                version
            }
            WatchEvent::Deleted(object) => {
                self.freshness.events.fetch_add(1, Relaxed);
                let key = ObjectKey::of(object.meta());
                if known.remove(&key) {
                    self.handler.delete(&key).await;
                }
                self.freshness.objects.store(known.len() as u64, Relaxed);
                object.resource_version()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => {
                debug!(source = %self.freshness.id.kind, code = status.code, message = %status.message, "the server ended the watch");
                None
            }
        }
    }

    /// A bad object is counted and told; what was known of it before stays.
    async fn apply(&mut self, key: &ObjectKey, object: Guarded<K>) {
        match object {
            Guarded::Good(object) => self.handler.apply(*object).await,
            Guarded::Bad(bad) => {
                let error = &bad.words;
                self.freshness.undecodable.fetch_add(1, Relaxed);
                warn!(source = %self.freshness.id.kind, namespace = %key.namespace, name = %key.name, %error, "object cannot be decoded; its last good version stays in use");
                self.handler.unreadable(bad).await;
            }
        }
    }

    fn failed(&self, doing: &str, trouble: Trouble) {
        self.freshness.failures.fetch_add(1, Relaxed);
        let (source, namespace) = (self.freshness.id.kind, self.freshness.id.instance.as_deref());
        let age_seconds = self.freshness.age_seconds();
        warn!(%source, namespace, error = %trouble.words, age_seconds, "{doing} failed; the last data stays in use");
        if self.stage == Stage::Watched {
            return;
        }
        match trouble.fault {
            Some(fault) => self.gate.close_for(fault, trouble.words),
            None => self.gate.close(trouble.words),
        }
    }
}
