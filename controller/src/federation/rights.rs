//! Which namespaces a peer may see: by RBAC, with the token of a ServiceAccount of this cluster, or a client certificate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt};
use rollcall_catalog::model::Name;
use rollcall_xds::server::Showing;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::access::{Access, Denied, Identity, Right};

/// Asks the API server. Clones remember the same.
#[derive(Clone, Debug)]
pub struct Rights {
    access: Access,
    /// Peers about whose namespaces it is asked at a time. One after the other is done, rather than all at last.
    desks: Arc<Semaphore>,
    /// What each user saw last. It grants nothing: a right is asked for, or remembered by [`Access`] for as long as that counts.
    last: Arc<Mutex<BTreeMap<String, Scope>>>,
}

/// What somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The exports of every namespace.
    All,
    /// Those of some.
    Namespaces(BTreeSet<Name>),
}

/// The same, with what is not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What is.
    pub scope: Scope,
    /// Namespaces with exports in which they may not, the one that was asked about longest ago first.
    refused: VecDeque<Name>,
    /// How many namespaces with exports are not asked about, being too many.
    pub unasked: usize,
}

/// No resource that exists: `get` of it, in a namespace, is the right to its exports.
const RESOURCE: &str = "exports";
/// Said to a cluster that shows nothing that can be checked.
const NO_CREDENTIAL: &str = "no certificate came by the handshake: this cluster asks for one only if it knows who signs them (--client-ca); \
                             or give the link a token";
/// For each further namespace the API server is asked once more: a second or two for so many, and a link waits for eight.
pub const NAMESPACES_MAX: usize = 4_096;
/// Of those in which somebody may not, so many are asked about again at a review, in turn. Those in which they may all are.
const REFUSED_AGAIN: usize = 256;
/// Questions at a time about one peer's namespaces, and peers: others have places at the API server, too.
const AT_A_TIME: usize = 8;
const PEERS_AT_A_TIME: usize = 2;
/// Users whose last scope is remembered.
const USERS_MAX: usize = 4_096;

// === impl Scope ===

impl Scope {
    /// Whether the exports of this namespace are seen.
    pub fn sees(&self, namespace: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

// === impl Rights ===

impl Rights {
    /// Asks by this.
    pub fn new(access: Access) -> Self {
        Self { access, desks: Arc::new(Semaphore::new(PEERS_AT_A_TIME)), last: Arc::default() }
    }

    /// What whoever shows this token or certificate may see of the namespaces that have exports; `before`: what that was a minute ago.
    /// While the API server is away it is what it was, as long as what was allowed is remembered.
    ///
    /// # Errors
    /// When it is nothing, or nobody can be asked.
    pub async fn sight(
        &self,
        showing: &Showing,
        exporting: &BTreeSet<Name>,
        before: Option<&Sight>,
    ) -> Result<Sight, Status> {
        let peer = showing.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let who =
            self.access.caller(showing.authorization.as_deref(), &showing.certificate, peer).await.map_err(status)?;
        let (everywhere, last) = (self.access.may(&who, right("")).await, self.last(who.user()));
        let sight = match (everywhere, last) {
            (Ok(()), _) => Sight { scope: Scope::All, refused: VecDeque::new(), unasked: 0 },
            (Err(no @ Denied::Forbidden { .. }), last) => {
                let _desk = self.desks.acquire().await; // never closed
                let sight = self.of_namespaces(&who, exporting, before, last.as_ref()).await?;
                match &sight.scope {
                    Scope::Namespaces(seen) if seen.is_empty() => return Err(status(no)),
                    Scope::Namespaces(_) | Scope::All => sight,
                }
            }
            (Err(away), Some(Scope::Namespaces(seen))) => {
                let remembered = self.ask(&who, seen.iter().cloned().collect(), false).await;
                remembered.ok().filter(|(_, refused)| refused.is_empty()).ok_or_else(|| status(away))?;
                let (refused, unasked) = before.map(|sight| (sight.refused.clone(), sight.unasked)).unwrap_or_default();
                Sight { scope: Scope::Namespaces(seen), refused, unasked }
            }
            (Err(away), Some(Scope::All) | None) => return Err(status(away)),
        };
        self.remember(who.user(), &sight.scope);
        Ok(sight)
    }

    async fn of_namespaces(
        &self,
        who: &Identity,
        exporting: &BTreeSet<Name>,
        before: Option<&Sight>,
        last: Option<&Scope>,
    ) -> Result<Sight, Status> {
        let resting: VecDeque<Name> =
            before.into_iter().flat_map(|sight| sight.refused.iter().skip(REFUSED_AGAIN)).cloned().collect();
        let rests: BTreeSet<&Name> = resting.iter().collect();
        let saw = |namespace: &Name| matches!(last, Some(Scope::Namespaces(seen)) if seen.contains(namespace));
        // What they saw first: it is remembered, whether or not somebody answers.
        let (first, then): (Vec<_>, Vec<_>) = exporting
            .iter()
            .take(NAMESPACES_MAX)
            .filter(|namespace| !rests.contains(namespace))
            .cloned()
            .partition(saw);
        let (mut seen, lost) = self.ask(who, first, false).await?;
        let (more, refused) = self.ask(who, then, last.is_some()).await?;
        seen.extend(more);
        let still = |namespace: &Name| exporting.contains(namespace);
        let refused = resting.into_iter().filter(still).chain(lost).chain(refused).collect();
        Ok(Sight { scope: Scope::Namespaces(seen), refused, unasked: exporting.len().saturating_sub(NAMESPACES_MAX) })
    }

    /// In which of these they may, and in the others they may not: nor where nobody answers, if that `may_wait`.
    async fn ask(
        &self,
        who: &Identity,
        namespaces: Vec<Name>,
        may_wait: bool,
    ) -> Result<(BTreeSet<Name>, Vec<Name>), Status> {
        let mut seen = BTreeSet::new();
        let answers = stream::iter(namespaces.clone()).map(|namespace| {
            let (access, who) = (self.access.clone(), who.clone());
            async move {
                let said = access.may(&who, right(&namespace)).await;
                (namespace, said)
            }
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_A_TIME));
        while let Some((namespace, said)) = answers.next().await {
            match said {
                Ok(()) => _ = seen.insert(namespace),
                Err(Denied::Forbidden { .. }) => {}
                Err(_) if may_wait => break,
                Err(denied) => return Err(status(denied)),
            }
        }
        let refused = namespaces.iter().filter(|namespace| !seen.contains(*namespace)).cloned().collect();
        Ok((seen, refused))
    }

    fn last(&self, user: &str) -> Option<Scope> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    fn remember(&self, user: &str, scope: &Scope) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= USERS_MAX && !last.contains_key(user) {
            last.clear();
        }
        last.insert(user.to_owned(), scope.clone());
    }
}

fn right(namespace: &str) -> Right<'_> {
    Right { verb: "get", resource: RESOURCE, namespace, name: "" }
}

fn status(denied: Denied) -> Status {
    match denied {
        Denied::NoCredential => Status::unauthenticated(NO_CREDENTIAL),
        Denied::Unknown(_) | Denied::Certificate(_) | Denied::Nameless => Status::unauthenticated(denied.to_string()),
        Denied::Forbidden { .. } => Status::permission_denied(denied.to_string()),
        Denied::Busy(..) | Denied::Unavailable(_) => Status::unavailable(denied.to_string()),
    }
}

#[cfg(test)]
mod tests;
