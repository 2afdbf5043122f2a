//! What clients may take that follow the letter of the protocol and nothing else.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
use prost::Message;
use rollcall_xds::{
    resource::ResourceType::Service,
    server::{Limits, Memory, Refusal},
    tls::{Bounds, Failure, Incoming, Metrics},
};
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::{
    Replica, catalog,
    raw::{CONTINUATION, END_HEADERS, HEADERS, PING, RST_STREAM, Raw, SETTINGS, field, frame, headers_of_a_call},
    resource, soon,
};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// A server of an empty catalog, and its writer: streams end with that.
async fn replica(limits: Limits, metrics: &Arc<Metrics>) -> (Replica, impl Sized + use<>) {
    let (mut cache, sender) = catalog();
    sender.send_replace(Some(cache.publish()));
    let address = "127.0.0.1:0".parse().expect("an address");
    let incoming = |listener| Incoming::plain(listener).bounded(Bounds::default(), metrics.clone());
    (Replica::start_on(address, sender.subscribe(), limits, incoming).await, sender)
}

/// A request of about so many bytes.
fn request(bytes: usize) -> Vec<u8> {
    let names = (0..bytes / 100).map(|n| format!("{n:098}")).collect();
    let message = DeltaDiscoveryRequest {
        type_url: Service.type_url().to_owned(),
        resource_names_subscribe: names,
        ..DeltaDiscoveryRequest::default()
    };
    framed(&message)
}

/// As gRPC frames it.
fn framed(message: &DeltaDiscoveryRequest) -> Vec<u8> {
    let body = message.encode_to_vec();
    let len = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[0][..], &len, &body].concat()
}

#[tokio::test]
async fn a_request_that_has_begun_must_come_to_its_end() {
    let limits = Limits { request_patience: Duration::from_millis(50), ..Limits::default() };
    let (replica, _writer) = replica(limits, &Arc::default()).await;
    let mut raw = Raw::connect("127.0.0.1", replica.address).await;
    for (stream, bytes) in [(1, 3), (3, 100), (5, 9_000)] {
        raw.call(stream).await;
        raw.data(stream, &request(10_000)[..bytes]).await;
        raw.end_of(stream).await;
    }
    assert_eq!(replica.metrics.refused_requests(Refusal::Late), 3);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_that_asks_in_whole_requests_may_be_slow_for_ever() {
    let limits = Limits { request_patience: Duration::from_millis(20), ..Limits::default() };
    let (replica, _writer) = replica(limits, &Arc::default()).await;
    let mut raw = Raw::connect("127.0.0.1", replica.address).await;
    raw.call(1).await;
    for _ in 0..3 {
        raw.data(1, &request(100)).await;
        raw.data_on(1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(replica.metrics.refused_requests(Refusal::Late), 0);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn requests_by_half_take_the_room_of_their_own_address() {
    let memory = Memory { arriving_per_peer_max: 25_000, ..Memory::default() };
    let limits = Limits { memory, request_patience: LONG, ..Limits::default() };
    let (replica, _writer) = replica(limits, &Arc::default()).await;
    let mut stranger = Raw::connect("127.0.0.2", replica.address).await;
    let whole = request(20_000);
    stranger.call(1).await;
    stranger.data(1, &whole[..10_000]).await;
    stranger.call(3).await;
    stranger.data(3, &whole).await; // waits behind the first
    let mut other = Raw::connect("127.0.0.3", replica.address).await;
    other.call(1).await;
    other.data(1, &whole).await;
    other.data_on(1).await;
    stranger.data(1, &whole[10_000..]).await;
    stranger.data_on(3).await;
    drop((stranger, other));
    replica.stop().await;
}

#[tokio::test]
async fn a_request_that_finds_no_room_is_refused_at_its_time() {
    let memory = Memory { arriving_per_peer_max: 25_000, ..Memory::default() };
    let limits = Limits { memory, request_patience: Duration::from_millis(200), ..Limits::default() };
    let (replica, _writer) = replica(limits, &Arc::default()).await;
    let mut raw = Raw::connect("127.0.0.1", replica.address).await;
    for stream in [1, 3] {
        raw.call(stream).await;
        raw.data(stream, &request(20_000)[..6_000]).await;
    }
    raw.end_of(3).await;
    let refused = [Refusal::Late, Refusal::Crowded].map(|reason| replica.metrics.refused_requests(reason));
    assert_eq!(refused.iter().sum::<u64>(), 2, "{refused:?}");
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn names_that_do_not_exist_have_a_bound_over_the_streams_of_an_address() {
    let memory = Memory { asked_per_peer_max: 150_000, ..Memory::default() };
    let (replica, _writer) = replica(Limits { memory, ..Limits::default() }, &Arc::default()).await;
    let client = AggregatedDiscoveryServiceClient::connect(replica.uri()).await.expect("the server is up");
    let mut open = Vec::new();
    let refused = loop {
        let names = (0..1_000).map(|n| format!("absent-{}-{n}", open.len())).collect();
        let ask = DeltaDiscoveryRequest {
            type_url: Service.type_url().to_owned(),
            resource_names_subscribe: names,
            ..DeltaDiscoveryRequest::default()
        };
        let requests = tokio_stream::StreamExt::chain(tokio_stream::once(ask), tokio_stream::pending());
        let mut client = client.clone();
        let mut stream = soon(client.delta_aggregated_resources(requests)).await.expect("accepted").into_inner();
        match soon(stream.message()).await {
            Ok(answer) => assert_eq!(answer.expect("an answer").removed_resources.len(), 1_000),
            Err(status) => break status,
        }
        open.push(stream);
        assert!(open.len() < 10, "there is a bound");
    };
    assert!(!open.is_empty(), "one stream alone is within it");
    assert_eq!((refused.code(), replica.metrics.refused_requests(Refusal::Memory)), (Code::ResourceExhausted, 1));
    assert!(refused.message().contains("the streams of 127.0.0.1"), "{refused}");
    drop(open);
    replica.stop().await;
}

#[tokio::test]
async fn answers_that_are_not_read_take_the_room_of_their_own_address() {
    const BODY: usize = 200_000;
    let memory = Memory { leaving_per_peer_max: BODY + BODY / 2, ..Memory::default() };
    let limits = Limits { memory, request_patience: Duration::from_millis(300), ..Limits::default() };
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "shop/payments", &"x".repeat(BODY)));
    sender.send_replace(Some(cache.publish()));
    let address = "127.0.0.1:0".parse().expect("an address");
    let incoming = |listener| Incoming::plain(listener).bounded(Bounds::default(), Arc::<Metrics>::default());
    let replica = Replica::start_on(address, sender.subscribe(), limits, incoming).await;
    let ask = DeltaDiscoveryRequest {
        type_url: Service.type_url().to_owned(),
        resource_names_subscribe: vec!["shop/payments".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    // Its window is never opened: the first answer stays here for the greatest part, the second finds no room.
    let mut silent = Raw::connect("127.0.0.2", replica.address).await;
    silent.call(1).await;
    silent.data(1, &framed(&ask)).await;
    silent.data_on(1).await;
    let mut same = Raw::connect("127.0.0.2", replica.address).await;
    same.call(1).await;
    same.data(1, &framed(&ask)).await;
    same.end_of(1).await;
    assert_eq!(replica.metrics.refused_requests(Refusal::Unread), 1);
    let client = AggregatedDiscoveryServiceClient::connect(replica.uri()).await.expect("the server is up");
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(ask), tokio_stream::pending());
    let mut other = soon(client.clone().delta_aggregated_resources(requests)).await.expect("accepted").into_inner();
    let answer = soon(other.message()).await.expect("no error").expect("an answer");
    assert_eq!(answer.resources.len(), 1, "another address has room of its own");
    drop((silent, same, other, client));
    replica.stop().await;
}

#[tokio::test]
async fn floods_of_frames_that_carry_nothing_end_their_connection() {
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let metrics = Arc::<Metrics>::default();
        let (replica, _writer) = replica(Limits::default(), &metrics).await;
        let Raw { mut read, mut write } = Raw::connect("127.0.0.1", replica.address).await;
        let reader = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let flood = flood.repeat(100);
        soon(async { while write.write_all(&flood).await.is_ok() {} }).await;
        _ = soon(reader).await;
        assert_eq!(metrics.failures(Failure::Flooded), 1);
        replica.stop().await;
    }
}

/// Frames that carry headers and nothing that could be served: what is special, the first of them, and those that follow without end, by
/// the next stream's number.
type Flood = (&'static str, Vec<u8>, fn(u32) -> Vec<u8>);

fn floods_of_headers() -> [Flood; 6] {
    fn block(more: &[u8]) -> Vec<u8> {
        [headers_of_a_call(), more.to_vec()].concat()
    }
    let call = |stream, more: &[u8]| frame(HEADERS, END_HEADERS, stream, &block(more));
    let nothing = Vec::new;
    [
        ("one that is huge", nothing(), |stream| {
            frame(HEADERS, END_HEADERS, stream, &block(&field(0, "x", &"y".repeat(15_000))))
        }),
        ("thousands of small ones", nothing(), |stream| {
            frame(HEADERS, END_HEADERS, stream, &block(&field(0, "x", "y").repeat(3_000)))
        }),
        // One that the table keeps, and a byte for each time that it is meant again.
        ("one named again and again", call(1, &field(64, "x", &"y".repeat(4_000))), |stream| {
            frame(HEADERS, END_HEADERS, stream, &block(&[0x80 | 62; 15_000]))
        }),
        ("without an end", frame(HEADERS, 0, 1, &headers_of_a_call()), |_| {
            frame(CONTINUATION, 0, 1, &field(0, "x", "y"))
        }),
        ("empty ones without an end", frame(HEADERS, 0, 1, &headers_of_a_call()), |_| frame(CONTINUATION, 0, 1, &[])),
        ("calls that are given up", nothing(), |stream| {
            [frame(HEADERS, END_HEADERS, stream, &headers_of_a_call()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
                .concat()
        }),
    ]
}

#[tokio::test]
async fn floods_of_headers_end_their_connection_soon_and_others_are_served() {
    /// What a server takes of it, with what sockets on both sides hold.
    const BYTES_MAX: usize = 32 << 20;
    for (what, first, flood) in floods_of_headers() {
        let metrics = Arc::<Metrics>::default();
        let (replica, _writer) = replica(Limits::default(), &metrics).await;
        let Raw { mut read, mut write } = Raw::connect("127.0.0.1", replica.address).await;
        let reader = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        let mut written = 0;
        let flooding = async {
            write.write_all(&first).await.expect("written");
            for stream in (3..).step_by(2) {
                let frames = flood(stream);
                if write.write_all(&frames).await.is_err() {
                    return;
                }
                written += frames.len();
                assert!(written < BYTES_MAX, "{what}: a flood without an end");
            }
        };
        soon(flooding).await;
        _ = soon(reader).await;
        assert_eq!(metrics.failures(Failure::Flooded), 1, "{what}");
        let mut other = Raw::connect("127.0.0.1", replica.address).await;
        other.call(1).await;
        other.data(1, &request(100)).await;
        other.data_on(1).await;
        drop(other);
        replica.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_http_2_ends_its_connection_and_is_counted() {
    let metrics = Arc::<Metrics>::default();
    let (replica, _writer) = replica(Limits::default(), &metrics).await;
    let mut raw = Raw::connect("127.0.0.1", replica.address).await;
    // A continuation of nothing.
    raw.write.write_all(&frame(CONTINUATION, END_HEADERS, 1, &headers_of_a_call())).await.expect("written");
    while raw.frame().await.is_some() {}
    assert_eq!(metrics.failures(Failure::Malformed), 1);
    replica.stop().await;
}
