//! Active checks of registered endpoints, run by the controller.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;
use crate::schema::LABEL;

/// An active check, run by the controller against every address of every endpoint of the registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.http), has(self.tcp)].filter(given, given).size() == 1")
        .message("check: give exactly one of http, tcp; use a second check with its own name for the other"),
    validation = Rule::new("duration(self.timeout) <= duration(self.interval)")
        .message("check: timeout must not exceed interval (by default timeout is 1s, interval 10s); shorten timeout or lengthen interval")
        .field_path(".timeout"),
)]
pub struct CheckSpec {
    /// Name of the check, a DNS label, unique in the registration. It appears in reasons, Events and metrics.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub name: String,
    /// Passes when an HTTP GET is answered with a status from 200 to 399. Redirects are not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Passes when a TCP connection is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// Time from the start of one probe to the start of the next, from 100ms to 1h. A failed probe is repeated at once.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("check interval: give a duration from 100ms to 1h, such as 10s"))]
    pub interval: ApiDuration,
    /// A probe without an answer for this long has failed. From 10ms to the interval.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms')")
        .message("check timeout: give a duration of at least 10ms, such as 1s"))]
    pub timeout: ApiDuration,
    /// This many failures in a row make an endpoint Critical.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub failure_threshold: u8,
    /// This many successes in a row make it Passing again.
    #[serde(default = "default_success_threshold")]
    #[schemars(range(min = 1, max = 10))]
    pub success_threshold: u8,
}

/// An HTTP GET request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// Path and query of the request, from the first slash on.
    #[serde(default = "default_path")]
    #[schemars(length(max = 1024), regex(pattern = "^/[!-~]*$"))]
    pub path: String,
    /// Name of the port in `spec.ports` to call. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub port: Option<String>,
    /// The request's Host header. Without it, the endpoint's address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 261), regex(pattern = r"^[A-Za-z0-9._:\[\]-]+$"))]
    pub host: Option<String>,
}

/// A TCP connection, closed as soon as it is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpCheck {
    /// Name of the port in `spec.ports` to connect to. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub port: Option<String>,
}

/// What a check does, as one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Probe<'a> {
    /// An HTTP GET request.
    Http(&'a HttpCheck),
    /// A TCP connection.
    Tcp(&'a TcpCheck),
}

// === impl CheckSpec ===

impl CheckSpec {
    /// What the check does; `None` when it is of a kind that this version does not know.
    pub fn probe(&self) -> Option<Probe<'_>> {
        self.http.as_ref().map(Probe::Http).or_else(|| self.tcp.as_ref().map(Probe::Tcp))
    }
}

impl Default for CheckSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            http: None,
            tcp: None,
            interval: default_interval(),
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

// === impl Probe ===

impl<'a> Probe<'a> {
    /// The port's name in `spec.ports`; `None` means the first port.
    pub fn port(self) -> Option<&'a str> {
        match self {
            Self::Http(http) => http.port.as_deref(),
            Self::Tcp(tcp) => tcp.port.as_deref(),
        }
    }
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
