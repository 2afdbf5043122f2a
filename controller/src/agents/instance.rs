//! One instance as an agent says it, read and judged: what of it would be refused by the API server is refused here, so that
//! it harms none of those that share its object.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::model::Name;
use rollcall_crds::{EndpointSpec, Maintenance, PortSpec, Protocol};
use rollcall_xds::proto::rollcall::v1 as wire;

use super::endpoint::Endpoint;
use super::set::Set;
use crate::kubernetes::syntax::{is_dns_label, is_label_value, is_qualified_name};

/// Which endpoint of which service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The service.
    pub service: ServiceKey,
    /// The name of the endpoint in its registration: the machine's, or the machine's and the instance's.
    pub endpoint: Name,
}

/// One instance, fit to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Which it is.
    pub key: InstanceKey,
    /// What it shares with others, and what its object is chosen by.
    pub set: Arc<Set>,
    /// What is its own, without ports: those of its set are its own, and of them it says what its object says otherwise.
    pub endpoint: Endpoint,
    /// The checks that run on the machine.
    pub local_checks: Vec<Name>,
}

/// Under this key the metadata of an endpoint says on which machine it is.
pub const MACHINE: &str = "rollcall.dev/machine";

/// Ports of one instance.
const PORTS_MAX: usize = 16;
/// Tags of one instance.
const TAGS_MAX: usize = 16;
/// Pairs of metadata, that of the machine included.
const METADATA_MAX: usize = 32;
/// Checks on the machine, of one instance.
const LOCAL_CHECKS_MAX: usize = 32;

// === impl Instance ===

impl Instance {
    /// Reads what an agent on `machine` says.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn read(machine: &str, said: &wire::Instance) -> Result<Self, String> {
        for (what, name) in [("namespace", &said.namespace), ("service", &said.service)] {
            is_dns_label(name)
                .then_some(())
                .ok_or_else(|| format!("{what} {name:?}: use a-z, 0-9 and - only, 63 at most"))?;
        }
        let endpoint = endpoint_name(machine, &said.name)?;
        let ports = ports(&said.ports)?;
        let service = ServiceKey::new(said.namespace.as_str(), said.service.as_str());
        let set = Set::new(&service, &ports, said)?;
        let endpoint = EndpointSpec {
            name: endpoint.clone(),
            addresses: addresses(&said.addresses)?,
            host: None,
            ports: Vec::new(),
            hostname: optional(&said.hostname, is_dns_label, "hostname", "give its first label alone, such as db-1")?,
            zone: optional(&said.zone, is_label_value, "zone", "give it as the nodes' label has it, such as eu-1a")?,
            machine: Some(machine.to_owned()),
            weight: weight(said.weight)?,
            tags: tags(&said.tags)?,
            metadata: metadata(machine, &said.metadata)?,
            maintenance: maintenance(&said.maintenance)?,
        };
        let key = InstanceKey { service, endpoint: endpoint.name.as_str().into() };
        let local_checks = local_checks(&said.local_checks)?;
        Ok(Self { key, set: Arc::new(set), endpoint: Endpoint::pack(&endpoint), local_checks })
    }
}

fn endpoint_name(machine: &str, name: &str) -> Result<String, String> {
    let endpoint = if name.is_empty() { machine.to_owned() } else { format!("{machine}-{name}") };
    if is_dns_label(&endpoint) {
        return Ok(endpoint);
    }
    Err(format!(
        "name {name:?}: the endpoint would be called {endpoint:?}; use a-z, 0-9 and - only, 63 at most together"
    ))
}

fn ports(said: &[wire::InstancePort]) -> Result<Vec<PortSpec>, String> {
    if said.is_empty() || said.len() > PORTS_MAX {
        return Err(format!("ports: there are {}; give 1 to {PORTS_MAX}", said.len()));
    }
    let mut names = BTreeSet::new();
    let port = |port: &wire::InstancePort| {
        let name = &port.name;
        if !(is_dns_label(name) || name.is_empty() && said.len() == 1) {
            return Err(format!(
                "port {name:?}: use a-z, 0-9 and - only, such as http; only a single port may go without a name"
            ));
        }
        if !names.insert(name.clone()) {
            return Err(format!("port {name:?}: two have this name; give each its own, as the Service does"));
        }
        let number = u16::try_from(port.port).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("port {name:?}: {} is no port; give 1 to 65535", port.port))?;
        let app_protocol =
            optional(&port.app_protocol, is_app_protocol, "port's app_protocol", "give a word such as http")?;
        Ok(PortSpec { name: name.clone(), port: number, protocol: protocol(name, &port.protocol)?, app_protocol })
    };
    let mut ports = said.iter().map(port).collect::<Result<Vec<_>, _>>()?;
    ports.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(ports)
}

fn protocol(port: &str, said: &str) -> Result<Protocol, String> {
    match said {
        "" | "TCP" => Ok(Protocol::Tcp),
        "UDP" => Ok(Protocol::Udp),
        "SCTP" => Ok(Protocol::Sctp),
        _ => Err(format!("port {port:?}: protocol {said:?} is not known; use TCP, UDP or SCTP")),
    }
}

fn is_app_protocol(text: &str) -> bool {
    text.len() <= 253 && is_qualified_name(text)
}

fn addresses(said: &[String]) -> Result<Vec<String>, String> {
    let read = |text: &String| {
        text.parse::<IpAddr>().map_err(|_| {
            format!("address {text:?}: give an IP address alone, such as 198.51.100.11; names are not resolved")
        })
    };
    let ips = said.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    match &*ips {
        [_] => {}
        [one, other] if one.is_ipv4() != other.is_ipv4() => {}
        _ => {
            return Err(format!(
                "addresses: there are {}; give one IPv4 address, one IPv6 address, or one of each",
                ips.len()
            ));
        }
    }
    Ok(ips.iter().map(ToString::to_string).collect())
}

fn optional(text: &str, is_good: fn(&str) -> bool, what: &str, remedy: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        text if is_good(text) => Ok(Some(text.to_owned())),
        text => Err(format!("{what} {text:?}: {remedy}")),
    }
}

fn weight(said: u32) -> Result<u16, String> {
    u16::try_from(said.max(1)).map_err(|_| format!("weight {said}: give 1 to 65535"))
}

fn tags(said: &[String]) -> Result<Vec<String>, String> {
    if let Some(tag) = said.iter().find(|tag| !is_dns_label(tag)) {
        return Err(format!("tag {tag:?}: use a-z, 0-9 and - only, such as canary; a pair goes into metadata"));
    }
    let tags: BTreeSet<_> = said.iter().cloned().collect();
    if tags.len() > TAGS_MAX {
        return Err(format!("tags: there are {}; give {TAGS_MAX} at most", tags.len()));
    }
    Ok(tags.into_iter().collect())
}

fn metadata(machine: &str, said: &[wire::Pair]) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    for wire::Pair { key, value } in said {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 512 {
            return Err(format!("metadata {key:?}: keys have 1 to 128 characters, values 512 at most"));
        }
        metadata.insert(key.clone(), value.clone());
    }
    metadata.insert(MACHINE.to_owned(), machine.to_owned());
    if metadata.len() > METADATA_MAX {
        return Err(format!("metadata: there are {} pairs; give {} at most", metadata.len() - 1, METADATA_MAX - 1));
    }
    Ok(metadata)
}

fn maintenance(reason: &str) -> Result<Option<Maintenance>, String> {
    match reason.chars().count() {
        0 => Ok(None),
        1..=256 => Ok(Some(Maintenance { reason: reason.to_owned() })),
        count => Err(format!("maintenance: the reason has {count} characters; give 256 at most")),
    }
}

fn local_checks(said: &[String]) -> Result<Vec<Name>, String> {
    if said.len() > LOCAL_CHECKS_MAX {
        return Err(format!("local checks: there are {}; give {LOCAL_CHECKS_MAX} at most", said.len()));
    }
    let bad = said.iter().find(|name| !is_dns_label(name));
    match bad {
        Some(name) => Err(format!("local check {name:?}: use a-z, 0-9 and - only, such as disk")),
        None => Ok(said.iter().map(|name| name.as_str().into()).collect()),
    }
}

#[cfg(test)]
mod tests;
