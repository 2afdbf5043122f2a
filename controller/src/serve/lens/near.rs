//! What an assignment looks like from somewhere: what is near comes first.

use crate::serve::envoy::levels::{self, Ranked, Viewpoint};
use crate::serve::envoy::parts::Part;

/// Gives each part its priority and weight as seen from a region and zone, or from nowhere in particular.
pub(super) fn rank(parts: &mut [Part], from: Option<&Viewpoint>) {
    let ranked = |part: &Part| Ranked {
        reach: part.reach,
        distance: levels::distance(part.reach, &part.locality, from),
        weight: part.weight,
        missing: part.missing,
    };
    let ranked = levels::rank(&parts.iter().map(ranked).collect::<Vec<_>>());
    for (part, (priority, weight)) in parts.iter_mut().zip(ranked) {
        (part.priority, part.weight) = (priority, weight);
    }
    parts.sort_by_key(|part| part.priority);
}
