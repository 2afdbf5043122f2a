//! The streams to peers: one each, by the client that every reader of the stream uses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rollcall_catalog::model::Name;
use rollcall_xds::client::{self, Config, Credential, Event, Update};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::REPLICA_KEY;
use rollcall_xds::tls::Fingerprint;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::card::Card;
use super::exchange::Exchange;
use super::proof::Proofs;

/// A stream to a peer, which is opened again and again until this is dropped.
#[derive(Debug)]
pub struct Dial {
    uri: String,
    pins: watch::Sender<Vec<Fingerprint>>,
    task: JoinHandle<()>,
}

/// Where a peer is, and which certificates it may show, as they are by now.
#[derive(Clone, Debug)]
pub struct Way {
    pub(super) uri: String,
    pub(super) pins: watch::Receiver<Vec<Fingerprint>>,
}

/// Peers are few and near: who is not there is tried again soon.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Without a word for so long, a connection is asked whether it lives, and dead after as long again.
const KEEPALIVE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Dial ===

impl Dial {
    /// A stream to whom `card` is of. What it brings goes to `exchange`. `None` when it cannot be reached.
    pub fn new(card: &Card, exchange: Exchange, proofs: &Proofs) -> Option<Self> {
        let uri = card.uri()?;
        let (pins, known) = watch::channel(card.certificates.clone());
        let config = Config {
            pins: Some(known),
            credential: Some(Credential { key: REPLICA_KEY, value: proofs.shown() }),
            types: ResourceType::BETWEEN_REPLICAS.to_vec(),
            backoff_min: BACKOFF.0,
            backoff_max: BACKOFF.1,
            keepalive: KEEPALIVE,
            connect_timeout: CONNECT_TIMEOUT,
            ..Config::new(vec![uri.clone()], exchange.mine().to_string())
        };
        let peer = Name::clone(&card.identity);
        let task = tokio::spawn(async move {
            let sink = |event| hear(&peer, event, &exchange);
            if let Err(error) = client::run(config, sink, std::future::pending()).await {
                tracing::warn!(%peer, %error, "a replica cannot be dialled");
            }
        });
        Some(Self { uri, pins, task })
    }

    /// Whether it goes where the card says.
    pub fn is_to(&self, card: &Card) -> bool {
        card.uri().is_some_and(|uri| uri == self.uri)
    }

    /// The way to the peer, for a call of its own.
    pub fn way(&self) -> Way {
        Way { uri: self.uri.clone(), pins: self.pins.subscribe() }
    }

    /// The peer shows these certificates from now on.
    pub fn expect(&self, certificates: &[Fingerprint]) {
        self.pins.send_if_modified(|pins| {
            let changed = pins != certificates;
            if changed {
                *pins = certificates.to_vec();
            }
            changed
        });
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hands on what a peer says. It speaks in its own name only.
fn hear(peer: &Name, event: Event, exchange: &Exchange) -> Result<(), String> {
    let Event::Update(Update { ty, upserts, removed }) = event else { return Ok(()) };
    let own = |name: &str| Some(Arc::<str>::from(name.strip_prefix(&**peer)?.strip_prefix('/')?));
    let mut strangers = 0;
    for upsert in upserts {
        match own(&upsert.name) {
            // What came shares the memory of the whole response.
            Some(name) => exchange.heard(peer, ty, &name, Some(Bytes::copy_from_slice(&upsert.value))),
            None => strangers += 1,
        }
    }
    for name in removed {
        match own(&name) {
            Some(name) => exchange.heard(peer, ty, &name, None),
            None => strangers += 1,
        }
    }
    if strangers > 0 { Err(format!("{strangers} names do not begin with {peer}/, who says it")) } else { Ok(()) }
}
