//! Why an endpoint was kept out, in words for its owner.

use std::fmt;

use super::Why;

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed { address, winner, name } => {
                write!(
                    f,
                    "address {address} is claimed by {winner} (endpoint {name}) already; give it up in one of the two"
                )
            }
            Self::Refused(address, refusal) => write!(f, "address {address} {refusal}"),
            Self::UnknownPorts(mismatch) => mismatch.fmt(f),
            Self::Unusable(problem) => f.write_str(&problem.words),
            Self::NoService => f.write_str("no Service of this name exists; its EndpointSlices wait for one"),
            Self::Deregistered(gone) => write!(
                f,
                "taken out, as it has been failing for longer than deregisterAfter ({}): {}; it returns when its checks \
                 pass",
                crate::time::words(gone.after),
                gone.reason
            ),
            Self::PodGone => f.write_str("its pod is gone; its EndpointSlice has yet to say so"),
            Self::Alias(target) => write!(
                f,
                "the Service is of type ExternalName, so callers are sent to {target}; remove spec.type and \
                 spec.externalName of the Service to have its endpoints called"
            ),
            Self::Family(families) => write!(
                f,
                "the Service is for {} and the endpoint has no such address; give it one, or add its family to \
                 spec.ipFamilies of the Service",
                if families.v4 { "IPv4" } else { "IPv6" }
            ),
        }
    }
}
