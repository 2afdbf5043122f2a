//! DNS over TLS on real sockets, with a certificate that changes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RecordType};
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

const SECONDS: Duration = Duration::from_secs(60);

/// Writes a certificate for `dns.example.com` and its key; returns what trusts it.
fn certificate(folder: &Path) -> RootCertStore {
    let made = rcgen::generate_simple_self_signed(["dns.example.com".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    roots
}

/// Asks twice on one connection.
async fn ask(addr: SocketAddr, roots: &RootCertStore) -> std::io::Result<Vec<Message>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots.clone()).with_no_client_auth();
    config.alpn_protocols = vec![b"dot".to_vec()];
    let name = ServerName::try_from("dns.example.com").unwrap();
    let stream = TcpStream::connect(addr).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let mut answers = Vec::new();
    for id in [7, 8] {
        let mut message = Message::query();
        message.metadata.id = id;
        message.add_query(Query::query(Name::from_ascii("www.example.com.").unwrap(), RecordType::A));
        // The second query is padded.
        if id == 8 {
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(12, vec![0; 40]));
            message.set_edns(edns);
        }
        let bytes = message.to_vec().unwrap();
        stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer.len() % 468 == 0, id == 8, "{} bytes", answer.len());
        answers.push(Message::from_vec(&answer).unwrap());
    }
    Ok(answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_over_tls_and_a_new_certificate_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (file("tls.crt"), file("tls.key"));
    let flags = ["--catalog", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert-file", &cert, "--tls-key-file", &key];
    let args = Args::try_parse_from(["rollcall-dns"].iter().chain(&flags).chain(&tls)).unwrap();
    let prepared = Prepared::new(args).await.unwrap();
    let addr = prepared.tls_addrs().next().unwrap();
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let task = tokio::spawn(prepared.serve(readiness.clone(), stop.clone()));

    let closed = || readiness.gates().into_iter().find(|gate| *gate.name == *"tls").and_then(|gate| gate.closed);
    let begin = Instant::now();
    while !closed().is_some_and(|reason| reason.contains("tls.crt") && reason.contains("--tls-cert-file")) {
        assert!(begin.elapsed() < SECONDS, "{:?}", readiness.gates());
        sleep(Duration::from_millis(10)).await;
    }
    let mut roots = RootCertStore::empty();
    assert!(ask(addr, &roots).await.is_err(), "there is no certificate");
    for _ in 0..2 {
        let before = std::mem::replace(&mut roots, certificate(folder.path()));
        let begin = Instant::now();
        let answers = loop {
            match timeout(SECONDS, ask(addr, &roots)).await.expect("no connection hangs") {
                Ok(answers) => break answers,
                Err(error) => assert!(begin.elapsed() < SECONDS, "{error}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        // Nobody is asked for names outside of the cluster.
        let told = |answer: &Message| (answer.metadata.id, answer.metadata.response_code);
        let expected = [(7, ResponseCode::ServFail), (8, ResponseCode::ServFail)];
        assert_eq!(answers.iter().map(told).collect::<Vec<_>>(), expected, "there is no catalog yet");
        assert!(ask(addr, &before).await.is_err(), "not by the one before");
    }
    // Who does not speak TLS is let go, and counted.
    let mut plain = TcpStream::connect(addr).await.unwrap();
    plain.write_all(b"\0\x0cno handshake").await.unwrap();
    let mut rest = Vec::new();
    drop(timeout(SECONDS, plain.read_to_end(&mut rest)).await.expect("it is closed"));
    stop.cancel();
    timeout(SECONDS, task).await.expect("the server ends").unwrap().unwrap();
}
