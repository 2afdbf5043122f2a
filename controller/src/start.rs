//! Start-up: the rooms, joined in the order in which data flows. Each starts itself and registers what it measures.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_admin::descriptors::{Descriptors, Share};
use rollcall_admin::{Notices, Readiness, Telemetry, build_info, process, shutdown};
use rollcall_authority::Surroundings;
use rollcall_catalog::Input;
use rollcall_xds::server::BetweenReplicas;
use rollcall_xds::tls::{self, Acceptor, Certificates};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access;
use crate::agents;
use crate::api::answer::Answer;
use crate::api::questions::Linked;
use crate::api::routes::{Admits, Route};
use crate::api::{self, Routes, questions};
use crate::args::Args;
use crate::beats::{self, Hearing};
use crate::bootstraps;
use crate::checks::lookouts::Lookouts;
use crate::checks::{self, pods, runner::Order};
use crate::cluster_domain;
use crate::evictions::event::Teller;
use crate::evictions::{self, Evictions};
use crate::federation::about::About;
use crate::federation::{self, Federation};
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::kube_error;
use crate::leadership;
use crate::readers;
use crate::replicas;
use crate::serve::{self, explain, streams};
use crate::sources::{self, Receivers};
use crate::time::clock::Clock;
use crate::time::random;
use crate::writeback::observed::{Observations, Seen};
use crate::writeback::{self, Writing};
use crate::writer::propagation::Propagation;
use crate::writer::{self, Message, Snapshots};

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When it cannot start: no kubeconfig, the port of the admin pages in use. Once started it outlives every fault of its surroundings.
pub async fn run(args: Args, telemetry: Telemetry) -> anyhow::Result<()> {
    // First of all: whatever is wrong from here on is said on its pages.
    let admin = rollcall_admin::Server::bind(args.http_listen).await?;
    let admin = admin.with_access(rollcall_admin::Access::new(args.debug_access, &args.namespace));
    let readiness = Readiness::default();
    let stop = shutdown::on_signal(readiness.clone(), Duration::from_secs(args.lame_duck_seconds))?;
    let client = client().await?;
    serve(args, telemetry, admin, readiness, client, stop).await
}

/// Runs it on an API server and with admin pages that are there, until `stop`.
///
/// # Errors
/// When the flags of TLS do not fit each other.
pub async fn serve(
    args: Args,
    telemetry: Telemetry,
    admin: rollcall_admin::Server,
    readiness: Readiness,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (clock, mut registry) = (Clock::default(), registry(&readiness, &telemetry));
    look_around(&args, &readiness);

    // Beside the API server: the replicas among themselves, who know each other by the stream's certificate as well.
    let (acceptor, connections) = certified(&args, client.clone(), &readiness, &mut registry)?;
    let (member, denials) = (args.member(acceptor.as_ref()), denials(clock, &stop));
    let member = (member, denials.clone());
    let ((replicas, between), registered) = replicas::start(member, client.clone(), clock, &stop, &mut registry);

    // In: the one writer, and what speaks to it.
    let (inbox, snapshots, propagation) = written(&args, clock, &mut registry).await;
    let told = Teller { client: client.clone(), identity: args.identity() };
    let evictions = evictions::start(told, snapshots.clone(), propagation.watch_handed(), clock, &mut registry);
    let ((lookouts, findings), to) = (Lookouts::new(), (inbox.clone(), snapshots.clone(), clock));
    let (checked, asked) = ((evictions.clone(), replicas.clone(), &readiness), (lookouts.clone(), findings));
    let (orders, ears) = checks::start(client.clone(), to, checked, asked, &mut registry);
    let hearing = beats::start((orders.clone(), ears), &replicas, clock, &mut registry);
    let (observations, seen) = Observations::new();
    let access = access::start(client.clone(), args.access_grace, &mut registry);
    let (known, others) = ((client.clone(), snapshots.clone(), clock), agents::others(&access, &hearing));
    let (agents, watched) = agents::start(args.agents(), known, others, (lookouts, stop.clone()), &mut registry);
    let others = (&access, &inbox, &snapshots);
    let (federation, about) = federate(&args, client.clone(), others, clock, &mut registry).await;
    let (peers, looks) = (replicas.peers.clone(), orders.clone());
    let policies = (args.staleness(), pods::start(snapshots.clone(), orders.clone()));
    let to = {
        let (hearing, federation, snapshots) = (hearing.clone(), federation.clone(), snapshots.clone());
        Receivers { inbox, orders, hearing, replicas, agents: watched, observations, federation, snapshots, policies }
    };
    sources::start(&args.sources, client.clone(), &readiness, clock, to, &mut registry);

    // Out: the stream, and answers over HTTPS, on every replica.
    let certificates = certificates(&args, acceptor.as_ref(), &readiness);
    let beside = (agents, between, federation.as_ref());
    let (settings, until) = (stream(&args, beside, (&access, &snapshots)), (&readiness, stop.clone()));
    let serving = serve::start(settings, snapshots.clone(), propagation, acceptor, connections, until, &mut registry);
    let (served, linked) = ((args.identity(), serving.clients()), linked(federation.as_ref(), clock));
    let routes = routes(args.bootstrap(), hearing, (snapshots.clone(), looks), (served.clone(), peers), linked);
    let (api, until) = (args.api(), (&readiness, stop.clone()));
    let answering = api::start(&api, routes, access, certificates.as_ref(), until, &mut registry)?;

    // Out: the API server, by the leader.
    let (written, led) = ((snapshots.clone(), seen, evictions), (client, denials, (federation, about)));
    let election = lead(led, &args, written, clock, &stop, &mut registry)?;

    // For people.
    let pages = pages(&telemetry, snapshots, served);
    let admin = show(admin, pages, readiness, registry, &stop);
    info!(grpc = %args.grpc_listen, api = %args.api_listen, http = %args.http_listen, "started");

    stopped(stop, async { _ = tokio::join!(serving.drained(), answering, election, registered, admin) }).await
}

/// Readiness as notices of the pod, and the admin pages.
fn show(
    admin: rollcall_admin::Server,
    pages: rollcall_admin::Routes,
    readiness: Readiness,
    registry: Registry,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(Notices::of_this_pod("controller").watch(readiness.clone(), stop.clone()));
    tokio::spawn(admin.serve(readiness, Arc::new(registry), pages, stop.clone()))
}

/// What questions about endpoints of other clusters are answered from.
fn linked(federation: Option<&Federation>, clock: Clock) -> Linked {
    Linked { reports: federation.map(Federation::reports).unwrap_or_default(), clock }
}

/// Waits for the end, and for what ends then. Bounded: a client that does not close its connection must not keep the process.
async fn stopped(stop: CancellationToken, ended: impl Future<Output = ()>) -> anyhow::Result<()> {
    stop.cancelled().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
    info!("stopped");
    Ok(())
}

/// Starts what keeps the certificate of the stream; with it, what counts connections that fail.
fn certified(
    args: &Args,
    client: Client,
    readiness: &Readiness,
    registry: &mut Registry,
) -> anyhow::Result<(Option<Acceptor>, Arc<tls::Metrics>)> {
    let (connections, lent) = (Arc::default(), lent(client, &args.namespace));
    let acceptor = rollcall_authority::start(&args.tls, lent, Arc::clone(&connections), readiness, registry)?;
    Ok((acceptor, connections))
}

/// Starts what speaks with other clusters, if this one has an id.
async fn federate(
    args: &Args,
    client: Client,
    (access, inbox, snapshots): (&access::Access, &writer::Inbox, &Snapshots),
    clock: Clock,
    registry: &mut Registry,
) -> (Option<Federation>, About) {
    let about = args.federation.about().with_id(&client).await;
    let (settings, to) = (args.federation(&about), (inbox.clone(), snapshots.clone()));
    let start = |settings| federation::start(settings, client, access.clone(), to, clock, registry);
    (settings.map(start), about)
}

/// Starts the writer, and tells it what the flags say.
async fn written(args: &Args, clock: Clock, registry: &mut Registry) -> (writer::Inbox, Snapshots, Arc<Propagation>) {
    let (inbox, snapshots, propagation) = writer::start(args.sources.catalog(), &args.service_metrics, clock, registry);
    inbox.send(given(args)).await;
    (inbox, snapshots, propagation)
}

/// The stream, with who judges its readers.
fn stream(
    args: &Args,
    (agents, between, federation): (agents::Service, Option<BetweenReplicas>, Option<&Federation>),
    (access, snapshots): (&access::Access, &Snapshots),
) -> serve::start::Settings {
    args.stream(agents, between, federation, readers::start(args.who_reads(), access, snapshots))
}

/// Starts the election, and the writing by whom it elects. Beside readiness: who may not write serves all the same.
fn lead(
    (client, denials, (federation, about)): (Client, DenialNotices, (Option<Federation>, About)),
    args: &Args,
    (snapshots, seen, evictions): (Snapshots, mpsc::Receiver<Seen>, Evictions),
    clock: Clock,
    stop: &CancellationToken,
    registry: &mut Registry,
) -> anyhow::Result<JoinHandle<()>> {
    let identity = args.identity();
    let candidate = (identity.clone(), denials.clone());
    let (fence, election) =
        leadership::start(client.clone(), &args.namespace, candidate, clock, stop.clone(), registry);
    if let Some(federation) = federation {
        federation.tell(client.clone(), fence.clone(), clock);
    }
    about.keep(client.clone(), fence.clone(), stop.clone());
    bootstraps::start(args.bootstraps()?, (client.clone(), fence.clone(), denials.clone()), stop.clone(), registry);
    let writes_per_second = args.writes_per_second;
    let writing = Writing { client, fence, identity, denials, writes_per_second, evictions };
    writeback::start(writing, snapshots, seen, clock, registry);
    Ok(election)
}

/// Says what is not as it should be around this process.
fn look_around(args: &Args, readiness: &Readiness) {
    cluster_domain::check(&readiness.gate("cluster-domain"), &args.sources.resolv_conf, &args.cluster_domain);
    let streams = serve::start::connections_wanted(args.streams_max);
    let wanted = [streams, (Share::Probes, checks::PROBES_MAX), (Share::Api, args.api_connections_max as usize)];
    Descriptors::current().tell(&readiness.gate("descriptors"), &wanted);
}

/// Those of the API port: its own from files, else the stream's.
fn certificates(args: &Args, stream: Option<&Acceptor>, readiness: &Readiness) -> Option<Arc<Certificates>> {
    match args.api_files() {
        Some(files) => {
            Some(rollcall_authority::of_files(files, stream, readiness.gate("api-certificate"), Clock::wall_s))
        }
        None => stream.map(Acceptor::certificates).cloned(),
    }
}

/// Of the API port.
fn routes(
    stream: api::bootstrap::Stream,
    hearing: Hearing,
    (snapshots, looks): (Snapshots, mpsc::Sender<Order>),
    ((replica, clients), peers): ((String, Arc<rollcall_xds::server::Clients>), replicas::asking::Peers),
    linked: Linked,
) -> Routes {
    let routes = Routes::default().with(beats::request::route(hearing, linked.clock));
    let served = move |_| {
        let (replica, clients, peers) = (replica.clone(), Arc::clone(&clients), peers.clone());
        async move {
            let others = peers.streams().await;
            Ok(Answer::json(&streams::list_of_all(&replica, &clients.list(), others)))
        }
    };
    let right = Admits::Right { verb: "list", resource: "streams", of: "" };
    let routes = routes.with(Route::get("/v1/streams", served).admits(right));
    questions::start(api::bootstrap::routes(routes, stream), snapshots, looks, linked)
}

/// What is shown to operators beside readiness and metrics.
fn pages(
    telemetry: &Telemetry,
    snapshots: Snapshots,
    (replica, clients): (String, Arc<rollcall_xds::server::Clients>),
) -> rollcall_admin::Routes {
    let pages = telemetry.on(rollcall_admin::Routes::default());
    let pages = pages.with("/debug/streams", move |_| streams::page(&replica, &clients.list()));
    pages.with("/debug/catalog/", move |ask| explain::page(&snapshots, ask))
}

/// Where rights are told that are missing: beside readiness, for what is served goes on without them.
fn denials(clock: Clock, stop: &CancellationToken) -> DenialNotices {
    let concerns = Readiness::default();
    tokio::spawn(Notices::of_this_pod("controller").watch(concerns.clone(), stop.clone()));
    DenialNotices::new(concerns, clock)
}

/// What the flags tell the catalog.
fn given(args: &Args) -> Message {
    let policy = Arc::new(args.default_policy.policy());
    Message::Together(vec![Input::Guard(args.guard()), Input::DefaultPolicy(policy)])
}

/// What the authority does not have of its own.
fn lent(client: Client, namespace: &str) -> Surroundings {
    Surroundings {
        client,
        namespace: namespace.to_owned(),
        wall_s: Clock::wall_s,
        random: random::fraction,
        words: kube_error::words,
    }
}

/// With what every process measures.
fn registry(readiness: &Readiness, telemetry: &Telemetry) -> Registry {
    let mut registry = Registry::default();
    process::register(&mut registry);
    build_info::register(&mut registry, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    readiness.register(&mut registry);
    telemetry.register(&mut registry);
    registry
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
