//! Two clusters, each an API server and a whole controller, linked over TLS: what one exports the other gives its callers.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::{Asked, FakeApi, Verb};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Cluster {
    id: &'static str,
    api: FakeApi,
    grpc: SocketAddr,
    running: Option<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
}

const SYSTEM: &str = "rollcall-system";
const ROLLCALL: &str = "rollcall.dev/v1alpha1";
const MCS: &str = "multicluster.x-k8s.io/v1beta1";
const SLICES: &str = "discovery.k8s.io/v1";

impl Cluster {
    /// Runs, and is known by its authority.
    async fn new(id: &'static str, ip: &str) -> Self {
        let api = FakeApi::default();
        for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
            let metadata = json!({ "name": name, "namespace": SYSTEM });
            api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
        }
        // Each its own address, where no connection of anybody else takes the port.
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let grpc = listener.local_addr().expect("an address");
        drop(listener);
        let mut cluster = Self { id, api, grpc, running: None };
        cluster.start().await;
        cluster
    }

    async fn start(&mut self) {
        let own = [format!("--grpc-listen={}", self.grpc), format!("--cluster-id={}", self.id)];
        let flags = [
            "rollcall-controller",
            "--api-listen=127.0.0.1:0",
            "--resolv-conf=/dev/null",
            "--lame-duck-seconds=0",
            "--tls=authority",
            "--tls-dns-name=rollcall.test",
        ];
        let args = Args::try_parse_from(flags.into_iter().map(str::to_owned).chain(own)).expect("good flags");
        let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let stop = CancellationToken::new();
        let serve =
            start::serve(args, Telemetry::default(), admin, Readiness::default(), self.api.client(), stop.clone());
        self.running = Some((stop, tokio::spawn(serve)));
    }

    async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.cancel();
        task.await.expect("it ends").expect("it ends well");
    }

    /// A Service without a selector, and what somebody else says of its endpoints.
    fn service(&self, name: &str, ip: &str) {
        let metadata = json!({ "name": name, "namespace": "shop", "uid": format!("uid-{name}") });
        let spec = json!({
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
        });
        self.api.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }));
    }

    fn endpoints(&self, service: &str, ips: &[&str]) {
        let metadata = json!({
            "name": format!("{service}-x7"), "namespace": "shop", "labels": { "kubernetes.io/service-name": service },
        });
        let endpoint = |ip: &&str| json!({ "addresses": [ip], "conditions": { "ready": true }, "zone": "zone-a" });
        let endpoints: Vec<_> = ips.iter().map(endpoint).collect();
        self.api.put(json!({
            "apiVersion": SLICES, "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
        }));
    }

    fn export(&self, name: &str) {
        let metadata = json!({ "name": name, "namespace": "shop" });
        self.api.put(json!({ "apiVersion": MCS, "kind": "ServiceExport", "metadata": metadata, "spec": {} }));
    }

    /// Lets `other` see the exports of `namespace`, or of all, and links it to this one.
    async fn linked_from(&self, other: &Self, namespace: &str, when_silent: Value) {
        let (token, user) = (format!("token-of-{}", other.id), format!("system:serviceaccount:{SYSTEM}:{}", other.id));
        self.api.token(&token, &user, &[]);
        self.api.grant(&user, "get", "exports", namespace);
        let ca = until("its authority", || {
            let map = self.api.get("v1", "configmaps", SYSTEM, "rollcall-ca")?;
            map["data"]["ca.crt"].as_str().map(str::to_owned)
        });
        let data = json!({ "token": STANDARD.encode(token), "ca.crt": STANDARD.encode(ca.await) });
        let name = format!("link-{}", self.id);
        let metadata = json!({ "name": name, "namespace": SYSTEM });
        other.api.put(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data }));
        let spec = json!({
            "addresses": [self.grpc.to_string()], "serverName": "rollcall.test", "secretName": name,
            "import": { "namespaces": ["shop"] }, "whenSilent": when_silent,
        });
        let metadata = json!({ "name": self.id, "generation": 1 });
        other.api.put(json!({ "apiVersion": ROLLCALL, "kind": "ClusterLink", "metadata": metadata, "spec": spec }));
    }

    /// The addresses in EndpointSlices that this cluster wrote for another one's endpoints, sorted.
    fn imported(&self, from: &str) -> Vec<String> {
        let slices = self.api.all("endpointslices");
        let of_peer = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"] == from);
        let endpoints = of_peer.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        let mut ips: Vec<_> = endpoints.filter_map(|one| Some(one["addresses"][0].as_str()?.to_owned())).collect();
        ips.sort_unstable();
        ips
    }

    async fn imports(&self, from: &str, ips: &[&str]) {
        until(&format!("{} imports {ips:?} from {from}", self.id), || (self.imported(from) == ips).then_some(())).await;
    }

    fn link(&self, name: &str) -> Value {
        self.api.get(ROLLCALL, "clusterlinks", "", name).unwrap_or_default()["status"].take()
    }

    async fn link_is(&self, name: &str, state: &str) -> Value {
        until(&format!("the link of {} to {name} is {state}, and not {}", self.id, self.link(name)), || {
            Some(self.link(name)).filter(|status| status["state"] == state)
        })
        .await
    }
}

async fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(seen) = seen() {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within two minutes: {what}");
}

/// Valid and its reason.
fn validity(cluster: &Cluster, export: &str) -> Option<(String, String)> {
    let export = cluster.api.get(MCS, "serviceexports", "shop", export)?;
    let conditions = export["status"]["conditions"].as_array()?.clone();
    let valid = conditions.into_iter().find(|condition| condition["type"] == "Valid")?;
    Some((valid["status"].as_str()?.to_owned(), valid["reason"].as_str()?.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_cluster_exports_joins_the_service_of_that_name_in_the_other_and_does_not_come_back() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.21").await, Cluster::new("west", "127.0.0.22").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
        cluster.export("payments");
    }
    east.endpoints("payments", &["10.1.0.4"]);
    east.service("secret", "10.96.0.10");
    east.endpoints("secret", &["10.1.0.99"]);
    west.service("secret", "10.96.0.10");
    east.export("nothing");
    east.linked_from(&west, "", json!({})).await;
    west.linked_from(&east, "shop", json!({})).await;

    // One way: its endpoints, and no service that is not exported.
    west.imports("east", &["10.1.0.4"]).await;
    let status = west.link_is("east", "Connected").await;
    assert_eq!((&status["imported"]["endpoints"], &status["problems"]), (&json!(1), &Value::Null), "{status}");
    east.endpoints("payments", &["10.1.0.4", "10.1.0.5"]);
    west.imports("east", &["10.1.0.4", "10.1.0.5"]).await;

    // The other way, where the right is to one namespace: its own, and not what it has from here.
    west.endpoints("payments", &["10.2.0.9"]);
    east.imports("west", &["10.2.0.9"]).await;
    assert_eq!(west.imported("east"), ["10.1.0.4", "10.1.0.5"], "its own endpoints did not come back");

    let valid = |cluster: &Cluster, name: &str| validity(cluster, name);
    until("payments is exported", || valid(&east, "payments").filter(|(status, _)| status == "True")).await;
    let nothing = until("an export of nothing says so", || valid(&east, "nothing")).await;
    assert_eq!(nothing, ("False".to_owned(), "NoService".to_owned()));

    // With the link goes all that it brought.
    west.api.remove(ROLLCALL, "clusterlinks", "", "east");
    west.imports("east", &[]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cluster_is_kept_over_a_restart_then_expires_and_comes_back() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.23").await, Cluster::new("west", "127.0.0.24").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    east.linked_from(&west, "", json!({ "suspectAfter": "5s", "expireAfter": "720h" })).await;
    west.imports("east", &["10.1.0.4"]).await;
    west.link_is("east", "Connected").await;

    east.stop().await;
    let status = west.link_is("east", "Suspect").await;
    assert_eq!(status["imported"]["endpoints"], 1, "{status}");
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    // Nobody is left who could say it anew, but the slice.
    west.stop().await;
    west.api.forget_asked();
    west.start().await;
    until("the restarted one reads its links", || {
        west.api.asked().into_iter().any(|asked| asked.resource == "clusterlinks").then_some(())
    })
    .await;
    assert_eq!(west.imported("east"), ["10.1.0.4"]);

    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| {
        link["spec"]["whenSilent"]["expireAfter"] = json!("6s");
    });
    let status = west.link_is("east", "Expired").await;
    assert_eq!((&status["expired"]["endpoints"], &status["imported"]["endpoints"]), (&json!(1), &json!(0)), "{status}");
    west.imports("east", &[]).await;
    let anew = |asked: &Asked| asked.resource == "endpointslices" && asked.verb != Verb::Delete;
    assert!(!west.api.writes().iter().any(anew), "its slice was written anew, and not only removed");

    east.start().await;
    west.link_is("east", "Connected").await;
    west.imports("east", &["10.1.0.4"]).await;
    east.stop().await;
    west.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_cannot_be_says_why_and_takes_nothing_in() {
    let (mut east, mut west) = (Cluster::new("east", "127.0.0.25").await, Cluster::new("west", "127.0.0.26").await);
    for cluster in [&east, &west] {
        cluster.service("payments", "10.96.0.9");
    }
    east.export("payments");
    east.endpoints("payments", &["10.1.0.4"]);
    east.linked_from(&west, "", json!({})).await;
    west.imports("east", &["10.1.0.4"]).await;
    // The same cluster by another name, and a link without its Secret.
    let link = west.api.get(ROLLCALL, "clusterlinks", "", "east").expect("it stands");
    for (name, secret) in [("north", "link-east"), ("south", "link-south")] {
        let mut spec = link["spec"].clone();
        spec["secretName"] = json!(secret);
        let metadata = json!({ "name": name, "generation": 1 });
        west.api.put(json!({ "apiVersion": ROLLCALL, "kind": "ClusterLink", "metadata": metadata, "spec": spec }));
    }
    let problem = |name: &'static str, words: &'static str| {
        let west = &west;
        async move {
            let said =
                || west.link(name)["problems"][0].as_str().filter(|said| said.contains(words)).map(str::to_owned);
            until(&format!("the link {name} says {words:?}, and not {}", west.link(name)), said).await
        }
    };
    problem("north", "says that its id is east").await;
    problem("south", "does not exist; make it by kubectl create secret").await;
    assert_eq!(west.link("north")["state"], "Connecting");
    // A token that has no right any more.
    east.api.take_grants();
    let user = format!("system:serviceaccount:{SYSTEM}:stranger");
    east.api.token("stranger", &user, &[]);
    west.api.edit("v1", "secrets", SYSTEM, "link-east", |secret| {
        secret["data"]["token"] = json!(STANDARD.encode("stranger"));
    });
    west.api.edit(ROLLCALL, "clusterlinks", "", "east", |link| link["spec"]["import"]["namespaces"] = json!(["*"]));
    problem("east", "ClusterRole rollcall-peer").await;
    assert_eq!(west.imported("east"), ["10.1.0.4"], "what the good stream brought stays meanwhile");
    assert_eq!(west.link("east")["state"], "Connected");
    east.stop().await;
    west.stop().await;
}
