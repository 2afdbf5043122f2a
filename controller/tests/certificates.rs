//! A whole controller whose clients show certificates: on the stream's port and on the API port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rollcall_admin::{Readiness, Server, Telemetry};
use rollcall_controller::args::Args;
use rollcall_controller::start;
use rollcall_fake_api::FakeApi;
use rollcall_xds::client::{self, Config, Dialer, Event};
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_client::AgentsClient;
use rollcall_xds::proto::rollcall::v1::{AgentReply, AgentReport, Hello, Instance, InstancePort};
use rollcall_xds::tls::Own;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Writes NAME.crt and NAME.key, for a member of the group `machines` that is called so.
    fn signs(&self, folder: &Path, name: &str, purpose: Purpose, until_year: i32) -> Own {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "machines");
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf");
        let write = |ending: &str, text: String| {
            let path = folder.join(format!("{name}.{ending}"));
            std::fs::write(&path, text).expect("it can be written");
            path
        };
        Own { certificate: write("crt", certificate.pem()), key: write("key", key.serialize_pem()) }
    }
}

/// What a test asks.
struct Controller {
    grpc: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
    ca: PathBuf,
}

async fn free() -> SocketAddr {
    // Not 127.0.0.1, where a connection of anybody may take the port before the controller does.
    let listener = TcpListener::bind("127.0.0.6:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

// === impl Controller ===

impl Controller {
    async fn start(fake: &FakeApi, authority: &Authority, folder: &Path, stop: CancellationToken) -> Self {
        let (grpc, api, ca) = (free().await, free().await, folder.join("ca.crt"));
        std::fs::write(&ca, &authority.pem).expect("it can be written");
        let server = authority.signs(folder, "server", Purpose::ServerAuth, 2999);
        let flags = [
            "rollcall-controller".to_owned(),
            "--resolv-conf=/dev/null".to_owned(),
            "--lame-duck-seconds=0".to_owned(),
            "--tls=files".to_owned(),
            format!("--tls-cert-file={}", server.certificate.display()),
            format!("--tls-key-file={}", server.key.display()),
            format!("--client-ca={}", ca.display()),
            format!("--grpc-listen={grpc}"),
            format!("--api-listen={api}"),
        ];
        let args = Args::try_parse_from(flags).expect("good flags");
        let pages = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let (admin, readiness) = (pages.local_addr(), Readiness::default());
        tokio::spawn(start::serve(args, Telemetry::default(), pages, readiness.clone(), fake.client(), stop));
        for _ in 0..600 {
            // Before it has begun there is nothing to wait for.
            let listens = TcpStream::connect(grpc).await.is_ok() && TcpStream::connect(api).await.is_ok();
            if listens && readiness.is_ready() {
                return Self { grpc, api, admin, ca };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let closed: Vec<_> = readiness.closed().iter().map(ToString::to_string).collect();
        panic!("not ready: {closed:?}");
    }

    /// What an agent hears first.
    async fn attend(&self, own: Option<&Own>) -> Result<AgentReply, Status> {
        let server = format!("https://{}", self.grpc);
        let mut config = Config::new(vec![server.clone()], "vm-17");
        (config.ca_file, config.own) = (Some(self.ca.clone()), own.cloned());
        config.server_name = Some("localhost".to_owned());
        let dialer = Dialer::new(&config, &server).expect("an address");
        let channel = dialer.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let instance = Instance {
            namespace: "shop".into(),
            service: "payments".into(),
            addresses: vec!["192.0.2.17".into()],
            ports: vec![InstancePort { port: 8080, ..InstancePort::default() }],
            heartbeat: r#"{"ttl":"10s"}"#.into(),
            ..Instance::default()
        };
        let (machine, agent_id, instances) = ("vm-17".into(), "one".into(), vec![instance]);
        let hello = Hello { machine, agent_id, revision: 1, instances, ..Hello::default() };
        let (reports, outgoing) = tokio::sync::mpsc::channel(4);
        reports.send(AgentReport { report: Some(Report::Hello(hello)) }).await.expect("it waits");
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let mut replies = AgentsClient::new(channel).attend(outgoing).await?.into_inner();
        let reply = tokio::time::timeout(Duration::from_secs(60), replies.message()).await.expect("an answer");
        reply?.ok_or_else(|| Status::unknown("it ended without a word"))
    }

    /// The answer of the API port, whole.
    async fn ask(&self, own: &Own) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).expect("PEM")).expect("an authority");
        let chain = vec![CertificateDer::from_pem_file(&own.certificate).expect("PEM")];
        let key = PrivateKeyDer::from_pem_file(&own.key).expect("PEM");
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("they belong together");
        let tcp = TcpStream::connect(self.api).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await.expect("TLS");
        let request = "GET /v1/namespaces/shop/services HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        tls.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = Vec::new();
        // Whether it says goodbye or not.
        let _ = tls.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_known_by_its_certificate_and_a_bad_one_is_refused_in_words() {
    let (fake, authority, stranger) = (FakeApi::default(), Authority::new(), Authority::new());
    fake.grant("vm-17", "list", "catalogentries", "shop");
    fake.grant("vm-17", "create", "serviceregistrations/agent", "shop");
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, stop) = (folder.path(), CancellationToken::new());
    let controller = Controller::start(&fake, &authority, folder, stop.clone()).await;
    let good = authority.signs(folder, "vm-17", Purpose::ClientAuth, 2999);
    controller.attend(Some(&good)).await.expect("it is heard");
    let answer = controller.ask(&good).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let other = authority.signs(folder, "vm-18", Purpose::ClientAuth, 2999);
    let answer = controller.ask(&other).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("user vm-18 may not list"), "{answer}");

    let said = controller.attend(None).await.expect_err("nothing is shown");
    assert!(said.code() == Code::Unauthenticated && said.message().contains("cert_file"), "{said}");
    let bad = stranger.signs(folder, "stranger", Purpose::ClientAuth, 2999);
    let said = controller.attend(Some(&bad)).await.expect_err("nobody knows who signed it");
    assert!(said.code() == Code::Unauthenticated && said.message().contains("--client-ca"), "{said}");
    let answer = controller.ask(&authority.signs(folder, "old", Purpose::ClientAuth, 2020)).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("expired on"), "{answer}");
    for (outcome, count) in [("verified", 3.0), ("unknown_authority", 1.0), ("expired", 1.0)] {
        let name = format!("rollcall_tls_client_certificates_total{{outcome=\"{outcome}\"}}");
        assert_eq!(controller.metric(&name).await, Some(count), "{outcome}");
    }
    stop.cancel();
}

/// What a reader of the catalog hears first: that it is let in, or why it is not.
async fn read(controller: &Controller, own: Option<&Own>, token_file: Option<PathBuf>) -> Result<(), String> {
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let config = Config {
        ca_file: Some(controller.ca.clone()),
        own: own.cloned(),
        token_file,
        server_name: Some("localhost".to_owned()),
        ..Config::new(vec![format!("https://{}", controller.grpc)], "dns-0")
    };
    let sink = move |event| {
        _ = sender.send(match event {
            Event::Disconnected { reason, .. } => Err(reason),
            Event::Connected { .. } | Event::Update(_) => Ok(()),
        });
        Ok(())
    };
    let reading = tokio::spawn(client::run(config, sink, std::future::pending()));
    let first = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await.expect("something is said");
    reading.abort();
    first.expect("it runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_readers_have_to_say_who_they_are_by_a_certificate_or_a_token() {
    let (fake, authority) = (FakeApi::default(), Authority::new());
    fake.token("good", "system:serviceaccount:rollcall-system:rollcall-dns", &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, stop) = (folder.path(), CancellationToken::new());
    let controller = Controller::start(&fake, &authority, folder, stop.clone()).await;
    let said = read(&controller, None, None).await.expect_err("nothing is shown");
    assert!(said.contains("Unauthenticated") && said.contains("--catalog-token-file"), "{said}");
    let own = authority.signs(folder, "dns-0", Purpose::ClientAuth, 2999);
    read(&controller, Some(&own), None).await.expect("a certificate will do");
    let token = folder.join("token");
    std::fs::write(&token, "good\n").expect("it can be written");
    read(&controller, None, Some(token.clone())).await.expect("a token will do");
    std::fs::write(&token, "bad").expect("it can be written");
    let said = read(&controller, None, Some(token)).await.expect_err("nobody's");
    assert!(said.contains("does not know this token"), "{said}");
    let counted = controller.metric("rollcall_xds_refused_requests_total{reason=\"unauthenticated\"}").await;
    assert!(counted.is_some_and(|count| count >= 2.0), "{counted:?}");
    stop.cancel();
}
