//! How long a dead endpoint is still given to callers, at the longest, term by term.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;

/// From the death of an endpoint until no answer has it, at the longest, by the settings of its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeToEvict {
    /// Detection, confirmation, lateness and serving: until DNS and the streams answer without it.
    pub total: ApiDuration,
    /// Until as many results speak against it as its check asks for: the check that decides first counts.
    pub detection: ApiDuration,
    /// Until the other replicas that were asked have answered, where that takes longer.
    pub confirmation: ApiDuration,
    /// What lasts of the lateness of probes.
    pub lateness: ApiDuration,
    /// From the verdict to DNS and the streams.
    pub serve: ApiDuration,
    /// From the verdict to the EndpointSlices, while the API server answers at its usual pace. Not in the total.
    pub write: ApiDuration,
}
