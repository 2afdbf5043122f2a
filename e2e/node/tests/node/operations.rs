//! What operators do with an installation that runs.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use rollcall_e2e::node::NodeCluster;
use rollcall_e2e::{clock, http};

use crate::release::{Part, Release, SYSTEM};
use crate::runner::{Scenario, scenarios};
use crate::workload::BOUND;

pub(crate) const SCENARIOS: &[Scenario] = scenarios![
    log_levels_change_at_run_time_with_a_token_through_a_port_forward_and_for_nobody_else,
    a_node_that_is_drained_keeps_a_controller_and_a_dns_server,
];

/// In the cluster's own network, where nothing else listens.
const FORWARDED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18081);

fn log_levels_change_at_run_time_with_a_token_through_a_port_forward_and_for_nobody_else(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let release = Release::install(cluster, &[])?;
    let pod = release.pods(Part::Controller)?.swap_remove(0);
    let address: SocketAddr = format!("{}:18080", pod["status"]["podIP"].as_str().context("no address")?).parse()?;
    let refused = cluster.inside(|| http::put(address, "/debug/log-level", "debug"))?;
    ensure!(refused.status == 403 && refused.body.contains("port-forward"), "{refused:?}");
    let hidden = cluster.inside(|| http::get(address, "/debug/catalog/"))?;
    ensure!(hidden.status == 403 && hidden.body.contains("port-forward"), "{hidden:?}");
    let name = pod["metadata"]["name"].as_str().context("no name")?;
    let args = ["port-forward", "--namespace", SYSTEM, name, "18081:18080"];
    let _forward = cluster.kubectl().program("port-forward", &args, cluster.folder())?.start()?;
    let nobody = clock::wait_until("the forwarded port", BOUND, || {
        cluster.inside(|| http::put(FORWARDED, "/debug/log-level?for=10m", "debug")).map(Some)
    })?;
    ensure!(nobody.status == 401 && nobody.body.contains("create token"), "{nobody:?}");
    let token = |account: &str| {
        cluster.kubectl().run(&["create", "serviceaccount", account, "--namespace", SYSTEM])?;
        cluster.kubectl().run(&["create", "token", account, "--namespace", SYSTEM, "--duration=10m"])
    };
    let (stranger, debug) = (token("stranger")?, token("debug")?);
    let role = ["create", "role", "debug", "--verb=create", "--resource=pods/portforward", "--namespace", SYSTEM];
    cluster.kubectl().run(&role)?;
    let account = format!("--serviceaccount={SYSTEM}:debug");
    cluster.kubectl().run(&["create", "rolebinding", "debug", "--role=debug", &account, "--namespace", SYSTEM])?;
    let may_not = cluster.inside(|| http::ask_as(stranger.trim(), FORWARDED, "/debug/catalog/", None))?;
    ensure!(may_not.status == 403 && may_not.body.contains("pods/portforward"), "{may_not:?}");
    let put = |body| cluster.inside(|| http::ask_as(debug.trim(), FORWARDED, "/debug/log-level?for=10m", Some(body)));
    // RBAC of the API server follows its own watch.
    let changed = clock::wait_until("the changed log level", BOUND, || {
        put("debug").map(|response| (response.status != 403).then_some(response))
    })?;
    ensure!(changed.status == 200, "{changed:?}");
    let said = cluster.inside(|| http::get(FORWARDED, "/debug/log-level"))?;
    ensure!(said.body.contains("debug"), "{said:?}");
    clock::wait_until("a line at that level", BOUND, || {
        Ok(release.log(Part::Controller)?.contains(" DEBUG ").then_some(()))
    })?;
    let wrong = put("debg")?;
    ensure!(wrong.status == 400 && wrong.body.contains("debg"), "{wrong:?}");
    release.keep(&[]);
    Ok(())
}

fn a_node_that_is_drained_keeps_a_controller_and_a_dns_server(cluster: &mut NodeCluster) -> Result<()> {
    let release = Release::share(cluster, &[])?;
    // There is no other node, so what is evicted cannot start elsewhere: the budget must stop the drain.
    let drain = ["drain", "node1", "--ignore-daemonsets", "--force", "--timeout=10s", "--namespace", SYSTEM];
    let selector = "--pod-selector=app.kubernetes.io/part-of=rollcall";
    let outcome = cluster.kubectl().run(&[&drain[..], &[selector]].concat());
    let left = [Part::Controller, Part::Dns].map(|part| release.pods(part).map(|pods| running(&pods)));
    cluster.kubectl().run(&["uncordon", "node1"])?;
    ensure!(outcome.is_err(), "the drain ended, and took everything");
    for left in left {
        ensure!(left? >= 1, "a budget let the last pod go");
    }
    Ok(())
}

fn running(pods: &[serde_json::Value]) -> usize {
    pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count()
}
