//! An endpoint of a spec as the catalog has it, or why it cannot be used.

use std::net::IpAddr;
use std::sync::Arc;

use rollcall_catalog::input::{Fault, Problem};
use rollcall_catalog::model::{
    Addresses, Attributes, Conditions, Description, Endpoint, HealthSource, Port, Ports, Protocol,
};
use rollcall_crds::{self as api, EndpointSpec, ServiceRegistrationSpec};

use super::{Reader, problem};
use crate::kubernetes::syntax::is_qualified_name;

// === impl Reader ===

impl Reader {
    /// One endpoint. `cannot_check` is why none of the registration's checks can be run, where
    /// that is so and the endpoint was never judged.
    pub(super) fn endpoint(
        &mut self,
        spec: &ServiceRegistrationSpec,
        endpoint: &EndpointSpec,
        cannot_check: Option<&Problem>,
    ) -> Result<Endpoint, Problem> {
        let addresses = addresses(endpoint)?;
        let maintenance = endpoint.maintenance.as_ref().or(spec.maintenance.as_ref());
        let health_source = match (maintenance, cannot_check) {
            (Some(maintenance), _) => HealthSource::Maintenance(self.names.get(&maintenance.reason)),
            // Nothing will ever decide about it. Giving it to callers unchecked is not what its owner asked for.
            (None, Some(why)) => {
                return Err(problem(why.fault, format!("none of its checks can be run; {}", why.words)));
            }
            (None, None) if spec.checks.is_empty() && spec.heartbeat.is_none() => HealthSource::Unchecked,
            (None, None) => HealthSource::Verdict,
        };
        Ok(Endpoint {
            addresses,
            described: Arc::new(Description {
                named: Some(self.names.get(&endpoint.name)),
                ports: self.ports(spec, &endpoint.ports),
                hostname: self.names.maybe(endpoint.hostname.as_deref()),
                zone: self.names.maybe(endpoint.zone.as_deref()),
                region: None,
                node: None,
                weight: endpoint.weight.max(1),
                conditions: Conditions::READY,
                health_source,
                attributes: self.attributes(endpoint),
            }),
        })
    }

    fn attributes(&mut self, endpoint: &EndpointSpec) -> Arc<Attributes> {
        let mut tags: Vec<_> = endpoint.tags.iter().map(|tag| self.names.get(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let metadata =
            endpoint.metadata.iter().map(|(key, value)| (self.names.get(key), self.names.get(value))).collect();
        self.attributes.share(Attributes { tags, metadata, machine: self.names.maybe(endpoint.machine.as_deref()) })
    }

    /// The ports of the registration, with the numbers that an endpoint has instead.
    pub(super) fn ports(&mut self, spec: &ServiceRegistrationSpec, overrides: &[api::PortOverride]) -> Ports {
        let port = |port: &api::PortSpec| {
            let own = overrides.iter().find(|own| own.name == port.name);
            Some(Port {
                name: self.names.get(&port.name),
                number: own.map_or(port.port, |own| own.port),
                protocol: protocol(port.protocol)?,
                app_protocol: self.names.maybe(port.app_protocol.as_deref().filter(|name| is_qualified_name(name))),
            })
        };
        let mut ports: Vec<_> = spec.ports.iter().filter_map(port).collect();
        ports.sort_unstable();
        self.ports.share(ports)
    }
}

/// What in a spec's ports, and in the ports of its endpoints, cannot be used. All else of them is.
pub(super) fn problems(spec: &ServiceRegistrationSpec) -> Vec<Problem> {
    let unknown = spec.ports.iter().filter(|port| protocol(port.protocol).is_none()).map(|port| {
        let words = format!("port {:?}: its protocol is not known to this version; use TCP, UDP or SCTP", port.name);
        problem(Fault::UnsupportedValue, words)
    });
    let overrides = spec.endpoints.iter().flat_map(|endpoint| {
        let unknown = endpoint.ports.iter().filter(|own| !spec.ports.iter().any(|port| port.name == own.name));
        unknown.map(|own| {
            let (endpoint, port) = (&endpoint.name, &own.name);
            let words = format!("endpoint {endpoint}: there is no port {port:?} in spec.ports; name one of those");
            problem(Fault::UnknownPort, words)
        })
    });
    let unnamed = |port: &&api::PortSpec| port.app_protocol.as_deref().is_some_and(|name| !is_qualified_name(name));
    let protocols = spec.ports.iter().filter(unnamed).map(|port| {
        let (port, given) = (&port.name, port.app_protocol.as_deref().unwrap_or_default());
        let words = format!(
            "port {port:?}: appProtocol {given:?} is left out, as it is no name that Kubernetes takes; write one such as \
             http, kubernetes.io/h2c or example.com/protocol"
        );
        problem(Fault::UnsupportedValue, words)
    });
    unknown.chain(protocols).chain(overrides).collect()
}

fn addresses(endpoint: &EndpointSpec) -> Result<Addresses, Problem> {
    let ips: Result<Vec<IpAddr>, _> = endpoint.addresses.iter().map(|ip| ip.parse()).collect();
    ips.ok()
        .and_then(Addresses::from_ips)
        .ok_or_else(|| problem(Fault::UnsupportedValue, "give at most one IPv4 and one IPv6 address".to_owned()))
}

/// `None` for a protocol that this version does not know.
pub(super) fn protocol(protocol: api::Protocol) -> Option<Protocol> {
    match protocol {
        api::Protocol::Tcp => Some(Protocol::Tcp),
        api::Protocol::Udp => Some(Protocol::Udp),
        api::Protocol::Sctp => Some(Protocol::Sctp),
        api::Protocol::Unsupported => None,
    }
}
