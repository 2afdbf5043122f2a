//! The metrics of a controller that runs, as Prometheus reads them, against the conventions and docs/metrics.md.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Its page, as soon as every source is synced and the certificate is there.
async fn page() -> String {
    let api = FakeApi::default();
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        let metadata = json!({ "name": name, "namespace": "rollcall-system" });
        api.put(json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata }));
    }
    // One service, so that what is told of each has its labels.
    let spec = json!({ "clusterIP": "None", "ports": [{ "port": 80 }] });
    let metadata = json!({ "name": "web", "namespace": "shop", "uid": "uid-1" });
    api.put(json!({ "kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": spec }));
    let spec = json!({ "addresses": ["127.0.0.1:9"], "secretName": "west", "import": { "namespaces": ["shop"] } });
    let link = json!({ "kind": "ClusterLink", "apiVersion": "rollcall.dev/v1alpha1", "metadata": { "name": "west" }, "spec": spec });
    api.put(link);
    let flags = [
        "--grpc-listen=127.0.0.1:0",
        "--api-listen=127.0.0.1:0",
        "--tls=authority",
        "--tls-dns-name=localhost",
        "--cluster-id=east",
        "--resolv-conf=/dev/null",
    ];
    let args = Args::try_parse_from(["rollcall-controller"].into_iter().chain(flags)).expect("good flags");
    let admin = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let (address, readiness, stop) = (admin.local_addr(), Readiness::default(), CancellationToken::new());
    let running =
        tokio::spawn(start::serve(args, Telemetry::default(), admin, readiness.clone(), api.client(), stop.clone()));
    let ready = async {
        while readiness.gates().is_empty() || !readiness.is_ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(120), ready).await;
    in_time.unwrap_or_else(|_| panic!("it is not ready: {:?}", readiness.closed()));
    // What is told of each link has a sample once there is one.
    let mut page = get(address, "/metrics").await;
    while !page.contains("rollcall_link_state{") {
        tokio::time::sleep(Duration::from_millis(10)).await;
        page = get(address, "/metrics").await;
    }
    stop.cancel();
    running.await.expect("it ends").expect("it ends well");
    page
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[tokio::test]
async fn every_metric_follows_the_conventions_and_stands_in_docs_metrics_md() {
    let page = page().await;
    rollcall_admin::conventions::assert_metric_conventions(&page);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    rollcall_admin::metrics_doc::assert_documented(&file, "controller", &page);
}
