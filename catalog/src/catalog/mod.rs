//! The catalog: the one writer's state. It takes in statements and publishes snapshots.
//!
//! - [`index`]: which services a pod, a node or an address has to do with; [`imported`]: the same of other clusters' addresses
//! - [`sorted`]: numbers of which there may be millions
//! - [`surroundings`]: what merges look up beside the statements about their service
//! - [`found`]: what is entered there, and found again
//! - [`history`]: policies, and what they need to know of who is gone
//! - [`statements`]: what changed between two contributions of one origin

mod found;
mod history;
mod imported;
mod index;
mod sorted;
mod statements;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use self::history::is_said_gone;
use self::imported::Imported;
use self::index::Index;
use self::statements::{Details, changed_ids, details};
use self::surroundings::Surroundings;
use crate::hashed::HashMap;
use crate::hold::Hold;
use crate::input::{Contribution, Input, Origin, ServiceFacts, Verdict};
use crate::merge::draft::{Draft, SaidAnew};
use crate::merge::offers::pod_identity;
use crate::merge::{self, Context, Rank, Statement, Statements};
use crate::model::{Name, ServiceKey, Uid};
use crate::report::Reports;
use crate::service::{Member, Service};
use crate::snapshot::Snapshot;
use crate::time::Now;

/// All that was said, and the services that have to be merged again because of it.
#[derive(Debug)]
pub struct Catalog {
    services: HashMap<Arc<ServiceKey>, Entry>,
    /// Which service an origin speaks of (it may move to another), and with what rank.
    origins: HashMap<Arc<Origin>, (Arc<ServiceKey>, Rank)>,
    surroundings: Surroundings,
    hold: Hold,
    /// Which services name a pod, and of which uid.
    by_pod: Index<u64, Option<Uid>>,
    /// Which endpoints are on a node.
    by_node: Index<u64, u64>,
    /// Which registered endpoints have an address.
    by_address: Index<IpAddr, u64>,
    /// Which services have an address of another cluster.
    imported: Imported,
    dirty: BTreeMap<Arc<ServiceKey>, Touched>,
    /// Services with more endpoints than this keep the work of a merge for the next one.
    draft_above: usize,
    reports: Reports,
    snapshot: Snapshot,
}

/// One service: what is said of it, and the merge of that as far as it is kept.
#[derive(Debug, Default)]
struct Entry {
    statements: Statements,
    draft: Option<Box<Draft>>,
}

/// What of a service has to be merged again.
#[derive(Debug, Default)]
struct Touched {
    /// Everything.
    all: bool,
    /// These identities.
    ids: BTreeSet<u64>,
    said: SaidAnew,
}

/// What came of a call of [`Catalog::publish`].
#[derive(Debug, Default)]
pub struct Published {
    /// The new snapshot, if anything that can be told has changed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// When to publish again even if nothing is said, in milliseconds of the monotonic clock.
    pub again_ms: Option<u64>,
}

/// A service of few endpoints is merged anew faster than the work of its merge is kept.
const DRAFT_ABOVE: usize = 256;

// === impl Catalog ===

impl Default for Catalog {
    fn default() -> Self {
        Self::with_drafts_above(DRAFT_ABOVE)
    }
}

impl Catalog {
    /// An empty catalog in which services of more than `endpoints` endpoints keep the work of a merge for the next one.
    /// What is published does not depend on it.
    pub fn with_drafts_above(endpoints: usize) -> Self {
        Self {
            services: HashMap::default(),
            origins: HashMap::default(),
            surroundings: Surroundings::default(),
            hold: Hold::default(),
            by_pod: Index::default(),
            by_node: Index::default(),
            by_address: Index::default(),
            imported: Imported::default(),
            dirty: BTreeMap::new(),
            draft_above: endpoints,
            reports: Reports::default(),
            snapshot: Snapshot::default(),
        }
    }

    /// Takes in one statement. Nothing is merged before [`Catalog::publish`], so a burst about one service costs one
    /// merge.
    pub fn apply(&mut self, input: Input) {
        match input {
            Input::Service(key, facts) => self.apply_service(key, facts),
            Input::Contribution(contribution) => self.apply_contribution(contribution),
            Input::Gone(origin) => self.remove_origin(&origin),
            Input::Pod(namespace, name, facts) => {
                let pod = (namespace, name);
                let effect = self.surroundings.apply_pod(&pod, facts);
                let id = pod_identity(&pod.0, &pod.1);
                let services = effect.endpoints.then(|| self.by_pod.of(id)).into_iter().flatten();
                let touched: Vec<_> = services.map(|(service, _)| (Arc::clone(service), id)).collect();
                self.touch(touched);
                let holding: Vec<_> = self.hold.holding_in(&pod.0).cloned().map(Arc::new).collect();
                holding.into_iter().for_each(|key| _ = self.dirty.entry(key).or_default());
                self.touch_registered(&effect);
            }
            Input::Node(name, facts) => {
                let effect = self.surroundings.apply_node(&name, facts);
                let on_it = effect.endpoints.then(|| self.by_node.of(node_key(&name))).into_iter().flatten();
                let touched: Vec<_> = on_it.map(|(service, id)| (Arc::clone(service), id)).collect();
                self.touch(touched);
                self.touch_registered(&effect);
            }
            Input::ServiceCidr(name, blocks) => {
                let effect = self.surroundings.apply_service_cidr(name, blocks);
                self.touch_registered(&effect);
            }
            Input::Verdict(origin, endpoint, verdict) => self.apply_verdict(origin, endpoint, verdict),
            Input::Guard(guard) => {
                self.surroundings.apply_guard(guard);
                let contended = self.services.iter().filter(|(_, entry)| entry.statements.are_contended());
                let keys: Vec<_> = contended.map(|(key, _)| Arc::clone(key)).collect();
                keys.into_iter().for_each(|key| self.touch_all(key));
            }
            Input::PodVerdict(service, pod, verdict) => self.apply_pod_verdict(service, &pod, verdict),
            Input::Policy(key, statement) => self.apply_policy(&key, statement),
            Input::DefaultPolicy(policy) => {
                if self.hold.book.set_default(policy) {
                    let keys: Vec<_> = self.services.keys().cloned().collect();
                    keys.into_iter().for_each(|key| _ = self.dirty.entry(key).or_default());
                }
            }
            Input::Lateness(lateness) => self.apply_lateness(lateness),
            Input::Contact(source, at_ms) => {
                for key in self.hold.heard(source, at_ms) {
                    self.dirty.entry(Arc::new(key)).or_default();
                }
            }
            Input::Silent(cluster, silence) => self.apply_silence(cluster, silence),
        }
    }

    /// Merges what was touched, holds what needs history, and publishes a new snapshot if anything that can be told has
    /// changed.
    pub fn publish(&mut self, now: Now) -> Published {
        for key in self.hold.due(now.mono_ms) {
            self.dirty.entry(Arc::new(key)).or_default();
        }
        let mut changed = Vec::new();
        for (key, touched) in std::mem::take(&mut self.dirty) {
            let merged = self.merge(&key, touched, now);
            if self.replace(&key, merged) {
                changed.push(ServiceKey::clone(&key));
            }
        }
        let by_pod = &self.by_pod;
        let (policies, nodes) = (self.reports.news(&self.hold.book), self.surroundings.nodes_anew());
        let tended = self.surroundings.tombstones.tend(now.mono_ms, |pod, uid| {
            by_pod.of(pod_identity(&pod.0, &pod.1)).any(|(_, named)| named.is_none_or(|named| named == uid))
        });
        let again_ms = [tended, self.hold.next_ms()].into_iter().flatten().min();
        if changed.is_empty() && policies.is_empty() && nodes.is_none() {
            return Published { snapshot: None, again_ms };
        }
        self.snapshot.report(policies);
        self.snapshot.take_nodes(nodes);
        self.snapshot.advance(changed);
        Published { snapshot: Some(Arc::new(self.snapshot.clone())), again_ms }
    }

    /// The catalog as last published.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }

    fn merge(&mut self, key: &ServiceKey, touched: Touched, now: Now) -> Option<Service> {
        let Some(entry) = self.services.get_mut(key) else {
            self.hold.forget(key, now);
            return None;
        };
        let Entry { statements, draft } = entry;
        let context = Context { key, statements, lookup: &self.surroundings };
        let mut service = if statements.len() <= self.draft_above {
            *draft = None;
            merge::merge(key, statements, &self.surroundings)?
        } else {
            match draft {
                Some(draft) if !touched.all && touched.ids.len() <= statements.len() / 4 => {
                    draft.update(&context, &touched.ids, touched.said);
                }
                _ => *draft = Some(Box::new(Draft::new(&context))),
            }
            draft.as_ref()?.service(key, statements)
        };
        let surroundings = &self.surroundings;
        let said_gone = |member: &Member, now: Option<&Member>| is_said_gone(surroundings, member, now);
        let origins = statements.contributions.keys().map(|rank| &rank.origin);
        self.hold.apply(&mut service, said_gone, origins, now);
        Some(service.seal())
    }

    /// Puts a merged service in its place; whether anything that can be told has changed.
    fn replace(&mut self, key: &ServiceKey, merged: Option<Service>) -> bool {
        let before = self.snapshot.services.get(key);
        if before.map(|service| service.story) == merged.as_ref().map(|service| service.story) {
            return false;
        }
        if let Some(before) = before {
            self.snapshot.totals.subtract(before);
        }
        self.reports.replace(before.map(|service| &**service), merged.as_ref());
        match merged {
            Some(service) => {
                self.snapshot.totals.add(&service);
                self.snapshot.services.insert(key.clone(), Arc::new(service));
            }
            None => {
                self.snapshot.services.remove(key);
            }
        }
        true
    }

    fn apply_service(&mut self, key: ServiceKey, facts: Option<Arc<ServiceFacts>>) {
        let (key, entry) = self.entry(key);
        if entry.statements.facts != facts {
            entry.statements.facts = facts;
            self.touch_all(key);
        } else {
            self.drop_empty(&key);
        }
    }

    fn apply_contribution(&mut self, mut contribution: Contribution) {
        let origin = Arc::clone(&contribution.origin);
        let rank = Rank::of(&contribution);
        if let Some((key, before)) = self.origins.get(&origin) {
            if **key != contribution.service || before.created != rank.created {
                self.forget_contribution(&origin);
            } else if self.said(key, &rank).is_some_and(|before| before.contribution == contribution) {
                return;
            }
        }
        if let Some(verdicts) = self.surroundings.verdicts.get_mut(&origin) {
            let named: BTreeSet<_> = contribution.endpoints.iter().map(|endpoint| endpoint.name().to_name()).collect();
            verdicts.retain(|name, _| named.contains(name));
        }
        let penalties = std::mem::take(&mut contribution.penalties);
        let statement = Statement::new(contribution);
        self.restore_penalties(&statement, penalties);
        let (key, entry) = self.entry(statement.contribution.service.clone());
        let is_draft = entry.draft.is_some();
        let contended = entry.statements.are_contended();
        let before = entry.statements.contributions.get(&rank).map(|before| &**before);
        let ids = if is_draft { changed_ids(before, &statement, contended) } else { BTreeSet::new() };
        let new = details(&statement);
        let old = before.map(details).unwrap_or_default();
        entry.statements.contributions.insert(rank.clone(), Box::new(statement));
        self.origins.insert(origin, (Arc::clone(&key), rank));
        self.index(&key, &old, &new);
        let touched = self.dirty.entry(key).or_default();
        touched.all |= !is_draft;
        touched.ids.extend(ids);
        touched.said = SaidAnew::Yes;
    }

    fn said(&self, key: &ServiceKey, rank: &Rank) -> Option<&Statement> {
        Some(&**self.services.get(key)?.statements.contributions.get(rank)?)
    }

    fn remove_origin(&mut self, origin: &Arc<Origin>) {
        self.forget_contribution(origin);
        self.surroundings.verdicts.remove(origin);
    }

    fn forget_contribution(&mut self, origin: &Arc<Origin>) {
        let Some((key, rank)) = self.origins.remove(origin) else { return };
        let Some(entry) = self.services.get_mut(&key) else { return };
        let Some(before) = entry.statements.contributions.remove(&rank) else { return };
        self.index(&key, &details(&before), &Details::default());
        let touched = self.dirty.entry(Arc::clone(&key)).or_default();
        touched.ids.extend(before.ids.iter().copied());
        touched.said = SaidAnew::Yes;
        self.drop_empty(&key);
    }

    fn apply_verdict(&mut self, origin: Arc<Origin>, endpoint: Name, verdict: Option<Verdict>) {
        let Some((key, rank)) = self.origins.get(&origin) else { return };
        let key = Arc::clone(key);
        let statement =
            self.services.get(&key).and_then(|entry| entry.statements.contributions.get(rank)).map(|said| &**said);
        let ids = statement.into_iter().flat_map(Statement::endpoints);
        let ids: Vec<_> =
            ids.filter(|(_, said)| *said.name() == *endpoint).map(|(id, _)| (Arc::clone(&key), id)).collect();
        if ids.is_empty() {
            // Of what its origin does not name nothing is remembered for when it will.
            return;
        }
        let verdicts = self.surroundings.verdicts.entry(origin).or_default();
        let before = match verdict.clone() {
            Some(verdict) => verdicts.insert(endpoint, verdict),
            None => verdicts.remove(&endpoint),
        };
        if before != verdict {
            self.touch(ids);
        }
    }

    fn apply_pod_verdict(&mut self, service: ServiceKey, pod: &Name, verdict: Option<Verdict>) {
        if self.surroundings.apply_pod_verdict(&service, pod, verdict) {
            let id = pod_identity(&service.namespace, pod);
            self.touch([(Arc::new(service), id)]);
        }
    }

    fn apply_lateness(&mut self, lateness: Duration) {
        if !self.surroundings.apply_lateness(lateness) {
            return;
        }
        let book = &mut self.hold.book;
        let mut is_checked = |(key, entry): &(&Arc<ServiceKey>, &Entry)| {
            entry.statements.are_checked() || book.of(key).pod_checks.is_some()
        };
        let keys: Vec<_> =
            self.services.iter().filter(|said| is_checked(said)).map(|(key, _)| Arc::clone(key)).collect();
        keys.into_iter().for_each(|key| self.dirty.entry(key).or_default().said = SaidAnew::Yes);
    }

    fn touch(&mut self, touched: impl IntoIterator<Item = (Arc<ServiceKey>, u64)>) {
        for (key, id) in touched {
            self.dirty.entry(key).or_default().ids.insert(id);
        }
    }

    fn touch_all(&mut self, key: Arc<ServiceKey>) {
        self.drop_empty(&key);
        self.dirty.entry(key).or_default().all = true;
    }

    fn entry(&mut self, key: ServiceKey) -> (Arc<ServiceKey>, &mut Entry) {
        let key = self.services.get_key_value(&key).map_or_else(|| Arc::new(key), |(known, _)| Arc::clone(known));
        (Arc::clone(&key), self.services.entry(key).or_default())
    }

    fn drop_empty(&mut self, key: &ServiceKey) {
        if self.services.get(key).is_some_and(|entry| entry.statements.is_empty()) {
            self.services.remove(key);
        }
    }
}

fn node_key(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}
