//! Who looks, and how things look to them.

use std::{fmt, sync::Arc};

use super::{Choice, Subject};
use crate::{
    asking::{Serves, Variant},
    cache::Snapshot,
    proto::discovery::Node,
    resource::{Resource, ResourceType},
};

/// A client, as far as it is known when its first request comes.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// What it says of itself.
    pub node: &'a Node,
    /// What it may see, whatever it asks for.
    pub may_see: &'a Scope,
    /// How it asks.
    pub variant: Variant,
    /// What for.
    pub serves: Serves,
}

/// Who looks. Clients that are alike see the same, and share its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// What it may see, or wants to.
    pub scope: Scope,
    /// Which of the resources that have labels it wants to see.
    pub choice: Option<Arc<Choice>>,
    /// Where it is, for those who are given what is near first: region and zone.
    pub locality: Option<(Arc<str>, Arc<str>)>,
    /// What else makes a difference, in the words of the lens.
    pub manner: Option<Arc<str>>,
}

/// A part of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    #[default]
    All,
    /// These namespaces, sorted.
    Namespaces(Arc<[Arc<str>]>),
}

/// How resources look to a viewer. Pure: the same viewer and the same resource always give the same bytes.
pub trait Lens: fmt::Debug + Send + Sync {
    /// Who a client is.
    fn viewer(&self, client: &Client<'_>) -> Viewer;

    /// Whether `viewer` is shown a resource. Asked often.
    fn shows(&self, viewer: &Viewer, ty: ResourceType, name: &str) -> bool;

    /// Whether resources of a type may look different to `viewer` than they are. Asked often.
    fn alters(&self, viewer: &Viewer, ty: ResourceType) -> bool;

    /// A resource as `viewer` sees it, under the same name.
    fn see(&self, viewer: &Viewer, ty: ResourceType, resource: &Resource) -> Resource;

    /// What a resource that exists by name alone is made of, if that is there.
    fn basis<'a>(&self, _ty: ResourceType, _name: &str, _snapshot: &'a Snapshot) -> Option<&'a Resource> {
        None
    }

    /// The resource of that name, as `viewer` sees it: a function of the name and what it is made of.
    fn make(&self, _viewer: &Viewer, _ty: ResourceType, _name: &str, _basis: &Resource) -> Option<Resource> {
        None
    }

    /// See [`Resources::subject`](super::Resources::subject).
    fn subject(&self, _ty: ResourceType, _name: &str) -> Option<Subject> {
        None
    }

    /// See [`Resources::follows`](super::Resources::follows).
    fn follows(&self, _ty: ResourceType, _name: &str) -> Option<Subject> {
        None
    }

    /// See [`Resources::parting`](super::Resources::parting).
    fn parting(&self, _ty: ResourceType, _name: &str) -> Option<Resource> {
        None
    }

    /// See [`Resources::why_absent`](super::Resources::why_absent). What is hidden from `viewer` must read as if it were not
    /// there, or as forbidden whether it is there or not.
    fn why_absent(&self, _viewer: &Viewer, _ty: ResourceType, name: &str, _snapshot: &Snapshot) -> String {
        format!("there is no {name}")
    }
}

// === impl Scope ===

impl Scope {
    /// What is in both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (self, other) {
            (one, Self::All) => one,
            (Self::All, other) => other.clone(),
            (Self::Namespaces(one), Self::Namespaces(other)) => {
                Self::Namespaces(one.iter().filter(|name| other.binary_search(name).is_ok()).cloned().collect())
            }
        }
    }
}
