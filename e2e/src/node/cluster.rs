//! The cluster as tests hold it.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cgroups::Layout;
use super::control::{self, Control};
use super::space::Space;
use super::worker::{self, Worker};
use super::{AUDIT_LOG, Addresses, Config, MACHINE_PORT, Part, mounts, network};
use crate::process::{Process, Program};
use crate::relay::Relay;
use crate::tools::{self, NodeTools};
use crate::{Kubectl, http};

const NODE_BOUND: Duration = Duration::from_secs(180);
const MACHINE_BOUND: Duration = Duration::from_secs(60);
/// More would need more zones, pod ranges and patience.
const NODES_MAX: u8 = 2;

/// A cluster that runs. It ends when dropped.
#[derive(Debug)]
pub struct NodeCluster {
    config: Config,
    tools: NodeTools,
    kubectl: Kubectl,
    // In this order, in which they are dropped: what stands on others first.
    workers: Vec<Worker>,
    control: Control,
    space: Space,
}

// === impl NodeCluster ===

impl NodeCluster {
    /// Starts a cluster and returns when its nodes are Ready.
    pub fn start(config: Config) -> Result<Self> {
        if !(1..=NODES_MAX).contains(&config.nodes) {
            bail!("{} nodes: give 1 to {NODES_MAX}", config.nodes);
        }
        let tools = tools::node()?;
        let layout = Layout::read()?;
        layout.sweep();
        let group = layout.create(&number())?;
        let mut space = Space::open(&tools.workload, group.clone(), &config.folder).inspect_err(|_| {
            // The first error is the one to tell.
            let _ = group.remove();
        })?;
        match Self::start_in(&space, &layout, &tools, &config) {
            Ok((kubectl, workers, control)) => Ok(Self { config, tools, kubectl, workers, control, space }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = space.close();
                Err(error)
            }
        }
    }

    fn start_in(
        space: &Space,
        layout: &Layout,
        tools: &NodeTools,
        config: &Config,
    ) -> Result<(Kubectl, Vec<Worker>, Control)> {
        mounts::set_up_control(space, layout)?;
        network::set_up_control(space, config.addresses, config.nodes)?;
        let admin = config.folder.join("kubeconfig");
        control::write_admin(config, control::api_server(config), &admin)?;
        let kubectl = [tools.controlplane.display().to_string(), "kubectl".into()];
        let kubectl = Kubectl::new(space.enter_network().into_iter().chain(kubectl), admin);
        let mut control = Control::start(space, tools, config)?;
        // While the API server starts.
        let start = |index| Worker::start(space, layout, tools, config, index).with_context(|| worker::name(index));
        let mut workers = (1..=config.nodes).map(start).collect::<Result<Vec<_>>>()?;
        control.go_on(space, tools, config, &kubectl)?;
        let cluster = control::cluster(config, control::api_server(config));
        workers.iter_mut().try_for_each(|worker| worker.join(config, &cluster))?;
        for (index, worker) in (1..).zip(&mut workers) {
            let kubelet = worker.kubelet.as_mut().context("a node without a kubelet")?;
            let ready = || worker::is_ready(&kubectl, index).map(|ready| ready.then_some(()));
            kubelet.wait_until("the node to be Ready", NODE_BOUND, ready)?;
        }
        Ok((kubectl, workers, control))
    }

    /// kubectl as cluster administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The folder that holds its state and logs: `kube-apiserver.log`, `node1-kubelet.log`, …
    pub fn folder(&self) -> &Path {
        &self.config.folder
    }

    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it has what.
    pub fn addresses(&self) -> Addresses {
        self.config.addresses
    }

    /// The API server's audit log, when the configuration has a policy: a JSON object in each line.
    pub fn audit_log(&self) -> PathBuf {
        self.config.folder.join(AUDIT_LOG)
    }

    /// A command in the cluster's network, as on a machine outside of the cluster that reaches pods and ClusterIPs, as
    /// cluster administrator; with the files of this machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.space.network_command(program);
        let kubeconfig = self.kubectl.kubeconfig();
        // Other clusters have the same address, and other resources.
        command.env("KUBECONFIG", kubeconfig).env("KUBECACHEDIR", kubeconfig.with_extension("cache"));
        command
    }

    /// Runs Helm as cluster administrator and returns what it says.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let output = self.command(tools::helm()?).args(args).output().context("starting helm")?;
        if !output.status.success() {
            bail!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The words before a command that do what [`NodeCluster::command`] does, for scripts.
    pub fn words(&self) -> Vec<String> {
        self.space.enter_network()
    }

    /// A command on a node, counted from 1: in all of its namespaces.
    pub fn node_command(&self, node: u8, program: impl AsRef<OsStr>) -> Result<Command> {
        Ok(self.worker(node)?.space.command(program))
    }

    /// Calls a function on a thread in the cluster's network: what connects in it, reaches pods and ClusterIPs. Processes
    /// that it starts as [`Process`] are not there; give those [`NodeCluster::program`].
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.space.inside(body)
    }

    /// A program that runs outside of the cluster, in its network, and ends with it.
    pub fn program(&self, name: &str, binary: &Path) -> Result<Program> {
        self.space.program(name, binary, &self.config.folder)
    }

    /// An address outside of the cluster that pods reach; counted from 0, below [`super::OUTSIDE_COUNT`].
    pub fn outside_address(&self, number: u8) -> IpAddr {
        self.config.addresses.outside(number)
    }

    /// A machine outside of the cluster that serves HTTP at [`NodeCluster::outside_address`], [`MACHINE_PORT`]: it answers
    /// `NAME ADDRESS`, and `/break` makes it fail.
    pub fn machine(&self, name: &str, number: u8) -> Result<Process> {
        let address = SocketAddr::new(self.outside_address(number), MACHINE_PORT);
        let program = self.program(name, &self.tools.workload)?;
        let mut machine = program.args(["serve", "--name", name, "--listen", &address.to_string()]).start()?;
        let answers = || Ok((self.inside(|| http::get(address, "/healthz"))?.status == 200).then_some(()));
        machine.wait_until(&format!("{name} to answer at {address}"), MACHINE_BOUND, answers)?;
        Ok(machine)
    }

    /// The name server of the network that the cluster is in: it knows these names and no others. Nodes have it in their
    /// `resolv.conf`.
    pub fn name_server(&self, records: &[(&str, IpAddr)]) -> Result<Process> {
        let listen = SocketAddr::from((self.addresses().control(), 53)).to_string();
        let program = self.program("name-server", &self.tools.workload)?.args(["dns", "--listen", &listen]);
        program.args(records.iter().map(|(name, address)| format!("{name}={address}"))).start()
    }

    /// Loads the images of an archive on every node.
    pub fn import(&self, archive: &Path) -> Result<()> {
        self.workers.iter().try_for_each(|worker| worker.import(archive))
    }

    /// A cable to another cluster, of other addresses: nodes, pods and machines of each are reached from the other as on a
    /// flat network. It goes with either of them.
    pub fn connect(&self, other: &Self) -> Result<()> {
        network::connect((&self.space, self.addresses()), (&other.space, other.addresses()))
    }

    /// The API server at an address of this machine, for programs that are not in the cluster's network, and kubectl that
    /// uses it, by a kubeconfig of this name in the cluster's folder.
    pub fn outside(&self, kubeconfig: &str) -> Result<(Relay, Kubectl)> {
        let relay = Relay::start_by(control::api_server(&self.config), self.space.door()?)?;
        let path = self.config.folder.join(kubeconfig);
        control::write_admin(&self.config, relay.address(), &path)?;
        Ok((relay, Kubectl::new([self.tools.controlplane.display().to_string(), "kubectl".into()], path)))
    }

    /// Pulls a node's network cable: it runs on and reaches nobody.
    pub fn cut(&self, node: u8) -> Result<()> {
        network::set_link(&self.space, node, "down")
    }

    /// Puts the cable in again.
    pub fn mend(&self, node: u8) -> Result<()> {
        network::set_link(&self.space, node, "up")
    }

    /// The process of a part, to kill, freeze, thaw or look at it.
    pub fn process(&mut self, part: Part) -> Result<&mut Process> {
        let found = match part {
            Part::Etcd => Some(&mut self.control.etcd),
            Part::ApiServer => Some(&mut self.control.api_server),
            Part::ControllerManager => self.control.controller_manager.as_mut(),
            Part::Scheduler => self.control.scheduler.as_mut(),
            Part::Containerd(node) => Some(&mut self.worker_mut(node)?.containerd),
            Part::Kubelet(node) => self.worker_mut(node)?.kubelet.as_mut(),
            Part::KubeProxy(node) => self.worker_mut(node)?.proxy.as_mut(),
        };
        found.with_context(|| format!("{part:?} has not been started"))
    }

    /// Starts a killed part again, and waits until it does its work.
    pub fn start_again(&mut self, part: Part) -> Result<()> {
        self.process(part)?.start()?;
        match part {
            Part::Etcd | Part::ApiServer => self.control.wait_ready(&self.space, &self.kubectl),
            Part::ControllerManager | Part::Scheduler => self.process(part)?.check(),
            Part::Containerd(node) => self.worker_mut(node)?.wait_for_containerd(),
            Part::Kubelet(node) => self.worker_mut(node)?.wait_for_kubelet(),
            Part::KubeProxy(node) => self.worker_mut(node)?.wait_for_proxy(),
        }
    }

    /// All processes that the harness has started, to tell when one has ended.
    pub fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let workers = self.workers.iter_mut().flat_map(Worker::processes);
        [self.space.holder()].into_iter().chain(self.control.processes()).chain(workers)
    }

    /// Ends everything and says whether something is left. Its folder stays.
    pub fn stop(mut self) -> Result<()> {
        self.space.close()
    }

    fn worker(&self, node: u8) -> Result<&Worker> {
        let index = usize::from(node).checked_sub(1);
        index.and_then(|index| self.workers.get(index)).with_context(|| format!("there is no {}", worker::name(node)))
    }

    fn worker_mut(&mut self, node: u8) -> Result<&mut Worker> {
        let index = usize::from(node).checked_sub(1);
        index
            .and_then(|index| self.workers.get_mut(index))
            .with_context(|| format!("there is no {}", worker::name(node)))
    }
}

impl Drop for NodeCluster {
    fn drop(&mut self) {
        if let Err(error) = self.space.close() {
            eprintln!("ending the node cluster: {error:#}");
        }
    }
}

/// Clusters of one process are told apart by a number.
fn number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
