//! Active checks of registered endpoints, run by the controller.

use kube::KubeSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::duration::ApiDuration;
use crate::schema::{IS_LABEL, may_be_left_empty, text_or_number};

/// An active check, run by the controller against every address of every endpoint of the registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.http) || has(self.tcp)")
        .message("check: give http or tcp; one that is left empty counts as absent, so write tcp: {} to check the first port"),
    validation = Rule::new("!has(self.http) || !has(self.tcp)")
        .message("check: give only one of http and tcp; use a second check with its own name for the other"),
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
    /// Passes when an HTTP GET is answered with a status from 200 to 399. Redirects are not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub http: Option<HttpCheck>,
    /// Passes when a TCP connection is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = may_be_left_empty)]
    pub tcp: Option<TcpCheck>,
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
    /// This many failures in a row make an endpoint Critical. By default 2.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub failure_threshold: u8,
    /// This many successes in a row make it Passing again. By default 1.
    #[serde(default = "default_success_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub success_threshold: u8,
}

/// An HTTP GET request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// Path and query of the request, from the first slash on. By default /.
    #[serde(default = "default_path")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^/[!-~]*$')")
        .message("check path: begin with /, such as /healthz, without the host; write a space as %20"))]
    pub path: String,
    /// Name of the port in `spec.ports` to call. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), transform = text_or_number)]
    #[x_kube(validation = Rule::new("type(self) == string")
        .message("check port: give the name of a port in spec.ports, not its number; another number needs an entry there"))]
    pub port: Option<String>,
    /// The request's Host header. Without it, the endpoint's address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 261))]
    #[x_kube(validation = Rule::new(r"self.matches('^[A-Za-z0-9._:\\[\\]-]+$')")
        .message("check host: give a name or address alone, such as payments.example.com; the path goes into path"))]
    pub host: Option<String>,
}

/// A TCP connection, closed as soon as it is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpCheck {
    /// Name of the port in `spec.ports` to connect to. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), transform = text_or_number)]
    #[x_kube(validation = Rule::new("type(self) == string")
        .message("check port: give the name of a port in spec.ports, not its number; another number needs an entry there"))]
    pub port: Option<String>,
}

/// What a check does, as one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CheckKind<'a> {
    /// An HTTP GET request.
    Http(&'a HttpCheck),
    /// A TCP connection.
    Tcp(&'a TcpCheck),
}

// === impl CheckSpec ===

impl CheckSpec {
    /// What the check does; `None` when it is of a kind that this version does not know.
    pub fn kind(&self) -> Option<CheckKind<'_>> {
        self.http.as_ref().map(CheckKind::Http).or_else(|| self.tcp.as_ref().map(CheckKind::Tcp))
    }
}

impl Default for CheckSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            http: None,
            tcp: None,
            interval: default_interval(),
            retry_interval: None,
            timeout: default_timeout(),
            failure_threshold: default_failure_threshold(),
            success_threshold: default_success_threshold(),
        }
    }
}

// === impl HttpCheck ===

impl Default for HttpCheck {
    fn default() -> Self {
        Self { path: default_path(), port: None, host: None }
    }
}

// === impl CheckKind ===

impl<'a> CheckKind<'a> {
    /// The port's name in `spec.ports`; `None` means the first port.
    pub fn port(self) -> Option<&'a str> {
        match self {
            Self::Http(http) => http.port.as_deref(),
            Self::Tcp(tcp) => tcp.port.as_deref(),
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

fn default_path() -> String {
    "/".into()
}
