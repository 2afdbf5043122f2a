//! What a client sees that keeps to the protocol.

use futures::future::join_all;
use h2::client::SendRequest;
use http::Method;
use tokio::task::JoinHandle;

use super::*;

struct Client {
    send: SendRequest<Bytes>,
    task: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn of(pipe: DuplexStream) -> Self {
        let (send, connection) = soon(h2::client::handshake(pipe)).await.expect("HTTP/2");
        Self { send, task: tokio::spawn(connection) }
    }

    /// An answer, its body, and its trailers.
    async fn ask(&self, request: Request<()>, body: Option<Bytes>) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
        let mut send = soon(self.send.clone().ready()).await.expect("open");
        let (response, mut stream) = send.send_request(request, body.is_none()).expect("sent");
        if let Some(body) = body {
            stream.send_data(body, true).expect("sent");
        }
        let (head, mut body) = soon(response).await.expect("an answer").into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = soon(body.data()).await {
            let piece = piece.expect("a piece");
            bytes.extend_from_slice(&piece);
            body.flow_control().release_capacity(piece.len()).expect("as much as came");
        }
        (Response::from_parts(head, ()), bytes, soon(body.trailers()).await.expect("in order"))
    }
}

fn get(path: &str) -> Request<()> {
    Request::builder().uri(format!("http://rollcall{path}")).body(()).expect("a request")
}

fn post() -> Request<()> {
    Request::builder().method(Method::POST).uri("http://rollcall/").body(()).expect("a request")
}

#[tokio::test]
async fn a_request_is_served_and_the_end_of_a_client_is_no_error() {
    let (pipe, served) = serve(Limits::default(), 1 << 20, |request| async move {
        assert_eq!(request.headers()["x-token"], "secret");
        answer(StatusCode::NOT_FOUND, format!("no {}", request.uri().path()))
    });
    let client = Client::of(pipe).await;
    let mut request = get("/v1/things?tag=a");
    request.headers_mut().insert("x-token", "secret".parse().expect("a value"));
    let (head, body, trailers) = client.ask(request, None).await;
    assert_eq!((head.status(), &body[..], trailers), (StatusCode::NOT_FOUND, &b"no /v1/things"[..], None));
    assert_eq!(head.headers()["content-length"], "13");
    assert!(head.headers()["date"].as_bytes().ends_with(b" GMT"));
    drop(client.send);
    soon(client.task).await.expect("no panic").expect("in order");
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn bodies_larger_than_every_window_pass_both_ways_through_a_narrow_pipe() {
    for pipe in [100, 5_000, 1 << 20] {
        let (pipe, _served) = serve(Limits::default(), pipe, echo);
        let client = Client::of(pipe).await;
        let body: Bytes = (0..300_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let (_, echoed, trailers) = client.ask(post(), Some(body.clone())).await;
        assert!(echoed == body, "{} bytes came back", echoed.len());
        assert_eq!(trailers.expect("trailers")["x-end"], "of the answer");
    }
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let (pipe, _served) = serve(Limits { streams_max: 10, ..Limits::default() }, 1_000, echo);
    let client = Client::of(pipe).await;
    let asked = (0..200_usize).map(|n| client.ask(post(), Some(vec![7; n * 100].into())));
    for (n, (_, body, _)) in join_all(asked).await.into_iter().enumerate() {
        assert_eq!(body.len(), n * 100);
    }
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |_| async { answer(StatusCode::OK, "a body") });
    let client = Client::of(pipe).await;
    let request = Request::builder().method(Method::HEAD).uri("http://rollcall/").body(()).expect("a request");
    let (head, body, _) = client.ask(request, None).await;
    assert_eq!((head.status(), body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn a_request_that_is_given_up_is_dropped() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        let _counts = Counts;
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        answer(StatusCode::OK, "")
    });
    let client = Client::of(pipe).await;
    let (response, mut stream) = client.send.clone().send_request(get("/never"), true).expect("sent");
    client.ask(get("/"), None).await;
    assert_eq!(DROPPED.load(SeqCst), 1);
    stream.send_reset(h2::Reason::CANCEL);
    drop((response, stream));
    client.ask(get("/"), None).await;
    assert_eq!(DROPPED.load(SeqCst), 3);
}

#[tokio::test]
async fn a_shutdown_serves_what_has_begun_and_nothing_more() {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (go, may_go) = tokio::sync::watch::channel(false);
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let service = move |_| {
        let mut may_go = may_go.clone();
        async move {
            may_go.wait_for(|go| *go).await.expect("it lives");
            answer(StatusCode::OK, "served")
        }
    };
    let connection =
        Connection::new(ours, Limits::default(), move |request| -> Answering { Box::pin(service(request)) });
    let served = tokio::spawn(connection.until(async move { _ = stopped.wait_for(|stopped| *stopped).await }));
    let client = Client::of(theirs).await;
    let begun = client.send.clone().send_request(get("/"), true).expect("sent").0;
    tokio::time::sleep(Duration::from_millis(20)).await;
    stop.send_replace(true);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(soon(client.send.clone().ready()).await.is_err(), "the client was told");
    go.send_replace(true);
    assert_eq!(soon(begun).await.expect("served").status(), StatusCode::OK);
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn a_body_that_nobody_reads_keeps_neither_its_stream_nor_the_connection() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |_| async { answer(StatusCode::OK, "at once") });
    let client = Client::of(pipe).await;
    for _ in 0..5 {
        let (response, mut stream) = client.send.clone().send_request(post(), false).expect("sent");
        stream.send_data(vec![0; 60_000].into(), false).expect("sent");
        assert_eq!(soon(response).await.expect("an answer").status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays_and_one_that_does_not_is_dead() {
    let (pipe, served) = serve(Limits::default(), 1 << 20, echo);
    let client = Client::of(pipe).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!served.is_finished(), "it answers");
    let (silent, served) = serve(Limits::default(), 1 << 20, echo);
    let Client { task, .. } = Client::of(silent).await;
    task.abort(); // nobody reads, but the pipe is dropped with it: see the bytes for one that stays
    assert!(soon(served).await.expect("no panic").is_ok());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_when_its_streams_have() {
    let limits = Limits { age: Some(Duration::from_secs(100)), ..Limits::default() };
    let (pipe, served) = serve(limits, 1 << 20, echo);
    let client = Client::of(pipe).await;
    let (_response, mut stream) = client.send.clone().send_request(post(), false).expect("sent");
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(client.send.clone().ready().await.is_err() && !served.is_finished());
    stream.send_data(Bytes::new(), true).expect("sent");
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bodies_that_other_threads_read_make_room_whenever_they_do() {
    let (pipe, _served) = serve(Limits::default(), 10_000, |request| async move {
        let read = tokio::spawn(async move {
            let (mut body, mut sum) = (request.into_body(), 0);
            while let Some(frame) = body.frame().await {
                sum += frame.expect("in order").data_ref().map_or(0, Bytes::len);
                tokio::task::yield_now().await;
            }
            sum
        });
        answer(StatusCode::OK, read.await.expect("no panic").to_string())
    });
    let client = Client::of(pipe).await;
    let asked = (0..60_usize).map(|n| client.ask(post(), Some(vec![7; n * 5_000].into())));
    for (n, (_, body, _)) in join_all(asked).await.into_iter().enumerate() {
        assert_eq!(body, (n * 5_000).to_string().into_bytes());
    }
}
