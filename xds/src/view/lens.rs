//! Who looks, and how things look to them.

use std::{fmt, sync::Arc};

use crate::{
    proto::discovery::Node,
    resource::{Resource, ResourceType},
};

/// Who looks. Clients that are alike see the same, and share its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// What it may see, or wants to.
    pub scope: Scope,
    /// Where it is, for those who are given what is near first.
    pub zone: Option<Arc<str>>,
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
    /// Who a client is, by what it says of itself in its first request.
    fn viewer(&self, node: &Node) -> Viewer;

    /// The resource as `viewer` sees it, under the same name; `None` when it is hidden from it.
    fn see(&self, viewer: &Viewer, ty: ResourceType, resource: &Resource) -> Option<Resource>;
}
