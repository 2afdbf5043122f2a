//! The configuration files of what runs on a node.

use std::path::Path;

use serde_json::{Value, json};

use super::addresses::Addresses;
use super::network;
use crate::tools::NodeTools;

/// Where containerd listens, in its namespaces.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// The image that holds a pod's namespaces.
const PAUSE_IMAGE: &str = "localhost/pause:1";

/// containerd's, with everything that outlives a restart in `folder`.
pub(super) fn containerd(folder: &Path, tools: &NodeTools, snapshotter: &str) -> String {
    let (plugins, runc) = (tools.plugins.display(), tools.runc.display());
    let folder = folder.display();
    // Settings of the machine that it would change: oom_score of processes that it does not own, AppArmor profiles.
    format!(
        r#"version = 3
root = "{folder}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri",
]

[grpc]
  address = "{CONTAINERD}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{plugins}"]
    conf_dir = "{folder}/cni"
    max_conf_num = 1
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"
"#
    )
}

/// The pod network of a node.
pub(super) fn cni(folder: &Path, of: Addresses, index: u8) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "rollcall",
        "plugins": [
            {
                "type": "bridge", "bridge": network::POD_BRIDGE, "isGateway": true, "ipMasq": false, "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": folder.join("addresses"),
                    "ranges": [[{"subnet": of.pods_of(index)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"},
        ],
    })
}

/// The kubelet's. JSON is YAML.
pub(super) fn kubelet(folder: &Path, authority: &Path, cluster_domain: &str, of: Addresses) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        // The score of other processes is not ours to set.
        "oomScoreAdj": 0,
        "protectKernelDefaults": true,
        "resolvConf": folder.join("resolv.conf"),
        "clusterDNS": [of.dns()],
        "clusterDomain": cluster_domain,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": folder.join("volume-plugins"),
        // The disk and memory are the machine's: others may fill them, and that must not evict the pods of a test.
        "evictionHard": {
            "memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        // How soon pods see a Secret or ConfigMap that comes or changes; a minute by default.
        "syncFrequency": "10s",
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
    })
}

/// kube-proxy's.
pub(super) fn proxy(node: &str, kubeconfig: &Path, of: Addresses) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 200.0, "burst": 400},
        "clusterCIDR": of.pods(),
        "hostnameOverride": node,
        "oomScoreAdj": 0,
        // Limits of the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    })
}
