//! The server, and what a test does with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Duration;

use crate::asked::Asked;
use crate::fault::Fault;
use crate::review::People;
use crate::service::Connection;
use crate::store::{Place, Store};

/// An API server. Clones are the same one.
#[derive(Clone, Debug)]
pub struct FakeApi(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    rules: Mutex<Rules>,
    asked: Mutex<Vec<Asked>>,
    people: Mutex<People>,
    /// Raised by every change, and to end watches.
    pulse: watch::Sender<Pulse>,
}

/// What wakes watches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    /// Watches that began before it was raised break.
    pub(crate) broken: u64,
    /// Watches tell how far they are.
    pub(crate) bookmarks: u64,
}

type Rule = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

#[derive(Default)]
struct Rules {
    rules: BTreeMap<u64, Rule>,
    next: u64,
}

/// A rule in force, until it is dropped by [`FakeApi::allow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("rules", &self.rules.len()).finish()
    }
}

// === impl FakeApi ===

impl Default for FakeApi {
    fn default() -> Self {
        Self(Arc::new(Shared {
            store: Mutex::default(),
            rules: Mutex::default(),
            asked: Mutex::default(),
            people: Mutex::default(),
            pulse: watch::Sender::default(),
        }))
    }
}

impl FakeApi {
    /// A client of it, as a program has one.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(Connection(self.clone()), "default")
    }

    /// From now on each request is shown to `rule`, which may say what goes wrong with it. Of several rules the earliest
    /// that says something counts.
    pub fn rule(&self, rule: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) -> RuleId {
        let mut rules = lock(&self.0.rules);
        rules.next += 1;
        let id = rules.next;
        rules.rules.insert(id, Box::new(rule));
        RuleId(id)
    }

    /// Ends a rule.
    pub fn allow(&self, rule: RuleId) {
        lock(&self.0.rules).rules.remove(&rule.0);
    }

    /// Watches tell of changes from now on only after this long. Lists do not lag.
    pub fn lag(&self, lag: Duration) {
        self.store().lag = lag;
    }

    /// From now on the schema of this resource does not know the field at this place, such as `/status/version`: it is pruned of
    /// what is written.
    pub fn prune(&self, resource: &str, field: &str) {
        self.store().unknown.push((resource.to_owned(), field.to_owned()));
    }

    /// Every watch breaks off.
    pub fn break_watches(&self) {
        self.0.pulse.send_modify(|pulse| pulse.broken += 1);
    }

    /// Every watch that asked for it is told how far it is.
    pub fn bookmark(&self) {
        self.0.pulse.send_modify(|pulse| pulse.bookmarks += 1);
    }

    /// Loses every object without a word to whoever watches: for benches, whose memory they are no part of.
    pub fn lose_all(&self) {
        let mut store = self.store();
        store.objects.clear();
        store.applied.clear();
        store.log.clear();
    }

    /// Forgets what happened so far: who watches from an earlier version, or asks for the next page of one, is told that
    /// it is too old.
    pub fn compact(&self) {
        let mut store = self.store();
        store.compacted = store.version;
        store.log.clear();
        drop(store);
        self.pulse();
    }

    /// Makes the object stand, as somebody else. It needs `apiVersion`, `kind` and a name; its plural follows from the
    /// kind.
    pub fn put(&self, object: Value) -> Value {
        let place = place(&object);
        let written = self.store().put(&place, object);
        self.pulse();
        written
    }

    /// Changes an object, as somebody else; `None` when there is none.
    pub fn edit(
        &self,
        api_version: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) -> Option<Value> {
        let place = at(api_version, resource, namespace, name);
        let mut store = self.store();
        let mut object = store.objects.get(&place)?.clone();
        edit(&mut object);
        let written = store.put(&place, object);
        drop(store);
        self.pulse();
        Some(written)
    }

    /// Deletes an object, as somebody else; `None` when there is none.
    pub fn remove(&self, api_version: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let removed = self.store().remove(&at(api_version, resource, namespace, name));
        self.pulse();
        removed
    }

    /// An object as it stands.
    pub fn get(&self, api_version: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.store().objects.get(&at(api_version, resource, namespace, name)).cloned()
    }

    /// Every object of a kind, in order of namespace and name.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        let store = self.store();
        store.objects.iter().filter(|(place, _)| place.resource == resource).map(|(_, object)| object.clone()).collect()
    }

    /// How many objects of a kind are so: for who looks often, and wants none of them whole.
    pub fn count(&self, resource: &str, is_so: impl Fn(&Value) -> bool) -> usize {
        let store = self.store();
        store.objects.iter().filter(|(place, object)| place.resource == resource && is_so(object)).count()
    }

    /// What was asked so far, watches and refused requests included, in order.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.0.asked).clone()
    }

    /// The requests so far that would change something.
    pub fn writes(&self) -> Vec<Asked> {
        lock(&self.0.asked).iter().filter(|asked| asked.is_write()).cloned().collect()
    }

    /// Forgets what was asked.
    pub fn forget_asked(&self) {
        lock(&self.0.asked).clear();
    }

    /// From now on a TokenReview says that this token is of that user, who is in these groups.
    pub fn token(&self, token: &str, user: &str, groups: &[&str]) {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        lock(&self.0.people).tokens.insert(token.to_owned(), (user.to_owned(), groups));
    }

    /// From now on the token is nobody's.
    pub fn revoke(&self, token: &str) {
        lock(&self.0.people).tokens.remove(token);
    }

    /// From now on a SubjectAccessReview says that the user may do this with a resource, such as
    /// `serviceregistrations/beat`, in that namespace; in all of them if it is empty.
    pub fn grant(&self, user: &str, verb: &str, resource: &str, namespace: &str) {
        let [user, verb, resource, namespace] = [user, verb, resource, namespace].map(str::to_owned);
        lock(&self.0.people).grants.insert((user, verb, resource, namespace));
    }

    /// From now on nobody may do anything.
    pub fn take_grants(&self) {
        lock(&self.0.people).grants.clear();
    }

    pub(crate) fn review(&self, asked: &Asked) -> Option<Value> {
        lock(&self.0.people).review(asked)
    }

    pub(crate) fn note(&self, asked: &Asked) -> Option<Fault> {
        lock(&self.0.asked).push(asked.clone());
        lock(&self.0.rules).rules.values_mut().find_map(|rule| rule(asked))
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.0.store)
    }

    pub(crate) fn pulse(&self) {
        self.0.pulse.send_modify(|_| ());
    }

    pub(crate) fn pulses(&self) -> watch::Receiver<Pulse> {
        self.0.pulse.subscribe()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at(api_version: &str, resource: &str, namespace: &str, name: &str) -> Place {
    Place {
        api_version: api_version.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Where an object belongs.
///
/// # Panics
/// When it has neither kind nor name: the test is wrong.
fn place(object: &Value) -> Place {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let meta = object["metadata"].as_object().cloned().unwrap_or_else(Map::new);
    let part = |name: &str| meta.get(name).map(text).unwrap_or_default();
    assert!(!kind.is_empty() && !part("name").is_empty(), "an object needs a kind and a name: {object}");
    at(&text(&object["apiVersion"]), &plural(&kind), &part("namespace"), &part("name"))
}

/// The plural of a kind, as the API has it.
fn plural(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}
