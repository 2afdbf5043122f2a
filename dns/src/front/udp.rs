//! The UDP front: one socket and one thread for each worker. Answers from the catalog need no task and no queue, and a system call has
//! many of them; a question for another server has a task while it waits.
//!
//! Where queries come fast, a worker rests for a moment between two batches, as network cards do between interrupts: what a batch costs
//! whatever is in it is then shared by more queries. The runtime's timers are too coarse for that, and its threads have others to serve.

use std::net::UdpSocket;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::batch::{BATCH, Batch, Family, Peer, send_one};
use super::{Reply, Responder};
use crate::answer::{Foreign, Transport};
use crate::forward::Forwarder;
use crate::metrics::DropReason;

/// Batches answered after `shutdown`: more than a receive buffer holds.
const LAST_BATCHES: usize = 64;
/// A rest follows batches of so many. With fewer, nobody waits: a client that asks now and then, for two families at a time, is answered
/// at once.
const RESTS_FROM: usize = 3;
/// So long, which is what a query waits at most where thousands come each second.
const REST: Duration = Duration::from_micros(50);
/// By so much the system may prolong it.
const SLACK: Duration = Duration::from_micros(1);
/// Batches after which it is looked whether to go on.
const TURNS: usize = 64;

/// Answers until `shutdown`, then what has arrived by then. Ends, soon after, also when it is dropped.
pub async fn serve(socket: UdpSocket, responder: Responder, shutdown: CancellationToken) {
    if let Err(error) = begin(socket, responder, shutdown).await {
        tracing::error!(%error, "a UDP worker cannot begin: fewer answer");
    }
}

async fn begin(socket: UdpSocket, responder: Responder, shutdown: CancellationToken) -> std::io::Result<()> {
    let family = Family::of(socket.local_addr()?);
    let mut worker = Worker { socket: Arc::new(socket), family, responder };
    let (ours, its) = UnixStream::pair()?;
    let (end, ended) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let work = move || {
        let (_end, _entered) = (end, runtime.enter());
        worker.run(&its);
    };
    std::thread::Builder::new().name("dns-udp".to_owned()).spawn(work)?;
    shutdown.cancelled().await;
    drop(ours);
    // It says nothing, it ends.
    let _ = ended.await;
    Ok(())
}

struct Worker {
    socket: Arc<UdpSocket>,
    family: Family,
    responder: Responder,
}

// === impl Worker ===

impl Worker {
    /// Answers as long as the other end of `until` is there.
    fn run(&mut self, until: &UnixStream) {
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK.as_nanos() as u64)) {
            tracing::debug!(%error, "rests last longer than they need to");
        }
        let mut batch = Batch::new();
        while self.wait(until) {
            for _ in 0..TURNS {
                match self.turn(&mut batch) {
                    0..RESTS_FROM => break,
                    RESTS_FROM..BATCH => rest(REST),
                    _ => {}
                }
            }
        }
        for _ in 0..LAST_BATCHES {
            if self.turn(&mut batch) == 0 {
                break;
            }
        }
    }

    /// Waits for queries. False when none are to be answered any more.
    fn wait(&self, until: &UnixStream) -> bool {
        // That the other end is gone is told whatever is asked for.
        let ours = PollFd::new(self.socket.as_fd(), PollFlags::POLLIN);
        let mut both = [ours, PollFd::new(until.as_fd(), PollFlags::empty())];
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) => both[1].any() == Some(false),
            Err(Errno::EINTR) => true,
            Err(error) => {
                tracing::warn!(%error, "UDP socket failed; trying again");
                rest(Duration::from_millis(10));
                true
            }
        }
    }

    /// Answers what is there, up to a batch: how many queries that were.
    fn turn(&mut self, batch: &mut Batch) -> usize {
        let count = batch.receive(&self.socket, self.family).unwrap_or_else(|error| {
            // An ICMP error for an answer sent before; the next datagram is not concerned.
            tracing::trace!(%error, "datagram lost");
            0
        });
        if count > 0 {
            let begin = self.responder.begin();
            for at in 0..count {
                self.reply(batch, at);
            }
            self.responder.tell(Transport::Udp, begin.elapsed());
            for _ in 0..batch.send(&self.socket) {
                self.responder.metrics.dropped(Transport::Udp, DropReason::NotSent);
            }
        }
        count
    }

    fn reply(&mut self, batch: &mut Batch, at: usize) {
        let Some((peer, query, answer)) = batch.query(at) else { return };
        // Port 0 cannot be answered: such a source is forged.
        if peer.from.port() == 0 {
            return self.responder.metrics.dropped(Transport::Udp, DropReason::Source);
        }
        match self.responder.reply(query, Transport::Udp, peer.from.ip(), answer) {
            Reply::Answer => batch.is_for(peer),
            Reply::Forward(forwarder, foreign) => {
                if let Some(refusal) = self.forward(forwarder, foreign, peer) {
                    *answer = refusal;
                    batch.is_for(peer);
                }
            }
            // Over a stream alone.
            Reply::Transfer(_) | Reply::None => {}
        }
    }

    /// Has others asked; the answer when it is known at once.
    fn forward(&self, forwarder: Forwarder, foreign: Box<Foreign>, peer: Peer) -> Option<Vec<u8>> {
        let (socket, metrics) = (Arc::clone(&self.socket), Arc::clone(&self.responder.metrics));
        match forwarder.begin(foreign, Transport::Udp, peer.from.ip()) {
            Ok(forwarding) => {
                forwarder.spawn(async move {
                    if let Err(error) = send_one(&socket, &forwarding.finish().await, peer) {
                        tracing::trace!(%error, to = %peer.from, "answer not sent");
                        metrics.dropped(Transport::Udp, DropReason::NotSent);
                    }
                });
                None
            }
            Err(answer) => Some(answer),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread is the worker's own")]
fn rest(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use tokio::net::UdpSocket;

    use super::super::bind::bind;
    use super::*;
    use crate::holder::Held;
    use crate::metrics::Metrics;
    use crate::zone::{Settings, ZoneWriter};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A query of this id for the SOA of the cluster's domain.
    fn query(id: u16) -> Vec<u8> {
        [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0\x07cluster\x05local\0\0\x06\0\x01"].concat()
    }

    /// Asks the server at `asked`, which listens at `listen`, from a socket that takes datagrams from there alone.
    async fn all_are_answered(listen: &str, asked: &str, from: &str) {
        let mut writer = ZoneWriter::new(Settings::default());
        writer.sync("cluster.local", 1).unwrap();
        let mut bound = bind(listen.parse().unwrap(), 1, &Held::default()).unwrap();
        let responder = Responder::new(Arc::clone(writer.zone()), Arc::new(Metrics::default()));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(bound.udp.remove(0), responder, stop.clone()));
        let socket = UdpSocket::bind(from).await.unwrap();
        socket.connect(SocketAddr::new(asked.parse().unwrap(), bound.addr.port())).await.unwrap();
        let mut waiting: BTreeSet<u16> = (0..300).collect();
        // Datagrams may be lost: what was not answered is asked again.
        while !waiting.is_empty() {
            for id in waiting.iter().take(100) {
                socket.send(&query(*id)).await.unwrap();
            }
            let mut answer = [0; 512];
            let mut patience = PATIENCE;
            while let Ok(len) = tokio::time::timeout(patience, socket.recv(&mut answer)).await {
                let id = u16::from_be_bytes([answer[0], answer[1]]);
                assert!(len.unwrap() > 40 && answer[3] & 0x0f == 0, "{id}: {answer:02x?}");
                waiting.remove(&id);
                patience = Duration::from_millis(200);
                if waiting.is_empty() {
                    break;
                }
            }
            assert_ne!(patience, PATIENCE, "no answer from {asked}");
        }
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn bursts_are_answered() {
        all_are_answered("127.0.0.1:0", "127.0.0.1", "127.0.0.1:0").await;
    }

    #[tokio::test]
    async fn who_listens_on_all_addresses_answers_from_the_one_that_was_asked() {
        all_are_answered("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0").await;
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            all_are_answered("[::]:0", "::1", "[::1]:0").await;
        }
    }
}
