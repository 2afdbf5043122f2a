//! How to reach a catalog, and what to read of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Endpoint,
};

use super::dial::Dialer;
use crate::{
    resource::ResourceType,
    tls::{Fingerprint, Own},
};

/// How to reach a catalog, and what to read of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// URIs such as `https://rollcall.rollcall-system:18000`, tried in turn, the next one after each failure. `http` is
    /// without TLS; with `https` the certificate must be for the host, a name or an address.
    pub servers: Vec<String>,
    /// More of them, found out meanwhile: tried after `servers`, as they are when their turn comes. What is none is passed
    /// over. A reader that is told where the servers are by the catalog itself finds them again when the addresses that it
    /// began with are gone.
    pub further: watch::Receiver<Vec<String>>,
    /// The authorities that may have signed the certificates of the servers, as PEM. Needed for `https` alone; read at
    /// each connect, so it may appear later and may change.
    pub ca_file: Option<PathBuf>,
    /// What is shown to servers that `ca_file` vouches for and that ask for a certificate.
    pub own: Option<Own>,
    /// In place of `ca_file`: the same bundle, as PEM.
    pub ca: Option<Arc<[u8]>>,
    /// In place of `own`: chain and key, as PEM, with `ca`.
    pub own_pem: Option<[Arc<[u8]>; 2]>,
    /// The name that the certificates must be for in place of the host, where servers are reached by an address that
    /// nobody knew when the certificates were made.
    pub server_name: Option<String>,
    /// In place of `ca_file`: the certificates that the servers may show, whoever signed them. As they are at each connect.
    pub pins: Option<watch::Receiver<Vec<Fingerprint>>>,
    /// What is said in the metadata of each call, to prove who asks.
    pub credential: Option<Credential>,
    /// A file with a bearer token that says who asks, such as a ServiceAccount's. Read at each connect, for
    /// kubelet replaces it before it expires, and said over TLS alone.
    pub token_file: Option<PathBuf>,
    /// Who asks, for the server's logs: the pod's name.
    pub node_id: String,
    /// Types to subscribe to as a whole, in this order.
    pub types: Vec<ResourceType>,
    /// Resources of these types that the sink has already, by name, with their versions: the first server sends what
    /// differs. Such as were read from a file.
    pub known: Known,
    /// Names to subscribe to one by one. They may change while streams are open: what is new is asked for, what is left out
    /// is given up. Send the names, keep the sender as long as they may change.
    pub names: watch::Receiver<Names>,
    /// Names of each type whose versions are remembered, for the next server to be told: what is beyond is sent again by that. No
    /// server takes more than [`Self::REMEMBERED_MAX`] in a request.
    pub remembered_max: usize,
    /// Bytes a second that are read on average; `None` for as many as come.
    pub bytes_per_second: Option<u32>,
    /// Upper bound of the first delay after a good stream was lost; each failed attempt doubles it.
    pub backoff_min: Duration,
    /// Upper bound of every delay. A stream that lived this long, or that brought something, counts as good.
    pub backoff_max: Duration,
    /// Without traffic for this long a ping is sent, and answered within the same time or the connection is dead.
    pub keepalive: Duration,
    /// Until a server must have accepted the stream, connection included. Longer than the server waits for its own
    /// first sync (`server::Limits::unsynced_wait`).
    pub connect_timeout: Duration,
}

/// What proves to a server who asks. It is never shown.
#[derive(Clone)]
pub struct Credential {
    /// The key in the metadata, in lower case.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// Names and versions of resources that the sink has, by type.
pub type Known = BTreeMap<ResourceType, Vec<(Arc<str>, Arc<str>)>>;

/// Names of resources, by type.
pub type Names = BTreeMap<ResourceType, BTreeSet<Arc<str>>>;

/// Why a [`Config`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The list of servers is empty.
    #[error("no server is given; name at least one, such as http://rollcall.rollcall-system:18000")]
    NoServer,
    /// A server is not a URI with scheme and host.
    #[error("server {server:?} is not a URI with scheme and host ({reason}); give one such as http://host:port")]
    BadServer {
        /// As given.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bundle, or the client's own certificate, cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Its certificate could not be checked.
    #[error(
        "server {server:?} is to be reached with TLS, but no bundle is given (ca_file; --catalog-ca-file); give the ca.crt of the controller's authority"
    )]
    NoBundle {
        /// As given.
        server: String,
    },
}

// === impl Credential ===

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credential").field(&self.key).finish()
    }
}

// === impl Config ===

impl Config {
    /// Largest response that is accepted, in bytes. Servers split at 3.5 MiB; a single larger resource still passes.
    pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

    /// Names of one type that a server takes in the first request of a stream (`stream::Limits`).
    pub const REMEMBERED_MAX: usize = 200_000;

    /// Flow-control window, in bytes: one whole response may be under way.
    const WINDOW_BYTES: u32 = 4 << 20;

    /// What is remembered of the headers of answers (RFC 7541 §4.2): nothing. A stream has them once, and a server that carries
    /// thousands would keep a table for each.
    const HEADER_TABLE_BYTES: u32 = 0;

    /// Reads all of Rollcall's own types, parts before the whole, with delays of 100 ms to 5 s and a dead connection
    /// found within 6 s.
    pub fn new(servers: Vec<String>, node_id: impl Into<String>) -> Self {
        Self {
            servers,
            further: watch::channel(Vec::new()).1,
            ca_file: None,
            own: None,
            ca: None,
            own_pem: None,
            pins: None,
            credential: None,
            token_file: None,
            server_name: None,
            node_id: node_id.into(),
            types: vec![ResourceType::EndpointBucket, ResourceType::Service, ResourceType::Machine, ResourceType::Zone],
            known: Known::new(),
            names: watch::channel(Names::new()).1,
            remembered_max: Self::REMEMBERED_MAX,
            bytes_per_second: None,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            keepalive: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(8),
        }
    }

    /// The servers to dial, in order.
    pub(super) fn dialers(&self) -> Result<Vec<Dialer>, ConfigError> {
        if self.servers.is_empty() {
            return Err(ConfigError::NoServer);
        }
        self.servers.iter().map(|server| Dialer::new(self, server)).collect()
    }

    /// What goes into the metadata of a call, as the file is now.
    pub(super) async fn token(&self) -> Result<Option<MetadataValue<Ascii>>, String> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let name = file.display();
        let read = tokio::fs::read_to_string(file).await;
        let token = read.map_err(|error| format!("the token in {name} cannot be read: {error}"))?;
        let mut value = MetadataValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| format!("the token in {name} is no text that metadata can carry"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    pub(super) fn transport(&self, endpoint: Endpoint) -> Endpoint {
        endpoint
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keepalive)
            .keep_alive_timeout(self.keepalive)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(Self::WINDOW_BYTES)
            .initial_connection_window_size(Self::WINDOW_BYTES)
            .http2_header_table_size(Self::HEADER_TABLE_BYTES)
    }
}
