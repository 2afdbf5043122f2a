//! The flags of each component.

use std::net::SocketAddr;
use std::path::Path;

use crate::layout;

/// Where the Services of a cluster get their addresses. Both families, IPv4 first: a Service gets IPv4 unless it asks for more.
/// Clusters that are linked are numbered, and no two have the same.
fn service_ranges(number: u8) -> String {
    let third = 96 + u16::from(number);
    format!("10.{third}.0.0/16,fd00:{third}::/112")
}

pub(crate) fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

pub(crate) fn file(name: &str, folder: &Path, file: &str) -> String {
    flag(name, folder.join(file).display())
}

pub(crate) fn etcd(folder: &Path, client: SocketAddr, peer: SocketAddr) -> Vec<String> {
    vec![
        file("data-dir", folder, "etcd"),
        flag("listen-client-urls", format_args!("http://{client}")),
        flag("advertise-client-urls", format_args!("http://{client}")),
        flag("listen-peer-urls", format_args!("http://{peer}")),
        flag("initial-advertise-peer-urls", format_args!("http://{peer}")),
        flag("initial-cluster", format_args!("default=http://{peer}")),
        // The data need not outlive the machine, and without it a start is seconds faster.
        "--unsafe-no-fsync".into(),
        flag("quota-backend-bytes", 4_u64 << 30),
        flag("log-level", "warn"),
    ]
}

pub(crate) fn api_server(folder: &Path, etcd: SocketAddr, listen: SocketAddr, number: u8) -> Vec<String> {
    vec![
        flag("etcd-servers", format_args!("http://{etcd}")),
        flag("bind-address", listen.ip()),
        flag("secure-port", listen.port()),
        // Nobody reaches it through 10.96.0.1 here, and a loopback address may not be an endpoint.
        flag("advertise-address", listen.ip()),
        flag("endpoint-reconciler-type", "none"),
        flag("service-cluster-ip-range", service_ranges(number)),
        flag("authorization-mode", "RBAC"),
        file("token-auth-file", folder, "tokens.csv"),
        file("tls-cert-file", folder, "apiserver.crt"),
        file("tls-private-key-file", folder, "apiserver.key"),
        file("cert-dir", folder, "certificates"),
        flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        file("service-account-key-file", folder, "sa.key"),
        file("service-account-signing-key-file", folder, "sa.key"),
        flag("profiling", false),
    ]
}

pub(crate) fn controller_manager(folder: &Path) -> Vec<String> {
    vec![
        file("kubeconfig", folder, "kubeconfig"),
        file("service-account-private-key-file", folder, "sa.key"),
        file("root-ca-file", folder, "ca.crt"),
        file("cert-dir", folder, "certificates"),
        file("flex-volume-plugin-dir", folder, "volume-plugins"),
        flag("leader-elect", false),
        flag("secure-port", 0),
        flag("kube-api-qps", 500),
        flag("kube-api-burst", 1000),
        flag("concurrent-service-endpoint-syncs", 10),
        // While the API server is stopped, KWOK cannot renew the nodes' leases. That must not turn pods not ready when
        // it comes back: the suite would see a flap that is not Rollcall's.
        flag("node-monitor-grace-period", "1h"),
    ]
}

pub(crate) fn scheduler(folder: &Path) -> Vec<String> {
    vec![
        file("kubeconfig", folder, "kubeconfig"),
        flag("leader-elect", false),
        flag("secure-port", 0),
        flag("kube-api-qps", 500),
        flag("kube-api-burst", 1000),
    ]
}

pub(crate) fn kwok(folder: &Path) -> Vec<String> {
    vec![
        file("kubeconfig", folder, "kubeconfig"),
        file("config", &layout::root(), "e2e/kwok/stages.yaml"),
        flag("manage-all-nodes", true),
        // Heartbeats by Lease, as a kubelet's.
        flag("node-lease-duration-seconds", 40),
    ]
}
