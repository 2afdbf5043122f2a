//! HTTP and HTTPS checks.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::port_name::PortName;
use super::tls::TlsClient;

/// An HTTP request, on a connection of its own.
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
    pub port: Option<PortName>,
    /// The request's Host header. Without it, the endpoint's address and port. With `tls` it is also the name that the
    /// certificate has to be for, unless `tls.serverName` says another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 261))]
    #[x_kube(validation = Rule::new(r"self.matches('^[A-Za-z0-9._:\\[\\]-]+$')")
        .message("check host: give a name or address alone, such as payments.example.com; the path goes into path"))]
    pub host: Option<String>,
    /// Method of the request. By default GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]+$') && self != 'CONNECT'")
        .message("check method: give an HTTP method in capitals, such as GET, HEAD or POST"))]
    pub method: Option<String>,
    /// Further headers of the request, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub headers: Vec<HttpHeader>,
    /// Body of the request; without it, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
    /// Statuses that pass: numbers and ranges such as 204 or "200-299". By default "200-399". 429 is a Warning unless it is
    /// among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub statuses: Vec<IntOrString>,
    /// Text that the first 10 KiB of the body have to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub body_contains: Option<String>,
    /// How many redirects are followed, at most 10, to the same address and port only; one that leads elsewhere is a Warning.
    /// By default 0: a redirect passes as its status says.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 10))]
    pub follow_redirects: u8,
    /// Makes it HTTPS. `tls: {}` trusts the authorities of the controller's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
}

/// A header of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Its name.
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new(
        "self.matches('^[A-Za-z0-9!#$%&*+.^_|~-]+$') && !self.matches('^(?i)(host|connection|content-length|transfer-encoding)$')")
        .message("check header name: give one such as X-Probe; Host goes into host, and Connection, Content-Length and Transfer-Encoding are set by the check"))]
    pub name: String,
    /// Its value. It stands in the object for everybody who may read it: no passwords.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^[ -~]*$')")
        .message("check header value: use printable ASCII on one line"))]
    pub value: String,
}

// === impl HttpCheck ===

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            path: default_path(),
            port: None,
            host: None,
            method: None,
            headers: Vec::new(),
            body: None,
            statuses: Vec::new(),
            body_contains: None,
            follow_redirects: 0,
            tls: None,
        }
    }
}

fn default_path() -> String {
    "/".into()
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}
