//! Clients that hold the same and see alike are told the same next. That is found once for all of them, with the bytes that it is
//! told in, and so is the table of what they hold then: a thousand streams of everything that are told of a change cost the work
//! of one, and a write each.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use bytes::Bytes;
use rollcall_catalog::persistent::Map;

use super::{Held, OWN_MIN, Sum, Table, shelf};
use crate::{
    cache::Changes,
    resource::{Resource, ResourceType, Version},
    stream::{RESPONSE_BYTES_MAX, Telling, take_room},
    view::{Resources, Sight},
};

/// What all who hold the same are told next: one response.
#[derive(Debug, Default)]
pub(in crate::stream) struct Step {
    /// As the variant has them.
    pub(in crate::stream) resources: Arc<[Bytes]>,
    /// Of all of them together, where the variant tells it.
    pub(in crate::stream) version: Option<Version>,
    /// What is not held like this, in order.
    pub(in crate::stream) sent: Arc<[Arc<str>]>,
    /// What is held and is no more, in order.
    pub(in crate::stream) removed: Arc<[Arc<str>]>,
    /// Changes that came to nothing more than these.
    pub(in crate::stream) coalesced: u64,
    /// From where it goes on.
    pub(in crate::stream) since: Since,
    /// Of `sent`.
    versions: Box<[Version]>,
    /// What is held after it.
    sum: Sum,
    len: usize,
}

/// When what a client holds was all there was, but for what did not fit.
#[derive(Clone, Debug, Default)]
pub(in crate::stream) struct Since {
    revision: u64,
    rest: Arc<[Arc<str>]>,
}

/// A step that was made.
#[derive(Debug)]
pub(super) struct Made {
    how: How,
    sight: Sight,
    step: Arc<Step>,
}

/// What is told, and how.
type How = (ResourceType, Telling);

/// Views of which a table remembers the next step: most have one, that of nothing one for each type and scope.
const MADE_MAX: usize = 16;

/// What a client holds that was told nothing.
static NOTHING: LazyLock<Arc<Table<Version>>> =
    LazyLock::new(|| Arc::new(Table { entries: Map::default(), made: Mutex::default() }));

// === impl Since ===

impl Since {
    pub(in crate::stream) fn all_of(revision: u64) -> Self {
        Self { revision, rest: Arc::default() }
    }

    pub(in crate::stream) fn rest(&self) -> &[Arc<str>] {
        &self.rest
    }
}

// === impl Step ===

impl Step {
    pub(in crate::stream) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.removed.is_empty()
    }

    /// Whether it will tell of that name, or what comes after it.
    pub(in crate::stream) fn tells(&self, name: &str) -> bool {
        let among = |names: &[Arc<str>]| names.binary_search_by(|other| (**other).cmp(name)).is_ok();
        among(&self.sent) || among(&self.since.rest)
    }
}

// === impl Held ===

impl Held {
    /// Nothing, as all hold who begin.
    pub(in crate::stream) fn nothing() -> Self {
        Self { table: Some(Arc::clone(&NOTHING)), ..Self::default() }
    }

    /// Takes a table that others may have as well, if it is large enough for one.
    pub(in crate::stream) fn settles(&mut self) -> bool {
        let settles = self.len > OWN_MIN;
        if settles {
            self.settle();
        }
        settles
    }

    /// What whoever holds this is told next. `None` where that is not the same for others.
    pub(in crate::stream) fn step(
        &self,
        how: How,
        since: Option<&Since>,
        resources: &impl Resources,
    ) -> Option<Arc<Step>> {
        let (table, sight) = (self.table.as_ref().filter(|_| self.own.is_empty())?, resources.sight()?);
        // Who comes while it is made waits for that, and need not make it.
        let mut made = table.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.iter().find(|made| made.how == how && made.sight == sight) {
            return Some(Arc::clone(&known.step));
        }
        let step = Arc::new(self.make(how, since, resources));
        made.retain(|made| made.how != how || !made.sight.is_alike(sight));
        made.truncate(MADE_MAX - 1);
        made.insert(0, Made { how, sight, step: Arc::clone(&step) });
        Some(step)
    }

    /// What is held after that step: in a table, unless it is little.
    pub(in crate::stream) fn after(&self, step: &Step) -> Self {
        if let Some(table) = shelf::<Version>().table(step.sum, step.len) {
            return Self { table: Some(table), own: HashMap::new(), len: step.len, sum: step.sum };
        }
        let mut after = Self { table: self.table.clone(), own: HashMap::new(), len: self.len, sum: self.sum };
        for (name, version) in step.sent.iter().zip(&step.versions) {
            after.insert(Arc::clone(name), *version);
        }
        step.removed.iter().for_each(|name| _ = after.remove(name));
        if after.len > OWN_MIN {
            after.settle();
        } else {
            after.own = after.iter().map(|(name, version)| (Arc::clone(name), Some(version))).collect();
            after.table = None;
        }
        after
    }

    fn make(&self, (ty, telling): How, since: Option<&Since>, resources: &impl Resources) -> Step {
        let (names, changes) = self.candidates(ty, since, resources);
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for name in names {
            let held = self.get(&name);
            match resources.get(ty, &name) {
                Some(now) if held != Some(now.version) => changed.push(now.into_owned()),
                None if held.is_some() => gone.push(name),
                Some(_) | None => {}
            }
        }
        let coalesced = changes.saturating_sub(changed.len() + gone.len()) as u64;
        let (sent, removed) = match telling {
            Telling::Whole => (changed.len(), gone.len()),
            Telling::Changes | Telling::Parts | Telling::PartsAndErrors => fit(&changed, &gone),
        };
        let rest = changed[sent..].iter().map(|resource| Arc::clone(&resource.name));
        let rest: Arc<[_]> = rest.chain(gone[removed..].iter().cloned()).collect();
        changed.truncate(sent);
        gone.truncate(removed);
        let told = match telling {
            Telling::Whole if !changed.is_empty() || !gone.is_empty() || self.is_empty() => all(ty, resources),
            _ => Told { resources: changed.iter().map(|resource| resource.wire.clone()).collect(), version: None },
        };
        let (sum, len) = self.sum_after(&changed, &gone);
        Step {
            resources: told.resources,
            version: told.version,
            sent: changed.iter().map(|resource| Arc::clone(&resource.name)).collect(),
            removed: gone.into(),
            coalesced,
            since: Since { revision: resources.revision(), rest },
            versions: changed.iter().map(|resource| resource.version).collect(),
            sum,
            len,
        }
    }

    /// The names to look at, in order, each once; and how many changes they stand for.
    fn candidates(
        &self,
        ty: ResourceType,
        since: Option<&Since>,
        resources: &impl Resources,
    ) -> (Vec<Arc<str>>, usize) {
        let mut names = Vec::new();
        match since.map(|since| (resources.changes_since(since.revision), since)) {
            None | Some((Changes::Resync, _)) => names = self.differing(ty, resources),
            Some((Changes::None, since)) => names.extend(since.rest.iter().cloned()),
            Some((Changes::Keys(keys), since)) => {
                names.extend(keys.filter(|(its, _)| *its == ty).map(|(_, name)| Arc::clone(name)));
                let changes = names.len();
                names.extend(since.rest.iter().cloned());
                names.sort_unstable();
                names.dedup();
                return (names, changes);
            }
        }
        names.sort_unstable();
        (names, 0)
    }

    /// The names of what differs, found by looking at everything.
    fn differing(&self, ty: ResourceType, resources: &impl Resources) -> Vec<Arc<str>> {
        let (mut names, mut met) = (Vec::new(), 0);
        resources.for_each(ty, &mut |resource| {
            let held = self.get(&resource.name);
            met += usize::from(held.is_some());
            if held != Some(resource.version) {
                names.push(Arc::clone(&resource.name));
            }
        });
        if met < self.len {
            names.extend(self.names().filter(|name| resources.get(ty, name).is_none()).cloned());
        }
        names
    }

    fn sum_after(&self, changed: &[Resource], gone: &[Arc<str>]) -> (Sum, usize) {
        let (mut sum, mut len) = (self.sum, self.len);
        for resource in changed {
            match self.get(&resource.name) {
                Some(before) => sum.take(&resource.name, before),
                None => len += 1,
            }
            sum.add(&resource.name, resource.version);
        }
        for name in gone {
            let Some(before) = self.get(name) else { continue };
            sum.take(name, before);
            len -= 1;
        }
        (sum, len)
    }
}

/// Resources on the wire, and the version of them together.
struct Told {
    resources: Arc<[Bytes]>,
    version: Option<Version>,
}

/// All there is, in order: clients take what is not among it for removed.
fn all(ty: ResourceType, resources: &impl Resources) -> Told {
    let mut all = Vec::new();
    resources.for_each(ty, &mut |resource| all.push(resource.clone()));
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let version = Some(Version::of_all(all.iter().map(|resource| resource.version)));
    Told { resources: all.iter().map(Resource::any).collect(), version }
}

/// How many of these go into one response, and how many names of what is gone.
fn fit(changed: &[Resource], gone: &[Arc<str>]) -> (usize, usize) {
    let mut room = Some(RESPONSE_BYTES_MAX);
    let mut fits = |bytes: usize, first: bool| {
        room = take_room(room, bytes, first);
        room.is_some()
    };
    let sent = changed.iter().enumerate().take_while(|(at, resource)| fits(resource.wire.len(), *at == 0)).count();
    let names = gone.iter().enumerate().filter(|_| sent == changed.len());
    let removed = names.take_while(|(at, name)| fits(name.len(), sent == 0 && *at == 0)).count();
    (sent, removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::{Cache, Snapshot},
        resource::ResourceType::Cluster,
    };

    fn write(cache: &mut Cache, at: usize, body: &str) {
        cache.upsert(Cluster, Resource::from_body(Cluster, format!("service-{at:04}"), body.as_bytes().to_vec()));
    }

    fn step(held: &Held, since: Option<&Since>, snapshot: &Snapshot) -> Arc<Step> {
        held.step((Cluster, Telling::Changes), since, snapshot).expect("it is shared")
    }

    #[test]
    fn the_next_step_is_made_once_for_all_who_hold_the_same_and_so_is_what_they_hold_then() {
        let mut cache = Cache::new();
        (0..100).for_each(|at| write(&mut cache, at, "1"));
        let snapshot = cache.publish();
        let first = step(&Held::nothing(), None, &snapshot);
        assert!(Arc::ptr_eq(&first, &step(&Held::nothing(), None, &snapshot)), "it is not made again");
        let [one, other] = [Held::nothing().after(&first), Held::nothing().after(&first)];
        assert!(Arc::ptr_eq(one.table.as_ref().expect("a table"), other.table.as_ref().expect("a table")));
        assert_eq!((first.sent.len(), one.len(), other.own_len()), (100, 100, 0));
        write(&mut cache, 7, "2");
        write(&mut cache, 100, "1");
        cache.remove(Cluster, "service-0009");
        let snapshot = cache.publish();
        let second = step(&one, Some(&first.since), &snapshot);
        assert_eq!(second.sent.iter().map(|name| &**name).collect::<Vec<_>>(), ["service-0007", "service-0100"]);
        assert_eq!(&*second.removed, ["service-0009".into()]);
        let by_looking_at_all = Held::nothing().after(&first).make((Cluster, Telling::Changes), None, &*snapshot);
        assert_eq!((by_looking_at_all.sum, by_looking_at_all.len), (second.sum, 100));
        let now = one.after(&second);
        assert!(step(&now, Some(&second.since), &snapshot).is_empty());
        assert!(snapshot.iter(Cluster).all(|resource| now.get(&resource.name) == Some(resource.version)));
    }

    #[test]
    fn what_does_not_fit_comes_with_the_next_step_as_it_is_then() {
        let mut cache = Cache::new();
        let large = "x".repeat(1 << 20);
        (0..9).for_each(|at| write(&mut cache, at, &large));
        let snapshot = cache.publish();
        let first = step(&Held::nothing(), None, &snapshot);
        assert_eq!((first.sent.len(), first.since.rest().len()), (3, 6));
        assert!(first.tells("service-0002") && first.tells("service-0008") && !first.tells("service-0009"));
        cache.remove(Cluster, "service-0004");
        write(&mut cache, 5, "small");
        write(&mut cache, 0, "small");
        let snapshot = cache.publish();
        let second = step(&Held::nothing().after(&first), Some(&first.since), &snapshot);
        let sent: Vec<_> = second.sent.iter().map(|name| &name[8..]).collect();
        assert_eq!((sent, second.removed.len()), (vec!["0000", "0003", "0005", "0006", "0007"], 0));
    }
}
