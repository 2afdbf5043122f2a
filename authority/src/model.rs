//! What an authority is: the one that signs, the one that will, and those that did.

use std::fmt;

/// The authority of an installation, as all replicas see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Signs leaves.
    pub signing: Ca,
    /// Is published, to sign later.
    pub next: Option<Next>,
    /// Sign no more, and are trusted until their leaves have expired. Their keys are gone.
    pub retired: Vec<Retired>,
    /// The longest lifetime of a leaf that may have been signed.
    pub leaf_lifetime_s: i64,
}

/// A certificate authority with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ca {
    /// Its own certificate, as PEM.
    pub certificate: String,
    /// Its private key, as PEM.
    pub key: Key,
    /// The last second of its validity, since 1970.
    pub not_after_s: i64,
}

/// An authority that does not sign yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Itself.
    pub ca: Ca,
    /// Since when it has been in the bundle, in seconds since 1970; `None` while it has not been seen there.
    pub published_s: Option<i64>,
}

/// An authority that signs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its certificate, as PEM.
    pub certificate: String,
    /// Until when it has to be trusted, in seconds since 1970.
    pub until_s: i64,
}

/// A private key, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub(super) String);

// === impl Authority ===

impl Authority {
    /// A new installation's.
    pub fn fresh(ca: Ca, leaf_lifetime_s: i64) -> Self {
        Self { signing: ca, next: None, retired: Vec::new(), leaf_lifetime_s }
    }

    /// What clients are to trust, as PEM: always the same text for the same authority.
    pub fn bundle(&self) -> String {
        let next = self.next.iter().map(|next| &next.ca.certificate);
        let retired = self.retired.iter().map(|retired| &retired.certificate);
        [&self.signing.certificate]
            .into_iter()
            .chain(next)
            .chain(retired)
            .map(|pem| format!("{}\n", pem.trim()))
            .collect()
    }

    /// Whether a leaf signed by that certificate is accepted by clients that have the bundle.
    pub fn trusts(&self, certificate: &str) -> bool {
        let next = self.next.iter().map(|next| &next.ca.certificate);
        let retired = self.retired.iter().map(|retired| &retired.certificate);
        [&self.signing.certificate].into_iter().chain(next).chain(retired).any(|known| known == certificate)
    }
}

// === impl Key ===

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}
