//! Callers that must not notice: what changes under traffic changes without a lost call or query.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::node::NodeCluster;
use serde_json::json;

use crate::install::registration;
use crate::release::{Part, Release, chart};
use crate::runner::{Scenario, scenarios};
use crate::workload::{BOUND, Namespace, Report, pod, web};

pub(crate) const SCENARIOS: &[Scenario] = scenarios![
    a_registered_machine_is_called_at_the_cluster_ip_of_a_service_that_has_pods,
    a_rolling_deployment_under_traffic_loses_no_call,
    dns_servers_are_replaced_under_queries_and_none_is_lost,
    a_dns_server_on_each_node_is_replaced_under_queries_and_none_is_lost,
    names_outside_of_the_cluster_are_asked_of_the_nodes_resolver,
];

/// Calls or queries that must have been made before and after the change, so that the change was under traffic.
const BEFORE_AND_AFTER: u64 = 150;

/// The flags of an installation that is the cluster's DNS.
pub(crate) fn as_cluster_dns(cluster: &NodeCluster, mode: &str) -> Vec<String> {
    let address = cluster.addresses().dns();
    let settings = [format!("dns.mode={mode}"), format!("dns.service.clusterIP={address}")];
    settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
}

/// Rollcall as the cluster's DNS, shared with the scenarios before and after. Give it to [`keep_as_cluster_dns`].
fn share_as_cluster_dns(cluster: &NodeCluster) -> Result<Release<'_>> {
    let flags = as_cluster_dns(cluster, "clusterDNS");
    Release::share(cluster, &flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Leaves Rollcall installed as the cluster's DNS.
pub(crate) fn keep_as_cluster_dns(release: Release<'_>) {
    let flags = as_cluster_dns(release.cluster(), "clusterDNS");
    release.keep(&flags.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Starts a pod that calls or resolves in a loop, and returns when it has begun to succeed.
pub(crate) fn load(namespace: &Namespace<'_>, name: &str, args: &[&str]) -> Result<()> {
    let mut pod = pod(name, args);
    // A question is sent once, and its answer awaited longer than an attempt may take: what is lost fails the attempt,
    // and what is slow does not.
    let options = json!([{"name": "attempts", "value": "1"}, {"name": "timeout", "value": "30"}]);
    pod["spec"]["dnsConfig"] = json!({"options": options});
    namespace.apply([pod])?;
    go_on(namespace, name, BEFORE_AND_AFTER).map(drop)
}

/// Waits until a loop has made so many attempts more, and has seen the end of all before: a loss shows at its timeout.
pub(crate) fn go_on(namespace: &Namespace<'_>, name: &str, more: u64) -> Result<Report> {
    let mut first = None;
    clock::wait_until(&format!("{more} attempts more of pod {name}"), BOUND, || {
        let report = namespace.report(name)?;
        let begun = *first.get_or_insert(report.begun);
        ensure!(report.settled >= begun + more, "{report:?}");
        Ok(Some(report))
    })
}

/// Waits until so many have answered the calls of a loop.
fn answered_by(namespace: &Namespace<'_>, name: &str, count: usize) -> Result<()> {
    clock::wait_until(&format!("{count} to have answered pod {name}"), BOUND, || {
        let report = namespace.report(name)?;
        let answered = report.answers.as_object().map_or(0, serde_json::Map::len);
        ensure!(answered >= count, "{answered} have: {report:?}");
        Ok(Some(()))
    })
}

/// What a loop has come to, which must be without a fault.
pub(crate) fn expect_no_loss(namespace: &Namespace<'_>, name: &str) -> Result<Report> {
    let report = go_on(namespace, name, BEFORE_AND_AFTER)?;
    ensure!(report.failed == 0, "{} of {} attempts of {name} failed: {}", report.failed, report.sent, report.errors);
    Ok(report)
}

fn a_registered_machine_is_called_at_the_cluster_ip_of_a_service_that_has_pods(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let machine: IpAddr = cluster.outside_address(1);
    let _machine = cluster.machine("vm-1", 1)?;
    let release = share_as_cluster_dns(cluster)?;
    let shop = Namespace::create(cluster.kubectl(), "mixed")?;
    shop.apply(web("web", 2))?;
    shop.apply([registration("web", &[("vm-1", machine)])])?;
    let ready = shop.ready("web", 3)?;
    ensure!(ready.contains(&machine.to_string()), "{ready:?}");
    shop.apply([pod("caller", &["call", "--rate=100", "http://web/"])])?;
    let shares = clock::wait_until("calls of a pod by name to reach both pods and the machine", BOUND, || {
        let report = shop.report("caller")?;
        let answers = report.answers.as_object().cloned().unwrap_or_default();
        ensure!(report.failed == 0, "{}", report.errors);
        Ok((answers.len() == 3 && answers.contains_key("vm-1")).then_some(report.answers))
    })?;
    eprintln!("  answers at the ClusterIP: {shares}");
    keep_as_cluster_dns(release);
    Ok(())
}

fn a_rolling_deployment_under_traffic_loses_no_call(cluster: &mut NodeCluster) -> Result<()> {
    let _machine = cluster.machine("vm-1", 1)?;
    let release = share_as_cluster_dns(cluster)?;
    let shop = Namespace::create(cluster.kubectl(), "rolling")?;
    shop.apply(web("web", 3))?;
    shop.apply([registration("web", &[("vm-1", cluster.outside_address(1))])])?;
    shop.ready("web", 4)?;
    load(&shop, "caller", &["call", "--rate=100", "http://web/"])?;
    answered_by(&shop, "caller", 4)?;
    shop.kubectl(&["rollout", "restart", "deployment", "web"])?;
    shop.kubectl(&["rollout", "status", "deployment", "web", "--timeout=180s"])?;
    answered_by(&shop, "caller", 7)?;
    let report = expect_no_loss(&shop, "caller")?;
    let answered = report.answers.as_object().map_or(0, serde_json::Map::len);
    ensure!(answered == 7, "not three pods, their successors and a machine: {}", report.answers);
    eprintln!("  {} calls while three pods were replaced, none lost: {}", report.sent, report.answers);
    keep_as_cluster_dns(release);
    Ok(())
}

fn dns_servers_are_replaced_under_queries_and_none_is_lost(cluster: &mut NodeCluster) -> Result<()> {
    replace_under_queries(cluster, "clusterDNS", "replaced")
}

fn a_dns_server_on_each_node_is_replaced_under_queries_and_none_is_lost(cluster: &mut NodeCluster) -> Result<()> {
    replace_under_queries(cluster, "nodeLocal", "replaced-on-nodes")
}

/// An attempt is given up before the pod's resolver would ask again: a lost query counts.
pub(crate) const RESOLVE: &[&str] = &["resolve", "--rate=50", "--timeout=25s"];

fn replace_under_queries(cluster: &NodeCluster, mode: &str, namespace: &'static str) -> Result<()> {
    let flags = as_cluster_dns(cluster, mode);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let release = Release::share(cluster, &flags)?;
    let shop = Namespace::create(cluster.kubectl(), namespace)?;
    shop.apply(web("web", 1))?;
    shop.ready("web", 1)?;
    load(&shop, "resolver", &["resolve", "--rate=200", "--timeout=25s", "web"])?;
    let before = names(&release)?;
    release.apply(&chart(), &[&flags[..], &["--set", "dns.podAnnotations.turn=second"]].concat())?;
    let after = clock::wait_until("the old DNS servers to have gone", BOUND, || {
        let names = names(&release)?;
        let replaced = names.len() == before.len() && names.iter().all(|name| !before.contains(name));
        ensure!(replaced, "{before:?} became {names:?}");
        Ok(Some(names))
    })?;
    let report = expect_no_loss(&shop, "resolver")?;
    eprintln!("  {} queries while {} DNS servers were replaced, none lost", report.sent, after.len());
    if mode == "nodeLocal" { kill_under_queries(cluster, &release, &shop) } else { Ok(()) }
}

/// The process that answers has the environment of one that was started by the holder of the sockets.
const KILL_SERVERS: &str = r"for process in /proc/[0-9]*; do
    if tr '\0' '\n' 2>/dev/null < $process/environ | grep -q ^ROLLCALL_DNS_HOLDER=; then kill -9 ${process#/proc/} && echo killed; fi
done";

/// Kills the server of each node, which has no other. What it had in hand is lost; what comes meanwhile waits for the next one.
fn kill_under_queries(cluster: &NodeCluster, release: &Release<'_>, shop: &Namespace<'_>) -> Result<()> {
    let expected = names(release)?.len();
    for node in 1..=u8::try_from(expected)? {
        let output = cluster.node_command(node, "sh")?.args(["-c", KILL_SERVERS]).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.contains("killed"), "no server on node {node}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report = go_on(shop, "resolver", BEFORE_AND_AFTER)?;
    // How long a start takes is the machine's affair: what does not fit into the queues meanwhile is lost.
    eprintln!("  {} queries while the DNS server of each node was killed, {} lost", report.sent, report.failed);
    clock::wait_until("each server to say that another one died", BOUND, || {
        let pages = release.pages(Part::Dns, "/metrics")?;
        let says = |body: &str| body.contains("\nrollcall_dns_server_deaths_total 1\n");
        ensure!(pages.len() == expected && pages.iter().all(|(_, page)| says(&page.body)), "{pages:?}");
        Ok(Some(()))
    })?;
    let pods = release.pods(Part::Dns)?;
    let restarts = pods.iter().filter_map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64());
    ensure!(restarts.sum::<u64>() == 0, "the containers were started again: {pods:?}");
    Ok(())
}

fn names(release: &Release<'_>) -> Result<Vec<String>> {
    let pods = release.pods(Part::Dns)?;
    Ok(pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(String::from)).collect())
}

fn names_outside_of_the_cluster_are_asked_of_the_nodes_resolver(cluster: &mut NodeCluster) -> Result<()> {
    let machine = cluster.outside_address(2);
    let _resolver = cluster.name_server(&[("bank.example", machine)])?;
    let _machine = cluster.machine("bank", 2)?;
    let flags = as_cluster_dns(cluster, "clusterDNS");
    // Not a shared one, whose servers have found the nodes' resolver silent.
    let _release = Release::install(cluster, &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    let shop = Namespace::create(cluster.kubectl(), "outside-names")?;
    let said = shop.run_once("caller", &["get", "http://bank.example:8080/"])?;
    ensure!(said.contains("bank "), "{said}");
    let unknown = shop.run_once("stranger", &["get", "http://nobody.example/"]);
    ensure!(unknown.is_err_and(|error| format!("{error:#}").contains("no such host")), "a name that nobody has");
    Ok(())
}
