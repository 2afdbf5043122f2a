//! Rollcall takes the place of another DNS server behind the Service that pods ask, and gives it back.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::node::NodeCluster;
use serde_json::{Value, json};

use crate::release::{Part, RELEASE, Release, SYSTEM, chart};
use crate::runner::{Scenario, scenarios};
use crate::traffic::{RESOLVE, expect_no_loss, load};
use crate::workload::{BOUND, Namespace, container, web};

pub(crate) const SCENARIOS: &[Scenario] =
    scenarios![rollcall_takes_the_place_of_another_dns_server_and_gives_it_back_without_a_lost_query];

/// As in docs/cluster-dns.md; there the namespace is `kube-system`.
const BEHIND_KUBE_DNS: &[&str] = &[
    "--set=dns.mode=clusterDNS",
    "--set=dns.service.enabled=false",
    "--set=dns.podLabels.k8s-app=kube-dns",
    "--set=dns.listenPort=53",
];

fn rollcall_takes_the_place_of_another_dns_server_and_gives_it_back_without_a_lost_query(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let release = Release::prepare(cluster)?;
    let shop = Namespace::create(cluster.kubectl(), "takeover")?;
    shop.apply(web("web", 1))?;
    shop.ready("web", 1)?;
    let web = shop.kubectl(&["get", "service", "web", "--output", "jsonpath={.spec.clusterIP}"])?;
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [kube_dns(cluster), other(&web)]}).to_string();
    cluster.kubectl().run_with_input(&["apply", "--namespace", SYSTEM, "-f", "-"], &objects)?;
    release.kubectl(&["rollout", "status", "deployment", "other", "--timeout=180s"])?;
    load(&shop, "resolver", &[RESOLVE, &["web"]].concat())?;

    release.apply(&chart(), BEHIND_KUBE_DNS)?;
    scale(&release, 0)?;
    expect_no_loss(&shop, "resolver")?;
    ensure!(answers(&release)? > 0.0, "no query was answered by Rollcall");

    scale(&release, 2)?;
    release.helm(&["uninstall", RELEASE])?;
    clock::wait_until("Rollcall's DNS servers to have gone", BOUND, || {
        let pods = release.get(&["pods", "--selector", "app.kubernetes.io/component=dns"])?;
        Ok(pods["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    let report = expect_no_loss(&shop, "resolver")?;
    eprintln!("  {} queries while Rollcall took the place of another server and gave it back, none lost", report.sent);
    // The address is needed by the next scenario.
    release.kubectl(&["delete", "service", "kube-dns"]).map(drop)
}

/// The Service whose address kubelets give to pods, as kubeadm makes it.
fn kube_dns(cluster: &NodeCluster) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns"},
        "spec": {
            "clusterIP": cluster.addresses().dns(), "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "targetPort": 53, "protocol": "TCP"},
            ],
        },
    })
}

/// A DNS server that knows one name.
fn other(web: &str) -> Value {
    let labels = json!({"k8s-app": "kube-dns", "app": "other"});
    let mut server =
        container(&["dns", "--listen=:53", "--drain=15s", &format!("web.takeover.svc.cluster.local={web}")]);
    // Not ready before it listens, and not ready again long before it stops: as long as it were, kube-proxy would leave it the
    // flows that it has, and a question from a port that asked before would meet it dead.
    server["readinessProbe"] =
        json!({"tcpSocket": {"port": 53}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "other"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [server],
                    "securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}]},
                },
            },
        },
    })
}

fn scale(release: &Release<'_>, replicas: usize) -> Result<()> {
    release.kubectl(&["scale", "deployment", "other", &format!("--replicas={replicas}")])?;
    clock::wait_until(&format!("{replicas} other DNS servers"), BOUND, || {
        let pods = release.get(&["pods", "--selector", "app=other"])?;
        let deployment = release.get(&["deployment", "other"])?;
        let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or_default();
        let there = pods["items"].as_array().map_or(0, Vec::len);
        Ok((there == replicas && ready == replicas as u64).then_some(()))
    })
}

/// Queries that Rollcall's DNS servers have answered.
fn answers(release: &Release<'_>) -> Result<f64> {
    let pages = release.pages(Part::Dns, "/metrics")?;
    let lines = pages.iter().flat_map(|(_, page)| page.body.lines());
    let counts = lines.filter(|line| line.starts_with("rollcall_dns_queries_total{"));
    counts.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()).context("no count")).sum()
}
