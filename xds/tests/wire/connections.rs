//! What a stranger may take who only connects, or asks for more than is good.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
};
use rollcall_xds::{
    resource::ResourceType::Service,
    server::Limits as Streams,
    tls::{Acceptor, Bounds, Certificates, Failure, Incoming, Limits, Metrics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tonic::Code;

use crate::{Replica, authority::Authority, catalog, reconnect::Reader, soon};

/// What a client of HTTP/2 sends first (RFC 9113 §3.4), and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// A server of an empty catalog that nobody writes to any more: streams are accepted, and end.
async fn replica(incoming: impl FnOnce(TcpListener) -> Incoming) -> Replica {
    let (mut cache, sender) = catalog();
    sender.send_replace(Some(cache.publish()));
    let address = "127.0.0.1:0".parse().expect("an address");
    Replica::start_on(address, sender.subscribe(), Streams::default(), incoming).await
}

fn acceptor(certificates: Arc<Certificates>, metrics: &Arc<Metrics>) -> Acceptor {
    let limits = Limits { timeout: LONG, ..Limits::default() };
    Acceptor::new(certificates, metrics.clone(), limits).expect("the build has what it needs")
}

/// Waits until the server has closed it. It may have sent its settings before.
async fn closed(io: &mut (impl AsyncReadExt + Unpin)) {
    _ = soon(io.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_at_its_time() {
    let metrics = Arc::<Metrics>::default();
    let bounds = Bounds { preface_timeout: Duration::from_millis(50), ..Bounds::default() };
    let replica = replica(|listener| Incoming::plain(listener).bounded(bounds, metrics.clone())).await;
    let mut silent = TcpStream::connect(replica.address).await.expect("a connection");
    closed(&mut silent).await;
    let mut slow = TcpStream::connect(replica.address).await.expect("a connection");
    _ = slow.write_all(&PREFACE[..20]).await; // on a slow machine it is too late already
    closed(&mut slow).await;
    assert_eq!(metrics.failures(Failure::Timeout), 2);
    replica.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_after_its_handshake_is_closed_at_its_time() {
    let (authority, certificates) = (Authority::new("one"), Arc::<Certificates>::default());
    let metrics = Arc::<Metrics>::default();
    certificates.set(authority.leaf("localhost"));
    let acceptor = acceptor(certificates, &metrics);
    let bounds = Bounds { preface_timeout: Duration::from_millis(50), ..Bounds::default() };
    let replica = replica(|listener| Incoming::tls(listener, acceptor).bounded(bounds, metrics.clone())).await;
    let tcp = TcpStream::connect(replica.address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut silent = connector(&authority).connect(name, tcp).await.expect("a handshake");
    closed(&mut silent).await;
    assert_eq!(metrics.failures(Failure::Timeout), 1);
    replica.stop().await;
}

fn connector(authority: &Authority) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM")).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_until_there_is_room() {
    let metrics = Arc::<Metrics>::default();
    let bounds = Bounds { connections_max: 1, preface_timeout: LONG };
    let replica = replica(|listener| Incoming::plain(listener).bounded(bounds, metrics.clone())).await;
    let first = TcpStream::connect(replica.address).await.expect("a connection");
    let mut second = TcpStream::connect(replica.address).await.expect("a connection");
    closed(&mut second).await;
    assert_eq!(metrics.failures(Failure::Crowded), 1);
    drop(first);
    let mut reader = Reader::start(vec![replica.uri()]);
    reader.connected().await;
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn handshakes_under_way_take_places_too() {
    let metrics = Arc::<Metrics>::default();
    let acceptor = acceptor(Arc::default(), &metrics);
    let bounds = Bounds { connections_max: 1, ..Bounds::default() };
    let replica = replica(|listener| Incoming::tls(listener, acceptor).bounded(bounds, metrics.clone())).await;
    let _first = TcpStream::connect(replica.address).await.expect("a connection");
    let mut second = TcpStream::connect(replica.address).await.expect("a connection");
    closed(&mut second).await;
    assert_eq!(metrics.failures(Failure::Crowded), 1);
    replica.stop().await;
}

#[tokio::test]
async fn a_connection_is_offered_as_many_streams_as_a_process_of_many_targets_needs_and_no_more() {
    let replica = replica(Incoming::plain).await;
    let mut raw = TcpStream::connect(replica.address).await.expect("a connection");
    raw.write_all(PREFACE).await.expect("written");
    assert_eq!(streams_max(&soon(settings(&mut raw)).await), Some(100));
    drop(raw);
    replica.stop().await;
}

/// The content of the first frame, which is SETTINGS (RFC 9113 §3.4, §6.5).
async fn settings(raw: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 9];
    raw.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS come first: {head:?}");
    let mut settings = vec![0; usize::from(head[2]) + (usize::from(head[1]) << 8)];
    raw.read_exact(&mut settings).await.expect("a frame");
    settings
}

/// SETTINGS_MAX_CONCURRENT_STREAMS: identifier 3, and 32 bits.
fn streams_max(settings: &[u8]) -> Option<u32> {
    let setting = settings.chunks_exact(6).find(|setting| setting[..2] == [0, 3])?;
    Some(u32::from_be_bytes(setting[2..].try_into().expect("four bytes")))
}

#[tokio::test]
async fn a_request_that_would_fill_the_memory_is_refused() {
    let (mut cache, sender) = catalog();
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let client = AggregatedDiscoveryServiceClient::connect(replica.uri()).await.expect("the server is up");
    let node = Some(Node { id: "n".repeat(8 << 20), ..Node::default() });
    let request = DeltaDiscoveryRequest { type_url: Service.type_url().to_owned(), node, ..Default::default() };
    let call = client.max_encoding_message_size(usize::MAX);
    let status = soon(refusal(call, request)).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains("the limit is 8388608"), "{status}");
    replica.stop().await;
}

async fn refusal(
    mut client: AggregatedDiscoveryServiceClient<tonic::transport::Channel>,
    request: DeltaDiscoveryRequest,
) -> tonic::Status {
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    match client.delta_aggregated_resources(requests).await {
        Ok(responses) => responses.into_inner().message().await.expect_err("refused"),
        Err(status) => status,
    }
}
