//! Rollcall as its users have it: the chart, installed by Helm into a restricted namespace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::{clock, http, layout, tools};
use serde_json::{Value, json};

use crate::workload::BOUND;

/// Name of the release, and with that the prefix of its objects.
pub(crate) const RELEASE: &str = "rollcall";
/// Where it is installed.
pub(crate) const SYSTEM: &str = "rollcall-system";

/// Makes rollouts quicker without changing what they do. The DNS servers keep their time: kube-proxy on a loaded node needs
/// seconds to hear of one that goes.
const QUICK: &[&str] = &["--set", "controller.lameDuckSeconds=1"];

/// A release. It is uninstalled when dropped, with its namespace, the CRDs and what it wrote, unless it is kept for whoever
/// wants the same next.
pub(crate) struct Release<'a> {
    cluster: &'a NodeCluster,
    helm: PathBuf,
    is_kept: bool,
}

/// Kept releases: the folders of their clusters, and the flags of this checkout's chart that they were installed with.
static KEPT: Mutex<BTreeMap<PathBuf, Vec<String>>> = Mutex::new(BTreeMap::new());

/// A program of the release, in all of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Controller,
    Dns,
}

// === impl Release ===

impl<'a> Release<'a> {
    /// Nothing is installed yet; the namespace is made, and restricted.
    pub(crate) fn prepare(cluster: &'a NodeCluster) -> Result<Self> {
        let release = Self { cluster, helm: tools::helm()?, is_kept: false };
        if kept().remove(cluster.folder()).is_some() {
            release.remove();
        }
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM, "labels": labels}});
        // A namespace of that name may still be ending.
        clock::wait_until("the namespace to be there and active", BOUND, || {
            cluster.kubectl().apply(&object.to_string())?;
            let namespace = cluster.kubectl().get(&["namespace", SYSTEM])?;
            Ok((namespace["status"]["phase"] == "Active").then_some(()))
        })?;
        Ok(release)
    }

    /// The chart of this checkout, installed with these flags (`--set …`), and ready.
    pub(crate) fn install(cluster: &'a NodeCluster, flags: &[&str]) -> Result<Self> {
        let release = Self::prepare(cluster)?;
        release.apply(&chart(), flags)?;
        Ok(release)
    }

    /// The same, or the release with these flags that the scenario before has kept. Its pods are ready, and whatever else it
    /// has come to in the meantime must not matter.
    pub(crate) fn share(cluster: &'a NodeCluster, flags: &[&str]) -> Result<Self> {
        let is_it = kept().get(cluster.folder()).is_some_and(|kept| kept == flags);
        if !is_it {
            return Self::install(cluster, flags);
        }
        kept().remove(cluster.folder());
        Ok(Self { cluster, helm: tools::helm()?, is_kept: false })
    }

    /// Leaves it installed: it is as [`Self::share`] with these flags would have made it.
    pub(crate) fn keep(mut self, flags: &[&str]) {
        self.is_kept = true;
        kept().insert(self.cluster.folder().to_path_buf(), flags.iter().map(|&flag| flag.to_owned()).collect());
    }

    /// Installs or upgrades to a chart, and waits until all pods are ready.
    pub(crate) fn apply(&self, chart: &Path, flags: &[&str]) -> Result<String> {
        let chart = chart.to_str().context("the chart's path is not UTF-8")?;
        let args = ["upgrade", "--install", RELEASE, chart, "--wait", "--timeout=5m"];
        self.helm(&[&args, QUICK, flags].concat()).map_err(|error| self.explain(error))
    }

    /// Runs Helm in the release's namespace, as cluster administrator. The error holds what it said.
    pub(crate) fn helm(&self, args: &[&str]) -> Result<String> {
        self.helm_of(&self.helm, args)
    }

    /// The same with another Helm.
    pub(crate) fn helm_of(&self, helm: &Path, args: &[&str]) -> Result<String> {
        let mut command = self.cluster.command(helm);
        command.args(args).args(["--namespace", SYSTEM]).stdin(Stdio::null());
        // Its caches and plugins: none of this machine's.
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.cluster.folder().join("helm"));
        }
        let output = command.output().context("starting helm")?;
        if !output.status.success() {
            bail!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where it is installed.
    pub(crate) fn cluster(&self) -> &'a NodeCluster {
        self.cluster
    }

    /// kubectl in the release's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl().run(&[args, &["--namespace", SYSTEM]].concat())
    }

    /// Objects of the release's namespace.
    pub(crate) fn get(&self, args: &[&str]) -> Result<Value> {
        self.cluster.kubectl().get(&[args, &["--namespace", SYSTEM]].concat())
    }

    /// The pods of a part that are not ending, oldest first.
    pub(crate) fn pods(&self, part: Part) -> Result<Vec<Value>> {
        let selector = format!("app.kubernetes.io/component={}", part.component());
        let list = self.get(&["pods", "--selector", &selector, "--sort-by=.metadata.creationTimestamp"])?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// A page of the admin server of each pod of a part, with the pod's name.
    pub(crate) fn pages(&self, part: Part, path: &str) -> Result<Vec<(String, http::Response)>> {
        let page = |pod: Value| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let address = pod["status"]["podIP"].as_str().with_context(|| format!("{name} has no address"))?.parse()?;
            let server = SocketAddr::new(address, part.http_port());
            Ok((name, self.cluster.inside(|| http::get(server, path))?))
        };
        self.pods(part)?.into_iter().map(page).collect()
    }

    /// The log of all pods of a part.
    pub(crate) fn log(&self, part: Part) -> Result<String> {
        let selector = format!("app.kubernetes.io/component={}", part.component());
        self.kubectl(&["logs", "--selector", &selector, "--tail=-1", "--all-containers"])
    }

    /// Uninstalls it, and removes what an uninstall leaves.
    fn remove(&self) {
        // What fails here has been uninstalled by the scenario itself, or shows in the next one.
        let _ = self.helm(&["uninstall", RELEASE]);
        let _ = self.kubectl(&["delete", "pods", "--all", "--grace-period=1", "--wait=false"]);
        let ours = "endpointslice.kubernetes.io/managed-by=controller.rollcall.dev";
        let kubectl = self.cluster.kubectl();
        let _ = kubectl.delete(&["crd", "serviceregistrations.rollcall.dev", "catalogentries.rollcall.dev"]);
        let _ = kubectl.delete(&["endpointslices", "--all-namespaces", "--selector", ours]);
        // Whoever installs next waits until it is gone; others need not.
        let _ = kubectl.delete(&["namespace", SYSTEM, "--wait=false"]);
    }

    /// An error with what the pods say about themselves.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = |args: &[&str]| self.kubectl(args).unwrap_or_default();
        let pods = said(&["get", "pods", "--output", "wide"]);
        let events = said(&["get", "events", "--sort-by=.lastTimestamp"]);
        let events: Vec<&str> = events.lines().rev().take(15).collect();
        let pages = [Part::Controller, Part::Dns].map(|part| format!("{:?}", self.pages(part, "/readyz")));
        let logs = [Part::Controller, Part::Dns].map(|part| self.log(part).unwrap_or_default());
        let logs: Vec<&str> = logs.iter().flat_map(|log| log.lines().rev().take(10)).collect();
        let (events, pages, logs) = (events.join("\n"), pages.join("\n"), logs.join("\n"));
        error.context(format!("{pods}\n{events}\n{pages}\n{logs}"))
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.remove();
        }
    }
}

fn kept() -> MutexGuard<'static, BTreeMap<PathBuf, Vec<String>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Part ===

impl Part {
    pub(crate) fn component(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Dns => "dns",
        }
    }

    /// The name of its Deployment, Service and ServiceAccount.
    pub(crate) fn fullname(self) -> String {
        format!("{RELEASE}-{}", self.component())
    }

    fn http_port(self) -> u16 {
        match self {
            Self::Controller => 18080,
            Self::Dns => 9153,
        }
    }
}

/// The chart of this checkout.
pub(crate) fn chart() -> PathBuf {
    layout::root().join("charts/rollcall")
}
