//! Streams, each on a connection of its own, as clients have them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::wire::{self, frame};

/// What all streams saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Streams that the server has begun to answer: its headers have come.
    pub(crate) accepted: usize,
    /// Streams that have had a response.
    pub(crate) answered: usize,
    /// From each change to each stream that was told it, in microseconds.
    pub(crate) latencies: Vec<u64>,
    /// When the newest change that each stream was told was made, in nanoseconds of unix time.
    pub(crate) newest: Vec<u64>,
    /// What servers sent, in bytes, frames included.
    pub(crate) bytes: u64,
    /// Streams that ended, and why.
    pub(crate) ended: Vec<String>,
    /// Names and versions, of the streams that note them.
    pub(crate) versions: Vec<(String, String)>,
}

/// What one stream does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// Names that it asks for; everything if there are none.
    pub(crate) names: Vec<String>,
    /// Names and versions that it holds already, as [`wire::known`] has them.
    pub(crate) known: Rc<Vec<u8>>,
    /// It notes what it is told.
    pub(crate) notes: bool,
    /// It reads nothing after its first response.
    pub(crate) stalls: bool,
    /// From its second response on it answers when this changes, once for each: so that what is measured is when a change comes, and
    /// not how many answers to it the one thread of this client has written before it reads on.
    pub(crate) answers: Option<watch::Receiver<()>>,
}

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    /// If it speaks TLS.
    pub(crate) tls: Option<TlsConnector>,
}

pub(crate) type Shared = Rc<RefCell<Seen>>;

/// Until a client that was not taken comes again.
const AGAIN: Duration = Duration::from_millis(100);

/// Opens that many streams, of which `of` says what each does. They go on until the runtime ends.
pub(crate) fn open(server: &Way, count: usize, of: impl Fn(usize) -> Stream) -> Shared {
    let seen = Shared::default();
    seen.borrow_mut().newest = vec![0; count];
    for index in 0..count {
        let (stream, seen, server) = (of(index), Rc::clone(&seen), server.clone());
        tokio::task::spawn_local(async move {
            let mut answered = false;
            let why = loop {
                match run(&server, index, &stream, &seen, &mut answered).await {
                    // The queue of connections that wait to be accepted is short, and all come at once; and a server may refuse for
                    // want of memory who comes while answers to others are not read.
                    Ok(()) | Err(_) if !answered => pause(AGAIN).await,
                    Err(error) => break error.to_string(),
                    Ok(()) => break "the server ended it".to_owned(),
                }
            };
            seen.borrow_mut().ended.push(why);
        });
    }
    seen
}

/// Waits until that holds of what streams saw, as long as none of them has ended. Whoever waits is bounded.
pub(crate) async fn until(what: &str, seen: &Shared, holds: impl Fn(&Seen) -> bool) -> Result<()> {
    while !holds(&seen.borrow()) {
        if let Some(why) = seen.borrow().ended.first() {
            bail!("waiting for {what}: a stream has ended: {why}");
        }
        pause(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

async fn run(server: &Way, index: usize, stream: &Stream, seen: &Shared, answered: &mut bool) -> io::Result<()> {
    let connection = connect(server.address, index).await?;
    match &server.tls {
        None => speak(connection, index, stream, seen, answered).await,
        Some(tls) => {
            let name = ServerName::try_from("bench").map_err(io::Error::other)?;
            let connection = tls.connect(name, connection).await?;
            Box::pin(speak(connection, index, stream, seen, answered)).await // much larger, and seldom used
        }
    }
}

async fn speak(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    index: usize,
    stream: &Stream,
    seen: &Shared,
    answered: &mut bool,
) -> io::Result<()> {
    let mut out = wire::opening();
    wire::push_message(&wire::subscribe(&format!("node-{index}"), &stream.names, &stream.known), &mut out);
    connection.write_all(&out).await?;
    let (mut reader, mut accepted, mut answers) = (Reader::default(), false, stream.answers.clone());
    loop {
        let bytes = read(&mut connection).await?;
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        let received = clock_ns();
        out.clear();
        seen.borrow_mut().bytes += count as u64;
        let before = reader.messages;
        let open = reader.take(&bytes, &mut out, |message, out| note(message, (index, received), stream, seen, out));
        if reader.headers == 1 && !std::mem::replace(&mut accepted, true) {
            seen.borrow_mut().accepted += 1;
        }
        if !*answered && reader.messages > 0 {
            *answered = true;
            seen.borrow_mut().answered += 1;
        } else if let Some(answers) = answers.as_mut().filter(|_| reader.messages > before) {
            _ = answers.changed().await; // or nobody waits any more
        }
        if !out.is_empty() {
            connection.write_all(&out).await?;
        }
        if !open {
            return Ok(());
        }
        if stream.stalls && reader.messages > 0 {
            std::future::pending::<()>().await;
        }
    }
}

/// What has come. Read into a buffer that all streams share: a thousand of their own would be most of the memory that a change
/// touches.
async fn read(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    thread_local! {
        static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 8192].into());
    }
    poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut free = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *connection).poll_read(cx, &mut free))?;
            Poll::Ready(Ok(free.filled().to_vec()))
        })
    })
    .await
}

/// From an address of its own for every hundredth stream: servers bound what one address may have.
async fn connect(server: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(1 + index % 100).unwrap_or(1);
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)), 0))?;
    let connection = socket.connect(server).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

fn note(message: &[u8], (index, received): (usize, u64), stream: &Stream, seen: &Shared, out: &mut Vec<u8>) {
    let Seen { latencies, newest, versions, .. } = &mut *seen.borrow_mut();
    for made in wire::marks(message) {
        latencies.push(received.saturating_sub(made) / 1000);
        newest[index] = newest[index].max(made);
    }
    let mut nonce: &[u8] = &[];
    for (number, value) in wire::fields(message) {
        match number {
            2 if stream.notes => {
                let text = |wanted| {
                    let found = wire::fields(value).find(|(number, _)| *number == wanted);
                    String::from_utf8_lossy(found.map(|(_, text)| text).unwrap_or_default()).into_owned()
                };
                versions.push((text(3), text(1)));
            }
            5 => nonce = value,
            _ => {}
        }
    }
    wire::push_message(&wire::acknowledge(nonce), out);
}

/// What of a connection has come so far.
#[derive(Default)]
struct Reader {
    /// Bytes of a frame that is not complete.
    frame: Vec<u8>,
    /// Bytes of a message that is not complete.
    message: Vec<u8>,
    messages: usize,
    /// HEADERS: of the answer, and at its end.
    headers: usize,
    /// Bytes that have been read since the server was told last.
    unsaid: u32,
}

// === impl Reader ===

impl Reader {
    /// Takes what has come and gives each message to `on`. False once the stream has ended.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>, mut on: impl FnMut(&[u8], &mut Vec<u8>)) -> bool {
        self.frame.extend_from_slice(bytes);
        let frames = std::mem::take(&mut self.frame);
        let mut rest = frames.as_slice();
        let mut open = true;
        while let Some(head) = rest.get(..frame::HEAD) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let Some(payload) = rest.get(frame::HEAD..frame::HEAD + length) else { break };
            open &= self.frame_of(head[3], head[4], payload, out, &mut on);
            rest = &rest[frame::HEAD + length..];
        }
        self.frame = rest.to_vec();
        open
    }

    fn frame_of(
        &mut self,
        kind: u8,
        flags: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
        on: &mut impl FnMut(&[u8], &mut Vec<u8>),
    ) -> bool {
        match kind {
            frame::DATA => {
                self.message.extend_from_slice(payload);
                self.unsaid += u32::try_from(payload.len()).unwrap_or_default();
                if self.unsaid > wire::WINDOW / 2 {
                    for stream in [0, wire::STREAM] {
                        wire::push_frame(frame::WINDOW_UPDATE, 0, stream, &self.unsaid.to_be_bytes(), out);
                    }
                    self.unsaid = 0;
                }
                self.messages_in(out, on);
                flags & frame::END_STREAM == 0
            }
            frame::HEADERS => {
                self.headers += 1;
                flags & frame::END_STREAM == 0
            }
            frame::SETTINGS if flags & frame::ACK == 0 => {
                wire::push_frame(frame::SETTINGS, frame::ACK, 0, &[], out);
                true
            }
            frame::PING if flags & frame::ACK == 0 => {
                wire::push_frame(frame::PING, frame::ACK, 0, payload, out);
                true
            }
            frame::RST_STREAM | frame::GOAWAY => false,
            _ => true,
        }
    }

    fn messages_in(&mut self, out: &mut Vec<u8>, on: &mut impl FnMut(&[u8], &mut Vec<u8>)) {
        const HEAD: usize = 5;
        let mut done = 0;
        while let Some(head) = self.message.get(done..done + HEAD) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(message) = self.message.get(done + HEAD..done + HEAD + length) else { break };
            on(message, out);
            self.messages += 1;
            done += HEAD + length;
        }
        self.message.drain(..done);
        if self.message.is_empty() {
            self.message = Vec::new(); // or it would be most of the memory that a change touches
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time, of two processes")]
pub(crate) fn clock_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How long something took.
pub(crate) fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}
