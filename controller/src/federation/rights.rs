//! Which namespaces a peer may see: by RBAC, with the token of a ServiceAccount of this cluster, or a client certificate.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use rollcall_catalog::model::Name;
use rollcall_xds::server::Showing;
use tonic::Status;

use crate::access::{Access, Denied, Right};

/// Asks the API server.
#[derive(Clone, Debug)]
pub struct Rights(Access);

/// What somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The exports of every namespace.
    All,
    /// Those of some.
    Namespaces(BTreeSet<Name>),
}

/// No resource that exists: `get` of it, in a namespace, is the right to its exports.
const RESOURCE: &str = "exports";
/// Said to a cluster that shows nothing that can be checked.
const NO_CREDENTIAL: &str = "no certificate came by the handshake: this cluster asks for one only if it knows who signs them (--client-ca); \
                             or give the link a token";
/// For each further namespace the API server is asked once more.
const NAMESPACES_MAX: usize = 256;

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
        Self(access)
    }

    /// What whoever shows this token or certificate may see of the namespaces that have exports.
    ///
    /// # Errors
    /// When it is nothing, or nobody can be asked.
    pub async fn scope(&self, showing: &Showing, exporting: BTreeSet<Name>) -> Result<Scope, Status> {
        let peer = showing.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let who = self.0.caller(showing.authorization.as_deref(), &showing.certificate, peer).await.map_err(status)?;
        let everywhere = match self.0.may(&who, right("")).await {
            Ok(()) => return Ok(Scope::All),
            Err(denied @ Denied::Forbidden { .. }) => denied,
            Err(denied) => return Err(status(denied)),
        };
        let mut seen = BTreeSet::new();
        for namespace in exporting.into_iter().take(NAMESPACES_MAX) {
            match self.0.may(&who, right(&namespace)).await {
                Ok(()) => _ = seen.insert(namespace),
                Err(Denied::Forbidden { .. }) => {}
                Err(denied) => return Err(status(denied)),
            }
        }
        if seen.is_empty() { Err(status(everywhere)) } else { Ok(Scope::Namespaces(seen)) }
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
