//! HTTP servers outside the cluster, to register: they answer with their name, and fail on request.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{clock, net};

/// What a backend does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 200, with its name.
    Answer,
    /// 503.
    Fail,
    /// 429: it serves, and complains.
    Complain,
    /// It takes the request and is silent.
    Hang,
    /// The same to one process, by its id; others have their answer. As if that one were cut off.
    HangFor(u32),
    /// Nobody listens on its port.
    Refuse,
}

/// An HTTP server with threads of its own. It ends when dropped.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    mode: Mutex<Mode>,
    checks: AtomicU64,
    requests: AtomicU64,
}

/// How long a client may take to send its request, and how long a hanging backend is silent at most.
const CLIENT_BOUND: Duration = Duration::from_secs(60);

// === impl Backend ===

impl Backend {
    /// Starts a server.
    pub fn start(name: &str, address: SocketAddr) -> Result<Self> {
        let shared = Shared {
            name: name.into(),
            mode: Mutex::new(Mode::Answer),
            checks: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        };
        let mut backend = Self { shared: Arc::new(shared), address, listener: None };
        backend.listen()?;
        Ok(backend)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Changes what it does. When this returns, no request is treated the old way any more.
    pub fn set(&mut self, mode: Mode) -> Result<()> {
        *self.shared.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        match mode {
            Mode::Refuse => {
                self.close();
                Ok(())
            }
            Mode::Answer | Mode::Fail | Mode::Complain | Mode::Hang | Mode::HangFor(_) => self.listen(),
        }
    }

    /// Requests for `/healthz` so far.
    pub fn checks(&self) -> u64 {
        self.shared.checks.load(Ordering::Relaxed)
    }

    /// Other requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    fn listen(&mut self) -> Result<()> {
        if self.listener.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address)
            .with_context(|| format!("{} listening on {}", self.name(), self.address))?;
        let shared = Arc::clone(&self.shared);
        self.listener = Some(std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.mode() == Mode::Refuse {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A client that goes away early is its own affair.
                std::thread::spawn(move || shared.serve(&stream).ok());
            }
        }));
        Ok(())
    }

    /// Closes the listening socket: the thread sees the mode when it is woken by a connection.
    fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
            let _ = listener.join();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.set(Mode::Refuse);
    }
}

// === impl Shared ===

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(CLIENT_BOUND))?;
        let mut lines = BufReader::new(stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let counter = if request.contains(" /healthz") { &self.checks } else { &self.requests };
        counter.fetch_add(1, Ordering::Relaxed);
        let mode = match self.mode() {
            Mode::HangFor(process) if !net::is_connection_of(process, stream.peer_addr()?) => Mode::Answer,
            mode => mode,
        };
        let (status, body) = match mode {
            Mode::Answer => ("200 OK", format!("{}\n", self.name)),
            Mode::Complain => ("429 Too Many Requests", format!("{} has enough to do\n", self.name)),
            Mode::Fail => ("503 Service Unavailable", format!("{} was told to fail\n", self.name)),
            Mode::Hang | Mode::HangFor(_) => {
                let hangs = || matches!(self.mode(), Mode::Hang | Mode::HangFor(_));
                let _ = clock::wait_until("another mode", CLIENT_BOUND, || Ok((!hangs()).then_some(())));
                return Ok(());
            }
            Mode::Refuse => return Ok(()),
        };
        // One request for each connection: what a client sees follows the mode at once.
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn a_backend_does_as_it_is_told() {
        let mut backend = Backend::start("vm-1", net::free_loopback().unwrap()).unwrap();
        let ask = |path: &str, backend: &Backend| http::get(backend.address(), path);
        let nobody_answers =
            |backend: &Backend| http::get_within(backend.address(), "/", Duration::from_millis(300)).is_err();
        assert_eq!(ask("/", &backend).unwrap().body, "vm-1\n");
        backend.set(Mode::Fail).unwrap();
        assert_eq!(ask("/healthz", &backend).unwrap().status, 503);
        backend.set(Mode::Hang).unwrap();
        assert!(nobody_answers(&backend));
        // Before the listener closes, which may not have come to it yet.
        clock::wait_until("the request that hung to be counted", Duration::from_secs(60), || {
            Ok((backend.requests() == 2).then_some(()))
        })
        .unwrap();
        backend.set(Mode::HangFor(std::process::id())).unwrap();
        assert!(nobody_answers(&backend));
        // The first process, which asks nobody here.
        backend.set(Mode::HangFor(1)).unwrap();
        assert_eq!(ask("/", &backend).unwrap().status, 200);
        backend.set(Mode::Refuse).unwrap();
        assert!(nobody_answers(&backend));
        backend.set(Mode::Answer).unwrap();
        assert_eq!(ask("/", &backend).unwrap().status, 200);
        assert_eq!(backend.checks(), 1);
    }
}
