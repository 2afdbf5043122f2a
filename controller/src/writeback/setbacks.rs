//! What the API server refused as it is, and when to try again.
//!
//! A refusal by the schema, an admission webhook, a quota, a missing right or a namespace in deletion does not heal by
//! trying. It is tried again when what would be written has changed, soon; and unchanged after a long pause, since what
//! stood in its way may be gone. Pauses double with each refusal.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rollcall_catalog::digest::Version;
use rollcall_catalog::model::Name;

use super::blame::Blame;
use super::queue::Target;

/// Everything that is refused now.
#[derive(Debug, Default)]
pub struct Setbacks {
    objects: HashMap<Target, BTreeMap<Name, Refused>>,
    closed: HashMap<Closing, Closed>,
}

/// An object that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it would have been.
    pub content: Version,
    /// The API server's words.
    pub words: String,
    /// Of a slice: which endpoint it may be.
    blame: Blame,
    pauses: Pauses,
}

/// What is refused to all objects alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Closing {
    /// A namespace in deletion takes nothing new.
    Namespace(Name),
    /// We may not write this kind there.
    Right(&'static str, Name),
}

#[derive(Clone, Debug)]
struct Closed {
    pauses: Pauses,
    /// The Services and registrations that a namespace had when it was closed: another one means that it is a new namespace.
    uids: HashSet<Name>,
    words: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pauses {
    times: u32,
    /// From then on something else may be tried.
    soon_ms: u64,
    /// From then on the same may be tried.
    again_ms: u64,
}

/// The first pause before something else is tried, and the longest.
const SOON_MS: (u64, u64) = (1000, 60_000);
/// The first pause before the same is tried, and the longest.
const AGAIN_MS: (u64, u64) = (30_000, 600_000);

// === impl Setbacks ===

impl Setbacks {
    /// An object of a target was refused as it is. Whether that is news: other words than before, or none before.
    pub fn refused(&mut self, target: &Target, name: &Name, content: Version, words: String, now_ms: u64) -> bool {
        self.refused_with(target, name, (content, BTreeSet::new()), words, now_ms)
    }

    /// The same of a slice, in which some addresses would have been new.
    pub fn refused_with(
        &mut self,
        target: &Target,
        name: &Name,
        (content, new): (Version, BTreeSet<Name>),
        words: String,
        now_ms: u64,
    ) -> bool {
        let objects = self.objects.entry(target.clone()).or_default();
        let Some(before) = objects.get_mut(name) else {
            let mut refused =
                Refused { content, words, blame: Blame::default(), pauses: Pauses::default().next(now_ms) };
            refused.blame.refused(new);
            objects.insert(Name::clone(name), refused);
            return true;
        };
        // A part that is refused says more about whom to blame. When the whole is tried again stays.
        if !before.blame.is_part(&new) {
            before.pauses = before.pauses.next(now_ms);
            before.content = content;
        }
        before.blame.refused(new);
        let news = before.words != words;
        before.words = words;
        news
    }

    /// Which of the addresses that would be new in a refused slice may be tried now, without the others. `None` when the
    /// slice is not to be written at all.
    pub fn part(&self, target: &Target, name: &Name, new: &BTreeSet<Name>, creates: bool) -> Option<BTreeSet<Name>> {
        let right = Closing::Right(target.kind(), Name::clone(target.namespace()));
        if self.closed.contains_key(&right) || (creates && self.is_ending(target.namespace())) {
            return None;
        }
        self.of(target, name)?.blame.next(new)
    }

    /// A part of a refused slice was written.
    pub fn written_in_part(&mut self, target: &Target, name: &Name) {
        self.closed.remove(&Closing::Right(target.kind(), Name::clone(target.namespace())));
        let refused = self.objects.get_mut(target).and_then(|objects| objects.get_mut(name));
        if let Some(refused) = refused {
            refused.blame.written();
        }
    }

    /// A namespace is in deletion. Whether that is news.
    pub fn ending(&mut self, namespace: &Name, uids: HashSet<Name>, words: String, now_ms: u64) -> bool {
        self.close(Closing::Namespace(Name::clone(namespace)), uids, words, now_ms)
    }

    /// We may not write a kind in a namespace. Whether that is news.
    pub fn denied(&mut self, kind: &'static str, namespace: &Name, words: String, now_ms: u64) -> bool {
        self.close(Closing::Right(kind, Name::clone(namespace)), HashSet::new(), words, now_ms)
    }

    fn close(&mut self, closing: Closing, uids: HashSet<Name>, words: String, now_ms: u64) -> bool {
        let before = self.closed.get(&closing);
        // Several writes under way meet the same wall: it is hit once.
        if before.is_some_and(|before| now_ms < before.pauses.again_ms) {
            return false;
        }
        let pauses = before.map(|before| before.pauses).unwrap_or_default().next(now_ms);
        let news = before.is_none();
        self.closed.insert(closing, Closed { pauses, uids, words });
        news
    }

    /// Until when a write of `content` is not to be tried; `None` when it is. `creates`: nothing stands there yet.
    pub fn until_ms(&self, target: &Target, name: &Name, content: Version, creates: bool, now_ms: u64) -> Option<u64> {
        let namespace = target.namespace();
        let right = self.closed.get(&Closing::Right(target.kind(), Name::clone(namespace)));
        let ending = self.closed.get(&Closing::Namespace(Name::clone(namespace))).filter(|_| creates);
        let refused = self.of(target, name).map(|refused| match refused.content == content {
            true => refused.pauses.again_ms,
            false => refused.pauses.soon_ms,
        });
        let closed = [right, ending].into_iter().flatten().map(|closed| closed.pauses.again_ms);
        closed.chain(refused).filter(|until_ms| *until_ms > now_ms).max()
    }

    /// Why an object of a target cannot be written, in the API server's words. `creates`: nothing stands there yet.
    pub fn words(&self, target: &Target, name: &str, creates: bool) -> Option<&str> {
        let namespace = target.namespace();
        let refused = self.objects.get(target).and_then(|objects| objects.get(name)).map(|refused| &*refused.words);
        let right = self.closed.get(&Closing::Right(target.kind(), Name::clone(namespace)));
        let ending = self.closed.get(&Closing::Namespace(Name::clone(namespace))).filter(|_| creates);
        refused.or_else(|| [right, ending].into_iter().flatten().map(|closed| &*closed.words).next())
    }

    /// Whether objects of a target's kind cannot be written in its namespace, or no new ones.
    pub fn is_closed(&self, target: &Target) -> bool {
        let namespace = target.namespace();
        self.is_ending(namespace) || self.closed.contains_key(&Closing::Right(target.kind(), Name::clone(namespace)))
    }

    /// Whether nothing new can be made in a namespace now.
    pub fn is_ending(&self, namespace: &Name) -> bool {
        self.closed.contains_key(&Closing::Namespace(Name::clone(namespace)))
    }

    /// A Service or registration of a namespace as it is now: one that a namespace in deletion had not got shows that it is there again.
    pub fn met(&mut self, namespace: &Name, uid: &Name) {
        let closing = Closing::Namespace(Name::clone(namespace));
        if self.closed.get(&closing).is_some_and(|closed| !closed.uids.contains(uid)) {
            self.closed.remove(&closing);
        }
    }

    /// How an object of a target was refused.
    pub fn of(&self, target: &Target, name: &Name) -> Option<&Refused> {
        self.objects.get(target)?.get(name)
    }

    /// Whether any object of a target was refused.
    pub fn any(&self, target: &Target) -> bool {
        self.objects.contains_key(target)
    }

    /// An object of a target was written: what was in its way is gone.
    pub fn written(&mut self, target: &Target, name: &Name) {
        self.closed.remove(&Closing::Right(target.kind(), Name::clone(target.namespace())));
        if let Some(objects) = self.objects.get_mut(target) {
            objects.remove(name);
            if objects.is_empty() {
                self.objects.remove(target);
            }
        }
    }

    /// A target stands as it should: what was refused is not wanted any more. Whether anything was.
    pub fn stands(&mut self, target: &Target) -> bool {
        self.objects.remove(target).is_some()
    }

    /// Objects that are refused now.
    pub fn len(&self) -> usize {
        self.objects.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing is refused now.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Forgets all: a new leader tries everything once.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

// === impl Pauses ===

impl Pauses {
    fn next(self, now_ms: u64) -> Self {
        let doubled = |(first, longest): (u64, u64)| (first << self.times.min(10)).min(longest);
        Self { times: self.times + 1, soon_ms: now_ms + doubled(SOON_MS), again_ms: now_ms + doubled(AGAIN_MS) }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::model::ServiceKey;

    use super::*;

    fn target() -> Target {
        Target::Slices(ServiceKey::new("shop", "payments"))
    }

    #[test]
    fn the_same_is_tried_again_after_a_long_pause_and_something_else_soon() {
        let mut setbacks = Setbacks::default();
        let name = Name::from("s");
        assert!(setbacks.refused(&target(), &name, Version(1), "no".into(), 0));
        assert_eq!(setbacks.until_ms(&target(), &name, Version(1), false, 0), Some(30_000));
        assert_eq!(setbacks.until_ms(&target(), &name, Version(2), false, 0), Some(1000));
        assert_eq!(setbacks.until_ms(&target(), &name, Version(2), false, 1000), None);
        assert!(!setbacks.refused(&target(), &name, Version(2), "no".into(), 1000), "told already");
        assert_eq!(setbacks.until_ms(&target(), &name, Version(3), false, 1000), Some(3000), "pauses grow");
        setbacks.written(&target(), &name);
        assert!(setbacks.is_empty());
    }

    #[test]
    fn a_namespace_in_deletion_takes_nothing_new_until_it_is_another_one() {
        let mut setbacks = Setbacks::default();
        let (namespace, name) = (Name::from("shop"), Name::from("s"));
        assert!(setbacks.ending(&namespace, [Name::from("old")].into(), "ending".into(), 0));
        assert!(!setbacks.ending(&namespace, HashSet::new(), "ending".into(), 1), "said once");
        assert!(setbacks.until_ms(&target(), &name, Version(1), true, 2).is_some());
        assert_eq!(setbacks.until_ms(&target(), &name, Version(1), false, 2), None, "what stands may be changed");
        setbacks.met(&namespace, &"old".into());
        assert!(setbacks.is_ending(&namespace));
        setbacks.met(&namespace, &"new".into());
        assert!(!setbacks.is_ending(&namespace));
    }
}
