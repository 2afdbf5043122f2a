//! What is told of an endpoint: the fields of the answers, named as in the CRDs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use rollcall_catalog::model::{Attributes, Endpoint, EndpointName, Health, Name, Port, Protocol};
use rollcall_catalog::service::{Counts, Member, Service};
use serde::{Serialize, Serializer};

/// An endpoint, as callers are told of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    #[serde(serialize_with = "word")]
    pub(super) name: EndpointName<'a>,
    addresses: Vec<IpAddr>,
    ports: Vec<PortTold<'a>>,
    #[serde(serialize_with = "word")]
    health: Health,
    /// Whether callers are given it.
    callable: bool,
    terminating: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    weight: u16,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [Name],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<Name, Name>,
    pub(super) origin: String,
}

/// A port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortTold<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    port: u16,
    #[serde(serialize_with = "word")]
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_protocol: Option<&'a str>,
}

/// How many endpoints, by health.
#[derive(Debug, Serialize)]
pub(super) struct CountsTold {
    endpoints: usize,
    callable: usize,
    passing: usize,
    warning: usize,
    critical: usize,
    unknown: usize,
    maintenance: usize,
}

// === impl Told ===

impl<'a> Told<'a> {
    pub(super) fn new(service: &Service, member: &'a Member) -> Self {
        let endpoint: &'a Endpoint = &member.endpoint;
        let attributes: &'a Attributes = &member.attributes;
        Self {
            name: endpoint.name(),
            addresses: endpoint.addresses.iter().collect(),
            ports: endpoint.ports.iter().map(PortTold::new).collect(),
            health: member.health,
            callable: service.gives(member),
            terminating: member.conditions.terminating,
            zone: member.zone.as_deref(),
            region: member.region.as_deref(),
            node: endpoint.node.as_deref(),
            hostname: endpoint.hostname.as_deref(),
            weight: endpoint.weight,
            tags: &attributes.tags,
            metadata: &attributes.metadata,
            origin: member.origin.to_string(),
        }
    }
}

// === impl PortTold ===

impl<'a> PortTold<'a> {
    pub(super) fn new(port: &'a Port) -> Self {
        let Port { name, number, protocol, app_protocol } = port;
        Self { name, port: *number, protocol: *protocol, app_protocol: app_protocol.as_deref() }
    }
}

// === impl CountsTold ===

impl From<Counts> for CountsTold {
    fn from(counts: Counts) -> Self {
        let Counts { endpoints, callable, passing, warning, critical, unknown, maintenance } = counts;
        Self { endpoints, callable, passing, warning, critical, unknown, maintenance }
    }
}

/// What says itself in a word.
pub(super) fn word<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// A moment as RFC 3339 writes it.
pub(super) fn moment(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|moment| moment.to_string())
}

/// A duration as the CRDs write it, to the millisecond.
pub(super) fn duration(time: std::time::Duration) -> String {
    let ms = time.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}
