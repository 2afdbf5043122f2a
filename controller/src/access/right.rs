//! What somebody may do, in the words of RBAC.

use std::fmt;

/// Something that RBAC can allow, in the API group `rollcall.dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Right<'a> {
    /// `get`, `update`.
    pub verb: &'a str,
    /// In the plural, with its subresource if it has one: `catalogentries`, `serviceregistrations/beat`.
    pub resource: &'a str,
    /// Where; empty for all namespaces.
    pub namespace: &'a str,
    /// Of which object; empty for any.
    pub name: &'a str,
}

/// The API group of everything here.
pub(super) const GROUP: &str = "rollcall.dev";

// === impl Right ===

impl<'a> Right<'a> {
    /// Resource and subresource apart.
    pub(super) fn parts(&self) -> (&'a str, Option<&'a str>) {
        self.resource.split_once('/').map_or((self.resource, None), |(resource, sub)| (resource, Some(sub)))
    }
}

impl fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, namespace, name, .. } = self;
        let (resource, subresource) = self.parts();
        let subresource = subresource.map(|sub| format!("/{sub}")).unwrap_or_default();
        let name = if name.is_empty() { String::new() } else { format!(" {name}") };
        write!(f, "{verb} {resource}.{GROUP}{subresource}{name}")?;
        match *namespace {
            "" => f.write_str(" in all namespaces"),
            namespace => write!(f, " in namespace {namespace}"),
        }
    }
}
