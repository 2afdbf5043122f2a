//! The cluster itself: is it a real one?

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::node::{MACHINE_PORT, NodeCluster, Part};
use rollcall_e2e::{clock, http};
use serde_json::json;

use crate::runner::{Scenario, scenarios};
use crate::workload::{BOUND, Namespace, pod, web};

pub(crate) const SCENARIOS: &[Scenario] = scenarios![
    a_restricted_namespace_runs_pods_with_probes_and_refuses_others,
    a_cluster_ip_is_reached_from_pods_and_from_outside,
    a_pod_that_fails_its_probe_gets_no_calls_until_it_is_well,
    a_pod_proves_who_it_is_to_the_api_server_and_knows_it_by_the_clusters_authority,
    logs_and_commands_of_pods_are_for_those_who_may,
    a_machine_outside_of_the_cluster_is_called_by_pods,
    pods_live_on_while_kubelet_and_containerd_restart,
];

fn a_restricted_namespace_runs_pods_with_probes_and_refuses_others(cluster: &mut NodeCluster) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "restricted")?;
    let start = clock::now();
    namespace.apply(web("web", 3))?;
    namespace.ready("web", 3)?;
    eprintln!("  three pods ready after {:.1} s", start.elapsed().as_secs_f32());
    let mut privileged = pod("privileged", &["pause"]);
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let refusal = namespace.apply([privileged]).err().context("a privileged pod was let in")?.to_string();
    ensure!(refusal.contains("violates PodSecurity \"restricted:latest\""), "{refusal}");
    Ok(())
}

fn a_cluster_ip_is_reached_from_pods_and_from_outside(cluster: &mut NodeCluster) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "cluster-ip")?;
    namespace.apply(web("web", 2))?;
    namespace.ready("web", 2)?;
    let address = namespace.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let server = SocketAddr::new(address.parse()?, 80);
    let mut answers = BTreeSet::new();
    clock::wait_until("answers of both pods, outside of the cluster", BOUND, || {
        let response = cluster.inside(|| http::get(server, "/"))?;
        ensure!(response.status == 200, "{response:?}");
        answers.insert(response.body);
        Ok((answers.len() == 2).then_some(()))
    })?;
    let url = format!("http://{address}/");
    namespace.apply([pod("caller", &["call", "--rate=100", "--duration=3s", &url])])?;
    namespace.wait("the caller to end", &["pod", "caller"], |pod| pod["status"]["phase"] == "Succeeded")?;
    let report = namespace.report("caller")?;
    let answered = report.answers.as_object().map_or(0, serde_json::Map::len);
    ensure!(report.sent >= 20 && report.failed == 0 && answered == 2, "{report:?}");
    eprintln!("  {} calls from a pod, all answered: {}", report.sent, report.answers);
    Ok(())
}

fn a_pod_that_fails_its_probe_gets_no_calls_until_it_is_well(cluster: &mut NodeCluster) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "probes")?;
    namespace.apply(web("web", 2))?;
    let pods = namespace.ready("web", 2)?;
    let server = SocketAddr::new(pods[0].parse()?, 8080);
    cluster.inside(|| http::get(server, "/break"))?;
    let left = namespace.ready("web", 1)?;
    ensure!(left == pods[1..], "{} fails, and ready is {left:?}", pods[0]);
    cluster.inside(|| http::get(server, "/mend"))?;
    ensure!(namespace.ready("web", 2)? == pods);
    Ok(())
}

fn a_pod_proves_who_it_is_to_the_api_server_and_knows_it_by_the_clusters_authority(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "identity")?;
    let url = "https://10.96.0.1/apis/authentication.k8s.io/v1/selfsubjectreviews";
    namespace.run_once("version", &["get", "--service-account", "https://10.96.0.1/version"])?;
    // Without a rule for it, which says who it is.
    let pods = "https://10.96.0.1/api/v1/namespaces/identity/pods";
    let refusal = namespace.run_once("pods", &["get", "--service-account", pods]).err().context("pods were listed")?;
    let refusal = format!("{refusal:#}");
    ensure!(refusal.contains("system:serviceaccount:identity:default"), "{refusal}");
    // Without the token, it is nobody; without the authority, the connection is refused.
    let stranger = namespace.run_once("stranger", &["get", url]).err().context("an unknown authority was trusted")?;
    ensure!(format!("{stranger:#}").contains("certificate"), "{stranger:#}");
    Ok(())
}

fn logs_and_commands_of_pods_are_for_those_who_may(cluster: &mut NodeCluster) -> Result<()> {
    let namespace = Namespace::create(cluster.kubectl(), "logs")?;
    namespace.apply([pod("web", &["serve"])])?;
    namespace.wait("the pod to run", &["pod", "web"], |pod| pod["status"]["phase"] == "Running")?;
    clock::wait_until("its first line", BOUND, || {
        Ok(namespace.kubectl(&["logs", "web"])?.contains("web serves at").then_some(()))
    })?;
    let said = namespace.kubectl(&["exec", "web", "--", "/workload", "get", "http://127.0.0.1:8080/"])?;
    ensure!(said.contains("web 127.0.0.1:8080"), "{said}");
    // The kubelet itself, which asks the API server who may.
    let kubelet = "https://172.30.0.11:10250/containerLogs/logs/web/main";
    for (who, status) in [(&["--trust-anyone"][..], 401), (&["--trust-anyone", "--service-account"], 403)] {
        let words = [&["exec", "web", "--", "/workload", "get"], who, &[kubelet]].concat();
        let refusal = namespace.kubectl(&words).err().context("the kubelet showed logs to a pod without rights")?;
        ensure!(refusal.to_string().contains(&format!("status {status}")), "{refusal}");
    }
    Ok(())
}

fn a_machine_outside_of_the_cluster_is_called_by_pods(cluster: &mut NodeCluster) -> Result<()> {
    let machine = cluster.machine("vm-1", 3)?;
    let namespace = Namespace::create(cluster.kubectl(), "outside")?;
    let url = format!("http://{}:{MACHINE_PORT}/", cluster.outside_address(3));
    let said = namespace.run_once("caller", &["get", &url])?;
    ensure!(said.contains("vm-1 172.30.0.103:8080"), "{said}");
    drop(machine);
    ensure!(namespace.run_once("late", &["get", "--timeout=1s", &url]).is_err(), "a machine that is gone answers");
    Ok(())
}

fn pods_live_on_while_kubelet_and_containerd_restart(cluster: &mut NodeCluster) -> Result<()> {
    let kubectl = cluster.kubectl().clone();
    let namespace = Namespace::create(&kubectl, "restarts")?;
    namespace.apply(web("web", 1))?;
    let pods = namespace.ready("web", 1)?;
    let server = SocketAddr::new(pods[0].parse()?, 8080);
    for part in [Part::Kubelet(1), Part::Containerd(1)] {
        cluster.process(part)?.kill()?;
        ensure!(cluster.inside(|| http::get(server, "/"))?.status == 200, "no answer without {part:?}");
        cluster.start_again(part)?;
    }
    let hostname = cluster.node_command(1, "hostname")?.stdin(Stdio::null()).output()?;
    ensure!(String::from_utf8_lossy(&hostname.stdout).trim() == "node1");
    // New pods, too.
    namespace.kubectl(&["scale", "deployment", "web", "--replicas=2"])?;
    ensure!(namespace.ready("web", 2)?.contains(&pods[0]), "the pod was not the same after the restarts");
    Ok(())
}
