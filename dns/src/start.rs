//! How the parts are joined, in the order in which data flows.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use rollcall_admin::{Readiness, Routes, Server, build_info, process};
use rollcall_xds::client::{self, Config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Args;
use crate::front::bind::{Bound, bind};
use crate::front::{Responder, tcp, udp};
use crate::metrics::Metrics;
use crate::subscription::{Subscriber, TYPES};
use crate::zone::{Settings, ZoneWriter};

/// A server with its addresses taken, which does not answer yet.
#[derive(Debug)]
pub struct Prepared {
    args: Args,
    fronts: Vec<Bound>,
    admin: Server,
}

// === impl Prepared ===

impl Prepared {
    /// Takes all addresses, so that whatever is wrong with them is said before anything runs.
    pub async fn new(args: Args) -> anyhow::Result<Self> {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(cpus, usize::from);
        let fronts = args.listen.iter().map(|addr| bind(*addr, workers)).collect::<Result<_, _>>()?;
        let admin = Server::bind(args.http_listen).await?;
        Ok(Self { args, fronts, admin })
    }

    /// Where DNS is answered, in the order of the flags.
    pub fn dns_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.fronts.iter().map(|bound| bound.addr)
    }

    /// Where the admin pages are.
    pub fn http_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Serves until `stop`, then finishes what was begun.
    pub async fn serve(self, readiness: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
        let (dns, http) = (self.dns_addrs().collect::<Vec<_>>(), self.http_addr());
        let metrics = Arc::<Metrics>::default();
        let writer = ZoneWriter::new(Settings { ttl: self.args.ttl, name_servers: name_servers(&dns) });
        let responder = Responder::new(Arc::clone(writer.zone()), Arc::clone(&metrics));
        let subscriber = Subscriber::new(writer, Arc::clone(&metrics), readiness.gate("catalog"));

        let tasks = TaskTracker::new();
        let admin = self.admin.serve(readiness, registry(&metrics), Routes::default(), stop.clone());
        let stream = subscribe(self.args.catalog, subscriber, stop.clone())?;
        tasks.spawn(admin);
        for bound in self.fronts {
            for socket in bound.udp {
                tasks.spawn(udp::serve(socket, responder.clone(), stop.clone()));
            }
            tasks.spawn(tcp::serve(bound.tcp, responder.clone(), stop.clone()));
        }
        tracing::info!(?dns, %http, "answering");
        stream.await?;
        tasks.close();
        tasks.wait().await;
        tracing::info!("ended");
        Ok(())
    }
}

fn subscribe(
    servers: Vec<String>,
    mut subscriber: Subscriber,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let node_id = std::env::var("HOSTNAME").unwrap_or_else(|_| "rollcall-dns".to_owned());
    let config = Config { types: TYPES.to_vec(), ..Config::new(servers, node_id) };
    let sink = move |event| subscriber.on_event(event);
    let stream = tokio::spawn(client::run(config, sink, stop.cancelled_owned()));
    Ok(async move { stream.await.context("the subscription ended by itself")?.context("--catalog") })
}

fn registry(metrics: &Metrics) -> Arc<Registry> {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    process::register(&mut registry);
    build_info::register(&mut registry, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    Arc::new(registry)
}

/// What the zone's name server resolves to: the addresses given, without those that stand for all of a machine's.
fn name_servers(addrs: &[SocketAddr]) -> Vec<IpAddr> {
    let mut ips: Vec<_> = addrs.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}
