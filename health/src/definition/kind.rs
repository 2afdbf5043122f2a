//! What a check does, by kind.

use std::sync::Arc;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::model::Name;

use super::tls::Tls;

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// An HTTP request.
    Http(Http),
    /// A TCP connection.
    Tcp(Tcp),
    /// A TLS handshake, and how long the certificate still lasts.
    Tls(TlsHandshake),
    /// The health service of gRPC.
    Grpc(Grpc),
    /// A ping of HTTP/2.
    Http2(Http2),
    /// A datagram.
    Udp(Udp),
    /// The health of something else.
    Alias(Alias),
}

/// A request over HTTP/1.1, on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// GET, HEAD, POST or another.
    pub method: Name,
    /// Path and query.
    pub path: Name,
    /// Host header; the socket address when absent.
    pub host: Option<Name>,
    /// Further headers.
    pub headers: Arc<[(Name, Name)]>,
    /// The body, without which there is none.
    pub body: Option<Name>,
    /// What passes.
    pub statuses: Statuses,
    /// Text that the beginning of the body has to contain.
    pub contains: Option<Name>,
    /// How many redirects are followed, to the same address and port only.
    pub redirects_max: u8,
    /// HTTPS.
    pub tls: Option<Tls>,
}

/// Ranges of status codes, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Arc<[(u16, u16)]>);

/// A connection, and if asked for TLS and a word on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// TLS, without which it is plain.
    pub tls: Option<Tls>,
    /// What is said and has to be answered.
    pub exchange: Exchange,
}

/// What is sent, and what has to come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Sent first.
    pub send: Option<Arc<[u8]>>,
    /// Has to be contained in what comes.
    pub expect: Option<Arc<[u8]>>,
}

/// A TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsHandshake {
    /// How.
    pub tls: Tls,
    /// A certificate that lasts fewer days than this is a Warning.
    pub warning_days: u16,
    /// A certificate that lasts fewer days than this is a failure; 0: only one that has expired.
    pub critical_days: u16,
}

/// `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grpc {
    /// The service that is asked about; empty for the server.
    pub service: Name,
    /// `:authority`; the socket address when absent.
    pub authority: Option<Name>,
    /// TLS, without which it is HTTP/2 by prior knowledge.
    pub tls: Option<Tls>,
}

/// A PING frame (RFC 9113 §6.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http2 {
    /// TLS, without which it is HTTP/2 by prior knowledge.
    pub tls: Option<Tls>,
}

/// A datagram that has to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// What is sent and has to come back; any answer passes when nothing is expected.
    pub exchange: Exchange,
}

/// The health of another service, or of one of its endpoints, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The service.
    pub service: ServiceKey,
    /// One of its endpoints by name; without it, the service is as well as the best of them.
    pub endpoint: Option<Name>,
}

// === impl Http ===

impl Http {
    /// A GET that passes with a status from 200 to 399.
    pub fn get(path: impl Into<Name>) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            host: None,
            headers: [].into(),
            body: None,
            statuses: Statuses::default(),
            contains: None,
            redirects_max: 0,
            tls: None,
        }
    }
}

// === impl Statuses ===

impl Statuses {
    /// These ranges.
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// The ranges, both ends included.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Whether a status passes.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self::new([(200, 399)])
    }
}

// === impl CheckKind ===

impl CheckKind {
    /// TLS of the check, if it uses some.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Http(http) => http.tls.as_ref(),
            Self::Tcp(tcp) => tcp.tls.as_ref(),
            Self::Tls(handshake) => Some(&handshake.tls),
            Self::Grpc(grpc) => grpc.tls.as_ref(),
            Self::Http2(http2) => http2.tls.as_ref(),
            Self::Udp(_) | Self::Alias(_) => None,
        }
    }

    /// The same check of an endpoint that is known by a host name: what names the server by default is that name.
    #[must_use]
    pub fn at_host(mut self, host: &Name) -> Self {
        let name = |tls: &mut Tls| {
            tls.server_name.get_or_insert_with(|| Name::clone(host));
        };
        match &mut self {
            Self::Http(http) => {
                if http.host.is_none() {
                    http.host = Some(Name::clone(host));
                }
                // Where a Host header is given, it names the certificate too.
            }
            Self::Tcp(tcp) => tcp.tls.iter_mut().for_each(name),
            Self::Tls(handshake) => name(&mut handshake.tls),
            Self::Grpc(grpc) => {
                if grpc.authority.is_none() {
                    grpc.authority = Some(Name::clone(host));
                }
            }
            Self::Http2(http2) => http2.tls.iter_mut().for_each(name),
            Self::Udp(_) | Self::Alias(_) => {}
        }
        self
    }
}
