//! Who reads the catalog: what a caller shows, who they are by it, and what they may see for how long.

use std::{net::IpAddr, sync::Arc};

use futures::future::{self, BoxFuture, FutureExt as _};
use tonic::{Code, Request, Status};

use super::{NAME_KEY, Refusal};
use crate::{tls::Shown, view::Scope};

/// Says who readers are. Without it everybody reads everything.
#[derive(Clone)]
pub struct Readers(pub Arc<dyn Judges>);

/// Judges callers.
pub trait Judges: Send + Sync + 'static {
    /// Who shows this, and what they may see.
    ///
    /// # Errors
    /// When they may see nothing: UNAUTHENTICATED, PERMISSION_DENIED, or UNAVAILABLE while nobody knows, with words for the
    /// one who set the client up.
    fn judge(&self, showing: Showing) -> BoxFuture<'_, Result<Reader, Status>>;

    /// What of the catalog somebody sees who may know what the clients of all others hold.
    ///
    /// # Errors
    /// When they may not, as with [`judge`](Self::judge).
    fn judge_onlooker(&self, showing: Showing) -> BoxFuture<'_, Result<Scope, Status>>;
}

/// What a caller shows.
#[derive(Clone, Debug)]
pub struct Showing {
    /// The value of the metadata `authorization`.
    pub authorization: Option<Box<str>>,
    /// In the handshake.
    pub certificate: Shown,
    /// Where the call comes from.
    pub peer: Option<IpAddr>,
    /// Who it says that it is. Nobody proves that, so nothing is decided by it.
    pub says: Option<Box<str>>,
}

/// Somebody who reads.
pub struct Reader {
    /// For people; empty when nobody knows.
    pub name: Arc<str>,
    /// What they may see.
    pub scope: Scope,
    /// Ready when that is so no longer: the stream then ends with this status, and its client may come again.
    pub until: BoxFuture<'static, Status>,
}

/// Bytes of a name that a caller gives itself.
const NAME_MAX: usize = 253;

// === impl Readers ===

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

// === impl Showing ===

impl Showing {
    /// What the caller of this request shows. The text of the metadata is not kept where it is none.
    pub fn of<T>(request: &Request<T>) -> Self {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let name = request.metadata().get(NAME_KEY).and_then(|value| value.to_str().ok());
        Self {
            authorization: authorization.map(Box::from),
            certificate: request.extensions().get::<Shown>().cloned().unwrap_or_default(),
            peer: request.remote_addr().map(|peer| peer.ip()),
            says: name.filter(|name| name.len() <= NAME_MAX).map(Box::from),
        }
    }
}

// === impl Reader ===

impl Reader {
    /// Somebody whom nobody asks.
    pub fn anyone() -> Self {
        Self { name: Arc::default(), scope: Scope::All, until: future::pending().boxed() }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// How such a refusal is counted.
pub(super) fn counted_as(status: &Status) -> Refusal {
    match status.code() {
        Code::Unauthenticated => Refusal::Unauthenticated,
        Code::PermissionDenied => Refusal::Forbidden,
        _ => Refusal::Unjudged,
    }
}
