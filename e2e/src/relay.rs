//! A TCP relay that can be pointed elsewhere: what a Service in front of replicas is to their clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{clock, net};

/// A relay with threads of its own. It ends when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// `None` when it is about to end.
    to: Option<SocketAddr>,
    /// Nothing passes, and nobody is told.
    held: bool,
    /// Both ends of each connection, by its number.
    open: BTreeMap<u64, [TcpStream; 2]>,
    /// The number of the next one.
    next: u64,
}

/// Between two looks at whether it is held still.
const HELD_LOOK: Duration = Duration::from_millis(10);

// === impl Relay ===

impl Relay {
    /// Starts a relay to that address.
    pub fn start(to: SocketAddr) -> Result<Self> {
        Self::start_by(to, |to| Ok(TcpStream::connect(to)?))
    }

    /// The same with another way of connecting, such as from another network.
    pub fn start_by(
        to: SocketAddr,
        connect: impl Fn(SocketAddr) -> Result<TcpStream> + Send + 'static,
    ) -> Result<Self> {
        let address = net::free_loopback()?;
        let socket = TcpListener::bind(address).context("opening a relay")?;
        let shared = Arc::new(Mutex::new(Shared { to: Some(to), held: false, open: BTreeMap::new(), next: 0 }));
        let of_thread = Arc::clone(&shared);
        let listener = std::thread::spawn(move || accept(&socket, &connect, &of_thread));
        Ok(Self { address, shared, listener: Some(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections to that address, and cuts those that are open.
    pub fn move_to(&self, to: SocketAddr) {
        lock(&self.shared).lead(Some(to));
    }

    /// From now on nothing passes, as on a line whose packets are dropped: connections stay open, new ones are taken, and
    /// nobody hears anything. With `false` all goes on where it stood.
    pub fn hold(&self, held: bool) {
        lock(&self.shared).held = held;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        lock(&self.shared).lead(None);
        // The thread looks when it has one more connection.
        drop(TcpStream::connect(self.address));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lead(&mut self, to: Option<SocketAddr>) {
        self.to = to;
        self.held = false;
        for stream in std::mem::take(&mut self.open).into_values().flatten() {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, connect: &impl Fn(SocketAddr) -> Result<TcpStream>, shared: &Arc<Mutex<Shared>>) {
    for client in listener.incoming() {
        let Some(to) = lock(shared).to else { return };
        // Whoever is refused comes again, as they would without a relay.
        if let Ok(client) = client {
            let _ = connect(to).and_then(|server| join(client, server, to, shared));
        }
    }
}

/// Carries both ways between `client` and `server`, which was found at `to`.
fn join(client: TcpStream, server: TcpStream, to: SocketAddr, all: &Arc<Mutex<Shared>>) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut shared = lock(all);
    if shared.to != Some(to) {
        return Ok(());
    }
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let number = shared.next;
    shared.next += 1;
    shared.open.insert(number, [client.try_clone()?, server.try_clone()?]);
    let (of_client, of_server) = (Arc::clone(all), Arc::clone(all));
    std::thread::spawn(move || carry(from_client, server, number, &of_client));
    std::thread::spawn(move || carry(from_server, client, number, &of_server));
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, number: u64, shared: &Mutex<Shared>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while lock(shared).held {
            clock::pause(HELD_LOOK);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
    lock(shared).open.remove(&number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(says: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten().take(1) {
                let mut stream = stream;
                stream.write_all(says).unwrap();
                held.push(stream);
            }
            std::thread::park();
        });
        address
    }

    #[test]
    fn moving_cuts_what_is_open_and_leads_what_comes_elsewhere() {
        let relay = Relay::start(server(b"1")).unwrap();
        let read_one = |client: &mut TcpStream| {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            byte
        };
        let mut first = TcpStream::connect(relay.address()).unwrap();
        assert_eq!(read_one(&mut first), *b"1");
        relay.move_to(server(b"2"));
        assert_eq!(first.read(&mut [0]).unwrap(), 0, "the old connection has ended");
        let mut second = TcpStream::connect(relay.address()).unwrap();
        assert_eq!(read_one(&mut second), *b"2");
    }
}
