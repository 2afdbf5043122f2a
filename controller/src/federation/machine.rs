//! How a link to another cluster is: connecting, connected, suspect, expired. Pure; time is a parameter.
//!
//! Only a beat makes a link connected, and a beat is only sent after all that the other cluster exports has come: so nothing is
//! pruned before the first full state. Silence alone makes it suspect and then expired; a stream that breaks and comes back
//! within the time is no news.

use rollcall_crds::LinkState;
use rollcall_crds::link::{ThenWhenSilent, WhenSilent};

/// What a link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence from which it is suspect, in milliseconds.
    pub suspect_after_ms: u64,
    /// Silence from which it is expired, in milliseconds; at least as long.
    pub expire_after_ms: u64,
    /// What becomes of what it exported then.
    pub then: ThenWhenSilent,
}

/// A link, from the beginning of this process on.
#[derive(Clone, Debug)]
pub struct Machine {
    patience: Patience,
    state: LinkState,
    /// When it was heard last; before that, when this process began to wait.
    heard_ms: u64,
    /// It was heard by this process.
    heard: bool,
    /// An earlier process left something of it.
    kept: bool,
}

/// What the catalog is told of a cluster's exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it says them.
    Fresh,
    /// As it said them, to be called last.
    Suspect,
    /// Nothing.
    Gone,
}

/// How long a cluster that is heard every three seconds may be silent.
const SUSPECT_AFTER_MS: u64 = 10_000;
const EXPIRE_AFTER_MS: u64 = 15 * 60_000;

// === impl Patience ===

impl Patience {
    /// What a link says, with the defaults of what it leaves out.
    pub fn of(said: Option<&WhenSilent>) -> Self {
        let ms = |duration: rollcall_crds::ApiDuration| u64::try_from(duration.get().as_millis()).unwrap_or(u64::MAX);
        let suspect_after_ms = said.and_then(|said| said.suspect_after).map_or(SUSPECT_AFTER_MS, ms);
        let expire_after_ms = said.and_then(|said| said.expire_after).map_or(EXPIRE_AFTER_MS, ms);
        Self {
            suspect_after_ms,
            expire_after_ms: expire_after_ms.max(suspect_after_ms),
            then: said.and_then(|said| said.then).unwrap_or_default(),
        }
    }
}

// === impl Machine ===

impl Machine {
    /// One that was not heard yet. `kept`: an earlier process left something of it, whose time runs from now on.
    pub fn new(patience: Patience, kept: bool, now_ms: u64) -> Self {
        Self { patience, state: LinkState::Connecting, heard_ms: now_ms, heard: false, kept }
    }

    /// The link allows something else from now on.
    pub fn allow(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// A beat has come.
    pub fn heard(&mut self, now_ms: u64) {
        (self.state, self.heard_ms) = (LinkState::Connected, now_ms.max(self.heard_ms));
        self.heard = true;
    }

    /// Something else than a beat has come: it lives, if it is connected at all.
    pub fn sign(&mut self, now_ms: u64) {
        if self.heard && self.state == LinkState::Connected {
            self.heard_ms = now_ms.max(self.heard_ms);
        }
    }

    /// Time has passed. Who was never heard and left nothing behind stays connecting for ever.
    pub fn advance(&mut self, now_ms: u64) {
        if !self.kept && !self.heard {
            return;
        }
        let silence_ms = now_ms.saturating_sub(self.heard_ms);
        self.state = match self.heard {
            _ if silence_ms >= self.patience.expire_after_ms => LinkState::Expired,
            _ if silence_ms >= self.patience.suspect_after_ms => LinkState::Suspect,
            // Without a beat it never reads connected.
            false => LinkState::Connecting,
            true => LinkState::Connected,
        };
    }

    /// When it will be something else if it is not heard, in milliseconds of the same clock.
    pub fn again_ms(&self) -> Option<u64> {
        let after_ms = match self.state {
            LinkState::Connecting if !self.kept && !self.heard => return None,
            LinkState::Connecting | LinkState::Connected => self.patience.suspect_after_ms,
            LinkState::Suspect => self.patience.expire_after_ms,
            LinkState::Expired | LinkState::Other => return None,
        };
        Some(self.heard_ms.saturating_add(after_ms))
    }

    /// How it is.
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// The longest of its bounds that its silence has passed, in words.
    pub fn silent_for(&self) -> String {
        let ms = match self.state {
            LinkState::Expired => self.patience.expire_after_ms,
            LinkState::Connecting | LinkState::Connected | LinkState::Suspect | LinkState::Other => {
                self.patience.suspect_after_ms
            }
        };
        rollcall_catalog::time::words(std::time::Duration::from_millis(ms))
    }

    /// What the catalog is told.
    pub fn standing(&self) -> Standing {
        match (self.state, self.patience.then) {
            (LinkState::Connecting | LinkState::Connected | LinkState::Other, _) => Standing::Fresh,
            (LinkState::Suspect, _) | (LinkState::Expired, ThenWhenSilent::Keep | ThenWhenSilent::Unsupported) => {
                Standing::Suspect
            }
            (LinkState::Expired, ThenWhenSilent::Remove) => Standing::Gone,
        }
    }
}

#[cfg(test)]
mod tests;
