//! The server under test, with or without a catalog, and a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_proto::rr::{Name, RecordType};
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use rollcall_xds::cache::{Cache, Snapshot};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

/// For what takes milliseconds on a machine that is idle.
pub(crate) const SECONDS: Duration = Duration::from_secs(30);

pub(crate) struct Dns {
    pub(crate) addr: SocketAddr,
    pub(crate) readiness: Readiness,
    http: SocketAddr,
    stop: CancellationToken,
}

// === impl Dns ===

impl Dns {
    /// A server without a catalog that has looked at the servers it forwards to.
    pub(crate) async fn start(forward: &[&str]) -> Self {
        let dns = Self::start_unready("http://127.0.0.1:1", forward).await;
        dns.wait_for_gate("forward", |closed| closed.is_none()).await;
        dns
    }

    pub(crate) async fn start_unready(catalog: &str, forward: &[&str]) -> Self {
        Self::start_with(catalog, forward, &[]).await
    }

    /// With further flags.
    pub(crate) async fn start_with(catalog: &str, forward: &[&str], further: &[&str]) -> Self {
        let flags = ["--catalog", catalog, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--workers", "2"];
        let flags = flags.into_iter().chain(["--cache-bytes", "0"]);
        let forward = forward.iter().flat_map(|target| ["--forward", target]);
        let args = Args::try_parse_from(
            ["rollcall-dns"].into_iter().chain(flags).chain(forward).chain(further.iter().copied()),
        )
        .unwrap();
        let prepared = Prepared::new(args).await.unwrap();
        let (addr, http) = (prepared.dns_addrs().next().unwrap(), prepared.http_addr());
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        tokio::spawn(prepared.serve(readiness.clone(), stop.clone()));
        Self { addr, readiness, http, stop }
    }

    pub(crate) async fn wait_for_gate(&self, name: &str, mut expected: impl FnMut(Option<&str>) -> bool) {
        let begin = Instant::now();
        loop {
            let gates = self.readiness.gates();
            if gates.iter().any(|gate| *gate.name == *name && expected(gate.closed.as_deref())) {
                return;
            }
            assert!(begin.elapsed() < SECONDS, "gate {name}: {gates:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn udp(&self, query: &Message) -> Message {
        self.udp_within(query, SECONDS).await.expect("an answer over UDP")
    }

    /// Asks once. `None` when no answer comes in time: it may come later, or a datagram may be lost.
    pub(crate) async fn udp_within(&self, query: &Message, patience: Duration) -> Option<Message> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&query.to_vec().unwrap(), self.addr).await.unwrap();
        let mut answer = [0; 4096];
        let len = timeout(patience, socket.recv(&mut answer)).await.ok()?.unwrap();
        Some(Message::from_vec(&answer[..len]).unwrap())
    }

    pub(crate) async fn tcp(&self, queries: &[Message]) -> Vec<Message> {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        for query in queries {
            let bytes = query.to_vec().unwrap();
            stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).await.unwrap();
        }
        let mut answers = Vec::new();
        for _ in queries {
            let len = timeout(SECONDS, stream.read_u16()).await.expect("an answer over TCP").unwrap();
            let mut answer = vec![0; usize::from(len)];
            stream.read_exact(&mut answer).await.unwrap();
            answers.push(Message::from_vec(&answer).unwrap());
        }
        answers
    }

    /// The value of a sample of the metrics page; 0 when it is not there.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let page = self.metrics().await;
        let line = page.lines().find(|line| line.starts_with(sample));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) async fn wait_for_metric(&self, sample: &str, least: f64) {
        let begin = Instant::now();
        while self.metric(sample).await < least {
            assert!(begin.elapsed() < SECONDS, "{sample} below {least}: {}", self.metrics().await);
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        page.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A catalog with a headless Service `shop/db` at 10.1.0.1 and `shop/away`, which is a name elsewhere.
pub(crate) struct Catalog {
    pub(crate) url: String,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
}

// === impl Catalog ===

impl Catalog {
    pub(crate) async fn start() -> Self {
        let snapshots = watch::Sender::new(None);
        let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = server.into_router().serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        Self { url, snapshots }
    }

    pub(crate) fn publish(&self, external_name: &str) {
        use proto::service::Kind;
        let service = |name: &str, kind: Kind, buckets, external_name: &str| proto::Service {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            kind: kind.into(),
            buckets,
            external_name: external_name.to_owned(),
            ..Default::default()
        };
        let endpoint =
            proto::Endpoint { id: 1, addresses: vec![vec![10, 1, 0, 1].into()], ready: true, ..Default::default() };
        let bucket = proto::EndpointBucket {
            namespace: "shop".to_owned(),
            service: "db".to_owned(),
            endpoints: vec![endpoint],
            port_sets: vec![proto::PortSet::default()],
        };
        let mut cache = Cache::new();
        let kind = ResourceType::Service;
        cache.upsert(ResourceType::EndpointBucket, Resource::new(ResourceType::EndpointBucket, "shop/db/1/0", &bucket));
        cache.upsert(kind, Resource::new(kind, "shop/db", &service("db", Kind::Headless, 1, "")));
        cache.upsert(kind, Resource::new(kind, "shop/away", &service("away", Kind::ExternalName, 0, external_name)));
        let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
        cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
        self.snapshots.send_replace(Some(cache.publish()));
    }
}

pub(crate) fn query(name: &str) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

pub(crate) fn query_with_edns(name: &str, payload: u16) -> Message {
    let mut message = query(name);
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

pub(crate) fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

/// The code of an answer, and of its extended error.
pub(crate) fn codes(message: &Message) -> (ResponseCode, Option<u16>) {
    let error = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::from(15)));
    let code = error.map(|error| {
        let bytes = Vec::try_from(error).unwrap();
        u16::from_be_bytes([bytes[0], bytes[1]])
    });
    (message.metadata.response_code, code)
}
