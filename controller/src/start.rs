//! Start-up: the parts, joined in the order in which data flows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use rollcall_admin::descriptors::Share;
use rollcall_admin::ports::{self, Setting};
use rollcall_admin::{Descriptors, Gate, Notices, Readiness, Routes, Telemetry, shutdown};
use rollcall_catalog::Input;
use rollcall_xds::server::{Limits, Observer, Server};
use rollcall_xds::tls::{Acceptor, Bounds, Incoming};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::Args;
use crate::authority;
use crate::checks::runner::{Runner, Tally};
use crate::cluster_domain;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::freshness::Source;
use crate::leadership::elector::Elector;
use crate::leadership::fence::Fence;
use crate::metrics::{Metrics, Readings};
use crate::serve::{explain, publisher::Publisher};
use crate::sources::catalog_entries::CatalogEntries;
use crate::sources::endpoint_slices::EndpointSlices;
use crate::sources::nodes::Nodes;
use crate::sources::pods::Pods;
use crate::sources::registrations::Registrations;
use crate::sources::service_cidrs::ServiceCidrs;
use crate::sources::services::Services;
use crate::sources::watches::Watches;
use crate::time::clock::Clock;
use crate::writeback::apply::Applier;
use crate::writeback::observed::Observations;
use crate::writeback::run::WriteBack;
use crate::writer::{Message, Writer};

/// Probes at a time, where the limit of open files allows it.
const PROBES_WANTED: usize = 1024;

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start: no kubeconfig, the port of the admin pages in use. Once started it outlives every fault of its surroundings.
pub async fn run(args: Args, telemetry: Telemetry) -> anyhow::Result<()> {
    let clock = Clock::default();
    // First of all: whatever is wrong from here on is said on its pages.
    let admin = rollcall_admin::Server::bind(args.http_listen).await?;
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), Duration::from_secs(args.lame_duck_seconds))?;
    let client = client().await?;
    cluster_domain::check(&readiness.gate("cluster-domain"), &args.sources.resolv_conf, &args.cluster_domain);

    // In: the one writer, and what speaks to it.
    let wanted = args.sources.catalog();
    let (writer, inbox, snapshots) = Writer::new(wanted.clone());
    inbox.send(Message::Say(Input::Guard(args.guard()))).await;
    let tally = Arc::new(Tally::default());
    let (runner, orders) = Runner::new(inbox.clone(), clock, Arc::clone(&tally));
    let (observations, seen) = Observations::new();
    let slices = || EndpointSlices::new(inbox.clone(), observations.clone());
    let registrations = || Registrations::new(inbox.clone(), orders.clone(), observations.clone());
    let mut watches = Watches::new(client.clone(), readiness.clone(), clock, args.sources.namespaces());
    watches.of_namespaces(Source::Services, || Services::new(inbox.clone()));
    watches.of_namespaces(Source::EndpointSlices, slices);
    watches.of_namespaces(Source::Pods, || Pods::new(inbox.clone()));
    watches.of_namespaces(Source::ServiceRegistrations, registrations);
    if wanted.contains(&Source::Nodes) {
        watches.of_cluster(Source::Nodes, Nodes::new(inbox.clone()));
    }
    if wanted.contains(&Source::ServiceCidrs) {
        watches.of_cluster(Source::ServiceCidrs, ServiceCidrs::new(inbox.clone()));
    }
    watches.of_namespaces_behind(&snapshots, Source::CatalogEntries, || CatalogEntries(observations.clone()));
    let propagation = writer.propagation();
    tokio::spawn(writer.run());
    tokio::spawn(runner.run());

    // Out: the stream, on every replica.
    let (publisher, published) = Publisher::new(snapshots.clone(), &args.cluster_domain);
    tokio::spawn(publisher.measured(Arc::clone(&propagation)).run());
    let streams = Arc::new(Observer::default());
    let limits = Limits { streams_max: args.streams_max, ..Limits::default() };
    let server = Server::new(published, limits, Arc::clone(&streams));
    let tls = Arc::<authority::tally::Tally>::default();
    let acceptor = authority::start(&args.tls, client.clone(), &args.namespace, clock, &readiness, &tls)?;
    let grpc = readiness.gate("grpc");
    let bounded = {
        let wanted = Bounds::for_streams(args.streams_max).connections_max;
        let descriptors = Descriptors::current();
        descriptors.tell(&readiness.gate("descriptors"), &[(Share::Streams, wanted), (Share::Probes, PROBES_WANTED)]);
        let bounds = Bounds { connections_max: descriptors.share(Share::Streams, wanted), ..Bounds::default() };
        let observer = Arc::clone(&tls.handshakes);
        move |incoming: Incoming| incoming.bounded(bounds, observer)
    };
    let serving = tokio::spawn(serve_streams(args.grpc_listen, acceptor, bounded, server.clone(), grpc, stop.clone()));

    // Out: the API server, by the leader.
    let identity = args.identity();
    // Beside readiness: who may not write serves all the same.
    let concerns = Readiness::default();
    let denials = DenialNotices::new(concerns.clone(), clock);
    tokio::spawn(Notices::of_this_pod("controller").watch(concerns, stop.clone()));
    let (elector, term) = Elector::new(client.clone(), &args.namespace, identity.clone(), clock, denials.clone());
    let fence = Fence::new(term, clock);
    let election = tokio::spawn(elector.run(stop.clone()));
    let metrics = Arc::new(Metrics::default());
    let applier =
        Applier { client, fence: fence.clone(), identity: identity.into(), denials, metrics: Arc::clone(&metrics) };
    tokio::spawn(
        WriteBack::new(snapshots.clone(), seen, applier, clock, Arc::clone(&metrics), args.writes_per_second).run(),
    );

    // For people.
    let readings = Readings {
        snapshots: snapshots.clone(),
        inbox,
        sources: watches.into_freshness(),
        checks: tally,
        fence,
        streams,
        tls,
        metrics,
        propagation,
    };
    let registry = readings.registry(&readiness, &telemetry);
    tokio::spawn(Notices::of_this_pod("controller").watch(readiness.clone(), stop.clone()));
    let routes = telemetry.on(Routes::default()).with("/debug/catalog/", move |ask| explain::page(&snapshots, ask));
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

/// Takes the address of the stream as soon as it is free, and serves until `stop`.
async fn serve_streams(
    address: SocketAddr,
    acceptor: Option<Acceptor>,
    bounded: impl FnOnce(Incoming) -> Incoming,
    server: Server,
    gate: Gate,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let setting = Setting { flag: "--grpc-listen", value: "controller.extraArgs" };
    let listener = ports::bind_when_free(&gate, &stop, || ports::listen_tcp(address, setting)).await;
    let Some(listener) = listener else { return Ok(()) };
    let incoming = match acceptor {
        Some(acceptor) => Incoming::tls(listener, acceptor),
        None => Incoming::plain(listener),
    };
    server.into_router().serve_with_incoming_shutdown(bounded(incoming).into_stream(), stop.cancelled_owned()).await
}

/// A client of the cluster: in a pod by its ServiceAccount, elsewhere by KUBECONFIG.
async fn client() -> anyhow::Result<Client> {
    let mut config = kube::Config::infer()
        .await
        .context("no cluster to talk to: set KUBECONFIG, or run as a pod with a ServiceAccount")?;
    // Whoever asks has a timeout and tries again by itself, and says what the server answered: a retry below would hide it.
    config.default_retry = false;
    Client::try_from(config).context("the kubeconfig cannot be used")
}
