//! A release from its installation to its end, as the API server sees it: what Helm keeps, and what it leaves. There are no
//! images here, so nothing of Rollcall runs; the test writes what the controller would.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::{ControlPlane, Kubectl, tools};
use serde_json::{Value, json};

use super::rendered::{NAMESPACE, chart, helm};

const KINDS: &str = "all,serviceaccounts,secrets,configmaps,leases,roles,rolebindings,clusterroles,clusterrolebindings,\
                     poddisruptionbudgets,networkpolicies";

/// Namespaces that get bootstrap files for a time.
const HANDED: [&str; 2] = ["default", "kube-public"];

/// A helm and the cluster that it talks to.
struct Release<'a> {
    program: PathBuf,
    kubectl: &'a Kubectl,
}

// === impl Release ===

impl Release<'_> {
    fn run(&self, words: &[&str]) -> Result<String> {
        let kubeconfig = self.kubectl.kubeconfig().display().to_string();
        let more = ["--namespace", NAMESPACE, "--kubeconfig", &kubeconfig];
        helm(&self.program, &[words, &more].concat(), "").with_context(|| format!("helm {}", words.join(" ")))
    }

    fn has_authority(&self, when: &str) -> Result<()> {
        for (kind, name) in [("secret", "rollcall-authority"), ("configmap", "rollcall-ca")] {
            let object = self.kubectl.get(&[kind, name, "-n", NAMESPACE])?;
            ensure!(object["data"]["key"].is_string(), "{when}, {kind} {name} has lost its data");
        }
        let lease = self.kubectl.get(&["lease", "rollcall-controller", "-n", NAMESPACE])?;
        ensure!(lease["spec"]["holderIdentity"] == "a", "{when}, the Lease has lost its holder: {lease:#}");
        Ok(())
    }

    fn replicas(&self, name: &str) -> Result<Value> {
        let deployment = self.kubectl.get(&["deployment", name, "-n", NAMESPACE])?;
        Ok(deployment["spec"]["replicas"].clone())
    }

    /// These namespaces, and no others, have the bootstrap files that the controller wrote, and the right to write them.
    fn are_handed_files(&self, namespaces: &[&str]) -> Result<()> {
        for namespace in HANDED {
            let map = self.kubectl.get(&["configmap", "rollcall-bootstrap", "-n", namespace, "--ignore-not-found"]);
            let role =
                ["get", "role", "rollcall-controller-bootstrap", "-n", namespace, "--ignore-not-found", "-o", "name"];
            let has_role = !self.kubectl.run(&role)?.trim().is_empty();
            let is_filled = map.is_ok_and(|map| map["data"]["grpc.json"] == "{}");
            let wanted = namespaces.contains(&namespace);
            ensure!((is_filled, has_role) == (wanted, wanted), "{namespace}: filled {is_filled}, role {has_role}");
        }
        Ok(())
    }

    /// Autoscaling is turned on for a release that runs: neither then nor later does Helm change how many there are. Namespaces that
    /// leave the list of those that get bootstrap files lose theirs, one after the other.
    fn autoscaling(&self, chart: &str) -> Result<()> {
        let [both, one] = [
            "dns.replicaCount=4,bootstrap.namespaces={default,kube-public}",
            "dns.autoscaling.enabled=true,bootstrap.namespaces={default}",
        ];
        self.run(&["upgrade", "rollcall", chart, "--set", both])?;
        for namespace in HANDED {
            // As the controller does.
            let patch = json!({"data": {"grpc.json": "{}"}}).to_string();
            let words =
                ["patch", "configmap", "rollcall-bootstrap", "-n", namespace, "--type", "merge", "--patch", &patch];
            self.kubectl.run(&words)?;
        }
        self.are_handed_files(&HANDED)?;
        self.run(&["upgrade", "rollcall", chart, "--set", one])?;
        self.are_handed_files(&HANDED[..1])?;
        ensure!(
            self.replicas("rollcall-dns")? == 4,
            "{} replicas instead of the 4 there were",
            self.replicas("rollcall-dns")?
        );
        self.kubectl.run(&["scale", "deployment", "rollcall-dns", "-n", NAMESPACE, "--replicas=7"])?;
        self.run(&["upgrade", "rollcall", chart, "--set", "dns.autoscaling.enabled=true,dns.ttl=7"])?;
        ensure!(self.replicas("rollcall-dns")? == 7, "an upgrade undid what the autoscaler did");
        self.are_handed_files(&[])
    }

    /// What carries the release's label.
    fn objects(&self) -> Result<String> {
        self.kubectl.run(&["get", KINDS, "-A", "-l", "app.kubernetes.io/instance=rollcall", "-o", "name"])
    }

    fn crds(&self) -> Result<String> {
        self.kubectl.run(&["get", "crds", "-l", "app.kubernetes.io/part-of=rollcall", "-o", "name"])
    }

    fn whole_life(&self) -> Result<()> {
        let chart = chart().display().to_string();
        self.run(&["install", "rollcall", &chart, "--create-namespace"])?;
        let patch = |kind: &str, name: &str, patch: Value| {
            let words = ["patch", kind, name, "-n", NAMESPACE, "--type", "merge", "--patch", &patch.to_string()];
            self.kubectl.run(&words)
        };
        patch("secret", "rollcall-authority", json!({"data": {"key": "a2V5"}}))?;
        patch("configmap", "rollcall-ca", json!({"data": {"key": "value"}}))?;
        patch("lease", "rollcall-controller", json!({"spec": {"holderIdentity": "a"}}))?;

        let set = ["--set", "controller.replicaCount=3,commonLabels.team=platform"];
        self.run(&[&["upgrade", "rollcall", &chart], &set[..]].concat())?;
        self.has_authority("after an upgrade")?;
        ensure!(self.replicas("rollcall-controller")? == 3, "the upgrade changed nothing");
        self.run(&["rollback", "rollcall"])?;
        self.has_authority("after a rollback")?;
        ensure!(self.replicas("rollcall-controller")? == 2, "the rollback changed nothing");
        self.autoscaling(&chart)?;

        self.run(&["uninstall", "rollcall", "--wait"])?;
        let left = self.objects()?;
        ensure!(left.trim().is_empty(), "left behind: {left}");
        ensure!(self.crds()?.lines().count() == 4, "the CRDs, and all registrations with them, are gone");

        self.run(&["install", "rollcall", &chart, "--set", "crds.keep=false"])?;
        self.run(&["uninstall", "rollcall", "--wait"])?;
        ensure!(self.crds()?.trim().is_empty(), "CRDs are left that were not to be kept");
        Ok(())
    }
}

#[test]
fn upgrades_keep_what_the_controller_wrote_and_an_uninstall_leaves_the_crds_alone() -> Result<()> {
    let scratch = Scratch::new("chart-lifecycle")?;
    let plane = ControlPlane::start(scratch.path())?;
    for program in [tools::helm()?, tools::helm4()?] {
        let release = Release { program, kubectl: plane.kubectl() };
        release.whole_life().with_context(|| release.program.display().to_string())?;
    }
    drop(plane);
    scratch.remove()
}
