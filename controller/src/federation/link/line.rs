//! The streams of a link: which there are, and which takes the place of which.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_crds::ClusterLinkSpec;

use super::{Link, Surroundings, secret};
use crate::federation::dial::{Dial, Way};
use crate::federation::heard::Wanted;
use crate::federation::machine::Standing;
use crate::federation::profiles::Access;

/// One stream.
pub(super) struct Line {
    pub(super) way: Way,
    pub(super) dial: Dial,
}

/// How often its Secret is read again: while it is good, and while it is not.
const SECRET_MS: u64 = 30_000;
const SECRET_RETRY_MS: u64 = 5_000;
/// How soon all is asked for anew where there is room for what was held back.
const ANEW_MS: u64 = 15_000;
/// How soon another stream is tried after one that turned out to be of another cluster.
const WRONG_MS: u64 = 5_000;
/// What a link takes in at most where it does not say.
const SERVICES_MAX: u32 = 10_000;
const ENDPOINTS_MAX: u32 = 100_000;

// === impl Link ===

impl Link {
    /// Reads Secret and profile when it is time, and dials where what it says or the link says is new.
    pub(super) async fn find_way(&mut self) {
        let now_ms = self.surroundings.clock.monotonic_ms();
        let pause_ms = if self.unusable.is_some() { SECRET_RETRY_MS } else { SECRET_MS };
        if self.read_ms.is_some_and(|read_ms| now_ms < read_ms.saturating_add(pause_ms)) {
            return;
        }
        self.read_ms = Some(now_ms);
        let spec = Arc::clone(&self.spec.borrow());
        let namespaces = match self.imported.now() {
            Ok(namespaces) => namespaces,
            Err(words) => return self.unusable = Some(words.to_owned()),
        };
        let access = match self.profile.access(&self.name) {
            Ok(access) => access,
            // What was good goes on: a profile that says nothing of use takes nothing away.
            Err(words) => return self.unusable = Some(words),
        };
        let Surroundings { client, namespace, .. } = &self.surroundings;
        match secret::read(client, namespace, &spec.secret_name, access.as_ref()).await {
            Ok(secret::Keys { ca, proof }) => {
                let (addresses, name) = match access {
                    Some(Access { address, server_name, .. }) => (vec![address], server_name),
                    None => (spec.addresses.clone(), None),
                };
                let way = Way {
                    addresses,
                    server_name: spec.server_name.clone().or(name),
                    ca,
                    proof,
                    bytes_per_second: spec.limits.as_ref().and_then(|limits| limits.bytes_per_second),
                    wanted: self.wanted(&spec, namespaces),
                };
                self.unusable = None;
                self.go(way);
            }
            // What was good goes on: a Secret that cannot be read takes nothing away.
            Err(words) => self.unusable = Some(words),
        }
    }

    /// Looks which namespaces are imported. What came of others goes at once, whether or not the other cluster is heard; what is new
    /// comes by a stream beside the one that there is.
    pub(super) async fn look_at_namespaces(&mut self) {
        let spec = Arc::clone(&self.spec.borrow());
        if !self.imported.look(&spec.import) {
            return;
        }
        if self.unusable.is_some() || (self.line.is_none() && self.next.is_none()) {
            self.read_ms = None; // it may have waited for this
        }
        let Ok(namespaces) = self.imported.now() else { return };
        for line in [&mut self.line, &mut self.next].into_iter().flatten() {
            line.way.wanted.keep_to(namespaces.as_deref());
            line.dial.heard().keep_to(namespaces.as_deref());
        }
        if let Some(names) = &namespaces {
            self.surroundings.offers.keep_to(&self.name, names);
            let gone: Vec<_> = self.told.keys().filter(|key| !names.contains(&key.namespace)).cloned().collect();
            for key in gone {
                self.say(&key, None).await;
            }
        }
        if self.standing == Standing::Gone {
            // What a guard holds of a namespace that left goes, too.
            self.tell_silence(self.silence()).await;
        }
        self.widen();
    }

    /// Makes another stream where that which there is, or comes, was not made for all the namespaces that are imported by now.
    pub(super) fn widen(&mut self) {
        let Ok(namespaces) = self.imported.now() else { return };
        if let Some(line) = self.next.as_ref().or(self.line.as_ref()) {
            self.go(line.way.of(namespaces));
        }
    }

    /// Looks at the profile that the link names; what it says otherwise is followed at once.
    pub(super) fn look_at_profile(&mut self) {
        let spec = Arc::clone(&self.spec.borrow());
        if self.profile.look(spec.cluster_profile.as_ref()) {
            self.read_ms = None;
        }
    }

    fn wanted(&self, spec: &ClusterLinkSpec, namespaces: Option<Arc<BTreeSet<Name>>>) -> Wanted {
        let limit = |limit: Option<u32>, default: u32| limit.unwrap_or(default) as usize;
        let limits = spec.limits.clone().unwrap_or_default();
        Wanted {
            cluster: Name::clone(&self.name),
            me: Name::clone(&self.surroundings.me),
            namespaces,
            services_max: limit(limits.services, SERVICES_MAX),
            endpoints_max: limit(limits.endpoints, ENDPOINTS_MAX),
        }
    }

    fn go(&mut self, way: Way) {
        if [&self.next, &self.line].into_iter().flatten().next().is_some_and(|line| line.way == way) {
            return;
        }
        if self.line.as_ref().is_some_and(|line| line.way == way) {
            self.next = None; // back to what it was
            return;
        }
        // One that brings something already comes to its end, and the next one after it: where namespaces come and go all the time,
        // none would otherwise.
        let other_namespaces = |next: &&Line| next.way.of(way.wanted.namespaces.clone()) == way;
        if self.next.as_ref().filter(other_namespaces).is_some_and(|next| next.dial.heard().brings()) {
            return;
        }
        self.next = Some(self.dial(way));
    }

    fn dial(&self, way: Way) -> Line {
        let known = self.surroundings.reports.get(&self.name).and_then(|report| report.uid);
        let dial = Dial::new(&way, self.turns, (&self.surroundings.me, known), Arc::clone(&self.news));
        Line { way, dial }
    }

    /// Gives up a stream that turned out to be of another cluster, with all that came by it, and tries the next address. What was
    /// taken in before stays.
    pub(super) fn turn_away(&mut self) {
        let now_ms = self.surroundings.clock.monotonic_ms();
        let wrong = |line: &Option<Line>| line.as_ref().and_then(|line| line.dial.heard().wrong.clone());
        let Some(words) = wrong(&self.next).or_else(|| wrong(&self.line)) else { return };
        if self.wrong.as_ref().is_some_and(|(_, at_ms)| now_ms < at_ms.saturating_add(WRONG_MS)) {
            return;
        }
        self.wrong = Some((words, now_ms));
        self.turns += 1;
        if let Some(line) = self.next.take().or_else(|| self.line.take()) {
            self.count(&line);
            self.next = Some(self.dial(line.way));
        }
    }

    /// Where there is room by now for what was held back, all is asked for anew: what was left out is not here any more. What was
    /// taken in stays meanwhile.
    pub(super) fn fill_up(&mut self) {
        let now_ms = self.surroundings.clock.monotonic_ms();
        let Some(line) = self.line.as_ref().filter(|_| self.next.is_none() && now_ms >= self.anew_ms) else { return };
        if line.dial.heard().has_room_again() {
            self.anew_ms = now_ms.saturating_add(ANEW_MS);
            self.next = Some(self.dial(line.way.clone()));
        }
    }

    /// Adds what came by a stream.
    pub(super) fn count(&mut self, line: &Line) {
        let came = std::mem::take(&mut line.dial.heard().traffic);
        self.traffic.streams += came.streams;
        self.traffic.resources += came.resources;
        self.traffic.bytes += came.bytes;
    }
}
