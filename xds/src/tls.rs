//! What is under the stream: connections in bounded number, and TLS whose certificates change while streams are open.
//!
//! ```text
//! server: Identity --set--> Certificates (ArcSwap) <--resolve-- Incoming (handshakes, bounded) --> Connection --> HTTP/2
//! client: bundle file --read when it changed--> Trust --> dial (client module) --> tonic
//! ```
//!
//! - [`Identity`]: a certificate with its key, proved to belong together and to be valid now
//! - [`Certificates`]: the identity that new connections are given; open ones go on with theirs
//! - [`Clients`]: the authorities of clients, and what a client has [`Shown`]
//! - [`Incoming`]: what the server is given, with TLS or without, as [`Connection`]s
//! - [`Metrics`]: connections that failed, by reason
//! - `trust`, `words`: the client's side, and its errors in plain words; `pin`: servers known by their certificate itself
//!
//! There is one cryptographic provider, ring, named at each use: what a process installs as its default does not matter.

use std::sync::Arc;

use tokio_rustls::rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};

mod certificates;
mod clients;
mod connection;
mod handshakes;
mod identity;
mod incoming;
mod io;
mod metrics;
mod pin;
mod trust;
mod words;

pub use self::{
    certificates::Certificates,
    clients::{Clients, Outcome, Shown},
    connection::{Arrival, Connection},
    handshakes::{Acceptor, Limits},
    identity::{Identity, IdentityError, Validity, date},
    incoming::{Bounds, Incoming},
    metrics::{Failure, Metrics},
    pin::{Fingerprint, secret},
    trust::{Own, authorities},
};
pub(crate) use self::{
    incoming::STREAMS_MAX,
    io::Io,
    pin::pinned,
    trust::{Trust, given},
    words::{SPEAKS_TLS, handshake_failed},
};

/// HTTP/2, the only protocol of the stream (RFC 7301 identifier).
const ALPN: &[u8] = b"h2";

/// What is spoken; nothing older is safe.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
