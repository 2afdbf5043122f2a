//! Who may see and change what is below `/debug/`.
//!
//! Loopback says nothing about the caller where a proxy runs beside the process: behind a sidecar everybody arrives from
//! there. So a caller shows a bearer token, and the API server, asked with that token, says whether its owner may forward a
//! port to the pods of the namespace: as always, whoever may do that may look in, and no further right is needed, neither
//! theirs nor ours. Loopback is asked for beside it, so that no token crosses a network in plaintext.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api_server::{ApiError, ApiServer};
use crate::bucket::Bucket;
use crate::routes::Reply;

#[cfg(test)]
mod tests;

/// What protects the pages below `/debug/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugAccess {
    /// A bearer token of somebody who may forward ports to the pods of the namespace, and loopback.
    #[default]
    Token,
    /// Loopback alone: for a machine on which nothing forwards to this process.
    Loopback,
}

/// Judges callers. Clones share what they know.
#[derive(Clone)]
pub struct Access(Arc<Judge>);

enum Judge {
    Loopback,
    Token(Tokens),
}

struct Tokens {
    /// Empty: all of them.
    namespace: String,
    /// `None` where there is no API server to ask.
    reviewer: Option<Box<dyn Reviewer>>,
    known: Mutex<VecDeque<Known>>,
    keys: RandomState,
    reviews: Bucket,
}

/// A token that was judged. It is not kept itself.
struct Known {
    hash: u64,
    allowed: bool,
    until: Instant,
}

/// Asks the API server, with the token of a caller, whether its owner may do something.
pub(crate) trait Reviewer: Send + Sync {
    /// `review` is a SelfSubjectAccessReview. Its answer.
    fn review<'a>(
        &'a self,
        token: &'a str,
        review: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send + 'a>>;
}

/// How long a token that was judged is not asked about again.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Tokens known at a time.
const KNOWN_MAX: usize = 32;
/// Of tokens, in bytes. Those of ServiceAccounts have about 1,000.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Questions to the API server: whoever can send requests here can cause them.
const REVIEWS: (u32, Duration) = (10, Duration::from_millis(500));
/// Every authenticated user may ask it about themselves (ClusterRole `system:basic-user`).
const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

// === impl Access ===

impl Access {
    /// As set by `--debug-access`, for the pods of this namespace; all namespaces if it is empty.
    pub fn new(access: DebugAccess, namespace: &str) -> Self {
        match access {
            DebugAccess::Loopback => Self(Arc::new(Judge::Loopback)),
            DebugAccess::Token => {
                let api = ApiServer::of_this_pod();
                Self::by(namespace, api.map(|api| Box::new(api) as Box<dyn Reviewer>))
            }
        }
    }

    fn by(namespace: &str, reviewer: Option<Box<dyn Reviewer>>) -> Self {
        let reviews = Bucket::new(REVIEWS.0, REVIEWS.1);
        let (namespace, known, keys) = (namespace.to_owned(), Mutex::default(), RandomState::new());
        Self(Arc::new(Judge::Token(Tokens { namespace, reviewer, known, keys, reviews })))
    }

    #[cfg(test)]
    pub(crate) fn with_reviewer(namespace: &str, reviewer: impl Reviewer + 'static) -> Self {
        Self::by(namespace, Some(Box::new(reviewer)))
    }

    /// Whether a token is asked for.
    pub(crate) fn wants_token(&self) -> bool {
        matches!(&*self.0, Judge::Token(_))
    }

    /// Whether a caller from loopback with these headers may go on; if not, the answer for them.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<(), Reply> {
        match &*self.0 {
            Judge::Loopback => Ok(()),
            Judge::Token(tokens) => tokens.admit(headers).await,
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("wants_token", &self.wants_token()).finish()
    }
}

// === impl Tokens ===

impl Tokens {
    async fn admit(&self, headers: &HeaderMap) -> Result<(), Reply> {
        let Some(reviewer) = &self.reviewer else {
            let sentence = "no cluster is there that could say who you are; start this process with --debug-access=loopback \
                            to answer whoever is on this machine\n";
            return Err(Reply::text(sentence).with_status(StatusCode::FORBIDDEN));
        };
        let Some(token) = bearer(headers) else { return Err(self.unknown("a bearer token is needed here")) };
        let hash = self.keys.hash_one(token);
        let allowed = match self.judged(hash, Instant::now()) {
            Some(allowed) => allowed,
            None => self.ask(&**reviewer, token, hash).await?,
        };
        if allowed { Ok(()) } else { Err(self.forbidden()) }
    }

    async fn ask(&self, reviewer: &dyn Reviewer, token: &str, hash: u64) -> Result<bool, Reply> {
        if !self.reviews.take(Instant::now()) {
            let sentence = "too many unknown tokens were shown; try again in some seconds\n";
            return Err(Reply::text(sentence).with_status(StatusCode::TOO_MANY_REQUESTS));
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": self.namespace, "verb": "create", "resource": "pods", "subresource": "portforward",
            } },
        });
        match reviewer.review(token, &review).await {
            Ok(answer) => {
                let allowed = answer["status"]["allowed"] == true;
                self.know(hash, allowed, Instant::now());
                Ok(allowed)
            }
            Err(ApiError::Refused(StatusCode::UNAUTHORIZED, _)) => {
                Err(self.unknown("the API server does not know this token; it may have expired"))
            }
            Err(error) => {
                let sentence = format!("nobody could be asked who you are: {error}\n");
                Err(Reply::text(sentence).with_status(StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }

    fn judged(&self, hash: u64, now: Instant) -> Option<bool> {
        let mut known = self.known();
        known.retain(|known| known.until > now);
        known.iter().find(|known| known.hash == hash).map(|known| known.allowed)
    }

    fn know(&self, hash: u64, allowed: bool, now: Instant) {
        let mut known = self.known();
        known.truncate(KNOWN_MAX - 1);
        known.push_front(Known { hash, allowed, until: now + KNOWN_FOR });
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self, why: &str) -> Reply {
        let namespace = match self.namespace.as_str() {
            "" => String::new(),
            namespace => format!(" -n {namespace}"),
        };
        let sentence = format!(
            "{why}: that of somebody who may forward ports to the pods, such as a ServiceAccount's: curl -H \"Authorization: \
             Bearer $(kubectl{namespace} create token NAME --duration=10m)\" …\n"
        );
        Reply::text(sentence).with_status(StatusCode::UNAUTHORIZED)
    }

    fn forbidden(&self) -> Reply {
        let place = match self.namespace.as_str() {
            "" => "in all namespaces".to_owned(),
            namespace => format!("in namespace {namespace}"),
        };
        let sentence =
            format!("the owner of this token may not create pods/portforward {place}; bind a role that may\n");
        Reply::text(sentence).with_status(StatusCode::FORBIDDEN)
    }
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let good = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    good.then_some(token)
}

impl Reviewer for ApiServer {
    fn review<'a>(
        &'a self,
        token: &'a str,
        review: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send + 'a>> {
        Box::pin(async move {
            let answer = self.post_as(token, PATH, review.to_string()).await?;
            Ok(serde_json::from_slice(&answer).unwrap_or_default())
        })
    }
}

// === impl DebugAccess ===

impl FromStr for DebugAccess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "loopback" => Ok(Self::Loopback),
            other => Err(format!("unknown protection {other:?}; use token or loopback")),
        }
    }
}

impl fmt::Display for DebugAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Loopback => "loopback",
        })
    }
}
