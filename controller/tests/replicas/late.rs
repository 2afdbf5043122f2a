//! Instances that beat to one replica, and a second one that comes late: it takes over half of them, and evicts none that lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollcall_fake_api::FakeApi;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Running, api, start};

const INSTANCES: usize = 60;
/// Of them, those that fall silent at the end.
const SILENT: usize = 20;
/// Times that the second replica comes and ends.
const ROUNDS: usize = 2;
const CRITICAL: &str = "rollcall_checks_transitions_total{to=\"critical\"}";

/// About two beats a second; silence of ten of them convicts, since this machine may be busy.
fn register(api: &FakeApi) {
    let endpoint = |n: usize| json!({ "name": format!("vm-{n}"), "addresses": [format!("198.51.100.{}", 1 + n)] });
    let spec = json!({
        "service": "vms", "ports": [{ "name": "main", "port": 80 }],
        "endpoints": (0..INSTANCES).map(endpoint).collect::<Vec<_>>(),
        "heartbeat": { "interval": "1s", "ttl": "5s" },
    });
    let metadata = json!({ "name": "vms", "namespace": "shop", "uid": "uid-vms", "generation": 1 });
    let (version, kind) = ("rollcall.dev/v1alpha1", "ServiceRegistration");
    api.put(json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec }));
    api.token("a token", "machine", &[]);
    api.grant("machine", "update", "serviceregistrations/beat", "shop");
}

/// Beats for `vm-0` to `vm-LIVING - 1`, all on one connection to the first replica.
async fn beat(at: String, living: Arc<AtomicUsize>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&at).await {
            while beat_for(living.load(Ordering::Relaxed), &mut stream).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One beat of each; an error once the connection is gone.
async fn beat_for(living: usize, stream: &mut TcpStream) -> std::io::Result<()> {
    for n in 0..living {
        let request = format!(
            "PUT /v1/namespaces/shop/registrations/vms/endpoints/vm-{n}/beat HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer a token\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        if stream.read(&mut [0; 4096]).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

async fn await_health(replicas: &[&Running], health: &str, count: usize) {
    let metric = format!("rollcall_catalog_endpoints_by_health{{health=\"{health}\"}}");
    for replica in replicas {
        let mut seen = None;
        for _ in 0..1_200 {
            seen = replica.metric(&metric).await;
            if seen == Some(count as f64) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(seen, Some(count as f64), "endpoints that are {health}");
    }
}

async fn evicted(replica: &Running) -> f64 {
    replica.metric(CRITICAL).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_late_and_is_beaten_to_by_nobody_evicts_none_that_lives_and_finds_each_that_dies() {
    let api = api();
    register(&api);
    let free = TcpListener::bind("127.0.0.6:0").await.expect("a port");
    let listen = free.local_addr().expect("an address").to_string();
    drop(free);
    let a = start(&api, "a", &[&format!("--api-listen={listen}")]).await;
    let living = Arc::new(AtomicUsize::new(INSTANCES));
    let beats = tokio::spawn(beat(listen, Arc::clone(&living)));
    await_health(&[&a], "passing", INSTANCES).await;
    for round in 0..ROUNDS {
        let b = start(&api, "b", &["--api-listen=127.0.0.7:0"]).await;
        a.await_replicas(2.0).await;
        b.await_replicas(2.0).await;
        await_health(&[&a, &b], "passing", INSTANCES).await;
        // Longer than the silence that convicts: it has judged its share by what the first one heard.
        tokio::time::sleep(Duration::from_secs(6)).await;
        await_health(&[&a, &b], "passing", INSTANCES).await;
        assert_eq!((evicted(&a).await, evicted(&b).await), (0.0, 0.0), "evicted although all of them live");
        if round + 1 < ROUNDS {
            b.stop().await;
            a.await_replicas(1.0).await;
            continue;
        }
        living.store(INSTANCES - SILENT, Ordering::Relaxed);
        await_health(&[&a, &b], "critical", SILENT).await;
        await_health(&[&a, &b], "passing", INSTANCES - SILENT).await;
        let (by_a, by_b) = (evicted(&a).await, evicted(&b).await);
        assert!(by_b > 0.0, "the second one decides about its share");
        assert!(by_a + by_b >= SILENT as f64, "{by_a} and {by_b} evicted");
        b.stop().await;
    }
    beats.abort();
    a.stop().await;
}
