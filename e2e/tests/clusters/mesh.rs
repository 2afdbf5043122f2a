//! Three clusters, each linked with each: what all of them export is one service, answered alike in each; nothing comes back and
//! nothing is there twice, also once one of them exports it no more, and when all controllers have started anew at once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::linked::Link;
use serde_json::{Value, json};

use crate::cases::{http, is_of};
use crate::cluster::{Cluster, each};
use crate::line;
use crate::pair::{
    NAMESPACE, Pair, Slices, await_slices, by_cluster, endpoints, import, name, resolves, service, slices,
};
use crate::support::BOUND;

/// A headless Service of all three, so that its names say every endpoint: in the clusterset's domain, and, as the links merge,
/// in each cluster's own.
const ALL: &str = "everywhere";
/// Whose endpoints are which.
type Of = [(&'static str, &'static [&'static str])];
const FIRST: [(&str, &[&str]); 3] =
    [("east", &["10.244.1.71", "10.244.1.72"]), ("north", &["10.246.1.71"]), ("west", &["10.245.1.71"])];
const WITHOUT_WEST: &Of = &[FIRST[0], FIRST[1]];
/// Two of them have other endpoints, by which it is seen that each of the others hears them.
const LATER: &Of = &[("east", &["10.244.1.72"]), ("north", &["10.246.1.71", "10.246.1.72"])];
/// Of a Service with addresses of its own, under which clusters have one import each.
const PAYMENTS: [(&str, &[&str]); 3] =
    [("east", &["10.244.1.4", "10.244.1.5"]), ("north", &["10.246.1.9"]), ("west", &["10.245.1.9"])];

/// What must not be written anew: the spec of an import, its slices, and those of the local Service of that name.
type Standing = (Value, Slices, Slices);

/// Links the third with both, and has all of them export the same.
pub(crate) fn joined(pair: &mut Pair, north: Cluster) -> Result<()> {
    pair.north = Some(north);
    let all = pair.all();
    let when_silent = json!({ "suspectAfter": "10s", "expireAfter": "15m" });
    let link = Link { namespaces: vec![NAMESPACE.to_owned()], merge: true, when_silent };
    each(&all, |cluster| {
        for other in all.iter().filter(|other| other.id != cluster.id) {
            if cluster.id == "north" || other.id == "north" {
                cluster.import_from(other, &link, None)?;
            } else {
                let merge = json!({ "spec": { "import": { "merge": true } } }).to_string();
                cluster.kubectl.run(&["patch", "clusterlink", other.id, "--type", "merge", "--patch", &merge])?;
            }
        }
        exports(cluster)
    })?;
    everybody_hears(&all)?;
    alike(&all, &FIRST)?;
    each(&all, |cluster| {
        let import = import(cluster, "payments", |import| {
            import["spec"]["ports"] == http(80) && is_of(import, &["east", "north", "west"])
        })?;
        await_slices(cluster, "payments", &PAYMENTS)?;
        let ip = import["spec"]["ips"][0].as_str().context("an address")?.to_owned();
        resolves(cluster, &name("payments"), "A", &[ip])
    })
}

/// What a cluster exports; east and west have `payments` already, and east exports it.
fn exports(cluster: &Cluster) -> Result<()> {
    service(cluster, ALL, json!({ "clusterIP": "None", "ports": [{ "name": "http", "port": 8080 }] }))?;
    says(cluster, &FIRST)?;
    cluster.export(NAMESPACE, ALL)?;
    if cluster.id == "north" {
        service(cluster, "payments", json!({ "ports": http(80) }))?;
        endpoints(cluster, "payments", ("http", 8002), &[("", "10.246.1.9")])?;
    }
    cluster.export(NAMESPACE, "payments")
}

/// A cluster's own endpoints.
fn says(cluster: &Cluster, of: &[(&str, &[&str])]) -> Result<()> {
    let own = of.iter().filter(|(id, _)| *id == cluster.id).flat_map(|(_, ips)| ips.iter().map(|ip| ("", *ip)));
    let own: Vec<_> = own.collect();
    if own.is_empty() { Ok(()) } else { endpoints(cluster, ALL, ("http", 8080), &own) }
}

/// The west exports it no more; there it stays what it was for callers by its own name.
pub(crate) fn withdrawn(pair: &mut Pair) -> Result<()> {
    pair.west.kubectl.run(&["delete", "serviceexport", ALL, "--namespace", NAMESPACE])?;
    alike(&pair.all(), WITHOUT_WEST)
}

pub(crate) fn all_restart(pair: &mut Pair) -> Result<()> {
    let standing = |pair: &Pair, service: &str| -> Result<Vec<Standing>> {
        pair.all().into_iter().map(|cluster| standing(cluster, service)).collect()
    };
    let before = (standing(pair, ALL)?, standing(pair, "payments")?);
    line::restart(&mut pair.all_mut())?;
    everybody_hears(&pair.all())?;
    let after = (standing(pair, ALL)?, standing(pair, "payments")?);
    ensure!(before == after, "rewritten: {before:?} became {after:?}");
    line::answers(pair)?;
    // By what changes now it is seen that all of them are at work; what they were going to write has been written by then.
    each(&pair.all(), |cluster| says(cluster, LATER))?;
    alike(&pair.all(), LATER)?;
    let after = standing(pair, "payments")?;
    ensure!(before.1 == after, "rewritten: {:?} became {after:?}", before.1);
    Ok(())
}

fn standing(cluster: &Cluster, service: &str) -> Result<Standing> {
    let import = cluster.get("serviceimports", service)?["spec"].take();
    Ok((import, slices(cluster, service)?, merged(cluster, service)?))
}

/// Waits until each hears both of the others.
fn everybody_hears(all: &[&Cluster]) -> Result<()> {
    each(all, |cluster| all.iter().filter(|other| other.id != cluster.id).try_for_each(|other| cluster.hears(other.id)))
}

/// Waits until each has [`ALL`] as a service of these clusters: in its import, in one slice for each of them, and by both names.
/// Nobody has anything else of it, but for its own endpoints by its own name.
fn alike(all: &[&Cluster], of: &[(&str, &[&str])]) -> Result<()> {
    let ports = json!([{ "name": "http", "port": 8080, "protocol": "TCP" }]);
    let exporters: Vec<_> = of.iter().map(|(id, _)| *id).collect();
    each(all, |cluster| {
        import(cluster, ALL, |import| {
            let spec = &import["spec"];
            spec["type"] == "Headless" && spec["ports"] == ports && is_of(import, &exporters)
        })?;
        let seen = await_slices(cluster, ALL, of)?;
        ensure!(seen.versions.len() == of.len(), "not one slice of each cluster: {:?}", seen.versions);
        let others: Vec<_> = of.iter().filter(|(id, _)| *id != cluster.id).copied().collect();
        let others = by_cluster(&others);
        clock::wait_until(&format!("what merges into {ALL} of {}", cluster.id), BOUND, || {
            let seen = merged(cluster, ALL)?.addresses;
            ensure!(seen == others, "{seen:?} and not {others:?}");
            Ok(Some(()))
        })?;
        resolves(cluster, &name(ALL), "A", &addresses(of.iter()))?;
        let withdrawn = FIRST.iter().filter(|(id, _)| *id == cluster.id && !exporters.contains(id));
        let own_name = format!("{ALL}.{NAMESPACE}.svc.cluster.local");
        resolves(cluster, &own_name, "A", &addresses(of.iter().chain(withdrawn)))
    })
}

/// All of them, as a DNS server's answer has them.
fn addresses<'a>(of: impl Iterator<Item = &'a (&'a str, &'a [&'a str])>) -> Vec<String> {
    let ips: BTreeSet<_> = of.flat_map(|(_, ips)| ips.iter().map(|ip| (*ip).to_owned())).collect();
    ips.into_iter().collect()
}

/// What was written of others for the local Service of a name.
fn merged(cluster: &Cluster, service: &str) -> Result<Slices> {
    Slices::of(&cluster.api.our_slices(service)?)
}
