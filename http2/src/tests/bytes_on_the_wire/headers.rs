//! Headers: too many, in step with the table, and our own that are larger than a frame.

use super::*;

#[tokio::test]
async fn too_many_headers_are_answered_431_and_the_table_stays_in_step() {
    let (pipe, _served) =
        serve(Limits { header_bytes_max: 1_000, ..Limits::default() }, 1 << 20, |request| async move {
            answer(StatusCode::OK, format!("{:?}", request.headers().get("a")))
        });
    let mut client = Client::silent(pipe); // it has not acknowledged that there is no table
    client.send(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat()).await;
    let field = [&b"\x40\x01a\x7f\xe9\x06"[..], &[b'v'; 1_000]].concat(); // a: vvv…, which goes into the table
    let large = |stream, flags| frame(HEADERS, END_HEADERS | flags, stream, &[GET, &field].concat());
    assert_eq!(client.ask(&large(1, END_STREAM), 1).await, ("431".into(), vec![]));
    // What was added by a block that was not served can be used by the next, and evicted.
    assert_eq!(client.ask(&frame(HEADERS, 5, 3, &[GET, &[0xbe]].concat()), 3).await.0, "431");
    assert_eq!(
        client.ask(&frame(HEADERS, 5, 5, &[GET, b"\x40\x01a\x01b", &[0xbe]].concat()), 5).await.1,
        b"Some(\"b\")"
    );
    // One whose body was to come is told that it need not.
    client.send(&large(7, 0)).await;
    let said = client.until_heard().await;
    let ends: Vec<_> = said.iter().map(|said| (said.kind, said.stream)).collect();
    assert_eq!((ends, said[1].code()), (vec![(HEADERS, 7), (RST_STREAM, 7)], Code::NO_ERROR));
    client.send(&data(7, b"a body", true)).await;
    assert_eq!(client.until_heard().await, [], "what it had sent before it knew is passed over");
}

#[tokio::test]
async fn what_is_passed_over_keeps_the_table_in_step() {
    let (pipe, _served) = serve(Limits { streams_max: 1, ..Limits::default() }, 1 << 20, |request| async move {
        if request.method() == http::Method::POST {
            return never(request).await;
        }
        answer(StatusCode::OK, format!("{:?}", request.headers().get("a")))
    });
    let mut client = Client::silent(pipe);
    client.send(&[&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &post(1)].concat()).await;
    let refused = frame(HEADERS, END_HEADERS, 3, &[POST, b"\x40\x01a\x01b"].concat());
    let trailers = frame(HEADERS, 5, 3, b"\x40\x01a\x01c");
    client.send(&[refused, trailers].concat()).await;
    let said = client.until(|said| said.kind == RST_STREAM).await.pop().expect("a reset");
    assert_eq!((said.stream, said.code()), (3, Code::REFUSED_STREAM));
    client.send(&reset(1)).await;
    let (_, both) = client.ask(&frame(HEADERS, 5, 5, &[GET, &[0xbf]].concat()), 5).await;
    assert_eq!(both, b"Some(\"b\")");
    assert_eq!(client.ask(&frame(HEADERS, 5, 7, &[GET, &[0xbe]].concat()), 7).await.1, b"Some(\"c\")");
}

#[tokio::test]
async fn nothing_is_passed_over_after_the_last_that_was_said() {
    let (pipe, served) = serve(Limits { streams_max: 1, ..Limits::default() }, 1 << 20, never);
    let mut client = Client::of(pipe).await;
    let frames = [post(1), post(3), data(3, b"x", true)].concat();
    client.send(&frames).await;
    assert_eq!(client.until_heard().await.len(), 1, "it is refused once");
    client.send(&data(3, b"x", false)).await;
    assert_eq!(client.until_heard().await.pop().expect("a reset").code(), Code::STREAM_CLOSED);
    client.send(&[reset(3), get(3)].concat()).await;
    assert_eq!(client.rest().await.pop().expect("an end").code(), Code::STREAM_CLOSED);
    assert_eq!(broken(soon(served).await.expect("no panic")), Some(Code::STREAM_CLOSED));
}

#[tokio::test]
async fn headers_larger_than_a_frame_go_in_several() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |_| async {
        let mut response = answer(StatusCode::OK, "");
        for n in 0..40 {
            let name = http::HeaderName::try_from(format!("x-{n}")).expect("a name");
            response.headers_mut().insert(name, "v".repeat(1_000).parse().expect("a value"));
        }
        response
    });
    let mut client = Client::of(pipe).await;
    client.send(&get(1)).await;
    let said = client.until(|said| said.flags & END_HEADERS != 0).await;
    let kinds: Vec<_> = said.iter().map(|said| (said.kind, said.flags, said.content.len() <= 16_384)).collect();
    assert_eq!(kinds, [(HEADERS, END_STREAM, true), (CONTINUATION, 0, true), (CONTINUATION, END_HEADERS, true)]);
    let block: Vec<_> = said.into_iter().flat_map(|said| said.content).collect();
    assert_eq!(client.fields(&block).len(), 42);
}

#[tokio::test]
async fn an_answer_of_trailers_only_and_one_that_ends_with_nothing() {
    use futures::stream::{iter, once};
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("a value"));
        match request.method().as_str() {
            "GET" => Response::new(StreamBody::new(once(async { Ok(Frame::trailers(trailers)) })).boxed_unsync()),
            _ => Response::new(StreamBody::new(iter([Ok(Frame::data(Bytes::from_static(b"x")))])).boxed_unsync()),
        }
    });
    let mut client = Client::of(pipe).await;
    client.send(&get(1)).await;
    let said = client.until(Said::is_end).await;
    let frames: Vec<_> = said.iter().map(|said| (said.kind, said.flags)).collect();
    assert_eq!(frames, [(HEADERS, END_HEADERS), (HEADERS, END_HEADERS | END_STREAM)]);
    client.fields(&said[0].content);
    assert_eq!(client.fields(&said[1].content), [("grpc-status".into(), "0".into())]);
    client.send(&[post(3), data(3, b"", true)].concat()).await;
    let said = client.until(Said::is_end).await;
    let frames: Vec<_> = said.iter().map(|said| (said.kind, said.flags, said.content.len())).collect();
    assert_eq!(frames[1..], [(DATA, 0, 1), (DATA, END_STREAM, 0)]);
}

#[tokio::test]
async fn trailers_of_which_there_are_none_end_an_answer() {
    let (pipe, _served) = serve(Limits::default(), 1 << 20, |_| async {
        let pieces = [Ok(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(HeaderMap::new()))];
        Response::new(StreamBody::new(futures::stream::iter(pieces)).boxed_unsync())
    });
    let mut client = Client::of(pipe).await;
    assert_eq!(client.ask(&get(1), 1).await.1, b"x");
}
