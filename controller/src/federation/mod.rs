//! Other clusters: what this one exports to them, and what it imports of theirs.
//!
//! ```text
//!  ServiceExports --exports--+                        +-- clusters --ClusterLinks
//!                            v                        v
//!  snapshots ------------> hall --streams of peers   link --stream--> another cluster's hall
//!                            ^                        |  heard, decode
//!  Access (token, RBAC) -----+                        v
//!                                             writer's inbox (origin Import)
//! ```
//!
//! - [`flags`], [`about`]: who this cluster is, by the About API
//! - [`exports`]: which services are exported, by ServiceExports; [`encode`]: an exported service as resources
//! - [`hall`]: what each peer is given; [`rights`]: who it is and which namespaces it may see
//! - [`clusters`]: which clusters this one is linked to; [`link`]: one of them, from its Secret to the catalog
//! - [`namespaces`]: which of this cluster's namespaces a link imports, by name or by their labels
//! - [`profiles`]: where another cluster is, by its ClusterProfile
//! - [`dial`]: the stream to another cluster; [`heard`]: what came by it; [`decode`]: as the catalog has it
//! - [`marks`]: which resources have come or are told, as many as may be, and the version of all
//! - [`machine`]: connected, suspect, expired; pure
//! - [`mcs`]: what clusters export under one name as one service: ServiceImports
//! - [`table`]: what these tell each other by key; [`pauses`]: who waits after a refused write
//! - [`restored`]: what an earlier process imported, from the EndpointSlices that stand
//! - [`lease`]: a Lease for each cluster that is heard
//! - [`survey`]: what became of another cluster's endpoints in this one's catalog
//! - [`status`]: what is told in ClusterLinks and ServiceExports; [`metrics`]: what is measured
//!
//! What is imported is never exported: only what has its origin in this cluster stands in the [`hall`]. So nothing goes round in
//! a circle, however clusters are linked.

pub mod about;
pub mod clusters;
pub mod decode;
pub mod dial;
pub mod encode;
pub mod exports;
pub mod flags;
pub mod hall;
pub mod heard;
pub mod lease;
pub mod link;
pub mod machine;
pub mod marks;
pub mod mcs;
pub mod metrics;
pub mod namespaces;
pub mod pauses;
pub mod profiles;
pub mod report;
pub mod restored;
pub mod rights;
pub mod status;
pub mod survey;
pub mod table;

use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_catalog::model::Name;
use rollcall_xds::server::BetweenClusters;

use crate::access::Access;
use crate::leadership::fence::Fence;
use crate::time::clock::Clock;
use crate::writer::{Inbox, Snapshots};
use clusters::Links;
use exports::Exports;
use hall::Hall;
use mcs::offers::Offers;
use mcs::plans::Plans;
use mcs::room::Room;
use mcs::seen::Seen;
use namespaces::Namespaces;
use profiles::Profiles;
use report::Reports;
use restored::Restored;

/// Who this cluster is to others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its id in the clusterset, which is the name of others' links to it.
    pub cluster_id: Name,
    /// Where the Secrets of links are.
    pub namespace: String,
    /// Whether services across clusters are made of exports: ServiceImports and what is derived from them.
    pub service_imports: bool,
}

/// What other rooms need of this one.
#[derive(Clone, Debug)]
pub struct Federation {
    /// What ServiceExports say.
    pub exports: Exports,
    /// What an earlier process imported.
    pub restored: Restored,
    /// The ServiceImports that stand, if there are to be any.
    pub imports: Option<Seen>,
    /// The namespaces that there are.
    pub namespaces: Namespaces,
    plans: Plans,
    namespace: String,
    links: Links,
    reports: Reports,
    hall: Hall,
}

// === impl Federation ===

impl Federation {
    /// Who takes ClusterLinks.
    pub fn links(&self) -> Links {
        self.links.clone()
    }

    /// How links are.
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// What streams of other clusters are given.
    pub fn between(&self) -> BetweenClusters {
        BetweenClusters(Arc::new(self.hall.clone()))
    }

    /// Starts to tell in the API how links and exports are, by the leader.
    pub fn tell(&self, client: Client, fence: Fence, clock: Clock) {
        if let Some(imports) = &self.imports {
            let (client, fence) = (client.clone(), fence.clone());
            tokio::spawn(mcs::writer::Writer::new(client, fence, clock, self.plans.clone(), imports.clone()).run());
        }
        let (of, namespace) = (client.clone(), self.namespace.clone());
        let leases =
            lease::Leases { client: of, namespace, fence: fence.clone(), clock, reports: self.reports.clone() };
        tokio::spawn(leases.run());
        let told = (self.exports.clone(), self.reports.clone(), self.plans.clone(), self.hall.told());
        tokio::spawn(status::Teller::new(client, fence, clock, told).run());
    }
}

/// Starts the hall, and what follows links.
pub fn start(
    settings: Settings,
    client: Client,
    access: Access,
    (inbox, snapshots): (Inbox, Snapshots),
    clock: Clock,
    registry: &mut Registry,
) -> Federation {
    let (exports, reports, namespaces) = (Exports::default(), Reports::default(), Namespaces::default());
    let (restored, offers, plans) = (Restored::of(&settings.cluster_id), Offers::default(), Plans::default());
    let hall = Hall::new(Name::clone(&settings.cluster_id), exports.clone(), access);
    tokio::spawn(hall.clone().run(snapshots.clone()));
    let seen_by_links = snapshots.clone();
    let imports = settings.service_imports.then(Seen::default);
    if let Some(seen) = imports.clone() {
        let room = Room {
            me: Name::clone(&settings.cluster_id),
            exports: exports.clone(),
            offers: offers.clone(),
            restored: restored.clone(),
            seen,
            plans: plans.clone(),
            inbox: inbox.clone(),
        };
        tokio::spawn(room.run(snapshots));
    }
    let (namespace, profiles) = (settings.namespace.clone(), Profiles::start(client.clone(), clock));
    let surroundings = link::Surroundings {
        me: settings.cluster_id,
        namespace: settings.namespace,
        client,
        inbox,
        clock,
        restored: restored.clone(),
        reports: reports.clone(),
        offers,
        snapshots: seen_by_links,
        hall: hall.clone(),
        namespaces: namespaces.clone(),
        profiles,
    };
    metrics::Metrics { reports: reports.clone(), hall: hall.clone(), clock }.register(registry);
    let links = Links::new(surroundings);
    Federation { exports, restored, imports, namespaces, plans, namespace, links, reports, hall }
}
