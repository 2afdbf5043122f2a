//! Files that change, and servers that turn out to be this one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::ResponseCode;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use crate::server::{Dns, SECONDS, codes, query, query_with_edns};

/// An address that leads to another one, as a Service's does: known once the other one listens.
async fn service(to: tokio::sync::watch::Receiver<Option<SocketAddr>>) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let addr = front.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        loop {
            let (len, from) = front.recv_from(&mut bytes).await.unwrap();
            let Some(to) = *to.borrow() else { continue };
            let (front, question) = (Arc::clone(&front), bytes[..len].to_vec());
            tokio::spawn(async move {
                let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                back.send_to(&question, to).await.unwrap();
                let mut answer = [0; 4096];
                let len = back.recv(&mut answer).await.unwrap();
                front.send_to(&answer[..len], from).await.unwrap();
            });
        }
    });
    addr
}

fn resolv_conf(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rollcall-{name}-{}.conf", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leads_back_here_is_found_and_said_with_the_remedy() {
    let (to, known) = tokio::sync::watch::channel(None);
    let service = service(known).await;
    let dns = Dns::start_unready("http://127.0.0.1:1", &[&service.to_string()]).await;
    to.send_replace(Some(dns.addr));
    let expected = format!("questions forwarded to {service} come back to this server; give --forward a resolver");
    dns.wait_for_gate("forward", |closed| closed.is_some_and(|reason| reason.contains(&expected))).await;
    let fault = dns.readiness.gates().into_iter().find(|gate| *gate.name == *"forward").unwrap().fault;
    assert_eq!(fault, Some("ForwardingLoop"));
    assert_eq!(codes(&dns.udp(&query_with_edns("www.example.com.", 1232)).await), (ResponseCode::ServFail, Some(14)));
    assert_eq!(dns.metric(r#"rollcall_dns_forward_upstreams{state="looping"}"#).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_address_is_refused_at_the_start() {
    let dns = Dns::start_unready("http://127.0.0.1:1", &[]).await;
    let own = dns.addr.to_string();
    let flags =
        ["--catalog", "http://127.0.0.1:1", "--listen", &own, "--forward", &own, "--http-listen", "127.0.0.1:0"];
    let args = Args::try_parse_from(["rollcall-dns"].iter().chain(&flags)).unwrap();
    let error = Prepared::new(args).await.unwrap_err().to_string();
    assert!(error.contains(&format!("--forward {own} is an address of this server")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolv_conf_without_a_server_closes_the_gate_and_its_change_is_taken_up() {
    // Servers of a resolv.conf listen on port 53: nothing does at these addresses, which the state of each shows.
    let path = resolv_conf("change", "search example.com\n");
    let dns = Dns::start_unready("http://127.0.0.1:1", &[path.to_str().unwrap()]).await;
    dns.wait_for_gate("forward", |closed| closed.is_some_and(|reason| reason.contains("names no server; add a line")))
        .await;
    assert_eq!(dns.udp(&query("www.example.com.")).await.metadata.response_code, ResponseCode::ServFail);
    std::fs::write(&path, "nameserver 127.1.2.3\nnameserver 127.1.2.4\n").unwrap();
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let begin = Instant::now();
    while dns.metric(r#"rollcall_dns_forward_upstreams{state="held_down"}"#).await < 2.0 {
        assert!(begin.elapsed() < SECONDS, "{}", dns.metrics().await);
        sleep(Duration::from_millis(20)).await;
    }
    std::fs::remove_file(&path).unwrap();
}
