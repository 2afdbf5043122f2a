//! Labels, all of them bounded: what a client sends never becomes a label.

use std::fmt;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::answer::Transport;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueryLabels {
    pub(super) transport: Transport,
    pub(super) r#type: Type,
    pub(super) rcode: Code,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TransportLabels {
    pub(super) transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DropLabels {
    pub(super) transport: Transport,
    pub(super) reason: DropReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResourceLabels {
    pub(super) r#type: ResourceKind,
}

/// Types that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Type(u8);

/// Response codes that are told apart: all that this server gives, and the ones that others give often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Code(u8);

/// Why something was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Shorter than a header, or a response.
    NotAQuery,
    /// From port 0.
    Source,
    /// The answer did not fit into the send buffer, or was not taken in time.
    NotSent,
    /// A connection above the limit.
    TooManyConnections,
    /// TLS was not agreed on.
    Handshake,
    /// More answers than its network gets over UDP; every second of them left cut.
    RateLimited,
}

/// Types of the catalog's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// `rollcall.v1.EndpointBucket`
    EndpointBucket,
    /// `rollcall.v1.Service`
    Service,
    /// `rollcall.v1.Machine`
    Machine,
    /// `rollcall.v1.Zone`
    Zone,
}

const TYPES: [(Option<RecordType>, &str); 13] = [
    (None, "other"),
    (Some(RecordType::A), "A"),
    (Some(RecordType::AAAA), "AAAA"),
    (Some(RecordType::ANY), "ANY"),
    (Some(RecordType::CNAME), "CNAME"),
    (Some(RecordType::HTTPS), "HTTPS"),
    (Some(RecordType::MX), "MX"),
    (Some(RecordType::NS), "NS"),
    (Some(RecordType::PTR), "PTR"),
    (Some(RecordType::SOA), "SOA"),
    (Some(RecordType::SRV), "SRV"),
    (Some(RecordType::SVCB), "SVCB"),
    (Some(RecordType::TXT), "TXT"),
];

const CODES: [(Option<ResponseCode>, &str); 8] = [
    (None, "other"),
    (Some(ResponseCode::NoError), "NOERROR"),
    (Some(ResponseCode::FormErr), "FORMERR"),
    (Some(ResponseCode::ServFail), "SERVFAIL"),
    (Some(ResponseCode::NXDomain), "NXDOMAIN"),
    (Some(ResponseCode::NotImp), "NOTIMP"),
    (Some(ResponseCode::Refused), "REFUSED"),
    (Some(ResponseCode::BADVERS), "BADVERS"),
];

// === impl QueryLabels ===

impl QueryLabels {
    /// The labels with this [`Self::index`].
    pub(super) fn at(index: usize) -> Self {
        let (rest, rcode) = (index / Code::COUNT, Code((index % Code::COUNT) as u8));
        let transport = Transport::ALL[rest / Type::COUNT % Transport::ALL.len()];
        Self { transport, r#type: Type((rest % Type::COUNT) as u8), rcode }
    }

    pub(super) fn index(&self) -> usize {
        (self.transport as usize * Type::COUNT + usize::from(self.r#type.0)) * Code::COUNT + usize::from(self.rcode.0)
    }
}

// === impl Type ===

impl Type {
    pub(super) const COUNT: usize = TYPES.len();

    pub(super) fn of(rtype: Option<RecordType>) -> Self {
        Self(TYPES.iter().position(|(known, _)| *known == rtype).unwrap_or(0) as u8)
    }
}

impl EncodeLabelValue for Type {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        TYPES[usize::from(self.0)].1.encode(encoder)
    }
}

// === impl Code ===

impl Code {
    pub(super) const COUNT: usize = CODES.len();

    pub(super) fn of(rcode: ResponseCode) -> Self {
        Self(CODES.iter().position(|(known, _)| *known == Some(rcode)).unwrap_or(0) as u8)
    }
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        CODES[usize::from(self.0)].1.encode(encoder)
    }
}

// === impl Transport ===

impl Transport {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl EncodeLabelValue for Transport {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

// === impl DropReason ===

impl EncodeLabelValue for DropReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::NotAQuery => "not_a_query",
            Self::Source => "source",
            Self::NotSent => "not_sent",
            Self::TooManyConnections => "too_many_connections",
            Self::Handshake => "handshake",
            Self::RateLimited => "rate_limited",
        };
        name.encode(encoder)
    }
}

// === impl ResourceKind ===

impl EncodeLabelValue for ResourceKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::EndpointBucket => "endpoint_bucket",
            Self::Service => "service",
            Self::Machine => "machine",
            Self::Zone => "zone",
        };
        name.encode(encoder)
    }
}
