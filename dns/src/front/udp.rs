//! The UDP front: one socket for each worker, one task for each socket, no task and no queue for each query.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::Responder;
use crate::answer::Transport;
use crate::metrics::DropReason;

/// Longer queries are cut, and then malformed. None that a resolver makes comes near.
const QUERY_BYTES_MAX: usize = 4096;
/// Queries answered before other tasks have their turn.
const BATCH: usize = 64;
/// Batches answered after `shutdown`: more than a receive buffer holds.
const LAST_BATCHES: usize = 64;

/// Answers until `shutdown`, then what has arrived by then.
pub async fn serve(socket: UdpSocket, responder: Responder, shutdown: CancellationToken) {
    let mut worker = Worker { socket, responder, query: vec![0; QUERY_BYTES_MAX], answer: Vec::new() };
    while let Some(ready) = shutdown.run_until_cancelled(worker.socket.readable()).await {
        match ready {
            Ok(()) => worker.batch(),
            Err(error) => {
                tracing::warn!(%error, "UDP socket failed; trying again");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..LAST_BATCHES {
        worker.batch();
    }
}

struct Worker {
    socket: UdpSocket,
    responder: Responder,
    query: Vec<u8>,
    answer: Vec<u8>,
}

// === impl Worker ===

impl Worker {
    /// Answers what is there, up to a batch.
    fn batch(&mut self) {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut self.query) {
                Ok((len, from)) => self.reply(len, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error for an answer sent before; the next datagram is not concerned.
                Err(error) => tracing::trace!(%error, "datagram lost"),
            }
        }
    }

    fn reply(&mut self, len: usize, from: SocketAddr) {
        // Port 0 cannot be answered: such a source is forged.
        if from.port() == 0 {
            return self.responder.metrics.dropped(Transport::Udp, DropReason::Source);
        }
        if !self.responder.respond(&self.query[..len], Transport::Udp, &mut self.answer) {
            return;
        }
        // A full send buffer drops the answer, as the network might: the resolver asks again. Waiting would hold up all
        // others.
        if let Err(error) = self.socket.try_send_to(&self.answer, from) {
            tracing::trace!(%error, %from, "answer not sent");
            self.responder.metrics.dropped(Transport::Udp, DropReason::NotSent);
        }
    }
}
