//! Sources: the watches on the Kubernetes API. Here objects shrink to the catalog's own types and are dropped.
//!
//! - [`flags`]: what is watched, and where
//! - [`watches`]: starts the watches of each kind: one for the cluster, or one for each namespace
//! - [`services`], [`endpoint_slices`], [`pods`], [`nodes`], [`service_cidrs`], [`registrations`], [`policies`],
//!   [`catalog_entries`], [`leases`]: what each becomes
//! - [`contacts`]: when each was last answered

pub mod catalog_entries;
mod contacts;
pub mod endpoint_slices;
pub mod flags;
pub mod leases;
pub mod nodes;
pub mod pods;
pub mod policies;
pub mod registrations;
pub mod service_cidrs;
pub mod services;
pub mod watches;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_admin::Readiness;
use rollcall_catalog::policy::Staleness;

use crate::agents::Watched;
use crate::beats::Hearing;
use crate::checks::runner::Order;
use crate::federation::Federation;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::metrics::Metrics;
use crate::registration::pod_checks::PodCheckBook;
use crate::replicas::Replicas;
use crate::resolve;
use crate::time::clock::Clock;
use crate::writeback::observed::Observations;
use crate::writer::{Inbox, Snapshots};
use catalog_entries::CatalogEntries;
use contacts::Contacts;
use endpoint_slices::EndpointSlices;
use flags::SourceArgs;
use leases::Leases;
use nodes::Nodes;
use pods::Pods;
use policies::Policies;
use registrations::Registrations;
use service_cidrs::ServiceCidrs;
use services::Services;
use tokio::sync::mpsc;
use watches::Watches;

/// Who is told what the watches see.
pub struct Receivers {
    /// The catalog's writer.
    pub inbox: Inbox,
    /// The checks.
    pub orders: mpsc::Sender<Order>,
    /// Who hears beats.
    pub hearing: Hearing,
    /// The other replicas, of which one asks for each DNS name.
    pub replicas: Replicas,
    /// Who writes for agents.
    pub agents: Watched,
    /// The write-back: what stands there.
    pub observations: Observations,
    /// Other clusters, if there may be any.
    pub federation: Option<Federation>,
    /// Published first: what only the write-back needs is watched after it.
    pub snapshots: Snapshots,
    /// Beside them: the bound of services that no DiscoveryPolicy is for; and who checks pods, for what policies say of that.
    pub policies: (Option<Staleness>, PodCheckBook),
}

/// Starts the watches that the flags ask for.
pub fn start(
    args: &SourceArgs,
    client: Client,
    readiness: &Readiness,
    clock: Clock,
    to: Receivers,
    registry: &mut Registry,
) {
    let Receivers { inbox, orders, hearing, replicas, agents, observations, federation, snapshots, policies } = to;
    let (staleness, pod_checks) = policies;
    let wanted = args.catalog();
    let mut watches = Watches::new(client.clone(), readiness.clone(), clock, args.namespaces());
    watches.of_namespaces(Source::Services, || Services::new(inbox.clone()));
    let restored = federation.as_ref().map(|federation| federation.restored.clone());
    let slices = || EndpointSlices::new(inbox.clone(), observations.clone()).restoring(restored.clone());
    watches.of_namespaces(Source::EndpointSlices, slices);
    watches.of_namespaces(Source::Pods, || Pods::new(inbox.clone()));
    let registrations = Registrations::new(orders, hearing.clone(), observations.clone()).telling(agents);
    let registrations = resolve::before(registrations, args.resolv_conf.clone(), clock, &replicas);
    watches.of_namespaces(Source::ServiceRegistrations, || registrations.clone());
    watches.of_namespaces(Source::Policies, || Policies::new(inbox.clone(), observations.clone(), pod_checks.clone()));
    if wanted.contains(&Source::Nodes) {
        watches.of_cluster(Source::Nodes, Nodes::new(inbox.clone()));
    }
    if wanted.contains(&Source::ServiceCidrs) {
        watches.of_cluster(Source::ServiceCidrs, ServiceCidrs::new(inbox.clone()));
    }
    watches.of_namespaces_behind(&snapshots, Source::CatalogEntries, "", || CatalogEntries(observations.clone()));
    if args.lease_beats {
        let listed = Arc::default();
        let leases = || Leases::new(hearing.clone(), Arc::clone(&listed));
        watches.of_namespaces_behind(&snapshots, Source::Leases, leases::SELECTOR, leases);
    }
    if let Some(federation) = federation {
        watches.of_namespaces_behind(&snapshots, Source::ServiceExports, "", || federation.exports.clone());
        watches.of_cluster_behind(&snapshots, Source::Namespaces, federation.namespaces.clone());
        watches.of_cluster_behind(&snapshots, Source::Clusters, federation.links());
        if let Some(imports) = &federation.imports {
            watches.of_namespaces_behind(&snapshots, Source::ServiceImports, "", || imports.clone());
        }
    }
    let started = watches.into_freshness();
    let told = Contacts { sources: started.clone(), client, clock, inbox, snapshots, default: staleness };
    tokio::spawn(told.tell());
    Metrics(started).register(registry);
}
