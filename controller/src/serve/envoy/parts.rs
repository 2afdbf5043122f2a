//! A ClusterLoadAssignment as bytes in parts: to give it another name, priorities, or fewer endpoints, without decoding and
//! encoding what stays.

use bytes::{Buf, Bytes};
use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::google::protobuf::UInt32Value;
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};
use prost::encoding::{message, string, uint32};

use super::metadata::Metadata;
use super::reach::Reach;

/// The endpoints of one locality.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Where they are.
    pub locality: Locality,
    /// Each an encoded LbEndpoint.
    pub endpoints: Vec<Bytes>,
    /// How much of the traffic of its priority it is given; 0 where everything is drained.
    pub weight: u32,
    /// The weight of what should be called there and cannot be, where that is more than others there can carry.
    pub missing: u32,
    /// 0 is used first.
    pub priority: u32,
    /// Whose they are.
    pub reach: Reach,
}

/// The encoded `policy` of every assignment: ten times `overprovisioning_factor` 1. How much of a locality's or priority's
/// traffic goes elsewhere is told by weights; that something in it is drained, on every roll-out, is no reason.
pub const POLICY: [u8; 7] = [0x22, 5, 0x1a, 3, 8, 0xe8, 7];

/// Fields of ClusterLoadAssignment.
const CLUSTER_NAME: u32 = 1;
const ENDPOINTS: u32 = 2;

/// Fields of LocalityLbEndpoints.
const LOCALITY: u32 = 1;
const LB_ENDPOINTS: u32 = 2;
const WEIGHT: u32 = 3;
const PRIORITY: u32 = 5;
const METADATA: u32 = 9;

/// The parts of an encoded ClusterLoadAssignment, in their order.
pub fn read(body: Bytes) -> Vec<Part> {
    fields(body).filter(|(tag, _)| *tag == ENDPOINTS).map(|(_, bytes)| Part::read(bytes)).collect()
}

/// The whole again, under that name. Parts without an endpoint are left out.
pub fn write(name: &str, parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 + parts.iter().map(Part::encoded_len).sum::<usize>());
    string::encode(CLUSTER_NAME, &name.to_owned(), &mut body);
    for part in parts.iter().filter(|part| !part.endpoints.is_empty()) {
        encode_key(ENDPOINTS, WireType::LengthDelimited, &mut body);
        encode_varint(part.encoded_len() as u64, &mut body);
        part.encode(&mut body);
    }
    body.extend_from_slice(&POLICY);
    body
}

// === impl Part ===

impl Part {
    /// Without endpoints, there.
    #[cfg(test)]
    pub fn in_zone(zone: &str) -> Self {
        Self { locality: Locality { zone: zone.to_owned(), ..Locality::default() }, ..Self::default() }
    }

    fn read(bytes: Bytes) -> Self {
        let mut part = Self::default();
        for (tag, bytes) in fields(bytes) {
            match tag {
                LOCALITY => part.locality = Locality::decode(bytes).unwrap_or_default(),
                LB_ENDPOINTS => part.endpoints.push(bytes),
                WEIGHT => part.weight = UInt32Value::decode(bytes).map(|weight| weight.value).unwrap_or_default(),
                PRIORITY => {
                    let priority = decode_varint(&mut &*bytes).ok().and_then(|priority| u32::try_from(priority).ok());
                    part.priority = priority.unwrap_or_default();
                }
                METADATA => {
                    let said = Metadata::decode(bytes).unwrap_or_default();
                    part.missing = said.missing().unwrap_or_default();
                    part.weight = said.weight().unwrap_or(part.weight);
                    part.reach = said.reach();
                }
                _ => {}
            }
        }
        part
    }

    /// Clients leave out where there is none, as they should.
    fn weight(&self) -> Option<UInt32Value> {
        Some(UInt32Value { value: self.weight }).filter(|weight| weight.value > 0)
    }

    fn encoded_len(&self) -> usize {
        let endpoint = |bytes: &Bytes| key_len(LB_ENDPOINTS) + encoded_len_varint(bytes.len() as u64) + bytes.len();
        let priority = if self.priority == 0 { 0 } else { uint32::encoded_len(PRIORITY, &self.priority) };
        message::encoded_len(LOCALITY, &self.locality)
            + self.endpoints.iter().map(endpoint).sum::<usize>()
            + self.weight().map_or(0, |weight| message::encoded_len(WEIGHT, &weight))
            + priority
    }

    fn encode(&self, body: &mut Vec<u8>) {
        message::encode(LOCALITY, &self.locality, body);
        for endpoint in &self.endpoints {
            encode_key(LB_ENDPOINTS, WireType::LengthDelimited, body);
            encode_varint(endpoint.len() as u64, body);
            body.extend_from_slice(endpoint);
        }
        if let Some(weight) = self.weight() {
            message::encode(WEIGHT, &weight, body);
        }
        if self.priority != 0 {
            uint32::encode(PRIORITY, &self.priority, body);
        }
    }
}

/// The fields of a message, numbers as their bytes. What we write has no others here; anything else ends it.
fn fields(mut bytes: Bytes) -> impl Iterator<Item = (u32, Bytes)> {
    std::iter::from_fn(move || {
        if !bytes.has_remaining() {
            return None;
        }
        let (tag, wire_type) = decode_key(&mut bytes).ok()?;
        let mut whole = bytes.clone();
        let number = decode_varint(&mut bytes).ok()?;
        if wire_type == WireType::Varint {
            return Some((tag, whole.split_to(whole.len() - bytes.len())));
        }
        let len = usize::try_from(number).ok()?;
        (wire_type == WireType::LengthDelimited && len <= bytes.len()).then(|| (tag, bytes.split_to(len)))
    })
}
