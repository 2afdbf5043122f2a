//! What happens to services across clusters when the line between two is cut, and when ends of it start anew.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::linked::{CLUSTERSET, Cluster};
use rollcall_e2e::process::STOP_BOUND;
use serde_json::{Value, json};

use crate::pair::{NAMESPACE, Pair, Slices, await_slices, import, name, no_import, resolves, slices};
use crate::support::BOUND;

/// What of a service must not change: the spec of its import, and its slices.
type Standing = (Value, Slices);

fn standing(cluster: &Cluster) -> Result<Standing> {
    Ok((import(cluster, "payments", |_| true)?["spec"].clone(), slices(cluster, "payments")?))
}

fn answers(pair: &Pair) -> Result<()> {
    let import = import(&pair.west, "payments", |_| true)?;
    let ip = import["spec"]["ips"][0].as_str().context("an address")?.to_owned();
    resolves(&pair.west, &name("payments"), "A", &[ip])?;
    resolves(&pair.west, &name("db"), "A", &["10.244.2.1".to_owned(), "10.244.2.2".to_owned()])
}

pub(crate) fn known_by_properties(pair: &mut Pair) -> Result<()> {
    for cluster in pair.both() {
        for (name, expected) in [("cluster.clusterset.k8s.io", cluster.id), ("clusterset.k8s.io", CLUSTERSET)] {
            clock::wait_until(&format!("the property {name} of {}", cluster.id), BOUND, || {
                let property = cluster.kubectl.get(&["clusterproperty", name])?;
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
        let get = ["get", "serviceimport", service, "--namespace", namespace, "--ignore-not-found", "--output", "name"];
        clock::wait_until(&format!("the import in {}", cluster.id), Duration::from_secs(60), || {
            Ok((!cluster.kubectl.run(&get)?.trim().is_empty()).then_some(()))
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

pub(crate) fn expired(pair: &mut Pair) -> Result<()> {
    let (before, _) = standing(&pair.west)?;
    pair.expire_after("15s")?;
    pair.relay.hold(true);
    let expired = pair.west.await_link("east", "Expired")?;
    ensure!(expired["expired"]["services"] != 0, "{expired}");
    await_slices(&pair.west, "payments", &[])?;
    let (meanwhile, _) = standing(&pair.west)?;
    ensure!(before == meanwhile, "the import went from {before} to {meanwhile}");
    pair.relay.hold(false);
    pair.west.await_link("east", "Connected")?;
    await_slices(&pair.west, "payments", &[("east", &["10.244.1.4", "10.244.1.5"])])?;
    pair.expire_after("15m")
}

pub(crate) fn both_restart(pair: &mut Pair) -> Result<()> {
    let before = (standing(&pair.east)?, standing(&pair.west)?);
    restart(&mut [&mut pair.east, &mut pair.west])?;
    pair.west.await_link("east", "Connected")?;
    pair.east.await_link("west", "Connected")?;
    answers(pair)?;
    let after = (standing(&pair.east)?, standing(&pair.west)?);
    ensure!(before == after, "rewritten: {before:?} became {after:?}");
    Ok(())
}

pub(crate) fn link_removed(pair: &mut Pair) -> Result<()> {
    pair.west.kubectl.run(&["delete", "clusterlink", "east"])?;
    no_import(&pair.west, "payments")?;
    // It exports it itself.
    import(&pair.west, "db", |import| import["status"]["clusters"] == json!([{ "cluster": "west" }])).map(drop)?;
    let east =
        pair.east.kubectl.run(&["get", "serviceimport", "payments", "--namespace", NAMESPACE, "--output", "name"])?;
    ensure!(!east.trim().is_empty(), "the exporting cluster keeps its own");
    Ok(())
}

/// All at once.
fn restart(clusters: &mut [&mut Cluster]) -> Result<()> {
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
