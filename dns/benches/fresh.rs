//! How long a change takes from the catalog's server to the answer, while the server is under load.
//!
//! `cargo bench --workspace --bench fresh` starts a server with one worker on the first core, has dnsperf (which must be
//! installed) ask it 100,000 times a second from the last one, changes a service now and then, and asks for it until the answer has
//! changed. It prints how long that took beside the aim and writes `target/bench/dns-fresh.json`. All on loopback.
#![allow(clippy::unwrap_used, reason = "a bench may stop on any fault")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use rollcall_xds::cache::Cache;
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use support::{EACH, SERVICES};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// Queries in a second, for so many seconds.
const RATE: u32 = 100_000;
const SECONDS: u32 = 30;
const CHANGES: u32 = 1_000;
/// Between two changes.
const REST: Duration = Duration::from_millis(20);
const AIM: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let mut cache = support::filled();
    probe(&mut cache, 0);
    let snapshots = watch::Sender::new(Some(cache.publish()));
    let (url, _serving) = support::serve(&snapshots).await;
    let at = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = start(&url, at);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(at).await.unwrap();
    while told(&socket, 0).await != Some(0) {
        sleep(Duration::from_millis(10)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let load = load(at, &folder.path().join("questions"));
    sleep(Duration::from_secs(1)).await;
    let mut took = Vec::new();
    for change in 1..=CHANGES {
        sleep(REST).await;
        probe(&mut cache, change);
        let begin = Instant::now();
        snapshots.send_replace(Some(cache.publish()));
        while told(&socket, change as u16).await != Some(change) {
            sleep(Duration::from_micros(200)).await;
        }
        took.push(begin.elapsed());
    }
    let output = load.wait_with_output().unwrap();
    let rate = figure(&String::from_utf8_lossy(&output.stdout));
    took.sort_unstable();
    let of = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!("{CHANGES} changes of {} endpoints, under {rate:.0} queries/s", SERVICES * EACH);
    println!("  {:<32} p50 {:?}, p99 {:?}, most {:?}; aim p99 {AIM:?}", "change -> answer", of(50), of(99), of(100));
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&results).unwrap();
    let (p50_us, p99_us) = (of(50).as_micros(), of(99).as_micros());
    let figures = format!(r#"{{"queries_s": {rate}, "p50_us": {p50_us}, "p99_us": {p99_us}}}"#);
    std::fs::write(results.join("dns-fresh.json"), figures).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}

fn cores() -> (String, String) {
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    ("0".to_owned(), last.to_string())
}

fn start(catalog: &str, at: SocketAddr) -> Child {
    Command::new("taskset")
        .args(["--cpu-list", &cores().0, env!("CARGO_BIN_EXE_rollcall-dns"), "--workers=1"])
        .args([format!("--catalog={catalog}"), format!("--listen={at}")])
        .args(["--http-listen=127.0.0.1:0", "--lame-duck=0s", "--log-level=off"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// dnsperf, which asks for all services in turn, by a file.
fn load(at: SocketAddr, questions: &Path) -> Child {
    let lines = (0..SERVICES).map(|n| format!("{} A\n", support::name(n)));
    std::fs::write(questions, lines.collect::<String>()).unwrap();
    Command::new("taskset")
        .args(["--cpu-list", &cores().1, "dnsperf", "-s", &at.ip().to_string(), "-p", &at.port().to_string()])
        .args(["-T", "1", "-c", "4", "-q", "500", "-e", "-Q", &RATE.to_string(), "-l", &SECONDS.to_string(), "-d"])
        .arg(questions)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dnsperf is missing: install the package dnsperf (Debian, Ubuntu, Fedora)")
}

fn figure(text: &str) -> f64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Queries per second:"));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("dnsperf says {text}"))
}

/// The service that changes: its address is the number of the change.
fn probe(cache: &mut Cache, change: u32) {
    let cluster_ips = vec![change.to_be_bytes().to_vec().into()];
    let (namespace, name) = ("probe".to_owned(), "probe".to_owned());
    let kind = proto::service::Kind::ClusterIp.into();
    let service = proto::Service { namespace, name, kind, cluster_ips, ..Default::default() };
    cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, "probe/probe", &service));
}

/// The address of that service; `None` when there was no answer.
async fn told(socket: &UdpSocket, id: u16) -> Option<u32> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii("probe.probe.svc.cluster.local.").unwrap(), RecordType::A));
    socket.send(&message.to_vec().unwrap()).await.ok()?;
    let mut answer = [0; 512];
    loop {
        let len = timeout(Duration::from_millis(200), socket.recv(&mut answer)).await.ok()?.ok()?;
        if answer[..2] == id.to_be_bytes() && answer[7] == 1 {
            return answer[..len].last_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        }
        if answer[..2] == id.to_be_bytes() {
            return None;
        }
    }
}
