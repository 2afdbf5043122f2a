//! Links between clusters: how long a change in one takes to what another one serves, what it costs to take in many clusters, and
//! how soon all of them are heard again.
//!
//! `cargo bench --workspace --bench federation` prints a table and writes `target/bench/federation.json`. `PEERS` and
//! `ENDPOINTS` (of each peer) are numbers in the environment; peers are simulated in a process of their own, and speak the real
//! protocol over TLS. The controller and an API server without a socket are in this one.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    reason = "a bench measures real time and may stop on any fault, and uses half of the tests' cluster"
)]

#[path = "../tests/federation/cluster.rs"]
mod cluster;
#[path = "federation/names.rs"]
mod names;
#[path = "federation/peers.rs"]
mod peers;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollcall_xds::client::{self, Config, Credential, Event};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::CLUSTER_KEY;
use serde_json::{Value, json};
use tokio::sync::watch;

use cluster::{Cluster, ROLLCALL, SYSTEM, until};
use names::Names;
use peers::Peers;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHANGES: usize = 300;
const BILLING: &str = "billing.shop.svc.cluster.local";
/// Endpoints of a large service.
const LARGE: usize = 5_000;

fn main() {
    if std::env::var_os(peers::ROLE).is_some() {
        return runtime().block_on(peers::serve());
    }
    let number =
        |name: &str, default: usize| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (count, endpoints) = (number("PEERS", 20), number("ENDPOINTS", 15_000));
    let latencies = runtime().block_on(change());
    println!(
        "a change in one cluster until it is on streams and in DNS answers of another, ms, {CHANGES} changes (aim: p99 50): {latencies}"
    );
    let shipped = runtime().block_on(shipped());
    println!("one of {LARGE} endpoints changed, bytes to the other cluster (aim: 8192): {shipped}");
    let many = runtime().block_on(many(count, endpoints));
    println!("{count} peers of {endpoints} endpoints (aims for 200 of 15000: 60 s, 1 GiB, back within 2 s): {many}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    let json = json!({ "change_ms": latencies, "shipped_bytes": shipped, "peers": count, "endpoints_each": endpoints, "many": many });
    std::fs::write(folder.join("federation.json"), format!("{json:#}\n")).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// From an EndpointSlice in east to west's streams, Rollcall's own, which DNS servers read, and Envoy's; and to the answers of such a
/// server.
async fn change() -> Value {
    let open = vec!["--readers=anyone".to_owned()];
    let (mut east, mut west) =
        (Cluster::new("east", "127.0.0.71").await, Cluster::with("west", "127.0.0.72", open).await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    // In west there is no Service of that name: it leads to the endpoints themselves.
    east.service("billing", "10.96.0.10");
    for name in ["payments", "billing"] {
        east.export(name);
    }
    east.endpoints("payments", &["10.1.0.1"]);
    east.endpoints("billing", &["10.3.0.1"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.1", "10.3.0.1"]).await;
    let names = Names::of(&west).await;
    names.leads_to(BILLING, Ipv4Addr::new(10, 3, 0, 1)).await;
    let wanted: Arc<Mutex<Vec<u8>>> = Arc::default();
    let mut news = listen(&west, Arc::clone(&wanted));
    let (mut own, mut envoy, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..CHANGES {
        let (third, last) = (1 + round / 250, 1 + round % 250);
        // One address for each of the two, so that each is a change. In Rollcall's own messages it stands as octets, in Envoy's
        // as text.
        for (bit, took) in [(1, &mut own), (2, &mut envoy)] {
            let ip = Ipv4Addr::new(10, bit, u8::try_from(third).unwrap(), u8::try_from(last).unwrap());
            *wanted.lock().unwrap() = if bit == 1 { ip.octets().to_vec() } else { ip.to_string().into_bytes() };
            news.borrow_and_update();
            let start = Instant::now();
            east.endpoints("payments", &[&ip.to_string()]);
            loop {
                tokio::time::timeout(Duration::from_secs(30), news.changed()).await.unwrap().unwrap();
                if *news.borrow_and_update() == u64::from(bit) {
                    break;
                }
            }
            took.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ip = Ipv4Addr::new(10, 4, u8::try_from(third).unwrap(), u8::try_from(last).unwrap());
        east.endpoints("billing", &[&ip.to_string()]);
        answers.push(names.leads_to(BILLING, ip).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    east.stop().await;
    west.stop().await;
    json!({ "rollcall": quantiles(own), "eds": quantiles(envoy), "dns": quantiles(answers) })
}

/// One endpoint of a large service changes: what goes to a peer, in bytes.
async fn shipped() -> u64 {
    let mut east = Cluster::new("east", "127.0.0.75").await;
    east.service("large", "10.96.0.9");
    east.export("large");
    let ip = |n: usize| format!("10.1.{}.{}", n / 250, 1 + n % 250);
    let mut ips: Vec<_> = (0..LARGE).map(ip).collect();
    let put = |ips: &[String]| east.endpoints("large", &ips.iter().map(String::as_str).collect::<Vec<_>>());
    put(&ips);
    let user = format!("system:serviceaccount:{SYSTEM}:west");
    east.api.token("token-of-west", &user, &[]);
    east.api.grant(&user, "get", "exports", "");
    let ca = until("its authority", || {
        let map = east.api.get("v1", "configmaps", SYSTEM, "rollcall-ca")?;
        map["data"]["ca.crt"].as_str().map(str::to_owned)
    });
    let ca = ca.await;
    let config = Config {
        ca: Some(ca.into_bytes().into()),
        server_name: Some("rollcall.test".to_owned()),
        credential: Some(Credential { key: CLUSTER_KEY, value: "token-of-west".to_owned() }),
        types: vec![ResourceType::ExportedBucket, ResourceType::ExportedService],
        ..Config::new(vec![format!("https://{}", east.grpc)], "west")
    };
    let (bytes, mut news) = watch::channel(0_u64);
    let sink = move |event: Event| {
        if let Event::Update(update) = event {
            let more: usize = update.upserts.iter().map(|upsert| upsert.name.len() + upsert.value.len()).sum();
            bytes.send_modify(|bytes| *bytes += more as u64);
        }
        Ok(())
    };
    tokio::spawn(client::run(config, sink, std::future::pending()));
    // All of it has come when nothing more does.
    let mut before = 0;
    while before < 1 || tokio::time::timeout(Duration::from_secs(5), news.changed()).await.is_ok() {
        before = *news.borrow_and_update();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ips[LARGE / 2] = "10.200.0.1".to_owned();
    put(&ips);
    tokio::time::timeout(Duration::from_secs(60), news.changed()).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = *news.borrow();
    east.stop().await;
    after - before
}

/// Reads west's streams, and says by which of them what is wanted has come: 1, and 2 for Envoy's.
fn listen(west: &Cluster, looked: Arc<Mutex<Vec<u8>>>) -> watch::Receiver<u64> {
    let (seen, news) = watch::channel(0_u64);
    let ca =
        west.api.get("v1", "configmaps", SYSTEM, "rollcall-ca").unwrap()["data"]["ca.crt"].as_str().unwrap().to_owned();
    let config = Config {
        ca: Some(ca.into_bytes().into()),
        server_name: Some("rollcall.test".to_owned()),
        types: vec![ResourceType::EndpointBucket, ResourceType::Endpoints],
        ..Config::new(vec![format!("https://{}", west.grpc)], "bench")
    };
    let sink = move |event: Event| {
        if let Event::Update(update) = event {
            let wanted = looked.lock().unwrap().clone();
            let bit = if update.ty == ResourceType::Endpoints { 2 } else { 1 };
            let has = |body: &[u8]| !wanted.is_empty() && body.windows(wanted.len()).any(|part| part == wanted);
            if update.upserts.iter().any(|upsert| has(&upsert.value)) {
                seen.send_replace(bit);
            }
        }
        Ok(())
    };
    tokio::spawn(client::run(config, sink, std::future::pending()));
    news
}

fn quantiles(mut all: Vec<Duration>) -> Value {
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    json!({ "p50": at(0.5), "p99": at(0.99), "max": at(1.0) })
}

/// Bytes that this process has in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

async fn many(count: usize, endpoints: usize) -> Value {
    let mut peers = Peers::start(count, endpoints);
    let slow = vec!["--writes-per-second=1".to_owned()];
    let mut west = Cluster::with("importer", "127.0.0.73", slow).await;
    let data = json!({ "token": STANDARD.encode("bench"), "ca.crt": STANDARD.encode(&peers.ca) });
    let metadata = json!({ "name": "peers", "namespace": SYSTEM });
    west.api.put(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data }));
    let (before, start) = (resident(), Instant::now());
    for (number, address) in peers.addresses.iter().enumerate() {
        let spec = json!({
            "addresses": [address], "serverName": "peer.test", "secretName": "peers", "import": { "namespaces": ["shop"] },
        });
        let metadata = json!({ "name": format!("peer-{number}"), "generation": 1 });
        west.api.put(json!({ "apiVersion": ROLLCALL, "kind": "ClusterLink", "metadata": metadata, "spec": spec }));
    }
    let connected = |west: &Cluster| {
        let links = west.api.all("clusterlinks");
        let whole = |link: &&Value| link["status"]["imported"]["endpoints"] == endpoints;
        links.iter().filter(whole).count()
    };
    until("all peers to be taken in", || (connected(&west) == count).then_some(())).await;
    let bootstrap = start.elapsed();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let bytes = resident() - before;
    let reconnect = peers.restart();
    west.stop().await;
    let total = (count * endpoints) as f64;
    json!({
        "bootstrap_s": bootstrap.as_secs_f64(), "resident_bytes": bytes, "bytes_per_endpoint": bytes as f64 / total,
        "reconnect_s": reconnect.as_secs_f64(),
    })
}
