//! A node: containerd, kubelet and kube-proxy in namespaces of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::cgroups::Layout;
use super::space::Space;
use super::{Config, config, mounts, network};
use crate::control_plane::{NODES, REGION};
use crate::process::{Process, Program};
use crate::tools::NodeTools;
use crate::{clock, http, kubeconfig};

/// How long a part may take from its start until it answers.
const BOUND: Duration = Duration::from_secs(120);
/// The default ports of `/healthz`.
const KUBELET_HEALTH: u16 = 10248;
const PROXY_HEALTH: u16 = 10256;

/// A node that runs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) space: Space,
    pub(super) containerd: Process,
    /// Not there until the API server is.
    pub(super) kubelet: Option<Process>,
    pub(super) proxy: Option<Process>,
    index: u8,
    folder: PathBuf,
    tools: NodeTools,
    snapshotter: &'static str,
}

/// The node's name; nodes are counted from 1.
pub(super) fn name(index: u8) -> String {
    format!("node{index}")
}

/// The token by which the kubelet of a node is known to the API server.
pub(super) fn token(index: u8) -> String {
    format!("rollcall-node{index}")
}

/// The token of kube-proxy.
pub(super) const PROXY_TOKEN: &str = "rollcall-kube-proxy";

// === impl Worker ===

impl Worker {
    /// Starts containerd in namespaces inside of `control`, with all that does not need the API server.
    pub(super) fn start(
        control: &Space,
        layout: &Layout,
        tools: &NodeTools,
        config: &Config,
        index: u8,
    ) -> Result<Self> {
        let folder = config.folder.join(name(index));
        std::fs::create_dir_all(folder.join("cni")).with_context(|| format!("making {}", folder.display()))?;
        let space = control.open_node(&name(index), &tools.workload, &config.folder)?;
        space.run(&["hostname", &name(index)])?;
        mounts::set_up_node(&space, layout, &folder)?;
        network::set_up_node(control, &space, config.addresses, index, config.nodes)?;
        let snapshotter = if mounts::has_overlays(&space, &folder) { "overlayfs" } else { "native" };
        write(&folder, "containerd.toml", &config::containerd(&folder, tools, snapshotter))?;
        write(&folder, "cni/10-rollcall.conflist", &config::cni(&folder, config.addresses, index).to_string())?;
        write(&folder, "resolv.conf", &config.resolv_conf)?;
        let containerd = tools.containerd.join("containerd");
        let containerd =
            with_path(space.program(&format!("{}-containerd", name(index)), &containerd, &config.folder)?, tools)
                .args(["--config", &folder.join("containerd.toml").display().to_string()])
                .start()?;
        let mut worker =
            Self { space, containerd, kubelet: None, proxy: None, index, folder, tools: tools.clone(), snapshotter };
        worker.wait_for_containerd()?;
        for archive in [&tools.workload_image].into_iter().chain(&config.images) {
            worker.import(archive)?;
        }
        Ok(worker)
    }

    /// Waits until containerd answers. A kubelet that does not find it ends by itself.
    pub(super) fn wait_for_containerd(&mut self) -> Result<()> {
        let Self { space, containerd, tools, .. } = self;
        containerd.wait_until("containerd to answer", BOUND, || ctr(space, tools, &["version"]).map(|_| Some(())))
    }

    /// Waits until the kubelet says that it is well.
    pub(super) fn wait_for_kubelet(&mut self) -> Result<()> {
        healthy(&self.space, self.kubelet.as_mut(), KUBELET_HEALTH)
    }

    /// Waits until kube-proxy says that it is well.
    pub(super) fn wait_for_proxy(&mut self) -> Result<()> {
        healthy(&self.space, self.proxy.as_mut(), PROXY_HEALTH)
    }

    /// Loads the images of an archive, OCI or Docker, under the names that it gives them.
    pub(super) fn import(&self, archive: &Path) -> Result<()> {
        let file = archive.display().to_string();
        let args = ["--namespace", "k8s.io", "images", "import", "--local", "--snapshotter", self.snapshotter, &file];
        ctr(&self.space, &self.tools, &args).map(drop).with_context(|| format!("importing {file}"))
    }

    /// Starts the kubelet and kube-proxy, now that the API server answers at `cluster` (of a kubeconfig).
    pub(super) fn join(&mut self, config: &Config, cluster: &Value) -> Result<()> {
        let folder = self.folder.clone();
        let path = |name: &str| folder.join(name).display().to_string();
        kubeconfig::write(&folder.join("kubelet.kubeconfig"), cluster, &name(self.index), &token(self.index))?;
        kubeconfig::write(&folder.join("kube-proxy.kubeconfig"), cluster, "kube-proxy", PROXY_TOKEN)?;
        let of = config.addresses;
        let kubelet = config::kubelet(&folder, &config.folder.join("ca.crt"), &config.cluster_domain, of);
        write(&folder, "kubelet.json", &kubelet.to_string())?;
        let proxy = config::proxy(&name(self.index), &folder.join("kube-proxy.kubeconfig"), of);
        write(&folder, "kube-proxy.json", &proxy.to_string())?;
        let zone = NODES[usize::from(self.index - 1) % NODES.len()].zone;
        let kubelet = self
            .component(config, "kubelet")?
            .args(["--config", &path("kubelet.json"), "--kubeconfig", &path("kubelet.kubeconfig")])
            .args(["--hostname-override", &name(self.index), "--node-ip", &of.node(self.index).to_string()])
            .args(["--cert-dir", &path("certificates"), "--v", "2"])
            .args([format!("--node-labels=topology.kubernetes.io/region={REGION},topology.kubernetes.io/zone={zone}")]);
        self.kubelet = Some(kubelet.start()?);
        let proxy = self.component(config, "kube-proxy")?.args(["--config", &path("kube-proxy.json"), "--v", "2"]);
        self.proxy = Some(proxy.start()?);
        Ok(())
    }

    fn component(&self, config: &Config, component: &str) -> Result<Program> {
        let name = format!("{}-{component}", name(self.index));
        let program = self.space.program(&name, &self.tools.controlplane, &config.folder)?.args([component]);
        Ok(with_path(program, &self.tools))
    }

    /// All its processes.
    pub(super) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        [self.space.holder(), &mut self.containerd].into_iter().chain(&mut self.kubelet).chain(&mut self.proxy)
    }
}

fn healthy(space: &Space, process: Option<&mut Process>, port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let process = process.context("it has not been started yet")?;
    process.wait_until("/healthz to answer 200", BOUND, || {
        Ok((space.inside(|| http::get(address, "/healthz"))?.status == 200).then_some(()))
    })
}

/// containerd looks for its shim on the search path.
fn with_path(program: Program, tools: &NodeTools) -> Program {
    let path = std::env::var("PATH").unwrap_or_default();
    program.env("PATH", format!("{}:{path}", tools.containerd.display()))
}

fn ctr(space: &Space, tools: &NodeTools, args: &[&str]) -> Result<String> {
    let ctr = tools.containerd.join("ctr").display().to_string();
    space.run(&[&[ctr.as_str(), "--address", config::CONTAINERD], args].concat())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// Whether the API server knows the node as Ready.
pub(super) fn is_ready(kubectl: &crate::Kubectl, index: u8) -> Result<bool> {
    clock::check_interrupt()?;
    let node = kubectl.get(&["node", &name(index)])?;
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    Ok(conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}
