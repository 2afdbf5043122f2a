//! The control plane of a cluster with real nodes: the same programs and flags as [`crate::ControlPlane`], at an address
//! that nodes and pods reach, and with what real kubelets need.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::space::Space;
use super::{Config, worker};
use crate::control_plane::components;
use crate::process::Process;
use crate::tools::NodeTools;
use crate::{Kubectl, http, kubeconfig};

const READY_BOUND: Duration = Duration::from_secs(180);
const ADMIN_TOKEN: &str = "rollcall-admin";
const ETCD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
const ETCD_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2380);
/// The API server's port.
const API_PORT: u16 = 6443;

/// The control plane's processes.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) etcd: Process,
    pub(super) api_server: Process,
    /// Not there until the API server is ready.
    pub(super) controller_manager: Option<Process>,
    pub(super) scheduler: Option<Process>,
}

// === impl Control ===

impl Control {
    /// Starts etcd and the API server; they need not be ready on return.
    pub(super) fn start(space: &Space, tools: &NodeTools, config: &Config) -> Result<Self> {
        let folder = &config.folder;
        write_pki(tools, config)?;
        write_tokens(config)?;
        let mut flags = components::api_server(folder, ETCD, api_server(config), 0);
        flags.extend(api_server_flags(config)?);
        let component = |name: &str, args: Vec<String>| -> Result<Process> {
            let program = space.program(name, &tools.controlplane, folder)?.args([name]).args(args);
            program.env("HOME", folder.display().to_string()).start()
        };
        Ok(Self {
            etcd: component("etcd", components::etcd(folder, ETCD, ETCD_PEER))?,
            api_server: component("kube-apiserver", flags)?,
            controller_manager: None,
            scheduler: None,
        })
    }

    /// Waits for the API server, and starts what needs it.
    pub(super) fn go_on(&mut self, space: &Space, tools: &NodeTools, config: &Config, kubectl: &Kubectl) -> Result<()> {
        self.wait_ready(space, kubectl)?;
        let component = |name: &str, args: Vec<String>| -> Result<Process> {
            let program = space.program(name, &tools.controlplane, &config.folder)?.args([name]).args(args);
            program.env("HOME", config.folder.display().to_string()).start()
        };
        let mut flags = components::controller_manager(&config.folder);
        // Real nodes that are lost shall be noticed as everywhere.
        flags.push("--node-monitor-grace-period=50s".into());
        flags.extend(config.controller_manager_flags.iter().cloned());
        self.controller_manager = Some(component("kube-controller-manager", flags)?);
        self.scheduler = Some(component("kube-scheduler", components::scheduler(&config.folder))?);
        Ok(())
    }

    /// Waits until etcd is healthy and the API server ready.
    pub(super) fn wait_ready(&mut self, space: &Space, kubectl: &Kubectl) -> Result<()> {
        let healthy = || Ok((space.inside(|| http::get(ETCD, "/health"))?.status == 200).then_some(()));
        self.etcd.wait_until("etcd to be healthy", READY_BOUND, healthy)?;
        let ready = || kubectl.run(&["get", "--raw", "/readyz"]).map(|_| Some(()));
        self.api_server.wait_until("the API server's /readyz", READY_BOUND, ready)
    }

    /// All its processes.
    pub(super) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        [&mut self.etcd, &mut self.api_server]
            .into_iter()
            .chain(&mut self.controller_manager)
            .chain(&mut self.scheduler)
    }
}

/// Where the API server listens.
pub(super) fn api_server(config: &Config) -> SocketAddr {
    SocketAddr::from((config.addresses.control(), API_PORT))
}

/// How kubeconfigs name the cluster whose API server is found there.
pub(super) fn cluster(config: &Config, at: SocketAddr) -> Value {
    json!({"server": format!("https://{at}"), "certificate-authority": config.folder.join("ca.crt")})
}

/// Writes the administrator's kubeconfig.
pub(super) fn write_admin(config: &Config, at: SocketAddr, path: &Path) -> Result<()> {
    kubeconfig::write(path, &cluster(config, at), "admin", ADMIN_TOKEN)
}

/// Where they differ from those of the control plane without nodes; of a flag that is given twice, the last counts.
fn api_server_flags(config: &Config) -> Result<Vec<String>> {
    let file = |name: &str| config.folder.join(name).display().to_string();
    let mut flags = vec![
        "--bind-address=0.0.0.0".to_owned(),
        // Pods find it at its ClusterIP, which kube-proxy leads here.
        "--endpoint-reconciler-type=lease".into(),
        format!("--service-cluster-ip-range={}", config.addresses.services()),
        "--authorization-mode=Node".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
        format!("--kubelet-client-key={}", file("kubelet-client.key")),
    ];
    if let Some(policy) = &config.audit_policy {
        std::fs::write(file("audit-policy.yaml"), policy).context("writing the audit policy")?;
        flags.push(format!("--audit-policy-file={}", file("audit-policy.yaml")));
        flags.push(format!("--audit-log-path={}", file(super::AUDIT_LOG)));
    }
    Ok(flags)
}

fn write_pki(tools: &NodeTools, config: &Config) -> Result<()> {
    let mut pki = Command::new(&tools.controlplane);
    pki.arg("pki").arg(&config.folder);
    pki.args([config.addresses.control(), config.addresses.api()].map(|address| address.to_string()));
    pki.arg(format!("kubernetes.default.svc.{}", config.cluster_domain));
    let output = pki.output().context("starting the program that writes certificates")?;
    if !output.status.success() {
        bail!("writing certificates failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Who is who to the API server. It is reached from this cluster's own network only, which ends with it.
fn write_tokens(config: &Config) -> Result<()> {
    let mut lines = vec![
        format!("{ADMIN_TOKEN},admin,admin,\"system:masters\""),
        format!("{},system:kube-proxy,kube-proxy", worker::PROXY_TOKEN),
    ];
    lines.extend((1..=config.nodes).map(|index| {
        let name = worker::name(index);
        format!("{},system:node:{name},{name},\"system:nodes\"", worker::token(index))
    }));
    kubeconfig::write_private(&config.folder.join("tokens.csv"), &(lines.join("\n") + "\n"))
}
