//! The stream to another cluster, by the client that every reader of the stream uses.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollcall_catalog::model::Name;
use rollcall_xds::client::{self, Config, Credential, Event};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{BY_CERTIFICATE, CLUSTER_KEY};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::heard::{Heard, Wanted};

/// How another cluster is reached, and what is wanted of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Way {
    /// `host:port`, tried in turn.
    pub addresses: Vec<String>,
    /// What its certificate must be for.
    pub server_name: Option<String>,
    /// The authorities of its stream, as PEM.
    pub ca: Arc<[u8]>,
    /// What it knows this cluster by.
    pub proof: Proof,
    /// Bytes a second that are read on average, if there is a bound.
    pub bytes_per_second: Option<u32>,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What a cluster proves itself with. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A token of a ServiceAccount of the other cluster.
    Token(String),
    /// A certificate, whose signer the other cluster knows, as PEM.
    Certificate {
        /// Its chain, its own first.
        chain: Arc<[u8]>,
        /// Its private key.
        key: Arc<[u8]>,
    },
}

/// A stream that is opened again and again until this is dropped.
#[derive(Debug)]
pub struct Dial {
    shared: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// How soon a lost stream is tried again: at random below these, doubled with each failure, so that clusters that all lost one
/// do not come back at the same moment.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Without a word for so long a connection is asked whether it lives, and dead after as long again: sooner than the link is
/// suspect, so that the next address has its turn before.
const KEEPALIVE: Duration = Duration::from_secs(3);

// === impl Way ===

impl Way {
    /// The same for these namespaces; `None` for all.
    pub fn of(&self, namespaces: Option<Arc<BTreeSet<Name>>>) -> Self {
        Self { wanted: Wanted { namespaces, ..self.wanted.clone() }, ..self.clone() }
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

// === impl Dial ===

impl Dial {
    /// Begins, at the address of number `first`. `uid`: what the cluster is known by, if it was heard before. `news` is told of
    /// everything that happens.
    pub fn new(way: &Way, first: usize, (me, uid): (&Name, Option<Name>), news: Arc<Notify>) -> Self {
        let shared = Arc::new(Mutex::new(Heard::new(way.wanted.clone(), uid)));
        let mut servers: Vec<_> = way.addresses.iter().map(|address| format!("https://{address}")).collect();
        let first = first.checked_rem(servers.len()).unwrap_or(0);
        servers.rotate_left(first);
        let (value, own_pem) = match &way.proof {
            Proof::Token(token) => (token.clone(), None),
            Proof::Certificate { chain, key } => {
                (BY_CERTIFICATE.to_owned(), Some([Arc::clone(chain), Arc::clone(key)]))
            }
        };
        let config = Config {
            ca: Some(Arc::clone(&way.ca)),
            own_pem,
            server_name: way.server_name.clone(),
            credential: Some(Credential { key: CLUSTER_KEY, value }),
            types: ResourceType::BETWEEN_CLUSTERS.to_vec(),
            backoff_min: BACKOFF.0,
            backoff_max: BACKOFF.1,
            keepalive: KEEPALIVE,
            bytes_per_second: way.bytes_per_second,
            ..Config::new(servers, me.to_string())
        };
        let heard = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let sink = |event: Event| {
                let result = lock(&heard).on(event);
                news.notify_one();
                result
            };
            if let Err(error) = client::run(config, sink, std::future::pending()).await {
                lock(&heard).trouble = Some(error.to_string());
                news.notify_one();
            }
        });
        Self { shared, task }
    }

    /// What it has brought.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.shared)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
