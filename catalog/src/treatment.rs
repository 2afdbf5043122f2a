//! What history did to an endpoint, for whoever tells of it.

use crate::digest::Digest;

/// What history did to an endpoint that would otherwise be as its origin and its checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// It is callable although it left: too many went at once.
    pub held: bool,
    /// It is kept out, whatever it says now: it fell too often.
    pub damped: bool,
    /// What its falls of late add up to.
    pub penalty: Option<Penalty>,
}

/// A penalty at a moment; it decays from there. Coarse: told anew when it has moved by a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// How much it was then.
    pub value: u32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Whether the endpoint was kept out then.
    pub damped: bool,
}

// === impl Treatment ===

impl Treatment {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.flag(self.held).flag(self.damped);
        if let Some(penalty) = &self.penalty {
            digest.number(penalty.value.into()).number(penalty.at_ms.unsigned_abs());
        }
    }
}
