//! Who reads the stream, and which namespaces they see: by RBAC, with a token or a client certificate.
//!
//! ```text
//!  a call's token or certificate --> access/ --Identity--> may they `get streams`: everywhere? in which namespaces? --> Scope
//!            ^                                                                                               |
//!            +---- asked again while the stream is open, which ends when the answer is another one <---------+
//! ```
//!
//! Neither an API server that is away nor one that is slow ends a stream that is open.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use rollcall_xds::server::{Judges, Reader, Readers, Showing};
use rollcall_xds::view::Scope;
use tonic::{Code, Status};

use crate::access::{Access, Denied, Identity, Right};
use crate::time::random;
use crate::writer::Snapshots;

#[cfg(test)]
mod tests;

/// Who may read the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody who reaches it, everything.
    Anyone,
    /// Whoever shows who they are, everything.
    Authenticated,
    /// Whoever shows who they are, what RBAC lets them see.
    Authorized,
}

/// Asks the API server.
#[derive(Clone)]
struct Rights {
    access: Access,
    /// Without, everybody sees everything.
    snapshots: Option<Snapshots>,
}

/// What somebody may see.
struct Seen {
    scope: Scope,
    /// Otherwise it may be more: of some namespaces nobody could be asked.
    is_certain: bool,
}

/// No resource that exists: `get` of it, in a namespace, is the right to what the stream says of that namespace.
const RESOURCE: &str = "streams";

/// For each further namespace the API server is asked once more.
const NAMESPACES_MAX: usize = 512;

/// How often it is looked at again whether somebody may still see what they see, by an answer of the API server that is at
/// most two minutes old.
const REVIEW: Duration = Duration::from_secs(60);

/// After so many of them the token or certificate is looked at as well: each stream has its own, and ten thousand of them
/// are 17 questions a second.
const REVIEWS_A_CREDENTIAL: u32 = 10;

/// How long a new stream waits for the first list of services; as the stream's own wait.
const UNSYNCED_WAIT: Duration = Duration::from_secs(3);

/// Said to a reader that shows nothing.
const NO_CREDENTIAL: &str = "readers of this stream say who they are (--readers): with a client certificate, or with a bearer token \
                             in the metadata `authorization`; DNS servers by --catalog-token-file, gRPC by call_creds \
                             jwt_token_file or a certificate in channel_creds, see docs/xds.md";

/// What judges readers; `None` when everybody may read.
pub fn start(who: Who, access: &Access, snapshots: &Snapshots) -> Option<Readers> {
    let snapshots = match who {
        Who::Anyone => return None,
        Who::Authenticated => None,
        Who::Authorized => Some(snapshots.clone()),
    };
    Some(Readers(Arc::new(Rights { access: access.clone(), snapshots })))
}

// === impl Who ===

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "anyone" => Ok(Self::Anyone),
            "authenticated" => Ok(Self::Authenticated),
            "authorized" => Ok(Self::Authorized),
            _ => Err("give anyone, authenticated, or authorized".to_owned()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "anyone",
            Self::Authenticated => "authenticated",
            Self::Authorized => "authorized",
        })
    }
}

// === impl Seen ===

impl Seen {
    fn exactly(scope: Scope) -> Self {
        Self { scope, is_certain: true }
    }
}

// === impl Rights ===

impl Rights {
    /// Who calls.
    async fn who(&self, showing: &Showing) -> Result<Identity, Denied> {
        let peer = showing.peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        self.access.caller(showing.authorization.as_deref(), &showing.certificate, peer).await
    }

    /// What they may see now.
    async fn seen(&self, who: &Identity) -> Result<Seen, Denied> {
        let Some(snapshots) = &self.snapshots else { return Ok(Seen::exactly(Scope::All)) };
        // For all pods of a ServiceAccount alike, so that the question is asked once.
        let account = self.access.without_extra(who);
        let denied = match self.access.may(&account, right("")).await {
            Ok(()) => return Ok(Seen::exactly(Scope::All)),
            Err(denied) => denied,
        };
        let mut is_certain = is_no(&denied);
        let mut seen: Vec<Arc<str>> = Vec::new();
        let namespaces = namespaces(snapshots, who.service_account().map(|(own, _)| own));
        let questions = namespaces.iter().map(|namespace| self.access.may(&account, right(namespace)));
        for (namespace, said) in namespaces.iter().zip(future::join_all(questions).await) {
            match said {
                Ok(()) => seen.push(Arc::clone(namespace)),
                Err(denied) => is_certain &= is_no(&denied),
            }
        }
        if seen.is_empty() { Err(denied) } else { Ok(Seen { scope: Scope::Namespaces(seen.into()), is_certain }) }
    }

    /// Ready when they may see something else than `scope`, with what to tell them.
    async fn until(self, showing: Showing, mut who: Identity, scope: Scope) -> Status {
        for round in 1.. {
            // Not all at once, where a replica has just taken over the streams of another.
            tokio::time::sleep(REVIEW.mul_f64(0.75 + random::fraction() / 4.0)).await;
            // The questions are some kilobytes while they are asked, and nothing meanwhile.
            if round % REVIEWS_A_CREDENTIAL == 0 {
                match Box::pin(self.who(&showing)).await {
                    Ok(now) => who = now,
                    Err(denied) if is_no(&denied) => return status(&denied),
                    Err(_) => continue,
                }
            }
            match Box::pin(self.seen(&who)).await {
                Ok(now) if now.scope == scope || !now.is_certain => {}
                Ok(_) => break,
                Err(denied) if is_no(&denied) => return status(&denied),
                Err(_) => {}
            }
        }
        Status::unavailable("what this client may see has changed; connect again")
    }

    /// Waits for the services whose namespaces are to be asked about.
    async fn synced(&self) -> Result<(), Status> {
        let Some(mut snapshots) = self.snapshots.clone() else { return Ok(()) };
        let synced = tokio::time::timeout(UNSYNCED_WAIT, snapshots.wait_for(Option::is_some)).await;
        let late = || Status::unavailable("the catalog has not synced yet; try another replica, or again");
        synced.ok().and_then(Result::ok).map(|_| ()).ok_or_else(late)
    }
}

impl Judges for Rights {
    fn judge(&self, showing: Showing) -> BoxFuture<'_, Result<Reader, Status>> {
        Box::pin(async move {
            self.synced().await?;
            let who = self.who(&showing).await.map_err(|denied| status(&denied))?;
            let Seen { scope, .. } = self.seen(&who).await.map_err(|denied| status(&denied))?;
            let name = who.to_string().into();
            Ok(Reader { name, scope: scope.clone(), until: self.clone().until(showing, who, scope).boxed() })
        })
    }

    fn judge_onlooker(&self, showing: Showing) -> BoxFuture<'_, Result<Scope, Status>> {
        Box::pin(async move {
            self.synced().await?;
            let who = self.who(&showing).await.map_err(|denied| status(&denied))?;
            let account = self.access.without_extra(&who);
            let right = Right { verb: "list", resource: RESOURCE, namespace: "", name: "" };
            self.access.may(&account, right).await.map_err(|denied| status(&denied))?;
            // What resources say is told to those who could read them.
            Ok(self.seen(&who).await.map_or_else(|_| Scope::Namespaces(Arc::default()), |seen| seen.scope))
        })
    }
}

/// Those in which there are services, and one's own.
fn namespaces(snapshots: &Snapshots, own: Option<&str>) -> BTreeSet<Arc<str>> {
    let snapshot = snapshots.borrow().clone();
    let services = snapshot.iter().flat_map(|snapshot| snapshot.services());
    let mut all: BTreeSet<Arc<str>> = BTreeSet::new();
    for service in services {
        if !all.contains(&*service.key.namespace) && all.len() < NAMESPACES_MAX {
            all.insert((*service.key.namespace).into());
        }
    }
    all.extend(own.map(Arc::from));
    all
}

fn right(namespace: &str) -> Right<'_> {
    Right { verb: "get", resource: RESOURCE, namespace, name: "" }
}

fn status(denied: &Denied) -> Status {
    match denied {
        Denied::NoCredential => Status::new(Code::Unauthenticated, NO_CREDENTIAL),
        Denied::Unknown(_) | Denied::Certificate(_) | Denied::Nameless => Status::unauthenticated(denied.to_string()),
        Denied::Forbidden { .. } => Status::permission_denied(denied.to_string()),
        Denied::Busy(..) | Denied::Unavailable(_) => Status::unavailable(denied.to_string()),
    }
}

/// Whether it is a no. Who reads already goes on with what they were allowed while nobody knows.
fn is_no(denied: &Denied) -> bool {
    !matches!(denied, Denied::Unavailable(_) | Denied::Busy(..))
}
