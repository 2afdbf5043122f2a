//! One list-and-watch loop for every kind of object.
//!
//! It differs from kube's `watcher` in what a catalog needs: it sees bookmarks and regular ends of a watch, so its age is
//! known; removals are computed on every re-list; a start that fails again and again, whatever the status, leads to a new
//! list (docs/decisions/002-informers.md).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
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
use super::guarded::Guarded;
use crate::backoff::Backoff;
use crate::kube_error::words;

/// What a source does with the objects of its kind.
pub trait Handler<K>: Send {
    /// An object as it is now.
    fn apply(&mut self, object: K) -> impl Future<Output = ()> + Send;
    /// An object is gone.
    fn delete(&mut self, key: &ObjectKey) -> impl Future<Output = ()> + Send;
    /// An object is there and cannot be decoded; what was known of it before stays.
    fn unreadable(&mut self, key: &ObjectKey) -> impl Future<Output = ()> + Send {
        let _ = key;
        std::future::ready(())
    }
    /// The first complete list has been handed over.
    fn synced(&mut self) -> impl Future<Output = ()> + Send;
}

/// Watches one kind for ever.
pub struct Informer<K, H> {
    /// Where to list and watch.
    pub api: Api<Guarded<K>>,
    /// What to do with objects.
    pub handler: H,
    /// Where the life of the watch is counted.
    pub freshness: Arc<Freshness>,
    /// Open once the kind has been listed.
    pub gate: Gate,
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

/// Why a watch ended.
enum End {
    /// As it should: go on from this version.
    Resume(String),
    /// The version is too old or the server says so: list again.
    Relist,
    /// It broke or did not start: go on from this version, after a pause.
    Broken(String, String),
}

// === impl Informer ===

impl<K, H> Informer<K, H>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
    H: Handler<K>,
{
    /// Lists, watches and starts over, until the future is dropped.
    pub async fn run(mut self) {
        let mut known = HashSet::new();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.list(&mut known).await {
                Ok(version) => {
                    backoff.reset();
                    self.watch(version, &mut known).await;
                    // A server that ends every watch at once must not be listed without pause.
                    tokio::time::sleep(backoff.pause()).await;
                }
                Err(error) => {
                    self.failed("listing", &words(&error));
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Hands over every object, then the removal of those that are no longer there. Returns the version of the list.
    async fn list(&mut self, known: &mut HashSet<ObjectKey>) -> Result<String, kube::Error> {
        let mut params = ListParams::default().limit(PAGE_OBJECTS);
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
        if self.freshness.lists.fetch_add(1, Relaxed) == 0 {
            self.handler.synced().await;
        }
        self.gate.open();
        info!(source = %self.freshness.source, objects, "listed");
    }

    async fn remove_all(&mut self, known: &mut HashSet<ObjectKey>, gone: impl Fn(&ObjectKey) -> bool) {
        let removed: Vec<_> = known.iter().filter(|key| gone(key)).cloned().collect();
        for key in removed {
            known.remove(&key);
            self.handler.delete(&key).await;
        }
    }

    /// Watches from `version` on, until a new list is needed.
    async fn watch(&mut self, mut version: String, known: &mut HashSet<ObjectKey>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut broken = 0;
        loop {
            match self.watch_once(version, known).await {
                End::Resume(at) => {
                    version = at;
                    broken = 0;
                    backoff.reset();
                }
                End::Relist => return,
                End::Broken(at, error) => {
                    broken += 1;
                    self.failed("watching", &error);
                    if broken >= STARTS_BEFORE_RELIST {
                        return;
                    }
                    version = at;
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn watch_once(&mut self, mut version: String, known: &mut HashSet<ObjectKey>) -> End {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let limit = Duration::from_secs(WATCH_SECONDS.into()) + WATCH_GRACE;
        let mut events = match tokio::time::timeout(limit, self.api.watch(&params, &version)).await {
            Ok(Ok(events)) => events.boxed(),
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return End::Relist,
            Ok(Err(error)) => return End::Broken(version, words(&error)),
            Err(_) => return End::Broken(version, "no answer to a watch request".into()),
        };
        self.freshness.touch();
        self.gate.open();
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
                Ok(Err(error)) => return End::Broken(version, words(&error)),
                Err(_) => return End::Broken(version, "the watch fell silent".into()),
            }
        }
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
                debug!(source = %self.freshness.source, code = status.code, message = %status.message, "the server ended the watch");
                None
            }
        }
    }

    /// A bad object is counted and told; what was known of it before stays.
    async fn apply(&mut self, key: &ObjectKey, object: Guarded<K>) {
        match object {
            Guarded::Good(object) => self.handler.apply(*object).await,
            Guarded::Bad(_, error) => {
                self.freshness.undecodable.fetch_add(1, Relaxed);
                warn!(source = %self.freshness.source, namespace = %key.namespace, name = %key.name, %error, "object cannot be decoded; its last good version stays in use");
                self.handler.unreadable(key).await;
            }
        }
    }

    fn failed(&self, doing: &str, error: &str) {
        self.freshness.failures.fetch_add(1, Relaxed);
        let source = self.freshness.source;
        if self.freshness.lists.load(Relaxed) == 0 {
            self.gate.close(format!("{doing} {source} fails: {error}"));
        }
        warn!(%source, %error, age_seconds = self.freshness.age_seconds(), "{doing} failed; the last data stays in use");
    }
}
