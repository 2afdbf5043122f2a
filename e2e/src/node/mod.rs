//! A cluster with real nodes, on one machine: kubelet, containerd, runc, a bridge and kube-proxy beside the control plane,
//! so that images run as pods.
//!
//! Everything is in namespaces and control groups of its own. The machine's network, mounts and settings are not touched,
//! several clusters run beside each other, and one SIGKILL ends all: that of this process, too.
//!
//! ```no_run
//! # use rollcall_e2e::node::{Config, NodeCluster, WORKLOAD_IMAGE};
//! # fn main() -> anyhow::Result<()> {
//! # let folder = std::path::PathBuf::new();
//! let missing = rollcall_e2e::node::missing();     // in words; empty where nodes can run
//! let mut cluster = NodeCluster::start(Config::new(folder))?;
//! cluster.kubectl().apply("…")?;                   // pods of WORKLOAD_IMAGE: see e2e/workload
//! let machine = cluster.machine("vm-1", 0)?;       // an HTTP server outside of the cluster, at
//! cluster.outside_address(0);                      // … this address, port MACHINE_PORT
//! cluster.inside(|| rollcall_e2e::http::get("10.96.0.10:80".parse()?, "/"))?;
//! cluster.stop()?;                                 // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! On two cores one node is Ready after 5 to 6 s with images loaded, and all is gone in about a second; it takes about 1 GB.
//!
//! ```text
//! cluster    what tests hold: it starts the rest, and ends it
//! addresses  ranges of the cluster, by its number
//! cgroups    control groups: version 1, hybrid, version 2
//! space      namespaces, and how programs get into them
//! mounts     what they see of the machine's files
//! network    the bridge, addresses, routes
//! control    etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//! worker     containerd, kubelet, kube-proxy; config: their files
//! missing    what a machine lacks
//! ```

mod addresses;
mod cgroups;
mod cluster;
mod config;
mod control;
mod missing;
mod mounts;
mod network;
mod space;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use addresses::{Addresses, OUTSIDE_COUNT};
pub use cgroups::groups_of;
pub use cluster::NodeCluster;
pub use missing::missing;
pub use network::LINK_PREFIX;

/// The image of `e2e/workload`: an HTTP server, callers and resolvers for tests. Its user is not root.
pub const WORKLOAD_IMAGE: &str = "localhost/workload:1";
/// The variable that names a folder with archives of Rollcall's images, in place of those that would be built.
pub const IMAGES: &str = "ROLLCALL_E2E_IMAGES";
/// The port at which a machine outside of the cluster serves HTTP.
pub const MACHINE_PORT: u16 = 8080;

/// The audit log's file.
const AUDIT_LOG: &str = "audit.log";

/// What to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// An existing folder for state and logs.
    pub folder: PathBuf,
    /// Where it has what: of clusters that reach each other, no two have the same.
    pub addresses: Addresses,
    /// How many nodes, 1 or 2: each in a zone of its own.
    pub nodes: u8,
    /// Archives of images to load, OCI or Docker.
    pub images: Vec<PathBuf>,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// The `resolv.conf` of nodes, which pods with `dnsPolicy: Default` get.
    pub resolv_conf: String,
    /// An audit policy (YAML), to have [`NodeCluster::audit_log`].
    pub audit_policy: Option<String>,
    /// More flags for kube-controller-manager, such as `--node-monitor-grace-period=10s`.
    pub controller_manager_flags: Vec<String>,
}

/// A program of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// containerd of a node, counted from 1.
    Containerd(u8),
    /// The kubelet of a node.
    Kubelet(u8),
    /// kube-proxy of a node.
    KubeProxy(u8),
}

/// The archives of images in a folder; none if it is not there.
pub fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "tar")).collect())
}

// === impl Config ===

impl Config {
    /// One node, no images but the workload's, with the addresses of the first cluster.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::numbered(0, folder)
    }

    /// The same with the addresses of the cluster of this number, counted from 0.
    pub fn numbered(number: u8, folder: impl Into<PathBuf>) -> Self {
        let addresses = Addresses::of(number);
        Self {
            folder: folder.into(),
            addresses,
            nodes: 1,
            images: Vec::new(),
            cluster_domain: "cluster.local".into(),
            resolv_conf: format!("nameserver {}\n", addresses.control()),
            audit_policy: None,
            controller_manager_flags: Vec::new(),
        }
    }
}
