//! Servers that are asked over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::server::{Dns, addresses, query};
use crate::upstream::{Asked, add_addresses, answer, is_look};

/// Listens for TLS until it is dropped.
struct Encrypted {
    addr: SocketAddr,
    /// Its certificate, which vouches for itself.
    pem: tempfile::NamedTempFile,
    connections: Arc<AtomicUsize>,
    /// How long the questions were, but for those that look for loops.
    lengths: Arc<std::sync::Mutex<Vec<usize>>>,
    _tasks: JoinSet<()>,
}

/// What a server does with its connections.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Answers, the later question first where two have come.
    Pipelines,
    /// Closes after each answer.
    Closes,
}

// === impl Encrypted ===

impl Encrypted {
    async fn start(name: &str, habit: Habit) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let pem = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (addr, connections, lengths) = (listener.local_addr().unwrap(), Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, acceptor, habit, Arc::clone(&connections), Arc::clone(&lengths)));
        Self { addr, pem, connections, lengths, _tasks: tasks }
    }

    async fn asked_by_name(&self, name: &str) -> Dns {
        let (forward, pem) = (format!("tls://{}#{name}", self.addr), self.pem.path().display().to_string());
        Dns::start_with("http://127.0.0.1:1", &[&forward], &["--forward-tls-ca", &pem]).await
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    habit: Habit,
    connections: Arc<AtomicUsize>,
    lengths: Arc<std::sync::Mutex<Vec<usize>>>,
) {
    let mut open = JoinSet::new();
    loop {
        let (stream, from) = listener.accept().await.unwrap();
        let (acceptor, lengths) = (acceptor.clone(), Arc::clone(&lengths));
        connections.fetch_add(1, Ordering::Relaxed);
        open.spawn(async move {
            let mut stream = acceptor.accept(stream).await.ok()?;
            loop {
                let mut bytes = vec![0; usize::from(stream.read_u16().await.ok()?)];
                stream.read_exact(&mut bytes).await.ok()?;
                let message = Message::from_vec(&bytes).unwrap();
                if !is_look(&message) {
                    lengths.lock().unwrap().push(bytes.len());
                }
                let asked = Asked { message, from, tcp: true };
                let answer = answer(&asked, |message| add_addresses(message, &[[192, 0, 2, 1]]));
                stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).await.ok()?;
                stream.flush().await.ok()?;
                if habit == Habit::Closes {
                    stream.shutdown().await.ok()?;
                    return Some(());
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_share_a_connection_and_their_lengths_say_nothing() {
    let server = Encrypted::start("dns.example.com", Habit::Pipelines).await;
    let dns = server.asked_by_name("dns.example.com").await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let questions: Vec<_> = (0..20).map(|n| query(&format!("{}.example.com.", "n".repeat(n + 1)))).collect();
    for given in dns.tcp(&questions).await {
        assert_eq!(addresses(&given), ["192.0.2.1"]);
        assert!(given.edns.is_none_or(|edns| edns.option(EdnsCode::Padding).is_none()));
    }
    assert_eq!(addresses(&dns.udp(&query("www.example.com.")).await), ["192.0.2.1"]);
    let lengths = server.lengths.lock().unwrap().clone();
    assert!(lengths.len() == 21 && lengths.iter().all(|len| *len == 128), "{lengths:?}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_its_connections_is_asked_on_the_next() {
    let server = Encrypted::start("dns.example.com", Habit::Closes).await;
    let dns = server.asked_by_name("dns.example.com").await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    for _ in 0..4 {
        assert_eq!(addresses(&dns.udp(&query("www.example.com.")).await), ["192.0.2.1"]);
    }
    assert!(server.connections.load(Ordering::Relaxed) > 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_certificate_is_for_another_is_told_nothing() {
    let server = Encrypted::start("other.example.com", Habit::Pipelines).await;
    let dns = server.asked_by_name("dns.example.com").await;
    dns.wait_for_gate("forward", |closed| closed.is_none()).await;
    let given = dns.udp(&query("www.example.com.")).await;
    assert_eq!(given.metadata.response_code, ResponseCode::ServFail);
    assert!(server.lengths.lock().unwrap().is_empty(), "it was asked all the same");
    // For its address it is none either, nor is there another way to it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.lengths.lock().unwrap().is_empty());
}
