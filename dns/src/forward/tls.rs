//! Questions over TLS (RFC 7858): one connection to a server, kept open, that all questions share (RFC 7766 §6.2.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::answer::Answer;
use super::exchange::{self, Failure};
use super::message::Asked;

/// By whom servers are believed; by nobody when there is nothing to believe by.
#[derive(Clone, Debug, Default)]
pub struct Trust(Option<Arc<ClientConfig>>);

/// The way to one server.
#[derive(Debug)]
pub struct Channel {
    server: SocketAddr,
    name: ServerName<'static>,
    trust: Trust,
    open: tokio::sync::Mutex<Option<Open>>,
    /// Its last fault, so that it is said once.
    said: Mutex<String>,
}

/// A connection; it closes when this is dropped and nobody waits any more.
#[derive(Clone, Debug)]
struct Open {
    orders: mpsc::Sender<Order>,
    number: u64,
}

/// A question, and where its answer goes.
#[derive(Debug)]
struct Order {
    wire: Vec<u8>,
    tell: oneshot::Sender<Vec<u8>>,
}

/// Who waits, by the id on the connection; and the id that they gave.
type Waiting = Arc<Mutex<HashMap<u16, ([u8; 2], oneshot::Sender<Vec<u8>>)>>>;

/// Without a word for so long, a connection is closed: most servers close theirs earlier.
const IDLE: Duration = Duration::from_secs(20);
/// For what is written to be taken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Questions that wait to be written.
const ORDERS_MAX: usize = 64;
/// What the protocol is called in a handshake.
const ALPN: &[u8] = b"dot";

// === impl Trust ===

impl Trust {
    /// By the authorities in a file, as PEM; or by those of the system.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn new(file: Option<&Path>) -> Result<Self, String> {
        let remedy = "give --forward-tls-ca a file of the authorities' certificates as PEM";
        let mut roots = RootCertStore::empty();
        match file {
            Some(path) => {
                let wrong =
                    |error: &dyn std::fmt::Display| format!("--forward-tls-ca {}: {error}; {remedy}", path.display());
                let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            return Err(format!(
                "no authority is known that certificates of servers of tls:// could come from; {remedy}"
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(Some(Arc::new(config))))
    }
}

// === impl Channel ===

impl Channel {
    /// To a server whose certificate is for `name`.
    pub fn new(server: SocketAddr, name: ServerName<'static>, trust: Trust) -> Self {
        Self { server, name, trust, open: tokio::sync::Mutex::default(), said: Mutex::default() }
    }

    /// Asks, on the connection that is open, or on a new one. One that its server has closed meanwhile is no failure of this
    /// question.
    pub async fn ask(&self, asked: &Asked, deadline: Instant) -> Result<Answer, Failure> {
        for _ in 0..2 {
            let (open, was_there) = timeout_at(deadline, self.open()).await.unwrap_or(Err(Failure::Silent))?;
            let (tell, told) = oneshot::channel();
            let order = Order { wire: asked.wire().to_vec(), tell };
            let exchange = async {
                // Its sender is dropped when the connection ends.
                if open.orders.send(order).await.is_ok() { told.await.ok() } else { None }
            };
            match timeout_at(deadline, exchange).await {
                Ok(Some(bytes)) => return exchange::read(asked, bytes),
                Ok(None) => {
                    self.close(open.number).await;
                    if !was_there {
                        return Err(Failure::Unreachable);
                    }
                }
                Err(_) => {
                    // It may be dead, which nobody tells.
                    self.close(open.number).await;
                    return Err(Failure::Silent);
                }
            }
        }
        Err(Failure::Unreachable)
    }

    /// The connection, and whether it was there.
    async fn open(&self) -> Result<(Open, bool), Failure> {
        let mut held = self.open.lock().await;
        if let Some(open) = held.as_ref().filter(|open| !open.orders.is_closed()) {
            return Ok((open.clone(), true));
        }
        let stream = self.connect().await.map_err(|error| self.fault(&error))?;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (read, write) = split(stream);
        let (orders, to_write) = mpsc::channel(ORDERS_MAX);
        let number = held.as_ref().map_or(0, |open| open.number) + 1;
        let waiting = Waiting::default();
        tokio::spawn(run(read, write, to_write, waiting));
        let open = Open { orders, number };
        *held = Some(open.clone());
        Ok((open, false))
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let Trust(Some(config)) = &self.trust else { return Err(std::io::Error::other("nobody is trusted")) };
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), stream).await
    }

    fn fault(&self, error: &std::io::Error) -> Failure {
        let (text, mut said) = (error.to_string(), self.said.lock().unwrap_or_else(PoisonError::into_inner));
        if *said != text {
            tracing::warn!(upstream = %self.server, name = ?self.name, error = %text, "no connection over TLS");
            *said = text;
        }
        Failure::Unreachable
    }

    /// The next question opens another one.
    async fn close(&self, number: u64) {
        let mut held = self.open.lock().await;
        if let Some(open) = held.as_mut().filter(|open| open.number == number) {
            // A sender whose receiver is gone; the number goes on.
            open.orders = mpsc::channel(1).0;
        }
    }
}

/// Writes orders and tells answers until the connection ends, or nobody has a question any more.
async fn run(
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    orders: mpsc::Receiver<Order>,
    waiting: Waiting,
) {
    tokio::select! {
        () = tell_answers(read, &waiting) => {}
        () = write_orders(write, orders, &waiting) => {}
    }
    // Who waits still is told so by this.
    lock(&waiting).clear();
}

async fn tell_answers(mut read: ReadHalf<TlsStream<TcpStream>>, waiting: &Waiting) {
    loop {
        let Ok(Ok(len)) = timeout(IDLE, read.read_u16()).await else { return };
        let mut bytes = vec![0; usize::from(len)];
        let whole = timeout(IDLE, read.read_exact(&mut bytes)).await;
        let (Ok(Ok(_)), Some(id)) = (whole, bytes.first_chunk().copied()) else { return };
        // One that waits no longer is told nothing.
        if let Some((own, tell)) = lock(waiting).remove(&u16::from_be_bytes(id)) {
            bytes[..2].copy_from_slice(&own);
            drop(tell.send(bytes));
        }
    }
}

async fn write_orders(
    mut write: WriteHalf<TlsStream<TcpStream>>,
    mut orders: mpsc::Receiver<Order>,
    waiting: &Waiting,
) {
    let mut next = 0_u16;
    while let Some(Order { mut wire, tell }) = orders.recv().await {
        {
            let mut waiting = lock(waiting);
            waiting.retain(|_, (_, tell)| !tell.is_closed());
            while waiting.contains_key(&next) {
                next = next.wrapping_add(1);
            }
            let Some(own) = wire.first_chunk_mut::<2>() else { continue };
            waiting.insert(next, (*own, tell));
            *own = next.to_be_bytes();
            next = next.wrapping_add(1);
        }
        // A question has at most 512 bytes.
        let message = [&(wire.len() as u16).to_be_bytes()[..], &wire].concat();
        let written = timeout(WRITE_TIMEOUT, async {
            write.write_all(&message).await?;
            write.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return;
        }
    }
    // Nobody asks any more; who waits still is answered.
    while !lock(waiting).is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lock(waiting).retain(|_, (_, tell)| !tell.is_closed());
    }
    drop(write.shutdown().await);
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
