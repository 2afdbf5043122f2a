//! The ClusterLoadAssignment of a port, put together from what each bucket of the service contributes to it.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::encoding::{WireType, encode_key, encode_varint, message, string};
use rollcall_catalog::digest::Digest;
use rollcall_catalog::members::Bucket;
use rollcall_catalog::model::{Name, Port};
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::resource::{Resource, ResourceType};

use super::endpoint::{PortName, Target};

/// The endpoints of one port of one service. Of a service of several buckets it keeps where each one's bytes stand in the
/// encoded whole, so that one changed endpoint of 5,000 costs the encoding of one bucket, and a copy.
pub struct Assignment {
    port: PortName,
    /// One for each bucket; none when there is nothing to use again.
    shares: Vec<Share>,
    spoken: Spoken,
}

/// What one bucket contributes.
#[derive(Default)]
struct Share {
    /// Sorted by zone.
    parts: Vec<Part>,
    /// The addresses and ports in it, each as a number: equal ones are equal numbers.
    sockets: Vec<u64>,
    spoken: Spoken,
}

/// The endpoints of one zone in one bucket.
struct Part {
    zone: Option<Name>,
    weight: u32,
    /// Encoded fields `lb_endpoints` of LocalityLbEndpoints. Once the whole is put together, a slice of that.
    bytes: Bytes,
}

/// Which application protocol endpoints declare for the port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Nothing,
    One(Name),
    /// They disagree.
    Several,
}

/// Fields of ClusterLoadAssignment.
const CLUSTER_NAME: u32 = 1;
const ENDPOINTS: u32 = 2;

/// Fields of LocalityLbEndpoints.
const LOCALITY: u32 = 1;
const LB_ENDPOINTS: u32 = 2;
const WEIGHT: u32 = 3;

// === impl Assignment ===

impl Assignment {
    /// Of a port that nothing is known about.
    pub fn new(port: &Port) -> Self {
        let port = PortName { name: Name::clone(&port.name), protocol: port.protocol };
        Self { port, shares: Vec::new(), spoken: Spoken::Nothing }
    }

    /// Whether it is of that port of its service.
    pub fn is_of(&self, port: &Port) -> bool {
        self.port.name == port.name && self.port.protocol == port.protocol
    }

    /// The application protocol that its endpoints declare, if all that declare one agree. It counts where the Service
    /// says nothing.
    pub fn spoken(&self) -> Option<Name> {
        match &self.spoken {
            Spoken::One(name) => Some(Name::clone(name)),
            Spoken::Nothing | Spoken::Several => None,
        }
    }

    /// The ClusterLoadAssignment of that name. `changed` says of each bucket whether it differs from the last call's.
    pub fn encode(&mut self, name: &str, service: &Service, buckets: &[Arc<Bucket>], changed: &[bool]) -> Resource {
        let nothing_known = self.shares.len() != buckets.len();
        let mut shares = std::mem::take(&mut self.shares);
        shares.resize_with(buckets.len(), Share::default);
        for ((bucket, changed), share) in buckets.iter().zip(changed).zip(&mut shares) {
            if *changed || nothing_known {
                *share = Share::of(&bucket.members, &self.port);
            }
        }
        self.spoken = shares.iter().fold(Spoken::Nothing, |all, share| all.and(&share.spoken));
        if has_twins(&shares) {
            return assemble(name, &mut [Share::distinct(service, &self.port)]);
        }
        let resource = assemble(name, &mut shares);
        if buckets.len() > 1 {
            self.shares = shares;
        }
        resource
    }
}

// === impl Share ===

impl Share {
    fn of(members: &[Member], port: &PortName) -> Self {
        let spoken = members.iter().fold(Spoken::Nothing, |all, member| all.and(&Spoken::by(member, port)));
        let targets = members.iter().filter_map(|member| Target::of(member, port));
        Self { spoken, ..Self::from_targets(targets) }
    }

    /// Of a whole service, with the second use of an address and port left out: gRPC refuses an assignment that names one
    /// twice. Two live pods may have one address while one of them moves, or on the network of their node.
    fn distinct(service: &Service, port: &PortName) -> Self {
        let mut seen = HashSet::new();
        let targets = service.endpoints.iter().filter_map(|member| Target::of(member, port));
        Self::from_targets(targets.filter_map(|target| target.retain(|ip, port| seen.insert((ip, port)))))
    }

    fn from_targets<'a>(targets: impl Iterator<Item = Target<'a>>) -> Self {
        let mut zones: BTreeMap<Option<&Name>, (u32, Vec<u8>)> = BTreeMap::new();
        let mut sockets = Vec::new();
        for target in targets {
            let (weight, bytes) = zones.entry(target.member.zone.as_ref()).or_default();
            *weight = weight.saturating_add(target.weight());
            let endpoint = target.encode();
            encode_key(LB_ENDPOINTS, WireType::LengthDelimited, bytes);
            encode_varint(endpoint.len() as u64, bytes);
            bytes.extend_from_slice(&endpoint);
            sockets.extend(target.sockets().map(socket_number));
        }
        let part = |(zone, (weight, bytes)): (Option<&Name>, (u32, Vec<u8>))| Part {
            zone: zone.cloned(),
            weight,
            bytes: bytes.into(),
        };
        Self { parts: zones.into_iter().map(part).collect(), sockets, spoken: Spoken::Nothing }
    }
}

/// Exact for IPv4; for IPv6 a hash, with a bit that no IPv4 address has.
fn socket_number((ip, port): (IpAddr, u16)) -> u64 {
    match ip {
        IpAddr::V4(v4) => u64::from(v4.to_bits()) << 16 | u64::from(port),
        IpAddr::V6(_) => Digest::default().ip(ip).number(port.into()).finish().0 | 1 << 63,
    }
}

fn has_twins(shares: &[Share]) -> bool {
    let mut sockets: Vec<_> = shares.iter().flat_map(|share| share.sockets.iter().copied()).collect();
    sockets.sort_unstable();
    sockets.windows(2).any(|pair| pair[0] == pair[1])
}

/// The whole, byte for byte as if it were encoded from one message. The parts are slices of it afterwards, so that nothing
/// is held twice.
fn assemble(name: &str, shares: &mut [Share]) -> Resource {
    let mut zones: BTreeMap<Option<Name>, Vec<&mut Part>> = BTreeMap::new();
    for part in shares.iter_mut().flat_map(|share| &mut share.parts) {
        zones.entry(part.zone.clone()).or_default().push(part);
    }
    let mut body = Vec::new();
    let mut places = Vec::new();
    string::encode(CLUSTER_NAME, &name.to_owned(), &mut body);
    for (zone, parts) in &zones {
        let locality = Locality { zone: zone.as_deref().unwrap_or_default().to_owned(), ..Locality::default() };
        let weight = UInt32Value { value: parts.iter().fold(0, |sum: u32, part| sum.saturating_add(part.weight)) };
        let endpoints: usize = parts.iter().map(|part| part.bytes.len()).sum();
        let len = message::encoded_len(LOCALITY, &locality) + endpoints + message::encoded_len(WEIGHT, &weight);
        encode_key(ENDPOINTS, WireType::LengthDelimited, &mut body);
        encode_varint(len as u64, &mut body);
        message::encode(LOCALITY, &locality, &mut body);
        for part in parts {
            places.push(body.len());
            body.extend_from_slice(&part.bytes);
        }
        message::encode(WEIGHT, &weight, &mut body);
    }
    let resource = Resource::from_body(ResourceType::Endpoints, name, body);
    let body = resource.body();
    for (part, start) in zones.into_values().flatten().zip(places) {
        part.bytes = body.slice(start..start + part.bytes.len());
    }
    resource
}

// === impl Spoken ===

impl Spoken {
    fn by(member: &Member, port: &PortName) -> Self {
        let own = member.endpoint.ports.iter().find(|own| own.name == port.name && own.protocol == port.protocol);
        own.and_then(|own| own.app_protocol.clone()).map_or(Self::Nothing, Self::One)
    }

    fn and(self, other: &Self) -> Self {
        match (&self, other) {
            (_, Self::Nothing) => self,
            (Self::Nothing, _) => other.clone(),
            (Self::One(a), Self::One(b)) if a == b => self,
            (Self::One(_) | Self::Several, Self::One(_) | Self::Several) => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests;
