//! One endpoint of an assignment.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HealthStatus, SocketAddress, address};
use envoy_types::pb::envoy::config::endpoint::v3::endpoint::AdditionalAddress;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint};
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::Message as _;
use rollcall_catalog::input::OriginKind;
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
}

/// Field `metadata` of LbEndpoint.
const METADATA: u32 = 3;

// === impl Target ===

impl<'a> Target<'a> {
    /// `None` when callers are not given it, on this port.
    pub(super) fn of(member: &'a Member, port: &PortName) -> Option<Self> {
        if !member.conditions.ready {
            return None;
        }
        let own = member.endpoint.ports.iter().find(|own| own.name == port.name && own.protocol == port.protocol)?;
        let mut addresses = member.endpoint.addresses.iter();
        Some(Self { member, addresses: [addresses.next(), addresses.next()], port: own.number })
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

    /// Its weight, at least 1: clients drop an endpoint without.
    pub(super) fn weight(self) -> u32 {
        u32::from(self.member.endpoint.weight).max(1)
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
            health_status: HealthStatus::Healthy.into(),
            load_balancing_weight: Some(UInt32Value { value: self.weight() }),
            host_identifier: Some(HostIdentifier::Endpoint(host)),
            ..LbEndpoint::default()
        };
        let mut bytes = message.encode_to_vec();
        if let Some(metadata) = self.metadata() {
            prost::encoding::message::encode(METADATA, &metadata, &mut bytes);
        }
        bytes
    }

    /// Of registered endpoints only: the labels of pods change without meaning for callers.
    fn metadata(self) -> Option<Metadata> {
        match self.member.origin.kind {
            OriginKind::ServiceRegistration | OriginKind::Import => Metadata::of(&self.member.endpoint.attributes),
            OriginKind::EndpointSlice | OriginKind::Service => None,
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
