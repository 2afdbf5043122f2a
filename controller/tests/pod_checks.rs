//! A whole controller that checks pods because a policy asks for it: what fails is out of our own view and nowhere else, and stays
//! out over a restart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Pods at these addresses: one that answers, and one that does not at first.
const PODS: [(&str, &str); 2] = [("payments-a", "127.0.0.31"), ("payments-b", "127.0.0.32")];

struct Running {
    admin: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

async fn start(api: &FakeApi, identity: &str) -> Running {
    let own = ["--grpc-listen=127.0.0.33:0".to_owned(), format!("--identity={identity}")];
    let flags = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0"].map(str::to_owned);
    let args = Args::try_parse_from(flags.into_iter().chain(own)).expect("good flags");
    let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let (address, stop) = (admin.local_addr(), CancellationToken::new());
    let serve = start::serve(args, Telemetry::default(), admin, Readiness::default(), api.client(), stop.clone());
    Running { admin: address, stop, task: tokio::spawn(serve) }
}

impl Running {
    /// The stages of which an eviction was measured.
    async fn measured(&self) -> Vec<String> {
        let mut stream = TcpStream::connect(self.admin).await.expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).await.expect("a page");
        let counts = page.lines().filter_map(|line| line.strip_prefix("rollcall_evictions_seconds_count{stage=\""));
        let counts = counts.filter_map(|rest| rest.split_once("\"} ")).filter(|(_, count)| *count != "0");
        counts.map(|(stage, _)| stage.to_owned()).collect()
    }

    /// Waits until an eviction was measured at each stage that a pod's has: its EndpointSlice is not ours to write.
    async fn await_measured(&self) {
        let stages = ["decided", "detected", "served"];
        let mut seen = Vec::new();
        for _ in 0..1_200 {
            seen = self.measured().await;
            seen.sort_unstable();
            if seen == stages {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{seen:?} are measured, not {stages:?}");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends").expect("it ends well");
    }
}

/// A pod's page about its health: answers 200 to everybody, and counts.
async fn answer(at: SocketAddr) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let (listener, asked) = (TcpListener::bind(at).await.expect("a free port"), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    (task, asked)
}

fn object(version: &str, kind: &str, name: &str, mut rest: Value) -> Value {
    let metadata = &mut rest["metadata"];
    (metadata["name"], metadata["namespace"]) = (name.into(), "shop".into());
    (rest["apiVersion"], rest["kind"]) = (version.into(), kind.into());
    rest
}

fn fill(api: &FakeApi, port: u16) {
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    let spec = json!({ "clusterIP": "10.96.0.9", "ports": ports });
    api.put(object("v1", "Service", "payments", json!({ "metadata": {}, "spec": spec })));
    let mut endpoints = Vec::new();
    for (name, ip) in PODS {
        let status = json!({ "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] });
        let pod = json!({ "metadata": {}, "spec": { "containers": [] }, "status": status });
        let uid = api.put(object("v1", "Pod", name, pod))["metadata"]["uid"].clone();
        endpoints.push(json!({
            "addresses": [ip], "conditions": { "ready": true, "serving": true, "terminating": false },
            "targetRef": { "kind": "Pod", "namespace": "shop", "name": name, "uid": uid },
        }));
    }
    let slice = json!({
        "metadata": { "labels": { "kubernetes.io/service-name": "payments" } }, "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
    });
    api.put(object("discovery.k8s.io/v1", "EndpointSlice", "payments-x", slice));
    let check = json!({ "name": "web", "http": {}, "interval": "500ms", "retryInterval": "100ms", "timeout": "400ms" });
    let spec = json!({ "podChecks": { "checks": [check], "port": port } });
    api.put(object("rollcall.dev/v1alpha1", "DiscoveryPolicy", "pods", json!({ "metadata": {}, "spec": spec })));
}

/// What the entry says of the pods, and the policy of those that fail.
fn told(api: &FakeApi) -> (Vec<(String, String)>, Vec<String>) {
    let entries = api.all("catalogentries");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let endpoints = entries.first().map(|entry| list(&entry["endpoints"])).unwrap_or_default();
    let endpoints = endpoints.iter().map(|said| (text(&said["addresses"][0]), text(&said["health"])));
    let mut endpoints: Vec<_> = endpoints.collect();
    endpoints.sort();
    let policies = api.all("discoverypolicies");
    let failing = policies.first().map(|policy| list(&policy["status"]["failingPods"])).unwrap_or_default();
    (endpoints, failing.iter().map(|pod| text(&pod["pod"])).collect())
}

/// Waits until the second pod is so, and the policy tells it so.
async fn await_second(api: &FakeApi, health: &str, failing: &[&str]) {
    let expected: Vec<_> =
        PODS.into_iter().zip(["Passing", health]).map(|((_, ip), health)| (ip.to_owned(), health.to_owned())).collect();
    let mut seen = Default::default();
    for _ in 0..1_200 {
        seen = told(api);
        if seen.0 == expected && seen.1 == failing {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not {health} with {failing:?} failing: {seen:?}; entries: {:?}", api.all("catalogentries"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fails_is_out_of_our_view_alone_and_stays_out_over_a_restart() {
    let api = FakeApi::default();
    let free = TcpListener::bind("127.0.0.31:0").await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let [first, second] = PODS.map(|(_, ip)| SocketAddr::new(ip.parse().expect("an address"), port));
    let (_first, asked) = answer(first).await;
    fill(&api, port);
    let running = start(&api, "one").await;
    await_second(&api, "Critical", &["payments-b"]).await;
    let policy = &api.all("discoverypolicies")[0];
    let check = &policy["status"]["failingPods"][0]["checks"][0];
    assert!(check["name"] == "web" && check["reason"].as_str().is_some_and(|why| why.contains("refused")), "{policy}");
    running.stop().await;

    // What the next process publishes first has the pod out: nothing is written anew, before it is probed and afterwards.
    api.forget_asked();
    let before = asked.load(Ordering::Relaxed);
    let running = start(&api, "two").await;
    for _ in 0..1_200 {
        if asked.load(Ordering::Relaxed) >= before + 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(asked.load(Ordering::Relaxed) >= before + 4, "the first pod is probed by the new process");
    let of_pods =
        |asked: &rollcall_fake_api::Asked| ["catalogentries", "endpointslices"].contains(&asked.resource.as_str());
    let writes: Vec<_> = api.writes().into_iter().filter(of_pods).collect();
    assert!(writes.is_empty(), "{writes:?}");

    // It answers: callers have it again. It fails again, and nobody asks any more: it is as Kubernetes says.
    let (answering, _) = answer(second).await;
    await_second(&api, "Passing", &[]).await;
    answering.abort();
    let _ = answering.await;
    await_second(&api, "Critical", &["payments-b"]).await;
    running.await_measured().await;
    api.remove("rollcall.dev/v1alpha1", "discoverypolicies", "shop", "pods");
    await_second(&api, "Passing", &[]).await;
    assert!(
        !api.writes().iter().any(|asked| asked.resource == "endpointslices"),
        "pods' EndpointSlices are Kubernetes's"
    );
    running.stop().await;
}
