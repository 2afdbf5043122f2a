//! The identity that new connections are given.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use tokio_rustls::rustls::{
    self, ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Clients, Identity, clients::Asking};

/// The identity that new connections are given. Open connections go on with the one they began with.
#[derive(Default)]
pub struct Certificates {
    current: ArcSwapOption<Identity>,
    clients: Arc<Clients>,
}

// === impl Certificates ===

impl Certificates {
    /// None yet, of a server that asks its clients for certificates of these authorities.
    pub fn asking(clients: Arc<Clients>) -> Self {
        Self { current: ArcSwapOption::empty(), clients }
    }

    /// Whose certificates clients may show.
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// From now on, new connections get this one.
    pub fn set(&self, identity: Identity) {
        self.current.store(Some(Arc::new(identity)));
    }

    /// What new connections get; `None` until the first is there, and handshakes are refused until then.
    pub fn current(&self) -> Option<Arc<Identity>> {
        self.current.load_full()
    }

    /// A server's settings that ask here at each handshake.
    ///
    /// Sessions are not resumed: a resumed one would not see a new certificate, and tickets cost memory on each of
    /// thousands of streams that live for days.
    ///
    /// # Errors
    /// When the provider does not know the protocol versions, which would be a fault of the build.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        self.server_config_for(&[super::ALPN])
    }

    /// The same for a listener that speaks other protocols (RFC 7301 identifiers).
    ///
    /// # Errors
    /// When the provider does not know the protocol versions, which would be a fault of the build.
    pub fn server_config_for(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&super::VERSIONS)?
            .with_client_cert_verifier(Asking::new(Arc::clone(&self.clients)))
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|identity| Arc::clone(identity.certified()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.current()).finish()
    }
}
