//! Upgrade, rollback and uninstall, under load.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::{clock, layout};
use serde_json::Value;

use crate::install::registration;
use crate::release::{Part, RELEASE, Release, SYSTEM, chart};
use crate::runner::{Scenario, scenarios};
use crate::traffic::{RESOLVE, as_cluster_dns, expect_no_loss, load};
use crate::workload::{BOUND, Namespace, web};

pub(crate) const SCENARIOS: &[Scenario] =
    scenarios![an_upgrade_with_changed_crds_and_its_rollback_lose_no_answer_and_an_uninstall_leaves_what_it_says];

/// Slices that Rollcall wrote.
const OURS: &str = "endpointslice.kubernetes.io/managed-by=controller.rollcall.dev";

fn an_upgrade_with_changed_crds_and_its_rollback_lose_no_answer_and_an_uninstall_leaves_what_it_says(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let _machine = cluster.machine("vm-1", 1)?;
    let flags = as_cluster_dns(cluster, "clusterDNS");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let release = Release::prepare(cluster)?;
    let before = previous(cluster.folder())?;
    release.apply(&before, &flags)?;
    let shop = Namespace::create(cluster.kubectl(), "upgrade")?;
    shop.apply(web("web", 2))?;
    shop.apply([registration("web", &[("vm-1", cluster.outside_address(1))])])?;
    shop.ready("web", 3)?;
    load(&shop, "resolver", &[RESOLVE, &["web"]].concat())?;
    load(&shop, "caller", &["call", "--rate=50", "http://web/"])?;
    let written = slices(cluster)?;
    ensure!(!written.is_empty(), "no slice of ours");

    step(
        &release,
        &shop,
        "upgrade",
        &[&flags[..], &["--set", "controller.podAnnotations.turn=second"]].concat(),
        &written,
    )?;
    let printed = cluster.kubectl().run(&["get", "serviceregistrations", "--namespace", shop.name])?;
    ensure!(printed.contains("CALLABLE"), "the CRD was not upgraded: {printed}");
    release.helm(&["test", RELEASE]).map_err(|error| release.explain(error))?;

    let old = names(&release, Part::Controller)?;
    release.helm(&["rollback", RELEASE, "1", "--wait", "--timeout=5m"]).map_err(|error| release.explain(error))?;
    replaced(&release, &old)?;
    expect_undisturbed(cluster, &shop, "rollback", &written)?;
    let printed = cluster.kubectl().run(&["get", "serviceregistrations", "--namespace", shop.name])?;
    ensure!(!printed.contains("CALLABLE"), "the CRD was not rolled back: {printed}");

    release.helm(&["uninstall", RELEASE, "--wait", "--timeout=5m"])?;
    expect_gone(cluster)?;
    expect_kept(cluster, &shop, &written)
}

/// Upgrades to this checkout's chart.
fn step(release: &Release<'_>, shop: &Namespace<'_>, what: &str, flags: &[&str], written: &[Value]) -> Result<()> {
    let old = names(release, Part::Controller)?;
    release.apply(&chart(), flags)?;
    replaced(release, &old)?;
    expect_undisturbed(release.cluster(), shop, what, written)
}

fn expect_undisturbed(cluster: &NodeCluster, shop: &Namespace<'_>, what: &str, written: &[Value]) -> Result<()> {
    let resolved = expect_no_loss(shop, "resolver")?;
    let called = expect_no_loss(shop, "caller")?;
    let now = slices(cluster)?;
    ensure!(now == written, "slices were rewritten by the {what}: {written:#?} became {now:#?}");
    eprintln!("  {what}: {} queries and {} calls so far, none lost; no slice rewritten", resolved.sent, called.sent);
    Ok(())
}

/// Identity and version of each slice that Rollcall wrote: a write that changes nothing changes nothing here.
fn slices(cluster: &NodeCluster) -> Result<Vec<Value>> {
    let list = cluster.kubectl().get(&["endpointslices", "--all-namespaces", "--selector", OURS])?;
    let of = |slice: &Value| {
        let metadata = &slice["metadata"];
        Value::from(vec![metadata["name"].clone(), metadata["uid"].clone(), metadata["resourceVersion"].clone()])
    };
    Ok(list["items"].as_array().into_iter().flatten().map(of).collect())
}

fn names(release: &Release<'_>, part: Part) -> Result<Vec<String>> {
    let pods = release.pods(part)?;
    Ok(pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(String::from)).collect())
}

fn replaced(release: &Release<'_>, old: &[String]) -> Result<()> {
    clock::wait_until("the old controllers to have gone", BOUND, || {
        let names = names(release, Part::Controller)?;
        Ok((names.len() == old.len() && names.iter().all(|name| !old.contains(name))).then_some(()))
    })
}

fn expect_gone(cluster: &NodeCluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let kinds = "clusterroles,clusterrolebindings,priorityclasses,validatingadmissionpolicies";
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    let left = kubectl.run(&["get", kinds, "--selector", &selector, "--output", "name"])?;
    ensure!(left.trim().is_empty(), "left in the cluster: {left}");
    let kinds = "all,secrets,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,leases";
    clock::wait_until("the namespace to be empty", BOUND, || {
        let left = kubectl.run(&["get", kinds, "--namespace", SYSTEM, "--output", "name"])?;
        let default = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
        let left: Vec<&str> = left.lines().filter(|name| !default.contains(name)).collect();
        ensure!(left.is_empty(), "left in {SYSTEM}: {left:?}");
        Ok(Some(()))
    })
}

/// CRDs with what users registered, and the slices by which they are still called.
fn expect_kept(cluster: &NodeCluster, shop: &Namespace<'_>, written: &[Value]) -> Result<()> {
    let kept = cluster.kubectl().run(&["get", "serviceregistrations", "--namespace", shop.name, "--output", "name"])?;
    ensure!(kept.contains("web-vm"), "the registration is gone: {kept}");
    ensure!(slices(cluster)? == written, "slices went with the release");
    Ok(())
}

/// The chart of the commit before this one, or of this checkout where there is none, with older CRDs in both cases: a
/// column is missing.
fn previous(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("previous");
    std::fs::create_dir_all(&folder)?;
    let root = layout::root();
    let script = "git -C \"$1\" archive HEAD~1 charts/rollcall | tar --extract --directory \"$2\"";
    let mut archive = Command::new("sh");
    archive.args(["-c", script, "sh"]).arg(&root).arg(&folder);
    let there = archive.output().context("starting sh")?.status.success() && folder.join("charts/rollcall").is_dir();
    if !there {
        eprintln!("  no commit before this one has the chart: its place takes this checkout's, with older CRDs");
        let copied = Command::new("cp").arg("-r").arg(root.join("charts")).arg(&folder).status()?;
        ensure!(copied.success(), "the chart cannot be copied");
    }
    let chart = folder.join("charts/rollcall");
    let crd = chart.join("templates/crds/serviceregistrations.yaml");
    let text = std::fs::read_to_string(&crd).with_context(|| crd.display().to_string())?;
    let older = text.replace("name: Callable", "name: Reachable");
    if older == text {
        bail!("the CRD has no column Callable to leave out");
    }
    std::fs::write(&crd, older)?;
    Ok(chart)
}
