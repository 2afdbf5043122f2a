//! Checks of pods that a `DiscoveryPolicy` asks for, and what its status tells of those that fail.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::check::CheckSpec;
use crate::schema::any_integer;
use crate::status::CheckStatus;

/// Checks of pods, run by the controllers against each pod that Kubernetes gives a Service. A pod counts as Kubernetes says until
/// there is a result; one that fails is taken out of DNS, streams and entries, and comes back when it passes. Its EndpointSlice is
/// never touched: kube-proxy goes on as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.enabled) && !self.enabled) || (has(self.checks) && self.checks.size() >= 1)")
        .message("podChecks: give at least one check; to turn those of another policy off, write enabled: false"),
    validation = Rule::new("!has(self.checks) || self.checks.all(check, !has(check.alias))")
        .message("podChecks: alias has no place here, since it would have pods follow another service; check the pods themselves"),
)]
pub struct PodChecksSpec {
    /// False: pods are as Kubernetes says. By default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// As those of a ServiceRegistration, at most 8. A port is named as in the Service; by default the first by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<CheckSpec>,
    /// The number of the pods' port for checks that name none, from 1 to 65535: also one that the Service has not, such as that of
    /// a page about health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("podChecks port: give 1 to 65535"))]
    pub port: Option<u16>,
}

/// A pod that checks take out of the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingPod {
    /// The service.
    #[schemars(length(max = 63))]
    pub service: String,
    /// The pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Its addresses, which were looked at.
    #[schemars(length(max = 2), inner(length(max = 45)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub addresses: Vec<String>,
    /// What each check says.
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub checks: Vec<CheckStatus>,
}

fn yes() -> bool {
    true
}
