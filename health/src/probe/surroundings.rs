//! What a probe needs of the process around it: Secrets, and the health of others.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use rollcall_catalog::model::Name;

use crate::definition::{Alias, SecretKey};
use crate::outcome::{LocalFault, Outcome};

/// What a probe needs of the process around it.
pub trait Surroundings: Send + Sync + 'static {
    /// What a Secret holds; words that name the remedy where it cannot be had.
    fn secret<'a>(&'a self, key: &'a SecretKey) -> Answer<'a>;

    /// The health of a service or an endpoint.
    fn alias(&self, alias: &Alias) -> Outcome;
}

/// What comes of asking for a Secret.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Arc<Credentials>, Name>> + Send + 'a>>;

/// What a Secret of type `kubernetes.io/tls` holds, as PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// What the client shows.
    pub certificate: Option<ClientCertificate>,
    /// `ca.crt`: authorities that are trusted.
    pub authorities: Option<Box<[u8]>>,
}

/// A client's certificate, as PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// `tls.crt`: the certificate with its chain.
    pub chain: Box<[u8]>,
    /// `tls.key`: its key.
    pub key: Box<[u8]>,
}

/// A process that has neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

// === impl Credentials ===

impl fmt::Debug for Credentials {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificate", &self.certificate.is_some())
            .field("authorities", &self.authorities.is_some())
            .finish()
    }
}

// === impl ClientCertificate ===

impl fmt::Debug for ClientCertificate {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

// === impl Alone ===

impl Surroundings for Alone {
    fn secret<'a>(&'a self, key: &'a SecretKey) -> Answer<'a> {
        let words = format!("Secret {key} cannot be read here: checks with a Secret are run by the controller");
        Box::pin(std::future::ready(Err(words.into())))
    }

    fn alias(&self, alias: &Alias) -> Outcome {
        let words =
            format!("the health of service {} is not known here: the controller looks at it", alias.service.name);
        Outcome::LocalFault(LocalFault::Credentials, words.into())
    }
}
