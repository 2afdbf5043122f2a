//! The ClusterLoadAssignment of a port, put together from what each bucket of the service contributes to it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::encoding::{WireType, encode_key, encode_varint, message, string, uint32};
use rollcall_catalog::digest::Digest;
use rollcall_catalog::members::Bucket;
use rollcall_catalog::model::{Health, Name, Port};
use rollcall_catalog::policy::Warned;
use rollcall_catalog::service::{Member, Service};
use rollcall_xds::resource::{Resource, ResourceType};

use super::endpoint::{self, PortName, Standing, Target};
use super::levels::{self, Ranked};
use super::metadata::{self, Metadata};
use super::parts;
use super::reach::{self, Reach};

mod weights;

use self::weights::{Given, Sum};

/// The endpoints of one port of one service. Of a service of several buckets it keeps where each one's bytes stand in the
/// encoded whole, so that one changed endpoint of 5,000 costs the encoding of one bucket, and a copy.
pub struct Assignment {
    port: PortName,
    /// One for each bucket; none when there is nothing to use again.
    shares: Vec<Share>,
    spoken: Spoken,
    keys: BTreeSet<Name>,
}

/// What one bucket contributes.
#[derive(Default)]
struct Share {
    /// Sorted by place.
    parts: Vec<Part>,
    /// The addresses and ports in it, each as a number: equal ones are equal numbers.
    sockets: Box<[u64]>,
    spoken: Spoken,
    /// Which endpoints may be chosen by.
    keys: BTreeSet<Name>,
}

/// The endpoints of one place in one bucket.
struct Part {
    place: Place,
    /// Of those that are called.
    weight: u32,
    /// Of those that should be, and are not.
    missing: u32,
    /// Encoded fields `lb_endpoints` of LocalityLbEndpoints. Once the whole is put together, a slice of that.
    bytes: Bytes,
}

/// Which endpoints stand in one locality.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    reach: Reach,
    zone: Option<Name>,
    region: Option<Name>,
    /// The cluster, where services are of several: the same zone of two is two localities.
    cluster: Option<Name>,
    turn: Turn,
}

/// Whether endpoints get what others get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Usual,
    /// They are in Warning, and the policy makes a difference of that.
    Complaining,
}

/// The `sub_zone` of endpoints in Warning that get less than others, or are asked last.
const COMPLAINING: &str = "warning";

/// Which application protocol endpoints declare for the port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Nothing,
    One(Name),
    /// They disagree.
    Several,
}

/// Of each key Envoy keeps an index of its own.
const KEYS_MAX: usize = 8;

/// Fields of ClusterLoadAssignment.
const CLUSTER_NAME: u32 = 1;
const ENDPOINTS: u32 = 2;

/// Fields of LocalityLbEndpoints.
const LOCALITY: u32 = 1;
const LB_ENDPOINTS: u32 = 2;
const WEIGHT: u32 = 3;
const PRIORITY: u32 = 5;
const METADATA: u32 = 9;

// === impl Assignment ===

impl Assignment {
    /// Of a port that nothing is known about.
    pub fn new(port: &Port) -> Self {
        let port = PortName { name: Name::clone(&port.name), protocol: port.protocol };
        Self { port, shares: Vec::new(), spoken: Spoken::Nothing, keys: BTreeSet::new() }
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

    /// The keys of metadata that its endpoints may be chosen by, the first [`KEYS_MAX`].
    pub fn keys(&self) -> Vec<Name> {
        self.keys.iter().take(KEYS_MAX).cloned().collect()
    }

    /// The ClusterLoadAssignment of that name. `changed` says of each bucket whether it differs from the last call's.
    pub fn encode(&mut self, name: &str, service: &Service, buckets: &[Arc<Bucket>], changed: &[bool]) -> Resource {
        let nothing_known = self.shares.len() != buckets.len();
        let mut shares = std::mem::take(&mut self.shares);
        shares.resize_with(buckets.len(), Share::default);
        for ((bucket, changed), share) in buckets.iter().zip(changed).zip(&mut shares) {
            if *changed || nothing_known {
                *share = Share::of(&bucket.members, &self.port, service.policy.warning);
            }
        }
        self.spoken = shares.iter().fold(Spoken::Nothing, |all, share| all.and(&share.spoken));
        self.keys = shares.iter().flat_map(|share| share.keys.iter().cloned()).collect();
        if has_twins(&shares) {
            return assemble(name, &mut [Share::distinct(service, &self.port)], service.policy.warning);
        }
        let resource = assemble(name, &mut shares, service.policy.warning);
        if buckets.len() > 1 {
            self.shares = shares;
        }
        resource
    }
}

// === impl Share ===

impl Share {
    fn of(members: &[Member], port: &PortName, warning: Warned) -> Self {
        let spoken = members.iter().fold(Spoken::Nothing, |all, member| all.and(&Spoken::by(member, port)));
        let targets = members.iter().filter_map(|member| Target::of(member, port));
        let keys = members.iter().filter(|member| Standing::of(member).is_some()).flat_map(metadata::keys).collect();
        Self { spoken, keys, ..Self::from_targets(targets, Self::missing(members.iter(), port), warning) }
    }

    /// What is missing, by place.
    fn missing<'a>(members: impl Iterator<Item = &'a Member>, port: &PortName) -> Vec<(&'a Member, u32)> {
        members.filter_map(|member| Some((member, endpoint::missing(member, port)?))).collect()
    }

    /// Of a whole service, with the second use of an address and port left out: gRPC refuses an assignment that names one
    /// twice. Two live pods may have one address while one of them moves, or on the network of their node. Who is called has it
    /// before who is drained.
    fn distinct(service: &Service, port: &PortName) -> Self {
        let mut seen = HashSet::new();
        let targets = service.endpoints.iter().filter_map(|member| Target::of(member, port));
        let (called, drained): (Vec<_>, Vec<_>) = targets.partition(|target| target.is_called());
        let targets = called.into_iter().chain(drained);
        let targets = targets.filter_map(|target| target.retain(|ip, port| seen.insert((ip, port))));
        Self::from_targets(targets, Self::missing(service.endpoints.iter(), port), service.policy.warning)
    }

    fn from_targets<'a>(
        targets: impl Iterator<Item = Target<'a>>,
        missing: Vec<(&'a Member, u32)>,
        warning: Warned,
    ) -> Self {
        let turn = |target: &Target<'_>| match target.member.health {
            // Of a silent cluster that is said of all, and another reason to be called last.
            Health::Warning if warning.percent < 100 && target.is_called() && !target.member.endpoint.is_suspect() => {
                Turn::Complaining
            }
            _ => Turn::Usual,
        };
        let place = |member: &'a Member, turn| {
            (Reach::of(member), member.zone.as_ref(), member.region.as_ref(), reach::cluster(member), turn)
        };
        let mut places = BTreeMap::<_, (u32, u32, Vec<u8>)>::new();
        let mut sockets = Vec::new();
        for target in targets {
            let (weight, _, bytes) = places.entry(place(target.member, turn(&target))).or_default();
            *weight = weight.saturating_add(target.share());
            let endpoint = target.encode();
            encode_key(LB_ENDPOINTS, WireType::LengthDelimited, bytes);
            encode_varint(endpoint.len() as u64, bytes);
            bytes.extend_from_slice(&endpoint);
            sockets.extend(target.sockets().map(socket_number));
        }
        for (member, weight) in missing {
            let (_, missing, _) = places.entry(place(member, Turn::Usual)).or_default();
            *missing = missing.saturating_add(weight);
        }
        let parts = places.into_iter().map(|((reach, zone, region, cluster, turn), (weight, missing, bytes))| Part {
            place: Place { reach, zone: zone.cloned(), region: region.cloned(), cluster: cluster.cloned(), turn },
            weight,
            missing,
            bytes: bytes.into(),
        });
        // As large as it has to be: an allocator may leave what is shrunk where it is.
        Self { parts: parts.collect(), sockets: sockets.as_slice().into(), ..Self::default() }
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
fn assemble(name: &str, shares: &mut [Share], warning: Warned) -> Resource {
    let mut localities: BTreeMap<Place, Vec<&mut Part>> = BTreeMap::new();
    for part in shares.iter_mut().flat_map(|share| &mut share.parts) {
        localities.entry(part.place.clone()).or_default().push(part);
    }
    let sums: Vec<_> = localities.iter().map(|(place, parts)| (place, sum(parts))).collect();
    let given = weights::given(&sums, warning);
    let mut body = Vec::new();
    let mut starts = Vec::new();
    string::encode(CLUSTER_NAME, &name.to_owned(), &mut body);
    let ranked: Vec<_> = sums.iter().zip(&given).map(|((place, _), given)| ranked(place, given)).collect();
    let ranks = levels::rank(&ranked);
    for (((place, parts), said), (priority, weight)) in localities.iter().zip(&ranked).zip(ranks) {
        if parts.iter().all(|part| part.bytes.is_empty()) {
            starts.extend(parts.iter().map(|_| body.len()));
            continue;
        }
        let locality = locality(place);
        let metadata = Metadata::of_locality(said, weight);
        // Without one clients send nothing there, as they should where everything is drained.
        let weight = Some(UInt32Value { value: weight }).filter(|weight| weight.value > 0);
        let endpoints: usize = parts.iter().map(|part| part.bytes.len()).sum();
        let beside = weight.as_ref().map_or(0, |weight| message::encoded_len(WEIGHT, weight))
            + metadata.as_ref().map_or(0, |metadata| message::encoded_len(METADATA, metadata))
            + if priority > 0 { uint32::encoded_len(PRIORITY, &priority) } else { 0 };
        let len = message::encoded_len(LOCALITY, &locality) + endpoints + beside;
        encode_key(ENDPOINTS, WireType::LengthDelimited, &mut body);
        encode_varint(len as u64, &mut body);
        message::encode(LOCALITY, &locality, &mut body);
        for part in parts {
            starts.push(body.len());
            body.extend_from_slice(&part.bytes);
        }
        if let Some(weight) = weight {
            message::encode(WEIGHT, &weight, &mut body);
        }
        if priority > 0 {
            uint32::encode(PRIORITY, &priority, &mut body);
        }
        if let Some(metadata) = metadata {
            message::encode(METADATA, &metadata, &mut body);
        }
    }
    body.extend_from_slice(&parts::POLICY);
    let resource = Resource::from_body(ResourceType::Endpoints, name, body);
    let body = resource.body();
    for (part, start) in localities.into_values().flatten().zip(starts) {
        part.bytes = body.slice(start..start + part.bytes.len());
    }
    resource
}

fn sum(parts: &[&mut Part]) -> Sum {
    parts.iter().fold(Sum::default(), |sum, part| Sum {
        weight: sum.weight + u64::from(part.weight),
        missing: sum.missing + u64::from(part.missing),
    })
}

/// As seen from nowhere in particular.
fn ranked(place: &Place, given: &Given) -> Ranked {
    let reach = if given.last { Reach::Last } else { place.reach };
    let distance = levels::distance(reach, &Locality::default(), None);
    Ranked { reach, distance, weight: given.weight, missing: given.missing }
}

fn locality(place: &Place) -> Locality {
    let text = |name: &Option<Name>| name.as_deref().unwrap_or_default().to_owned();
    let sub_zone = match (&place.cluster, place.turn) {
        (cluster, Turn::Usual) => text(cluster),
        (None, Turn::Complaining) => COMPLAINING.to_owned(),
        // No id of a cluster has a slash.
        (Some(cluster), Turn::Complaining) => format!("{cluster}/{COMPLAINING}"),
    };
    Locality { zone: text(&place.zone), region: text(&place.region), sub_zone }
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
