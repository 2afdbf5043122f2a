//! What an answer costs: CPU of the server a query, by kind, as `cargo xtask bench --dns` measures it beside others, without a control
//! plane.
//!
//! `cargo bench --workspace --bench answers` has a server with one worker on the first core, and dnsperf (which must be installed) on the
//! last. It prints the figures beside the aim and writes `target/bench/dns-answers.json`. Words after it are kinds to be measured alone; `ROLLCALL_DNS` may name another program; with
//! `--hold` the server stays until a line is read, for a profiler.
#![allow(clippy::unwrap_used, reason = "a bench may stop on any fault")]

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rollcall_xds::cache::Cache;
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;

/// Services with a virtual address, and headless ones of 25 endpoints.
const SERVICES: u32 = 1_000;
const HEADLESS: u32 = 100;
const EACH: u32 = 25;
const QUESTIONS: u32 = 20_000;
/// Each kind in turn, so often: what disturbs one turn does not disturb them all. The middle one counts.
const TURNS: usize = 5;
const SECONDS: u32 = 2;
/// CPU of the server a query.
const AIM_US: f64 = 4.0;
const KINDS: [&str; 6] = ["hits", "nodata", "nxdomain", "srv", "headless", "mix"];

#[derive(Clone, Copy, Debug)]
struct Measured {
    queries_s: f64,
    cpu_us: f64,
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let snapshots = watch::Sender::new(Some(catalog()));
    let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.into_router().serve_with_incoming(TcpListenerStream::new(listener)));
    let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = start(&url, at);
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let lines: String = (0..QUESTIONS).map(|n| question(kind, n) + "\n").collect();
        std::fs::write(folder.path().join(kind), lines).unwrap();
    }
    while ask(at, &folder.path().join("hits"), 1).is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if words.iter().any(|word| word == "--hold") {
        println!("{at}, process {}, questions in {}", server.id(), folder.path().display());
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
    let is_meant =
        |kind: &&str| words.iter().any(|word| word == kind) || !words.iter().any(|word| KINDS.contains(&&**word));
    let kinds: Vec<_> = KINDS.into_iter().filter(is_meant).collect();
    let mut all = vec![Vec::new(); kinds.len()];
    for _ in 0..TURNS {
        for (kind, figures) in kinds.iter().zip(&mut all) {
            figures.push(measure(at, server.id(), &folder.path().join(kind)));
        }
    }
    let mut json = String::new();
    println!("{:<12}{:>14}{:>14}{:>24}", "", "queries/s", "CPU a query", "least and most");
    for (kind, mut figures) in kinds.into_iter().zip(all) {
        figures.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        let (middle, last) = (figures[TURNS / 2], figures[TURNS - 1]);
        let range = format!("{:.2} to {:.2}", figures[0].cpu_us, last.cpu_us);
        println!("{kind:<12}{:>14.0}{:>11.2} us{range:>24}; aim {AIM_US}", middle.queries_s, middle.cpu_us);
        let comma = if json.is_empty() { "" } else { ", " };
        write!(json, r#"{comma}"{kind}": {{"queries_s": {}, "cpu_us": {}}}"#, middle.queries_s, middle.cpu_us).unwrap();
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&results).unwrap();
    std::fs::write(results.join("dns-answers.json"), format!("{{{json}}}\n")).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}

fn question(kind: &str, n: u32) -> String {
    let service = n * 37 % SERVICES;
    let below = "bench.svc.cluster.local.";
    match kind {
        "hits" => format!("svc-{service}.{below} A"),
        "nodata" => format!("svc-{service}.{below} AAAA"),
        "nxdomain" => format!("nobody-{service}.{below} A"),
        "srv" => format!("_http._tcp.svc-{service}.{below} SRV"),
        "headless" => format!("web-{}.{below} A", n * 37 % HEADLESS),
        _ => match n % 20 {
            0..10 => question("hits", n),
            10..14 => question("nodata", n),
            14..18 => question("nxdomain", n),
            18 => question("srv", n),
            _ => question("headless", n),
        },
    }
}

/// The program that was built with this, or another one.
fn start(catalog: &str, at: SocketAddr) -> Child {
    let program = std::env::var("ROLLCALL_DNS").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rollcall-dns").to_owned());
    Command::new("taskset")
        .args(["--cpu-list", "0", &program, "--workers=1"])
        .args([format!("--catalog={catalog}"), format!("--listen={at}")])
        .args(["--http-listen=127.0.0.1:0", "--lame-duck=0s", "--log-level=off"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The middle of a load, by what its threads took: `/proc/PID/task/*/schedstat`.
fn measure(at: SocketAddr, pid: u32, questions: &Path) -> Measured {
    let cpu_s = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let texts = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap());
        texts.map(|text| text.split(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() / 1e9
    };
    let before = cpu_s();
    let (queries, queries_s) = ask(at, questions, SECONDS).expect("answers");
    Measured { queries_s, cpu_us: (cpu_s() - before) * 1e6 / queries }
}

/// dnsperf, as the bench beside others has it: how many were answered, and how many a second. `None` when none was, or not well.
fn ask(at: SocketAddr, questions: &Path, seconds: u32) -> Option<(f64, f64)> {
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    let output = Command::new("taskset")
        .args(["--cpu-list", &last.to_string(), "dnsperf"])
        .args(["-s", &at.ip().to_string(), "-p", &at.port().to_string()])
        .args(["-T", "1", "-c", "4", "-q", "200", "-t", "2", "-e", "-l", &seconds.to_string(), "-d"])
        .arg(questions)
        .output()
        .expect("dnsperf is missing: install the package dnsperf (Debian, Ubuntu, Fedora)");
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
    };
    let answered = figure("Queries completed:").filter(|answered| *answered > 0.0 && !text.contains("SERVFAIL"))?;
    Some((answered, figure("Queries per second:")?))
}

fn catalog() -> Arc<rollcall_xds::cache::Snapshot> {
    use proto::service::Kind;
    let mut cache = Cache::new();
    let namespace = "bench".to_owned();
    let ports = |port| {
        vec![proto::Port { name: "http".into(), port, protocol: proto::Protocol::Tcp.into(), ..Default::default() }]
    };
    for n in 0..SERVICES + HEADLESS {
        let is_headless = n >= SERVICES;
        let name = if is_headless { format!("web-{}", n - SERVICES) } else { format!("svc-{n}") };
        let key = format!("{namespace}/{name}");
        let kind = if is_headless { Kind::Headless } else { Kind::ClusterIp };
        let cluster_ips =
            if is_headless { Vec::new() } else { vec![(0x0a60_0000_u32 + n).to_be_bytes().to_vec().into()] };
        let endpoint = |place: u32| proto::Endpoint {
            id: u64::from(n * EACH + place).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            addresses: vec![(0x0ac8_0000 + (n - SERVICES) * 256 + place).to_be_bytes().to_vec().into()],
            ready: true,
            ..Default::default()
        };
        let endpoints = (0..EACH).filter(|_| is_headless).map(endpoint).collect();
        let port_sets = vec![proto::PortSet { ports: ports(80) }];
        let bucket =
            proto::EndpointBucket { namespace: namespace.clone(), service: name.clone(), endpoints, port_sets };
        let bucket = Resource::new(ResourceType::EndpointBucket, format!("{key}/1/0"), &bucket);
        cache.upsert(ResourceType::EndpointBucket, bucket);
        let service = proto::Service {
            namespace: namespace.clone(),
            name,
            kind: kind.into(),
            cluster_ips,
            ports: ports(80),
            buckets: 1,
            ..Default::default()
        };
        cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, key, &service));
    }
    let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
    cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
    cache.publish()
}
