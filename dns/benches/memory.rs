//! Memory of the whole server: with the catalog that it was sent, and the most that it takes while all of that is sent anew.
//!
//! `cargo bench --workspace --bench memory` prints both beside the aim and writes `target/bench/dns-memory.json`. The
//! catalog is a process of its own, on loopback.
#![allow(clippy::unwrap_used, reason = "a bench may stop on any fault")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use clap::Parser;
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use rollcall_xds::cache::Cache;
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Limits, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: u32 = 10_000;
/// Endpoints of each service: machines with names behind a virtual address, and pods of headless services.
const CASES: [(&str, u32); 2] = [("machines", 10), ("pods", 15)];
/// For 150,000 pods.
const AIM_MB: f64 = 120.0;
/// While everything is sent anew, over what is taken before.
const AIM_PEAK: f64 = 1.2;
/// What is freed goes back to the system by and by.
const REST: Duration = Duration::from_secs(2);

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("catalog"), Some(case)) => catalog(&case),
        (Some("server"), Some(case)) => server(&case),
        _ => CASES.iter().for_each(|(case, _)| {
            let us = env::current_exe().unwrap();
            assert!(Command::new(us).args(["server", case]).status().unwrap().success(), "{case} failed");
        }),
    }
}

fn each(case: &str) -> u32 {
    CASES.iter().find(|(name, _)| *name == case).unwrap().1
}

/// Serves with the catalog of a process beside it.
#[tokio::main]
async fn server(case: &str) {
    let mut catalog = Catalog::start(case);
    let names = if case == "pods" { "verified" } else { "off" };
    let local = "127.0.0.1:0";
    let flags = [
        "--catalog",
        &catalog.line(),
        "--listen",
        local,
        "--http-listen",
        local,
        "--pod-names",
        names,
        "--workers",
        "2",
    ];
    let prepared = Prepared::new(Args::try_parse_from(["rollcall-dns"].iter().chain(&flags)).unwrap()).await.unwrap();
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let serving = tokio::spawn(prepared.serve(readiness, stop.clone()));
    assert_eq!(catalog.line(), "sent");
    tokio::time::sleep(REST).await;
    let (held, start) = (status_mb("VmRSS"), status_mb("VmHWM"));
    fs::write("/proc/self/clear_refs", "5").unwrap(); // VmHWM begins again, proc(5)
    writeln!(catalog.stdin, "again").unwrap();
    assert_eq!(catalog.line(), "sent");
    tokio::time::sleep(REST).await;
    let (peak, after) = (status_mb("VmHWM"), status_mb("VmRSS"));

    println!("{SERVICES} services of {} {case} each", each(case));
    println!("  {:<40} {held:>8.1} MB {:>12}", "held", format!("{AIM_MB} MB"));
    println!("  {:<40} {start:>8.1} MB", "at most, until then");
    println!("  {:<40} {:>8.2} {:>15}", "at most, while all is sent anew / held", peak / held, AIM_PEAK);
    println!("  {:<40} {after:>8.1} MB", "held after that");
    let figures = format!(r#"{{"held_mb": {held}, "start_mb": {start}, "again_mb": {peak}, "after_mb": {after}}}"#);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("dns-memory-{case}.json")), figures).unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
}

/// `VmRSS` or `VmHWM`, proc(5).
fn status_mb(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// A process that serves the catalog; it ends with this.
struct Catalog {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Catalog ===

impl Catalog {
    fn start(case: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        let mut child = command.args(["catalog", case]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Serves the catalog, and all of it changed for each line that it reads. Tells where it is, then when all was taken.
#[tokio::main]
async fn catalog(case: &str) {
    let mut cache = Cache::new();
    fill(&mut cache, case, 1);
    let snapshots = watch::Sender::new(Some(cache.publish()));
    let server = Server::new(snapshots.subscribe(), Limits::default(), Arc::default());
    let clients = server.clients();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.into_router().serve_with_incoming(TcpListenerStream::new(listener)));
    let mut told = 0;
    for weight in 2.. {
        let sent = || clients.list().first().map_or(0, |client| client.bytes);
        while sent() == told || !quiet(&sent).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        told = sent();
        println!("sent");
        let again = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()).unwrap());
        if again.await.unwrap() == 0 {
            return;
        }
        fill(&mut cache, case, weight);
        snapshots.send_replace(Some(cache.publish()));
    }
}

/// Whether nothing more is sent for a second.
async fn quiet(sent: impl Fn() -> u64) -> bool {
    let before = sent();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sent() == before
}

fn fill(cache: &mut Cache, case: &str, weight: u32) {
    let each = each(case);
    let port =
        |port| proto::Port { name: "http".into(), port, protocol: proto::Protocol::Tcp.into(), ..Default::default() };
    for n in 0..SERVICES {
        let (namespace, name) = (format!("load-{}", n / 100), format!("service-{n}"));
        let key = format!("{namespace}/{name}");
        let endpoints = (n * each..(n + 1) * each).map(|at| proto::Endpoint {
            id: u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            addresses: vec![(0x0a00_0000 + at).to_be_bytes().to_vec().into()],
            hostname: if case == "machines" { format!("vm-{at}") } else { String::new() },
            ready: true,
            weight,
            zone: format!("zone-{}", at % 2),
            node: format!("node-{}", at % 100),
            ..proto::Endpoint::default()
        });
        let bucket = proto::EndpointBucket {
            namespace: namespace.clone(),
            service: name.clone(),
            endpoints: endpoints.collect(),
            port_sets: vec![proto::PortSet { ports: vec![port(8080)] }],
        };
        let mut service =
            proto::Service { namespace, name, buckets: 1, ports: vec![port(80 + weight)], ..Default::default() };
        service.kind = proto::service::Kind::Headless.into();
        if case == "machines" {
            service.kind = proto::service::Kind::ClusterIp.into();
            service.cluster_ips = vec![(0x6440_0000 + n).to_be_bytes().to_vec().into()];
        }
        let bucket = Resource::new(ResourceType::EndpointBucket, format!("{key}/1/0"), &bucket);
        cache.upsert(ResourceType::EndpointBucket, bucket);
        cache.upsert(ResourceType::Service, Resource::new(ResourceType::Service, &*key, &service));
    }
    let zone = proto::Zone { cluster_domain: "cluster.local".to_owned(), ..proto::Zone::default() };
    cache.upsert(ResourceType::Zone, Resource::new(ResourceType::Zone, "zone", &zone));
}
