//! The phases of an authority's life: what is to be done next. Pure: no clock, no keys made, no I/O.
//!
//! ```text
//!           half of its life                 overlap                     longest leaf + overlap
//! signing ------------------> next published -------> next signs, old retired ----------------> old forgotten
//! ```

use std::time::Duration;

use crate::model::{Authority, Ca, Next, Retired};

#[cfg(test)]
mod tests;

/// What the flags ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Lifetime of an authority, in seconds.
    pub ca_lifetime_s: i64,
    /// Lifetime of a leaf, in seconds.
    pub leaf_lifetime_s: i64,
}

/// What is to be done before the next look. Any replica may do it: each writes only over what it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make an authority that signs at once: there is none, or it has run out with none to follow.
    Begin,
    /// Make the authority that will follow: there is none, or the one that was to would run out too soon.
    Announce,
    /// Write the authority in this state.
    Record(Authority),
    /// As `Record`, and signing moves to another authority by it.
    Promote(Authority),
    /// Write this bundle for clients.
    Publish(String),
    /// Nothing to write: leaves may be signed.
    Sign,
}

/// The longest that a bundle may take to reach clients when lifetimes are normal: the kubelet brings a changed ConfigMap
/// into pods within about two minutes.
const SPREAD_S: i64 = 300;

// === impl Settings ===

impl Settings {
    /// Lifetimes as the flags give them.
    pub fn new(ca: Duration, leaf: Duration) -> Self {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self { ca_lifetime_s: seconds(ca), leaf_lifetime_s: seconds(leaf) }
    }

    /// How long a new authority is in the bundle before it signs: a tenth of a leaf's lifetime and at least 5 minutes, less
    /// only where the authority itself lives for less than 50 minutes.
    pub fn overlap_s(self) -> i64 {
        (self.leaf_lifetime_s / 10).max(SPREAD_S.min(self.ca_lifetime_s / 10))
    }

    /// How often to look at what other replicas did.
    pub fn look_every(self) -> Duration {
        Duration::from_secs((self.overlap_s() / 4).clamp(1, 60).unsigned_abs())
    }

    fn turn_s(self, ca: &Ca) -> i64 {
        ca.not_after_s - self.ca_lifetime_s / 2
    }

    /// Too little is left to sign a leaf that is worth it.
    fn has_run_out(self, ca: &Ca, now_s: i64) -> bool {
        ca.not_after_s - now_s <= self.leaf_lifetime_s / 10
    }
}

/// What comes next, for the authority and the bundle as they were read.
pub fn step(authority: Option<&Authority>, bundle: Option<&str>, now_s: i64, settings: Settings) -> Step {
    let Some(authority) = authority else { return Step::Begin };
    if settings.has_run_out(&authority.signing, now_s) {
        return match &authority.next {
            Some(next) if !settings.has_run_out(&next.ca, now_s) => {
                Step::Promote(promoted(authority, &next.ca, now_s, settings))
            }
            _ => Step::Begin,
        };
    }
    if let Some(tidied) = tidied(authority, now_s, settings) {
        return Step::Record(tidied);
    }
    let wanted = authority.bundle();
    if bundle != Some(&wanted) {
        return Step::Publish(wanted);
    }
    match &authority.next {
        // Made for a shorter life than the flags ask for now, or left for too long: it would run out as soon as it signs.
        Some(next) if settings.has_run_out(&next.ca, now_s + settings.overlap_s()) => Step::Announce,
        Some(next) => follow(authority, next, now_s, settings),
        None if settings.turn_s(&authority.signing) <= now_s => Step::Announce,
        None => Step::Sign,
    }
}

/// With a new authority that signs at once. What signed before stays trusted for what is left of its life; where there is
/// no record of it, what this replica `remembers` ([`outgoing`] at its last look) does.
pub fn begun(before: Option<&Authority>, remembers: &[Retired], ca: Ca, now_s: i64, settings: Settings) -> Authority {
    match before {
        Some(before) => promoted(before, &ca, now_s, settings),
        None => {
            let retired = remembers.iter().filter(|retired| retired.until_s > now_s).cloned().collect();
            Authority { retired, ..Authority::fresh(ca, settings.leaf_lifetime_s) }
        }
    }
}

/// What stays trusted when another begins to sign: for what is left of the longest leaf, and the overlap.
pub fn outgoing(authority: &Authority, now_s: i64, settings: Settings) -> Vec<Retired> {
    let longest_s = authority.leaf_lifetime_s.max(settings.leaf_lifetime_s);
    let until_s = authority.signing.not_after_s.min(now_s + longest_s + settings.overlap_s());
    let old = Retired { certificate: authority.signing.certificate.clone(), until_s };
    authority.retired.iter().cloned().chain([old]).filter(|retired| retired.until_s > now_s).collect()
}

/// With a new authority that is to follow, in place of one that was.
pub fn announced(before: &Authority, ca: Ca) -> Authority {
    Authority { next: Some(Next { ca, published_s: None }), ..before.clone() }
}

fn follow(authority: &Authority, next: &Next, now_s: i64, settings: Settings) -> Step {
    match next.published_s {
        // Another replica's clock is ahead: what it noted must not hold the rotation up.
        Some(published_s) if published_s <= now_s => {
            if now_s - published_s < settings.overlap_s() {
                return Step::Sign;
            }
            Step::Promote(promoted(authority, &next.ca, now_s, settings))
        }
        Some(_) | None => {
            let next = Some(Next { published_s: Some(now_s), ..next.clone() });
            Step::Record(Authority { next, ..authority.clone() })
        }
    }
}

fn promoted(before: &Authority, ca: &Ca, now_s: i64, settings: Settings) -> Authority {
    Authority {
        signing: ca.clone(),
        next: None,
        retired: outgoing(before, now_s, settings),
        leaf_lifetime_s: before.leaf_lifetime_s.max(settings.leaf_lifetime_s),
    }
}

/// Without what need not be trusted any more, and with the lifetime that leaves are about to have.
fn tidied(authority: &Authority, now_s: i64, settings: Settings) -> Option<Authority> {
    let mut tidy = authority.clone();
    tidy.retired.retain(|retired| retired.until_s > now_s);
    tidy.leaf_lifetime_s = tidy.leaf_lifetime_s.max(settings.leaf_lifetime_s);
    (tidy != *authority).then_some(tidy)
}
