//! Who is there: Leases and streams go into [`Membership`], and what follows is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rollcall_catalog::model::Name;
use rollcall_health::membership::{Membership, Presence, Standing};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::ResourceType;
use rollcall_xds::tls::{Certificates, Fingerprint};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::dial::{Dial, Way};
use super::exchange::{Exchange, Heard, News};
use super::metrics::Metrics;
use super::proof::Proofs;
use super::registrar::Listing;
use crate::time::clock::Clock;

/// The task that knows who is there.
pub struct Members {
    pub(super) membership: Membership,
    pub(super) exchange: Exchange,
    pub(super) proofs: Proofs,
    pub(super) clock: Clock,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) listing: watch::Receiver<Option<Arc<Listing>>>,
    pub(super) says: watch::Receiver<Presence>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) deaf: watch::Sender<bool>,
    pub(super) left: watch::Sender<Vec<Name>>,
    pub(super) dials: BTreeMap<Name, Dial>,
    pub(super) ways: watch::Sender<BTreeMap<Name, Way>>,
    pub(super) count: u64,
    pub(super) metrics: Metrics,
}

/// This replica says that it lives.
const SAY_EVERY: Duration = Duration::from_millis(500);
/// What only time changes is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

// === impl Members ===

impl Members {
    /// Knows until `stop`; says then that this replica leaves.
    pub async fn run(mut self, mut heard: Heard, stop: CancellationToken) {
        let mut say = tokio::time::interval(SAY_EVERY);
        say.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut listing = self.listing.clone();
        let mut says = self.says.clone();
        loop {
            tokio::select! {
                _ = say.tick() => self.say(false),
                news = heard.next() => self.hear(news),
                Ok(()) = listing.changed() => {
                    let found = listing.borrow_and_update().clone();
                    found.into_iter().for_each(|found| self.listed(&found));
                }
                Ok(()) = says.changed() => {
                    self.membership.says(*says.borrow_and_update());
                    self.say(false);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => break,
            }
            self.look();
        }
        self.say(true);
    }

    /// Says that this replica lives.
    fn say(&mut self, leaves: bool) {
        self.count += 1;
        // Once: a second look within one statement would wait for whoever wants to write meanwhile, who waits for the first.
        let says = *self.says.borrow();
        let message = v1::Replica {
            count: self.count,
            suspects_itself: says.suspects_itself,
            leaves: leaves || says.leaves,
            certificates: shown(self.certificates.as_ref())
                .iter()
                .map(|hash| Bytes::copy_from_slice(&hash.0))
                .collect(),
        };
        self.exchange.publish(ResourceType::Replica, "", Some(message.encode_to_vec().into()));
    }

    fn hear(&mut self, news: Vec<(Name, News)>) {
        let now_ms = self.clock.monotonic_ms();
        for (from, news) in news {
            let News::Said(_, body) = news else { continue };
            let Ok(said) = v1::Replica::decode(body) else { continue };
            let presence = Presence { suspects_itself: said.suspects_itself, leaves: said.leaves };
            self.membership.heard(&from, presence, now_ms);
            self.metrics.heard(&from, now_ms);
            let certificates: Vec<_> = said
                .certificates
                .iter()
                .filter_map(|hash| <[u8; 32]>::try_from(&**hash).ok().map(Fingerprint))
                .collect();
            if let Some(dial) = self.dials.get(&from).filter(|_| !certificates.is_empty()) {
                dial.expect(&certificates);
            }
        }
    }

    fn listed(&mut self, found: &Listing) {
        let versions: Vec<_> =
            found.iter().map(|(card, version)| (Name::clone(&card.identity), version.clone())).collect();
        self.membership.listed(&versions, self.clock.monotonic_ms());
        let others = || found.iter().map(|(card, _)| card).filter(|card| card.identity != *self.exchange.mine());
        self.proofs.know(others().map(|card| (Name::clone(&card.identity), card.token)));
        for card in others() {
            match self.dials.get(&card.identity).filter(|dial| dial.is_to(card)) {
                Some(dial) => dial.expect(&card.certificates),
                None => {
                    self.ways.send_modify(|ways| drop(ways.remove(&card.identity)));
                    self.dials.remove(&card.identity);
                    if let Some(dial) = Dial::new(card, self.exchange.clone(), &self.proofs) {
                        self.ways.send_modify(|ways| drop(ways.insert(Name::clone(&card.identity), dial.way())));
                        self.dials.insert(Name::clone(&card.identity), dial);
                    }
                }
            }
        }
    }

    /// Tells what follows.
    fn look(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        let gone: Vec<_> = self.dials.keys().filter(|name| !self.membership.knows(name)).cloned().collect();
        for name in gone {
            self.ways.send_modify(|ways| drop(ways.remove(&name)));
            self.dials.remove(&name);
            self.proofs.forget(&name);
            self.exchange.gone(&name);
            self.metrics.gone(&name);
        }
        let standing = self.membership.standing(now_ms);
        self.metrics.stand(&standing);
        self.standing.send_if_modified(|current| {
            let changed = *current != standing;
            if changed {
                info!(live = ?standing.live, heard = ?standing.heard, "the replicas stand otherwise");
                *current = standing;
            }
            changed
        });
        let deaf = self.membership.is_deaf(now_ms);
        self.deaf.send_if_modified(|current| std::mem::replace(current, deaf) != deaf);
        let left = self.membership.left(now_ms);
        self.left.send_if_modified(|current| std::mem::replace(current, left.clone()) != left);
    }
}

/// The certificates that new connections may be given now.
pub fn shown(certificates: Option<&Arc<Certificates>>) -> Vec<Fingerprint> {
    let current = certificates.and_then(|certificates| certificates.current());
    current.and_then(|identity| identity.fingerprint()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use prometheus_client::registry::Registry;
    use rollcall_admin::Readiness;
    use rollcall_fake_api::FakeApi;

    use super::super::{self as replicas, Settings};
    use super::*;
    use crate::kubernetes::denial_notices::DenialNotices;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_said_may_change_while_it_is_said() {
        let settings =
            Settings { identity: "a".into(), namespace: "rollcall-system".into(), address: None, certificates: None };
        let (clock, stop) = (Clock::default(), CancellationToken::new());
        let denials = DenialNotices::new(Readiness::default(), clock);
        let (api, mut registry) = (FakeApi::default(), Registry::default());
        let ((replicas, _), ended) = replicas::start((settings, denials), api.client(), clock, &stop, &mut registry);
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            (0..200_000).for_each(|turn| replicas.suspects_itself(turn % 2 == 0));
            done.send(())
        });
        let waited = tokio::task::spawn_blocking(move || is_done.recv_timeout(Duration::from_secs(60)));
        waited.await.expect("no panic").expect("who changes it and who says it do not wait for each other");
        stop.cancel();
        ended.await.expect("no panic");
    }
}
