//! What is wrong is told by the code that the standard has for it; what is not, is not.

use super::*;

/// What a client says after it has begun, and the code by which it is told.
type Faults = Vec<(&'static str, Vec<u8>, Code)>;

/// Frames where they may not be.
fn out_of_place() -> Faults {
    let begun = frame(HEADERS, 0, 1, GET);
    vec![
        ("data on the connection", data(0, b"x", false), Code::PROTOCOL_ERROR),
        ("headers on the connection", get(0), Code::PROTOCOL_ERROR),
        ("a priority on the connection", frame(PRIORITY, 0, 0, &[0; 5]), Code::PROTOCOL_ERROR),
        ("a reset of the connection", reset(0), Code::PROTOCOL_ERROR),
        ("a continuation on the connection", frame(CONTINUATION, 4, 0, GET), Code::PROTOCOL_ERROR),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[]), Code::PROTOCOL_ERROR),
        ("a ping on a stream", frame(PING, 0, 1, &[0; 8]), Code::PROTOCOL_ERROR),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Code::PROTOCOL_ERROR),
        ("a stream of the server's", get(2), Code::PROTOCOL_ERROR),
        ("a stream lower than the last", [get(5), get(3)].concat(), Code::STREAM_CLOSED),
        ("headers after a reset", [get(1), reset(1), get(1)].concat(), Code::STREAM_CLOSED),
        ("data before headers", data(1, b"x", true), Code::PROTOCOL_ERROR),
        ("a reset before headers", reset(1), Code::PROTOCOL_ERROR),
        ("a window of a stream before headers", window_update(1, 1), Code::PROTOCOL_ERROR),
        ("a continuation of nothing", frame(CONTINUATION, 4, 1, GET), Code::PROTOCOL_ERROR),
        ("a ping among headers", [&begun[..], &frame(PING, 0, 0, &[0; 8])].concat(), Code::PROTOCOL_ERROR),
        ("another stream among headers", [&begun[..], &frame(CONTINUATION, 4, 3, &[])].concat(), Code::PROTOCOL_ERROR),
        ("something unknown among headers", [&begun[..], &frame(0xaa, 0, 1, &[])].concat(), Code::PROTOCOL_ERROR),
        ("headers among headers", [&begun[..], &get(1)].concat(), Code::PROTOCOL_ERROR),
        ("a push", frame(PUSH_PROMISE, 4, 1, &[0; 4]), Code::PROTOCOL_ERROR),
    ]
}

/// Frames that are not as they should be.
fn out_of_shape() -> Faults {
    let large = [&[0, 64, 1, DATA, 0, 0, 0, 0, 1][..], &[0; 16_385]].concat();
    vec![
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        ("an acknowledgement with content", frame(SETTINGS, ACK, 0, &[0; 6]), Code::FRAME_SIZE_ERROR),
        ("a ping of a wrong length", frame(PING, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        (
            "a reset of a wrong length",
            [&post(1)[..], &frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Code::FRAME_SIZE_ERROR,
        ),
        ("a window of a wrong length", frame(WINDOW_UPDATE, 0, 0, &[0; 5]), Code::FRAME_SIZE_ERROR),
        ("a priority of a wrong length", frame(PRIORITY, 0, 1, &[0; 4]), Code::FRAME_SIZE_ERROR),
        ("a short GOAWAY", frame(GOAWAY, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        ("a frame that is too large", [post(1), large].concat(), Code::FRAME_SIZE_ERROR),
        ("padding without its length", [post(1), frame(DATA, 8, 1, &[])].concat(), Code::FRAME_SIZE_ERROR),
        ("more padding than content", [post(1), frame(DATA, 8, 1, &[4, 0, 0, 0])].concat(), Code::PROTOCOL_ERROR),
        ("more padding than headers", frame(HEADERS, 0xc, 1, &[9, 0x82]), Code::PROTOCOL_ERROR),
        ("headers without their priority", frame(HEADERS, 0x24, 1, &[0; 4]), Code::FRAME_SIZE_ERROR),
        ("headers that depend upon themselves", frame(HEADERS, 0x24, 1, &[0, 0, 0, 1, 0]), Code::PROTOCOL_ERROR),
        ("a priority upon itself", frame(PRIORITY, 0, 7, &[0, 0, 0, 7, 0]), Code::PROTOCOL_ERROR),
        ("a push that is neither 0 nor 1", setting(2, 2), Code::PROTOCOL_ERROR),
        ("a window that is too large", setting(INITIAL_WINDOW_SIZE, 1 << 31), Code::FLOW_CONTROL_ERROR),
        ("frames that are too small", setting(5, 16_383), Code::PROTOCOL_ERROR),
        ("frames that are too large", setting(5, 1 << 24), Code::PROTOCOL_ERROR),
        (
            "windows that grow too large",
            [post(1), window_update(1, 0x7fff_0000), setting(4, 65_536)].concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        ("a window by nothing", window_update(0, 0), Code::PROTOCOL_ERROR),
        ("a window above the largest", window_update(0, 0x7fff_ffff), Code::FLOW_CONTROL_ERROR),
        ("headers that are none", frame(HEADERS, 5, 1, &[0x80]), Code::COMPRESSION_ERROR),
        ("a table that our settings do not allow", frame(HEADERS, 5, 1, b"\x21\x82\x86\x84"), Code::COMPRESSION_ERROR),
    ]
}

#[tokio::test]
async fn what_breaks_a_connection_is_said_by_its_code() {
    for (what, bytes, code) in out_of_place().into_iter().chain(out_of_shape()) {
        let (pipe, served) = serve(Limits::default(), 1 << 20, never);
        let mut client = Client::of(pipe).await;
        client.send(&bytes).await;
        let end = client.rest().await.pop().unwrap_or_else(|| panic!("{what}: nothing was said"));
        assert_eq!((end.kind, end.code()), (GOAWAY, code), "{what}: {}", String::from_utf8_lossy(&end.content[8..]));
        assert_eq!(broken(soon(served).await.expect("no panic")), Some(code), "{what}");
    }
}

/// What ends stream 1 and nothing else.
fn of_a_stream() -> Faults {
    let length = |length: &str| frame(HEADERS, 4, 1, &[b"\x83\x86\x84\x0f\x0d\x01", length.as_bytes()].concat());
    vec![
        ("data after the end", [get(1), data(1, b"x", false)].concat(), Code::STREAM_CLOSED),
        ("headers after the end", [get(1), get(1)].concat(), Code::STREAM_CLOSED),
        ("a window by nothing", [post(1), window_update(1, 0)].concat(), Code::PROTOCOL_ERROR),
        ("a window above the largest", [post(1), window_update(1, 0x7fff_ffff)].concat(), Code::FLOW_CONTROL_ERROR),
        ("less than there was to be", [length("2"), data(1, b"x", true)].concat(), Code::PROTOCOL_ERROR),
        ("more than there was to be", [length("2"), data(1, b"xxx", false)].concat(), Code::PROTOCOL_ERROR),
        ("trailers in place of a body", [length("2"), frame(HEADERS, 5, 1, &[])].concat(), Code::PROTOCOL_ERROR),
        ("no body in place of one", frame(HEADERS, 5, 1, b"\x83\x86\x84\x0f\x0d\x012"), Code::PROTOCOL_ERROR),
        ("a length that is none", length("x"), Code::PROTOCOL_ERROR),
        ("headers amid the body", [post(1), frame(HEADERS, 4, 1, &[])].concat(), Code::PROTOCOL_ERROR),
        ("trailers with a path", [post(1), frame(HEADERS, 5, 1, &[0x84])].concat(), Code::PROTOCOL_ERROR),
        ("no path", frame(HEADERS, 5, 1, b"\x82\x86"), Code::PROTOCOL_ERROR),
        ("a header of HTTP/1", frame(HEADERS, 5, 1, b"\x82\x86\x84\x00\x0aconnection\x05close"), Code::PROTOCOL_ERROR),
    ]
}

#[tokio::test]
async fn what_breaks_a_stream_ends_it_by_its_code_and_no_other() {
    for (what, bytes, code) in of_a_stream() {
        let (pipe, _served) = serve(Limits::default(), 1 << 20, |request| async move {
            if request.uri().path() == "/" { never(request).await } else { words(request).await }
        });
        let mut client = Client::of(pipe).await;
        client.send(&bytes).await;
        let said = client.until_heard().await;
        let ends: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code())).collect();
        assert_eq!(ends, [(RST_STREAM, 1, code)], "{what}");
        let other = frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x82\x86\x85");
        assert_eq!(client.ask(&other, 3).await, ("200".into(), b"words".to_vec()), "{what}");
    }
}

#[tokio::test]
async fn what_is_not_known_or_not_heeded_is_passed_over() {
    let padded = frame(HEADERS, END_HEADERS | 0x28, 1, &[&[3, 0, 0, 0, 0, 16][..], POST, &[0; 3]].concat());
    for (what, bytes) in [
        ("nothing", post(1)),
        ("something unknown on the connection", [frame(0xbb, 0xff, 0, &[1; 100]), post(1)].concat()),
        ("something unknown on a stream that is not there", [frame(0xbb, 0xff, 9, &[1; 100]), post(1)].concat()),
        ("an unknown setting", [setting(0xaaaa, 1), post(1)].concat()),
        ("no push, and larger frames", [setting(2, 0), setting(5, 16_777_215), post(1)].concat()),
        ("a table for our headers", [setting(1, 0), post(1)].concat()),
        ("priorities", [frame(PRIORITY, 0, 1, &[0; 5]), post(1), frame(PRIORITY, 0, 99, &[0; 5])].concat()),
        ("an answer to a ping that was not", [frame(PING, ACK, 0, b"whatever"), post(1)].concat()),
        ("unknown flags", frame(HEADERS, END_HEADERS | 0xd2, 1, POST)),
        ("padding and a priority", padded),
        (
            "headers in parts",
            [frame(HEADERS, 0, 1, &POST[..1]), frame(CONTINUATION, 0, 1, &[]), frame(CONTINUATION, 4, 1, &POST[1..])]
                .concat(),
        ),
        ("a reset of a stream that has ended", [get(1), reset(1), reset(1), window_update(1, 7), post(3)].concat()),
        ("a bit that is kept free", [&[0, 0, 3, HEADERS, 4, 0x80, 0, 0, 1][..], POST].concat()),
    ] {
        let (pipe, _served) = serve(Limits::default(), 1 << 20, collected);
        let mut client = Client::of(pipe).await;
        let stream = if what.starts_with("a reset") { 3 } else { 1 };
        let body = [
            &frame(DATA, 8, stream, b"\x04some\0\0\0\0")[..],
            &data(stream, b" words", false),
            &data(stream, b"", true),
        ];
        let asked = client.ask(&[&bytes[..], &body.concat()].concat(), stream).await;
        assert_eq!(asked, ("200".into(), b"some words".to_vec()), "{what}");
    }
}

#[tokio::test]
async fn who_begins_with_something_else_is_told_so_where_it_can_read_it() {
    let settings = &[0, 0, 24, SETTINGS][..]; // by which a client of TLS finds out
    for (bytes, told) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 505 "[..]),
        (b"POST /v1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 505 "),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", settings),
        (b"\x16\x03\x01\x02\0", settings),
    ] {
        let (mut pipe, served) = serve(Limits::default(), 1 << 20, never);
        tokio::task::yield_now().await;
        pipe.write_all(bytes).await.expect("somebody reads it");
        let mut all = Vec::new();
        soon(pipe.read_to_end(&mut all)).await.expect("an end");
        assert!(all.starts_with(told), "{all:?}");
        assert_eq!(broken(soon(served).await.expect("no panic")), Some(Code::PROTOCOL_ERROR));
    }
}

#[tokio::test]
async fn settings_are_what_a_client_says_first() {
    for first in [get(1), frame(SETTINGS, ACK, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let (pipe, served) = serve(Limits::default(), 1 << 20, never);
        let mut client = Client::silent(pipe);
        client.send(&[&PREFACE[..], &first].concat()).await;
        let end = client.rest().await.pop().expect("an end");
        assert_eq!((end.kind, end.code()), (GOAWAY, Code::PROTOCOL_ERROR));
        assert_eq!(broken(soon(served).await.expect("no panic")), Some(Code::PROTOCOL_ERROR));
    }
}

#[tokio::test]
async fn frames_are_understood_however_they_are_cut() {
    let body = data(1, &[b'x'; 5_000], true);
    let all = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &post(1), &body].concat();
    for step in [1, 2, 7, 100, 4_000] {
        let (pipe, _served) = serve(Limits::default(), 1 << 20, collected);
        let mut client = Client::silent(pipe);
        for piece in all.chunks(step) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        let (status, echoed) = client.ask(&[], 1).await;
        assert_eq!((status.as_str(), echoed.len()), ("200", 5_000), "{step} bytes at a time");
    }
}
