//! `DiscoveryPolicy`: what a service's owner decides about history: how much may vanish at once, how often an endpoint may
//! fall, how old an answer may be, and who is asked before an endpoint is given up.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;
use crate::pod_checks::PodChecksSpec;
use crate::policy_status::DiscoveryPolicyStatus;
use crate::schema::{IS_LABEL, any_integer, kubernetes_style, text_or_number, without_defaults};

/// For whom, and what. A section that is left out is that of the policy for all services of the namespace, and without one the
/// cluster's default; a section that is given is given as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "DiscoveryPolicy",
    plural = "discoverypolicies",
    doc = "Says for one service, or for all services of its namespace, how Rollcall treats endpoints that vanish together, fall again and again, or were last heard of long ago.",
    namespaced,
    status = "DiscoveryPolicyStatus",
    shortname = "discopol",
    category = "rollcall",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".status.target",
        description = "The service that it is for, or * for all of the namespace"
    ),
    printcolumn(
        name = "In Force",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='InForce')].status",
        description = "Whether it decides anything"
    ),
    printcolumn(
        name = "Services",
        type_ = "integer",
        json_path = ".status.servicesTotal",
        description = "Services of which it decides something"
    ),
    printcolumn(
        name = "Held",
        type_ = "integer",
        json_path = ".status.heldEndpoints",
        description = "Endpoints that its guard keeps callable"
    ),
    printcolumn(
        name = "Damped",
        type_ = "integer",
        json_path = ".status.dampedEndpoints",
        description = "Endpoints that its damping keeps out"
    ),
    printcolumn(
        name = "Stale",
        type_ = "integer",
        json_path = ".status.staleServices",
        description = "Services that are older than its bound"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = "1",
        json_path = ".status.conditions[?(@.type=='InForce')].message",
        description = "The reason in plain words"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style, transform = without_defaults)]
#[x_kube(validation = Rule::new("has(self.staleness) || has(self.guard) || has(self.damping) || has(self.confirmation) || has(self.warning) || has(self.maintenance) || has(self.podChecks)")
    .message("policy: give at least one of staleness, guard, damping, confirmation, warning, maintenance and podChecks"))]
pub struct DiscoveryPolicySpec {
    /// What it is for. All services of the namespace if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PolicyTarget>,
    /// How old an answer may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<StalenessSpec>,
    /// How many endpoints may leave at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardSpec>,
    /// How often an endpoint may fall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damping: Option<DampingSpec>,
    /// Who else is asked before an endpoint turns Critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<ConfirmationSpec>,
    /// What endpoints in Warning get of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<WarningSpec>,
    /// Machines whose registered endpoints in this namespace are out of the answers. That of every policy counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MachineMaintenance>,
    /// Checks of the pods of Services: one that fails is out of DNS, streams and entries, whatever Kubernetes says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_checks: Option<PodChecksSpec>,
}

/// What a policy is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTarget {
    /// Name of a service of this namespace, which need not exist yet. All of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL)
        .message("target service: give the bare name of a service in this namespace, such as payments: a-z, 0-9 and -, no dots"))]
    pub service: Option<String>,
}

/// How old an answer may be, by the source that it rests on: a watch of the API server that is not answered, or the stream
/// of a DNS server that is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StalenessSpec {
    /// False: nothing is ever stale. By default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// A duration such as 2m, from 10s to 24h: without word from its source for this long an answer is stale. By default 2m.
    #[serde(default = "default_after")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("staleness after: give a whole number with its unit, from 10s to 24h, such as 2m"))]
    pub after: ApiDuration,
    /// What callers get then. Serve: the same as before, and DNS and streams say that it is stale. Refuse: nothing; DNS
    /// answers SERVFAIL. By default Serve.
    #[serde(default)]
    pub then: WhenStale,
}

/// What callers get of stale answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenStale {
    /// The same as before, marked as stale: a wrong address costs a caller less than none.
    #[default]
    Serve,
    /// Nothing: no address is better than a wrong one.
    Refuse,
    /// A word of a newer version of the API: leave the section out and say so. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// The mass-removal guard: endpoints that leave together are kept in the answers, as Warning, until they return, their owner
/// says that they are gone (registration or pod deleted, endpoint taken out or put into maintenance), or the time is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardSpec {
    /// False: what leaves is gone. By default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Holds if more than this part of the callable endpoints leave within the window, in percent, from 0 to 99: of the
    /// whole service, or of one zone of it. By default 50.
    #[serde(default = "default_percent")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 99")
        .message("guard percent: give 0 to 99; to turn the guard off, write enabled: false"))]
    pub percent: u8,
    /// Services and zones of fewer callable endpoints than this are not guarded, from 1 to 1000. By default 4.
    #[serde(default = "default_minimum")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("guard minimum: give 1 to 1000 endpoints"))]
    pub minimum: u16,
    /// A duration such as 30s, from 1s to 1h: what leaves within this time counts together. By default 30s.
    #[serde(default = "default_window")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("guard window: give a whole number with its unit, from 1s to 1h, such as 30s"))]
    pub window: ApiDuration,
    /// A duration such as 5m, from 1s to 24h: endpoints are held for this long at most. By default 5m.
    #[serde(default = "default_hold")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("guard hold: give a whole number with its unit, from 1s to 24h, such as 5m"))]
    pub hold: ApiDuration,
    /// Whose endpoints. All: pods that stop being ready, too, in DNS and streams. Registered: those of registrations. By
    /// default All.
    #[serde(default)]
    pub scope: GuardScope,
}

/// Whose endpoints a guard is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GuardScope {
    /// Every endpoint.
    #[default]
    All,
    /// Registered endpoints alone.
    Registered,
    /// A word of a newer version of the API: leave the section out and say so. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// Flap damping: each time an endpoint falls, from callable to Critical, adds a penalty, which halves with each half-life.
/// From suppress on it is kept out, whatever its checks say; at reuse it is callable again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.reuse) ? self.reuse : 1000) < (has(self.suppress) ? self.suppress : 3000)")
    .message("damping: reuse must be less than suppress (by default 1000 and 3000); an endpoint would be kept out and let in at once")
    .field_path(".reuse"))]
pub struct DampingSpec {
    /// False: who answers is callable. By default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What a fall adds, from 1 to 1000000. By default 1000.
    #[serde(default = "default_penalty")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("damping penalty: give 1 to 1000000; by default 1000"))]
    pub penalty: u32,
    /// A duration such as 1m, from 1s to 24h: in this time a penalty becomes half of what it was. By default 1m.
    #[serde(default = "default_half_life")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("damping halfLife: give a whole number with its unit, from 1s to 24h, such as 1m"))]
    pub half_life: ApiDuration,
    /// From this penalty on an endpoint is kept out. By default 3000.
    #[serde(default = "default_suppress")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100000000").message("damping suppress: give 1 to 100000000; by default 3000"))]
    pub suppress: u32,
    /// At this penalty it is callable again. By default 1000.
    #[serde(default = "default_reuse")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100000000").message("damping reuse: give 1 to 100000000; by default 1000"))]
    pub reuse: u32,
    /// A duration such as 10m, from 1s to 24h: an endpoint that has stopped to fall is kept out for this long at most. By
    /// default 10m.
    #[serde(default = "default_maximum")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("damping maximum: give a whole number with its unit, from 1s to 24h, such as 10m"))]
    pub maximum: ApiDuration,
}

/// Who else is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmationSpec {
    /// How many other controllers probe an endpoint as well before it turns from Passing to Critical, from 0 to 3; the
    /// majority decides. As many as there are, if there are fewer. By default 3.
    #[serde(default = "default_replicas")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 3").message("confirmation replicas: give 0 to 3; 0 asks nobody"))]
    pub replicas: u8,
    /// Nodes whose DNS servers probe it as well, by name, up to 8: those that run with a vantage point. One that is not there or
    /// cannot find out does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'))")
        .message("confirmation dnsNodes: give names of nodes, such as node-a, as kubectl get nodes lists them"))]
    pub dns_nodes: Vec<String>,
    /// Machines whose agents probe it as well, by name, up to 8: those whose file says `vantage = true`. One that is not there or
    /// cannot find out does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message("confirmation agents: give names of machines, such as vm-17, as their agents' files have them in machine"))]
    pub agents: Vec<String>,
}

/// What clients of the streams send to endpoints in Warning: they answer, with a complaint, or are held or imported and not
/// heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarningSpec {
    /// Of what a Passing endpoint gets, in percent, from 0 to 100. 0: nothing as long as one is Passing. By default 10.
    #[serde(default = "default_warning_percent")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100")
        .message("warning percent: give 0 to 100; 0 sends nothing to them as long as another endpoint is Passing"))]
    pub percent: u8,
}

/// Machines that are in maintenance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineMaintenance {
    /// Names of machines, as endpoints have them in `machine`; from 1 to 100.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub machines: Vec<String>,
    /// Why, for the colleague who finds it.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

fn yes() -> bool {
    true
}

fn default_after() -> ApiDuration {
    ApiDuration::from_secs(120)
}

fn default_percent() -> u8 {
    50
}

fn default_minimum() -> u16 {
    4
}

fn default_window() -> ApiDuration {
    ApiDuration::from_secs(30)
}

fn default_hold() -> ApiDuration {
    ApiDuration::from_secs(300)
}

fn default_penalty() -> u32 {
    1000
}

fn default_half_life() -> ApiDuration {
    ApiDuration::from_secs(60)
}

fn default_suppress() -> u32 {
    3000
}

fn default_reuse() -> u32 {
    1000
}

fn default_maximum() -> ApiDuration {
    ApiDuration::from_secs(600)
}

fn default_replicas() -> u8 {
    3
}

fn default_warning_percent() -> u8 {
    10
}
