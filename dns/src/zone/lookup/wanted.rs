//! Which ports of a service a question is about.

use crate::zone::model::{Port, Protocol};
use crate::zone::record::Record as Service;

/// Which ports are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// Whatever they are called, and those without a name.
    All,
    /// One: its place among the service's, and what it is called.
    Named(usize, Protocol, &'a str),
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// The one at a place, which is one.
    pub(super) fn at(service: &'a Service, place: usize) -> Self {
        service.port_at(place).map_or(Self::All, |(protocol, name)| Self::Named(place, protocol, name))
    }

    /// Whether a port is one of them.
    pub(super) fn includes(self, port: &Port) -> bool {
        match self {
            Self::All => true,
            Self::Named(_, protocol, name) => port.protocol == protocol && *port.name == *name,
        }
    }
}
