//! Endpoints with a tag.

use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::endpoint::v3::LbEndpoint;
use envoy_types::pb::google::protobuf::value::Kind;
use prost::Message as _;

use crate::serve::envoy::metadata::{SELECTORS, TAGS};
use crate::serve::envoy::parts::Part;

/// Leaves those alone that bear the tag, and gives each part their share of its weight. How many of them are missing nobody knows.
pub(super) fn keep(parts: &mut Vec<Part>, tag: &str) {
    for part in parts.iter_mut() {
        let (mut all, mut kept, mut left) = (0, 0, Vec::new());
        for bytes in &part.endpoints {
            let Ok(endpoint) = LbEndpoint::decode(bytes.clone()) else { continue };
            let weight = u64::from(weight(&endpoint));
            all += weight;
            if bears(&endpoint, tag) {
                kept += weight;
                left.push(bytes.clone());
            }
        }
        let share = (u64::from(part.weight) * kept).checked_div(all).unwrap_or_default();
        part.weight = u32::try_from(share.max(u64::from(kept > 0))).unwrap_or(u32::MAX);
        (part.endpoints, part.missing) = (left, 0);
    }
    parts.retain(|part| !part.endpoints.is_empty());
}

/// What an endpoint adds to its locality.
fn weight(endpoint: &LbEndpoint) -> u32 {
    let called = endpoint.health_status == i32::from(HealthStatus::Healthy);
    if called { endpoint.load_balancing_weight.map_or(1, |weight| weight.value) } else { 0 }
}

fn bears(endpoint: &LbEndpoint, tag: &str) -> bool {
    let metadata = endpoint.metadata.as_ref().and_then(|metadata| metadata.filter_metadata.get(SELECTORS));
    let tags = metadata.and_then(|selectors| selectors.fields.get(TAGS)).and_then(|tags| tags.kind.as_ref());
    let Some(Kind::ListValue(tags)) = tags else { return false };
    tags.values.iter().any(|value| matches!(&value.kind, Some(Kind::StringValue(its)) if its == tag))
}
