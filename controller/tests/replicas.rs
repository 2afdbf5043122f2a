//! Whole controllers on one API server, each with a stream of its own: they find each other, and strangers are told nothing.

#[path = "replicas/late.rs"]
mod late;
#[path = "replicas/many.rs"]
mod many;
#[path = "replicas/streams.rs"]
mod streams;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use rollcall_xds::client::{self, Config, Credential, Event};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::REPLICA_KEY;
use rollcall_xds::tls::Fingerprint;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    admin: SocketAddr,
    grpc: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

fn api() -> FakeApi {
    let api = FakeApi::default();
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        let metadata = json!({ "name": name, "namespace": "rollcall-system" });
        api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
    }
    api
}

async fn start(api: &FakeApi, identity: &str, tls: &[&str]) -> Running {
    // Not 127.0.0.1, where a connection of anybody may take the port before the controller does.
    let listener = TcpListener::bind("127.0.0.5:0").await.expect("a port");
    let grpc = listener.local_addr().expect("an address");
    drop(listener);
    let own = [format!("--grpc-listen={grpc}"), format!("--identity={identity}")];
    let flags = ["rollcall-controller", "--resolv-conf=/dev/null", "--lame-duck-seconds=0"];
    let flags = flags.into_iter().chain(tls.iter().copied()).map(str::to_owned).chain(own);
    let args = Args::try_parse_from(flags).expect("good flags");
    let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let (address, stop) = (admin.local_addr(), CancellationToken::new());
    let serve = start::serve(args, Telemetry::default(), admin, Readiness::default(), api.client(), stop.clone());
    Running { admin: address, grpc, stop, task: tokio::spawn(serve) }
}

impl Running {
    async fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until it shares work with so many, and hears all of them but itself.
    async fn await_replicas(&self, live: f64) {
        let mut seen = None;
        for _ in 0..600 {
            seen = self.metric("rollcall_replicas_live").await.zip(self.metric("rollcall_replicas_heard").await);
            if seen == Some((live, live - 1.0)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it has {seen:?} replicas live and heard, not {live} and one less");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends").expect("it ends well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_find_each_other_with_tls_and_without_and_miss_who_leaves() {
    for tls in [&[][..], &["--tls=authority", "--tls-dns-name=localhost"][..]] {
        let api = api();
        let (a, b, c) = (start(&api, "a", tls).await, start(&api, "b", tls).await, start(&api, "c", tls).await);
        for replica in [&a, &b, &c] {
            replica.await_replicas(3.0).await;
        }
        c.stop().await;
        a.await_replicas(2.0).await;
        b.await_replicas(2.0).await;
        let leases = api.all("leases");
        let named = |lease: &Value| lease["metadata"]["name"].as_str().is_some_and(|name| name == "rollcall-replica-c");
        assert!(!leases.iter().any(named), "who ends in order takes its Lease along");
        a.stop().await;
        b.stop().await;
    }
}

/// What a client is given of the types between replicas, until its stream has ended twice or time is up.
async fn told(server: SocketAddr, credential: Option<String>) -> (usize, Vec<String>) {
    let seen = Arc::<Mutex<(usize, Vec<String>)>>::default();
    let config = Config {
        types: ResourceType::BETWEEN_REPLICAS.to_vec(),
        credential: credential.map(|value| Credential { key: REPLICA_KEY, value }),
        ..Config::new(vec![format!("http://{server}")], "stranger")
    };
    let sink = {
        let seen = Arc::clone(&seen);
        move |event| {
            let mut seen = seen.lock().expect("no panic");
            match event {
                Event::Update(update) => seen.0 += update.upserts.len(),
                Event::Disconnected { reason, .. } => seen.1.push(reason),
                Event::Connected { .. } => {}
            }
            Ok(())
        }
    };
    client::run(config, sink, tokio::time::sleep(Duration::from_secs(3))).await.expect("a good configuration");
    let seen = seen.lock().expect("no panic");
    seen.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_told_nothing_of_what_replicas_tell_each_other() {
    let api = api();
    let (a, b) = (start(&api, "a", &[]).await, start(&api, "b", &[]).await);
    a.await_replicas(2.0).await;
    let (resources, _) = told(a.grpc, None).await;
    assert_eq!(resources, 0, "to others these types are as if there were none");
    // The Lease holds the hash of the token, which is not the token.
    for shown in [format!("b {}", Fingerprint::of(b"guessed")), "b".to_owned(), "x y".to_owned()] {
        let (resources, reasons) = told(a.grpc, Some(shown)).await;
        assert_eq!(resources, 0);
        assert!(reasons.iter().any(|reason| reason.contains("no replica that this one knows")), "{reasons:?}");
    }
    a.stop().await;
    b.stop().await;
}
