//! The cluster that Rollcall runs on: a control plane of this machine, or the user's own.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rollcall_e2e::control_plane::{Binaries, ControlPlane};
use rollcall_e2e::process::Process;
use rollcall_e2e::{Kubectl, kubeconfig, layout, tools};

use super::example;
use crate::terminal;

/// A cluster with kubectl for it.
pub(super) enum Cluster {
    /// A control plane that this process has started and that ends with it.
    Own(Box<ControlPlane>),
    /// A context of the user's kubeconfig.
    Users {
        /// kubectl for that context.
        kubectl: Kubectl,
        /// Whether something may be in it that is ours and must be removed.
        dirty: bool,
    },
}

/// The user's, for one context.
const KUBECONFIG: &str = "kubeconfig";

// === impl Cluster ===

impl Cluster {
    /// Starts a control plane with its state in `folder`, or connects to the user's cluster.
    pub(super) fn start(context: Option<&str>, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        match context {
            Some(context) => Self::connect(context, folder),
            None => {
                let binaries = Binaries::find()?;
                if let Some(shortfall) = binaries.shortfall() {
                    terminal::note(shortfall);
                }
                let step = terminal::begin("starting a control plane");
                Ok(Self::Own(Box::new(step.outcome(ControlPlane::start_from(binaries, folder))?)))
            }
        }
    }

    fn connect(context: &str, folder: &Path) -> Result<Self> {
        let kubectl = tools::on_path("kubectl").context("--context needs kubectl on the PATH: install it")?;
        let output = std::process::Command::new(&kubectl)
            .args(["config", "view", "--raw", "--minify", "--flatten", "--context", context])
            .output()?;
        if !output.status.success() {
            bail!("kubeconfig context {context}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        kubeconfig::write_private(&folder.join(KUBECONFIG), &String::from_utf8_lossy(&output.stdout))?;
        let kubectl = Kubectl::new([kubectl], folder.join(KUBECONFIG));
        refuse_occupied(&kubectl, context)?;
        terminal::note("pods of the example run only where their image can be pulled, which does not exist");
        Ok(Self::Users { kubectl, dirty: false })
    }

    /// kubectl as administrator.
    pub(super) fn kubectl(&self) -> &Kubectl {
        match self {
            Self::Own(plane) => plane.kubectl(),
            Self::Users { kubectl, .. } => kubectl,
        }
    }

    /// The nodes of a control plane of ours that can hold pods.
    pub(super) fn has_nodes(&self) -> bool {
        match self {
            Self::Own(plane) => plane.has(rollcall_e2e::Component::Kwok),
            Self::Users { .. } => false,
        }
    }

    /// The processes of the control plane, if it is ours.
    pub(super) fn processes(&mut self) -> Box<dyn Iterator<Item = &mut Process> + '_> {
        match self {
            Self::Own(plane) => Box::new(plane.processes()),
            Self::Users { .. } => Box::new(std::iter::empty()),
        }
    }

    /// From now on there may be something to remove.
    pub(super) fn will_install(&mut self) {
        if let Self::Users { dirty, .. } = self {
            *dirty = true;
        }
    }

    /// Removes what was installed into the user's cluster. A control plane of ours ends with its drop.
    pub(super) fn end(&mut self) -> Result<()> {
        let Self::Users { kubectl, dirty: true } = self else { return Ok(()) };
        let step = terminal::begin("removing Rollcall from the cluster");
        step.outcome(remove(kubectl))
    }
}

/// An error when the cluster has a Rollcall already: removing ours would take its registrations along.
fn refuse_occupied(kubectl: &Kubectl, context: &str) -> Result<()> {
    const OURS: [&str; 4] = [
        "crd/serviceregistrations.rollcall.dev",
        "crd/catalogentries.rollcall.dev",
        "namespace/rollcall-system",
        "namespace/shop",
    ];
    for object in OURS {
        if !kubectl.run(&["get", object, "--ignore-not-found", "-o", "name"])?.trim().is_empty() {
            bail!(
                "the cluster of context {context} has {object} already. `up` would remove it at the end, so it does \
                 not begin: use another cluster, or remove it yourself"
            );
        }
    }
    Ok(())
}

/// Removes what an `up` that was killed has left in the user's cluster.
pub(super) fn remove_after(context: &str, folder: &Path) -> Result<()> {
    let kubectl = tools::on_path("kubectl").context("removing Rollcall from the cluster needs kubectl on the PATH")?;
    let step = terminal::begin(&format!("removing Rollcall from the cluster of context {context}"));
    step.outcome(remove(&Kubectl::new([kubectl], folder.join(KUBECONFIG))))
}

/// Tries all, also after a failure, and says what is left to do.
fn remove(kubectl: &Kubectl) -> Result<()> {
    let manifests = layout::root().join("manifests");
    let path = |name: &str| manifests.join(name).display().to_string();
    let mut steps = vec![vec!["namespace".to_owned(), example::NAMESPACE.to_owned()]];
    let loaded = kubectl.run(&["get", "namespaces", "-o", "name"])?;
    let loaded = loaded.lines().filter(|name| name.starts_with("namespace/load-")).map(str::to_owned);
    steps.extend(Some(loaded.collect::<Vec<_>>()).filter(|loaded| !loaded.is_empty()));
    steps.extend([path("crds"), path("rbac.yaml")].map(|path| vec!["-f".to_owned(), path]));
    let mut left = Vec::new();
    for step in steps {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        if let Err(error) = kubectl.delete(&words) {
            left.push(format!("  kubectl delete --ignore-not-found {}\n    {error:#}", words.join(" ")));
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    bail!("not everything could be removed; `cargo xtask down` tries again, or run these:\n{}", left.join("\n"))
}
