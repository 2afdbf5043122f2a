//! Clients that note when they see an address.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prost::Message;
use rollcall_e2e::clock;
use rollcall_xds::client::{self, Config, Event, Upsert};
use rollcall_xds::proto::rollcall::v1::EndpointBucket;
use rollcall_xds::resource::ResourceType;
use tokio::sync::mpsc;

/// How long a change may take at most.
const BOUND: Duration = Duration::from_secs(10);

/// A client of the whole stream, as a DNS server is one. It ends when dropped.
pub(crate) struct StreamWatcher {
    seen: mpsc::UnboundedReceiver<(Instant, EndpointBucket)>,
    task: tokio::task::JoinHandle<()>,
}

/// A client that asks for one name, over and over.
#[derive(Clone)]
pub(crate) struct DnsWatcher {
    socket: Arc<UdpSocket>,
    question: Vec<u8>,
}

// === impl StreamWatcher ===

impl StreamWatcher {
    /// Subscribes, and notes the changes of one service's endpoints.
    pub(crate) fn start(server: SocketAddr, service: &str) -> Self {
        // Unbounded, but one change is under way at a time.
        let (send, seen) = mpsc::unbounded_channel();
        let of_service = format!("/{service}/");
        let mut config = Config::new(vec![format!("http://{server}")], "bench");
        config.types = vec![ResourceType::EndpointBucket];
        let sink = move |event| {
            let now = clock::now();
            if let Event::Update(update) = event {
                for Upsert { name, value, .. } in update.upserts {
                    if name.contains(&of_service) {
                        let bucket = EndpointBucket::decode(value).map_err(|error| error.to_string())?;
                        // The receiver is gone at the end only.
                        let _ = send.send((now, bucket));
                    }
                }
            }
            Ok(())
        };
        let task = tokio::spawn(async move {
            if let Err(error) = client::run(config, sink, std::future::pending()).await {
                eprintln!("the stream's client: {error}");
            }
        });
        Self { seen, task }
    }

    /// When the address arrived.
    pub(crate) async fn saw(&mut self, address: Ipv4Addr) -> Result<Instant> {
        let wanted = address.octets();
        let arrival = async {
            while let Some((at, bucket)) = self.seen.recv().await {
                if bucket.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).any(|its| its[..] == wanted) {
                    return Some(at);
                }
            }
            None
        };
        let arrived = tokio::time::timeout(BOUND, arrival).await;
        arrived.with_context(|| format!("{address} never came by the stream"))?.context("the stream's client has ended")
    }
}

impl Drop for StreamWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl DnsWatcher ===

impl DnsWatcher {
    /// A client for the A records of `name`.
    pub(crate) fn new(server: SocketAddr, name: &str) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self { socket: Arc::new(socket), question: question(name)? })
    }

    /// When the answer first held the address. One question each half millisecond: more would compete with what is
    /// measured.
    pub(crate) fn answers(&self, address: Ipv4Addr) -> Result<Instant> {
        let start = clock::now();
        let mut buffer = [0; 1500];
        while start.elapsed() < BOUND {
            self.socket.send(&self.question)?;
            let length = self.socket.recv(&mut buffer).context("no answer from the DNS server")?;
            let at = clock::now();
            if buffer[..length].windows(4).any(|window| window == address.octets()) {
                return Ok(at);
            }
            clock::pause(Duration::from_micros(500));
        }
        anyhow::bail!("the DNS server never answered {address}")
    }
}

/// RFC 1035 §4.1: one question for an A record.
fn question(name: &str) -> Result<Vec<u8>> {
    let mut message = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).context("a label of more than 63 bytes")?);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    Ok(message)
}
