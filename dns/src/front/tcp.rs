//! The TCP front (RFC 7766): persistent connections, pipelined queries, limits on all of it.
//!
//! Answers leave in the order of their queries, but for those that wait for another server: the others do not wait for
//! them (RFC 7766 §6.2.1.1).

use std::future::{Future, ready};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadHalf, WriteHalf, split};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inbound::Inbound;
use super::seats::{Admission, Seat, Seats};
use super::tls::Tls;
use super::{Reply, Responder, http};
use crate::answer::Transport;
use crate::answer::edns::STREAM_IDLE_TENTHS;
use crate::answer::edns::padding::pad;
use crate::metrics::DropReason;

/// Connections per listener, unless told otherwise. For a further one that which idles longest is closed, and counted;
/// when none idles, the further one itself. Each holds about 12 KiB.
pub const CONNECTIONS_MAX: usize = 512;
/// For a whole query to come, the first and each later one, and for answers to be taken.
pub const IDLE_TIMEOUT: Duration = Duration::from_millis(100 * STREAM_IDLE_TENTHS as u64);
/// Queries of one connection that may wait for other servers. With as many, no further one is read.
pub const WAITING_MAX: usize = 64;

/// Answers until `shutdown`, with TLS below if there is any; connections end at the next query's boundary.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    responder: Responder,
    connections_max: usize,
    shutdown: CancellationToken,
) {
    let mut seats = Seats::new(connections_max);
    let connections = TaskTracker::new();
    let mut failing = false;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most often: wait for some to come back. Said once for all of them.
                if !failing {
                    tracing::warn!(%error, "cannot accept TCP connections; raise the limit of open files");
                }
                failing = true;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        failing = false;
        let client = from.ip();
        let Some(seat) = admit(&mut seats, client, &responder) else { continue };
        // Answers are whole writes already; a socket that cannot be told so is slower, not wrong.
        drop(stream.set_nodelay(true));
        let (responder, shutdown, tls) = (responder.clone(), shutdown.clone(), tls.clone());
        let responder = if tls.is_some() { responder.over_tls() } else { responder };
        connections.spawn(async move {
            responder.metrics.tcp_connections.inc();
            let metrics = Arc::clone(&responder.metrics);
            let ended = match tls {
                None => connection(stream, client, responder, &seat, shutdown).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) if tls.is_for_http() => {
                        http::connection(stream, client, responder, Arc::clone(&seat), shutdown).await
                    }
                    Ok(stream) => connection(stream, client, responder, &seat, shutdown).await,
                    Err(error) => {
                        metrics.dropped(Transport::Tcp, DropReason::Handshake);
                        Err(error)
                    }
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "TCP connection ended");
            }
            metrics.tcp_connections.dec();
            drop(seat);
        });
    }
    connections.close();
    connections.wait().await;
}

/// A seat for a new connection, if there is one; counts the connection that is closed, be it another or this one.
fn admit(seats: &mut Seats, client: IpAddr, responder: &Responder) -> Option<Arc<Seat>> {
    let (seat, one_goes) = match seats.admit(client, Instant::now()) {
        Admission::Free(seat) => (Some(seat), false),
        Admission::InPlaceOfAnother(seat) => (Some(seat), true),
        Admission::Full => (None, true),
    };
    if one_goes {
        responder.metrics.dropped(Transport::Tcp, DropReason::TooManyConnections);
    }
    seat
}

/// Serves one stream of queries, each with its length before it, until it ends, idles too long, sends what is not a
/// query, or loses its seat. A query that was received is answered in any case.
pub async fn connection(
    stream: impl AsyncRead + AsyncWrite,
    client: IpAddr,
    responder: Responder,
    seat: &Seat,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (read, write) = split(stream);
    let (tell, told) = mpsc::channel(WAITING_MAX);
    let mut connection = Connection {
        inbound: Inbound::new(read),
        out: BufWriter::with_capacity(4096, write),
        responder,
        client,
        answer: Vec::new(),
        waiting: 0,
        tell,
        reading: Reading::On,
    };
    connection.run(told, seat, shutdown).await
}

struct Connection<S> {
    inbound: Inbound<ReadHalf<S>>,
    out: BufWriter<WriteHalf<S>>,
    responder: Responder,
    client: IpAddr,
    answer: Vec<u8>,
    /// Queries that wait for other servers.
    waiting: usize,
    /// Where their answers go.
    tell: mpsc::Sender<Vec<u8>>,
    reading: Reading,
}

/// Whether further queries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    On,
    /// Up to the end of the one that has begun to come.
    LastOne,
    /// None.
    Over,
}

/// What happens next.
enum Event {
    Answered(Vec<u8>),
    Came(usize),
    SeatLost,
    Shutdown,
    Idle,
}

// === impl Connection ===

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    async fn run(
        &mut self,
        mut told: mpsc::Receiver<Vec<u8>>,
        seat: &Seat,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let mut deadline = Instant::now() + IDLE_TIMEOUT;
        loop {
            if self.take_queries(seat).await? {
                deadline = Instant::now() + IDLE_TIMEOUT;
            }
            let more = match self.reading {
                Reading::On => true,
                Reading::LastOne => self.inbound.has_begun(),
                Reading::Over => false,
            };
            if !more && self.waiting == 0 {
                break;
            }
            match self.next(&mut told, more, seat, &shutdown, deadline).await? {
                Event::Answered(answer) => {
                    seat.begin();
                    self.waiting -= 1;
                    self.answer = answer;
                    self.send().await?;
                    deadline = Instant::now() + IDLE_TIMEOUT;
                }
                Event::Came(0) | Event::Idle => self.reading = Reading::Over,
                Event::Came(_) => {}
                Event::SeatLost | Event::Shutdown => {
                    self.reading = if shutdown.is_cancelled() { Reading::LastOne } else { Reading::Over };
                    // What has arrived by now is answered.
                    while self.fill_at_once().await? > 0 {}
                }
            }
        }
        timeout(IDLE_TIMEOUT, self.out.shutdown()).await.unwrap_or(Ok(()))
    }

    async fn next(
        &mut self,
        told: &mut mpsc::Receiver<Vec<u8>>,
        more: bool,
        seat: &Seat,
        shutdown: &CancellationToken,
        deadline: Instant,
    ) -> io::Result<Event> {
        let on = self.reading == Reading::On;
        tokio::select! {
            biased;
            // The sender is kept: this never is the end.
            Some(answer) = told.recv(), if self.waiting > 0 => Ok(Event::Answered(answer)),
            came = self.inbound.fill(), if more && self.waiting < WAITING_MAX => came.map(Event::Came),
            () = seat.closed(), if on => Ok(Event::SeatLost),
            () = shutdown.cancelled(), if on => Ok(Event::Shutdown),
            // Who waits for another server is waited for: that ends by itself.
            () = sleep_until(deadline), if self.waiting == 0 => Ok(Event::Idle),
        }
    }

    /// What has arrived already; 0 when there is nothing, or nothing more to come.
    async fn fill_at_once(&mut self) -> io::Result<usize> {
        tokio::select! {
            biased;
            came = self.inbound.fill() => came,
            () = ready(()) => Ok(0),
        }
    }

    /// Answers the whole queries that have come. Whether there were any.
    async fn take_queries(&mut self, seat: &Seat) -> io::Result<bool> {
        let mut some = false;
        while self.waiting < WAITING_MAX {
            let Some(query) = self.inbound.next() else { break };
            seat.begin();
            some = true;
            let pads = self.responder.pads(query);
            match self.responder.respond(query, Transport::Tcp, self.client, &mut self.answer) {
                Reply::Answer => self.write_padded(pads).await?,
                Reply::Forward(forwarder, foreign) => match forwarder.begin(foreign, Transport::Tcp, self.client) {
                    Ok(forwarding) => {
                        self.waiting += 1;
                        let tell = self.tell.clone();
                        // Whoever hung up meanwhile is told nothing.
                        forwarder.spawn(async move {
                            let mut answer = forwarding.finish().await;
                            if pads {
                                pad(&mut answer);
                            }
                            drop(tell.send(answer).await);
                        });
                    }
                    Err(answer) => {
                        self.answer = answer;
                        self.write_padded(pads).await?;
                    }
                },
                Reply::Transfer(mut transfer) => {
                    while self.responder.write_next(&mut transfer, &mut self.answer) {
                        self.write().await?;
                    }
                }
                Reply::None => {
                    self.reading = Reading::Over;
                    break;
                }
            }
        }
        self.inbound.compact();
        self.flush().await?;
        if self.waiting > 0 {
            seat.wait();
        } else if some || !self.inbound.has_begun() {
            seat.end(Instant::now());
        }
        Ok(some)
    }

    async fn send(&mut self) -> io::Result<()> {
        self.write().await?;
        self.flush().await
    }

    async fn write_padded(&mut self, pads: bool) -> io::Result<()> {
        if pads {
            pad(&mut self.answer);
        }
        self.write().await
    }

    /// Writes one message. Answers to pipelined queries leave together.
    async fn write(&mut self) -> io::Result<()> {
        // Answers have at most 65,535 bytes.
        let len = (self.answer.len() as u16).to_be_bytes();
        let (out, answer) = (&mut self.out, &self.answer);
        let writing = async {
            out.write_all(&len).await?;
            out.write_all(answer).await
        };
        in_time(&self.responder, writing).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        in_time(&self.responder, self.out.flush()).await
    }
}

/// The connection ends when its client does not take answers.
async fn in_time(responder: &Responder, writing: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(IDLE_TIMEOUT, writing).await.unwrap_or_else(|_| {
        responder.metrics.dropped(Transport::Tcp, DropReason::NotSent);
        Err(io::Error::new(io::ErrorKind::TimedOut, "answers are not taken"))
    })
}

#[cfg(test)]
mod tests;
