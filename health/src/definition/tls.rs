//! How a check encrypts, and whom it trusts.

use std::fmt;

use rollcall_catalog::model::Name;

/// TLS as a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The name that is asked for (SNI) and that the certificate has to be for; without it the host of an HTTP check, else
    /// the address.
    pub server_name: Option<Name>,
    /// Certificates of authorities as PEM, trusted instead of those of the system.
    pub authorities: Option<Name>,
    /// Whether the certificate has to be in order.
    pub verify: Verify,
    /// Where the client's own certificate is, and further authorities.
    pub secret: Option<SecretKey>,
}

/// Whether a server's certificate is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Its chain, its name and its time.
    #[default]
    All,
    /// Nothing but that the server holds its key: its owner wrote so.
    KeyOnly,
}

/// The name of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// Its namespace: that of the registration.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
}

// === impl SecretKey ===

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
