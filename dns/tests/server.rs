//! The whole server on real sockets, against a real catalog stream.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use rollcall_admin::Readiness;
use rollcall_admin::conventions::assert_metric_conventions;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use rollcall_xds::cache::{Cache, Snapshot};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

const SECONDS: Duration = Duration::from_secs(60);
const DB: &str = "db.shop.svc.cluster.local.";

/// A catalog server whose content the test sets.
struct Catalog {
    cache: Cache,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    addr: SocketAddr,
    task: JoinHandle<()>,
}

struct Dns {
    addr: SocketAddr,
    http: SocketAddr,
    readiness: Readiness,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

// === impl Catalog ===

impl Catalog {
    async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(addr: SocketAddr) -> Self {
        let snapshots = watch::Sender::new(None);
        let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = server.into_router().serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(serving);
        Self { cache: Cache::new(), snapshots, addr, task }
    }

    fn set(&mut self, addresses: &[[u8; 4]]) {
        let endpoint = |(id, address): (usize, &[u8; 4])| proto::Endpoint {
            id: id as u64,
            addresses: vec![address.to_vec().into()],
            ready: true,
            ..Default::default()
        };
        let (namespace, name) = ("shop".to_owned(), "db".to_owned());
        let bucket = proto::EndpointBucket {
            namespace: namespace.clone(),
            service: name.clone(),
            endpoints: addresses.iter().enumerate().map(endpoint).collect(),
            port_sets: vec![proto::PortSet::default()],
        };
        let kind = proto::service::Kind::Headless.into();
        let service = proto::Service { namespace, name, kind, buckets: 1, ..Default::default() };
        let strict = proto::Service {
            name: "strict".to_owned(),
            staleness: Some(proto::Staleness { after_ms: 1, refuse: true, ..Default::default() }),
            ..service.clone()
        };
        self.cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, "shop/strict", &strict));
        let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
        let bucket = Resource::new(ResourceType::EndpointBucket, "shop/db/1/0", &bucket);
        self.cache.upsert(ResourceType::EndpointBucket, bucket);
        self.cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, "shop/db", &service));
        self.cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
        self.snapshots.send_replace(Some(self.cache.publish()));
    }
}

// === impl Dns ===

impl Dns {
    async fn start(catalog: SocketAddr) -> Self {
        Self::with(catalog, &[]).await
    }

    async fn with(catalog: SocketAddr, more: &[&str]) -> Self {
        let catalog = format!("http://{catalog}");
        let flags =
            ["--catalog", &catalog, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--workers", "2"];
        let args = Args::try_parse_from(["rollcall-dns"].iter().chain(&flags).chain(more)).unwrap();
        let prepared = Prepared::new(args).await.unwrap();
        let (addr, http) = (prepared.dns_addrs().next().unwrap(), prepared.http_addr());
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let task = tokio::spawn(prepared.serve(readiness.clone(), stop.clone()));
        Self { addr, http, readiness, stop, task }
    }

    async fn udp(&self, name: &str) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&query(name), self.addr).await.unwrap();
        let mut answer = [0; 4096];
        let len = timeout(SECONDS, socket.recv(&mut answer)).await.expect("an answer over UDP").unwrap();
        Message::from_vec(&answer[..len]).unwrap()
    }

    async fn tcp(&self, name: &str) -> Message {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let query = query(name);
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).await.unwrap();
        let len = timeout(SECONDS, stream.read_u16()).await.expect("an answer over TCP").unwrap();
        let mut answer = vec![0; usize::from(len)];
        stream.read_exact(&mut answer).await.unwrap();
        Message::from_vec(&answer).unwrap()
    }

    async fn http(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        page
    }

    /// Asks over UDP until the addresses of the service are these.
    async fn wait_for(&self, expected: &[[u8; 4]]) -> Duration {
        let (begin, expected) = (Instant::now(), expected.iter().map(|ip| Ipv4Addr::from(*ip).to_string()));
        let expected: Vec<_> = expected.collect();
        loop {
            let told = addresses(&self.udp(DB).await);
            if told == expected {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < SECONDS, "{told:?}, not {expected:?}; gates {:?}", self.readiness.gates());
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn query(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.set_edns(Edns::new());
    message.to_vec().unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    let mut all: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
    all.sort();
    all
}

fn sample(page: &str, name: &str) -> String {
    let line = page.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{page}")).rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_follows_the_catalog_and_keeps_the_last_answers_without_it() {
    let mut catalog = Catalog::start().await;
    let dns = Dns::start(catalog.addr).await;

    assert_eq!(dns.udp(DB).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(dns.tcp(DB).await.metadata.response_code, ResponseCode::ServFail);
    let page = dns.http("/readyz").await;
    assert!(page.starts_with("HTTP/1.1 503 ") && page.contains("not ready: catalog: "), "{page}");

    catalog.set(&[[10, 1, 0, 1], [10, 1, 0, 2]]);
    dns.wait_for(&[[10, 1, 0, 1], [10, 1, 0, 2]]).await;
    assert_eq!(addresses(&dns.tcp(DB).await), ["10.1.0.1", "10.1.0.2"]);
    assert!(dns.http("/readyz").await.starts_with("HTTP/1.1 200 "));

    catalog.set(&[[10, 1, 0, 2], [10, 1, 0, 3]]);
    let took = dns.wait_for(&[[10, 1, 0, 2], [10, 1, 0, 3]]).await;
    println!("change to answer: {took:?}");

    catalog.task.abort();
    drop(catalog);
    let begin = Instant::now();
    while sample(&dns.http("/metrics").await, "rollcall_dns_stream_connected ") != "0" {
        assert!(begin.elapsed() < SECONDS, "the loss of the catalog is not seen");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(addresses(&dns.udp(DB).await), ["10.1.0.2", "10.1.0.3"]);
    assert!(dns.readiness.is_ready(), "old answers are answers");

    let page = dns.http("/metrics").await;
    let (_, metrics) = page.split_once("\r\n\r\n").unwrap();
    assert_metric_conventions(metrics);
    assert_eq!(sample(metrics, "rollcall_dns_endpoints "), "2");
    assert_eq!(sample(metrics, r#"rollcall_dns_queries_total{transport="tcp",type="A",rcode="SERVFAIL"}"#), "1");

    dns.stop.cancel();
    timeout(SECONDS, dns.task).await.expect("the server ends").unwrap().unwrap();
    assert!(TcpStream::connect(dns.addr).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_with_the_remedy_and_taken_when_it_is_free() {
    let mut catalog = Catalog::start().await;
    catalog.set(&[[10, 1, 0, 1]]);
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = other.local_addr().unwrap();
    let (url, listen) = (format!("http://{}", catalog.addr), format!("{addr},127.0.0.2:0"));
    let flags = ["rollcall-dns", "--catalog", &url, "--listen", &listen, "--http-listen", "127.0.0.1:0"];
    let prepared = Prepared::new(Args::try_parse_from(flags).unwrap()).await.unwrap();
    let (free, http) = (prepared.dns_addrs().nth(1).unwrap(), prepared.http_addr());
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let task = tokio::spawn(prepared.serve(readiness.clone(), stop.clone()));
    let dns = Dns { addr: free, http, readiness, stop, task };

    dns.wait_for(&[[10, 1, 0, 1]]).await;
    let page = dns.http("/readyz").await;
    let said = format!("not ready: listen: port {} on 127.0.0.1 is in use by another process", addr.port());
    assert!(page.starts_with("HTTP/1.1 503 ") && page.contains(&said), "{page}");
    assert!(page.contains("set --listen (dns.listenPort in the chart)"), "{page}");
    assert_eq!(sample(&dns.http("/metrics").await, r#"rollcall_ready{gate="listen"}"#), "0");

    drop(other);
    let begin = Instant::now();
    while !dns.readiness.is_ready() {
        assert!(begin.elapsed() < SECONDS, "{:?}", dns.readiness.gates());
        sleep(Duration::from_millis(10)).await;
    }
    Dns { addr, ..dns }.wait_for(&[[10, 1, 0, 1]]).await;
}

#[tokio::test]
async fn an_admin_port_in_use_ends_the_start_with_the_remedy() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = other.local_addr().unwrap().to_string();
    let flags = ["rollcall-dns", "--catalog", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--http-listen", &http];
    let error = Prepared::new(Args::try_parse_from(flags).unwrap()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("admin address {http} is in use")) && error.contains("--http-listen"), "{error}");
}

/// Whether an answer says that it may be stale (RFC 8914 §4.4), over UDP.
async fn says_stale(dns: &Dns, name: &str) -> bool {
    let message = dns.udp(name).await;
    let options = message.edns.expect("OPT is kept").options().clone();
    // Extended DNS error 3.
    options.options.iter().any(|(_, option)| Vec::<u8>::try_from(option).unwrap().starts_with(&[0, 3]))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < SECONDS, "not within {SECONDS:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_killed_a_server_starts_from_its_snapshot_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog").display().to_string();
    let mut catalog = Catalog::start().await;
    catalog.set(&[[10, 1, 0, 1], [10, 1, 0, 2]]);
    let dns = Dns::with(catalog.addr, &["--snapshot", &path]).await;
    dns.wait_for(&[[10, 1, 0, 1], [10, 1, 0, 2]]).await;
    assert!(!says_stale(&dns, DB).await);
    until("it is written", async || sample(&dns.http("/metrics").await, "rollcall_dns_snapshot_writes_total ") != "0")
        .await;
    dns.task.abort();
    catalog.task.abort();
    let addr = catalog.addr;
    drop(catalog);

    let dns = Dns::with(addr, &["--snapshot", &path]).await;
    // The first question is answered: nobody waits for a controller.
    assert_eq!(addresses(&dns.udp(DB).await), ["10.1.0.1", "10.1.0.2"]);
    for name in [DB, "nobody.shop.svc.cluster.local.", "shop.svc.cluster.local."] {
        assert!(says_stale(&dns, name).await, "{name}");
    }
    until("it is ready", async || dns.readiness.is_ready()).await;
    let page = dns.http("/readyz").await;
    assert!(page.contains("answering from the snapshot on disk, ") && page.contains("marked as stale: no c"), "{page}");
    // Its policy: not at all when it is older than that.
    let strict = "strict.shop.svc.cluster.local.";
    until("it is too old", async || dns.udp(strict).await.metadata.response_code == ResponseCode::ServFail).await;
    assert_eq!(sample(&dns.http("/metrics").await, "rollcall_dns_snapshot_in_use "), "1");

    let mut catalog = Catalog::at(addr).await;
    catalog.set(&[[10, 1, 0, 1], [10, 1, 0, 3]]);
    dns.wait_for(&[[10, 1, 0, 1], [10, 1, 0, 3]]).await;
    until("nothing is stale", async || !says_stale(&dns, DB).await).await;
    let page = dns.http("/readyz").await;
    assert!(!page.contains("snapshot"), "{page}");
    let page = dns.http("/metrics").await;
    let services = page.lines().find(|line| line.starts_with(r#"rollcall_dns_resource_updates_total{type="service"}"#));
    assert!(services.is_none_or(|line| line.ends_with(" 0")), "the services were in the file: {services:?}");
    assert_ne!(dns.udp(strict).await.metadata.response_code, ResponseCode::ServFail);
    dns.stop.cancel();
    timeout(SECONDS, dns.task).await.expect("the server ends").unwrap().unwrap();

    // Damaged, it is as if there were none.
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let dns = Dns::with("127.0.0.1:9".parse().unwrap(), &["--snapshot", &path]).await;
    assert_eq!(dns.udp(DB).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(sample(&dns.http("/metrics").await, "rollcall_dns_snapshot_failures_total "), "1");
}
