//! Tests: what an HTTP check sends, expects and follows.

use super::*;
use crate::definition::Statuses;

/// A server that answers each connection with the next of these, and the requests that came.
async fn in_turn(answers: Vec<&'static str>) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter().cycle();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(answers.next().unwrap_or_default().as_bytes()).await;
        }
    });
    (address, requests)
}

fn of(http: Http) -> Check {
    check(CheckKind::Http(http))
}

#[tokio::test]
async fn method_headers_and_body_are_sent_as_written() {
    let (target, mut requests) = in_turn(vec!["HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"]).await;
    let post = Http {
        method: "POST".into(),
        host: Some("shop.example".into()),
        headers: [("X-Probe".into(), "1".into())].into(),
        body: Some("{\"ping\":1}".into()),
        ..Http::get("/in?x=1")
    };
    let said = said(&of(post), target).await;
    assert_eq!(said, format!("ok: check web: POST http://{target}/in?x=1 answered 201"));
    let request = requests.recv().await.expect("a request").to_ascii_lowercase();
    for line in ["post /in?x=1 http/1.1\r\n", "host: shop.example\r\n", "x-probe: 1\r\n", "content-length: 10\r\n"] {
        assert!(request.contains(line), "{line:?} in {request:?}");
    }
    assert!(request.ends_with("{\"ping\":1}") && request.contains("user-agent: rollcall-check/"), "{request:?}");
}

#[tokio::test]
async fn expected_statuses_pass_and_too_many_requests_is_a_warning() {
    let only_204 = Http { statuses: Statuses::new([(204, 204)]), ..Http::get("/") };
    let ok = answers("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
    assert!(said(&of(only_204.clone()), ok).await.ends_with("answered 200: \"yes\""));
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n";
    assert!(said(&http(), answers(busy).await).await.starts_with("warns: check web: GET http://"));
    let expected = Http { statuses: Statuses::new([(400, 499)]), ..Http::get("/") };
    assert!(said(&of(expected), answers(busy).await).await.starts_with("ok:"));
}

#[tokio::test]
async fn what_a_failing_server_says_is_told_and_cannot_pass_for_anything_else() {
    let body = format!("out of disk\r\n\u{1b}[31m\u{202e}{}", "x".repeat(10 << 20));
    let target = answers(format!("HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let said = said(&http(), target).await;
    assert!(said.contains("answered 500: \"out of disk\\r\\n\\u001b[31m\\u202exxx"), "{said}");
    assert!(said.len() < 300, "10 MB in {} bytes", said.len());
}

#[tokio::test]
async fn a_text_is_sought_in_the_body() {
    let ready = Http { contains: Some("\"ready\":true".into()), ..Http::get("/") };
    let is = answers("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true}").await;
    assert!(said(&of(ready.clone()), is).await.ends_with("answered 200"));
    let is_not = answers("HTTP/1.1 200 OK\r\n\r\n{\"ready\":false}").await;
    let said = said(&of(ready), is_not).await;
    assert!(said.starts_with("bad:") && said.ends_with("body: \"{\\\"ready\\\":false}\""), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_told_apart_from_no_answer() {
    let target = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let slow = Http { contains: Some("ready".into()), ..Http::get("/") };
    let brief = Check { timeout: Duration::from_secs(2), ..of(slow) };
    let said = said(&brief, target).await;
    assert!(said.contains("answered 200, but without \"ready\" in its body") && said.ends_with("within 2 s"), "{said}");
}

#[tokio::test]
async fn redirects_are_followed_to_the_same_server_and_to_nobody_else() {
    const TO_NEXT: &str = "HTTP/1.1 302 Found\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let follows = |redirects_max| of(Http { redirects_max, ..Http::get("/first") });
    let (target, mut requests) = in_turn(vec![TO_NEXT, OK]).await;
    assert!(said(&follows(1), target).await.ends_with("answered 200"));
    requests.recv().await.expect("the first");
    assert!(requests.recv().await.expect("the second").starts_with("GET /next HTTP/1.1"));

    let looped = said(&follows(3), in_turn(vec![TO_NEXT]).await.0).await;
    assert!(
        looped.starts_with("bad:") && looped.ends_with("was redirected more than 3 times, lastly to \"/next\""),
        "{looped}"
    );

    let away = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n";
    let away = said(&follows(3), answers(away).await).await;
    assert!(
        away.starts_with("warns:") && away.contains("\"http://169.254.169.254/latest\", which is not followed"),
        "{away}"
    );
    assert!(said(&http(), answers(TO_NEXT).await).await.ends_with("answered 302"), "as ever, without followRedirects");
}

#[tokio::test]
async fn what_was_posted_is_not_posted_again_where_a_redirect_leads() {
    let (target, mut requests) = in_turn(vec![
        "HTTP/1.1 303 See Other\r\nlocation: /done\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let post = Http { method: "POST".into(), body: Some("x".into()), redirects_max: 2, ..Http::get("/in") };
    assert!(said(&of(post), target).await.ends_with("answered 200"));
    assert!(requests.recv().await.expect("the first").starts_with("POST /in"));
    assert!(requests.recv().await.expect("the second").starts_with("GET /done"));
}

#[tokio::test]
async fn an_answer_over_ipv6_counts_as_any_other() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let target = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    });
    assert_eq!(said(&http(), target).await, format!("ok: check web: GET http://{target}/healthz answered 200"));
}
