//! Tests: one execution of a check.

mod answers;
mod encrypted;
mod exchanges;
mod framed;
mod requests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::definition::{Http, Tcp};

fn check(kind: CheckKind) -> Check {
    // Until an answer comes on a busy machine.
    Check { timeout: Duration::from_secs(30), ..Check::new("web", kind) }
}

fn http() -> Check {
    check(CheckKind::Http(Http::get("/healthz")))
}

/// A server of one connection: it reads the request and goes on as `serve` does.
async fn server<F: Future<Output = ()> + Send>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 1024]).await;
        serve(stream).await;
    });
    address
}

async fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    server(|mut stream| async move { drop(stream.write_all(&answer).await) }).await
}

async fn hangs() -> SocketAddr {
    server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

async fn said(check: &Check, target: SocketAddr) -> String {
    match Probes::new(Network).probe(check, target).await {
        Outcome::Success(saw) => format!("ok: {saw}"),
        Outcome::Warning(saw) => format!("warns: {saw}"),
        Outcome::Failure(saw) => format!("bad: {saw}"),
        Outcome::LocalFault(fault, saw) => format!("{}: {saw}", fault.as_str()),
    }
}

#[tokio::test]
async fn a_status_decides() {
    let up = answers("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(said(&http(), up).await, format!("ok: check web: GET http://{up}/healthz answered 204"));
    let down = answers("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(said(&http(), down).await, format!("bad: check web: GET http://{down}/healthz answered 503"));
}

#[tokio::test(start_paused = true)]
async fn a_hung_server_a_refusal_and_nonsense_are_told_apart() {
    let hung = hangs().await;
    let brief = Check { timeout: Duration::from_millis(300), ..http() };
    assert!(said(&brief, hung).await.ends_with("got no answer within 0.3 s"));
    let nonsense = answers("no http at all, this\r\n\r\n").await;
    assert!(said(&http(), nonsense).await.contains("not HTTP"));
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    assert!(said(&check(CheckKind::Tcp(Tcp::default())), free).await.contains("nothing listens there"));
}

#[tokio::test]
async fn a_long_path_is_cut_and_what_was_seen_is_not() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let long = check(CheckKind::Http(Http::get(format!("/{}", "ä".repeat(600)))));
    let said = said(&long, free).await;
    assert!(said.len() < 800 && said.ends_with("… was refused: nothing listens there"), "{said}");
}

#[tokio::test]
async fn an_accepted_connection_is_enough_for_tcp() {
    let hung = hangs().await;
    let said = said(&check(CheckKind::Tcp(Tcp::default())), hung).await;
    assert_eq!(said, format!("ok: check web: connection to {hung} was accepted"));
}

#[tokio::test]
async fn a_small_body_is_read_to_its_end() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let target = server(|mut stream| async move {
        let said = async {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n").await?;
            for _ in 0..4 {
                stream.write_all(&[b'x'; 1024]).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            io::Result::Ok(())
        };
        drop(sender.send(said.await));
    })
    .await;
    assert!(said(&http(), target).await.starts_with("ok:"));
    assert!(matches!(ended.await, Ok(Ok(()))), "the server wrote all of it");
}

#[tokio::test]
async fn of_a_body_without_an_end_a_little_is_read() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let target = server(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {
            count.fetch_add(1024, Relaxed);
        }
    })
    .await;
    assert!(said(&http(), target).await.ends_with("answered 200"));
    // What both kernels buffer, and not what a whole timeout of 30 s would take.
    assert!(written.load(Relaxed) < 64 << 20, "{} bytes", written.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_ends_with_its_time_and_the_status_stands() {
    let target = server(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let began = Instant::now();
    assert!(said(&http(), target).await.ends_with("answered 200"));
    assert!(began.elapsed() < Duration::from_secs(5), "of the paused clock");
}

#[tokio::test]
async fn headers_have_no_bound_in_number_that_a_server_would_meet() {
    let headers: String = (0..3_000).map(|n| format!("x-{n}: v\r\n")).collect();
    let many = answers(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n")).await;
    assert!(said(&http(), many).await.ends_with("answered 200"));
}

#[tokio::test]
async fn informational_answers_without_an_end_are_cut_off() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let target = server(|mut stream| async move {
        while stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(40)).await.is_ok() {
            count.fetch_add(1000, Relaxed);
        }
    })
    .await;
    let said = said(&http(), target).await;
    assert!(said.starts_with("bad:") && said.contains("KiB"), "{said}");
    assert!(written.load(Relaxed) < 64 << 20, "{} bytes", written.load(Relaxed));
}

#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    let target = server(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n").await);
        while stream.write_all(&b"x: y\r\n".repeat(100)).await.is_ok() {}
    })
    .await;
    let said = said(&http(), target).await;
    assert!(said.starts_with("bad:") && said.contains("KiB"), "{said}");
}

#[tokio::test]
async fn an_answered_connection_ends_with_a_reset() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let target = server(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await);
        // The HTTP library says its end first; what follows leaves nothing in TIME-WAIT on our side.
        let reset = match stream.read(&mut [0; 1]).await {
            Err(error) => error,
            Ok(_) => loop {
                if let Some(error) = stream.take_error().expect("a socket") {
                    break error;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            },
        };
        _ = sender.send(reset.kind());
    })
    .await;
    assert!(said(&http(), target).await.starts_with("ok:"));
    let reset = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("no reset").expect("a server");
    assert!(matches!(reset, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{reset}");
}

#[tokio::test]
async fn a_probe_that_is_dropped_closes_its_connection() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let target = server(|mut stream| async move {
        drop(sender.send(stream.read(&mut [0; 1]).await));
    })
    .await;
    let probe = tokio::spawn(async move { Probes::new(Network).probe(&http(), target).await });
    // Until it waits for the answer; however early it ends, the connection ends with it.
    tokio::task::yield_now().await;
    probe.abort();
    assert!(probe.await.is_err_and(|error| error.is_cancelled()));
    if let Ok(Ok(Ok(read))) = tokio::time::timeout(Duration::from_secs(20), ended).await {
        assert_eq!(read, 0);
    }
}

/// A dialer that fails with a code of the operating system.
struct Broken(i32);

impl Dial for Broken {
    type Stream = TcpStream;

    async fn dial(&self, _: SocketAddr, _: Close) -> io::Result<TcpStream> {
        Err(io::Error::from_raw_os_error(self.0))
    }
}

#[tokio::test]
async fn what_we_lack_is_told_as_ours_for_every_kind_of_check() {
    let target = "127.0.0.1:9".parse().expect("an address");
    for (code, fault) in [(24, LocalFault::Descriptors), (99, LocalFault::Ports), (101, LocalFault::NoRoute)] {
        for check in [http(), check(CheckKind::Tcp(Tcp::default()))] {
            let outcome = Probes::new(Broken(code)).probe(&check, target).await;
            assert!(matches!(outcome, Outcome::LocalFault(found, _) if found == fault), "{code}: {outcome:?}");
        }
    }
}

/// A dialer during which the process does not run for a while.
struct Stalls;

impl Dial for Stalls {
    type Stream = TcpStream;

    async fn dial(&self, _: SocketAddr, _: Close) -> io::Result<TcpStream> {
        tokio::time::advance(Duration::from_secs(10)).await;
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fired_much_too_late_convicts_nobody() {
    let target = "127.0.0.1:9".parse().expect("an address");
    let brief = Check { timeout: Duration::from_secs(1), ..check(CheckKind::Tcp(Tcp::default())) };
    let outcome = Probes::new(Stalls).probe(&brief, target).await;
    assert!(matches!(outcome, Outcome::LocalFault(LocalFault::Stalled, _)), "{outcome:?}");
}
