//! What happens to services across clusters when the line between two is cut, and when ends of it start anew.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::linked::CLUSTERSET;
use rollcall_e2e::process::STOP_BOUND;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::pair::{Pair, Slices, await_slices, import, name, no_import, resolves, slices};
use crate::support::BOUND;

/// What of a service must not change: the spec of its import, and its slices.
type Standing = (Value, Slices);

fn standing(cluster: &Cluster) -> Result<Standing> {
    Ok((import(cluster, "payments", |_| true)?["spec"].clone(), slices(cluster, "payments")?))
}

pub(crate) fn answers(pair: &Pair) -> Result<()> {
    let import = import(&pair.west, "payments", |_| true)?;
    let ip = import["spec"]["ips"][0].as_str().context("an address")?.to_owned();
    resolves(&pair.west, &name("payments"), "A", &[ip])?;
    resolves(&pair.west, &name("db"), "A", &["10.244.2.1".to_owned(), "10.244.2.2".to_owned()])
}

pub(crate) fn known_by_properties(pair: &mut Pair) -> Result<()> {
    for cluster in pair.both() {
        for (name, expected) in [("cluster.clusterset.k8s.io", cluster.id), ("clusterset.k8s.io", CLUSTERSET)] {
            clock::wait_until(&format!("the property {name} of {}", cluster.id), BOUND, || {
                let property = cluster.api.get(&format!("/apis/about.k8s.io/v1beta1/clusterproperties/{name}"))?;
                ensure!(property["spec"]["value"] == expected, "{}", property["spec"]);
                Ok(Some(()))
            })?;
        }
    }
    Ok(())
}

pub(crate) fn a_namespace_that_comes_later(pair: &mut Pair) -> Result<()> {
    let (namespace, service) = ("later", "soon");
    pair.east.kubectl.run(&["create", "namespace", namespace])?;
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": service, "namespace": namespace },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    });
    pair.east.kubectl.apply(&object.to_string())?;
    pair.east.export(namespace, service)?;
    let found = |cluster: &Cluster| {
        clock::wait_until(&format!("the import in {}", cluster.id), BOUND, || {
            cluster.find("serviceimports", namespace, service)
        })
    };
    found(&pair.east)?;
    pair.west.kubectl.run(&["create", "namespace", namespace])?;
    found(&pair.west)?;
    pair.east.kubectl.run(&["delete", "serviceexport", service, "--namespace", namespace]).map(drop)
}

/// The importing controller starts anew while packets are dropped. After that they pass again, and the west is as it was.
pub(crate) fn cut_and_healed(pair: &mut Pair) -> Result<()> {
    await_slices(&pair.west, "payments", &[("east", &["10.244.1.4", "10.244.1.5"])])?;
    let before = standing(&pair.west)?;
    pair.relay.hold(true);
    let suspect = pair.west.await_link("east", "Suspect")?;
    ensure!(suspect["imported"]["services"] != 0, "{suspect}");
    answers(pair)?;
    restart(&mut [&mut pair.west])?;
    // It reads its own state only; nothing has been heard yet.
    let status = pair.west.link("east")?;
    ensure!(status["state"] != "Expired", "{status}");
    answers(pair)?;
    let meanwhile = standing(&pair.west)?;
    ensure!(before == meanwhile, "rewritten without a word from the other: {before:?} became {meanwhile:?}");
    pair.relay.hold(false);
    pair.west.await_link("east", "Connected")?;
    answers(pair)?;
    let after = standing(&pair.west)?;
    ensure!(before == after, "rewritten: {before:?} became {after:?}");
    Ok(())
}

/// What stays of a service whose cluster is silent: the spec of its import.
pub(crate) fn kept(pair: &Pair) -> Result<Value> {
    Ok(standing(&pair.west)?.0)
}

/// The other cluster is silent for too long: its endpoints go, and the address stays.
pub(crate) fn expires(pair: &Pair, kept_before: &Value) -> Result<()> {
    let expired = pair.west.await_link("east", "Expired")?;
    ensure!(expired["expired"]["services"] != 0, "{expired}");
    await_slices(&pair.west, "payments", &[])?;
    let meanwhile = kept(pair)?;
    ensure!(*kept_before == meanwhile, "the import went from {kept_before} to {meanwhile}");
    Ok(())
}

/// It is heard again: its endpoints are back, under the same address.
pub(crate) fn comes_back(pair: &Pair, kept_before: &Value) -> Result<()> {
    pair.west.await_link("east", "Connected")?;
    await_slices(&pair.west, "payments", &[("east", &["10.244.1.4", "10.244.1.5"])])?;
    let after = kept(pair)?;
    ensure!(*kept_before == after, "the import went from {kept_before} to {after}");
    Ok(())
}

pub(crate) fn link_removed(pair: &mut Pair) -> Result<()> {
    pair.west.kubectl.run(&["delete", "clusterlink", "east"])?;
    no_import(&pair.west, "payments")?;
    // It exports it itself.
    import(&pair.west, "db", |import| import["status"]["clusters"] == json!([{ "cluster": "west" }])).map(drop)?;
    pair.east.get("serviceimports", "payments").context("the exporting cluster keeps its own").map(drop)
}

/// The controllers of all of them at once.
pub(crate) fn restart(clusters: &mut [&mut Cluster]) -> Result<()> {
    for cluster in clusters.iter_mut() {
        cluster.rollcall.controllers[0].process.terminate();
    }
    for cluster in clusters.iter_mut() {
        let process = &mut cluster.rollcall.controllers[0].process;
        ensure!(process.join(STOP_BOUND)?, "{} did not end on SIGTERM", process.name());
    }
    for cluster in clusters.iter_mut() {
        cluster.rollcall.controllers[0].start_again()?;
    }
    clusters.iter_mut().try_for_each(|cluster| cluster.rollcall.controllers[0].wait_ready())
}
