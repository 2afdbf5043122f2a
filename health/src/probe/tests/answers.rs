//! Tests: answers as servers in the field give them, well formed or not. What curl and Go's client take for an answer is
//! one, and its status decides.

use super::*;

const OK: &str = "ok";
const BAD: &str = "bad";

/// An answer to a request that was read, and how it is judged.
type Case = (&'static str, String, &'static str, &'static str);

fn headers(count: usize) -> String {
    (0..count).map(|n| format!("X-{n}: v\r\n")).collect()
}

fn ok(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok")
}

/// Before the body.
fn heads() -> Vec<Case> {
    vec![
        ("101 headers", ok(&headers(101)), OK, "answered 200"),
        ("8,000 headers", ok(&headers(8_000)), OK, "answered 200"),
        ("as many of one name", ok(&"Set-Cookie: a=b\r\n".repeat(5_000)), OK, "answered 200"),
        ("a header of 200 KB", ok(&format!("X: {}\r\n", "v".repeat(200_000))), OK, "answered 200"),
        ("headers of 2 MB", ok(&format!("X: {}\r\n", "v".repeat(2_000_000))), BAD, "KiB of them"),
        (
            "names in odd case",
            ok("x-LoWeR: v\r\nCONNECTION: KEEP-ALIVE\r\ncOnTeNt-TyPe: text/plain\r\n"),
            OK,
            "answered 200",
        ),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n".into(), OK, "answered 200"),
        ("an empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".into(), OK, "answered 200"),
        ("a reason in letters of the world", "HTTP/1.1 200 Größe ✓\r\n\r\n".into(), OK, "answered 200"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\n\r\nok".into(), OK, "answered 200"),
        ("no headers", "HTTP/1.1 200 OK\r\n\r\n".into(), OK, "answered 200"),
        ("lines that end in LF alone", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into(), OK, "answered 200"),
        ("an empty line in front", "\r\nHTTP/1.1 200 OK\r\n\r\n".into(), OK, "answered 200"),
        ("a folded header", ok("X-Long: a\r\n  b\r\n\tc\r\n"), OK, "answered 200"),
        ("a space before the colon", ok("X-Space : a\r\n"), OK, "answered 200"),
        ("a header without a colon", ok("this is no header\r\n"), OK, "answered 200"),
        ("a header without a name", ok(": v\r\n"), OK, "answered 200"),
        ("a header without a value", ok("X-Empty:\r\n"), OK, "answered 200"),
        ("a name that is none", ok("X(Y)/Z\u{e4}: v\r\n"), OK, "answered 200"),
        ("a value with control characters", ok("X: \u{1}\u{1b}[31m\r\n"), OK, "answered 200"),
        ("a value in letters of the world", ok("X: ä✓\r\n"), OK, "answered 200"),
    ]
}

/// The body.
fn bodies() -> Vec<Case> {
    vec![
        ("an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), OK, "answered 200"),
        ("a body without a length", "HTTP/1.1 200 OK\r\n\r\nok".into(), OK, "answered 200"),
        ("a body that ends too early", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok".into(), OK, "answered 200"),
        (
            "a body that goes on",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more\r\n".into(),
            OK,
            "answered 200",
        ),
        ("chunks", chunked("2\r\nok\r\n0\r\n\r\n"), OK, "answered 200"),
        ("chunks with trailers", chunked(&format!("2\r\nok\r\n0\r\n{}\r\n", headers(200))), OK, "answered 200"),
        ("chunks with extensions", chunked("2;a=b;c=\"d\"\r\nok\r\n0;e\r\n\r\n"), OK, "answered 200"),
        ("chunks that never end", chunked("2\r\nok\r\n"), OK, "answered 200"),
        ("chunks that are none", chunked("zz\r\nok\r\n"), OK, "answered 200"),
        ("a chunk that is too large to be", chunked("ffffffffffffffffff\r\nok"), OK, "answered 200"),
        ("a chunk size without an end", chunked(&"0".repeat(100_000)), OK, "answered 200"),
        (
            "both lengths",
            chunked("2\r\nok\r\n0\r\n\r\n").replacen("\r\n", "\r\nContent-Length: 7\r\n", 1),
            OK,
            "answered 200",
        ),
        ("the same length twice", ok("Content-Length: 2\r\n"), OK, "answered 200"),
    ]
}

/// Other statuses, and what is no answer.
fn others() -> Vec<Case> {
    vec![
        ("100 Continue in front", format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok("")), OK, "answered 200"),
        (
            "early hints",
            format!("{}{}", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(20), ok("")),
            OK,
            "answered 200",
        ),
        ("100 Continue and no more", "HTTP/1.1 100 Continue\r\n\r\n".into(), BAD, "without an answer"),
        (
            "a switch that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".into(),
            BAD,
            "answered 101",
        ),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n".into(), OK, "answered 204"),
        ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".into(), OK, "answered 304"),
        ("503 with a reason", "HTTP/1.1 503 OK\r\nContent-Length: 4\r\n\r\nbusy".into(), BAD, "answered 503: \"busy\""),
        ("an unusual status", "HTTP/1.1 599 X\r\n\r\n".into(), BAD, "answered 599"),
        ("a status beyond all", "HTTP/1.1 2000 X\r\n\r\n".into(), BAD, "not HTTP"),
        ("only half of a head", "HTTP/1.1 200 OK\r\nContent-Le".into(), BAD, "without an answer"),
        ("nothing", String::new(), BAD, "without an answer"),
        ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n".into(), BAD, "not HTTP"),
        ("TLS", "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}".into(), BAD, "not HTTP"),
        ("zeros", "\0".repeat(5000), BAD, "not HTTP"),
    ]
}

fn chunked(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

fn is_judged(said: &str, judged: &str, words: &str) -> bool {
    said.starts_with(&format!("{judged}: ")) && said.contains(words)
}

fn assert_judged(what: &str, said: &str, judged: &str, words: &str) {
    assert!(is_judged(said, judged, words), "{what}: {said}");
}

#[tokio::test]
async fn an_answer_in_any_form_counts_by_its_status() {
    let mut wrong = Vec::new();
    for (what, answer, judged, words) in [heads(), bodies(), others()].concat() {
        let said = said(&http(), answers(answer).await).await;
        if !is_judged(&said, judged, words) {
            wrong.push(format!("{what}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_byte_by_byte_is_one() {
    let target = server(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
            drop(stream.write_all(&[*byte]).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_judged("byte by byte", &said(&http(), target).await, OK, "answered 200");
}

/// How a server ends a connection after its answer.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Late,
    AtOnce,
    WithReset,
}

/// A server that does not wait for the request, as `nc -l` with its answer on standard input.
async fn hasty(answer: &'static str, ends: Ends) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        drop(stream.write_all(answer.as_bytes()).await);
        match ends {
            Ends::Late => std::future::pending().await,
            Ends::AtOnce => {}
            Ends::WithReset => stream.set_zero_linger().expect("a socket"),
        }
    });
    address
}

/// A dialer on whose connections the server has spoken by the time that they are used, and perhaps closed.
struct Tardy;

impl Dial for Tardy {
    type Stream = TcpStream;

    async fn dial(&self, target: SocketAddr, close: Close) -> io::Result<TcpStream> {
        let stream = Network.dial(target, close).await?;
        stream.readable().await?;
        // No harm if it is not long enough: then this test sees less.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(stream)
    }
}

#[tokio::test]
async fn a_server_that_answers_before_it_is_asked_is_heard() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for ends in [Ends::Late, Ends::AtOnce, Ends::WithReset] {
        let outcome = Probes::new(Tardy).probe(&http(), hasty(ANSWER, ends).await).await;
        assert!(matches!(outcome, Outcome::Success(_)), "{ends:?}: {outcome:?}");
    }
    for (ends, words) in [(Ends::AtOnce, "was closed without an answer"), (Ends::WithReset, "reset")] {
        let outcome = Probes::new(Tardy).probe(&http(), hasty("", ends).await).await;
        assert!(matches!(outcome, Outcome::Failure(_)) && outcome.saw().contains(words), "{ends:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_status_counts_that_comes_while_the_body_of_the_request_is_refused() {
    let body = "x".repeat(64 << 10);
    let post = Http { method: "POST".into(), body: Some(body.into()), ..Http::get("/in") };
    let target = answers("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    assert_judged("413", &said(&check(CheckKind::Http(post)), target).await, BAD, "answered 413");
}
