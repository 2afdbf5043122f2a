//! Where beats go, from whoever hears them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;
use rollcall_health::beat::beats::Unknown;
use rollcall_health::beat::hearsay::Overheard;
use rollcall_health::beat::{Beating, Beats, Change, Due, Heard, Heartbeat, Said};
use rollcall_health::checks::Listening;
use rollcall_health::owner;
use tokio::sync::Notify;

use super::metrics::{Metrics, Way};
use crate::replicas::Roster;
use crate::time::clock::Clock;

/// Hears beats. Clones are the same; nothing here waits.
#[derive(Clone, Debug)]
pub struct Hearing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    roster: Roster,
    state: Mutex<State>,
    clock: Clock,
    metrics: Metrics,
    /// Somebody is to beat, after nobody was.
    occupied: Notify,
    /// There is something to tell the checks.
    news: Notify,
    /// There is something to tell other replicas.
    hearsay: Notify,
}

#[derive(Debug, Default)]
struct State {
    beats: Beats,
    /// What was not told yet, of each endpoint the latest: bounded by what is registered.
    untold: BTreeMap<(Arc<Origin>, Name), Change>,
}

/// Why a beat is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such registration.
    #[error(
        "there is no ServiceRegistration {namespace}/{name}; create it first, or beat for one that `kubectl get svcreg -n \
         {namespace}` shows. One that was created a moment ago is known within a second"
    )]
    UnknownRegistration {
        /// Its namespace.
        namespace: Name,
        /// Its name.
        name: Name,
    },
    /// It has no such endpoint.
    #[error(
        "ServiceRegistration {namespace}/{name} has no endpoint {endpoint:?}; beat for a name in its spec.endpoints, or add it \
         there"
    )]
    UnknownEndpoint {
        /// The registration's namespace.
        namespace: Name,
        /// Its name.
        name: Name,
        /// What was asked for, cut if it is no name.
        endpoint: String,
    },
    /// Its endpoints do not beat.
    #[error(
        "ServiceRegistration {namespace}/{name} has no heartbeat, so beats would say nothing; give it `heartbeat: {{}}` in its \
         spec for one each second, or stop beating"
    )]
    NoHeartbeat {
        /// The registration's namespace.
        namespace: Name,
        /// Its name.
        name: Name,
    },
}

// === impl Hearing ===

impl Hearing {
    /// Nobody is to beat yet.
    pub fn new(roster: Roster, clock: Clock, metrics: Metrics) -> Self {
        let shared = Shared {
            roster,
            state: Mutex::default(),
            clock,
            metrics,
            occupied: Notify::new(),
            news: Notify::new(),
            hearsay: Notify::new(),
        };
        Self(Arc::new(shared))
    }

    /// A registration as it is now, before the checks know it: what they say of it finds its instances. Without a heartbeat its
    /// endpoints do not beat.
    pub fn register(&self, origin: &Arc<Origin>, heartbeat: Option<Arc<Heartbeat>>, endpoints: &[Beating]) {
        let now = self.now();
        let mut state = self.state();
        let was_empty = state.beats.is_empty();
        if was_empty {
            state.beats.resume(now);
        }
        state.beats.register(origin, heartbeat, endpoints, &self.owned(), now);
        state.untold.retain(|(of, _), _| of != origin);
        self.0.metrics.instances.set(i64::try_from(state.beats.len()).unwrap_or(i64::MAX));
        if was_empty && !state.beats.is_empty() {
            self.0.occupied.notify_one();
        }
    }

    /// The checks know a registration: what is known of its instances is told once more, since it may have come before.
    pub fn registered(&self, origin: &Origin) {
        let mut state = self.state();
        for change in state.beats.all_of(origin) {
            self.untold(&mut state, change);
        }
    }

    /// The replicas are others now.
    pub(super) fn own(&self) {
        self.state().beats.own(&self.owned());
    }

    /// What the checks say of whose beats are judged here.
    pub(super) fn listen(&self, all: &[Listening]) {
        let now = self.now();
        let mut state = self.state();
        for Listening { origin, endpoint, ear } in all {
            state.beats.listen(origin, endpoint, *ear, now);
        }
    }

    /// Who is there, and who owns what.
    pub(super) fn roster(&self) -> Roster {
        self.0.roster.clone()
    }

    /// A registration is gone.
    pub fn forget(&self, origin: &Arc<Origin>) {
        let mut state = self.state();
        state.beats.forget(origin);
        state.untold.retain(|(of, _), _| of != origin);
        self.0.metrics.instances.set(i64::try_from(state.beats.len()).unwrap_or(i64::MAX));
    }

    /// An endpoint says that it lives. By when it is to do so again.
    ///
    /// # Errors
    /// When it is not one that is to beat.
    pub fn beat(&self, origin: &Origin, endpoint: &str) -> Result<Due, Refused> {
        self.report(origin, endpoint, &Said::PASS)
    }

    /// An endpoint says how it is. By when it is to do so again.
    ///
    /// # Errors
    /// When it is not one that is to beat.
    pub fn report(&self, origin: &Origin, endpoint: &str, said: &Said) -> Result<Due, Refused> {
        self.hear(Way::Request, origin, endpoint, said)
    }

    /// An endpoint renewed its Lease, as every replica sees.
    ///
    /// # Errors
    /// When it is not one that is to beat.
    pub fn renewed(&self, origin: &Origin, endpoint: &str) -> Result<Due, Refused> {
        self.hear(Way::Lease, origin, endpoint, &Said::PASS)
    }

    fn hear(&self, way: Way, origin: &Origin, endpoint: &str, said: &Said) -> Result<Due, Refused> {
        let now = self.now();
        let mut state = self.state();
        let by = match way {
            Way::Lease => Heard::Everywhere,
            Way::Request | Way::Peer => Heard::Here,
        };
        match state.beats.heard(origin, endpoint, said, by, now) {
            Ok((due, change)) => {
                self.0.metrics.hear(way);
                if state.beats.tells() {
                    self.0.hearsay.notify_one();
                }
                if let Some(change) = change {
                    self.untold(&mut state, change);
                }
                Ok(due)
            }
            Err(unknown) => {
                self.0.metrics.refused(unknown);
                Err(Refused::of(unknown, origin, endpoint))
            }
        }
    }

    /// An endpoint stops: it is out of the answers at once, and back with its next beat.
    ///
    /// # Errors
    /// When it is not one that is to beat.
    pub fn stopped(&self, origin: &Origin, endpoint: &str) -> Result<(), Refused> {
        self.report(origin, endpoint, &Said::STOPPED).map(|_| ())
    }

    /// The time goes on. Whether somebody is to beat.
    pub(super) fn tick(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        if self.0.roster.is_deaf() {
            state.beats.deaf();
        }
        let stalls = state.beats.stalls();
        let changes = state.beats.tick(now);
        self.0.metrics.stalls.inc_by(state.beats.stalls() - stalls);
        self.0.metrics.convicted.inc_by(changes.len() as u64);
        for change in changes {
            self.untold(&mut state, change);
        }
        !state.beats.is_empty()
    }

    /// Waits until somebody is to beat, after nobody was.
    pub(super) async fn occupied(&self) {
        self.0.occupied.notified().await;
    }

    /// Waits until there is something to tell other replicas.
    pub(super) async fn hearsay(&self) {
        self.0.hearsay.notified().await;
    }

    /// What is to be told to other replicas now, by part, and whether there is more to tell later.
    pub(super) fn batch(&self) -> (Vec<(u8, Vec<Overheard>)>, bool) {
        let now = self.now();
        let mut state = self.state();
        (state.beats.batch(now), state.beats.tells())
    }

    /// Another replica heard these.
    pub(super) fn overheard(&self, peer: u32, all: impl Iterator<Item = Overheard>) {
        let now = self.now();
        let mut state = self.state();
        for overheard in all {
            let (is_news, change) = state.beats.overheard(peer, &overheard, now);
            if is_news {
                self.0.metrics.hear(Way::Peer);
            }
            if let Some(change) = change {
                self.untold(&mut state, change);
            }
        }
    }

    /// Waits for what is to be told, and takes it.
    pub(super) async fn news(&self) -> Vec<Change> {
        loop {
            let untold = std::mem::take(&mut self.state().untold);
            if !untold.is_empty() {
                return untold.into_values().collect();
            }
            self.0.news.notified().await;
        }
    }

    fn owned(&self) -> impl Fn(&Origin, &str) -> bool {
        |origin, endpoint| self.0.roster.keeps(&owner::work(origin, endpoint))
    }

    fn untold(&self, state: &mut State, change: Change) {
        state.untold.insert((Arc::clone(&change.origin), Name::clone(&change.endpoint)), change);
        self.0.news.notify_one();
    }

    fn now(&self) -> Now {
        self.0.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Refused ===

impl Refused {
    fn of(unknown: Unknown, origin: &Origin, endpoint: &str) -> Self {
        let (namespace, name) = (Name::clone(&origin.namespace), Name::clone(&origin.name));
        match unknown {
            Unknown::Registration => Self::UnknownRegistration { namespace, name },
            Unknown::Endpoint => {
                Self::UnknownEndpoint { namespace, name, endpoint: endpoint.chars().take(63).collect() }
            }
            Unknown::Heartbeat => Self::NoHeartbeat { namespace, name },
        }
    }
}

#[cfg(test)]
mod tests;
