//! TCP and UDP checks.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::port_name::PortName;
use super::tls::TlsClient;

/// A TCP connection, closed as soon as it is open and what is expected has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.send) || !has(self.sendHex)")
        .message("check: give only one of send and sendHex"),
    validation = Rule::new("!has(self.expect) || !has(self.expectHex)")
        .message("check: give only one of expect and expectHex"),
)]
pub struct TcpCheck {
    /// Name of the port in `spec.ports` to connect to. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// Encrypts the connection. `tls: {}` trusts the authorities of the controller's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClient>,
    /// What is sent and expected.
    #[serde(flatten)]
    pub exchange: ExchangeSpec,
}

/// A datagram that has to be answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.send) != has(self.sendHex)")
        .message("check udp: give what is sent as send or, in hexadecimal, as sendHex; only an answer shows that somebody listens"),
    validation = Rule::new("!has(self.expect) || !has(self.expectHex)")
        .message("check: give only one of expect and expectHex"),
)]
pub struct UdpCheck {
    /// Name of the port in `spec.ports` to send to, a UDP one. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// What is sent and expected; without something expected, any answer passes.
    #[serde(flatten)]
    pub exchange: ExchangeSpec,
}

/// What is sent to an endpoint, and what it has to answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeSpec {
    /// Text that is sent, over TCP first, over UDP as one datagram; line ends as written, such as "PING\r\n".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub send: Option<String>,
    /// The same as bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-fA-F][0-9a-fA-F])+$')")
        .message("check sendHex: give two hexadecimal digits for each byte, such as 0d0a"))]
    pub send_hex: Option<String>,
    /// Text that the first 10 KiB of what comes have to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub expect: Option<String>,
    /// The same as bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-fA-F][0-9a-fA-F])+$')")
        .message("check expectHex: give two hexadecimal digits for each byte, such as 0d0a"))]
    pub expect_hex: Option<String>,
}
