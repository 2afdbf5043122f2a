//! How the parts are joined, in the order in which data flows.

mod seating;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rollcall_admin::{Access, Gate, Notices, Readiness, Reply, Routes, Server, Telemetry, ports};
use rollcall_health::probe::{Network, Probes};
use rollcall_vantage::attend;
use rollcall_xds::client::{self, Config, Known};
use rollcall_xds::tls::Own;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Manner;
use crate::answer::completion::Completion;
use crate::args::Args;
use crate::forward::Forwarder;
use crate::forward::keeper::{self, Keeper};
use crate::forward::routes;
use crate::forward::target::Target;
use crate::forward::upstreams::Upstreams;
use crate::front::bind::{Front, Speaks};
use crate::front::rates::Rates;
use crate::front::tls::Tls;
use crate::front::{Responder, tcp, udp};
use crate::holder::Held;
use crate::metrics::Metrics;
use crate::observe::flags::ObserveArgs;
use crate::observe::{self, Observer};
use crate::saved::{self, Saved, Saver};
use crate::subscription::whereabouts::Whereabouts;
use crate::subscription::{Subscriber, TYPES};
use crate::zone::{Registry, Settings, Zone, ZoneWriter};
use crate::{advertise, clock, hosts};
use seating::Seating;

/// A server with its addresses taken, as far as they can be had, which does not answer yet.
#[derive(Debug)]
pub struct Prepared {
    args: Args,
    fronts: Vec<Front>,
    tls_fronts: Vec<Front>,
    https_fronts: Vec<Front>,
    admin: Server,
    telemetry: Telemetry,
    held: Held,
}

// === impl Prepared ===

impl Prepared {
    /// Takes the addresses. That of the admin pages must be free; for one of DNS that is not, `serve` waits.
    pub async fn new(args: Args) -> anyhow::Result<Self> {
        Self::with_held(args, Held::default()).await
    }

    /// The same with the sockets that another process holds.
    pub async fn with_held(args: Args, held: Held) -> anyhow::Result<Self> {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(cpus, usize::from);
        let admin = Server::bind(args.http_listen).await?;
        let namespace = std::env::var("POD_NAMESPACE").unwrap_or_default();
        let admin = admin.with_access(Access::new(args.debug_access, &namespace));
        let fronts = args.listen.iter().map(|addr| Front::new(*addr, workers, held.clone())).collect();
        let of_tls = |addrs: &[SocketAddr], speaks| {
            addrs.iter().map(|addr| Front::of_tls(*addr, speaks, held.clone())).collect::<Vec<_>>()
        };
        let tls_fronts = of_tls(&args.tls_listen, Speaks::Tls);
        let https_fronts = of_tls(&args.https_listen, Speaks::Https);
        let prepared = Self { args, fronts, tls_fronts, https_fronts, admin, telemetry: Telemetry::default(), held };
        keeper::refuse_own(&prepared.args.forward, &prepared.dns_addrs().collect::<Vec<_>>())?;
        Ok(prepared)
    }

    /// Has logs and traces shown on the admin pages.
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Where DNS is answered, in the order of the flags.
    pub fn dns_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.fronts.iter().map(|front| front.addr)
    }

    /// Where DNS over TLS is answered, in the order of the flags.
    pub fn tls_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.tls_fronts.iter().map(|front| front.addr)
    }

    /// Where DNS over HTTP/2 is answered, in the order of the flags.
    pub fn https_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.https_fronts.iter().map(|front| front.addr)
    }

    /// Where the admin pages are.
    pub fn http_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Serves until `stop`, then finishes what was begun.
    pub async fn serve(self, readiness: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
        let (dns, http) = (self.dns_addrs().collect::<Vec<_>>(), self.http_addr());
        let seats = Seating::of(&self.args, dns.len() + self.tls_fronts.len() + self.https_fronts.len());
        seats.tell(&readiness.gate("descriptors"));
        let metrics = Arc::<Metrics>::default();
        metrics.holder.died(self.held.deaths());
        let (forwarder, keepers) = forward(&self.args, seats.forwards(), &dns, &readiness, &metrics)?;
        let (manner, rates, hosts) = manner(&self.args)?;
        let name_servers = advertise::addresses(&self.args.advertise, &dns, &self.args.catalog).await;
        let writer = ZoneWriter::new(settings(&self.args, name_servers));
        let observer = Arc::new(Observer::new(self.args.observe.is_of_each()).telling(self.args.observe.top_metrics));
        let zone = Arc::clone(writer.zone());
        let responder = Responder::new(Arc::clone(writer.zone()), Arc::clone(&metrics))
            .forwarding(forwarder.clone())
            .treating(manner, rates)
            .observed(Some(Arc::clone(&observer)));
        let (whereabouts, further) = whereabouts(self.args.catalog_service.as_deref(), &self.args.catalog).unzip();
        let config = config(&self.args, further);
        let subscriber = Subscriber::new(writer, Arc::clone(&metrics), readiness.gate("catalog")).telling(whereabouts);
        let (subscriber, known, snapshots) = restore(self.args.snapshot, subscriber, &metrics);

        tokio::spawn(grow_older(zone));
        let tasks = TaskTracker::new();
        let (gate, registry) = (readiness.gate("listen"), registry(&metrics, &readiness, &self.telemetry, &observer));
        tasks.spawn(Notices::of_this_pod("dns").watch(readiness.clone(), stop.clone()));
        let admin = self.admin.serve(readiness.clone(), registry, self.telemetry.on(pages(&observer)), stop.clone());
        let asked = self.args.vantage_node.map(|node| {
            let prober = || Probes::new(Network);
            attend::run(config.clone(), node, prober)
        });
        let stream = subscribe(Config { known, ..config }, subscriber, stop.clone());
        tasks.spawn(admin);
        if let Some(asked) = asked {
            tasks.spawn(until(asked, stop.clone()));
        }
        observe(self.args.observe, &observer, &tasks, &stop);
        if let Some(hosts) = hosts {
            tasks.spawn(hosts.run(stop.clone()));
        }
        for keeper in keepers {
            tasks.spawn(keeper.run(stop.clone()));
        }
        if let Some(snapshots) = snapshots {
            tasks.spawn(snapshots.run(stop.clone()));
        }
        let tls = tls(self.args.tls_cert_file.zip(self.args.tls_key_file), &readiness, &tasks, &stop)?;
        let fronts = self.fronts.into_iter().chain(self.tls_fronts).chain(self.https_fronts).collect();
        tasks.spawn(listen(fronts, tls, seats.connections(), gate, responder, tasks.clone(), stop));
        tracing::info!(?dns, %http, "started");
        stream.await?;
        tasks.close();
        tasks.wait().await;
        if let Some(forwarder) = forwarder {
            forwarder.finished().await;
        }
        tracing::info!("ended");
        Ok(())
    }
}

/// How clients are treated, as the flags say, how many answers they get, and what keeps the hosts file.
fn manner(args: &Args) -> anyhow::Result<(Manner, Option<Arc<Rates>>, Option<hosts::keep::Keeper>)> {
    let (manner, rates) = args.clients.read()?;
    let completion = args.forwarding.search_completion;
    let keeper = args.forwarding.hosts.clone().map(hosts::keep::Keeper::new).transpose()?;
    let hosts = keeper.as_ref().map(hosts::keep::Keeper::table).unwrap_or_default();
    Ok((Manner { completion, hosts, ..manner }, rates, keeper))
}

/// How names are answered, as the flags say.
fn settings(args: &Args, name_servers: Vec<IpAddr>) -> Settings {
    Settings {
        ttl: args.ttl,
        name_servers,
        pod_names: args.pod_names,
        knows_pods: args.forwarding.search_completion == Completion::Endpoints,
        registry: Registry::from(args.registry.clone()),
        outward: args.external.clone().into(),
    }
}

/// Pages beside those of each program.
fn pages(observer: &Arc<Observer>) -> Routes {
    let observer = Arc::clone(observer);
    Routes::default().with("/debug/top", move |_| Reply::text(observer.page()))
}

/// Has queries written as the flags say.
fn observe(args: ObserveArgs, observer: &Arc<Observer>, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some((which, each)) = args.query_log.zip(observer.listen()) {
        tasks.spawn(observe::log::write(each, which, Arc::clone(observer), stop.clone()));
    }
    if let Some((path, each)) = args.dnstap.zip(observer.listen()) {
        let identity = std::env::var("HOSTNAME").unwrap_or_else(|_| "rollcall-dns".to_owned());
        tasks.spawn(observe::tap::send(path, each, identity, Arc::clone(observer), stop.clone()));
    }
}

/// Has what is known grow older while there is no stream.
async fn grow_older(zone: Arc<Zone>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        zone.grow_older(1);
    }
}

/// All metrics, with what the observer tells of queries.
fn registry(
    metrics: &Metrics,
    readiness: &Readiness,
    telemetry: &Telemetry,
    observer: &Arc<Observer>,
) -> Arc<prometheus_client::registry::Registry> {
    let mut registry = metrics.registry(readiness, telemetry);
    observer.register(&mut registry);
    Arc::new(registry)
}

/// What DNS over TLS is spoken with, by the files of the certificate and its key; `None` without them.
fn tls(
    files: Option<(PathBuf, PathBuf)>,
    readiness: &Readiness,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Tls>> {
    let Some((cert, key)) = files else { return Ok(None) };
    let (tls, keeper) = Tls::new(cert, key, readiness.gate("tls"))?;
    tasks.spawn(keeper.run(stop.clone()));
    Ok(Some(tls))
}

/// Answers on each address as soon as it can be had; the gate opens with the last of them.
async fn listen(
    mut fronts: Vec<Front>,
    tls: Option<Tls>,
    connections_max: usize,
    gate: Gate,
    responder: Responder,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let answer = |front: &mut Front| {
        let bound = front.take()?;
        tracing::info!(dns = %bound.addr, "answering");
        let tls = match front.speaks {
            Speaks::Dns => None,
            Speaks::Tls => tls.clone(),
            Speaks::Https => tls.clone().map(Tls::for_http),
        };
        for socket in bound.udp {
            tasks.spawn(udp::serve(socket, responder.clone(), stop.clone()));
        }
        tasks.spawn(tcp::serve(bound.tcp, tls, responder.clone(), connections_max, stop.clone()));
        Ok(())
    };
    let all = || {
        let mut missing = Ok(());
        fronts.retain_mut(|front| {
            let refused = answer(front).map_err(|error| missing = Err(error));
            refused.is_err()
        });
        missing
    };
    ports::bind_when_free(&gate, &stop, all).await;
}

/// What answers names outside of the cluster, and who keeps its servers up to date; nothing when nobody is to be asked.
fn forward(
    args: &Args,
    in_flight_max: usize,
    listen: &[SocketAddr],
    readiness: &Readiness,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Option<Forwarder>, Vec<Keeper>)> {
    let trust = args.forwarding.trust(&args.forward)?;
    let keeper = |targets, upstreams: &Arc<Upstreams>, gate| {
        Keeper::new(targets, listen.to_vec(), Arc::clone(upstreams), Arc::clone(metrics), gate)
    };
    let upstreams = || Arc::new(Upstreams::trusting(trust.clone()));
    let others = (!args.forward.is_empty()).then(upstreams);
    let of_others = |upstreams| keeper(args.forward.clone(), upstreams, Some(readiness.gate("forward")));
    let mut keepers: Vec<_> = others.iter().map(of_others).collect();
    let mut routes = routes::Routes::new(others);
    for stub in &args.forwarding.stub_domain {
        let upstreams = upstreams();
        keepers.push(keeper(stub.servers.iter().cloned().map(Target::Server).collect(), &upstreams, None));
        routes.add(stub.domain.clone(), upstreams);
    }
    let forwarder = || {
        let forwarder = Forwarder::new(Arc::new(routes), in_flight_max, Arc::clone(metrics));
        forwarder.keeping(args.forwarding.cache()).wanting(args.forwarding.proofs())
    };
    Ok(((!keepers.is_empty()).then(forwarder), keepers))
}

fn whereabouts(service: Option<&str>, catalogs: &[String]) -> Option<(Whereabouts, watch::Receiver<Vec<String>>)> {
    Whereabouts::new(service?, catalogs)
}

/// Takes over the snapshot on disk, if there is one, and has the next ones written.
fn restore(
    path: Option<PathBuf>,
    mut subscriber: Subscriber,
    metrics: &Arc<Metrics>,
) -> (Subscriber, Known, Option<saved::keep::Keeper>) {
    let Some(path) = path else { return (subscriber, Known::new(), None) };
    let shown = path.display();
    let saved = Saved::open(&path).unwrap_or_else(|error| {
        metrics.saved.failed();
        tracing::warn!("the snapshot {shown} is not used, and will be replaced: {error}");
        None
    });
    let known = saved.as_ref().map(|saved| subscriber.restore(saved)).transpose().unwrap_or_else(|error| {
        metrics.saved.failed();
        tracing::warn!("the snapshot {shown} could not be read to its end: {error}");
        None
    });
    let saver = Saver::default();
    let subscriber = subscriber.saving(Some(saver.clone()));
    let base = saved.filter(|_| known.is_some());
    let keeper = saved::keep::Keeper::new(path, base, saver, Arc::clone(&metrics.saved), clock::since_epoch);
    (subscriber, known.unwrap_or_default(), Some(keeper))
}

/// How the catalog servers are reached, and what says to them who asks.
fn config(args: &Args, further: Option<watch::Receiver<Vec<String>>>) -> Config {
    let node_id = std::env::var("HOSTNAME").unwrap_or_else(|_| "rollcall-dns".to_owned());
    let own = args.catalog_cert_file.clone().zip(args.catalog_key_file.clone());
    let mut config = Config {
        types: TYPES.to_vec(),
        ca_file: args.catalog_ca_file.clone(),
        server_name: args.catalog_server_name.clone(),
        token_file: args.catalog_token_file.clone(),
        own: own.map(|(certificate, key)| Own { certificate, key }),
        ..Config::new(args.catalog.clone(), node_id)
    };
    if let Some(further) = further {
        config.further = further;
    }
    config
}

/// Does something until `stop`.
async fn until(what: impl Future<Output = ()>, stop: CancellationToken) {
    tokio::select! {
        () = what => {}
        () = stop.cancelled() => {}
    }
}

fn subscribe(
    config: Config,
    mut subscriber: Subscriber,
    stop: CancellationToken,
) -> impl Future<Output = anyhow::Result<()>> {
    let sink = move |event| subscriber.on_event(event);
    let stream = tokio::spawn(client::run(config, sink, stop.cancelled_owned()));
    async move { stream.await.context("the subscription ended by itself")?.context("--catalog") }
}
