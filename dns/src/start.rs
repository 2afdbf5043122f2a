//! How the parts are joined, in the order in which data flows.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rollcall_admin::descriptors::Share;
use rollcall_admin::{Access, Descriptors, Gate, Notices, Readiness, Routes, Server, Telemetry, ports};
use rollcall_xds::client::{self, Config};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::advertise;
use crate::args::Args;
use crate::forward::Forwarder;
use crate::forward::keeper::{self, Keeper};
use crate::forward::target::Target;
use crate::forward::upstreams::Upstreams;
use crate::front::bind::Front;
use crate::front::{Responder, tcp, udp};
use crate::metrics::Metrics;
use crate::subscription::whereabouts::Whereabouts;
use crate::subscription::{Subscriber, TYPES};
use crate::zone::{Registry, Settings, Zone, ZoneWriter};

/// A server with its addresses taken, as far as they can be had, which does not answer yet.
#[derive(Debug)]
pub struct Prepared {
    args: Args,
    fronts: Vec<Front>,
    admin: Server,
    telemetry: Telemetry,
}

// === impl Prepared ===

impl Prepared {
    /// Takes the addresses. That of the admin pages must be free; for one of DNS that is not, `serve` waits.
    pub async fn new(args: Args) -> anyhow::Result<Self> {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(cpus, usize::from);
        let admin = Server::bind(args.http_listen).await?;
        let namespace = std::env::var("POD_NAMESPACE").unwrap_or_default();
        let admin = admin.with_access(Access::new(args.debug_access, &namespace));
        let fronts = args.listen.iter().map(|addr| Front::new(*addr, workers)).collect();
        let prepared = Self { args, fronts, admin, telemetry: Telemetry::default() };
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

    /// Where the admin pages are.
    pub fn http_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Serves until `stop`, then finishes what was begun.
    pub async fn serve(self, readiness: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
        let (dns, http) = (self.dns_addrs().collect::<Vec<_>>(), self.http_addr());
        let seats = Seating::of(&self.args, dns.len());
        seats.tell(&readiness.gate("descriptors"));
        let metrics = Arc::<Metrics>::default();
        let name_servers = advertise::addresses(&self.args.advertise, &dns, &self.args.catalog).await;
        let registry = Registry { domains: self.args.registry_domain, namespace: self.args.registry_namespace.into() };
        let settings = Settings { ttl: self.args.ttl, name_servers, pod_names: self.args.pod_names, registry };
        let writer = ZoneWriter::new(settings);
        let zone = Arc::clone(writer.zone());
        let (forwarder, keeper) = forward(self.args.forward, seats.forwards(), &dns, &readiness, &metrics).unzip();
        let responder = Responder::new(Arc::clone(writer.zone()), Arc::clone(&metrics)).forwarding(forwarder.clone());
        let (whereabouts, further) = whereabouts(self.args.catalog_service.as_deref(), &self.args.catalog).unzip();
        let subscriber = Subscriber::new(writer, Arc::clone(&metrics), readiness.gate("catalog")).telling(whereabouts);

        tokio::spawn(grow_older(zone));
        let tasks = TaskTracker::new();
        let (gate, registry) = (readiness.gate("listen"), Arc::new(metrics.registry(&readiness, &self.telemetry)));
        tasks.spawn(Notices::of_this_pod("dns").watch(readiness.clone(), stop.clone()));
        let admin = self.admin.serve(readiness, registry, self.telemetry.on(Routes::default()), stop.clone());
        let stream = subscribe(
            self.args.catalog,
            further,
            self.args.catalog_ca_file,
            self.args.catalog_server_name,
            subscriber,
            stop.clone(),
        )?;
        tasks.spawn(admin);
        if let Some(keeper) = keeper {
            tasks.spawn(keeper.run(stop.clone()));
        }
        tasks.spawn(listen(self.fronts, seats.connections(), gate, responder, tasks.clone(), stop));
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

/// Has what is known grow older while there is no stream.
async fn grow_older(zone: Arc<Zone>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        zone.grow_older(1);
    }
}

/// How many connections and forwarded questions there may be, as the flags say and the limit of open files allows.
#[derive(Clone, Copy, Debug)]
struct Seating {
    fronts: usize,
    connections: usize,
    forwards: usize,
}

// === impl Seating ===

impl Seating {
    fn of(args: &Args, fronts: usize) -> Self {
        let forwards = if args.forward.is_empty() { 0 } else { args.forward_in_flight as usize };
        Self { fronts: fronts.max(1), connections: args.tcp_connections as usize, forwards }
    }

    /// Files that each part wants. A question from a TCP connection, which takes no seat while it waits, holds that and
    /// its own socket.
    fn wanted(self) -> [(Share, usize); 2] {
        [(Share::DnsClients, self.connections * self.fronts), (Share::DnsForwards, 2 * self.forwards)]
    }

    fn tell(self, gate: &Gate) {
        Descriptors::current().tell(gate, &self.wanted());
    }

    /// Of each address.
    fn connections(self) -> usize {
        let [(share, wanted), _] = self.wanted();
        Descriptors::current().share(share, wanted) / self.fronts
    }

    fn forwards(self) -> usize {
        let [_, (share, wanted)] = self.wanted();
        Descriptors::current().share(share, wanted) / 2
    }
}

/// Answers on each address as soon as it can be had; the gate opens with the last of them.
async fn listen(
    mut fronts: Vec<Front>,
    connections_max: usize,
    gate: Gate,
    responder: Responder,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let answer = |front: &mut Front| {
        let bound = front.take()?;
        tracing::info!(dns = %bound.addr, "answering");
        for socket in bound.udp {
            tasks.spawn(udp::serve(socket, responder.clone(), stop.clone()));
        }
        tasks.spawn(tcp::serve(bound.tcp, responder.clone(), connections_max, stop.clone()));
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

/// What answers names outside of the cluster; `None` when nobody is to be asked.
fn forward(
    targets: Vec<Target>,
    in_flight_max: usize,
    listen: &[SocketAddr],
    readiness: &Readiness,
    metrics: &Arc<Metrics>,
) -> Option<(Forwarder, Keeper)> {
    let upstreams = Arc::<Upstreams>::default();
    let gate = || readiness.gate("forward");
    let keeper = |targets| Keeper::new(targets, listen.to_vec(), Arc::clone(&upstreams), Arc::clone(metrics), gate());
    let forwarder = || Forwarder::new(Arc::clone(&upstreams), in_flight_max, Arc::clone(metrics));
    (!targets.is_empty()).then(|| (forwarder(), keeper(targets)))
}

fn whereabouts(service: Option<&str>, catalogs: &[String]) -> Option<(Whereabouts, watch::Receiver<Vec<String>>)> {
    Whereabouts::new(service?, catalogs)
}

fn subscribe(
    servers: Vec<String>,
    further: Option<watch::Receiver<Vec<String>>>,
    ca_file: Option<PathBuf>,
    server_name: Option<String>,
    mut subscriber: Subscriber,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let node_id = std::env::var("HOSTNAME").unwrap_or_else(|_| "rollcall-dns".to_owned());
    let mut config = Config { types: TYPES.to_vec(), ca_file, server_name, ..Config::new(servers, node_id) };
    if let Some(further) = further {
        config.further = further;
    }
    let sink = move |event| subscriber.on_event(event);
    let stream = tokio::spawn(client::run(config, sink, stop.cancelled_owned()));
    Ok(async move { stream.await.context("the subscription ended by itself")?.context("--catalog") })
}
