//! `ServiceRegistration`: the endpoints of one service that run outside the cluster.

use std::collections::BTreeMap;
use std::fmt;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::CheckSpec;
use crate::duration::ApiDuration;
use crate::heartbeat::HeartbeatSpec;
use crate::schema::{
    IS_LABEL, NAMES_DIFFER, bounded_map, kubernetes_style, number_or_text, text_or_number, without_defaults,
};
use crate::status::ServiceRegistrationStatus;

/// The endpoints, their ports and how they are checked.
//
// `endpoints` and `checks` are maps by `name`: several appliers can own single entries, such as the maintenance of one
// endpoint, and the API server itself refuses duplicates. `ports` are not: a map needs a default for the name that a
// single port may leave out, and what the API server fills in makes `kubectl apply` of an unchanged file a change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "ServiceRegistration",
    doc = "Puts endpoints outside the cluster, such as virtual machines, into a service: beside its pods if a Service of that name exists, on their own if none does. Rollcall checks them and gives callers those that pass.",
    namespaced,
    status = "ServiceRegistrationStatus",
    shortname = "svcreg",
    category = "rollcall",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.service",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name: give at most 63 characters; it becomes a label of the EndpointSlices"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service", description = "The service that the endpoints join"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "True: every endpoint can be called"),
    printcolumn(name = "Callable", type_ = "string", json_path = ".status.callable", description = "Endpoints that callers get, of all registered"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", description = "Why it is ready or not"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.conditions[?(@.type=='Ready')].lastTransitionTime", description = "How long Ready is as it is"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", priority = "1", json_path = ".status.conditions[?(@.type=='Ready')].message", description = "The reason in plain words")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = kubernetes_style, transform = without_defaults)]
#[x_kube(
    validation = Rule::new("self.ports.size() == 1 || self.ports.all(port, has(port.name) && port.name != '')")
        .message("ports: give every port a name; only a single port may go without"),
    validation = Rule::new("!has(self.heartbeat) || !has(self.checks) || self.checks.all(check, check.name != 'heartbeat')")
        .message("checks: with spec.heartbeat the name heartbeat is taken; give the check another one"),
)]
pub struct ServiceRegistrationSpec {
    /// Name of the service that the endpoints join: the Service of this name in the same namespace, which need not
    /// exist. It cannot change, since the endpoints would leave one service and join another in one step without anyone
    /// seeing whether they are well there; create a second registration and then delete this one.
    #[schemars(length(max = 63))]
    #[x_kube(
        validation = Rule::new(IS_LABEL)
            .message("service: give the bare name of a Service in this namespace, such as payments: a-z, 0-9 and -, no dots"),
        validation = Rule::new("self == oldSelf").reason(Reason::FieldValueForbidden)
            .message("service cannot change: create a registration for the new service, then delete this one"),
    )]
    pub service: String,
    /// Ports that every endpoint offers. Their names are those of the Service's ports, if there is such a Service.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new(NAMES_DIFFER).message("ports: two have the same name; give each its own, as the Service does"),
    )]
    pub ports: Vec<PortSpec>,
    /// The instances, from 1 to 100. Use several registrations for a larger service.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub endpoints: Vec<EndpointSpec>,
    /// Checks of every endpoint, at most 8. Without any, and without a heartbeat, the endpoints are Passing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<CheckSpec>,
    /// Whether and how often each endpoint says itself that it lives. One that has not done so yet is Unknown, and not given to
    /// callers. Checks and heartbeat both have to be well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSpec>,
    /// Takes all endpoints out of the answers for as long as it is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// A duration such as 1h, from 1s to 720h: an endpoint that has been Critical for this long is taken out of the catalog, and
    /// the status says so. It is checked on, and returns when it passes. Without it, a failing endpoint stays listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1s') && duration(self) <= duration('720h')")
        .message("deregisterAfter: give a whole number with its unit, from 1s to 720h, such as 1h"))]
    pub deregister_after: Option<ApiDuration>,
}

/// A port of the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortSpec {
    /// Name of the port, a DNS label as in the Service. Only a single port may go without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("port name: use a-z, 0-9 and - only, such as http, as the Service names its port"))]
    pub name: String,
    /// Number on which the endpoints listen, from 1 to 65535: a Service's targetPort.
    #[schemars(transform = number_or_text)]
    #[x_kube(validation = Rule::new("type(self) in [int] && int(self) >= 1 && int(self) <= 65535")
        .message("port: give the number on which the endpoints listen, 1 to 65535, without quotes, such as 8080; its name goes into name"))]
    pub port: u16,
    /// Transport protocol: TCP, UDP or SCTP. By default TCP.
    #[serde(default)]
    pub protocol: Protocol,
    /// What is spoken on the port, as in a Service: http, kubernetes.io/h2c, or a prefixed name such as
    /// example.com/protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')")
        .message("appProtocol: give a word such as http or grpc, or one with a domain before it, such as kubernetes.io/h2c for HTTP/2"))]
    pub app_protocol: Option<String>,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
    /// A protocol of a newer version of the API: leave the port out and say so. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// One instance of the service outside the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.addresses) != has(self.host)")
    .message("endpoint: give either addresses or, for a DNS name that is looked up, host"))]
pub struct EndpointSpec {
    /// Name of the instance, a DNS label, unique in the registration. Its identity. Under another address it is checked
    /// anew before callers get it.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL)
        .message("endpoint name: use a-z, 0-9 and - only, such as vm-1: no capitals, no _, no dots"))]
    pub name: String,
    /// Where it is called: one IPv4 address, one IPv6 address, or one of each, without a port. Either this or `host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2), inner(length(max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(address, !address.matches(r'^[^:]+:[0-9]+$|[\\[/]'))")
            .message("endpoint addresses: give the IP address alone, such as 198.51.100.11; the port's number stands in spec.ports, or in this endpoint's ports where it differs"),
        validation = Rule::new("self.all(address, isIP(address) || address.matches(r'^[^:]+:[0-9]+$|[\\[/]'))")
            .message("endpoint addresses: give IP addresses such as 198.51.100.11 or 2001:db8::11; a DNS name goes into host, in place of addresses"),
        validation = Rule::new("!self.all(address, isIP(address)) || self.size() < 2 || ip(self[0]).family() != ip(self[1]).family()")
            .message("endpoint addresses: give at most one IPv4 and one IPv6 address; use one endpoint per machine"),
    )]
    pub addresses: Vec<String>,
    /// DNS name in place of addresses, such as db.example.net, looked up by the controller again and again. Each of its
    /// addresses, 16 at most, becomes an endpoint of its own: NAME-198-51-100-7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches(r'^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?([.][A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)+[.]?$') && !self.matches('^[0-9.]+$')")
        .message("endpoint host: give a whole DNS name such as db.example.net, without a port; an IP address goes into addresses"))]
    pub host: Option<String>,
    /// Ports on which this instance listens elsewhere than `spec.ports` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new(NAMES_DIFFER).message("endpoint ports: two have the same name; give one number for each port of spec.ports"),
    )]
    pub ports: Vec<PortOverride>,
    /// Host name under the service's DNS name, as a pod of a StatefulSet has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL)
        .message("endpoint hostname: give its first label alone, such as db-1; the service's DNS name comes after it: a-z, 0-9 and -, no dots"))]
    pub hostname: Option<String>,
    /// Zone it runs in, as in the nodes' label topology.kubernetes.io/zone. Callers of the same zone may be sent here first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')")
        .message("endpoint zone: give a zone as the nodes' label topology.kubernetes.io/zone has it, such as eu-1a"))]
    pub zone: Option<String>,
    /// Machine that it runs on: a node of the cluster, or any name by which operators know it. Maintenance of a machine goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub machine: Option<String>,
    /// Share of the calls in proportion to the other endpoints' weights, where the caller's protocol can express it. From
    /// 1 to 65535, by default 1.
    #[serde(default = "default_weight")]
    #[schemars(transform = number_or_text)]
    #[x_kube(validation = Rule::new("type(self) in [int] && int(self) >= 1 && int(self) <= 65535")
        .message("endpoint weight: give 1 to 65535, without quotes; to take an endpoint out, give it maintenance with a reason"))]
    pub weight: u16,
    /// Words to select endpoints by, DNS labels, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(tag, tag.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
            .message("endpoint tags: use words of a-z, 0-9 and - only, such as canary; a pair such as version=1.2 goes into metadata, as version: \"1.2\""),
    )]
    pub tags: Vec<String>,
    /// Free key-value pairs for callers, at most 32; keys to 128 and values to 512 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = bounded_map)]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() >= 1 && key.size() <= 128)")
            .message("endpoint metadata: give keys of 1 to 128 characters"),
        validation = Rule::new("self.all(key, type(self[key]) == string)")
            .message("endpoint metadata: values are texts; put numbers into quotes, such as rack: \"12\""),
    )]
    pub metadata: BTreeMap<String, String>,
    /// Takes this endpoint out of the answers for as long as it is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// A port on which one endpoint listens elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortOverride {
    /// Name of the port in `spec.ports`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub name: String,
    /// Number on which this endpoint listens, from 1 to 65535.
    #[schemars(transform = number_or_text)]
    #[x_kube(validation = Rule::new("type(self) in [int] && int(self) >= 1 && int(self) <= 65535")
        .message("endpoint port: give the number on which this endpoint listens, 1 to 65535, without quotes, such as 8080"))]
    pub port: u16,
}

/// An operator's will that something is not called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Why, for the colleague who finds it.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

// === impl Protocol ===

impl Protocol {
    /// The word as it stands in objects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Unsupported => "Unsupported",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl EndpointSpec ===

impl Default for EndpointSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            addresses: Vec::new(),
            host: None,
            ports: Vec::new(),
            hostname: None,
            zone: None,
            machine: None,
            weight: default_weight(),
            tags: Vec::new(),
            metadata: BTreeMap::new(),
            maintenance: None,
        }
    }
}

fn default_weight() -> u16 {
    1
}
