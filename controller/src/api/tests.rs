//! Tests: the port, over sockets, on an API server of tests.

use std::time::Duration;

use rollcall_fake_api::FakeApi;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::api::routes::Admits;
use rollcall_xds::tls::Shown;

/// The port, as a test has it.
struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    answers: Arc<Api>,
    _api: FakeApi,
}

const READER: &str = "system:serviceaccount:shop:reader";

async fn port(routes: Routes, connections_max: usize) -> Port {
    let fake = FakeApi::default();
    fake.token("good", READER, &["system:authenticated"]);
    fake.grant(READER, "get", "catalogentries", "shop");
    let metrics = Arc::new(metrics::Metrics::new(&routes));
    let access = Access::new(fake.client(), Duration::from_secs(3600));
    let api = Arc::new(Api { routes, access, metrics, places: Semaphore::new(respond::REQUESTS_MAX).into() });
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, stop) = (tcp.local_addr().expect("bound"), CancellationToken::new());
    tokio::spawn(Listener { tcp, tls: None, connections_max }.run(Arc::clone(&api), stop.clone()));
    Port { address, stop, answers: api, _api: fake }
}

fn routes() -> Routes {
    let right = Admits::Right { verb: "get", resource: "catalogentries", of: "service" };
    let hello = |ask: Ask| async move {
        let who = ask.who.as_ref().map_or("nobody", |who| who.user()).to_owned();
        Ok(Answer::json(&serde_json::json!({ "who": who, "service": ask.name("service"), "sent": ask.body.len() })))
    };
    Routes::default()
        .with(Route::get("/open", hello).admits(Admits::Everybody))
        .with(Route::get("/v1/namespaces/{namespace}/services/{service}", hello).admits(right))
        .with(Route::put("/v1/namespaces/{namespace}/services/{service}", 16, hello).admits(right))
}

impl Port {
    /// The status, and the whole answer.
    async fn ask(&self, line: &str, more: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}");
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {answer:?}")), answer)
    }
}

const TOKEN: &str = "authorization: Bearer good\r\n\r\n";

#[tokio::test]
async fn who_is_known_and_may_is_let_through_and_everybody_else_is_told_what_to_do() {
    let port = port(routes(), 100).await;
    let (status, answer) = port.ask("GET /v1/namespaces/shop/services/payments", TOKEN).await;
    assert!(status == 200 && answer.contains(READER) && answer.contains("payments"), "{answer}");
    let (status, answer) = port.ask("GET /v1/namespaces/shop/services/payments", "\r\n").await;
    assert!(
        status == 401 && answer.contains("www-authenticate: Bearer") && answer.contains("kubectl create token"),
        "{answer}"
    );
    let (status, answer) =
        port.ask("GET /v1/namespaces/shop/services/payments", "authorization: Bearer bad\r\n\r\n").await;
    assert!(status == 401 && answer.contains("invalid bearer token"), "{answer}");
    let (status, answer) = port.ask("GET /v1/namespaces/bank/services/payments", TOKEN).await;
    assert!(status == 403 && answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("may not get catalogentries.rollcall.dev payments in namespace bank"), "{answer}");
    let (status, answer) = port.ask("GET /open", "\r\n").await;
    assert!(status == 200 && answer.contains("nobody"), "{answer}");
}

#[tokio::test]
async fn what_is_not_answered_says_what_is() {
    let port = port(routes(), 100).await;
    let (status, answer) = port.ask("GET /v1/nothing", TOKEN).await;
    assert!(
        status == 404 && answer.contains("/openapi.json") && answer.contains("\"instance\": \"/v1/nothing\""),
        "{answer}"
    );
    let (status, answer) = port.ask("DELETE /v1/namespaces/shop/services/payments", TOKEN).await;
    assert!(status == 405 && answer.contains("allow: GET, PUT"), "{answer}");
    let (status, answer) = port.ask("GET /open?x=%zz", "\r\n").await;
    assert!(status == 400 && answer.contains("bad-request"), "{answer}");
    let put = "PUT /v1/namespaces/shop/services/payments";
    let (status, answer) = port.ask(put, &format!("content-length: 17\r\n{TOKEN}{}", "x".repeat(17))).await;
    assert!(status == 413 && answer.contains("more than 16 bytes"), "{answer}");
    let (status, answer) = port.ask(put, &format!("content-length: 16\r\n{TOKEN}{}", "x".repeat(16))).await;
    assert!(status == 200 && answer.contains("\"sent\": 16"), "{answer}");
    let (status, answer) = port.ask("GET /open", &format!("x: {}\r\n\r\n", "y".repeat(40_000))).await;
    assert_eq!(status, 431, "{answer}");
}

#[tokio::test]
async fn head_is_answered_as_get_without_its_body_in_both_protocols() {
    let port = port(routes(), 100).await;
    let (_, got) = port.ask("GET /open", "\r\n").await;
    let (_, body) = got.split_once("\r\n\r\n").expect("a body");
    let (status, answer) = port.ask("HEAD /open", "\r\n").await;
    assert!(status == 200 && answer.contains(&format!("content-length: {}", body.len())), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");

    let (client, server) = tokio::io::duplex(64 << 10);
    let peer = respond::Peer { address: port.address.ip(), shown: Shown::Nothing };
    let api = (Arc::clone(&port.answers), peer);
    tokio::spawn(connection::serve(server, connection::Protocol::Http2, api, port.stop.clone()));
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(executor, hyper_util::rt::TokioIo::new(client)).await.expect("HTTP/2");
    tokio::spawn(driver);
    let request = http::Request::head("http://x/open").body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.expect("a request")).await.expect("answered");
    assert_eq!(answer.headers()[http::header::CONTENT_LENGTH], body.len().to_string());
    assert!(hyper::body::Body::is_end_stream(answer.body()), "nothing follows");
}

#[tokio::test]
async fn a_client_that_holds_every_connection_keeps_no_other_out() {
    let port = port(routes(), 4).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(TcpStream::connect(port.address).await.expect("it listens"));
    }
    let (status, _) = port.ask("GET /open", "\r\n").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn what_has_begun_is_answered_at_the_end() {
    let (begun, begins) = tokio::sync::oneshot::channel::<()>();
    let begun = std::sync::Mutex::new(Some(begun));
    let slow = move |_: Ask| {
        drop(begun.lock().expect("one thread").take());
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Answer::json(&"done"))
        }
    };
    let port = port(Routes::default().with(Route::get("/slow", slow).admits(Admits::Everybody)), 4).await;
    let asking = port.ask("GET /slow", "\r\n");
    let stopping = async {
        begins.await.expect_err("dropped when it has begun");
        port.stop.cancel();
    };
    let ((status, answer), ()) = tokio::join!(asking, stopping);
    assert!(status == 200 && answer.contains("done"), "{answer}");
}

#[tokio::test]
async fn tokens_cross_no_network_in_plaintext() {
    let fake = FakeApi::default();
    let access = Access::new(fake.client(), Duration::from_secs(3600));
    let settings = Settings { address: "0.0.0.0:0".parse().expect("an address"), connections_max: 4 };
    let until = (&Readiness::default(), CancellationToken::new());
    let refused = start(&settings, Routes::default(), access, None, until, &mut Registry::default());
    assert!(refused.expect_err("refused").to_string().contains("set --tls to authority or files"));
}
