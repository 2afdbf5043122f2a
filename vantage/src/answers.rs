//! Probes for others: a bounded number under way, and what came of each.

use std::sync::Arc;

use rollcall_health::Outcome;
use rollcall_health::confirmation::Vote;
use rollcall_health::probe::Prober;
use rollcall_xds::proto::rollcall::v1::{Found, Probe};
use tokio::task::JoinSet;

use crate::wire;

/// Probes that were asked for. Dropped with all that is under way.
pub struct Answers<P> {
    prober: Arc<P>,
    running: JoinSet<Found>,
}

/// Under way at a time: each holds a socket. Who is asked for more could not find out.
pub const RUNNING_MAX: usize = 32;

// === impl Answers ===

impl<P: Prober> Answers<P> {
    /// Nothing was asked yet.
    pub fn new(prober: P) -> Self {
        Self { prober: Arc::new(prober), running: JoinSet::new() }
    }

    /// Takes a question. An answer at once if it cannot be found out.
    pub fn begin(&mut self, probe: Probe) -> Option<Found> {
        let number = probe.number;
        let asked = wire::read(probe).filter(|_| self.running.len() < RUNNING_MAX);
        let Some((check, address)) = asked else { return Some(wire::found(number, Vote::Abstained)) };
        let prober = Arc::clone(&self.prober);
        self.running.spawn(async move {
            let vote = match prober.probe(&check, address).await {
                Outcome::Success(_) | Outcome::Warning(_) => Vote::Reached,
                Outcome::Failure(_) => Vote::Failed,
                Outcome::LocalFault(..) => Vote::Abstained,
            };
            wire::found(number, vote)
        });
        None
    }

    /// The next answer; for ever none while nothing is under way. Nothing is lost when it is given up.
    pub async fn next(&mut self) -> Found {
        loop {
            match self.running.join_next().await {
                Some(Ok(found)) => return found,
                // A probe that ended by a panic has none: whoever asked does without.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl<P> std::fmt::Debug for Answers<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rollcall_health::definition::Tcp;
    use rollcall_health::{Check, CheckKind, LocalFault};

    use super::*;

    /// What is found depends on the port.
    struct ByPort;

    impl Prober for ByPort {
        async fn probe(&self, _: &Check, target: SocketAddr) -> Outcome {
            match target.port() {
                80 => Outcome::Success("was accepted".into()),
                81 => Outcome::Failure("was refused".into()),
                82 => Outcome::LocalFault(LocalFault::NoRoute, "no route".into()),
                _ => std::future::pending().await,
            }
        }
    }

    fn asked(number: u64, port: u16) -> Probe {
        let check = Check::new("asked", CheckKind::Tcp(Tcp::default()));
        wire::probe(number, &check, ([198, 51, 100, 1], port).into()).expect("it can be asked")
    }

    #[tokio::test]
    async fn a_fault_of_ones_own_says_nothing_about_the_target() {
        let mut answers = Answers::new(ByPort);
        for (port, vote) in [(80, Vote::Reached), (81, Vote::Failed), (82, Vote::Abstained)] {
            assert_eq!(answers.begin(asked(port.into(), port)), None);
            assert_eq!(answers.next().await, wire::found(port.into(), vote));
        }
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_cannot_be_found_out() {
        let mut answers = Answers::new(ByPort);
        for number in 0..RUNNING_MAX as u64 {
            assert_eq!(answers.begin(asked(number, 83)), None);
        }
        assert_eq!(answers.begin(asked(99, 80)), Some(wire::found(99, Vote::Abstained)));
        assert_eq!(answers.begin(Probe { number: 100, ..Probe::default() }), Some(wire::found(100, Vote::Abstained)));
    }
}
