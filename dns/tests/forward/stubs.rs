//! Names of a domain that has servers of its own.

use hickory_proto::op::ResponseCode;

use crate::server::{Dns, addresses, codes, query, query_with_edns};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_a_stub_domain_are_asked_of_its_servers_and_of_no_other() {
    let (corp, others) = (Upstream::with_address([192, 0, 2, 1]).await, Upstream::with_address([192, 0, 2, 2]).await);
    let stub = format!("corp.example={}", corp.addr);
    let further = ["--stub-domain", &stub];
    let dns = Dns::start_with("http://127.0.0.1:1", &[&others.addr.to_string()], &further).await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    // The servers of a stub have been looked at by the time that they are asked, or the question is asked again.
    let begin = tokio::time::Instant::now();
    while addresses(&dns.udp(&query("www.corp.example.")).await) != ["192.0.2.1"] {
        assert!(begin.elapsed() < crate::server::SECONDS, "the servers of the stub are not asked");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(addresses(&dns.udp(&query("www.notcorp.example.")).await), ["192.0.2.2"]);
    let names = |upstream: &Upstream| {
        upstream.asked().iter().map(|asked| asked.message.queries[0].name().to_ascii()).collect::<Vec<_>>()
    };
    assert!(names(&corp).iter().all(|name| name == "www.corp.example."), "{:?}", names(&corp));
    assert_eq!(names(&others), ["www.notcorp.example."]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_stub_domains_alone_other_names_are_refused() {
    let corp = Upstream::with_address([192, 0, 2, 1]).await;
    let stub = format!("corp.example={}", corp.addr);
    let dns = Dns::start_with("http://127.0.0.1:1", &[], &["--stub-domain", &stub]).await;
    let answer = dns.udp(&query_with_edns("www.example.com.", 1232)).await;
    assert_eq!(codes(&answer), (ResponseCode::Refused, Some(20)));
}
