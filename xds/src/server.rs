//! gRPC around [`crate::delta`] and [`crate::sotw`]: the aggregated discovery service, and those of single types, in both
//! variants.
//!
//! # Nothing before the first sync
//! The catalog arrives through a `watch` of `Option<Arc<Snapshot>>`. `None` means "not synced": a stream is then not
//! accepted at all (no response headers) until a snapshot is there, for at most [`Limits::unsynced_wait`], and refused with
//! UNAVAILABLE after that, so that the client tries another replica. Publish the first snapshot when every source has
//! synced. An accepted stream thus always means a complete catalog, even when it is empty.
//!
//! # Latency
//! A published snapshot wakes each stream, which writes what changed at once. Bursts coalesce by themselves while a
//! response is unanswered. A stream whose reader is slow answers nothing, so nothing is computed or buffered for it.
//!
//! # Bounds
//! What exists is in memory once, for all. What only clients speak of, requests that have come by half, and responses that
//! are not read are bounded for each stream, each address and all together ([`Memory`]); a request that has begun must come to
//! its end in time.

use std::{sync::Arc, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Status};

use crate::{
    cache::Snapshot,
    framed::{Messages, Parcel},
    proto::discovery::Node,
    resource::ResourceType,
    stream::{self, Front, Serves, Variant},
    view::Views,
};

mod arriving;
mod budget;
mod call;
mod clients;
mod guard;
mod methods;
mod metrics;
mod pace;
mod readers;
#[cfg(test)]
mod tests;
mod transport;

pub use self::{
    budget::Memory,
    clients::{Clients, Description, TypeDescription},
    guard::{Guard, GuardLayer},
    metrics::{Metrics, Nack, Refusal, TypeMetrics},
    readers::{Judges, Reader, Readers, Showing},
    transport::Router,
};
use self::{
    budget::{Budget, Claim, Peer},
    call::Call,
    pace::Paced,
};

/// The catalog as a server reads it; `None` until it has synced.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// What a server carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams open at a time; more are refused with RESOURCE_EXHAUSTED.
    pub streams_max: usize,
    /// How long a stream waits for the first snapshot.
    pub unsynced_wait: Duration,
    /// What one stream may ask for.
    pub stream: stream::Limits,
    /// What all of them, and those of one address, may make this server hold.
    pub memory: Memory,
    /// How long a request may take from its first byte to its last, and how long it waits for room.
    pub request_patience: Duration,
    /// After this long a connection of readers is given up, so that they spread over the replicas again: it takes no more
    /// streams, and each that it has ends at random within as long again. `None` for never.
    pub connection_age: Option<Duration>,
}

/// Streams of the controller's own replicas, which are given what replicas tell each other and nothing of the catalog.
#[derive(Clone)]
pub struct BetweenReplicas {
    /// What is told.
    pub snapshots: Snapshots,
    /// Whether the metadata of a call proves that a replica calls. Asked of each call that has [`REPLICA_KEY`].
    pub proves: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// What a stream tells its client.
type Parcels = BoxStream<'static, Result<Parcel, Status>>;

/// Streams of other clusters, which are given what this one exports to them and nothing else.
#[derive(Clone)]
pub struct BetweenClusters(pub Arc<dyn Admits>);

/// Says what another cluster is given.
pub trait Admits: Send + Sync + 'static {
    /// What whoever shows this token, or this certificate, may see. The stream ends when the sender of it is dropped.
    ///
    /// # Errors
    /// When they may see nothing, in words for the one who made the link.
    fn admit(&self, showing: Showing) -> BoxFuture<'_, Result<Snapshots, Status>>;
}

/// The key of the metadata in which another cluster shows its token, or says that it does so by its certificate.
pub const CLUSTER_KEY: &str = "rollcall-cluster";

/// The key of the metadata in which a client says who it is before it asks for anything: its node's id.
pub const NAME_KEY: &str = "rollcall-name";

/// See [`CLUSTER_KEY`]. No token is like that.
pub const BY_CERTIFICATE: &str = "certificate";

/// The key of the metadata in which a replica proves that it is one.
pub const REPLICA_KEY: &str = "rollcall-replica";

/// The service. Clones share everything.
#[derive(Clone, Debug)]
pub struct Server {
    snapshots: Paced,
    limits: Limits,
    metrics: Arc<Metrics>,
    streams: Arc<Semaphore>,
    clients: Arc<Clients>,
    budget: Arc<Budget>,
    views: Views,
    replicas: Option<BetweenReplicas>,
    clusters: Option<BetweenClusters>,
    readers: Option<Readers>,
}

/// What a call is given.
struct Given {
    snapshots: Snapshots,
    views: Views,
    serves: Serves,
    reader: Reader,
}

// === impl BetweenReplicas ===

impl std::fmt::Debug for BetweenReplicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BetweenReplicas").finish_non_exhaustive()
    }
}

// === impl BetweenClusters ===

impl std::fmt::Debug for BetweenClusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BetweenClusters").finish_non_exhaustive()
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: crate::tls::STREAMS_MAX,
            unsynced_wait: Duration::from_secs(3),
            stream: stream::Limits::default(),
            memory: Memory::default(),
            request_patience: Duration::from_secs(15),
            connection_age: None,
        }
    }
}

// === impl Server ===

impl Server {
    /// Largest request, in bytes. A client that reconnects names all that it holds of a type in one: 30,000 services with
    /// the longest names are 5 MiB, and twice as many with names of 30 characters 3 MiB. What has come of a request is held
    /// in memory before anything is known about its sender, so there is no more room than that.
    pub const REQUEST_BYTES_MAX: usize = 8 << 20;

    /// Streams on one connection. gRPC in C++ and Python has a client for each target that a process calls, all on one connection,
    /// with a stream each, and one more where it reports loads; what finds no place waits there for ever, and is told nothing.
    /// Fewer than 100 are advised against (RFC 9113 §6.5.2).
    pub const STREAMS_PER_CONNECTION_MAX: u32 = 100;

    /// What a client may send before it is read, in bytes, on one connection: HTTP/2's own default. More would be held for
    /// every connection whose client does not read its answers.
    pub const WINDOW_BYTES: u32 = 65_535;

    /// HTTP/2 ping after this long without traffic; a peer that does not answer within [`Self::KEEPALIVE_TIMEOUT`] is
    /// dead, and its streams end.
    pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

    /// See [`Self::KEEPALIVE_INTERVAL`].
    pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

    /// Serves what `snapshots` holds.
    pub fn new(snapshots: Snapshots, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let streams = Arc::new(Semaphore::new(limits.streams_max.min(Semaphore::MAX_PERMITS)));
        let budget = Budget::new(limits.memory, limits.request_patience, Arc::clone(&metrics));
        let (views, clients) = (Views::plain(), Arc::default());
        Self {
            snapshots: Paced::of(snapshots),
            limits,
            metrics,
            streams,
            clients,
            budget,
            views,
            replicas: None,
            clusters: None,
            readers: None,
        }
    }

    /// With these views: not everybody sees everything, or not alike.
    #[must_use]
    pub fn seen_through(self, views: Views) -> Self {
        Self { views, ..self }
    }

    /// Who has a stream open.
    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients)
    }

    /// And replicas are given what they tell each other.
    #[must_use]
    pub fn between(self, replicas: BetweenReplicas) -> Self {
        Self { replicas: Some(replicas), ..self }
    }

    /// And other clusters are given what is exported to them.
    #[must_use]
    pub fn exporting(self, clusters: BetweenClusters) -> Self {
        Self { clusters: Some(clusters), ..self }
    }

    /// And whoever reads the catalog has to say who they are.
    #[must_use]
    pub fn read_by(self, readers: Readers) -> Self {
        Self { readers: Some(readers), ..self }
    }

    /// A router with these services alone. It finds dead peers; small messages are not delayed, and connections are bounded, if it
    /// is given [`tls::Incoming`](crate::tls::Incoming).
    pub fn into_router(self) -> Router {
        methods::add(Router::new(self.guard(), self.limits.connection_age), self)
    }

    /// What holds calls to their bounds, for a transport that carries this service.
    pub fn guard(&self) -> GuardLayer {
        let (budget, metrics) = (Arc::clone(&self.budget), Arc::clone(&self.metrics));
        GuardLayer { budget, metrics }
    }

    /// Ends every stream cleanly, so that clients reconnect elsewhere, and refuses new ones. Call it before shutting the
    /// transport down, which waits for streams.
    pub fn drain(&self) {
        self.clients.drain();
    }

    /// What a call is to be given: as another cluster, as a replica if it says that it is one and proves it, or as a reader.
    async fn given(&self, request: &Request<()>) -> Result<Given, Status> {
        let metadata = request.metadata();
        if let Some(token) = metadata.get(CLUSTER_KEY) {
            let clusters = self.clusters.as_ref().ok_or_else(|| {
                Status::failed_precondition(
                    "this cluster exports nothing to others; give its controller --cluster-id (federation.enabled)",
                )
            })?;
            let token = token.to_str().map_err(|_| Status::unauthenticated("the token has bytes that no token has"))?;
            let token = (token != BY_CERTIFICATE).then(|| format!("Bearer {token}").into());
            let showing = Showing { authorization: token, ..Showing::of(request) };
            let snapshots = clusters.0.admit(showing).await?;
            return Ok(Given::plain(snapshots, Serves::Clusters));
        }
        if let Some(proof) = metadata.get(REPLICA_KEY) {
            let replicas =
                self.replicas.as_ref().filter(|replicas| proof.to_str().is_ok_and(|proof| (replicas.proves)(proof)));
            let replicas = replicas.ok_or_else(|| {
                let words = "the caller is no replica that this one knows; that is right in a moment if one of the two just started";
                Status::unauthenticated(words)
            })?;
            return Ok(Given::plain(replicas.snapshots.clone(), Serves::Replicas));
        }
        let snapshots = self.snapshots.snapshots(&self.streams, self.limits.streams_max);
        let (views, serves) = (self.views.clone(), Serves::Catalog);
        let Some(Readers(readers)) = &self.readers else {
            return Ok(Given { snapshots, views, serves, reader: Reader::anyone() });
        };
        let showing = Showing::of(request);
        let peer = showing.peer;
        let reader = readers.judge(showing).await.inspect_err(|status| {
            self.metrics.refused_request(readers::counted_as(status));
            if let Some(unsaid) = self.metrics.rates.unread.admit() {
                tracing::warn!(?peer, error = ?status.message(), unsaid, "a reader of the stream was refused");
            }
        })?;
        Ok(Given { snapshots, views, serves, reader })
    }

    /// The first of these snapshots. Waits for it, but neither forever nor beyond a drain.
    async fn synced(&self, mut snapshots: Snapshots) -> Result<Arc<Snapshot>, Status> {
        let synced = tokio::select! {
            biased;
            () = self.clients.drained() => {
                return Err(Status::unavailable("the server is shutting down; connect to another replica"));
            }
            synced = tokio::time::timeout(self.limits.unsynced_wait, snapshots.wait_for(Option::is_some)) => synced,
        };
        let snapshot = synced.ok().and_then(Result::ok).and_then(|snapshot| snapshot.clone());
        snapshot.ok_or_else(|| Status::unavailable("the catalog has not synced yet; try another replica, or again"))
    }

    /// Accepts a stream of that variant, of all types or of one.
    async fn open<F: Front>(
        &self,
        variant: Variant,
        only: Option<ResourceType>,
        request: Request<Messages<F::Request>>,
    ) -> Result<Parcels, Status> {
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            self.metrics.refused();
            let limit = self.limits.streams_max;
            return Err(Status::resource_exhausted(format!(
                "{limit} streams are open, which is this replica's limit; connect to another replica"
            )));
        };
        let (metadata, extensions, requests) = request.into_parts();
        let request = Request::from_parts(metadata, extensions, ());
        let given = self.given(&request).await.inspect_err(|_| self.metrics.refused())?;
        let Given { snapshots, views, serves, reader } = given;
        let age = self.limits.connection_age.filter(|_| serves == Serves::Catalog);
        let serves = only.map_or(serves, Serves::Only);
        let snapshot = self.synced(snapshots.clone()).await.inspect_err(|_| self.metrics.refused())?;
        let peer = request.extensions().get::<Arc<Peer>>().cloned().unwrap_or_else(|| self.budget.nobody());
        let call = Call {
            front: F::of(self.limits.stream, serves),
            how: (variant, serves),
            requests,
            snapshots,
            view: call::view(&views, (&Node::default(), &reader.scope), (variant, serves), snapshot),
            views,
            scope: reader.scope,
            until: call::until(reader.until, age),
            open: Metrics::open(&self.metrics),
            entry: Clients::enter(&self.clients, (peer.address(), reader.name), variant),
            claim: Claim::new(peer),
            leaving: Vec::new(),
            _permit: permit,
        };
        Ok(Box::pin(call.into_parcels()))
    }
}

// === impl Given ===

impl Given {
    /// To whom nobody of the readers is.
    fn plain(snapshots: Snapshots, serves: Serves) -> Self {
        Self { snapshots, views: Views::plain(), serves, reader: Reader::anyone() }
    }
}
