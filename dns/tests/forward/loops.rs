//! Files that change, and servers that turn out to be this one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Message, ResponseCode};
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use crate::file::TempFile;
use crate::server::{Dns, SECONDS, codes, query, query_with_edns};

/// What an address passes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// Everything, as the address of a Service does.
    Everything,
    /// Questions with RD, as resolvers do; it refuses the others (systemd-resolved).
    Recursive,
}

/// An address that leads to another one, which is known once the other one listens.
async fn leading(to: tokio::sync::watch::Receiver<Option<SocketAddr>>, passes: Passes) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let addr = front.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        loop {
            let (len, from) = front.recv_from(&mut bytes).await.unwrap();
            let question = Message::from_vec(&bytes[..len]).unwrap();
            if passes == Passes::Recursive && !question.metadata.recursion_desired {
                let mut refusal = question.into_response();
                refusal.metadata.response_code = ResponseCode::Refused;
                front.send_to(&refusal.to_vec().unwrap(), from).await.unwrap();
                continue;
            }
            let (front, mut to, question) = (Arc::clone(&front), to.clone(), bytes[..len].to_vec());
            tokio::spawn(async move {
                let to = to.wait_for(Option::is_some).await.unwrap().unwrap();
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

async fn is_found(passes: Passes) {
    let (to, known) = tokio::sync::watch::channel(None);
    let leading = leading(known, passes).await;
    let dns = Dns::start_unready("http://127.0.0.1:1", &[&leading.to_string()]).await;
    to.send_replace(Some(dns.addr));
    let expected = format!("questions forwarded to {leading} come back to this server; give --forward a resolver");
    dns.wait_for_gate("forward", |closed| closed.is_some_and(|reason| reason.contains(&expected))).await;
    let fault = dns.readiness.gates().into_iter().find(|gate| *gate.name == *"forward").unwrap().fault;
    assert_eq!(fault, Some("ForwardingLoop"));
    // 14 would send its reader to the catalog.
    assert_eq!(codes(&dns.udp(&query_with_edns("www.example.com.", 1232)).await), (ResponseCode::ServFail, Some(23)));
    assert_eq!(dns.metric(r#"rollcall_dns_forward_upstreams{state="looping"}"#).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leads_back_here_is_found_and_said_with_the_remedy() {
    is_found(Passes::Everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_that_leads_back_here_is_found_though_it_passes_on_recursive_questions_alone() {
    is_found(Passes::Recursive).await;
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
    let file = TempFile::new("change", "search example.com\n");
    let dns = Dns::start_unready("http://127.0.0.1:1", &[file.path().to_str().unwrap()]).await;
    dns.wait_for_gate("forward", |closed| closed.is_some_and(|reason| reason.contains("names no server; add a line")))
        .await;
    assert_eq!(dns.udp(&query("www.example.com.")).await.metadata.response_code, ResponseCode::ServFail);
    // Servers of a resolv.conf have port 53; whether something listens there on this machine is all the same.
    file.write("nameserver 127.1.2.3\nnameserver 127.1.2.4\n");
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let begin = Instant::now();
    while servers_known(&dns).await < 2.0 {
        assert!(begin.elapsed() < SECONDS, "{}", dns.metrics().await);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Servers that were looked at, whatever the looks showed.
async fn servers_known(dns: &Dns) -> f64 {
    let of = async |state: &str| dns.metric(&format!(r#"rollcall_dns_forward_upstreams{{state="{state}"}}"#)).await;
    of("usable").await + of("held_down").await
}
