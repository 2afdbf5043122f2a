//! A request, whatever the variant.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Limits, SessionError};
use crate::{
    asking::Variant,
    known, name,
    proto::discovery::{Node, Status},
};

/// What a request says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) node: Option<&'a Node>,
    pub(crate) type_url: &'a str,
    /// Delta: names to add. State-of-the-world: all names.
    pub(crate) subscribe: &'a [String],
    /// Delta alone.
    pub(crate) unsubscribe: &'a [String],
    /// What a client holds that comes back, each as [`known::entry`]. Delta alone.
    pub(crate) known: &'a [Bytes],
    /// State-of-the-world alone: the client has taken something of the type before, maybe on another stream.
    pub(crate) has_taken: bool,
    pub(crate) nonce: &'a str,
    pub(crate) error: Option<&'a Status>,
    pub(crate) variant: Variant,
}

/// The name that stands for all.
pub(crate) const WILDCARD: &str = "*";

// === impl Ask ===

impl Ask<'_> {
    /// Holds it to the limits, before anything of it is kept; all but what it says that it holds.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), SessionError> {
        let names = || self.subscribe.iter().chain(self.unsubscribe);
        if self.type_url.is_empty() {
            return Err(SessionError::NoType);
        }
        limits.check_text("type_url", self.type_url)?;
        limits.check_names(self.type_url, names().count())?;
        limits.check_versions(self.type_url, self.known.len())?;
        names().try_for_each(|name| limits.check_text("resource name", name))
    }

    /// The same of what it says that it holds.
    pub(super) fn check_known(&self, limits: &Limits) -> Result<(), SessionError> {
        self.known.iter().try_for_each(|entry| {
            let (name, version) = known::read(entry).ok_or(SessionError::NoVersion)?;
            limits.check_text("resource name", name)?;
            limits.check_text("version", version)
        })
    }

    /// Names and versions that the client holds.
    pub(super) fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        self.known.iter().filter_map(|entry| known::read(entry)) // all of them, once it was checked
    }

    /// Whether it says again what an earlier one has said: in the state-of-the-world every answer bears all names.
    pub(super) fn repeats_itself(&self) -> bool {
        self.variant == Variant::StateOfTheWorld && !self.nonce.is_empty()
    }

    /// Whether the star is among its names.
    pub(super) fn stars(&self) -> bool {
        self.subscribe.iter().any(|name| name == WILDCARD)
    }

    /// The names that it asks for, without the star.
    pub(super) fn named(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.subscribe.iter().filter(|name| *name != WILDCARD).map(|name| name::normal(name))
    }
}
