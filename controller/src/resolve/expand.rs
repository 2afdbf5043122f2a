//! A registration with its names resolved: each address of a host becomes an endpoint of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rollcall_catalog::digest::Digest;
use rollcall_crds::{EndpointSpec, ServiceRegistration};

use super::hosts::Hosts;

/// Words about endpoints without an address, by name.
pub type Unresolved = BTreeMap<String, String>;

/// A label of DNS has no more (RFC 1035 §2.3.4), and so has the name of an endpoint.
const NAME_BYTES_MAX: usize = 63;
/// As many endpoints has a registration, and its status.
const ENDPOINTS_MAX: usize = 100;

/// The hosts that a registration names.
pub fn hosts(registration: &ServiceRegistration) -> impl Iterator<Item = &str> {
    registration.spec.endpoints.iter().filter_map(|endpoint| endpoint.host.as_deref())
}

/// The registration with addresses in place of hosts, and words about endpoints that have none.
pub fn expand(raw: &ServiceRegistration, known: &Hosts) -> (ServiceRegistration, Unresolved) {
    let mut unresolved = Unresolved::new();
    let mut endpoints = Vec::with_capacity(raw.spec.endpoints.len());
    for said in &raw.spec.endpoints {
        let Some(host) = said.host.as_deref() else {
            endpoints.push(said.clone());
            continue;
        };
        let addresses = known.addresses(host);
        if addresses.is_empty() {
            unresolved.insert(said.name.clone(), format!("host {host}: {}", known.words(host)));
            endpoints.push(said.clone());
        }
        endpoints.extend(addresses.iter().map(|ip| EndpointSpec {
            name: name(&said.name, *ip),
            addresses: vec![ip.to_string()],
            ..said.clone()
        }));
    }
    if endpoints.len() > ENDPOINTS_MAX {
        let more = endpoints.len() - ENDPOINTS_MAX;
        endpoints.truncate(ENDPOINTS_MAX);
        if let Some(last) = endpoints.last() {
            let words = format!(
                "{more} addresses of hosts are left out: a registration has {ENDPOINTS_MAX} endpoints at most; use a second one"
            );
            unresolved.insert(last.name.clone(), words);
        }
    }
    let mut registration = raw.clone();
    registration.spec.endpoints = endpoints;
    (registration, unresolved)
}

/// What an earlier process knew of a host, from the status: its endpoints are known by their names.
pub fn known(raw: &ServiceRegistration, host: &str) -> BTreeSet<IpAddr> {
    let named: Vec<_> =
        raw.spec.endpoints.iter().filter(|said| said.host.as_deref() == Some(host)).map(|said| &said.name).collect();
    let status = raw.status.iter().flat_map(|status| &status.endpoints);
    let addresses = status.filter_map(|said| {
        let [address] = said.addresses.as_slice() else { return None };
        let ip = address.parse().ok()?;
        named.iter().any(|own| name(own, ip) == said.name).then_some(ip)
    });
    addresses.collect()
}

/// The endpoint of one address of a host: `db-198-51-100-7`. The same address is the same endpoint, whatever else the host
/// has; a name that would be too long ends in a hash.
fn name(own: &str, ip: IpAddr) -> String {
    let suffix = match ip {
        IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
        IpAddr::V6(ip) => ip.segments().map(|segment| format!("{segment:x}")).join("-"),
    };
    let whole = format!("{own}-{suffix}");
    if whole.len() <= NAME_BYTES_MAX {
        return whole;
    }
    let hash = Digest::default().text(&whole).finish().to_string();
    let kept = own.get(..NAME_BYTES_MAX - hash.len() - 1).unwrap_or(own);
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resolve::hosts::Answer;
    use crate::testing::registration;

    fn raw() -> ServiceRegistration {
        registration(json!({
            "service": "payments",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [
                { "name": "vm-1", "addresses": ["198.51.100.1"] },
                { "name": "db", "host": "db.example.net", "weight": 3, "zone": "a" },
            ],
        }))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_becomes_an_endpoint_with_all_else_that_was_said() {
        let mut hosts = Hosts::default();
        hosts.want("db.example.net", BTreeSet::new, 0);
        let (waiting, unresolved) = expand(&raw(), &hosts);
        assert_eq!(waiting.spec.endpoints.len(), 2);
        assert!(unresolved["db"].starts_with("host db.example.net: "), "{unresolved:?}");
        let found = [ip("198.51.100.7"), ip("2001:db8::7")].into();
        assert!(hosts.answered("db.example.net", Answer::found(found, 60), 0));
        let (resolved, unresolved) = expand(&raw(), &hosts);
        assert!(unresolved.is_empty());
        let all: Vec<_> = resolved
            .spec
            .endpoints
            .iter()
            .map(|said| (said.name.as_str(), said.addresses.join(" "), said.weight))
            .collect();
        assert_eq!(
            all,
            [
                ("vm-1", "198.51.100.1".to_owned(), 1),
                ("db-198-51-100-7", "198.51.100.7".to_owned(), 3),
                ("db-2001-db8-0-0-0-0-0-7", "2001:db8::7".to_owned(), 3),
            ]
        );
    }

    #[test]
    fn names_are_labels_however_long_the_endpoints_is() {
        let long = "a".repeat(63);
        let names = [name(&long, ip("198.51.100.7")), name(&long, ip("198.51.100.8"))];
        assert!(names.iter().all(|name| name.len() == NAME_BYTES_MAX), "{names:?}");
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn after_a_restart_the_status_has_what_was_known() {
        let mut before = raw();
        let status = json!({ "endpoints": [
            { "name": "vm-1", "addresses": ["198.51.100.1"], "since": "2026-11-21T10:00:00Z" },
            { "name": "db-198-51-100-7", "addresses": ["198.51.100.7"], "since": "2026-11-21T10:00:00Z" },
            { "name": "db-other", "addresses": ["198.51.100.9"], "since": "2026-11-21T10:00:00Z" },
        ]});
        before.status = Some(serde_json::from_value(status).expect("a status"));
        assert_eq!(known(&before, "db.example.net"), [ip("198.51.100.7")].into());
        assert_eq!(known(&before, "other.example.net"), [].into());
    }
}
