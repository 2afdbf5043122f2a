//! DNS over HTTPS, and what CoreDNS's plugin `grpc` asks, on real sockets.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::Parser;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollcall_admin::Readiness;
use rollcall_dns::args::Args;
use rollcall_dns::start::Prepared;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

const SECONDS: Duration = Duration::from_secs(60);

/// All of a request at once.
struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

async fn connect(addr: SocketAddr, roots: &RootCertStore) -> std::io::Result<SendRequest<Once>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots.clone()).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("dns.example.com").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(addr).await?).await?;
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

fn query() -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 7;
    message.add_query(Query::query(Name::from_ascii("web.shop.svc.cluster.local.").unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

/// Status, headers, body and trailers of a response.
async fn whole(response: Response<Incoming>) -> (u16, HeaderMap, Vec<u8>, HeaderMap) {
    let (head, mut body) = response.into_parts();
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.unwrap().into_data() {
            Ok(bytes) => data.extend_from_slice(&bytes),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    (head.status.as_u16(), head.headers, data, trailers)
}

async fn ask(
    sender: &mut SendRequest<Once>,
    (method, path, kind): (&str, &str, &str),
    body: Vec<u8>,
) -> (u16, HeaderMap, Vec<u8>, HeaderMap) {
    let request = Request::builder().method(method).uri(format!("https://dns.example.com{path}"));
    let request = request.header("content-type", kind).header("te", "trailers");
    let sent = sender.send_request(request.body(Once(Some(body.into()))).unwrap());
    whole(timeout(SECONDS, sent).await.expect("an answer").unwrap()).await
}

/// A server with a certificate in `folder`, connected to; it ends with the token.
async fn served(folder: &Path, stop: &CancellationToken) -> (SendRequest<Once>, JoinHandle<anyhow::Result<()>>) {
    let made = rcgen::generate_simple_self_signed(["dns.example.com".to_owned()]).unwrap();
    let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let flags = ["--catalog", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = ["--https-listen", "127.0.0.1:0", "--tls-cert-file", &cert, "--tls-key-file", &key];
    let prepared = Prepared::new(Args::try_parse_from(["rollcall-dns"].iter().chain(&flags).chain(&tls)).unwrap());
    let prepared = prepared.await.unwrap();
    let addr = prepared.https_addrs().next().unwrap();
    let task = tokio::spawn(prepared.serve(Readiness::default(), stop.clone()));
    let begin = Instant::now();
    loop {
        match connect(addr, &roots).await {
            Ok(sender) => return (sender, task),
            Err(error) => assert!(begin.elapsed() < SECONDS, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_over_http_by_both_protocols() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let (mut sender, task) = served(folder.path(), &stop).await;
    // There is no catalog yet.
    let is_told = |bytes: &[u8]| {
        let answer = Message::from_vec(bytes).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (7, ResponseCode::ServFail));
    };
    let dns = "application/dns-message";
    let (status, headers, body, _) = ask(&mut sender, ("POST", "/dns-query", dns), query()).await;
    assert_eq!(
        (status, &headers["content-type"], &headers["cache-control"]),
        (200, &dns.parse().unwrap(), &"max-age=0".parse().unwrap())
    );
    is_told(&body);
    let get = "/dns-query?dns=AAcBAAABAAAAAAAAA3dlYgRzaG9wA3N2YwdjbHVzdGVyBWxvY2FsAAABAAE";
    let (status, _, body, _) = ask(&mut sender, ("GET", get, ""), Vec::new()).await;
    assert_eq!(status, 200);
    is_told(&body);

    let packet = [&[0x0a, query().len() as u8][..], &query()].concat();
    let framed = [&[0][..], &(packet.len() as u32).to_be_bytes(), &packet].concat();
    let path = "/coredns.dns.DnsService/Query";
    let (status, _, body, trailers) = ask(&mut sender, ("POST", path, "application/grpc"), framed).await;
    assert_eq!((status, &trailers["grpc-status"]), (200, &"0".parse().unwrap()));
    let (at, length) = if body[6] < 0x80 {
        (7, usize::from(body[6]))
    } else {
        (8, usize::from(body[6] & 0x7f) | usize::from(body[7]) << 7)
    };
    assert_eq!((body[5], at + length), (0x0a, body.len()));
    is_told(&body[at..]);

    for (asked, status) in [
        (("POST", "/dns-query", "text/plain"), 415),
        (("PUT", "/dns-query", dns), 405),
        (("GET", "/dns-query?dns=!", ""), 400),
        (("GET", "/", ""), 404),
    ] {
        assert_eq!(ask(&mut sender, asked, Vec::new()).await.0, status, "{asked:?}");
    }
    assert_eq!(ask(&mut sender, ("POST", "/dns-query", dns), vec![0; 70_000]).await.0, 413);
    assert_eq!(ask(&mut sender, ("POST", "/dns-query", dns), vec![0; 3]).await.0, 400);
    let (_, headers, ..) =
        ask(&mut sender, ("POST", "/coredns.dns.DnsService/Watch", "application/grpc"), Vec::new()).await;
    assert_eq!(headers["grpc-status"], "12");
    let (_, headers, ..) = ask(&mut sender, ("POST", path, "application/grpc"), b"\x01\0\0\0\0".to_vec()).await;
    assert_eq!(headers["grpc-status"], "3");
    stop.cancel();
    timeout(SECONDS, task).await.expect("the server ends").unwrap().unwrap();
}
