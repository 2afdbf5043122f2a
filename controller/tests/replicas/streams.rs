//! Who reads the stream of one replica is told by each of them, and who does not answer is named.

use std::time::Duration;

use rollcall_fake_api::FakeApi;
use rollcall_xds::client::{self, Config};
use rollcall_xds::proto::rollcall::v1::StreamsRequest;
use rollcall_xds::proto::rollcall::v1::peers_client::PeersClient;
use rollcall_xds::resource::ResourceType;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use super::{api, start};

/// Asks the API port, which listens on loopback without TLS, who reads streams.
async fn streams(at: &str, token: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    let request =
        format!("GET /v1/streams HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn onlooker(api: &FakeApi) {
    api.token("a token", "onlooker", &[]);
    api.grant("onlooker", "list", "streams", "");
}

async fn free(on: &str) -> String {
    let free = TcpListener::bind((on, 0)).await.expect("a port");
    free.local_addr().expect("an address").to_string()
}

/// Pairs of replica and node, as one of them tells them; sorted.
fn pairs(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = answer["streams"].as_array().into_iter().flatten();
    let mut pairs: Vec<_> = all.map(|of| (text(&of["replica"]), text(&of["node"]))).collect();
    pairs.sort();
    pairs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_tells_of_the_streams_of_all_with_tls_and_without_and_strangers_of_none() {
    let api = api();
    onlooker(&api);
    let at = free("127.0.0.8").await;
    let a = start(&api, "a", &[&format!("--api-listen={at}")]).await;
    let tls = ["--tls=authority", "--tls-dns-name=localhost", "--readers=anyone", "--api-listen=127.0.0.9:0"];
    let b = start(&api, "b", &tls).await;
    a.await_replicas(2.0).await;
    b.await_replicas(2.0).await;
    let types = vec![ResourceType::Service];
    let config = Config { types, ..Config::new(vec![format!("http://{}", a.grpc)], "reader") };
    let reader = tokio::spawn(client::run(config, |_| Ok(()), std::future::pending()));
    let expected = [("a", "b"), ("a", "reader"), ("b", "a")];
    let expected = expected.map(|(replica, node)| (replica.to_owned(), node.to_owned()));
    let mut seen = None;
    for _ in 0..600 {
        seen = streams(&at, "a token").await;
        if seen.as_ref().is_some_and(|seen| pairs(seen) == expected) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = seen.expect("an answer");
    assert_eq!(pairs(&seen), expected, "{seen}");
    assert_eq!(seen["silent"], json!([]));
    assert_eq!(streams(&at, "no token").await.expect("a problem")["status"], 401);
    let mut stranger = PeersClient::connect(format!("http://{}", a.grpc)).await.expect("a connection");
    let refused = stranger.streams(StreamsRequest {}).await.expect_err("a stranger is told nothing");
    assert_eq!(refused.code(), Code::Unauthenticated);
    reader.abort();
    a.stop().await;
    b.stop().await;
}
