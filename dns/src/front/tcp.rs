//! The TCP front (RFC 7766): persistent connections, pipelined queries answered in order, limits on all of it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::seats::{Admission, Seat, Seats};
use super::{Reply, Responder};
use crate::answer::Transport;
use crate::metrics::DropReason;

/// Connections per listener. For a further one that which idles longest is closed, and counted; when none idles, the
/// further one itself.
pub const CONNECTIONS_MAX: usize = 150;
/// For a whole query to come, the first and each later one, and for answers to be taken.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers until `shutdown`; connections end at the next query's boundary.
pub async fn serve(listener: TcpListener, responder: Responder, shutdown: CancellationToken) {
    let mut seats = Seats::new(CONNECTIONS_MAX);
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most often: wait for some to come back.
                tracing::warn!(%error, "cannot accept a TCP connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(seat) = admit(&mut seats, &responder) else { continue };
        // Answers are whole writes already; a socket that cannot be told so is slower, not wrong.
        drop(stream.set_nodelay(true));
        let (responder, shutdown) = (responder.clone(), shutdown.clone());
        connections.spawn(async move {
            responder.metrics.tcp_connections.inc();
            let metrics = Arc::clone(&responder.metrics);
            if let Err(error) = connection(stream, responder, &seat, shutdown).await {
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
fn admit(seats: &mut Seats, responder: &Responder) -> Option<Arc<Seat>> {
    let (seat, one_goes) = match seats.admit(Instant::now()) {
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
/// query, or loses its seat. A query that was received before `shutdown` is answered.
pub async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut responder: Responder,
    seat: &Seat,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut stream = BufReader::new(BufWriter::new(stream));
    let (mut query, mut answer) = (Vec::new(), Vec::new());
    loop {
        let idle = stream.buffer().is_empty();
        let arriving = timeout(IDLE_TIMEOUT, unless_closed(seat, next(&mut stream, &mut query)));
        let arrived = if idle { shutdown.run_until_cancelled(arriving).await } else { Some(arriving.await) };
        match arrived {
            Some(Ok(Ok(true))) if seat.begin() => {}
            Some(Ok(Ok(true))) => break,
            Some(Ok(Err(error))) => return Err(error),
            Some(Ok(Ok(false)) | Err(_)) | None => break,
        }
        match responder.respond(&query, Transport::Tcp, &mut answer) {
            Reply::Answer => {}
            Reply::Forward(forwarder, foreign) => {
                // Another server may take seconds: the answers before this one do not wait for it.
                timeout(IDLE_TIMEOUT, stream.flush()).await??;
                answer = match forwarder.begin(foreign, Transport::Tcp) {
                    Ok(forwarding) => forwarding.finish().await,
                    Err(answer) => answer,
                };
            }
            Reply::None => break,
        }
        let flush = !holds_message(stream.buffer());
        match timeout(IDLE_TIMEOUT, send(&mut stream, &answer, flush)).await {
            Ok(sent) => sent?,
            Err(_) => {
                responder.metrics.dropped(Transport::Tcp, DropReason::NotSent);
                return Ok(());
            }
        }
        if flush {
            seat.end(Instant::now());
        }
    }
    timeout(IDLE_TIMEOUT, stream.shutdown()).await.unwrap_or(Ok(()))
}

/// Waits for a message for as long as the connection has its seat; false when it has lost it.
async fn unless_closed(seat: &Seat, arriving: impl Future<Output = io::Result<bool>>) -> io::Result<bool> {
    tokio::select! {
        biased;
        arrived = arriving => arrived,
        () = seat.closed() => Ok(false),
    }
}

/// Reads one message; false at the end of the stream.
async fn next(read: &mut (impl AsyncRead + Unpin), query: &mut Vec<u8>) -> io::Result<bool> {
    let len = match read.read_u16().await {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    query.resize(usize::from(len), 0);
    read.read_exact(query).await?;
    Ok(true)
}

/// Whether a whole message has been received and waits.
fn holds_message(buffer: &[u8]) -> bool {
    buffer.split_first_chunk().is_some_and(|(len, rest)| rest.len() >= usize::from(u16::from_be_bytes(*len)))
}

/// Writes one message. Answers to pipelined queries leave together: `flush` is for the last one.
async fn send(write: &mut (impl AsyncWrite + Unpin), answer: &[u8], flush: bool) -> io::Result<()> {
    // Answers have at most 65,535 bytes.
    write.write_u16(answer.len() as u16).await?;
    write.write_all(answer).await?;
    if flush { write.flush().await } else { Ok(()) }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
