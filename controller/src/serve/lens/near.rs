//! What an assignment looks like from somewhere: what is near comes first.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Locality;

use crate::serve::envoy::parts::Part;

/// Gives each part its priority as seen from a region and zone: the own zone, then the own region, then the rest. Without
/// gaps, as clients insist; what is nearest and there is 0.
pub(super) fn rank(parts: &mut [Part], (region, zone): &(Arc<str>, Arc<str>)) {
    let distance = |place: &Locality| match () {
        () if place.zone == **zone => 0,
        () if !region.is_empty() && place.region == **region => 1,
        () => 2,
    };
    let mut there: Vec<_> = parts.iter().map(|part| distance(&part.locality)).collect();
    there.sort_unstable();
    there.dedup();
    for part in parts.iter_mut() {
        let distance = distance(&part.locality);
        part.priority = there.iter().take_while(|nearer| **nearer < distance).map(|_| 1).sum();
    }
    parts.sort_by_key(|part| part.priority);
}
