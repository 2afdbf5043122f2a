//! From a verdict to the streams of every replica: three whole controllers on the API server of tests, of which one hears an
//! instance say how it finds itself, and a client on the stream of each.
//!
//! `cargo bench --workspace --bench verdicts` prints it beside the aim and writes `target/bench/verdicts.json`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use prost::Message;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use rollcall_health::owner;
use rollcall_xds::client::{self, Config, Event};
use rollcall_xds::proto::rollcall::v1::EndpointBucket;
use rollcall_xds::resource::ResourceType;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPLICAS: [&str; 3] = ["a", "b", "c"];
const VERDICTS: usize = 500;
const ENDPOINTS: usize = 100;
/// The address of the first.
const FIRST: [u8; 4] = [198, 51, 100, 1];
/// Until the next verdict, so that each is alone.
const PAUSE: Duration = Duration::from_millis(40);
/// The aim, at every replica.
const AIM_MS: f64 = 20.0;
/// Longer than anything takes.
const BOUND: Duration = Duration::from_secs(60);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let api = FakeApi::default();
    register(&api);
    let stop = CancellationToken::new();
    let mut apis = Vec::new();
    let (seen, mut told) = mpsc::unbounded_channel();
    for (index, identity) in REPLICAS.into_iter().enumerate() {
        let [grpc, port] = [free().await, free().await];
        replica(&api, identity, grpc, port, &stop).await;
        apis.push(port);
        let config = Config {
            types: vec![ResourceType::EndpointBucket],
            ..Config::new(vec![format!("http://{grpc}")], "bench")
        };
        let seen = seen.clone();
        let sink = move |event| {
            if let Event::Update(update) = event {
                let now = Instant::now();
                let buckets = update.upserts.into_iter().map(|upsert| EndpointBucket::decode(upsert.value).unwrap());
                let mine = buckets.flat_map(|bucket| bucket.endpoints).find(|one| *one.addresses[0] == FIRST);
                if let Some(endpoint) = mine {
                    let _ = seen.send((index, now, endpoint.ready));
                }
            }
            Ok(())
        };
        tokio::spawn(client::run(config, sink, std::future::pending()));
    }
    // Who owns the instance hears it: the verdict is made there at once.
    let origin = Origin::here(OriginKind::ServiceRegistration, "shop", "vms");
    let first = owner::owner(&owner::work(&origin, "vm-0"), REPLICAS).unwrap();
    let at = REPLICAS.iter().position(|name| *name == first).unwrap();
    let mut beats = Beats::to(apis[at]).await;
    for n in 1..ENDPOINTS {
        beats.say(n, "pass").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut took_ms = Vec::new();
    for n in 0..VERDICTS {
        while told.try_recv().is_ok() {}
        let lives = n % 2 == 0;
        beats.say(0, if lives { "pass" } else { "stopped" }).await;
        let begun = beats.sent;
        let mut missing = vec![true; REPLICAS.len()];
        let mut last = begun;
        while missing.contains(&true) {
            let (replica, when, ready) = tokio::time::timeout(BOUND, told.recv()).await.unwrap().unwrap();
            if ready == lives && std::mem::take(&mut missing[replica]) {
                last = when;
            }
        }
        took_ms.push(last.duration_since(begun).as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    report(took_ms);
    stop.cancel();
}

/// 100 instances that beat, and whose silence says nothing for an hour.
fn register(api: &FakeApi) {
    let endpoint = |n: usize| json!({ "name": format!("vm-{n}"), "addresses": [format!("198.51.100.{}", 1 + n)] });
    let spec = json!({
        "service": "vms", "ports": [{ "name": "main", "port": 80 }],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
        "heartbeat": { "ttl": "1h" },
    });
    let metadata = json!({ "name": "vms", "namespace": "shop", "uid": "uid-vms", "generation": 1 });
    let (version, kind) = ("rollcall.dev/v1alpha1", "ServiceRegistration");
    api.put(json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec }));
    api.token("token", "machine", &[]);
    api.grant("machine", "update", "serviceregistrations/beat", "shop");
}

async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn replica(api: &FakeApi, identity: &str, grpc: SocketAddr, port: SocketAddr, stop: &CancellationToken) {
    let own = [format!("--grpc-listen={grpc}"), format!("--api-listen={port}"), format!("--identity={identity}")];
    let flags = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0"].map(str::to_owned);
    let args = Args::try_parse_from(flags.into_iter().chain(own)).unwrap();
    let admin = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let serve = start::serve(args, Telemetry::default(), admin, Readiness::default(), api.client(), stop.clone());
    tokio::spawn(serve);
}

/// Says how instances find themselves, on one connection.
struct Beats {
    stream: TcpStream,
    /// When the last was sent.
    sent: Instant,
}

// === impl Beats ===

impl Beats {
    async fn to(api: SocketAddr) -> Self {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(api).await {
                stream.set_nodelay(true).unwrap();
                return Self { stream, sent: Instant::now() };
            }
            assert!(begun.elapsed() < BOUND, "the API port does not open");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn say(&mut self, endpoint: usize, status: &str) {
        let begun = Instant::now();
        loop {
            let body = json!({ "status": status }).to_string();
            let request = format!(
                "PUT /v1/namespaces/shop/registrations/vms/endpoints/vm-{endpoint}/beat HTTP/1.1\r\nhost: x\r\n\
                 authorization: Bearer token\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            self.sent = Instant::now();
            self.stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let length = self.stream.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
            // Not known yet.
            assert!(begun.elapsed() < BOUND, "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn report(mut took_ms: Vec<f64>) {
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
    let (median, p99) = (at(0.5), at(0.99));
    println!("{VERDICTS} verdicts, each to the streams of {} replicas", REPLICAS.len());
    println!("{:<40} {median:>12.2}", "median, ms");
    println!("{:<40} {p99:>12.2}   {AIM_MS} or less", "99th of 100, ms");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    let json = json!({ "verdicts": VERDICTS, "replicas": REPLICAS.len(), "median_ms": median, "p99_ms": p99 });
    fs::write(folder.join("verdicts.json"), format!("{json:#}\n")).unwrap();
}
