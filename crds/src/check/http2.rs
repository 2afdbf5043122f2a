//! Checks of what speaks HTTP/2: gRPC's health service, and a ping.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::port_name::PortName;
use super::tls::TlsClient;

/// A question to gRPC's own health service, `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcCheck {
    /// Name of the port in `spec.ports` to call. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// Service that is asked about, such as shop.v1.Payments. Without it, the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
    /// The request's `:authority`. Without it, the endpoint's address and port. With `tls` it is also the name that the
    /// certificate has to be for, unless `tls.serverName` says another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 261))]
    #[x_kube(validation = Rule::new(r"self.matches('^[A-Za-z0-9._:\\[\\]-]+$')")
        .message("check authority: give a name or address alone, such as payments.example.com"))]
    pub authority: Option<String>,
    /// Encrypts the connection. Without it, HTTP/2 is spoken by prior knowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
}

/// A PING of HTTP/2, which every server of it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http2Check {
    /// Name of the port in `spec.ports` to call. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// Encrypts the connection. Without it, HTTP/2 is spoken by prior knowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
}
