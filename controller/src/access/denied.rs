//! A no, in words with the remedy.

use std::time::Duration;

/// Why somebody may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error(
        "a bearer token or a client certificate is needed here: send `Authorization: Bearer TOKEN` (`kubectl create token \
         NAME -n NAMESPACE` gives the token of a ServiceAccount), or show a certificate of an authority of clients (--client-ca)"
    )]
    NoCredential,
    /// What was shown is not known.
    #[error(
        "the API server does not know this token ({0}); it may have expired, be meant for another audience, or be of \
         another cluster"
    )]
    Unknown(String),
    /// A certificate that proves nothing.
    #[error("the client certificate is not accepted: {0}")]
    Certificate(String),
    /// A certificate that names nobody.
    #[error("the client certificate has no common name (CN), which would be the user; issue one that has")]
    Nameless,
    /// They are known, and may not.
    #[error("{who} may not {what}; bind a Role that allows it, such as the ClusterRole {role}{why}")]
    Forbidden {
        /// Who they are.
        who: String,
        /// What they wanted.
        what: String,
        /// A role that would do.
        role: &'static str,
        /// What the authorizer added, in parentheses.
        why: String,
    },
    /// Too many bad tokens from one address, or too many questions at a time.
    #[error("{0}; try again in {seconds} s", seconds = .1.as_secs())]
    Busy(&'static str, Duration),
    /// Nobody can be asked.
    #[error("the API server cannot be asked who you are and what you may do: {0}; this is tried again at each request")]
    Unavailable(String),
}

// === impl Denied ===

impl Denied {
    /// The role of the chart that allows it.
    pub(super) fn role(resource: &str, verb: &str) -> &'static str {
        match (resource, verb) {
            ("exports", _) => "rollcall-peer",
            ("streams", "get") => "rollcall-reader",
            (_, "get" | "list" | "watch") => "rollcall-view",
            ("serviceregistrations/agent" | "serviceregistrations/beat", _) => "rollcall-agent",
            _ => "rollcall-edit",
        }
    }

    /// In how long to try again, where that may help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(_, after) => Some(*after),
            Self::Unavailable(_) => Some(Duration::from_secs(1)),
            Self::NoCredential | Self::Unknown(_) | Self::Certificate(_) | Self::Nameless | Self::Forbidden { .. } => {
                None
            }
        }
    }
}
