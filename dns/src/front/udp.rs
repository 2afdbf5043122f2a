//! The UDP front: one socket for each worker, one task for each socket. Answers from the catalog need no task and no
//! queue; a question for another server has a task of its own while it waits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::{Reply, Responder};
use crate::answer::{Foreign, Transport};
use crate::forward::Forwarder;
use crate::metrics::{DropReason, Metrics};

/// Longer queries are cut, and then malformed. None that a resolver makes comes near.
const QUERY_BYTES_MAX: usize = 4096;
/// Queries answered before other tasks have their turn.
const BATCH: usize = 64;
/// Batches answered after `shutdown`: more than a receive buffer holds.
const LAST_BATCHES: usize = 64;

/// Answers until `shutdown`, then what has arrived by then.
pub async fn serve(socket: UdpSocket, responder: Responder, shutdown: CancellationToken) {
    let mut worker =
        Worker { socket: Arc::new(socket), responder, query: vec![0; QUERY_BYTES_MAX], answer: Vec::new() };
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
    socket: Arc<UdpSocket>,
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
        match self.responder.respond(&self.query[..len], Transport::Udp, &mut self.answer) {
            Reply::Answer => send(&self.socket, &self.answer, from, &self.responder.metrics),
            Reply::Forward(forwarder, foreign) => self.forward(forwarder, foreign, from),
            Reply::None => {}
        }
    }

    fn forward(&self, forwarder: Forwarder, foreign: Box<Foreign>, from: SocketAddr) {
        let (socket, metrics) = (Arc::clone(&self.socket), Arc::clone(&self.responder.metrics));
        match forwarder.begin(foreign, Transport::Udp, from.ip()) {
            Ok(forwarding) => forwarder.spawn(async move { send(&socket, &forwarding.finish().await, from, &metrics) }),
            Err(answer) => send(&socket, &answer, from, &metrics),
        }
    }
}

/// A full send buffer drops the answer, as the network might: the resolver asks again. Waiting would hold up all others.
fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr, metrics: &Metrics) {
    if let Err(error) = socket.try_send_to(answer, to) {
        tracing::trace!(%error, %to, "answer not sent");
        metrics.dropped(Transport::Udp, DropReason::NotSent);
    }
}
