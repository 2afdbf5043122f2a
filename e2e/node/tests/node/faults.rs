//! What is wrong is said three times: in the pod's log, in its readiness text, and in an Event on the pod. In each place with
//! the remedy.

use anyhow::{Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::node::NodeCluster;
use serde_json::{Value, json};

use crate::release::{Part, Release, chart};
use crate::runner::{Scenario, scenarios};
use crate::workload::{BOUND, container};

pub(crate) const SCENARIOS: &[Scenario] = scenarios![
    a_missing_certificate_is_told_with_its_remedy_and_taken_up_when_it_comes,
    a_missing_rule_is_told_with_its_remedy,
    a_wrong_cluster_domain_is_told_with_its_remedy,
    a_port_in_use_is_told_with_its_remedy,
];

/// Installs without waiting to be ready, which it will not be.
fn install_broken<'a>(cluster: &'a NodeCluster, flags: &[&str]) -> Result<Release<'a>> {
    let release = Release::prepare(cluster)?;
    let chart = chart();
    let args = ["install", "rollcall", &chart.to_string_lossy(), "--set", "controller.replicaCount=1"];
    release.helm(&[&args, flags].concat())?;
    Ok(release)
}

/// Waits until a part says all of these words in the readiness text, the log, and a Warning on its pod.
fn expect_told(release: &Release<'_>, part: Part, words: &[&str]) -> Result<()> {
    let all = |text: &str| words.iter().all(|word| text.contains(word));
    clock::wait_until(&format!("a readiness text with {words:?}"), BOUND, || {
        let pages = release.pages(part, "/readyz")?;
        ensure!(pages.iter().any(|(_, page)| page.status == 503 && all(&page.body)), "{pages:?}");
        Ok(Some(()))
    })?;
    clock::wait_until(&format!("a line in the log with {words:?}"), BOUND, || {
        let log = release.log(part)?;
        ensure!(log.lines().any(all), "{log}");
        Ok(Some(()))
    })?;
    clock::wait_until(&format!("a Warning with {words:?}"), BOUND, || {
        let events = release.get(&["events.events.k8s.io"])?;
        let ours = |event: &&Value| event["type"] == "Warning" && event["regarding"]["kind"] == "Pod";
        let notes: Vec<&str> = events["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(ours)
            .filter_map(|event| event["note"].as_str())
            .collect();
        ensure!(notes.iter().any(|note| all(note)), "{notes:#?}");
        Ok(Some(()))
    })
}

fn expect_ready(release: &Release<'_>, part: Part) -> Result<()> {
    clock::wait_until(&format!("{part:?} to be ready"), BOUND * 2, || {
        let pages = release.pages(part, "/readyz")?;
        ensure!(!pages.is_empty() && pages.iter().all(|(_, page)| page.status == 200), "{pages:?}");
        Ok(Some(()))
    })
}

fn a_missing_certificate_is_told_with_its_remedy_and_taken_up_when_it_comes(cluster: &mut NodeCluster) -> Result<()> {
    let flags = ["--set", "certificates.source=secret", "--set", "certificates.secret.name=stream-tls"];
    let release = install_broken(cluster, &flags)?;
    expect_told(&release, Part::Controller, &["certificate", "tls.crt", "Secret"])?;
    expect_told(&release, Part::Dns, &["catalog", "refused"])?;
    let pair = rcgen::generate_simple_self_signed(["rollcall-controller.rollcall-system.svc".to_owned()])?;
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "stream-tls"},
        "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate},
    });
    cluster.kubectl().run_with_input(&["apply", "--namespace", "rollcall-system", "-f", "-"], &secret.to_string())?;
    // The kubelet looks at optional volumes now and then: here each 10 s, by default about once a minute.
    expect_ready(&release, Part::Controller)?;
    expect_ready(&release, Part::Dns)
}

fn a_missing_rule_is_told_with_its_remedy(cluster: &mut NodeCluster) -> Result<()> {
    let release = install_broken(cluster, &[])?;
    expect_ready(&release, Part::Controller)?;
    let role = cluster.kubectl().get(&["clusterrole", "rollcall-controller"])?;
    let mut rules = role["rules"].clone();
    for rule in rules.as_array_mut().into_iter().flatten() {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|resource| resource != "pods");
        }
    }
    let patch = json!({"rules": rules}).to_string();
    cluster.kubectl().run(&["patch", "clusterrole", "rollcall-controller", "--type=merge", "--patch", &patch])?;
    release.kubectl(&["delete", "pods", "--selector", "app.kubernetes.io/component=controller"])?;
    expect_told(&release, Part::Controller, &["pods", "forbidden", "rbac.create"])?;
    let whole = json!({"rules": role["rules"]}).to_string();
    cluster.kubectl().run(&["patch", "clusterrole", "rollcall-controller", "--type=merge", "--patch", &whole])?;
    expect_ready(&release, Part::Controller)
}

fn a_wrong_cluster_domain_is_told_with_its_remedy(cluster: &mut NodeCluster) -> Result<()> {
    let release = install_broken(cluster, &["--set", "clusterDomain=other.test"])?;
    expect_told(&release, Part::Controller, &["cluster.local", "other.test", "clusterDomain"])
}

fn a_port_in_use_is_told_with_its_remedy(cluster: &mut NodeCluster) -> Result<()> {
    let release = install_broken(cluster, &[])?;
    for (part, port, words) in [(Part::Controller, 18000, ["18000", "in use"]), (Part::Dns, 1053, ["1053", "in use"])] {
        // As an injected sidecar would: it starts before the program, in the same network.
        let mut squatter = container(&["serve", &format!("--listen=:{port}")]);
        squatter["name"] = json!("squatter");
        squatter["restartPolicy"] = json!("Always");
        let patch = json!({"spec": {"template": {"spec": {"initContainers": [squatter]}}}}).to_string();
        release.kubectl(&["patch", "deployment", &part.fullname(), "--type=strategic", "--patch", &patch])?;
        expect_told(&release, part, &words)?;
    }
    Ok(())
}
