//! Windows, as a client counts them.

use super::*;

/// Bytes of a body by a frame.
fn bytes(said: &[Said], stream: u32) -> usize {
    said.iter().filter(|said| (said.kind, said.stream) == (DATA, stream)).map(|said| said.content.len()).sum()
}

async fn large(_: Request<Incoming>) -> Answer {
    answer(StatusCode::OK, vec![7; 1_000_000])
}

#[tokio::test]
async fn a_window_below_zero_has_to_be_filled_first() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, large);
    let mut client = Client::of(pipe).await;
    client.send(&[window_update(0, 1_000_000), get(1)].concat()).await;
    assert_eq!(bytes(&client.until_heard().await, 1), 65_535);
    client.send(&setting(INITIAL_WINDOW_SIZE, 1_000)).await; // 64,535 below zero
    client.send(&window_update(1, 64_535)).await;
    assert_eq!(bytes(&client.until_heard().await, 1), 0);
    client.send(&window_update(1, 7)).await;
    assert_eq!(bytes(&client.until_heard().await, 1), 7);
    client.send(&setting(INITIAL_WINDOW_SIZE, 1_100)).await;
    assert_eq!(bytes(&client.until_heard().await, 1), 100);
    client.send(&[setting(INITIAL_WINDOW_SIZE, 0), get(3)].concat()).await;
    let said = client.until_heard().await;
    assert_eq!((bytes(&said, 1), bytes(&said, 3)), (0, 0));
    client.send(&window_update(3, 20_000)).await;
    assert_eq!(bytes(&client.until_heard().await, 3), 20_000);
}

#[tokio::test]
async fn streams_share_the_window_of_the_connection_whatever_it_grows_by() {
    for step in [1_000, 16_384, 65_535, 100_000] {
        let (pipe, _served) = serve(Limits::default(), 1 << 20, large);
        let mut client = Client::of(pipe).await;
        let streams = [1, 3, 5, 7];
        client.send(&setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff)).await;
        client.send(&streams.map(get).concat()).await;
        let before = client.until_heard().await;
        assert_eq!(streams.map(|stream| bytes(&before, stream)).iter().sum::<usize>(), 65_535);
        let mut said = Vec::new();
        for _ in 0..20 {
            client.send(&window_update(0, step)).await;
            said.extend(client.until_heard().await);
        }
        let (sent, all) = (streams.map(|stream| bytes(&said, stream)), 20 * step as usize);
        assert_eq!(sent.iter().sum::<usize>(), all, "each window is used");
        assert!(sent.iter().all(|sent| sent * 8 > all), "{step} bytes at a time: {sent:?}");
    }
}

#[tokio::test]
async fn a_large_answer_holds_up_none_that_is_small() {
    let (pipe, _served) = serve(Limits::default(), 10_000, |request| async move {
        match request.method().as_str() {
            "GET" => large(request).await,
            _ => words(request).await,
        }
    });
    let mut client = Client::of(pipe).await;
    client.send(&[setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff), window_update(0, 0x7fff_0000)].concat()).await;
    client.send(&[get(1), get(3), frame(HEADERS, 5, 5, POST)].concat()).await;
    let said = client.until(|said| said.stream == 5 && said.is_end()).await;
    let before = bytes(&said, 1) + bytes(&said, 3);
    assert!(before < 400_000, "{before} bytes of others came before it");
}

#[tokio::test]
async fn an_end_needs_no_window() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        use futures::stream::iter;
        match request.method().as_str() {
            "GET" => answer(StatusCode::OK, vec![7; 10]),
            _ => {
                let pieces = [Ok(Frame::data(Bytes::new())), Ok(Frame::data(Bytes::from_static(b"0123456789")))];
                Response::new(StreamBody::new(iter(pieces)).boxed_unsync())
            }
        }
    });
    let mut client = Client::of(pipe).await;
    client.send(&[setting(INITIAL_WINDOW_SIZE, 10), get(1)].concat()).await;
    client.until(|said| said.is_end() && said.stream == 1).await;
    client.send(&frame(HEADERS, 5, 3, POST)).await;
    assert_eq!(bytes(&client.until_heard().await, 3), 10);
    client.send(&window_update(3, 1)).await; // it is asked for more only when there is room for more
    client.until(|said| said.is_end() && said.stream == 3).await;
}

/// What a client may send, told as it is read: counted as it counts it.
#[tokio::test]
async fn what_is_read_is_given_back_and_what_is_not_is_not() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        let mut body = request.into_body();
        for _ in 0..3 {
            _ = body.frame().await; // 48 KiB, and no more
        }
        never(Request::new(body)).await
    });
    let mut client = Client::of(pipe).await;
    client.send(&[post(1), data(1, &[0; 16_000], false).repeat(2)].concat()).await;
    assert_eq!(client.until_heard().await, [], "less than half has been read");
    client.send(&data(1, &[0; 16_000], false).repeat(2)).await;
    let said = client.until_heard().await;
    let more: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code().0)).collect();
    assert_eq!(more, [(WINDOW_UPDATE, 1, 48_000), (WINDOW_UPDATE, 0, 48_000)]);
    // What is given up was not read, and is given back to the connection.
    client.send(&[data(1, &[0; 16_000], false), reset(1)].concat()).await;
    let said = client.until_heard().await;
    let more: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code().0)).collect();
    assert_eq!(more, [], "32,000 are less than half");
    client.send(&[post(3), data(3, &[0; 1_000], false), reset(3)].concat()).await;
    let said = client.until_heard().await;
    let more: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code().0)).collect();
    assert_eq!(more, [(WINDOW_UPDATE, 0, 33_000)]);
}

#[tokio::test]
async fn padding_counts_and_is_read_at_once() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, never);
    let mut client = Client::of(pipe).await;
    let padded = frame(DATA, 8, 1, &[&[255][..], &[0; 255]].concat());
    client.send(&[post(1), padded.repeat(128)].concat()).await;
    let said = client.until_heard().await;
    let more: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code().0)).collect();
    assert_eq!(more, [(WINDOW_UPDATE, 1, 32_768), (WINDOW_UPDATE, 0, 32_768)]);
}

#[tokio::test]
async fn more_than_a_window_is_too_much() {
    for (streams, kind, stream) in [(&[1_u32][..], RST_STREAM, 1), (&[1, 3, 5], GOAWAY, 0)] {
        let limits = Limits { connection_window_bytes: 100_000, ..Limits::default() };
        let (pipe, _served) = serve(limits, 1 << 20, never);
        let mut client = Client::silent(pipe);
        let pieces = streams
            .iter()
            .flat_map(|id| [post(*id), data(*id, &[0; 10_000], false).repeat(if kind == GOAWAY { 5 } else { 7 })]);
        client.send(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &pieces.collect::<Vec<_>>().concat()].concat()).await;
        let end = client.until(|said| said.kind == kind).await.pop().expect("an end");
        assert_eq!((end.stream, end.code()), (stream, Code::FLOW_CONTROL_ERROR));
    }
}

/// A body that is read by a task of its own is told of all that ends it.
#[tokio::test]
async fn a_reader_in_another_task_makes_room_and_hears_the_end() {
    use std::sync::Mutex;
    static READ: Mutex<Vec<Result<usize, Code>>> = Mutex::new(Vec::new());
    let (pipe, served) = serve(Limits::default(), 1 << 20, |request| async move {
        tokio::spawn(async move {
            let read = request.into_body().collect().await;
            READ.lock().expect("no panic").push(read.map(|body| body.to_bytes().len()).map_err(|Reset(code)| code));
        });
        std::future::pending().await
    });
    let mut client = Client::of(pipe).await;
    client.send(&[post(1), post(3), post(5)].concat()).await;
    let mut window = 65_535;
    for _ in 0..50 {
        while window < 30_000 {
            let more = client.until(|said| (said.kind, said.stream) == (WINDOW_UPDATE, 0)).await;
            window += more.last().expect("it").code().0;
        }
        client.send(&data(1, &[0; 15_000], false).repeat(2)).await;
        window -= 30_000;
    }
    client.send(&[data(1, b"", true), reset(3)].concat()).await;
    client.until_heard().await;
    drop(client);
    soon(served).await.expect("no panic").expect("in order");
    let all = [Ok(1_500_000), Err(Code::CANCEL), Err(Code::CANCEL)];
    soon(async {
        while READ.lock().expect("no panic").len() < all.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(*READ.lock().expect("no panic"), all);
}

#[tokio::test]
async fn a_body_that_says_nothing_for_ever_holds_up_nobody() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        use futures::stream::repeat_with;
        match request.method().as_str() {
            "GET" => Response::new(StreamBody::new(repeat_with(|| Ok(Frame::data(Bytes::new())))).boxed_unsync()),
            _ => words(request).await,
        }
    });
    let mut client = Client::of(pipe).await;
    client.send(&get(1)).await;
    assert_eq!(client.ask(&frame(HEADERS, 5, 3, POST), 3).await.1, b"words");
}

#[tokio::test]
async fn windows_are_such_as_there_can_be() {
    for (bytes, settings, more) in [(0, 65_535, None), (u32::MAX, 0x7fff_ffff, Some(0x7fff_0000))] {
        let limits = Limits { stream_window_bytes: bytes, connection_window_bytes: bytes, ..Limits::default() };
        let (pipe, _served) = serve(limits, 1 << 20, collected);
        let mut client = Client::silent(pipe);
        client.send(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat()).await;
        let said = client.until(|said| (said.kind, said.flags) == (SETTINGS, ACK)).await;
        let window =
            said[0].content.as_chunks::<6>().0.iter().find(|setting| setting[..2] == [0, 4]).expect("a window");
        assert_eq!(window[2..], u32::to_be_bytes(settings));
        let updates: Vec<_> = said.iter().filter(|said| said.kind == WINDOW_UPDATE).map(|said| said.code().0).collect();
        assert_eq!(updates, Vec::from_iter(more));
        let body = [data(1, &[0; 16_384], false).repeat(3), data(1, &[0; 16_383], true)].concat();
        assert_eq!(client.ask(&[post(1), body].concat(), 1).await.1.len(), 65_535);
    }
}

#[tokio::test]
async fn what_has_come_of_a_body_by_half_is_not_kept_when_it_is_given_up() {
    use std::sync::Mutex;
    static BODY: Mutex<Option<Incoming>> = Mutex::new(None);
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        *BODY.lock().expect("no panic") = Some(request.into_body());
        std::future::pending().await
    });
    let mut client = Client::of(pipe).await;
    client.send(&[post(1), data(1, &[0; 10_000], false)].concat()).await;
    client.until_heard().await;
    client.send(&reset(1)).await;
    client.until_heard().await;
    let mut body = BODY.lock().expect("no panic").take().expect("it has come");
    assert_eq!(soon(body.frame()).await.expect("an error").expect_err("no piece"), Reset(Code::CANCEL));
    assert!(soon(body.frame()).await.is_none());
}

/// A task that is dropped with its waker, and with it the body that it reads.
#[tokio::test]
async fn a_waker_may_drop_the_body_that_it_is_for() {
    use std::{
        sync::{Arc, Mutex},
        task::{Context, Wake},
    };

    struct Holds(Mutex<Option<Incoming>>);
    impl Wake for Holds {
        fn wake(self: Arc<Self>) {}
    }
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        let reader = Arc::new(Holds(Mutex::new(Some(request.into_body()))));
        if let Some(body) = &mut *reader.0.lock().expect("no panic") {
            let frame = Pin::new(body);
            let waker = Arc::clone(&reader).into();
            assert!(http_body::Body::poll_frame(frame, &mut Context::from_waker(&waker)).is_pending());
        }
        drop(reader);
        std::future::pending().await
    });
    let mut client = Client::of(pipe).await;
    client.send(&post(1)).await;
    client.until_heard().await;
    client.send(&data(1, b"x", true)).await;
    client.until_heard().await;
}
