//! A whole controller whose endpoints are taken out of the answers: by maintenance of each kind, and by `deregisterAfter`; what
//! callers are told by slices and on the stream, from which DNS servers answer as well.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use prost::Message;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use rollcall_xds::client::{self, Config, Event};
use rollcall_xds::proto::rollcall::v1::EndpointBucket;
use rollcall_xds::resource::ResourceType;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Addresses, and whether callers are to be given them.
type Told = BTreeMap<String, bool>;

struct Rig {
    api: FakeApi,
    port: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    /// By resource.
    buckets: Arc<Mutex<BTreeMap<Arc<str>, EndpointBucket>>>,
}

// === impl Rig ===

impl Rig {
    async fn start(api: FakeApi) -> Self {
        let [grpc, port] = [free().await, free().await];
        let flags = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0", "--identity=one"];
        let own = [format!("--grpc-listen={grpc}"), format!("--api-listen={port}")];
        let args = Args::try_parse_from(flags.map(str::to_owned).into_iter().chain(own)).expect("good flags");
        let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let stop = CancellationToken::new();
        let serve = start::serve(args, Telemetry::default(), admin, Readiness::default(), api.client(), stop.clone());
        let task = tokio::spawn(serve);
        let buckets = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let (kept, ended) = (Arc::clone(&buckets), stop.clone());
        let types = vec![ResourceType::EndpointBucket];
        let config = Config { types, ..Config::new(vec![format!("http://{grpc}")], "caller") };
        let sink = move |event| {
            if let Event::Update(update) = event {
                let mut kept = kept.lock().expect("no panic");
                update.removed.iter().for_each(|name| _ = kept.remove(name));
                for upsert in update.upserts {
                    kept.insert(upsert.name, EndpointBucket::decode(upsert.value).expect("a bucket"));
                }
            }
            Ok(())
        };
        tokio::spawn(client::run(config, sink, async move { ended.cancelled().await }));
        Self { api, port, stop, task, buckets }
    }

    fn on_the_stream(&self) -> Told {
        let buckets = self.buckets.lock().expect("no panic");
        let address = |bytes: &[u8]| Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("IPv4")).to_string();
        let endpoints = buckets.values().flat_map(|bucket| &bucket.endpoints);
        endpoints.map(|endpoint| (address(&endpoint.addresses[0]), endpoint.ready)).collect()
    }

    fn in_slices(&self) -> Told {
        let slices = self.api.all("endpointslices");
        let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        let told = |endpoint: Value| {
            let (address, ready) = (&endpoint["addresses"][0], &endpoint["conditions"]["ready"]);
            (address.as_str().unwrap_or_default().to_owned(), ready != false)
        };
        endpoints.map(told).collect()
    }

    /// Waits until both tell callers exactly this.
    async fn await_told(&self, what: &str, expected: &Told) {
        let mut seen = Default::default();
        for _ in 0..1_200 {
            seen = (self.on_the_stream(), self.in_slices());
            if seen.0 == *expected && seen.1 == *expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {seen:?} is told on the stream and in slices, not {expected:?}");
    }

    fn status(&self, registration: &str) -> Value {
        let found = self.api.get("rollcall.dev/v1alpha1", "serviceregistrations", "shop", registration);
        found.unwrap_or_default()["status"].take()
    }

    /// Waits until the status of a registration says so of its first endpoint.
    async fn await_status(&self, registration: &str, health: &str, words: &str) {
        let mut said = Value::Null;
        for _ in 0..1_200 {
            // There is none before the first write.
            said = self.status(registration).pointer("/endpoints/0").cloned().unwrap_or_default();
            if said["health"] == health && said.to_string().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{registration}: {said}, not {health} with {words:?}");
    }

    async fn beat(&self, registration: &str, status: &str) {
        let body = json!({ "status": status }).to_string();
        let request = format!(
            "PUT /v1/namespaces/shop/registrations/{registration}/endpoints/vm/beat HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer a token\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        for _ in 0..1_200 {
            answer.clear();
            if let Ok(mut stream) = TcpStream::connect(self.port).await {
                stream.write_all(request.as_bytes()).await.expect("sent");
                stream.read_to_string(&mut answer).await.expect("answered");
            }
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{answer}");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends").expect("it ends well");
    }
}

async fn free() -> SocketAddr {
    // Not 127.0.0.1, where a connection of anybody may take the port before the controller does.
    TcpListener::bind("127.0.0.8:0").await.expect("a port").local_addr().expect("an address")
}

fn put(api: &FakeApi, version: &str, kind: &str, name: &str, rest: &Value) {
    let mut object = rest.clone();
    (object["apiVersion"], object["kind"]) = (version.into(), kind.into());
    object["metadata"]["name"] = name.into();
    if kind != "Node" {
        object["metadata"]["namespace"] = "shop".into();
    }
    api.put(object);
}

/// A registration of one endpoint, `vm`, with what is said besides of it and of its endpoint.
fn register(api: &FakeApi, name: &str, address: &str, besides: &Value, of_endpoint: &Value) {
    let mut spec = json!({
        "service": "payments", "ports": [{ "name": "http", "port": 80 }],
        "endpoints": [{ "name": "vm", "addresses": [address], "machine": format!("machine-of-{name}") }],
    });
    let merge = |into: &mut Value, more: &Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            into[key] = value.clone();
        }
    };
    merge(&mut spec, besides);
    merge(&mut spec["endpoints"][0], of_endpoint);
    put(api, "rollcall.dev/v1alpha1", "ServiceRegistration", name, &json!({ "spec": spec }));
}

/// Kinds of maintenance: the registration whose endpoint it takes out.
const KINDS: [&str; 4] = ["by-endpoint", "by-registration", "by-node", "by-policy"];
const REASON: &str = "a new disk";

fn address(of: &str) -> String {
    format!("198.51.100.{}", 1 + KINDS.iter().position(|kind| *kind == of).expect("one of them"))
}

/// Puts the endpoint of a registration into maintenance of its kind, or ends that.
fn maintain(api: &FakeApi, kind: &str, on: bool) {
    let maintenance = if on { json!({ "maintenance": { "reason": REASON } }) } else { json!({}) };
    let none = json!({});
    match kind {
        "by-endpoint" => register(api, kind, &address(kind), &none, &maintenance),
        "by-registration" => register(api, kind, &address(kind), &maintenance, &none),
        "by-node" => {
            let annotations = if on { json!({ "rollcall.dev/maintenance": REASON }) } else { json!({}) };
            let node = json!({ "metadata": { "annotations": annotations, "labels": {} } });
            put(api, "v1", "Node", "machine-of-by-node", &node);
        }
        _ if on => {
            let spec = json!({ "maintenance": { "machines": ["machine-of-by-policy"], "reason": REASON } });
            put(api, "rollcall.dev/v1alpha1", "DiscoveryPolicy", "disks", &json!({ "spec": spec }));
        }
        _ => _ = api.remove("rollcall.dev/v1alpha1", "discoverypolicies", "shop", "disks"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_of_each_kind_takes_out_what_it_names_and_nothing_else() {
    let api = FakeApi::default();
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    put(&api, "v1", "Service", "payments", &json!({ "spec": { "clusterIP": "10.96.0.9", "ports": ports } }));
    KINDS.iter().for_each(|kind| register(&api, kind, &address(kind), &json!({}), &json!({})));
    maintain(&api, "by-node", false);
    let rig = Rig::start(api).await;
    let all: Told = KINDS.iter().map(|kind| (address(kind), true)).collect();
    rig.await_told("at first", &all).await;
    for kind in KINDS {
        maintain(&rig.api, kind, true);
        let mut out = all.clone();
        out.insert(address(kind), false);
        rig.await_told(kind, &out).await;
        rig.await_status(kind, "Maintenance", REASON).await;
        maintain(&rig.api, kind, false);
        rig.await_told(&format!("{kind} is over"), &all).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_as_long_as_deregister_after_says_is_told_to_nobody_and_returns_when_it_lives() {
    let api = FakeApi::default();
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    put(&api, "v1", "Service", "payments", &json!({ "spec": { "clusterIP": "10.96.0.9", "ports": ports } }));
    let heartbeat = json!({ "ttl": "1h" });
    register(&api, "stays", "198.51.100.1", &json!({ "heartbeat": heartbeat }), &json!({}));
    register(&api, "goes", "198.51.100.2", &json!({ "heartbeat": heartbeat, "deregisterAfter": "1s" }), &json!({}));
    api.token("a token", "machine", &[]);
    api.grant("machine", "update", "serviceregistrations/beat", "shop");
    let rig = Rig::start(api).await;
    for registration in ["stays", "goes"] {
        rig.beat(registration, "pass").await;
    }
    let told = |all: &[(&str, bool)]| all.iter().map(|(ip, ready)| ((*ip).to_owned(), *ready)).collect::<Told>();
    let both = told(&[("198.51.100.1", true), ("198.51.100.2", true)]);
    rig.await_told("both beat", &both).await;
    for registration in ["stays", "goes"] {
        rig.beat(registration, "fail").await;
    }
    rig.await_told("one is kept as Critical", &told(&[("198.51.100.1", false)])).await;
    let gone = || {
        let entry = rig.api.get("rollcall.dev/v1alpha1", "catalogentries", "shop", "payments").unwrap_or_default();
        let listed = entry["endpoints"].as_array().is_some_and(|all| all.len() == 1);
        (listed && rig.status("goes").to_string().contains("Deregistered"), entry)
    };
    for _ in 0..1_200 {
        if gone().0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(gone().0, "{} in {}", rig.status("goes"), gone().1);
    for registration in ["stays", "goes"] {
        rig.beat(registration, "pass").await;
    }
    rig.await_told("both live again", &both).await;
    rig.stop().await;
}
