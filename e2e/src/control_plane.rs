//! A real control plane on this machine: etcd, kube-apiserver with RBAC, kube-controller-manager, kube-scheduler, and
//! KWOK, which plays kubelet for two nodes.
//!
//! Each component can be stopped, killed, frozen and started again, on the same port and data.

pub mod audit;
pub(crate) mod components;
mod nodes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;

use crate::process::{Identity, Process, Program};
use crate::{Kubectl, http, kubeconfig, net, tools};

pub use nodes::{NODES, REGION};

/// How long a component may take from its start until it is of use.
const READY_BOUND: Duration = Duration::from_secs(180);

/// How long a component may take to end. The API server would wait a minute for its clients to close their watches.
const STOP_BOUND: Duration = Duration::from_secs(2);

/// A part of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// KWOK.
    Kwok,
}

/// Where the binaries come from.
#[derive(Clone, Debug)]
pub enum Binaries {
    /// Built by [`tools`]: everything.
    Built {
        /// The binary that holds all of Kubernetes' components.
        controlplane: PathBuf,
        /// KWOK.
        kwok: PathBuf,
    },
    /// A folder with `etcd`, `kube-apiserver` and `kubectl`: no controller, no scheduler, no nodes.
    Assets(PathBuf),
}

/// A control plane that runs. It ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    binaries: Binaries,
    kubectl: Kubectl,
    etcd: SocketAddr,
    components: Vec<(Component, Process)>,
}

// === impl Component ===

impl Component {
    /// Its name, as Kubernetes spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }
}

// === impl Binaries ===

impl Binaries {
    /// Those of `KUBEBUILDER_ASSETS`, else built from Go modules.
    pub fn find() -> Result<Self> {
        match Self::from_environment().transpose()? {
            Some(given) => {
                tools::pki()?;
                Ok(given)
            }
            None => Ok(Self::Built { controlplane: tools::controlplane()?, kwok: tools::kwok()? }),
        }
    }

    /// Those of `KUBEBUILDER_ASSETS`, if it is set.
    pub fn from_environment() -> Option<Result<Self>> {
        let folder = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?);
        let missing = ["etcd", "kube-apiserver", "kubectl"].into_iter().find(|name| !folder.join(name).is_file());
        Some(match missing {
            None => Ok(Self::Assets(folder)),
            Some(name) => Err(anyhow!(
                "KUBEBUILDER_ASSETS names {}, where there is no {name}: correct it, or unset it to have the control \
                 plane built from Go modules",
                folder.display()
            )),
        })
    }

    /// What a control plane of these binaries lacks, as a sentence. `None` when it is whole.
    pub fn shortfall(&self) -> Option<&'static str> {
        match self {
            Self::Built { .. } => None,
            Self::Assets(_) => Some(
                "KUBEBUILDER_ASSETS holds etcd, kube-apiserver and kubectl only: without controller manager, scheduler \
                 and nodes, Deployments get no pods and Services get no EndpointSlices but Rollcall's",
            ),
        }
    }

    fn component(&self, component: Component) -> Option<(PathBuf, Vec<String>)> {
        match (self, component) {
            (Self::Built { kwok, .. }, Component::Kwok) => Some((kwok.clone(), Vec::new())),
            (Self::Built { controlplane, .. }, _) => Some((controlplane.clone(), vec![component.name().into()])),
            (Self::Assets(folder), Component::Etcd | Component::ApiServer) => {
                Some((folder.join(component.name()), Vec::new()))
            }
            (Self::Assets(_), Component::ControllerManager | Component::Scheduler | Component::Kwok) => None,
        }
    }

    fn kubectl(&self) -> Vec<String> {
        match self {
            Self::Built { controlplane, .. } => vec![controlplane.display().to_string(), "kubectl".into()],
            Self::Assets(folder) => vec![folder.join("kubectl").display().to_string()],
        }
    }

    fn pki(&self) -> Result<Command> {
        Ok(match self {
            Self::Built { controlplane, .. } => {
                let mut command = Command::new(controlplane);
                command.arg("pki");
                command
            }
            Self::Assets(_) => Command::new(tools::pki()?),
        })
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts one with its state in `folder`, which must be empty, and returns when its nodes are Ready.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_from(Binaries::find()?, folder)
    }

    /// Starts one that records what Rollcall's ServiceAccounts ask of its API server, for [`audit::read`].
    pub fn start_audited(folder: &Path) -> Result<Self> {
        Self::start_with(Binaries::find()?, folder, 0, audit::flags(folder)?)
    }

    /// Starts one from given binaries.
    pub fn start_from(binaries: Binaries, folder: &Path) -> Result<Self> {
        Self::start_with(binaries, folder, 0, Vec::new())
    }

    /// Starts one of several, up to 4, that have no address of pods, nodes and Services in common.
    pub fn start_numbered(binaries: Binaries, folder: &Path, number: u8) -> Result<Self> {
        Self::start_with(binaries, folder, number, Vec::new())
    }

    fn start_with(binaries: Binaries, folder: &Path, number: u8, api_server_flags: Vec<String>) -> Result<Self> {
        make_pki(&binaries, folder)?;
        let (etcd, etcd_peer) = (net::free_loopback()?, net::free_loopback()?);
        let api_server = net::free_loopback()?;
        let admin = folder.join("kubeconfig");
        write_admin(folder, &admin, api_server)?;
        let kubectl = Kubectl::new(binaries.kubectl(), admin);
        let mut plane = Self { folder: folder.to_path_buf(), binaries, kubectl, etcd, components: Vec::new() };
        plane.launch(Component::Etcd, components::etcd(folder, etcd, etcd_peer))?;
        let flags = [components::api_server(folder, etcd, api_server, number), api_server_flags].concat();
        plane.launch(Component::ApiServer, flags)?;
        plane.wait_ready(Component::Etcd)?;
        plane.wait_ready(Component::ApiServer)?;
        plane.launch(Component::ControllerManager, components::controller_manager(folder))?;
        plane.launch(Component::Scheduler, components::scheduler(folder))?;
        plane.launch(Component::Kwok, components::kwok(folder))?;
        if plane.has(Component::Kwok) {
            nodes::create(&plane.kubectl, number)?;
            plane.wait_ready(Component::Kwok)?;
        }
        if plane.has(Component::ControllerManager) {
            plane.wait_ready(Component::ControllerManager)?;
        }
        Ok(plane)
    }

    /// kubectl as cluster administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The folder that holds its state and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the binaries came from.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Whether it has this component at all.
    pub fn has(&self, component: Component) -> bool {
        self.components.iter().any(|(its, _)| *its == component)
    }

    /// The process of a component, to freeze, thaw or look at it.
    pub fn process(&mut self, component: Component) -> Result<&mut Process> {
        let found = self.components.iter_mut().find(|(its, _)| *its == component);
        found.map(|(_, process)| process).with_context(|| format!("this control plane has no {}", component.name()))
    }

    /// Stops a component: SIGTERM, then SIGKILL after [`STOP_BOUND`].
    pub fn stop(&mut self, component: Component) -> Result<()> {
        let process = self.process(component)?;
        process.terminate();
        process.join(STOP_BOUND).map(drop)
    }

    /// Kills a component (SIGKILL).
    pub fn kill(&mut self, component: Component) -> Result<()> {
        self.process(component)?.kill()
    }

    /// Starts a stopped component again and returns when it is ready.
    pub fn start_again(&mut self, component: Component) -> Result<()> {
        self.process(component)?.start()?;
        self.wait_ready(component)
    }

    /// Kills all of it (SIGKILL), from the top down.
    pub fn kill_all(&mut self) -> Result<()> {
        self.components.iter_mut().rev().try_for_each(|(_, process)| process.kill())
    }

    /// Starts all of it again after [`kill_all`](Self::kill_all), with what it had written, and returns when it is ready.
    pub fn start_all_again(&mut self) -> Result<()> {
        let all: Vec<_> = self.components.iter().map(|(component, _)| *component).collect();
        all.into_iter().try_for_each(|component| self.start_again(component))
    }

    /// All its processes that run.
    pub fn identities(&self) -> Vec<Identity> {
        self.components.iter().filter_map(|(_, process)| process.identity()).collect()
    }

    /// All its processes.
    pub fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.components.iter_mut().map(|(_, process)| process)
    }

    fn launch(&mut self, component: Component, args: Vec<String>) -> Result<()> {
        let Some((binary, first)) = self.binaries.component(component) else { return Ok(()) };
        let program = Program::new(component.name(), binary, &self.folder).args(first).args(args);
        // Nothing of the user's: neither ~/.kube nor ~/.kwok.
        let program = program.env("HOME", self.folder.display().to_string());
        self.components.push((component, program.start()?));
        Ok(())
    }

    /// Waits until a component does its work.
    pub fn wait_ready(&mut self, component: Component) -> Result<()> {
        let (kubectl, etcd) = (self.kubectl.clone(), self.etcd);
        let process = self.process(component)?;
        let ready = |what: &str, process: &mut Process, condition: &mut dyn FnMut() -> Result<Option<()>>| {
            process.wait_until(what, READY_BOUND, condition)
        };
        match component {
            Component::Etcd => ready("etcd to be healthy", process, &mut || {
                Ok((http::get(etcd, "/health")?.status == 200).then_some(()))
            }),
            Component::ApiServer => ready("the API server's /readyz", process, &mut || {
                kubectl.run(&["get", "--raw", "/readyz"]).map(Some).map(|_| Some(()))
            }),
            Component::Kwok => {
                ready("Ready nodes", process, &mut || nodes::are_ready(&kubectl).map(|ready| ready.then_some(())))
            }
            // Its ServiceAccount controller is what pods wait for first.
            Component::ControllerManager => ready("the ServiceAccount default", process, &mut || {
                kubectl.run(&["get", "serviceaccount", "default", "--namespace", "default"]).map(|_| Some(()))
            }),
            Component::Scheduler => process.check(),
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // From the top down, so that nobody complains about the loss of what he stands on.
        while let Some((_, mut process)) = self.components.pop() {
            let _ = process.kill();
        }
    }
}

fn make_pki(binaries: &Binaries, folder: &Path) -> Result<()> {
    let output = binaries.pki()?.arg(folder).output().context("starting the program that writes certificates")?;
    if !output.status.success() {
        bail!("writing certificates failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The administrator's token, for the API server and in a kubeconfig.
fn write_admin(folder: &Path, path: &Path, api_server: SocketAddr) -> Result<()> {
    // The API server listens on loopback only, and its state lives as long as the run.
    const TOKEN: &str = "rollcall-admin";
    kubeconfig::write_private(&folder.join("tokens.csv"), &format!("{TOKEN},admin,admin,\"system:masters\"\n"))?;
    let cluster = json!({
        "server": format!("https://{api_server}"),
        "certificate-authority": folder.join("ca.crt"),
    });
    kubeconfig::write(path, &cluster, "admin", TOKEN)
}
