//! How replicas know each other: by what each has put into its Lease, where nobody else may write.
//!
//! A Lease says which certificates its replica shows, and the hash of a token that only this process has. Who dials checks the
//! certificate, and then shows its own token; so both ends are proved, by the right to write Leases in this namespace alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_catalog::model::Name;
use rollcall_xds::tls::{self, Fingerprint};

/// What this replica proves itself with, and what it knows of others. Clones are the same.
#[derive(Clone)]
pub struct Proofs {
    me: Name,
    token: Arc<str>,
    known: Arc<Mutex<BTreeMap<Name, Fingerprint>>>,
}

// === impl Proofs ===

impl Proofs {
    /// A new token for `me`; nobody else is known. `None` when the operating system gives no randomness.
    pub fn new(me: Name) -> Option<Self> {
        let token = Fingerprint(tls::secret()?).to_string().into();
        Some(Self { me, token, known: Arc::default() })
    }

    /// The hash of the token, for the Lease.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.token.as_bytes())
    }

    /// What is shown to others: the identity, and the token.
    pub fn shown(&self) -> String {
        format!("{} {}", self.me, self.token)
    }

    /// The Leases say this now. Those of whom they say no more stay known: that they lapsed is no proof against anybody.
    pub fn know(&self, others: impl IntoIterator<Item = (Name, Fingerprint)>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(others);
    }

    /// These are gone for good.
    pub fn forget(&self, other: &Name) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(other);
    }

    /// Whether what was shown proves that it is a replica.
    pub fn proves(&self, shown: &str) -> bool {
        let Some((identity, token)) = shown.split_once(' ') else { return false };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Hashes are compared, of which an attacker learns nothing about a token by how long that takes.
        known.get(identity).is_some_and(|known| *known == Fingerprint::of(token.as_bytes()))
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").field("me", &self.me).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_token_of_a_lease_is_let_in() {
        let [a, b] = ["a", "b"].map(|name| Proofs::new(name.into()).expect("randomness"));
        assert!(!b.proves(&a.shown()), "nothing is known of it yet");
        b.know([("a".into(), a.fingerprint())]);
        assert!(b.proves(&a.shown()));
        for shown in [String::new(), "a".into(), format!("a {}", a.fingerprint()), b.shown(), format!("x{}", a.shown())]
        {
            assert!(!b.proves(&shown), "{shown}");
        }
        b.forget(&"a".into());
        assert!(!b.proves(&a.shown()));
        assert!(!format!("{a:?}").contains(&*a.token));
    }
}
