//! Start-up: the parts, joined in the order in which data flows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::api::Api;
use kube::{Client, Resource};
use prometheus_client::registry::Registry;
use rollcall_admin::{Gate, Readiness, Routes, build_info, process, shutdown};
use rollcall_catalog::Input;
use rollcall_xds::server::{Limits, Observer, Server};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::Args;
use crate::checks::runner::{Runner, Tally};
use crate::clock::Clock;
use crate::leadership::elector::Elector;
use crate::leadership::fence::Fence;
use crate::metrics::{Metrics, Readings};
use crate::serve::{explain, publisher::Publisher};
use crate::sources::catalog_entries::CatalogEntries;
use crate::sources::endpoint_slices::EndpointSlices;
use crate::sources::freshness::{Freshness, Source};
use crate::sources::informer::{Handler, Informer};
use crate::sources::nodes::Nodes;
use crate::sources::pods::Pods;
use crate::sources::registrations::Registrations;
use crate::sources::services::Services;
use crate::writeback::apply::Applier;
use crate::writeback::observed::Observations;
use crate::writeback::run::WriteBack;
use crate::writer::{Message, Snapshots, Writer};

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start: no kubeconfig, a port in use. Once started it outlives every fault of its surroundings.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let clock = Clock::default();
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), Duration::from_secs(args.lame_duck_seconds))?;
    let client = client().await?;

    // In: the one writer, and what speaks to it.
    let (writer, inbox, snapshots) = Writer::new();
    inbox.send(Message::Say(Input::Guard(args.guard()))).await;
    let tally = Arc::new(Tally::default());
    let (runner, orders) = Runner::new(inbox.clone(), clock, Arc::clone(&tally));
    let (observations, seen) = Observations::new();
    let mut sources = Sources { client: client.clone(), readiness: readiness.clone(), clock, watches: Vec::new() };
    sources.watch(Source::Services, Services::new(inbox.clone()));
    sources.watch(Source::EndpointSlices, EndpointSlices::new(inbox.clone(), observations.clone()));
    sources.watch(Source::Pods, Pods::new(inbox.clone()));
    sources.watch(Source::Nodes, Nodes::new(inbox.clone()));
    sources.watch(Source::ServiceRegistrations, Registrations::new(inbox.clone(), orders, observations.clone()));
    sources.watch_behind(snapshots.clone(), Source::CatalogEntries, CatalogEntries(observations));
    tokio::spawn(writer.run());
    tokio::spawn(runner.run());

    // Out: the stream, on every replica.
    let (publisher, published) = Publisher::new(snapshots.clone(), &args.cluster_domain);
    tokio::spawn(publisher.run());
    let streams = Arc::new(Observer::default());
    let limits = Limits { streams_max: args.streams_max, ..Limits::default() };
    let server = Server::new(published, limits, Arc::clone(&streams));
    let serving = tokio::spawn(serve_streams(&args, server.clone(), stop.clone()).await?);

    // Out: the API server, by the leader.
    let identity = args.identity();
    let (elector, term) = Elector::new(client.clone(), &args.namespace, identity.clone(), clock);
    let fence = Fence::new(term, clock);
    let election = tokio::spawn(elector.run(stop.clone()));
    let applier = Applier { client, fence: fence.clone(), identity: identity.into() };
    let metrics = Arc::new(Metrics::default());
    tokio::spawn(
        WriteBack::new(snapshots.clone(), seen, applier, clock, Arc::clone(&metrics), args.writes_per_second).run(),
    );

    // For people.
    let mut registry = Registry::default();
    process::register(&mut registry);
    build_info::register(&mut registry, "rollcall-controller", env!("CARGO_PKG_VERSION"));
    let readings = Readings {
        snapshots: snapshots.clone(),
        inbox,
        sources: sources.watches,
        checks: tally,
        fence,
        streams,
        metrics,
    };
    readings.register(&mut registry);
    let routes = Routes::default().with("/debug/catalog/", move |ask| explain::page(&snapshots, ask));
    let admin = rollcall_admin::Server::bind(args.http_listen).await.context("--http-listen")?;
    let admin = tokio::spawn(admin.serve(readiness, Arc::new(registry), routes, stop.clone()));
    info!(grpc = %args.grpc_listen, http = %args.http_listen, "started");

    stop.cancelled().await;
    server.drain();
    // Bounded: a client that does not close its connection must not keep the process.
    let drained = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(serving, election, admin) });
    let _ = drained.await;
    info!("stopped");
    Ok(())
}

/// Takes the address of the stream; the future that is returned serves it until `stop`.
async fn serve_streams(
    args: &Args,
    server: Server,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = Result<(), tonic::transport::Error>> + use<>> {
    let address = args.grpc_listen;
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address} (--grpc-listen); choose an address that is free"))?;
    let incoming = TcpListenerStream::new(listener);
    Ok(server.into_router().serve_with_incoming_shutdown(incoming, stop.cancelled_owned()))
}

/// A client of the cluster: in a pod by its ServiceAccount, elsewhere by KUBECONFIG.
async fn client() -> anyhow::Result<Client> {
    let config = kube::Config::infer()
        .await
        .context("no cluster to talk to: set KUBECONFIG, or run as a pod with a ServiceAccount")?;
    Client::try_from(config).context("the kubeconfig cannot be used")
}

/// Starts watches.
struct Sources {
    client: Client,
    readiness: Readiness,
    clock: Clock,
    watches: Vec<Arc<Freshness>>,
}

// === impl Sources ===

impl Sources {
    /// A watch that the catalog is made of: readiness waits for it.
    fn watch<K, H>(&mut self, source: Source, handler: H)
    where
        K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Default,
        H: Handler<K> + 'static,
    {
        let gate = self.readiness.gate(source.as_str());
        gate.close("being listed");
        let informer = self.informer(source, handler, gate);
        tokio::spawn(informer.run());
    }

    /// A watch that only the write-back needs: it begins when the catalog is served, so as not to delay that.
    fn watch_behind<K, H>(&mut self, mut snapshots: Snapshots, source: Source, handler: H)
    where
        K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Default,
        H: Handler<K> + 'static,
    {
        let nobody_waits = Readiness::default().gate(source.as_str());
        let informer = self.informer(source, handler, nobody_waits);
        tokio::spawn(async move {
            if snapshots.wait_for(Option::is_some).await.is_ok() {
                informer.run().await;
            }
        });
    }

    fn informer<K, H>(&mut self, source: Source, handler: H, gate: Gate) -> Informer<K, H>
    where
        K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Default,
    {
        let freshness = Freshness::new(source, self.clock);
        self.watches.push(Arc::clone(&freshness));
        Informer { api: Api::all(self.client.clone()), handler, freshness, gate }
    }
}
