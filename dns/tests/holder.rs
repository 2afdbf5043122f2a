//! A server whose sockets another process holds, killed while it is asked.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use rollcall_xds::cache::Cache;
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;

const PATIENCE: Duration = Duration::from_secs(60);
const DB: &str = "db.shop.svc.cluster.local.";

/// The two processes. The holder is killed with it, and the server with that.
struct Pair {
    holder: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

// === impl Pair ===

impl Pair {
    fn start(catalog: SocketAddr, snapshot: &Path) -> Self {
        let mut holder = Command::new(env!("CARGO_BIN_EXE_rollcall-dns"))
            .args(["--hold-sockets", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--workers=2"])
            .args([&format!("--catalog=http://{catalog}"), &format!("--snapshot={}", snapshot.display())])
            .args(["--lame-duck=0s", "--log-level=info,rollcall_dns=debug"])
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (written, lines) = mpsc::unbounded_channel();
        let errors = BufReader::new(holder.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| written.send(line)));
        Self { holder, lines }
    }

    /// The process id of the next server, and where it answers and has its pages. The holder tells the first, and the server
    /// the others: in either order.
    async fn server(&mut self) -> (Pid, SocketAddr, SocketAddr) {
        let (mut holders, mut servers) = (None, None);
        let find = async {
            while holders.is_none() || servers.is_none() {
                let line = self.lines.recv().await.expect("the processes ended before");
                eprintln!("{line}");
                if line.contains(" pid=") {
                    holders = Some(line);
                } else if line.contains(" http=") {
                    servers = Some(line);
                }
            }
        };
        let found = timeout(PATIENCE, find).await;
        let (Some(started), Some(listens)) = (&holders, &servers) else {
            panic!("the log says too little ({found:?}): {holders:?}, {servers:?}")
        };
        let dns = value(listens, " dns=[").trim_end_matches(']').parse().unwrap();
        let pid = value(started, " pid=").parse().unwrap();
        (Pid::from_raw(pid).unwrap(), dns, value(listens, " http=").parse().unwrap())
    }
}

fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let (_, rest) = line.split_once(key).unwrap_or_else(|| panic!("no {key} in {line}"));
    rest.split_whitespace().next().unwrap_or_default()
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop((self.holder.kill(), self.holder.wait()));
    }
}

async fn catalog() -> (SocketAddr, JoinHandle<()>) {
    let endpoint = |n: u8| proto::Endpoint {
        id: n.into(),
        addresses: vec![vec![10, 1, 0, n].into()],
        ready: true,
        ..Default::default()
    };
    let (namespace, name) = ("shop".to_owned(), "db".to_owned());
    let bucket = proto::EndpointBucket {
        namespace: namespace.clone(),
        service: name.clone(),
        endpoints: (1..=3).map(endpoint).collect(),
        port_sets: vec![proto::PortSet::default()],
    };
    let kind = proto::service::Kind::Headless.into();
    let service = proto::Service { namespace, name, kind, buckets: 1, ..Default::default() };
    let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
    let mut cache = Cache::new();
    let bucket = Resource::new(ResourceType::EndpointBucket, "shop/db/1/0", &bucket);
    cache.upsert(ResourceType::EndpointBucket, bucket);
    cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, "shop/db", &service));
    cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
    let snapshots = watch::Sender::new(Some(cache.publish()));
    let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = server.into_router().serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { drop((serving.await, snapshots, cache)) });
    (addr, task)
}

fn query(id: u16) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii(DB).unwrap(), RecordType::A));
    message.set_edns(Edns::new());
    message.to_vec().unwrap()
}

/// Whether an answer has all that the service has.
fn is_whole(answer: &[u8]) -> bool {
    let message = Message::from_vec(answer).unwrap();
    message.metadata.response_code == ResponseCode::NoError && message.answers.len() == 3
}

async fn is_answered(at: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query(1), at).await.unwrap();
    let mut answer = [0; 2048];
    let len = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("an answer").unwrap();
    is_whole(&answer[..len])
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// It no longer runs: nobody else has its number as long as its parent has not seen its end, or soon after.
fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Asks at once by many datagrams and one connection; all are answered, and wholly.
async fn all_are_answered(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for id in 0..100 {
        socket.send_to(&query(id), at).await.unwrap();
    }
    let mut stream = TcpStream::connect(at).await.expect("a connection waits");
    let over_tcp = query(7);
    stream.write_all(&[&(over_tcp.len() as u16).to_be_bytes()[..], &over_tcp].concat()).await.unwrap();
    let mut waiting: std::collections::BTreeSet<u16> = (0..100).collect();
    while !waiting.is_empty() {
        let mut answer = [0; 2048];
        let received = timeout(PATIENCE, socket.recv(&mut answer)).await;
        let len = received.unwrap_or_else(|_| panic!("lost: {waiting:?}")).unwrap();
        assert!(is_whole(&answer[..len]), "{:02x?}", &answer[..len]);
        waiting.remove(&u16::from_be_bytes([answer[0], answer[1]]));
    }
    let len = timeout(PATIENCE, stream.read_u16()).await.expect("an answer over TCP").unwrap();
    let mut answer = vec![0; len.into()];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(is_whole(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_without_a_controller_loses_no_query() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("catalog");
    let (catalog, serving) = catalog().await;
    let mut pair = Pair::start(catalog, &snapshot);
    let (mut server, at, _) = pair.server().await;
    until("it answers", async || is_answered(at).await).await;
    until("the snapshot", async || snapshot.exists()).await;
    serving.abort();

    for deaths in 1..=3 {
        kill_process(server, Signal::KILL).unwrap();
        until("its end", async || has_ended(server)).await;
        all_are_answered(at).await;
        let (next, again, http) = pair.server().await;
        assert_eq!(again, at);
        server = next;
        let mut stream = TcpStream::connect(http).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.contains(&format!("\nrollcall_dns_server_deaths_total {deaths}\n")), "{page}");
    }

    // What ends the holder ends the server in good order.
    kill_process(Pid::from_child(&pair.holder), Signal::TERM).unwrap();
    let mut ended = None;
    until("the end of both", async || {
        ended = pair.holder.try_wait().unwrap();
        ended.is_some()
    })
    .await;
    assert!(ended.unwrap().success(), "{ended:?}");
    assert!(has_ended(server));
    until("nobody holds the sockets", async || TcpStream::connect(at).await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_ends_with_the_holder_and_a_wrong_flag_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, _serving) = catalog().await;
    let mut pair = Pair::start(catalog, &folder.path().join("catalog"));
    let (server, at, _) = pair.server().await;
    pair.holder.kill().unwrap();
    until("its end", async || has_ended(server)).await;
    // The last of its threads closes them.
    until("nobody holds the sockets", async || TcpStream::connect(at).await.is_err()).await;

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_rollcall-dns"))
        .args(["--hold-sockets", "--catalog=http://127.0.0.1:1", "--listen=127.0.0.1:0"])
        .arg(format!("--http-listen={}", taken.local_addr().unwrap()))
        .output();
    let output = program.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("is in use").count(), 1, "{said}");
}
