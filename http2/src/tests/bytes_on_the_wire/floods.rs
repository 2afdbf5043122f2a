//! What costs a server and brings nothing ends, and holds little memory until then.

use super::*;

/// Sends frames until the server has had enough of them, and reads what it says. How many that took, and the end.
async fn flood(first: &[Vec<u8>], frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> (usize, Said, Vec<Said>) {
    let (pipe, served) = serve(Limits::default(), 1 << 16, never);
    let mut client = Client::of(pipe).await;
    client.send(&first.concat()).await;
    let Client { pipe, decoder } = client;
    let (reads, mut writes) = tokio::io::split(pipe);
    let writing = tokio::spawn(async move {
        let mut sent = 0;
        for frame in frames.take(100_000) {
            if writes.write_all(&frame).await.is_err() {
                break;
            }
            sent += 1;
        }
        sent
    });
    let mut said = Vec::new();
    let mut reads = tokio::io::BufReader::new(reads);
    while let Some(frame) = next(&mut reads).await {
        said.push(frame);
    }
    drop((reads, decoder));
    assert!(matches!(soon(served).await.expect("no panic"), Err(Error::Flooded)));
    let end = said.pop().expect("it says why");
    assert_eq!((end.kind, end.code()), (GOAWAY, Code::ENHANCE_YOUR_CALM));
    (soon(writing).await.expect("no panic"), end, said)
}

async fn next(reads: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Said> {
    let mut head = [0; 9];
    soon(reads.read_exact(&mut head)).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    soon(reads.read_exact(&mut content)).await.ok()?;
    Some(Said { kind, flags, stream: u32::from_be_bytes(stream), content })
}

/// Streams one after the other.
fn streams() -> impl Iterator<Item = u32> {
    (3..).step_by(2)
}

#[tokio::test]
async fn floods_end_and_no_one_is_longer_than_its_cost_allows() {
    type Flood = Box<dyn Iterator<Item = Vec<u8>> + Send>;
    let again = |bytes: Vec<u8>| -> Flood { Box::new(std::iter::repeat(bytes)) };
    let reset_at_once = || -> Flood { Box::new(streams().map(|id| [get(id), reset(id)].concat())) };
    // MadeYouReset, CVE-2025-8671: the server is made to reset what it has begun.
    let made =
        |wrong: fn(u32) -> Vec<u8>| -> Flood { Box::new(streams().map(move |id| [post(id), wrong(id)].concat())) };
    let refused = || -> Flood { Box::new(streams().map(|id| frame(HEADERS, 5, id, b"\x82"))) };
    let empty_settings = (0..2_000).flat_map(|_| [0, 4, 0, 0, 0, 1]).collect::<Vec<u8>>();
    let floods: Vec<(&str, Flood, usize)> = vec![
        ("pings", again(frame(PING, 0, 0, &[0; 8])), 5_000),
        ("settings", again(frame(SETTINGS, 0, 0, &[])), 5_000),
        ("settings that say much", again(frame(SETTINGS, 0, 0, &empty_settings)), 40),
        ("empty data", again(data(1, b"", false)), 5_000),
        ("padding", again(frame(DATA, 8, 1, b"\x02\0\0")), 5_000),
        ("windows", again(window_update(1, 1)), 5_000),
        ("priorities", again(frame(PRIORITY, 0, 1, &[0; 5])), 5_000),
        ("something unknown", again(frame(0xcc, 0, 0, &[])), 5_000),
        ("resets at once", reset_at_once(), 600),
        ("a window by nothing", made(|id| window_update(id, 0)), 600),
        ("a window too large", made(|id| window_update(id, 0x7fff_ffff)), 600),
        ("headers amid the body", made(|id| frame(HEADERS, 4, id, &[])), 600),
        ("data after the end", made(|id| [data(id, b"", true), data(id, b"", true)].concat()), 600),
        (
            "more than there was to be",
            Box::new(streams().map(|id| frame(HEADERS, 5, id, b"\x82\x86\x84\x0f\x0d\x017"))),
            600,
        ),
        ("requests that are none", refused(), 600),
    ];
    for (what, frames, most) in floods {
        let (sent, _, said) = flood(&[post(1)], frames).await;
        assert!(sent <= most, "{what}: it took {sent}");
        assert!(said.len() <= 2 * most, "{what}: it said {} frames", said.len());
    }
}

#[tokio::test]
async fn continuations_without_end_are_a_flood() {
    for part in [vec![], b"\x00\x01a\x01b".repeat(100)] {
        let (sent, ..) =
            flood(&[post(1), frame(HEADERS, 0, 3, GET)], std::iter::repeat(frame(CONTINUATION, 0, 3, &part))).await;
        assert!(sent <= 5_000, "it took {sent}");
    }
}

#[tokio::test]
async fn streams_beyond_the_most_are_refused_and_may_come_again() {
    let (pipe, _served) = serve(Limits { streams_max: 2, ..Limits::default() }, 1 << 20, collected);
    let mut client = Client::of(pipe).await;
    client.send(&[post(1), post(3), get(5), post(7), data(7, b"passed over", true)].concat()).await;
    let said = client.until_heard().await;
    let ends: Vec<_> = said.iter().map(|said| (said.kind, said.stream, said.code())).collect();
    assert_eq!(ends, [(RST_STREAM, 5, Code::REFUSED_STREAM), (RST_STREAM, 7, Code::REFUSED_STREAM)]);
    assert_eq!(client.ask(&data(1, b"one", true), 1).await.1, b"one");
    assert_eq!(client.ask(&get(9), 9).await.0, "200");
    assert_eq!(client.ask(&data(3, b"three", true), 3).await.1, b"three");
}

#[tokio::test]
async fn a_client_that_reads_nothing_cannot_make_us_hold_much() {
    let limits = Limits::default();
    let (ours, mut pipe) = tokio::io::duplex(1_000);
    let service = |_| async { answer(StatusCode::OK, vec![7; 1 << 20]) };
    let mut connection = Connection::new(ours, limits, service);
    let writing = tokio::spawn(async move {
        let grow = [setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff), window_update(0, 0x7fff_0000)].concat();
        let requests = (1..200).step_by(2).flat_map(get);
        let pings = (0..3_000).flat_map(|_| frame(PING, 0, 0, &[0; 8]));
        let all: Vec<u8> = PREFACE.iter().copied().chain(grow).chain(requests).chain(pings).collect();
        tokio::time::timeout(Duration::from_millis(100), pipe.write_all(&all)).await.expect_err("it is not read whole");
        pipe
    });
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut connection).await.is_err());
    let held = connection.waiting();
    assert!(held < 200 << 10, "{held} bytes are held to be written");
    drop(writing.await.expect("no panic"));
}
