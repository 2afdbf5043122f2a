//! One endpoint of an assignment.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HealthStatus, SocketAddress, address};
use envoy_types::pb::envoy::config::endpoint::v3::endpoint::AdditionalAddress;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint};
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::Message as _;
use rollcall_catalog::model::{Name, Protocol};
use rollcall_catalog::service::Member;

use super::metadata::Metadata;

/// A port as endpoints know it: each has a number of its own for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortName {
    pub(super) name: Name,
    pub(super) protocol: Protocol,
}

/// Where an endpoint listens on a port: the second address family is an additional address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) member: &'a Member,
    pub(super) addresses: [Option<IpAddr>; 2],
    pub(super) port: u16,
    standing: Standing,
}

/// How callers are given an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Standing {
    /// To be called.
    Called,
    /// It is being shut down and still answers: no new calls, and those under way may end. gRPC drops it; Envoy keeps its
    /// connections for as long as it is listed.
    Draining,
}

/// Field `metadata` of LbEndpoint.
const METADATA: u32 = 3;

/// The weight of an endpoint that should be called on this port and cannot be: what others have to carry. Not of one that is
/// being shut down: nobody waits for it.
pub(super) fn missing(member: &Member, port: &PortName) -> Option<u32> {
    if Standing::of(member).is_some() || member.conditions.terminating {
        return None;
    }
    let has_port = member.endpoint.ports.iter().any(|own| own.name == port.name && own.protocol == port.protocol);
    has_port.then(|| u32::from(member.endpoint.weight).max(1))
}

// === impl Target ===

impl<'a> Target<'a> {
    /// `None` when callers are not given it, on this port.
    pub(super) fn of(member: &'a Member, port: &PortName) -> Option<Self> {
        let standing = Standing::of(member)?;
        let own = member.endpoint.ports.iter().find(|own| own.name == port.name && own.protocol == port.protocol)?;
        let mut addresses = member.endpoint.addresses.iter();
        Some(Self { member, addresses: [addresses.next(), addresses.next()], port: own.number, standing })
    }

    /// Where it can be reached.
    pub(super) fn sockets(self) -> impl Iterator<Item = (IpAddr, u16)> {
        self.addresses.into_iter().flatten().map(move |ip| (ip, self.port))
    }

    /// Without the addresses that are not wanted; `None` when none is left.
    pub(super) fn retain(mut self, mut wanted: impl FnMut(IpAddr, u16) -> bool) -> Option<Self> {
        for address in &mut self.addresses {
            *address = address.filter(|ip| wanted(*ip, self.port));
        }
        self.addresses.iter().any(Option::is_some).then_some(self)
    }

    /// Whether calls may be sent to it.
    pub(super) fn is_called(self) -> bool {
        self.standing == Standing::Called
    }

    /// Its weight, at least 1: clients drop an endpoint without.
    pub(super) fn weight(self) -> u32 {
        u32::from(self.member.endpoint.weight).max(1)
    }

    /// What it adds to the weight of its locality: nothing while it is drained.
    pub(super) fn share(self) -> u32 {
        if self.is_called() { self.weight() } else { 0 }
    }

    /// As an encoded LbEndpoint.
    pub(super) fn encode(self) -> Vec<u8> {
        let endpoint = &self.member.endpoint;
        let mut addresses = self.sockets().map(|(ip, port)| socket(ip, port));
        let host = Endpoint {
            address: addresses.next(),
            hostname: endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
            additional_addresses: addresses.map(|address| AdditionalAddress { address: Some(address) }).collect(),
            ..Endpoint::default()
        };
        let message = LbEndpoint {
            health_status: match self.standing {
                Standing::Called => HealthStatus::Healthy.into(),
                Standing::Draining => HealthStatus::Draining.into(),
            },
            load_balancing_weight: Some(UInt32Value { value: self.weight() }),
            host_identifier: Some(HostIdentifier::Endpoint(host)),
            ..LbEndpoint::default()
        };
        let mut bytes = message.encode_to_vec();
        if let Some(metadata) = Metadata::of(self.member) {
            prost::encoding::message::encode(METADATA, &metadata, &mut bytes);
        }
        bytes
    }
}

// === impl Standing ===

impl Standing {
    /// `None` when callers are not given it.
    pub(in crate::serve) fn of(member: &Member) -> Option<Self> {
        let of = member.conditions;
        match (of.ready, of.serving && of.terminating) {
            (true, _) => Some(Self::Called),
            (false, true) => Some(Self::Draining),
            (false, false) => None,
        }
    }
}

fn socket(ip: IpAddr, port: u16) -> Address {
    let socket = SocketAddress {
        address: ip.to_string(),
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}
