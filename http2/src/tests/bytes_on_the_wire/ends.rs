//! How connections end: in order, and by time.

use super::*;

fn result(result: Result<Result<(), Error>, tokio::task::JoinError>) -> String {
    format!("{:?}", result.expect("no panic"))
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_begins_by_half_is_late() {
    for begin in [&b""[..], b"P", &PREFACE[..23]] {
        let (mut pipe, served) = serve(Limits::default(), 1 << 20, never);
        pipe.write_all(begin).await.expect("somebody reads it");
        tokio::time::sleep(Duration::from_millis(9_900)).await;
        assert!(!served.is_finished());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(result(soon(served).await), "Err(Late)");
        let mut said = Vec::new();
        pipe.read_to_end(&mut said).await.expect("the end");
        assert_eq!(said, [0; 0], "who is told nothing cannot misread it");
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_closed_when_it_has_stalled_and_not_before() {
    for (ping_after, stalled) in [(10, 30_000), (3_600, 30_000)] {
        let limits = Limits { ping_after: Duration::from_secs(ping_after), ..Limits::default() };
        let (pipe, served) = serve(limits, 1_000, |_| async { answer(StatusCode::OK, vec![7; 100_000]) });
        let mut client = Client::of(pipe).await;
        client.send(&get(1)).await;
        for at in (1_000..stalled).step_by(1_000) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!served.is_finished(), "after {at} ms: {}", result(served.await));
            _ = client.pipe.write(&frame(PING, ACK, 0, &[0; 8])).await; // it lives
        }
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert!(served.is_finished());
        assert_eq!(result(served.await), "Err(Stalled)");
    }
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_dead_and_who_says_anything_is_not() {
    let (pipe, served) = serve(Limits::default(), 1 << 20, never);
    let mut client = Client::of(pipe).await;
    for _ in 0..10 {
        let said = client.until(|said| said.kind == PING).await;
        assert_eq!(said.len(), 1);
        client.send(&window_update(0, 1)).await;
    }
    client.until(|said| said.kind == PING).await;
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert!(!served.is_finished());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(result(soon(served).await), "Err(Dead)");
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_as_long_as_one_can_say() {
    let limits = Limits {
        preface: Duration::MAX,
        ping_after: Duration::MAX,
        ping_timeout: Duration::MAX,
        stall: Duration::MAX,
        age: Some(Duration::MAX),
        ..Limits::default()
    };
    let (pipe, served) = serve(limits, 1_000, |_| async { answer(StatusCode::OK, vec![7; 10_000]) });
    let mut client = Client::of(pipe).await;
    client.send(&get(1)).await;
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    assert!(!served.is_finished());
    assert_eq!(client.ask(&[], 1).await.1.len(), 10_000);
}

/// Serves until it is stopped.
fn until_stopped(limits: Limits) -> (DuplexStream, JoinHandle<Result<(), Error>>, tokio::sync::oneshot::Sender<()>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = |request| -> Answering { Box::pin(collected(request)) };
    let connection = Connection::new(ours, limits, service).until(async move { _ = stopped.await });
    (theirs, tokio::spawn(connection), stop)
}

#[tokio::test]
async fn what_was_opened_before_a_client_hears_of_the_end_is_served() {
    let (pipe, served, stop) = until_stopped(Limits::default());
    let mut client = Client::of(pipe).await;
    client.send(&post(1)).await;
    client.until_heard().await;
    stop.send(()).expect("it runs");
    let said = client.until(|said| said.kind == PING).await;
    assert_eq!((said[0].kind, said[0].last(), said[0].code()), (GOAWAY, 0x7fff_ffff, Code::NO_ERROR));
    // It has not heard yet, and then it has; what it opens nevertheless is passed over, also the table's part in it.
    client.send(&[post(3), frame(PING, ACK, 0, &said[1].content), post(5), data(5, b"x", true), get(7)].concat()).await;
    let end = client.until(|said| said.kind == GOAWAY).await.pop().expect("an end");
    assert_eq!((end.last(), end.code()), (3, Code::NO_ERROR));
    assert_eq!(client.until_heard().await, []);
    assert_eq!(client.ask(&data(3, b"three", true), 3).await.1, b"three");
    assert!(!served.is_finished());
    assert_eq!(client.ask(&data(1, b"one", true), 1).await.1, b"one");
    assert_eq!(client.rest().await, []);
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn an_end_by_fault_names_no_stream_that_was_passed_over() {
    let (pipe, served, stop) = until_stopped(Limits::default());
    let mut client = Client::of(pipe).await;
    client.send(&post(1)).await;
    client.until_heard().await;
    stop.send(()).expect("it runs");
    let said = client.until(|said| said.kind == PING).await;
    client.send(&[frame(PING, ACK, 0, &said[1].content), post(3), data(0, b"x", false)].concat()).await;
    let ends: Vec<_> = client.rest().await.into_iter().filter(|said| said.kind == GOAWAY).collect();
    let ends: Vec<_> = ends.iter().map(|end| (end.last(), end.code())).collect();
    assert_eq!(ends, [(1, Code::NO_ERROR), (1, Code::PROTOCOL_ERROR)], "the last stream must not become larger");
    assert_eq!(broken(soon(served).await.expect("no panic")), Some(Code::PROTOCOL_ERROR));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_that_it_has_heard_of_the_end_is_not_waited_for() {
    let (pipe, served, stop) = until_stopped(Limits::default());
    let mut client = Client::of(pipe).await;
    stop.send(()).expect("it runs");
    for _ in 0..100 {
        _ = client.pipe.write(&window_update(0, 1)).await; // it lives
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ends: Vec<_> = client.rest().await.into_iter().filter(|said| said.kind == GOAWAY).collect();
    assert_eq!(ends.iter().map(Said::last).collect::<Vec<_>>(), [0x7fff_ffff, 0]);
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test(start_paused = true)]
async fn who_has_not_begun_when_it_ends_is_not_waited_for() {
    let (_pipe, served, stop) = until_stopped(Limits { preface: Duration::from_secs(1_000), ..Limits::default() });
    tokio::task::yield_now().await;
    stop.send(()).expect("it runs");
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn a_client_that_leaves_is_served_to_its_end() {
    let (pipe, served) = serve(Limits::default(), 1 << 20, collected);
    let mut client = Client::of(pipe).await;
    client.send(&[post(1), frame(GOAWAY, 0, 0, &[0; 8])].concat()).await;
    client.until_heard().await;
    assert_eq!(client.ask(&data(1, b"one", true), 1).await.1, b"one");
    assert_eq!(client.rest().await, []);
    soon(served).await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn a_client_that_is_cut_off_within_a_frame_is_an_error() {
    for (bytes, ends) in [(&PREFACE[..10], false), (&get(1)[..5], false), (&get(1), true)] {
        let (pipe, served) = serve(Limits::default(), 1 << 20, never);
        match ends {
            true => Client::of(pipe).await.send(bytes).await,
            false => Client::silent(pipe).send(bytes).await,
        }
        assert_eq!(soon(served).await.expect("no panic").is_ok(), ends);
    }
}

/// A network that takes what is written only to hold it back, as TLS does.
struct Lazy {
    pipe: DuplexStream,
    held: Vec<u8>,
    open: std::sync::Arc<std::sync::atomic::AtomicBool>,
    task: std::sync::Arc<futures::task::AtomicWaker>,
}

mod lazy {
    use std::{
        io,
        sync::atomic::Ordering::SeqCst,
        task::{Context, Poll, ready},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    impl AsyncRead for Lazy {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.pipe).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Lazy {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.task.register(cx.waker());
            if !self.open.load(SeqCst) {
                return Poll::Pending;
            }
            let Self { pipe, held, .. } = &mut *self;
            while !held.is_empty() {
                let written = ready!(Pin::new(&mut *pipe).poll_write(cx, held))?;
                held.drain(..written);
            }
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.as_mut().poll_flush(cx))?;
            Pin::new(&mut self.pipe).poll_shutdown(cx)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_until_the_network_has_what_was_written_and_not_for_ever() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    };
    for opens in [true, false] {
        let (pipe, theirs) = tokio::io::duplex(1 << 20);
        let (open, task) = (Arc::new(AtomicBool::new(true)), Arc::new(futures::task::AtomicWaker::new()));
        let lazy = Lazy { pipe, held: vec![], open: Arc::clone(&open), task: Arc::clone(&task) };
        let limits = Limits { ping_after: Duration::from_secs(3_600), ..Limits::default() };
        let served = tokio::spawn(Connection::new(lazy, limits, words));
        let mut client = Client::of(theirs).await;
        open.store(false, SeqCst);
        client.send(&[get(1), frame(GOAWAY, 0, 0, &[0; 8])].concat()).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(!served.is_finished(), "the answer is not on its way");
        open.store(opens, SeqCst);
        task.wake();
        if opens {
            assert_eq!(client.ask(&[], 1).await.1, b"words");
            soon(served).await.expect("no panic").expect("in order");
        } else {
            tokio::time::sleep(Duration::from_secs(11)).await;
            assert!(served.is_finished());
            assert_eq!(result(served.await), "Err(Stalled)");
        }
    }
}

/// A client that always has something to say.
struct Endless {
    said: Vec<u8>,
    again: Vec<u8>,
    heard: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

mod endless {
    use std::{
        io,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    impl AsyncRead for Endless {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let again = self.again.clone();
            self.said.extend(again);
            let bytes = buf.remaining().min(self.said.len());
            let rest = self.said.split_off(bytes);
            let now = std::mem::replace(&mut self.said, rest);
            buf.put_slice(&now);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.heard.lock().expect("no panic").extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_lets_us_wait_holds_up_neither_others_nor_its_age() {
    use std::{
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::{Context, Wake, Waker},
    };

    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let said = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat();
    let io = Endless { said, again: frame(0xee, 0, 0, &[0; 16_384]), heard: Arc::clone(&heard) };
    let limits = Limits { age: Some(Duration::from_secs(100)), ..Limits::default() };
    let mut connection = Connection::new(io, limits, words);
    let wakes = Arc::new(Counts(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    for _ in 0..3 {
        let before = wakes.0.load(SeqCst);
        assert!(
            Pin::new(&mut connection).poll(&mut Context::from_waker(&waker)).is_pending(),
            "others have their turn"
        );
        assert!(wakes.0.load(SeqCst) > before, "it comes again by itself");
        tokio::time::advance(Duration::from_secs(101)).await;
    }
    assert!(heard.lock().expect("no panic").windows(9).any(|bytes| bytes == [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]));
}
