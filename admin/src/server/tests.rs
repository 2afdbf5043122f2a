//! Tests: the admin server.

use std::pin::Pin;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::access::Reviewer;
use crate::api_server::ApiError;

struct Running {
    addr: SocketAddr,
    readiness: Readiness,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    start_on("127.0.0.1:0".parse().unwrap()).await
}

async fn start_on(addr: SocketAddr) -> Running {
    start_with(addr, Access::new(DebugAccess::Loopback, "")).await
}

async fn start_with(addr: SocketAddr, access: Access) -> Running {
    let mut registry = Registry::default();
    registry.register("rollcall_test_knocks", "Knocks", Counter::<u64>::default());
    crate::process::register(&mut registry);
    crate::build_info::register(&mut registry, "test", "1.2.3");
    let routes = Routes::default()
        .with("/debug/echo/", |ask| Reply::json(format!("{{\"rest\":\"{}\",\"query\":\"{}\"}}", ask.rest, ask.query)))
        .with("/debug/plain", |_| Reply::text("plain"))
        .with_harmless("/debug/harmless", |_| Reply::text("harmless"))
        .with_put("/debug/plain", |ask| Reply::text(format!("{} {}", ask.query, String::from_utf8_lossy(ask.body))));
    let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
    let server = Server::bind(addr).await.unwrap().with_access(access);
    let addr = server.local_addr();
    let task = tokio::spawn(server.serve(readiness.clone(), Arc::new(registry), routes, shutdown.clone()));
    Running { addr, readiness, shutdown, task }
}

// === impl Running ===

impl Running {
    async fn ask(&self, request: &str) -> String {
        self.send(&format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn readyz_has_one_line_for_each_closed_gate() {
    let server = start().await;
    let services = server.readiness.gate("services");
    services.close("listing");
    server.readiness.gate("descriptors").open_with("few files");
    let answer = server.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\n\r\nnot ready: services: listing, "), "{answer}");
    assert!(answer.contains("\nready: descriptors: few files, "), "what is remarked is told as well: {answer}");
    services.open();
    let answer = server.ask("GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nok\nready: "), "{answer}");
    assert!(answer.contains("\nready: services, "), "{answer}");
}

#[tokio::test]
async fn livez_is_ok_while_nothing_is_ready_and_head_has_no_body() {
    let server = start().await;
    server.readiness.gate("services");
    assert!(server.ask("GET /livez").await.ends_with("\r\n\r\nok\n"));
    let head = server.ask("HEAD /livez").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn metrics_keep_the_conventions_and_name_their_content_type() {
    let server = start().await;
    let answer = server.ask("GET /metrics").await;
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(METRICS_CONTENT_TYPE), "{head}");
    crate::conventions::assert_metric_conventions(page);
    for name in
        ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "rollcall_build_info"]
    {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{page}");
    }
}

#[tokio::test]
async fn routes_of_the_process_are_served_and_unknown_paths_say_what_there_is() {
    let server = start().await;
    let answer = server.ask("GET /debug/echo/shop/payments?all").await;
    assert!(answer.ends_with(r#"{"rest":"shop/payments","query":"all"}"#), "{answer}");
    assert!(answer.contains("application/json"), "{answer}");
    let answer = server.ask("GET /debug/plain/x").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(
        answer.ends_with("there is /livez /readyz /metrics /debug/echo/ /debug/harmless /debug/plain\n"),
        "{answer}"
    );
    let answer = server.ask("POST /livez").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
}

#[tokio::test]
async fn a_put_reaches_its_route_with_a_bounded_body_and_no_other_path() {
    let server = start().await;
    let put = |path: &str, body: &str| {
        format!("PUT {path} HTTP/1.1\r\ncontent-length: {}\r\nhost: x\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let answer = server.send(&put("/debug/plain?for=1m", "debug")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nfor=1m debug"), "{answer}");
    let answer = server.send(&put("/debug/plain", &"x".repeat(BODY_BYTES_MAX + 1))).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("more than 4096 bytes"), "{answer}");
    let answer = server.send(&put("/livez", "x")).await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    let answer = server.ask("DELETE /debug/plain").await;
    assert!(answer.contains("allow: GET, HEAD, PUT\r\n"), "{answer}");
}

#[tokio::test]
async fn what_is_for_loopback_is_refused_to_others_with_the_command_that_works() {
    // An address of this machine that is not loopback: the one that packets to elsewhere would carry. None is sent.
    let probe = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let Ok(()) = probe.connect("192.0.2.1:9").await else { return eprintln!("this machine has loopback only") };
    let ip = probe.local_addr().unwrap().ip();
    let server = start_on(SocketAddr::new(ip, 0)).await;
    let port = server.addr.port();
    let answer = server.ask("PUT /debug/plain").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains(&format!("port-forward POD {port}`")) && answer.contains("-X PUT"), "{answer}");
    let answer = server.ask("GET /debug/plain").await;
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains(&format!("`curl http://127.0.0.1:{port}/debug/plain`")),
        "{answer}"
    );
    for open in ["/livez", "/metrics"] {
        assert!(server.ask(&format!("GET {open}")).await.starts_with("HTTP/1.1 200 "), "{open}");
    }
}

/// Knows one token.
struct Cluster;

impl Reviewer for Cluster {
    fn review<'a>(
        &'a self,
        token: &'a str,
        _: &'a serde_json::Value,
    ) -> Pin<Box<dyn Future<Output = Result<serde_json::Value, ApiError>> + Send + 'a>> {
        Box::pin(async move { Ok(serde_json::json!({ "status": { "allowed": token == "good" } })) })
    }
}

/// A proxy on the same host, such as a mesh's sidecar: everybody comes from loopback.
async fn behind_a_proxy(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    addr
}

#[tokio::test]
async fn behind_a_proxy_on_the_same_host_loopback_opens_nothing_and_a_token_does() {
    let access = Access::with_reviewer("rollcall-system", Cluster);
    let server = start_with("127.0.0.1:0".parse().unwrap(), access).await;
    let proxied = Running { addr: behind_a_proxy(server.addr).await, ..server };
    let ask = async |request: &str, token: &str| {
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let head = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}");
        proxied.send(&format!("{head}content-length: 5\r\n\r\ndebug")).await
    };
    for request in ["GET /debug/plain", "GET /debug/echo/x", "PUT /debug/plain", "GET /debug/none"] {
        let answer = ask(request, "").await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer"), "{answer}");
        assert!(ask(request, "bad").await.starts_with("HTTP/1.1 403 "), "{request}");
    }
    assert!(ask("GET /debug/plain", "good").await.ends_with("\r\n\r\nplain"));
    assert!(ask("PUT /debug/plain?for=1m", "good").await.ends_with("\r\n\r\nfor=1m debug"));
    for open in ["GET /livez", "GET /metrics", "GET /debug/harmless"] {
        assert!(ask(open, "").await.starts_with("HTTP/1.1 200 "), "{open}");
    }
}

#[tokio::test]
async fn a_client_that_holds_many_connections_loses_its_own_and_keeps_no_other_out() {
    let server = start().await;
    let from = async |client: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        socket.connect(server.addr).await.unwrap()
    };
    let mut patient = from([127, 0, 0, 2]).await;
    patient.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..3 * CONNECTIONS_MAX {
        idle.push(from([127, 0, 0, 3]).await);
    }
    assert!(server.ask("GET /livez").await.ends_with("\r\n\r\nok\n"));
    let ended = tokio::time::timeout(Duration::from_secs(60), idle[0].read(&mut [0])).await.expect("the oldest ends");
    assert!(!matches!(ended, Ok(1..)));
    patient.write_all(b"connection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    patient.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_remedy() {
    let server = start().await;
    let error = Server::bind(server.addr).await.unwrap_err().to_string();
    assert!(error.contains(&server.addr.to_string()) && error.contains("--http-listen"), "{error}");
}

#[tokio::test]
async fn shutdown_ends_the_server_though_a_client_keeps_its_connection() {
    let server = start().await;
    let _idle = TcpStream::connect(server.addr).await.unwrap();
    server.ask("GET /livez").await;
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(60), server.task).await.expect("the server ends").unwrap();
}
