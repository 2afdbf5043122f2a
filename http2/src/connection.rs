//! A connection, as a future: bytes in, services, bytes out.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, Request, Response};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{
    Code, Error, Incoming, Limits,
    bell::Bell,
    code::Fault,
    frame::{self, CONTENT_BYTES_MAX, Cut, HEAD_BYTES, PREFACE},
    protocol::{Heard, Protocol},
    work::{Turn, Work},
};

mod watch;

use self::watch::{Due, Watch};

/// Serves one client until it leaves, which is `Ok`, or breaks something. Dropping it ends what it serves.
#[must_use = "a connection does nothing unless it is awaited"]
pub struct Connection<I, S, F, B> {
    io: I,
    service: S,
    limits: Limits,
    protocol: Protocol,
    /// The beginning of a frame that came by half.
    begun: Vec<u8>,
    /// The client has said that it speaks HTTP/2.
    greeted: bool,
    works: Vec<Work<F, B>>,
    /// Streams that had no room to send more.
    full: Vec<u32>,
    bell: Arc<Bell>,
    watch: Watch,
    /// The network may hold back what was written.
    unflushed: bool,
    /// Why it ends, when its client is told.
    end: Option<Error>,
    /// The client has closed its side.
    left: bool,
}

/// Bytes that are read at once: room for what came by half, and more.
const READ_BYTES: usize = 2 * (HEAD_BYTES + CONTENT_BYTES_MAX);
/// Rounds until others have their turn.
const ROUNDS: usize = 16;
/// Parts that are written at once.
const PARTS: usize = 32;
/// What clients of HTTP/1 begin with, and what they are told.
const OF_HTTP_1: [&[u8]; 6] = [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS "];
const NOT_HTTP_1: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n\
                           This port speaks HTTP/2 only, as gRPC does.\n";

thread_local! {
    /// What was read and not understood yet. One for all connections of a thread.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

// === impl Connection ===

impl<I, S, F, B> Connection<I, S, F, B>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: FnMut(Request<Incoming>) -> F + Unpin,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
{
    /// Serves what comes from `io` by `service`, which is called when the head of a request is there.
    pub fn new(io: I, limits: Limits, service: S) -> Self {
        let (now, bell) = (Instant::now(), Arc::<Bell>::default());
        Self {
            io,
            service,
            limits,
            protocol: Protocol::new(limits, Arc::clone(&bell), now),
            begun: Vec::new(),
            greeted: false,
            works: Vec::new(),
            full: Vec::new(),
            bell,
            watch: Watch::new(&limits, now),
            unflushed: false,
            end: None,
            left: false,
        }
    }

    /// Takes no more streams, and ends when those that are open have.
    pub fn shut_down(&mut self) {
        self.protocol.leave();
    }

    /// Serves, and shuts down when `stop` is ready.
    ///
    /// # Errors
    /// As the connection itself.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        match select(&mut self, pin!(stop)).await {
            Either::Left((result, _)) => return result,
            Either::Right(((), _)) => {}
        }
        self.shut_down();
        self.await
    }

    /// Does all that can be done. Whether that was anything.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let read = self.read(cx)?;
        let worked = self.work();
        let written = self.write(cx)?;
        Ok(read || worked || written)
    }

    /// Reads once, unless what would be answered finds no room.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.end.is_some() || self.protocol.out.is_full() {
            return Ok(false);
        }
        let mut news = Vec::new();
        let heard = READ.with_borrow_mut(|bytes| {
            let have = self.begun.len();
            bytes[..have].copy_from_slice(&self.begun);
            let mut free = ReadBuf::new(&mut bytes[have..]);
            match Pin::new(&mut self.io).poll_read(cx, &mut free)? {
                Poll::Pending => return Ok(None),
                Poll::Ready(()) if free.filled().is_empty() => return Ok(Some(self.left_by_client()?)),
                Poll::Ready(()) => {}
            }
            let end = have + free.filled().len();
            Ok::<_, Error>(Some(self.understand(&bytes[..end], &mut news)))
        });
        let heard = heard?;
        news.into_iter().for_each(|heard| self.follow(heard));
        match heard {
            None => return Ok(false),
            Some(Err(Fault::Connection(code, words))) => self.give_up(code, words),
            Some(Ok(()) | Err(Fault::Stream(..))) => {}
        }
        Ok(true)
    }

    /// Takes the frames out of these bytes, and keeps what came by half.
    fn understand(&mut self, mut bytes: &[u8], news: &mut Vec<Heard>) -> Result<(), Fault> {
        let now = Instant::now();
        self.watch.heard(now);
        if !self.greeted {
            let so_far = bytes.len().min(PREFACE.len());
            if bytes[..so_far] != PREFACE[..so_far] {
                return Err(self.not_greeted(bytes));
            }
            if so_far == PREFACE.len() {
                self.greeted = true;
                bytes = &bytes[so_far..];
            }
        }
        while self.greeted {
            let Cut::Frame(head, content, after) = frame::cut(bytes)? else { break };
            bytes = after;
            match self.protocol.hear(head, content, now) {
                Ok(Heard::Nothing) => {}
                Ok(heard) => news.push(heard),
                Err(Fault::Stream(stream, code)) => {
                    self.protocol.refuse(stream, code, now)?;
                    news.push(Heard::Gone(stream));
                }
                Err(fault) => return Err(fault),
            }
        }
        self.begun = bytes.to_vec();
        Ok(())
    }

    /// It is no HTTP/2. Who speaks HTTP/1 is told so.
    fn not_greeted(&mut self, bytes: &[u8]) -> Fault {
        if OF_HTTP_1.iter().any(|method| bytes.starts_with(method)) {
            self.protocol.out = crate::output::Output::default();
            self.protocol.out.put(|out| out.extend_from_slice(NOT_HTTP_1));
        }
        Fault::protocol("it began with no preface")
    }

    fn follow(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Request(stream, inbox, request) => {
                let bare = *request.method() == Method::HEAD;
                let answer = (self.service)(*request);
                self.works.reserve_exact(1); // most connections have one
                self.works.push(Work::new(stream, inbox, bare, answer));
                self.bell.ring(stream);
            }
            Heard::Gone(stream) => {
                if let Some(at) = self.place(stream) {
                    self.works.remove(at);
                }
            }
        }
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.works.binary_search_by_key(&stream, |work| work.stream).ok()
    }

    /// Goes on with the streams that can. Whether there were any.
    fn work(&mut self) -> bool {
        let mut due = self.bell.rung();
        if !self.protocol.out.is_full() {
            let protocol = &self.protocol;
            due.extend(self.full.extract_if(.., |stream| protocol.room(*stream) > 0));
        }
        for stream in &due {
            let Some(at) = self.place(*stream) else { continue };
            match self.works[at].turn(&mut self.protocol) {
                Turn::Waits => {}
                Turn::Full if self.full.contains(stream) => {}
                Turn::Full => self.full.push(*stream),
                Turn::Done => {
                    self.works.remove(at);
                }
            }
        }
        if self.works.is_empty() {
            (self.works, self.full) = (Vec::new(), Vec::new());
        }
        !due.is_empty()
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        while !self.protocol.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let filled = self.protocol.out.slices(&mut slices);
            match Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..filled])? {
                Poll::Pending => {
                    self.watch.stuck();
                    break;
                }
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.protocol.out.written(written);
                    (wrote, self.unflushed) = (true, true);
                    self.watch.moves();
                }
            }
        }
        if self.unflushed && Pin::new(&mut self.io).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(wrote)
    }

    fn give_up(&mut self, code: Code, words: &'static str) {
        (self.works, self.full) = (Vec::new(), Vec::new());
        if self.greeted || code != Code::PROTOCOL_ERROR {
            self.protocol.give_up(code, words);
        }
        self.end = Some(match code {
            Code::ENHANCE_YOUR_CALM => Error::Flooded,
            code => Error::Broken { code, words },
        });
    }

    /// The client has closed its side. Within a frame, that is no end in order.
    fn left_by_client(&mut self) -> io::Result<Result<(), Fault>> {
        self.left = true;
        if self.begun.is_empty() { Ok(Ok(())) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// What is due by time. Pending when nothing is.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.watch.poll_due(cx, &self.limits, self.greeted)) {
            Due::Ping => self.protocol.ping(),
            Due::Leave => self.protocol.leave(),
            Due::Over(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Works until there is nothing to do but wait.
    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.bell.listen(cx.waker());
        for _ in 0..ROUNDS {
            let moved = self.round(cx)?;
            if let Some(end) = self.end.take_if(|_| self.protocol.out.is_empty() || !moved) {
                return Poll::Ready(Err(end)); // whoever does not read why need not be told
            }
            if self.left || self.protocol.is_over() {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                ready!(self.poll_due(cx))?;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I, S, F, B> Future for Connection<I, S, F, B>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: FnMut(Request<Incoming>) -> F + Unpin,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let result = ready!(this.poll_served(cx));
        // Its end is told as far as the network takes it at once.
        let _ = Pin::new(&mut this.io).poll_shutdown(cx);
        this.works = Vec::new();
        Poll::Ready(result)
    }
}

impl<I, S, F, B> std::fmt::Debug for Connection<I, S, F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("works", &self.works).field("end", &self.end).finish_non_exhaustive()
    }
}
