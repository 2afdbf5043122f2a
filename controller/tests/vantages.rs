//! A whole controller that asks others than replicas, because a policy names them, before callers lose an endpoint: a machine's agent and
//! a node's DNS server with the code of their programs, and one by hand who says what the test wants.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_agent::board::Board;
use rollcall_agent::config::Agent;
use rollcall_agent::link;
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use rollcall_health::confirmation::Vote;
use rollcall_health::probe::{Network, Probes};
use rollcall_vantage::{attend, wire};
use rollcall_xds::client::{Config, Dialer};
use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_client::AgentsClient;
use rollcall_xds::proto::rollcall::v1::hello::Lookout;
use rollcall_xds::proto::rollcall::v1::{AgentReply, AgentReport, Hello, Posted};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};

const POD: &str = "127.0.0.41";

struct Rig {
    api: FakeApi,
    admin: SocketAddr,
    grpc: SocketAddr,
    https: SocketAddr,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn free() -> SocketAddr {
    // Not 127.0.0.1, where a connection of anybody may take the port before the controller does.
    TcpListener::bind("127.0.0.42:0").await.expect("a port").local_addr().expect("an address")
}

// === impl Rig ===

impl Rig {
    async fn start(api: FakeApi) -> Self {
        for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
            let metadata = json!({ "name": name, "namespace": "rollcall-system" });
            api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
        }
        let [grpc, https] = [free().await, free().await];
        let flags = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0", "--identity=one"];
        let own = [format!("--grpc-listen={grpc}"), format!("--api-listen={https}"), "--tls=authority".to_owned()];
        let own = own.into_iter().chain(["--tls-dns-name=localhost".to_owned()]);
        let args = Args::try_parse_from(flags.map(str::to_owned).into_iter().chain(own)).expect("good flags");
        let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let (at, readiness, stop) = (admin.local_addr(), Readiness::default(), CancellationToken::new());
        let serve = start::serve(args, Telemetry::default(), admin, readiness.clone(), api.client(), stop.clone());
        let task = tokio::spawn(serve);
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Self { api, admin: at, grpc, https, folder, stop, task };
        let authority = || {
            let object = rig.api.get("v1", "configmaps", "rollcall-system", "rollcall-ca").unwrap_or_default();
            object["data"]["ca.crt"].as_str().map(str::to_owned)
        };
        let listens = async || TcpStream::connect(grpc).await.is_ok() && TcpStream::connect(https).await.is_ok();
        for _ in 0..1_200 {
            if let Some(pem) = authority()
                && listens().await
                && readiness.is_ready()
            {
                std::fs::write(rig.ca(), pem).expect("written");
                return rig;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not ready: {:?}", readiness.closed().iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    fn token(&self, token: &str) -> PathBuf {
        let file = self.folder.path().join(token.replace(' ', "-"));
        std::fs::write(&file, token).expect("written");
        file
    }

    fn config(&self, token: &str) -> Config {
        let mut config = Config::new(vec![format!("https://{}", self.grpc)], "test");
        (config.ca_file, config.server_name) = (Some(self.ca()), Some("localhost".to_owned()));
        config.token_file = Some(self.token(token));
        config
    }

    /// A line of the metrics.
    async fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        page.lines().find(|line| line.starts_with(name))?.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until each line of the vantages' metrics says as much.
    async fn await_metrics(&self, lines: &[(&str, f64)]) {
        for (line, least) in lines {
            let name = format!("rollcall_vantages_{line}");
            let mut seen = None;
            for _ in 0..1_200 {
                seen = self.metric(&name).await;
                if seen.is_some_and(|seen| seen >= *least) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(seen.is_some_and(|seen| seen >= *least), "{name}: {seen:?}");
        }
    }

    /// A stream by hand, of a machine's agent; what it is told of whether it is asked.
    async fn by_hand(&self, machine: &str, token: &str) -> (mpsc::Sender<AgentReport>, Streaming<AgentReply>, Posted) {
        let config = self.config(token);
        let channel = Dialer::new(&config, &config.servers[0]).expect("a server").connect().await.expect("connected");
        let (reports, outgoing) = mpsc::channel(16);
        let hello = Hello {
            machine: machine.into(),
            agent_id: machine.into(),
            revision: 1,
            lookout: Lookout::Agent.into(),
            ..Hello::default()
        };
        reports.send(AgentReport { report: Some(Report::Hello(hello)) }).await.expect("it waits");
        let mut request = Request::new(ReceiverStream::new(outgoing));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("letters"));
        let mut replies = AgentsClient::new(channel).attend(request).await.expect("known").into_inner();
        let reply = replies.message().await.expect("an answer").and_then(|reply| reply.reply);
        let Some(Reply::Posted(posted)) = reply else { panic!("{reply:?}") };
        (reports, replies, posted)
    }

    /// What the explanation says of the only check: its health, and who says what.
    async fn explained(&self) -> (String, Vec<(String, String)>) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca()).expect("PEM")).expect("an authority");
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(self.https).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS");
        let request = "GET /v1/namespaces/shop/services/payments/explain HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                       authorization: Bearer reads\r\n\r\n";
        tls.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let story: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let check = &story["endpoints"][0]["checks"][0];
        let seen = check["seen"].as_array().cloned().unwrap_or_default();
        (text(&check["health"]), seen.iter().map(|seen| (text(&seen["from"]), text(&seen["health"]))).collect())
    }

    async fn await_explained(&self, what: &str, is_so: impl Fn(&str, &[(String, String)]) -> bool) {
        let mut seen = Default::default();
        for _ in 0..1_200 {
            seen = self.explained().await;
            if is_so(&seen.0, &seen.1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {seen:?}");
    }
}

fn put(api: &FakeApi, version: &str, kind: &str, name: &str, mut rest: Value) -> Value {
    let metadata = &mut rest["metadata"];
    (metadata["name"], metadata["namespace"]) = (name.into(), "shop".into());
    (rest["apiVersion"], rest["kind"]) = (version.into(), kind.into());
    api.put(rest)
}

/// A service of one pod, which is checked, and of which these are asked.
fn fill(api: &FakeApi, port: u16) {
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    put(api, "v1", "Service", "payments", json!({ "spec": { "clusterIP": "10.96.0.9", "ports": ports } }));
    let status = json!({ "phase": "Running", "podIP": POD, "podIPs": [{ "ip": POD }] });
    let pod = put(api, "v1", "Pod", "payments-a", json!({ "spec": { "containers": [] }, "status": status }));
    let endpoint = json!({
        "addresses": [POD], "conditions": { "ready": true, "serving": true, "terminating": false },
        "targetRef": { "kind": "Pod", "namespace": "shop", "name": "payments-a", "uid": pod["metadata"]["uid"] },
    });
    let slice = json!({
        "metadata": { "labels": { "kubernetes.io/service-name": "payments" } }, "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": [endpoint],
    });
    put(api, "discovery.k8s.io/v1", "EndpointSlice", "payments-x", slice);
    // Refused connections need no timeout, and a busy machine's answers are late.
    let check = json!({ "name": "web", "tcp": {}, "interval": "3s", "retryInterval": "100ms", "timeout": "3s" });
    let confirmation = json!({ "replicas": 0, "agents": ["vm-1", "vm-2"], "dnsNodes": ["node-a.example.net"] });
    let spec = json!({ "podChecks": { "checks": [check], "port": port }, "confirmation": confirmation });
    put(api, "rollcall.dev/v1alpha1", "DiscoveryPolicy", "pods", json!({ "spec": spec }));
}

/// An agent by hand, which reaches what it is asked about, and counts how often it is.
async fn reaches(reports: mpsc::Sender<AgentReport>, mut replies: Streaming<AgentReply>, counted: Arc<AtomicUsize>) {
    while let Ok(Some(AgentReply { reply: Some(reply) })) = replies.message().await {
        let Reply::Probe(probe) = reply else { continue };
        assert_eq!(*probe.address, [127, 0, 0, 41]);
        let found = wire::found(probe.number, Vote::Reached);
        reports.send(AgentReport { report: Some(Report::Found(found)) }).await.expect("it listens");
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

async fn is_asked_again(asked: &AtomicUsize) {
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..1_200 {
        if asked.load(Ordering::Relaxed) >= before + 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not asked again and again");
}

/// The agent of vm-1 and the DNS server of node-a.example.net, as far as they are asked.
fn programs(rig: &Rig) -> [JoinHandle<()>; 2] {
    let agent = Agent {
        machine: "vm-1".into(),
        controllers: vec![format!("https://{}", rig.grpc)],
        ca_file: Some(rig.ca()),
        server_name: Some("localhost".into()),
        token_file: Some(rig.token("agents")),
        vantage: true,
        ..Agent::default()
    };
    let settings = link::Settings::new(&agent, "agent-1").expect("a server");
    let board = Arc::new(watch::Sender::new(Board::default()));
    let agent = tokio::spawn(async { _ = link::run(settings, board).await });
    let dns = attend::run(rig.config("dns"), "node-a.example.net".into(), || Probes::new(Network));
    [agent, tokio::spawn(dns)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_and_dns_servers_that_a_policy_names_are_asked_and_the_majority_decides() {
    let api = FakeApi::default();
    for (token, user) in [("agents", "agents"), ("dns", "dns"), ("stranger", "stranger"), ("reads", "reads")] {
        api.token(token, user, &[]);
    }
    api.grant("agents", "create", "vantages/agent", "");
    api.grant("dns", "create", "vantages/dns", "");
    api.grant("reads", "get", "catalogentries", "shop");
    let pod = TcpListener::bind((POD, 0)).await.expect("a port");
    fill(&api, pod.local_addr().expect("an address").port());
    let rig = Rig::start(api).await;
    rig.await_explained("it answers", |health, _| health == "Passing").await;

    // RBAC says who may be asked. One that may reaches it, whatever the controller sees: half of two is no majority.
    let (_reports, _replies, posted) = rig.by_hand("vm-2", "stranger").await;
    assert!(!posted.is_asked && posted.words.contains("vantages.rollcall.dev/agent vm-2"), "{posted:?}");
    let (reports, replies, posted) = rig.by_hand("vm-2", "agents").await;
    assert!(posted.is_asked, "{posted:?}");
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let answering = tokio::spawn(reaches(reports, replies, counted));
    drop(pod);
    let reached = |seen: &[(String, String)], who: &str, health: &str| {
        seen.iter().any(|(from, said)| from.starts_with(who) && said == health)
    };
    rig.await_explained("vm-2 reaches it", |_, seen| reached(seen, "the agent of vm-2", "Passing")).await;
    is_asked_again(&asked).await;
    assert_eq!(rig.explained().await.0, "Passing", "callers have it still");

    let pod = TcpListener::bind(pod_address(&rig.api)).await.expect("its port is free");
    rig.await_explained("the controller reaches it, too", |_, seen| reached(seen, "a probe of", "Passing")).await;

    // The programs too, both there before the endpoint goes: of three, two would decide without the other.
    let [agent, dns] = programs(&rig);
    rig.await_metrics(&[("connected{kind=\"agent\"}", 2.0), ("connected{kind=\"dns\"}", 1.0)]).await;
    drop(pod);
    // Three of four decide, also before the fourth has said that it reaches it.
    rig.await_explained("three of four do not reach it", |health, seen| {
        health == "Critical"
            && reached(seen, "the agent of vm-1", "Critical")
            && reached(seen, "the DNS server of node-a.example.net", "Critical")
    })
    .await;
    let answers = [("answers_total{answer=\"reached\"}", 2.0), ("answers_total{answer=\"failed\"}", 2.0)];
    rig.await_metrics(&[("asked_total", 4.0)]).await;
    rig.await_metrics(&answers).await;

    // It answers, and what was said is over.
    let _pod = TcpListener::bind(pod_address(&rig.api)).await.expect("its port is free");
    rig.await_explained("it is back", |health, seen| health == "Passing" && seen.len() == 1).await;
    for task in [agent, dns, answering] {
        task.abort();
    }
    rig.stop.cancel();
    rig.task.await.expect("it ends").expect("it ends well");
}

fn pod_address(api: &FakeApi) -> SocketAddr {
    let policy = &api.all("discoverypolicies")[0];
    let port = policy["spec"]["podChecks"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    SocketAddr::new(POD.parse().expect("an address"), port.expect("a port"))
}
