//! TLS of a check, and the check of TLS itself.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::port_name::PortName;
use crate::schema::IS_SUBDOMAIN;

/// How a check encrypts, and whom it trusts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsClient {
    /// Name that is asked for (SNI) and that the certificate has to be for. By default the check's `host` or `authority`, where
    /// it has one, else the endpoint's own `host`, else its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._:-]+$')")
        .message("check tls serverName: give the name or address that the certificate is for, such as payments.example.com"))]
    pub server_name: Option<String>,
    /// Certificates of authorities as PEM, trusted instead of those of the controller's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')")
        .message("check tls caBundle: give certificates of authorities as PEM, beginning with -----BEGIN CERTIFICATE-----"))]
    pub ca_bundle: Option<String>,
    /// Takes every certificate, whoever signed it, whatever its name and its time; a `tls` check judges its time all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// Name of a Secret in this namespace, of type kubernetes.io/tls: `tls.crt` and `tls.key` are the client's certificate and
    /// key, `ca.crt` is trusted as `caBundle` is. The controller needs the right to read it (chart: controller.checkSecrets).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(IS_SUBDOMAIN)
        .message("check tls secretName: give the bare name of a Secret in this namespace, such as probe-client"))]
    pub secret_name: Option<String>,
}

/// A TLS handshake, and how long the server's certificate still lasts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.criticalDays) || self.criticalDays <= (has(self.warningDays) ? self.warningDays : 14)")
    .message("check tls criticalDays: give fewer days than warningDays (by default 14)"))]
pub struct TlsCheck {
    /// Name of the port in `spec.ports` to connect to. Without it, the first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// A certificate that ends in fewer days is a Warning. By default 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3650))]
    pub warning_days: Option<u16>,
    /// A certificate that ends in fewer days makes it fail. By default 0: once it has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3650))]
    pub critical_days: Option<u16>,
    /// How it encrypts, and whom it trusts.
    #[serde(flatten)]
    pub client: TlsClient,
}

// === impl TlsCheck ===

impl TlsCheck {
    /// A certificate that ends in fewer days is a Warning, for who says nothing.
    pub const WARNING_DAYS: u16 = 14;
}
