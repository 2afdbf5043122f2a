//! A cluster: an API server and a whole controller on it, reached over TLS.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Cluster {
    pub(crate) id: &'static str,
    pub(crate) api: FakeApi,
    pub(crate) grpc: SocketAddr,
    /// Further flags.
    flags: Vec<String>,
    running: Option<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
}

pub(crate) const SYSTEM: &str = "rollcall-system";
pub(crate) const ROLLCALL: &str = "rollcall.dev/v1alpha1";
pub(crate) const MCS: &str = "multicluster.x-k8s.io/v1beta1";
/// Who has this flag has no other id.
const BY_PROPERTY: &str = "--cluster-property=read";
/// Who has this flag has no authority of its own.
pub(crate) const BY_FILES: &str = "--tls=files";
pub(crate) const SLICES: &str = "discovery.k8s.io/v1";

impl Cluster {
    /// Two, east and west, of which west has a link to east, silent by these rules, and has taken in the one endpoint of
    /// `payments` that east exports.
    pub(crate) async fn pair(east: &str, west: &str, when_silent: Value) -> (Self, Self) {
        let (east, west) = (Self::new("east", east).await, Self::new("west", west).await);
        for cluster in [&east, &west] {
            cluster.service("payments", "10.96.0.9");
        }
        east.export("payments");
        east.endpoints("payments", &["10.1.0.4"]);
        east.linked_from(&west, "", when_silent).await;
        west.imports("east", &["10.1.0.4"]).await;
        (east, west)
    }

    /// Runs, and is known by its authority.
    pub(crate) async fn new(id: &'static str, ip: &str) -> Self {
        Self::with(id, ip, Vec::new()).await
    }

    /// With further flags.
    pub(crate) async fn with(id: &'static str, ip: &str, flags: Vec<String>) -> Self {
        let api = FakeApi::default();
        for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
            let metadata = json!({ "name": name, "namespace": SYSTEM });
            api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
        }
        Self::on(api, id, ip, flags).await
    }

    /// Another one that has the id, the authority and the accounts of `other`.
    pub(crate) async fn like(other: &Self, ip: &str, reader: &str) -> Self {
        let api = FakeApi::default();
        let objects = [("Secret", "secrets", "rollcall-authority"), ("ConfigMap", "configmaps", "rollcall-ca")];
        for (kind, resource, name) in objects {
            let stands = other.api.get("v1", resource, SYSTEM, name).expect("it has its authority");
            let metadata = json!({ "name": name, "namespace": SYSTEM });
            api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata, "data": stands["data"] }));
        }
        let user = format!("system:serviceaccount:{SYSTEM}:{reader}");
        api.token(&format!("token-of-{reader}"), &user, &[]);
        api.grant(&user, "get", "exports", "");
        Self::on(api, other.id, ip, Vec::new()).await
    }

    async fn on(api: FakeApi, id: &'static str, ip: &str, flags: Vec<String>) -> Self {
        // Each its own address, where no connection of anybody else takes the port.
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let grpc = listener.local_addr().expect("an address");
        drop(listener);
        let mut cluster = Self { id, api, grpc, flags, running: None };
        cluster.start().await;
        cluster
    }

    pub(crate) async fn start(&mut self) {
        let id =
            Some(format!("--cluster-id={}", self.id)).filter(|_| !self.flags.iter().any(|flag| flag == BY_PROPERTY));
        let tls = Some("--tls=authority".to_owned()).filter(|_| !self.flags.iter().any(|flag| flag == BY_FILES));
        let own = [Some(format!("--grpc-listen={}", self.grpc)), id, tls].into_iter().flatten();
        let flags = [
            "rollcall-controller",
            "--api-listen=127.0.0.1:0",
            "--resolv-conf=/dev/null",
            "--lame-duck-seconds=0",
            "--tls-dns-name=rollcall.test",
            // What is made of exports beside needs an API server that gives Services addresses.
            "--service-imports=false",
        ];
        let args = Args::try_parse_from(flags.into_iter().map(str::to_owned).chain(own).chain(self.flags.clone()))
            .expect("good flags");
        let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let stop = CancellationToken::new();
        let serve =
            start::serve(args, Telemetry::default(), admin, Readiness::default(), self.api.client(), stop.clone());
        self.running = Some((stop, tokio::spawn(serve)));
    }

    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.cancel();
        task.await.expect("it ends").expect("it ends well");
    }

    /// Waits until it has ended by itself, well.
    pub(crate) async fn ends(&mut self) {
        let (_, task) = self.running.take().expect("it runs");
        let ended = tokio::time::timeout(Duration::from_secs(120), task).await.expect("within two minutes");
        ended.expect("it ends").expect("it ends well");
    }

    /// A Service without a selector, and what somebody else says of its endpoints.
    pub(crate) fn service(&self, name: &str, ip: &str) {
        self.service_in("shop", name, ip);
    }

    pub(crate) fn service_in(&self, namespace: &str, name: &str, ip: &str) {
        let metadata = json!({ "name": name, "namespace": namespace, "uid": format!("uid-{name}") });
        let spec = json!({
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
        });
        self.api.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }));
    }

    pub(crate) fn endpoints(&self, service: &str, ips: &[&str]) {
        self.endpoints_in("shop", service, ips);
    }

    pub(crate) fn endpoints_in(&self, namespace: &str, service: &str, ips: &[&str]) {
        let metadata = json!({
            "name": format!("{service}-x7"), "namespace": namespace, "labels": { "kubernetes.io/service-name": service },
        });
        let endpoint = |ip: &&str| json!({ "addresses": [ip], "conditions": { "ready": true }, "zone": "zone-a" });
        let endpoints: Vec<_> = ips.iter().map(endpoint).collect();
        self.api.put(json!({
            "apiVersion": SLICES, "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
        }));
    }

    pub(crate) fn export(&self, name: &str) {
        self.export_in("shop", name);
    }

    pub(crate) fn export_in(&self, namespace: &str, name: &str) {
        let metadata = json!({ "name": name, "namespace": namespace });
        self.api.put(json!({ "apiVersion": MCS, "kind": "ServiceExport", "metadata": metadata, "spec": {} }));
    }

    /// Lets `other` see the exports of `namespace`, or of all, and links it to this one.
    pub(crate) async fn linked_from(&self, other: &Self, namespace: &str, when_silent: Value) {
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
    pub(crate) fn imported(&self, from: &str) -> Vec<String> {
        let slices = self.api.all("endpointslices");
        let of_peer = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"] == from);
        let endpoints = of_peer.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        let mut ips: Vec<_> = endpoints.filter_map(|one| Some(one["addresses"][0].as_str()?.to_owned())).collect();
        ips.sort_unstable();
        ips
    }

    pub(crate) async fn imports(&self, from: &str, ips: &[&str]) {
        until(&format!("{} imports {ips:?} from {from}", self.id), || (self.imported(from) == ips).then_some(())).await;
    }

    pub(crate) fn link(&self, name: &str) -> Value {
        self.api.get(ROLLCALL, "clusterlinks", "", name).unwrap_or_default()["status"].take()
    }

    /// The first problem of a link that has these words in it.
    pub(crate) async fn problem(&self, link: &str, words: &str) -> String {
        let said = || {
            let status = self.link(link);
            let all = status["problems"].as_array().cloned().unwrap_or_default();
            all.iter().filter_map(Value::as_str).find(|said| said.contains(words)).map(str::to_owned)
        };
        for _ in 0..1_200 {
            if let Some(said) = said() {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the link {link} of {} never said {words:?}, but {}", self.id, self.link(link));
    }

    pub(crate) async fn link_is(&self, name: &str, state: &str) -> Value {
        until(&format!("the link of {} to {name} is {state}, and not {}", self.id, self.link(name)), || {
            Some(self.link(name)).filter(|status| status["state"] == state)
        })
        .await
    }
}

pub(crate) async fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(seen) = seen() {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within two minutes: {what}");
}

/// Valid and its reason.
pub(crate) fn validity(cluster: &Cluster, export: &str) -> Option<(String, String)> {
    let export = cluster.api.get(MCS, "serviceexports", "shop", export)?;
    let conditions = export["status"]["conditions"].as_array()?.clone();
    let valid = conditions.into_iter().find(|condition| condition["type"] == "Valid")?;
    Some((valid["status"].as_str()?.to_owned(), valid["reason"].as_str()?.to_owned()))
}
