//! Tests: gRPC health and the ping of HTTP/2, against servers of h2.

use ::http::{HeaderMap, Response};
use hyper::body::Bytes;

use super::*;
use crate::definition::{Grpc, Http2};

/// A server of gRPC that answers each call with this message and these trailers, or with trailers alone.
async fn grpc(message: Option<&'static [u8]>, trailers: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let response = Response::builder().header("content-type", "application/grpc");
            let add = |headers: &mut HeaderMap| {
                for (name, value) in trailers {
                    headers.insert(*name, value.parse().expect("a header"));
                }
            };
            match message {
                Some(message) => {
                    let mut body = respond.send_response(response.body(()).expect("headers"), false).expect("sent");
                    body.send_data(Bytes::from_static(message), false).expect("sent");
                    let mut map = HeaderMap::new();
                    add(&mut map);
                    body.send_trailers(map).expect("sent");
                }
                None => {
                    let mut response = response.body(()).expect("headers");
                    add(response.headers_mut());
                    respond.send_response(response, true).expect("sent");
                }
            }
        }
    });
    address
}

fn health(service: &str) -> Check {
    check(CheckKind::Grpc(Grpc { service: service.into(), ..Grpc::default() }))
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];
const OK: &[(&str, &str)] = &[("grpc-status", "0")];

#[tokio::test]
async fn grpc_says_how_it_is() {
    let up = grpc(Some(SERVING), OK).await;
    assert_eq!(said(&health(""), up).await, format!("ok: check web: gRPC health at {up} answered SERVING"));
    let down = said(&health("shop.v1.Pay"), grpc(Some(NOT_SERVING), OK).await).await;
    assert!(down.starts_with("bad:") && down.ends_with("answered NOT_SERVING of shop.v1.Pay"), "{down}");
    let empty = said(&health(""), grpc(Some(&[0, 0, 0, 0, 0]), OK).await).await;
    assert!(empty.ends_with("answered UNKNOWN"), "{empty}");
}

#[tokio::test]
async fn what_grpc_refuses_is_told_with_the_remedy() {
    let unknown =
        said(&health("shop.Pay"), grpc(None, &[("grpc-status", "5"), ("grpc-message", "no \"such\"")]).await).await;
    assert!(unknown.contains("NOT_FOUND of shop.Pay") && unknown.ends_with("correct grpc.service"), "{unknown}");
    let missing = said(&health(""), grpc(None, &[("grpc-status", "12")]).await).await;
    assert!(missing.contains("does not serve grpc.health.v1.Health"), "{missing}");
    let busy = said(&health(""), grpc(None, &[("grpc-status", "8")]).await).await;
    assert!(busy.starts_with("warns:"), "{busy}");
    let late = said(&health(""), grpc(Some(SERVING), &[("grpc-status", "14")]).await).await;
    assert!(late.ends_with("answered gRPC status 14"), "trailers have the last word: {late}");
    let nonsense = said(&health(""), grpc(Some(&[9, 9]), OK).await).await;
    assert!(nonsense.contains("no health of gRPC"), "{nonsense}");
}

fn ping() -> Check {
    check(CheckKind::Http2(Http2::default()))
}

#[tokio::test]
async fn a_server_of_http2_answers_a_ping() {
    let up = grpc(None, OK).await;
    assert_eq!(said(&ping(), up).await, format!("ok: check web: HTTP/2 with {up} answered the ping"));
}

#[tokio::test(start_paused = true)]
async fn another_protocol_a_closed_connection_and_silence_are_told_apart() {
    for (check, what) in [(ping(), "HTTP/2 with"), (health(""), "gRPC health at")] {
        let other = said(&check, answers("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await).await;
        assert!(other.contains(what) && other.contains("not HTTP/2"), "{other}");
        let closed = said(&check, server(|stream| async move { drop(stream) }).await).await;
        assert!(closed.starts_with("bad:"), "{closed}");
        let brief = Check { timeout: Duration::from_millis(300), ..check };
        let silent = said(&brief, hangs().await).await;
        assert!(silent.ends_with("got no answer within 0.3 s"), "{silent}");
    }
}
