//! Starts the watches: of each kind one for the whole cluster, or one for each namespace.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use kube::{Client, Resource};
use rollcall_admin::{Gate, Readiness};
use rollcall_catalog::model::Name;
use serde::de::DeserializeOwned;

use crate::kubernetes::freshness::{Freshness, Source, SourceId};
use crate::kubernetes::guarded::Guarded;
use crate::kubernetes::informer::{Handler, Informer, Unlisted};
use crate::time::clock::Clock;
use crate::writer::Snapshots;

/// What all watches need, and those that have been started.
pub struct Watches {
    client: Client,
    readiness: Readiness,
    clock: Clock,
    /// None: the whole cluster.
    namespaces: BTreeSet<String>,
    started: Vec<Arc<Freshness>>,
}

/// A kind of object that can be watched.
pub trait Kind: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static> Kind for K {}

// === impl Watches ===

impl Watches {
    /// Watches in `namespaces`, or in the whole cluster if there are none.
    pub fn new(client: Client, readiness: Readiness, clock: Clock, namespaces: BTreeSet<String>) -> Self {
        Self { client, readiness, clock, namespaces, started: Vec::new() }
    }

    /// Watches a kind that is in no namespace. Readiness waits for it.
    pub fn of_cluster<K: Kind, H: Handler<K> + 'static>(&mut self, source: Source, handler: H) {
        let gate = self.gate(source, None);
        let informer = self.informer(source, None, Api::all(self.client.clone()), handler, gate, Unlisted::new(1));
        tokio::spawn(informer.run());
    }

    /// Watches a kind where this was told to. Readiness waits for all of it. Each namespace has a handler of its own: no
    /// object is in two.
    pub fn of_namespaces<K, H>(&mut self, source: Source, handler: impl Fn() -> H)
    where
        K: Kind + Resource<Scope = NamespaceResourceScope>,
        H: Handler<K> + 'static,
    {
        let gate = |watches: &Self, namespace: Option<&str>| watches.gate(source, namespace);
        for informer in self.informers(source, gate, handler) {
            tokio::spawn(informer.run());
        }
    }

    /// The same for what the catalog is not made of: it begins when that is served, so as not to delay it. Of objects with
    /// these labels alone, if it is not empty.
    pub fn of_namespaces_behind<K, H>(
        &mut self,
        snapshots: &Snapshots,
        source: Source,
        labels: &'static str,
        handler: impl Fn() -> H,
    ) where
        K: Kind + Resource<Scope = NamespaceResourceScope>,
        H: Handler<K> + 'static,
    {
        let nobody_waits = |_: &Self, _: Option<&str>| Readiness::default().gate(source.as_str());
        for informer in self.informers(source, nobody_waits, handler) {
            let mut snapshots = snapshots.clone();
            tokio::spawn(async move {
                if snapshots.wait_for(Option::is_some).await.is_ok() {
                    informer.selecting(labels).run().await;
                }
            });
        }
    }

    /// The same of a kind that is in no namespace.
    pub fn of_cluster_behind<K: Kind, H: Handler<K> + 'static>(
        &mut self,
        snapshots: &Snapshots,
        source: Source,
        handler: H,
    ) {
        let nobody_waits = Readiness::default().gate(source.as_str());
        let api = Api::all(self.client.clone());
        let informer = self.informer(source, None, api, handler, nobody_waits, Unlisted::new(1));
        let mut snapshots = snapshots.clone();
        tokio::spawn(async move {
            if snapshots.wait_for(Option::is_some).await.is_ok() {
                informer.run().await;
            }
        });
    }

    /// The life of every watch that was started.
    pub fn into_freshness(self) -> Vec<Arc<Freshness>> {
        self.started
    }

    fn informers<K, H>(
        &mut self,
        source: Source,
        gate: impl Fn(&Self, Option<&str>) -> Gate,
        handler: impl Fn() -> H,
    ) -> Vec<Informer<K, H>>
    where
        K: Kind + Resource<Scope = NamespaceResourceScope>,
        H: Handler<K>,
    {
        let places: Vec<Option<String>> = match self.namespaces.is_empty() {
            true => vec![None],
            false => self.namespaces.iter().cloned().map(Some).collect(),
        };
        let unlisted = Unlisted::new(places.len());
        let informer = |place: Option<String>| {
            let client = self.client.clone();
            let api = match &place {
                Some(namespace) => Api::namespaced(client, namespace),
                None => Api::all(client),
            };
            let gate = gate(self, place.as_deref());
            self.informer(source, place.as_deref(), api, handler(), gate, Arc::clone(&unlisted))
        };
        places.into_iter().map(informer).collect()
    }

    fn informer<K: Kind, H: Handler<K>>(
        &mut self,
        source: Source,
        namespace: Option<&str>,
        api: Api<Guarded<K>>,
        handler: H,
        gate: Gate,
        unlisted: Arc<Unlisted>,
    ) -> Informer<K, H> {
        let freshness = Freshness::new(SourceId { kind: source, instance: namespace.map(Name::from) }, self.clock);
        self.started.push(Arc::clone(&freshness));
        Informer::new(api, handler, freshness, gate, unlisted)
    }

    fn gate(&self, source: Source, namespace: Option<&str>) -> Gate {
        let name = SourceId { kind: source, instance: namespace.map(Name::from) }.to_string();
        let gate = self.readiness.gate(name);
        gate.close("being listed");
        gate
    }
}

#[cfg(test)]
mod tests;
