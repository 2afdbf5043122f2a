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
    output::Output,
    protocol::{Heard, Protocol},
    queue::Queue,
};

mod watch;

use self::watch::{Due, Watch};

/// Serves one client until it leaves, which is `Ok`, or breaks something. Dropping it ends what it serves.
#[must_use = "a connection does nothing unless it is awaited"]
pub struct Connection<I, S, F, B> {
    io: I,
    service: S,
    protocol: Protocol,
    /// The beginning of a frame that came by half.
    begun: Vec<u8>,
    /// The client has said that it speaks HTTP/2.
    greeted: bool,
    queue: Queue<F, B>,
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
            protocol: Protocol::new(limits, Arc::clone(&bell), now),
            begun: Vec::new(),
            greeted: false,
            queue: Queue::default(),
            bell,
            watch: Watch::new(&limits, now),
            unflushed: false,
            end: None,
            left: false,
        }
    }

    /// Takes no more streams, and ends when those that are open have.
    pub fn shut_down(&mut self) {
        self.leave();
    }

    /// Serves, and shuts down when `stop` is ready.
    ///
    /// # Errors
    /// As the connection itself.
    #[expect(clippy::manual_async_fn, reason = "an async function keeps room for an argument and for what it becomes")]
    pub fn until(mut self, stop: impl Future<Output = ()>) -> impl Future<Output = Result<(), Error>> {
        async move {
            match select(&mut self, pin!(stop)).await {
                Either::Left((result, _)) => return result,
                Either::Right(((), _)) => {}
            }
            self.shut_down();
            (&mut self).await
        }
    }

    /// Does all that can be done. Whether that was anything.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let read = self.read(cx)?;
        let worked = self.queue.run(&mut self.protocol, &self.bell);
        let written = self.write(cx)?;
        Ok(read || worked || written)
    }

    /// Reads once, unless what would be answered finds no room, or nobody would hear the answer.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.end.is_some() || self.protocol.out.is_full() || self.protocol.is_over() {
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
        self.watch.heard(now, self.protocol.limits());
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

    /// It is no HTTP/2. Who speaks HTTP/1 is told so; a client of TLS finds out by our settings that this is none.
    fn not_greeted(&mut self, bytes: &[u8]) -> Fault {
        if OF_HTTP_1.iter().any(|method| bytes.starts_with(method)) {
            self.protocol.out = Output::default();
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
                self.queue.add(stream, inbox, bare, answer);
            }
            Heard::Gone(stream) => self.queue.remove(stream),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.greeted && self.end.is_none() {
            return Ok(false); // who speaks HTTP/1 could not read it
        }
        let mut wrote = false;
        while !self.protocol.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let filled = self.protocol.out.slices(&mut slices);
            let io = Pin::new(&mut self.io);
            let written = match &slices[..filled] {
                [part] => io.poll_write(cx, part)?, // most answers are one, and the kernel has less to look at
                parts => io.poll_write_vectored(cx, parts)?,
            };
            match written {
                Poll::Pending => {
                    self.watch.stuck(self.protocol.limits());
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
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx)? {
                Poll::Pending => self.watch.stuck(self.protocol.limits()),
                Poll::Ready(()) => self.unflushed = false,
            }
        }
        if !self.unflushed && self.protocol.out.is_empty() {
            self.watch.moves();
        }
        Ok(wrote)
    }

    fn give_up(&mut self, code: Code, words: &'static str) {
        self.queue = Queue::default();
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
        match ready!(self.watch.poll_due(cx, self.protocol.limits(), self.greeted)) {
            Due::Ping => self.protocol.ping(),
            Due::Leave => self.leave(),
            Due::Over(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Goes a step towards the end. The next one follows when the client has heard so, or does not say so in time.
    fn leave(&mut self) {
        if self.protocol.leave() {
            self.watch.leave(self.protocol.limits());
        }
    }

    /// Whether all is served that will be, and the client has it.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left || (self.protocol.is_leaving() && !self.greeted) {
            return Poll::Ready(());
        }
        if !self.protocol.is_over() || self.unflushed {
            return Poll::Pending;
        }
        let over = Pin::new(&mut self.io).poll_shutdown(cx).map(drop);
        if over.is_pending() {
            self.watch.stuck(self.protocol.limits());
        }
        over
    }

    /// Works until there is nothing to do but wait.
    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.bell.listen(cx.waker());
        for _ in 0..ROUNDS {
            let moved = self.round(cx)?;
            if let Some(end) = self.end.take_if(|_| self.protocol.out.is_empty() || !moved) {
                return Poll::Ready(Err(end)); // whoever does not read why need not be told
            }
            if self.poll_over(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                ready!(self.poll_due(cx))?;
            }
        }
        if let Poll::Ready(Err(error)) = self.poll_due(cx) {
            return Poll::Ready(Err(error)); // also a client that never lets us wait
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
        this.queue = Queue::default();
        Poll::Ready(result)
    }
}

impl<I, S, F, B> std::fmt::Debug for Connection<I, S, F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("queue", &self.queue).field("end", &self.end).finish_non_exhaustive()
    }
}

/// What it holds, for tests.
#[cfg(test)]
impl<I, S, F, B> Connection<I, S, F, B> {
    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.protocol.out.bytes()
    }

    /// Room in buffers in bytes, and for streams; and what was read that the client was not told yet.
    pub(crate) fn held(&self) -> ((usize, usize), u32) {
        let (streams, block, unsaid) = self.protocol.held();
        ((self.begun.capacity() + self.protocol.out.capacity() + block, streams + self.queue.capacity()), unsaid)
    }
}
