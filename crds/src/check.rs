//! Active checks of registered endpoints, run by the controller: what all kinds have in common. Each kind is in a file of its
//! own below.

pub mod alias;
pub mod http;
pub mod http2;
pub mod port_name;
pub mod tls;
pub mod transport;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use self::alias::AliasCheck;
use self::http::HttpCheck;
use self::http2::{GrpcCheck, Http2Check};
use self::tls::TlsCheck;
use self::transport::{TcpCheck, UdpCheck};
use crate::duration::ApiDuration;
use crate::schema::{IS_LABEL, may_be_left_empty, number_or_text, text_or_number};

/// An active check, run by the controller against every address of every endpoint of the registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.http) || has(self.tcp) || has(self.tls) || has(self.grpc) || has(self.http2) || has(self.udp) || has(self.alias)")
        .message("check: give one of http, tcp, tls, grpc, http2, udp and alias; one that is left empty counts as absent, so write tcp: {} to check the first port"),
    validation = Rule::new("(has(self.http) ? 1 : 0) + (has(self.tcp) ? 1 : 0) + (has(self.tls) ? 1 : 0) + (has(self.grpc) ? 1 : 0) + (has(self.http2) ? 1 : 0) + (has(self.udp) ? 1 : 0) + (has(self.alias) ? 1 : 0) <= 1")
        .message("check: give only one of http, tcp, tls, grpc, http2, udp and alias; use a second check with its own name for the other"),
    // What is no duration at all is the business of the fields' own rules.
    validation = Rule::new(r"(has(self.timeout) && !(type(self.timeout) == string && !self.timeout.contains(' ')
        && (self.timeout.endsWith('s') || self.timeout.endsWith('m') || self.timeout.endsWith('h'))))
        || (has(self.interval) && !(type(self.interval) == string && !self.interval.contains(' ')
        && (self.interval.endsWith('s') || self.interval.endsWith('m') || self.interval.endsWith('h'))))
        || duration(has(self.timeout) ? self.timeout : '1s') <= duration(has(self.interval) ? self.interval : '10s')")
        .message("check: timeout must not exceed interval (by default timeout is 1s, interval 10s); shorten timeout or lengthen interval")
        .field_path(".timeout"),
    validation = Rule::new(r"!has(self.retryInterval) || !(type(self.retryInterval) == string && !self.retryInterval.contains(' ')
        && (self.retryInterval.endsWith('s') || self.retryInterval.endsWith('m') || self.retryInterval.endsWith('h')))
        || (has(self.interval) && !(type(self.interval) == string && !self.interval.contains(' ')
        && (self.interval.endsWith('s') || self.interval.endsWith('m') || self.interval.endsWith('h'))))
        || duration(self.retryInterval) <= duration(has(self.interval) ? self.interval : '10s')")
        .message("check: retryInterval must not exceed interval (by default 10s); shorten it, or leave it out")
        .field_path(".retryInterval"),
)]
pub struct CheckSpec {
    /// Name of the check, a DNS label, unique in the registration. It appears in reasons and Events.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new(IS_LABEL).message("check name: use a-z, 0-9 and - only, such as healthz"))]
    pub name: String,
    /// Passes when an HTTP or HTTPS request, by default a GET, is answered as expected, by default with a status from 200 to
    /// 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub http: Option<HttpCheck>,
    /// Passes when a TCP connection is accepted, and answers as expected where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub tcp: Option<TcpCheck>,
    /// Passes when a TLS handshake succeeds and the server's certificate lasts long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub tls: Option<TlsCheck>,
    /// Passes when gRPC's health service answers SERVING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub grpc: Option<GrpcCheck>,
    /// Passes when a ping of HTTP/2 is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub http2: Option<Http2Check>,
    /// Passes when a UDP datagram is answered as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub udp: Option<UdpCheck>,
    /// Takes over the health of another service, or of one of its endpoints, in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub alias: Option<AliasCheck>,
    /// A duration such as 10s: from the start of one probe to the start of the next, from 100ms to 1h. A failed probe is
    /// repeated at once, and then every `retryInterval` until it is decided. By default 10s.
    #[serde(default = "default_interval", deserialize_with = "interval_or_default")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("check interval: give a whole number with its unit, from 100ms to 1h, such as 10s or 500ms"))]
    pub interval: ApiDuration,
    /// A duration such as 500ms: the same between the second failure in a row and the one that decides, and until the
    /// check has passed for the first time. From 100ms to the interval. By default the smaller of interval and 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('100ms')")
        .message("check retryInterval: give a whole number with its unit, from 100ms to the interval, such as 1s or 500ms"))]
    pub retry_interval: Option<ApiDuration>,
    /// A duration such as 1s: a probe without an answer for this long has failed. From 10ms to 60s, and not more than the
    /// interval. By default 1s.
    #[serde(default = "default_timeout", deserialize_with = "timeout_or_default")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('10ms') && duration(self) <= duration('60s')")
        .message("check timeout: give a whole number with its unit, from 10ms to 60s, such as 1s or 500ms"))]
    pub timeout: ApiDuration,
    /// What a new endpoint is taken for until results decide: Unknown, Passing, Warning or Critical. Callers get it with Passing
    /// and Warning. By default Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_status: Option<InitialStatus>,
    /// This many failures in a row make an endpoint Critical. From 1 to 10, by default 2.
    #[serde(default = "default_failure_threshold")]
    #[schemars(transform = number_or_text)]
    #[x_kube(validation = Rule::new("type(self) in [int] && int(self) >= 1 && int(self) <= 10")
        .message("check failureThreshold: give a number from 1 to 10, without quotes"))]
    pub failure_threshold: u8,
    /// This many successes in a row make it Passing again. From 1 to 10, by default 1.
    #[serde(default = "default_success_threshold")]
    #[schemars(transform = number_or_text)]
    #[x_kube(validation = Rule::new("type(self) in [int] && int(self) >= 1 && int(self) <= 10")
        .message("check successThreshold: give a number from 1 to 10, without quotes"))]
    pub success_threshold: u8,
}

/// What an endpoint is taken for until results decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InitialStatus {
    /// Not given to callers before it has passed, the default.
    #[default]
    Unknown,
    /// Given to callers at once.
    Passing,
    /// The same, with a complaint.
    Warning,
    /// Not given to callers before it has passed.
    Critical,
    /// A word of a newer version of the API: as the default. Never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unsupported,
}

/// What a check does, as one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CheckKind<'a> {
    /// An HTTP request.
    Http(&'a HttpCheck),
    /// A TCP connection.
    Tcp(&'a TcpCheck),
    /// A TLS handshake.
    Tls(&'a TlsCheck),
    /// gRPC's health service.
    Grpc(&'a GrpcCheck),
    /// A ping of HTTP/2.
    Http2(&'a Http2Check),
    /// A UDP datagram.
    Udp(&'a UdpCheck),
    /// The health of something else.
    Alias(&'a AliasCheck),
}

// === impl CheckSpec ===

impl CheckSpec {
    /// What the check does; `None` when it is of a kind that this version does not know.
    pub fn kind(&self) -> Option<CheckKind<'_>> {
        let http = self.http.as_ref().map(CheckKind::Http);
        http.or_else(|| self.tcp.as_ref().map(CheckKind::Tcp))
            .or_else(|| self.tls.as_ref().map(CheckKind::Tls))
            .or_else(|| self.grpc.as_ref().map(CheckKind::Grpc))
            .or_else(|| self.http2.as_ref().map(CheckKind::Http2))
            .or_else(|| self.udp.as_ref().map(CheckKind::Udp))
            .or_else(|| self.alias.as_ref().map(CheckKind::Alias))
    }
}

impl Default for CheckSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            http: None,
            tcp: None,
            tls: None,
            grpc: None,
            http2: None,
            udp: None,
            alias: None,
            interval: default_interval(),
            retry_interval: None,
            timeout: default_timeout(),
            initial_status: None,
            failure_threshold: default_failure_threshold(),
            success_threshold: default_success_threshold(),
        }
    }
}

// === impl CheckKind ===

impl<'a> CheckKind<'a> {
    /// The port's name in `spec.ports`; `None` means the first port.
    pub fn port(self) -> Option<&'a str> {
        match self {
            Self::Http(http) => http.port.as_deref(),
            Self::Tcp(tcp) => tcp.port.as_deref(),
            Self::Tls(tls) => tls.port.as_deref(),
            Self::Grpc(grpc) => grpc.port.as_deref(),
            Self::Http2(http2) => http2.port.as_deref(),
            Self::Udp(udp) => udp.port.as_deref(),
            Self::Alias(_) => None,
        }
    }
}

/// A key without a value is absent: the schema lets it pass, since kube makes a text or number nullable.
fn interval_or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApiDuration, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_interval))
}

/// As [`interval_or_default`].
fn timeout_or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApiDuration, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_timeout))
}

fn default_interval() -> ApiDuration {
    ApiDuration::from_secs(10)
}

fn default_timeout() -> ApiDuration {
    ApiDuration::from_secs(1)
}

fn default_failure_threshold() -> u8 {
    2
}

fn default_success_threshold() -> u8 {
    1
}
