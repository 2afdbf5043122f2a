//! What a stream sees: between the catalog as resources and a session.
//!
//! ```text
//! Snapshot, the same for everybody --Lens, by scope and zone--> View --Resources--> session
//! ```
//!
//! Without a lens a view is the snapshot itself. With one, what looks different to some is looked at when a stream asks for
//! it, once for all streams of the same scope and zone: they share its bytes. What exists by name alone, such as the
//! Listener of a gRPC target, is made then, and costs nothing before.

use std::{borrow::Cow, sync::Arc};

use crate::{
    cache::{Changes, Snapshot},
    resource::{Resource, ResourceType},
};

mod choice;
mod eyes;
mod lens;
#[cfg(test)]
mod tests;

use self::eyes::{AllEyes, Eyes};
pub use self::{
    choice::Choice,
    lens::{Client, Lens, Scope, Viewer},
};

/// What names are about, whatever their type and form: a service, as a hash. When a resource about it changes, the names
/// that follow it are looked at again.
pub type Subject = u64;

/// A catalog, the eyes that see it (0 for none), and the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight(u64, u64, u64);

// === impl Sight ===

impl Sight {
    /// Whether it is the same, but for the time.
    pub(crate) fn is_alike(self, other: Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

/// Resources at one revision, as one client sees them. A session asks nothing else: whether they were made ahead, for
/// everybody, or on demand, for those who see alike, is not its concern.
pub trait Resources {
    /// Orders states within this process.
    fn revision(&self) -> u64;

    /// The resource of that type and name, if there is one and the client may see it.
    fn get(&self, ty: ResourceType, name: &str) -> Option<Cow<'_, Resource>>;

    /// Who sees it, and when: whoever has the same sees the same. `None` where that cannot be told.
    fn sight(&self) -> Option<Sight> {
        None
    }

    /// Hands over all resources of a type, in an order of no meaning.
    fn for_each(&self, ty: ResourceType, see: &mut dyn FnMut(&Resource));

    /// What may differ from `revision`, an earlier state of the same view; a key may occur more than once.
    fn changes_since(&self, revision: u64) -> Changes<'_>;

    /// What a resource that changes is about, if others may follow it.
    fn subject(&self, _ty: ResourceType, _name: &str) -> Option<Subject> {
        None
    }

    /// What a name follows that is made on demand: it may look different when something about that has changed, and is not
    /// among the changes itself.
    fn follows(&self, _ty: ResourceType, _name: &str) -> Option<Subject> {
        None
    }

    /// What whoever holds a resource that is no more is told in its place, where its removal would leave them with what they
    /// hold.
    fn parting(&self, _ty: ResourceType, _name: &str) -> Option<Resource> {
        None
    }

    /// Why there is no resource of that name, in words for who asked for it.
    fn why_absent(&self, _ty: ResourceType, name: &str) -> String {
        format!("there is no {name}")
    }
}

/// What streams see: a view for each.
#[derive(Clone, Debug, Default)]
pub struct Views(Option<Arc<(Arc<dyn Lens>, AllEyes)>>);

/// The resources of one snapshot, as one client sees them.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    /// `None` sees everything as it is.
    eyes: Option<Arc<Eyes>>,
}

// === impl Views ===

impl Views {
    /// Everybody sees everything as it is.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Everybody sees through `lens`.
    pub fn through(lens: Arc<dyn Lens>) -> Self {
        Self(Some(Arc::new((lens, AllEyes::default()))))
    }

    /// The view of a client.
    pub fn of(&self, client: &Client<'_>, snapshot: Arc<Snapshot>) -> View {
        let eyes = self.0.as_deref().map(|(lens, all)| Eyes::of(all, lens, lens.viewer(client)));
        View { snapshot, eyes }
    }
}

// === impl View ===

impl View {
    /// The same view of another snapshot.
    pub fn turn_to(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// What it is a view of.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }
}

impl Resources for View {
    fn revision(&self) -> u64 {
        self.snapshot.revision()
    }

    fn get(&self, ty: ResourceType, name: &str) -> Option<Cow<'_, Resource>> {
        let resource = self.snapshot.get(ty, name);
        let Some(eyes) = &self.eyes else { return resource.map(Cow::Borrowed) };
        match resource {
            Some(resource) => eyes.see(ty, resource, &self.snapshot),
            None => eyes.make(ty, name, &self.snapshot).map(Cow::Owned),
        }
    }

    fn sight(&self) -> Option<Sight> {
        let eyes = self.eyes.as_ref().map_or(0, |eyes| eyes.id());
        Some(Sight(self.snapshot.catalog(), eyes, self.snapshot.revision()))
    }

    fn for_each(&self, ty: ResourceType, see: &mut dyn FnMut(&Resource)) {
        let Some(eyes) = &self.eyes else { return self.snapshot.iter(ty).for_each(see) };
        let seen = self.snapshot.iter(ty).filter_map(|resource| eyes.see(ty, resource, &self.snapshot));
        seen.for_each(|resource| see(&resource));
    }

    fn changes_since(&self, revision: u64) -> Changes<'_> {
        self.snapshot.changes_since(revision)
    }

    fn subject(&self, ty: ResourceType, name: &str) -> Option<Subject> {
        self.eyes.as_ref()?.lens().subject(ty, name)
    }

    fn follows(&self, ty: ResourceType, name: &str) -> Option<Subject> {
        self.eyes.as_ref()?.lens().follows(ty, name)
    }

    fn parting(&self, ty: ResourceType, name: &str) -> Option<Resource> {
        self.eyes.as_ref()?.lens().parting(ty, name)
    }

    fn why_absent(&self, ty: ResourceType, name: &str) -> String {
        match &self.eyes {
            Some(eyes) => eyes.why_absent(ty, name, &self.snapshot),
            None => format!("there is no {name}"),
        }
    }
}

// === impl Snapshot ===

/// As everybody sees them.
impl Resources for Snapshot {
    fn revision(&self) -> u64 {
        Self::revision(self)
    }

    fn get(&self, ty: ResourceType, name: &str) -> Option<Cow<'_, Resource>> {
        Self::get(self, ty, name).map(Cow::Borrowed)
    }

    fn sight(&self) -> Option<Sight> {
        Some(Sight(self.catalog(), 0, Self::revision(self)))
    }

    fn for_each(&self, ty: ResourceType, see: &mut dyn FnMut(&Resource)) {
        self.iter(ty).for_each(see);
    }

    fn changes_since(&self, revision: u64) -> Changes<'_> {
        Self::changes_since(self, revision)
    }
}
