//! Why none of a registered endpoint's ports is a port of its Service, in words that say what to write.

use std::fmt;

use crate::model::{Name, Ports, Protocol};

/// Ports are told apart by name and protocol.
type PortKey = (Name, Protocol);

/// Names listed at most: a Service may have hundreds.
const LISTED_MAX: usize = 5;

/// The ports of an endpoint and those of its Service, which have none in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortMismatch {
    registered: Box<[PortKey]>,
    service: Box<[PortKey]>,
}

// === impl PortMismatch ===

impl PortMismatch {
    /// Of the endpoint's ports as registered, and the Service's.
    pub fn new(registered: &Ports, service: &Ports) -> Self {
        let keys = |ports: &Ports| ports.iter().map(|port| (Name::clone(&port.name), port.protocol)).collect();
        Self { registered: keys(registered), service: keys(service) }
    }
}

impl fmt::Display for PortMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registered = || listed(self.registered.iter().map(|(name, _)| format!("{name:?}")));
        let service = || listed(self.service.iter().map(|(name, protocol)| format!("{name:?} ({protocol})")));
        let one = |ports: &[PortKey]| ports.iter().all(|(name, _)| name.is_empty());
        let other_protocol = self.registered.iter().find_map(|(name, protocol)| {
            let (_, other) = self.service.iter().find(|(theirs, _)| theirs == name)?;
            Some((name, protocol, other))
        });
        match other_protocol {
            Some((name, protocol, other)) => {
                write!(f, "port {name:?} has protocol {protocol} here and {other} in the Service; give both the same")
            }
            None if one(&self.service) => write!(
                f,
                "the Service's port has no name, and here it has: {}; leave the name out here, or give it to the Service's port",
                registered()
            ),
            None if one(&self.registered) => {
                write!(f, "the Service names its ports: {}; give the port here the name of one of them", service())
            }
            None => write!(
                f,
                "the Service has no port named {}, but {}; name ports as the Service does, or add them to it",
                registered(),
                service()
            ),
        }
    }
}

fn listed(words: impl ExactSizeIterator<Item = String>) -> String {
    let more = words.len().saturating_sub(LISTED_MAX);
    let mut words: Vec<_> = words.take(LISTED_MAX).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Port;

    fn ports(keys: &[(&str, Protocol)]) -> Ports {
        let port = |(name, protocol): &(&str, Protocol)| Port {
            name: (*name).into(),
            number: 80,
            protocol: *protocol,
            app_protocol: None,
        };
        keys.iter().map(port).collect()
    }

    fn said(registered: &[(&str, Protocol)], service: &[(&str, Protocol)]) -> String {
        PortMismatch::new(&ports(registered), &ports(service)).to_string()
    }

    #[test]
    fn each_kind_of_mismatch_says_what_to_write() {
        use Protocol::{Tcp, Udp};
        let table = [
            (
                said(&[("grpc", Tcp)], &[("http", Tcp)]),
                "the Service has no port named \"grpc\", but \"http\" (TCP); name ports as the Service does, or add them to it",
            ),
            (
                said(&[("http", Tcp)], &[("", Tcp)]),
                "the Service's port has no name, and here it has: \"http\"; leave the name out here, or give it to the \
                 Service's port",
            ),
            (
                said(&[("", Tcp)], &[("http", Tcp), ("admin", Tcp)]),
                "the Service names its ports: \"http\" (TCP), \"admin\" (TCP); give the port here the name of one of them",
            ),
            (
                said(&[("dns", Udp)], &[("dns", Tcp)]),
                "port \"dns\" has protocol UDP here and TCP in the Service; give both the same",
            ),
            (
                said(&[("", Udp)], &[("", Tcp)]),
                "port \"\" has protocol UDP here and TCP in the Service; give both the same",
            ),
        ];
        for (said, expected) in table {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_service_of_many_ports_is_not_listed_whole() {
        let names: Vec<_> = (0..400).map(|index| format!("p-{index}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Protocol::Tcp)).collect();
        let said = said(&[("http", Protocol::Tcp)], &many);
        assert!(said.contains("\"p-4\" (TCP), and 395 more; name ports"), "{said}");
    }
}
