//! A process that holds the sockets of the one that answers, so that a server which is killed loses no query.
//!
//! ```text
//!  holder (holds the sockets, does nothing else) --starts--> server (answers; dies) ... server (answers on)
//! ```
//!
//! What arrives while no server is there waits in the sockets' own queues, where the next server finds it: it starts from
//! the snapshot on disk. Connections that were open are lost, those that wait to be accepted are not.
//!
//! - [`guard`]: the holder; [`patience`]: how often it starts another server
//! - `channel`: how sockets pass between the two
//! - [`Held`]: the server's side

mod channel;
pub mod guard;
pub mod metrics;
pub mod patience;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use channel::Message;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Says to a server by whom it was started: the holder's process id.
const STARTED_BY: &str = "ROLLCALL_DNS_HOLDER";

/// The sockets that a holder has for this server; none, where there is no holder.
#[derive(Clone, Debug, Default)]
pub struct Held(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    channel: OwnedFd,
    sockets: Mutex<VecDeque<(String, OwnedFd)>>,
    deaths: u64,
}

// === impl Held ===

impl Held {
    /// What the holder that started this process has, if one did. To be asked once, before anything reads standard input, on
    /// which the holder speaks. This process ends with its holder then.
    pub fn of_this_process() -> io::Result<Self> {
        let Ok(holder) = std::env::var(STARTED_BY) else { return Ok(Self::default()) };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before that.
        if getppid().map(|pid| pid.as_raw_nonzero().to_string()).as_deref() != Some(&holder) {
            return Err(io::Error::other("the process that held the sockets has ended"));
        }
        Self::over(io::stdin().as_fd().try_clone_to_owned()?)
    }

    fn over(channel: OwnedFd) -> io::Result<Self> {
        let mut sockets = VecDeque::new();
        loop {
            match channel::receive(channel.as_fd())? {
                Some(Message::Socket(name, socket)) => sockets.push_back((name, socket)),
                Some(Message::ThatIsAll { deaths }) => {
                    return Ok(Self(Some(Arc::new(Shared { channel, sockets: Mutex::new(sockets), deaths }))));
                }
                None => return Err(io::Error::other("the process that holds the sockets told none")),
            }
        }
    }

    /// The next socket of this name, once.
    pub fn take(&self, name: &str) -> Option<OwnedFd> {
        let mut sockets = self.0.as_ref()?.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let at = sockets.iter().position(|(own, _)| own == name)?;
        sockets.remove(at).map(|(_, socket)| socket)
    }

    /// Has a socket held that was made here. A failure costs no more than that the next server makes its own.
    pub fn keep(&self, name: &str, socket: BorrowedFd<'_>) {
        let Some(shared) = &self.0 else { return };
        if let Err(error) = channel::send_socket(shared.channel.as_fd(), name, socket) {
            tracing::warn!(%error, socket = name, "not held for a server after this one");
        }
    }

    /// How many servers have died before this one.
    pub fn deaths(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.deaths)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn sockets_pass_to_the_holder_and_from_there_to_the_next_server() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (holder, server) = channel::pair().unwrap();
        channel::send_end(holder.as_fd(), 2).unwrap();
        let first = Held::over(server).unwrap();
        assert_eq!((first.deaths(), first.take("udp a").is_none()), (2, true));
        first.keep("udp a", socket.as_fd());
        drop((first, socket));
        let Some(Message::Socket(name, held)) = channel::receive(holder.as_fd()).unwrap() else { panic!("a socket") };
        assert!(channel::receive(holder.as_fd()).unwrap().is_none(), "the first has ended");

        // A query that comes while there is no server.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"query", address).unwrap();

        let (holder, server) = channel::pair().unwrap();
        channel::send_socket(holder.as_fd(), &name, held.as_fd()).unwrap();
        channel::send_end(holder.as_fd(), 3).unwrap();
        let second = Held::over(server).unwrap();
        assert!(second.take("udp b").is_none());
        let socket = UdpSocket::from(second.take("udp a").expect("the one that was held"));
        assert!(second.take("udp a").is_none(), "it is given once");
        let mut query = [0; 16];
        assert_eq!((socket.local_addr().unwrap(), socket.recv(&mut query).unwrap()), (address, 5));
    }

    #[test]
    fn a_holder_that_ends_early_or_says_nonsense_is_an_error() {
        let (holder, server) = channel::pair().unwrap();
        drop(holder);
        assert!(Held::over(server).unwrap_err().to_string().contains("told none"));
        let (holder, server) = channel::pair().unwrap();
        rustix::io::write(&holder, b"nonsense").unwrap();
        assert!(Held::over(server).is_err());
        assert_eq!(Held::default().deaths(), 0);
    }
}
