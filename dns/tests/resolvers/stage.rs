//! What resolvers ask: two servers on one catalog, at the port that resolvers know, and another one for names of others.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use rollcall_xds::cache::{Cache, Snapshot};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::upstream::{Asked, Upstream, add_addresses, answer};

/// For what takes milliseconds on a machine that is idle.
const SECONDS: Duration = Duration::from_secs(60);
/// The one address of `www.outside.example`.
pub(crate) const OUTSIDE: [u8; 4] = [198, 18, 0, 1];

/// All that runs until it is dropped.
pub(crate) struct Stage {
    _snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    _upstream: Upstream,
}

/// A server by its pages.
pub(crate) struct Dns {
    /// What stands behind `nameserver`.
    pub(crate) address: &'static str,
    http: SocketAddr,
}

// === impl Stage ===

impl Stage {
    /// Starts a server that completes nobody's names, and one that completes all.
    pub(crate) async fn start() -> (Self, [Dns; 2]) {
        let snapshots = watch::Sender::new(Some(catalog()));
        let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let catalog = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server.into_router().serve_with_incoming(TcpListenerStream::new(listener)));
        let upstream = Upstream::start(|asked| vec![outside(asked)]).await;
        let forward = upstream.addr.to_string();
        let plain = Dns::start("127.0.0.1", &catalog, &forward, "off").await;
        let completing = Dns::start("127.0.0.2", &catalog, &forward, "all").await;
        (Self { _snapshots: snapshots, _upstream: upstream }, [plain, completing])
    }
}

// === impl Dns ===

impl Dns {
    async fn start(address: &'static str, catalog: &str, forward: &str, completion: &str) -> Self {
        let listen = format!("{address}:53");
        let flags = ["--catalog", catalog, "--listen", &listen, "--http-listen", "127.0.0.1:0", "--workers", "1"];
        let forwarding = ["--forward", forward, "--search-completion", completion];
        let args = Args::try_parse_from(["rollcall-dns"].into_iter().chain(flags).chain(forwarding)).unwrap();
        let prepared = Prepared::new(args).await.unwrap();
        let (http, readiness) = (prepared.http_addr(), Readiness::default());
        tokio::spawn(prepared.serve(readiness.clone(), CancellationToken::new()));
        let ready = async {
            while !readiness.is_ready() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(SECONDS, ready).await;
        in_time.unwrap_or_else(|_| panic!("{address} does not become ready: {:?}", readiness.gates()));
        Self { address, http }
    }

    /// Queries that it has answered so far, whatever with.
    pub(crate) fn queries(&self) -> u64 {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let counters = ["rollcall_dns_queries_total{", "rollcall_dns_forwarded_queries_total{"];
        let counted = page.lines().filter(|line| counters.iter().any(|counter| line.starts_with(counter)));
        counted.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

/// The other server's names: one that has an address of IPv4 alone.
fn outside(asked: &Asked) -> Vec<u8> {
    let question = asked.message.queries[0].clone();
    let is_known = question.name().to_ascii().eq_ignore_ascii_case("www.outside.example.");
    answer(asked, |message: &mut Message| match (is_known, question.query_type()) {
        (true, RecordType::A) => add_addresses(message, &[OUTSIDE]),
        (true, _) => {}
        (false, _) => message.metadata.response_code = ResponseCode::NXDomain,
    })
}

fn catalog() -> Arc<Snapshot> {
    use proto::service::Kind;
    let mut cache = Cache::new();
    let mut add = |key: &str, kind: Kind, cluster_ips: &[&[u8]], endpoints: u32, external_name: &str| {
        let (namespace, name) = key.split_once('/').unwrap();
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let endpoint = |at: u32| proto::Endpoint {
            id: at.into(),
            addresses: vec![vec![10, 1, (at / 250) as u8, (at % 250) as u8].into()],
            hostname: format!("{name}-{at}"),
            ready: true,
            ..Default::default()
        };
        let endpoints: Vec<_> = (0..endpoints).map(endpoint).collect();
        let buckets = u32::from(!endpoints.is_empty());
        let port_sets = vec![proto::PortSet::default()];
        let bucket =
            proto::EndpointBucket { namespace: namespace.clone(), service: name.clone(), endpoints, port_sets };
        if buckets > 0 {
            let bucket = Resource::new(ResourceType::EndpointBucket, format!("{key}/1/0"), &bucket);
            cache.upsert(ResourceType::EndpointBucket, bucket);
        }
        let cluster_ips = cluster_ips.iter().map(|address| address.to_vec().into()).collect();
        let (kind, external_name) = (kind.into(), external_name.to_owned());
        let service =
            proto::Service { namespace, name, kind, cluster_ips, buckets, external_name, ..Default::default() };
        cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, key, &service));
    };
    let v6 = [0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    add("shop/web", Kind::ClusterIp, &[&[10, 96, 0, 1], &v6], 0, "");
    add("other/api", Kind::ClusterIp, &[&[10, 96, 0, 2]], 0, "");
    add("shop/db", Kind::Headless, &[], 2, "");
    add("shop/crowd", Kind::Headless, &[], 25, "");
    add("shop/throng", Kind::Headless, &[], 120, "");
    add("shop/away", Kind::ExternalName, &[], 0, "www.outside.example");
    let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
    cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
    cache.publish()
}
