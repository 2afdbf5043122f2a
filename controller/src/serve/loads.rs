//! Load reports (LRS): what gRPC clients and Envoys say that they have called, as metrics by service and zone.
//!
//! A report says how many requests to the endpoints of a cluster in a zone were answered, how many failed, and how many the
//! client dropped. What is not about a service of the catalog that its sender may see is counted without a name, so nobody can
//! make series without end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::config::endpoint::v3::ClusterStats;
use envoy_types::pb::envoy::service::load_stats::v3::load_reporting_service_server::{
    LoadReportingService, LoadReportingServiceServer,
};
use envoy_types::pb::envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{Reader, Readers, Showing, Snapshots};
use rollcall_xds::view::Scope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming};

use super::lens::name::Target;

/// Takes load reports. Clones share what was counted.
#[derive(Clone)]
pub struct Loads(Arc<Shared>);

struct Shared {
    domain: Box<str>,
    catalog: Snapshots,
    readers: Option<Readers>,
    streams_max: usize,
    streams: Arc<Semaphore>,
    tallies: Mutex<Tallies>,
}

/// What was reported.
#[derive(Debug, Default)]
struct Tallies {
    by_key: BTreeMap<Key, Tally>,
    /// The catalog by which those of services that are no more were forgotten last.
    swept_at: Option<u64>,
}

/// Namespace, service, zone; all empty for what is about no service.
type Key = (Box<str>, Box<str>, Box<str>);

/// What was reported of one service in one zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: u64,
    failed: u64,
    dropped: u64,
}

/// A stream of reports.
struct Reporting {
    loads: Loads,
    reports: Streaming<LoadStatsRequest>,
    scope: Scope,
    until: BoxFuture<'static, Status>,
    greeted: bool,
    _permit: OwnedSemaphorePermit,
}

/// How often clients report.
const INTERVAL: Duration = Duration::from_secs(10);
/// Pairs of service and zone that are counted apart: some hundred bytes each.
const TALLIES_MAX: usize = 4096;
/// Of a zone's name, in bytes, as of a label's value.
const ZONE_BYTES_MAX: usize = 63;

// === impl Loads ===

impl Loads {
    /// About the services of that catalog, from whom `readers` know.
    pub fn new(domain: &str, catalog: Snapshots, readers: Option<Readers>, streams_max: usize) -> Self {
        let streams = Arc::new(Semaphore::new(streams_max.min(Semaphore::MAX_PERMITS)));
        let by_key = [(Key::default(), Tally::default())].into();
        let tallies = Mutex::new(Tallies { by_key, swept_at: None });
        Self(Arc::new(Shared { domain: domain.into(), catalog, readers, streams_max, streams, tallies }))
    }

    /// The tonic service, to add to a router.
    pub fn into_service(self) -> LoadReportingServiceServer<Self> {
        LoadReportingServiceServer::new(self)
    }

    /// Registers `rollcall_load_…`.
    pub fn register(&self, registry: &mut Registry) {
        let loads = self.clone();
        page::register(registry, move |page| loads.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let told: Vec<(Key, Tally)> = self.tallies().by_key.iter().map(|(key, tally)| (key.clone(), *tally)).collect();
        let samples = told.iter().flat_map(|((namespace, service, zone), tally)| {
            let outcomes = [("answered", tally.answered), ("failed", tally.failed), ("dropped", tally.dropped)];
            outcomes.map(|(outcome, count)| {
                let labels =
                    [("namespace", &**namespace), ("service", &**service), ("zone", &**zone), ("outcome", outcome)];
                (labels, count)
            })
        });
        page.counters(
            "rollcall_load_requests",
            "Requests that clients of the stream report, by service, zone of the endpoint and outcome: answered, failed, or dropped by the client itself. Of clients that ask for reports alone (node metadata rollcall.dev/load-reports), on the replica that they report to. Without a name: about no service that their sender may see, or beyond 4,096 pairs of service and zone, of which those of services that are no more give way; 0 is normal.",
            samples,
        )?;
        let free = self.0.streams.available_permits();
        page.gauge(
            "rollcall_load_streams",
            "Clients that report loads now.",
            self.0.streams_max.saturating_sub(free) as f64,
        )
    }

    /// Counts a report.
    fn take(&self, report: &LoadStatsRequest, scope: &Scope) {
        report.cluster_stats.iter().for_each(|cluster| self.take_cluster(cluster, scope));
    }

    fn take_cluster(&self, cluster: &ClusterStats, scope: &Scope) {
        let (namespace, service) = self.service(&cluster.cluster_name, scope).unwrap_or_default();
        for part in &cluster.upstream_locality_stats {
            let zone = part.locality.as_ref().map(|locality| &*locality.zone).unwrap_or_default();
            let zone = if service.is_empty() { "" } else { zone };
            let (answered, failed) = (part.total_successful_requests, part.total_error_requests);
            self.add((&namespace, &service, zone), Tally { answered, failed, dropped: 0 });
        }
        let dropped = cluster.total_dropped_requests;
        if dropped > 0 {
            self.add((&namespace, &service, ""), Tally { dropped, ..Tally::default() });
        }
    }

    /// Namespace and name, if it is one of the catalog that the sender may see.
    fn service(&self, cluster: &str, scope: &Scope) -> Option<(Box<str>, Box<str>)> {
        let target = Target::read(cluster, &self.0.domain)?;
        let sees = match scope {
            Scope::All => true,
            Scope::Namespaces(seen) => seen.iter().any(|seen| **seen == *target.namespace),
        };
        let catalog = self.0.catalog.borrow().clone()?;
        catalog.get(ResourceType::Service, &target.service()).filter(|_| sees)?;
        Some((target.namespace.into(), (*target.called()).into()))
    }

    fn add(&self, (namespace, service, zone): (&str, &str, &str), more: Tally) {
        let mut tallies = self.tallies();
        let mut key = (namespace.into(), service.into(), zone.into());
        let counts_apart = tallies.by_key.contains_key(&key) || tallies.have_room(&self.0.catalog);
        if zone.len() > ZONE_BYTES_MAX || !counts_apart {
            key = Key::default();
        }
        let tally = tallies.by_key.entry(key).or_default();
        tally.answered = tally.answered.saturating_add(more.answered);
        tally.failed = tally.failed.saturating_add(more.failed);
        tally.dropped = tally.dropped.saturating_add(more.dropped);
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.0.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loads").field("streams_max", &self.0.streams_max).finish_non_exhaustive()
    }
}

// === impl Tallies ===

impl Tallies {
    /// Whether one more may be counted apart. Services come and go: those that are no more give way, once for each state of the
    /// catalog.
    fn have_room(&mut self, catalog: &Snapshots) -> bool {
        let full = |by_key: &BTreeMap<Key, Tally>| by_key.len() > TALLIES_MAX;
        if !full(&self.by_key) {
            return true;
        }
        let Some(catalog) = catalog.borrow().clone().filter(|catalog| self.swept_at != Some(catalog.revision())) else {
            return false;
        };
        self.swept_at = Some(catalog.revision());
        let is_there = |(namespace, service, _): &Key| {
            service.is_empty() || catalog.get(ResourceType::Service, &format!("{namespace}/{service}")).is_some()
        };
        self.by_key.retain(|key, _| is_there(key));
        !full(&self.by_key)
    }
}

#[tonic::async_trait]
impl LoadReportingService for Loads {
    type StreamLoadStatsStream = BoxStream<'static, Result<LoadStatsResponse, Status>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let Ok(permit) = Arc::clone(&self.0.streams).try_acquire_owned() else {
            let limit = self.0.streams_max;
            return Err(Status::resource_exhausted(format!(
                "{limit} clients report loads, which is this replica's limit (--streams-max); go to another replica"
            )));
        };
        let reader = match &self.0.readers {
            Some(Readers(readers)) => readers.judge(Showing::of(&request)).await?,
            None => Reader::anyone(),
        };
        let Reader { scope, until, .. } = reader;
        let reports = request.into_inner();
        let reporting = Reporting { loads: self.clone(), reports, scope, until, greeted: false, _permit: permit };
        Ok(Response::new(stream::unfold(Some(reporting), Reporting::next).boxed()))
    }
}

// === impl Reporting ===

impl Reporting {
    /// What the client is told: once what to report, and at the end why it ends.
    async fn next(this: Option<Self>) -> Option<(Result<LoadStatsResponse, Status>, Option<Self>)> {
        let mut this = this?;
        loop {
            let report = tokio::select! {
                report = this.reports.message() => report.ok()??,
                why = &mut this.until => return Some((Err(why), None)),
            };
            this.loads.take(&report, &this.scope);
            if !this.greeted {
                this.greeted = true;
                return Some((Ok(greeting()), Some(this)));
            }
        }
    }
}

/// Everything, each ten seconds.
fn greeting() -> LoadStatsResponse {
    LoadStatsResponse {
        send_all_clusters: true,
        load_reporting_interval: Some(envoy_types::pb::google::protobuf::Duration {
            seconds: INTERVAL.as_secs().cast_signed(),
            nanos: 0,
        }),
        ..LoadStatsResponse::default()
    }
}

#[cfg(test)]
mod tests;
