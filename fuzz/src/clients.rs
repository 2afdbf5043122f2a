//! What clients of HTTP/2 may say, as bytes; and what must hold whatever they say, however the network cuts it: nothing panics, a
//! connection waits or ends and does not spin, it says whole frames and not much more than it hears, and bodies that are read
//! elsewhere come to an end with it.
//!
//! The first byte says how the rest is cut, and whether the preface stands before it. The rest is frames: `~` stands for the length
//! of one, which goes up to the next `~`. The fuzz target plays it, and the tests of `rollcall-http2` the corpus.

use std::{
    future::Future as _,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use rollcall_http2::{Connection, Incoming, Limits, Reset};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is said before anything else.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Begins a frame whose length is filled in.
const MARK: u8 = b'~';
/// More is not looked at.
const BYTES_MAX: usize = 1 << 16;
/// What a connection may say by itself, and for each byte that it hears: twelve bytes are a request, which is answered by a hundred
/// and the heads of three frames.
const SAID_BYTES: usize = 4_096;
const SAID_PER_BYTE: usize = 40;

#[derive(Default)]
struct Network {
    to: Vec<u8>,
    from: Vec<u8>,
    closed: bool,
    task: Option<Waker>,
}

struct Io(Arc<Mutex<Network>>);

/// An answer: what is told again, or some words.
enum Answer {
    Echo(Incoming),
    Words(Option<Bytes>),
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        match self.get_mut() {
            Self::Echo(body) => Pin::new(body).poll_frame(cx),
            Self::Words(words) => Poll::Ready(words.take().map(|words| Ok(Frame::data(words)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Echo(body) => body.is_end_stream(),
            Self::Words(words) => words.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut network = self.0.lock().expect("no panic");
        if network.to.is_empty() && !network.closed {
            network.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = network.to.len().min(buf.remaining());
        buf.put_slice(&network.to.drain(..bytes).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().expect("no panic").from.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn play(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let rest = &rest[..rest.len().min(BYTES_MAX)];
    let said = if first & 1 == 0 { [BEGIN, &frames(rest)].concat() } else { rest.to_vec() };
    let cut = usize::from(first >> 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { serve(&said, if cut == 0 { said.len() } else { cut }) });
}

/// Fills in lengths.
fn frames(data: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut parts = data.split(|byte| *byte == MARK);
    frames.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        let len = u32::try_from(part.len().saturating_sub(6)).unwrap_or(0);
        frames.extend_from_slice(&len.to_be_bytes()[1..]);
        frames.extend_from_slice(part);
    }
    frames
}

fn serve(said: &[u8], cut: usize) {
    let network = Arc::new(Mutex::new(Network::default()));
    let elsewhere = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&elsewhere);
    let service = move |request: Request<Incoming>| {
        let post = *request.method() == http::Method::POST;
        let answer = match request.uri().path().len() {
            _ if post => Answer::Echo(request.into_body()),
            2 => {
                kept.lock().expect("no panic").push(request.into_body());
                Answer::Words(Some(Bytes::from_static(b"elsewhere")))
            }
            _ => Answer::Words(Some(Bytes::from_static(&[b'w'; 100]))),
        };
        std::future::ready(Response::new(answer))
    };
    let limits = Limits { streams_max: 10, header_bytes_max: 4_096, ..Limits::default() };
    let mut connection = Connection::new(Io(Arc::clone(&network)), limits, service);
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let mut over = false;
    for piece in said.chunks(cut.max(1)).map(Some).chain([None]) {
        {
            let mut network = network.lock().expect("no panic");
            network.closed = piece.is_none();
            network.to.extend_from_slice(piece.unwrap_or_default());
            network.task.take().into_iter().for_each(Waker::wake);
        }
        over = over || runs(&mut connection, &flag);
    }
    assert!(over, "its client has left");
    drop(connection);
    for body in std::mem::take(&mut *elsewhere.lock().expect("no panic")) {
        ends(body);
    }
    is_in_order(said, &network.lock().expect("no panic").from);
}

/// Goes on until it waits. Whether it has ended.
fn runs(connection: &mut (impl Future + Unpin), flag: &Arc<Flag>) -> bool {
    let waker = Waker::from(Arc::clone(flag));
    for _ in 0..10_000 {
        if !flag.0.swap(false, SeqCst) {
            return false;
        }
        if pin!(&mut *connection).poll(&mut Context::from_waker(&waker)).is_ready() {
            return true;
        }
    }
    panic!("it never waits");
}

fn ends(mut body: Incoming) {
    while let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        if frame.is_none_or(|frame| frame.is_err()) {
            return;
        }
    }
    panic!("a body waits for a connection that is no more");
}

fn is_in_order(heard: &[u8], mut said: &[u8]) {
    assert!(said.len() <= SAID_BYTES + SAID_PER_BYTE * heard.len(), "{} bytes are said to {}", said.len(), heard.len());
    if said.starts_with(b"HTTP/1.1 505 ") {
        return;
    }
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(len <= 16_384 && rest.len() >= len, "a frame of {len} bytes, of which {} are there", rest.len());
        said = &rest[len..];
    }
    assert!(said.is_empty(), "it ends with half a frame");
}
