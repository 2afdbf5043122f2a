//! Every object, shown to a real API server by a server-side dry run, in a namespace that enforces "restricted". A warning
//! is an error: an unknown field, a deprecated version, a pod that the level forbids.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::{ControlPlane, Kubectl, install, tools};
use serde_json::{Value, json};

use super::rendered::{NAMESPACE, Rendered, chart, files, helm, render, render_file};

const BOUND: Duration = Duration::from_secs(60);

#[test]
fn the_api_server_takes_every_object_and_pods_are_restricted() -> Result<()> {
    let scratch = Scratch::new("chart")?;
    let plane = ControlPlane::start(scratch.path())?;
    let kubectl = plane.kubectl();
    namespaces(kubectl)?;
    crds_of_others(kubectl)?;
    notes(kubectl)?;
    // A dry run does not make them. After the notes: Helm takes objects that are there for somebody's.
    install::crds(kubectl)?;
    for file in files()? {
        let rendered = render_file(&tools::helm()?, &file)?;
        shown(kubectl, &rendered).with_context(|| file.display().to_string())?;
        println!("  {} objects of {} are taken", rendered.objects.len(), file.display());
    }
    for values in ["", "certificates: {source: certManager, certManager: {issuerRef: {name: corp}}}"] {
        shown(kubectl, &render(values)).with_context(|| format!("values {values:?}"))?;
    }
    let escalating = render("controller: {securityContext: {allowPrivilegeEscalation: true}}");
    let refused = shown(kubectl, &escalating).expect_err("the level is enforced");
    ensure!(format!("{refused:#}").contains("violate PodSecurity"), "{refused:#}");
    drop(plane);
    scratch.remove()
}

/// Those that the values name.
fn namespaces(kubectl: &Kubectl) -> Result<()> {
    let restricted: serde_json::Map<_, _> = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted")))
        .into_iter()
        .collect();
    for name in [NAMESPACE, "shop", "billing"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}});
        kubectl.apply(&namespace.to_string())?;
        kubectl.wait_until("the ServiceAccount default", BOUND, &["serviceaccounts", "-n", name], |accounts| {
            accounts["items"].as_array().is_some_and(|accounts| !accounts.is_empty())
        })?;
    }
    Ok(())
}

/// Those of whose kinds the chart has objects.
fn crds_of_others(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply_path(&tools::operator_crds()?)?;
    for kind in ["certificates.cert-manager.io", "prometheusrules.monitoring.coreos.com"] {
        kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{kind}")])?;
    }
    Ok(())
}

fn shown(kubectl: &Kubectl, rendered: &Rendered) -> Result<()> {
    let command = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--warnings-as-errors",
        "--output=name",
        "-f",
        "-",
    ];
    let taken = kubectl.run_with_input(&command, &rendered.text)?;
    ensure!(
        taken.lines().count() == rendered.objects.len(),
        "{} of {} objects",
        taken.lines().count(),
        rendered.objects.len()
    );
    // A Deployment that is taken may have pods that are not.
    for (name, pod) in pods(rendered) {
        kubectl
            .run_with_input(
                &["create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-"],
                &pod.to_string(),
            )
            .with_context(|| format!("a pod of {name}"))?;
    }
    Ok(())
}

/// Pods as the controllers would make them. Their ServiceAccounts are not there, since nothing is.
fn pods(rendered: &Rendered) -> Vec<(String, Value)> {
    let template = |object: &&Value| object["spec"]["template"]["spec"]["containers"].is_array();
    let pod = |object: &Value| {
        let mut pod = object["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("one");
        pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
        pod["spec"]["serviceAccountName"] = json!("default");
        (object["metadata"]["name"].to_string(), pod)
    };
    rendered.objects.iter().filter(template).map(pod).collect()
}

/// What the user reads after an installation.
fn notes(kubectl: &Kubectl) -> Result<()> {
    let chart = chart();
    let words =
        ["install", "rollcall", "--dry-run=server", "--namespace", NAMESPACE, "--kubeconfig"].map(str::to_owned);
    let paths = [kubectl.kubeconfig().display().to_string(), chart.display().to_string()];
    let said = |values: &str| -> Result<String> {
        let more = ["--values".to_owned(), "-".to_owned()];
        let words: Vec<&str> = words.iter().chain(&paths).chain(&more).map(String::as_str).collect();
        let output = helm(&tools::helm()?, &words, values)?;
        Ok(output.split_once("\nNOTES:\n").context("no notes")?.1.to_owned())
    };
    let usual = said("")?;
    ensure!(usual.contains("helm test rollcall") && usual.contains("cluster.local:53 {"), "{usual}");
    ensure!(!usual.contains("Consider:"), "the defaults are warned of: {usual}");
    let risky = said(
        "{certificates: {source: off}, crds: {keep: false}, controller: {replicaCount: 1, serviceCIDRs: false}, \
         dns: {mode: clusterDNS, replicaCount: 1, service: {clusterIP: 10.96.0.53}}}",
    )?;
    let warnings: BTreeSet<&str> = risky.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    ensure!(warnings.len() == 5, "{warnings:#?}");
    let behind = said("dns: {mode: clusterDNS, service: {enabled: false}}")?;
    ensure!(behind.contains("Another one must select their pods") && !behind.contains("clusterDNS: ["), "{behind}");
    let adrift = said(
        "{tracing: {otlpEndpoint: 'http://collector.observability:4317'}, prometheusRule: {enabled: true}, \
         certificates: {authority: {leafLifetime: 1d}}}",
    )?;
    let warnings: Vec<&str> = adrift.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    ensure!(warnings.len() == 2, "{warnings:#?}");
    ensure!(risky.contains("clusterDNS: [10.96.0.53]") && !risky.contains("cluster.local:53 {"), "{risky}");
    Ok(())
}
