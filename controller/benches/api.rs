//! The API port: memory of long polls that wait, and answers a second on one core.
//!
//! `cargo bench --workspace --bench api` prints both beside the aim and writes `target/bench/api.json`. The server
//! is a process of its own on one thread, over TLS, with real reviews of a token (answered by the API server of tests).
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use rollcall_admin::{Descriptors, Readiness};
use rollcall_catalog::Catalog;
use rollcall_catalog::input::Input;
use rollcall_catalog::time::Now;
use rollcall_controller::access;
use rollcall_controller::api::{self, Routes, Settings, questions};
use rollcall_controller::registration::Reader;
use rollcall_controller::time::clock::Clock;
use rollcall_crds::ServiceRegistration;
use rollcall_fake_api::FakeApi;
use rollcall_xds::tls::{Certificates, Identity};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::sync::CancellationToken;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POLLS: usize = 10_000;
/// Polls on each connection of HTTP/2.
const POLLS_EACH: usize = 100;
const ANSWERS_A_SECOND: usize = 20_000;
const CONNECTIONS: usize = 64;
const FOR: Duration = Duration::from_secs(10);
/// What is asked before is not counted: who has just connected is cold.
const WARM_UP: Duration = Duration::from_secs(1);
const SERVICES: usize = 100;
const USER: &str = "system:serviceaccount:bench:reader";
/// As long as that of a ServiceAccount.
const TOKEN_BYTES: usize = 1_000;

fn main() {
    Descriptors::raise();
    match env::var("ROLLCALL_BENCH_API_SERVES") {
        Ok(place) => serve(&place),
        Err(_) => measure(),
    }
}

fn token() -> String {
    "t".repeat(TOKEN_BYTES)
}

fn registration(service: usize) -> ServiceRegistration {
    let endpoint =
        |n: usize| serde_json::json!({ "name": format!("vm-{n}"), "addresses": [format!("10.1.{service}.{n}")] });
    let object = serde_json::json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": { "name": format!("service-{service}"), "namespace": "bench", "uid": "u", "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-11-01T00:00:00Z" },
        "spec": { "service": format!("service-{service}"), "ports": [{ "name": "http", "port": 8080 }], "endpoints": (1..=10).map(endpoint).collect::<Vec<_>>() },
    });
    serde_json::from_value(object).unwrap()
}

/// The server has one core and who asks another, where there are two: which of them waits for the other is not left to chance.
fn on_core(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    let _ = sched_setaffinity(None, &set); // With one core there is nothing to choose.
}

#[tokio::main(flavor = "current_thread")]
async fn serve(place: &str) {
    on_core(0);
    let (address, folder) = place.split_once(' ').unwrap();
    let (certificate, key) = (fs::read(format!("{folder}/crt")).unwrap(), fs::read(format!("{folder}/key")).unwrap());
    let certificates = Arc::<Certificates>::default();
    certificates.set(Identity::from_pem(&certificate, &key, Clock::wall_s()).unwrap());
    let mut catalog = Catalog::default();
    for service in 0..SERVICES {
        catalog.apply(Input::Contribution(Reader::default().read(&registration(service)).contribution));
    }
    catalog.publish(Now::default());
    let (sender, snapshots) = watch::channel(Some(catalog.snapshot()));
    let fake = FakeApi::default();
    fake.token(&token(), USER, &["system:authenticated"]);
    fake.grant(USER, "get", "catalogentries", "bench");
    let (mut registry, stop) = (Registry::default(), CancellationToken::new());
    let access = access::start(fake.client(), Duration::from_secs(3600), &mut registry);
    let routes = questions::start(Routes::default(), snapshots, mpsc::channel(1).0, questions::Linked::default());
    let settings = Settings { address: address.parse().unwrap(), connections_max: 20_000 };
    let until = (&Readiness::default(), stop);
    let serving = api::start(&settings, routes, access, Some(&certificates), until, &mut registry).unwrap();
    serving.await.unwrap();
    drop(sender);
}

/// The server; it ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
    tls: TlsConnector,
}

#[tokio::main]
async fn measure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/api");
    fs::create_dir_all(&folder).unwrap();
    let server = Server::start(&folder).await;
    let (polls, each) = server.polls().await;
    let answers = thread::scope(|scope| scope.spawn(|| server.answers()).join().unwrap());
    println!("{:<44} {:>12} {:>12}", "", "measured", "aim");
    println!("{:<44} {:>9.1} MB {:>12}", format!("{POLLS} long polls that wait"), polls as f64 / 1e6, "20 MB");
    println!("{:<44} {:>10.0} B {:>12}", "each of them", each, "2,000 B");
    println!("{:<44} {:>12.0} {:>12}", "answers a second, offered 20,000", answers.rate, "20,000");
    println!("{:<44} {:>12.1?}", "p50 of their latency", answers.p50);
    println!("{:<44} {:>12.1?} {:>12}", "p99 of their latency", answers.p99, "5 ms");
    println!("{:<44} {:>12.1?} {:>12}", "p99 of the middle tenth of a second", answers.middle_p99, "5 ms");
    println!("{:<44} {:>9.1} µs {:>12}", "CPU of the server for each", answers.cpu_us, "50 µs");
    let json = serde_json::json!({
        "long_polls": POLLS, "long_polls_bytes": polls, "answers_per_second": answers.rate,
        "p50_us": answers.p50.as_micros() as u64, "p99_us": answers.p99.as_micros() as u64,
        "middle_p99_us": answers.middle_p99.as_micros() as u64, "cpu_us_per_answer": answers.cpu_us,
    });
    fs::write(folder.join("../api.json"), format!("{json:#}\n")).unwrap();
}

struct Answers {
    rate: f64,
    p50: Duration,
    p99: Duration,
    /// Of each tenth of a second, and of those the middle one: what is left when the machine stood still now and then.
    middle_p99: Duration,
    cpu_us: f64,
}

// === impl Server ===

impl Server {
    async fn start(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files: [(PathBuf, String); 2] =
            [(folder.join("crt"), made.cert.pem()), (folder.join("key"), made.signing_key.serialize_pem())];
        for (path, text) in &files {
            fs::write(path, text).unwrap();
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .env("ROLLCALL_BENCH_API_SERVES", format!("{free} {}", folder.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = Self { child, address: free, tls: TlsConnector::from(Arc::new(config)) };
        while TcpStream::connect(free).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut config = (**self.tls.config()).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        let uri = format!("https://localhost:{}{path}", self.address.port());
        let request =
            Request::get(uri).header("host", "localhost").header("authorization", format!("Bearer {}", token()));
        request.body(Empty::new()).unwrap()
    }

    fn path(service: usize) -> String {
        format!("/v1/namespaces/bench/services/service-{}/endpoints", service % SERVICES)
    }

    /// Bytes of all, and of each, connections included.
    async fn polls(&self) -> (u64, f64) {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect(b"http/1.1").await)).await.unwrap();
        tokio::spawn(connection);
        let mut versions = Vec::new();
        for service in 0..SERVICES {
            sender.ready().await.unwrap();
            let answer = sender.send_request(self.request(&Self::path(service))).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            versions.push(body["version"].as_str().unwrap().to_owned());
        }
        let before = self.rss();
        let mut held = Vec::new();
        for connection in 0..POLLS / POLLS_EACH {
            let io = TokioIo::new(self.connect(b"h2").await);
            let (mut sender, driver) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(driver);
            for poll in 0..POLLS_EACH {
                let service = (connection + poll) % SERVICES;
                let path = format!("{}?wait=10m&version={}", Self::path(service), versions[service]);
                sender.ready().await.unwrap();
                held.push(tokio::spawn(sender.send_request(self.request(&path))));
            }
            held.push(tokio::spawn(async move {
                let _sender = sender;
                std::future::pending().await
            }));
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(held.iter().all(|poll| !poll.is_finished()), "all wait");
        let bytes = self.rss().saturating_sub(before);
        held.iter().for_each(tokio::task::JoinHandle::abort);
        (bytes, bytes as f64 / POLLS as f64)
    }

    /// Offered at an even pace over some connections; latency is from when each was due. Who asks has one thread, and no more of HTTP
    /// than it needs: a client that fills its core would be what is measured.
    fn answers(&self) -> Answers {
        on_core(1);
        let pace = Duration::from_secs_f64(CONNECTIONS as f64 / ANSWERS_A_SECOND as f64);
        let (begun, cpu) = (Instant::now() + Duration::from_secs(1), self.cpu());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asking = (0..CONNECTIONS).map(|at| async move {
            let mut connection = Connection::over(self.connect(b"http/1.1").await);
            let request = Self::text(&Self::path(at));
            // Memory that is touched before: all would want more at the same moments, and wait for it.
            let mut took = vec![Default::default(); (WARM_UP + FOR).div_duration_f64(pace) as usize + 1];
            took.clear();
            let mut due = begun + pace.mul_f64(at as f64 / CONNECTIONS as f64);
            while due < begun + WARM_UP + FOR {
                tokio::time::sleep_until(due.into()).await;
                connection.ask(&request).await;
                took.push((due - begun, due.elapsed()));
                due += pace;
            }
            took
        });
        let took = runtime.block_on(futures::future::join_all(asking));
        let (elapsed, cpu) = (begun.elapsed(), self.cpu() - cpu);
        let took = took.concat();
        let cpu_us = cpu * 1e6 / took.len() as f64;
        let took: Vec<_> = took.into_iter().filter_map(|(due, took)| Some((due.checked_sub(WARM_UP)?, took))).collect();
        let mut tenths = vec![Vec::new(); 1 + FOR.as_millis() as usize / 100];
        took.iter().for_each(|(due, took)| tenths[due.as_millis() as usize / 100].push(*took));
        let tenths = tenths.into_iter().filter(|tenth| !tenth.is_empty()).map(|tenth| percentile(tenth, 99));
        let middle_p99 = percentile(tenths.collect(), 50);
        let all: Vec<Duration> = took.iter().map(|(_, took)| *took).collect();
        let rate = all.len() as f64 / (elapsed - WARM_UP).as_secs_f64();
        Answers { rate, p50: percentile(all.clone(), 50), p99: percentile(all, 99), middle_p99, cpu_us }
    }

    fn text(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", token())
    }

    fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Seconds, of user and system.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }
}

fn percentile(mut of: Vec<Duration>, share: usize) -> Duration {
    of.sort_unstable();
    of[of.len() * share / 100]
}

/// HTTP/1.1 as far as answers of a known length need it.
struct Connection {
    stream: TlsStream<TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    fn over(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, answer: Vec::with_capacity(16 * 1024) }
    }

    /// Asks, and reads the whole answer.
    async fn ask(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        self.answer.clear();
        while !self.is_whole() {
            assert!(self.stream.read_buf(&mut self.answer).await.unwrap() > 0, "the server ended the connection");
        }
    }

    fn is_whole(&self) -> bool {
        let Some(head) = self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        let text = std::str::from_utf8(&self.answer[..head]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        self.answer.len() == head + 4 + length.parse::<usize>().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
