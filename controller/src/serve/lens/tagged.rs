//! Endpoints with a tag.

use bytes::Bytes;
use envoy_types::pb::envoy::config::endpoint::v3::LbEndpoint;
use envoy_types::pb::google::protobuf::value::Kind;
use prost::Message as _;

use crate::serve::envoy::metadata::KEY;
use crate::serve::envoy::parts::Part;

/// Leaves those alone that bear the tag, and gives each part their weight.
pub(super) fn keep(parts: &mut Vec<Part>, tag: &str) {
    for part in parts.iter_mut() {
        let kept: Vec<_> = part.endpoints.iter().filter_map(|bytes| Some((bytes, weight_if(bytes, tag)?))).collect();
        part.weight = kept.iter().fold(0, |sum: u32, (_, weight)| sum.saturating_add(*weight));
        part.endpoints = kept.into_iter().map(|(bytes, _)| bytes.clone()).collect();
    }
    parts.retain(|part| !part.endpoints.is_empty());
}

/// The weight of an encoded endpoint, if it bears the tag.
fn weight_if(endpoint: &Bytes, tag: &str) -> Option<u32> {
    let endpoint = LbEndpoint::decode(endpoint.clone()).ok()?;
    let fields = &endpoint.metadata.as_ref()?.filter_metadata.get(KEY)?.fields;
    let Some(Kind::ListValue(tags)) = fields.get("tags")?.kind.as_ref() else { return None };
    let has = tags.values.iter().any(|value| matches!(&value.kind, Some(Kind::StringValue(its)) if its == tag));
    has.then(|| endpoint.load_balancing_weight.map_or(1, |weight| weight.value))
}
