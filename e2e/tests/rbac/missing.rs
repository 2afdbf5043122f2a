//! Without a right, somebody says so, and names it; with the right back, what was left undone is made up for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{clock, http, install};

use crate::support::page::readyz;
use crate::support::roles::{self, Right, Role};
use crate::support::shop::STEADY;
use crate::support::{BOUND, Shop, policies};
use crate::work::{AUTHORITY, await_written, empty_authority, machine, maintenance, write_something, written};

const READS: &[&str] = &["list", "watch"];

/// Those that this file knows how to make the controller use.
pub(crate) const VERBS: &[&str] = &["list", "watch", "create", "patch", "update", "delete", "get"];

/// A controller that starts without any right to list, or to watch, names each that it misses. Those that run have listed
/// already.
pub(crate) fn without_reads(shop: &Shop) -> Result<()> {
    for verb in READS {
        let rights = roles::all(&shop.kubectl)?.into_iter();
        let rights = rights.filter(|right| right.role == Role::Cluster && right.verb == *verb);
        // What the catalog is not made of is asked for by who has a catalog.
        let (beside, needed): (Vec<_>, Vec<_>) = rights.partition(is_beside);
        for (rights, what) in [(needed, "sources"), (beside, "beside")] {
            let name = format!("controller-without-{verb}-{what}");
            roles::without(&shop.kubectl, &rights, || a_new_controller_complains(shop, &rights, &name, &[]))?;
            println!("    {verb} {what}: {} rights", rights.len());
        }
    }
    Ok(())
}

/// Whether it is for the write-back or beats alone, which keep nobody from serving.
fn is_beside(right: &Right) -> bool {
    matches!(&*right.resource, "catalogentries" | "leases")
}

/// Rights that are taken away together, in a namespace of its own.
type Group = (&'static str, fn(&Right) -> bool);

/// Rights to write are taken away in groups, each in a namespace of its own: where a right was missing, nothing is tried for
/// a while.
const WRITES: [Group; 4] = [
    ("without-create", |right| {
        matches!(
            (&*right.resource, &*right.verb),
            ("endpointslices" | "catalogentries", "create") | ("serviceregistrations/status", "patch")
        )
    }),
    // Events follow a status that was written.
    ("without-events", |right| matches!(&*right.resource, "events" | "discoverypolicies/status")),
    ("without-patch", |right| {
        matches!((&*right.resource, &*right.verb), ("endpointslices" | "catalogentries", "patch"))
    }),
    ("without-delete", |right| {
        matches!((&*right.resource, &*right.verb), ("endpointslices" | "catalogentries", "delete"))
    }),
];

pub(crate) fn without_writes(shop: &Shop) -> Result<()> {
    let all = roles::all(&shop.kubectl)?.into_iter();
    let is_write = |right: &Right| right.role == Role::Cluster && !READS.contains(&&*right.verb) && !of_machines(right);
    let rights: Vec<_> = all.filter(is_write).collect();
    let unknown = rights.iter().find(|right| !WRITES.iter().any(|(_, has)| has(right)));
    ensure!(unknown.is_none(), "this test does not know what makes the controller use {unknown:?}: add it to a group");
    for (namespace, _) in WRITES {
        shop.kubectl.run(&["create", "namespace", namespace])?;
    }
    write_something(shop, "without-delete", "db")?;
    await_written(shop, "without-delete", "db")?;
    for (namespace, has) in WRITES {
        let rights: Vec<_> = rights.iter().filter(|right| has(right)).cloned().collect();
        somebody_complains(shop, &rights, || match namespace {
            // Slices go with the registration while the Service stays, and the CatalogEntry when both are gone.
            "without-delete" => {
                let gone = |kind: &str| shop.kubectl.delete(&[kind, "db", "-n", namespace]);
                gone("serviceregistration").and_then(|()| gone("service"))
            }
            "without-events" => maintenance(shop, STEADY, "rules are tested").and_then(|()| policies::apply(shop)),
            _ => write_something(shop, namespace, "db"),
        })?;
        println!("    {namespace}: {} rights", rights.len());
    }
    // The status, which Events only retell, says it all the same.
    shop.api.await_condition(STEADY, "Ready", &["False Maintenance", "rules are tested"]).map(drop)
}

/// What could not be written is, with the rights back. It is not tried again at once, so this comes after what else there is
/// to see.
pub(crate) fn made_up_for(shop: &Shop) -> Result<()> {
    policies::await_status(shop)?;
    await_written(shop, "without-create", "db")?;
    await_written(shop, "without-patch", "db")?;
    clock::wait_until("what nobody might delete to be gone", BOUND, || {
        let (slices, entries) = written(shop, "without-delete")?;
        Ok((slices.is_empty() && entries.is_empty()).then_some(()))
    })
}

/// Whether it is there for agents on machines.
fn of_machines(right: &Right) -> bool {
    matches!(&*right.resource, "tokenreviews" | "subjectaccessreviews" | "serviceregistrations")
}

/// Right by right: each is needed before the next is missed.
pub(crate) fn without_machines(shop: &Shop) -> Result<()> {
    let rights = roles::all(&shop.kubectl)?.into_iter();
    let rights = rights.filter(|right| right.role == Role::Cluster && !READS.contains(&&*right.verb));
    for right in rights.filter(of_machines) {
        let start = clock::now();
        let service = format!("without-{}-{}", right.verb, right.resource);
        let outcome = if right.verb == "delete" {
            a_machine_stays(shop, &right, &service)
        } else {
            a_machine_complains(shop, &right, &service)
        };
        outcome.with_context(|| format!("without {right}"))?;
        println!("    {right}: {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(())
}

/// Its status says which right the controllers miss; with the right back it is registered all the same.
fn a_machine_complains(shop: &Shop, right: &Right, service: &str) -> Result<()> {
    let mut machine = right.without(&shop.kubectl, || {
        let machine = machine(shop, service)?;
        clock::wait_until("the status of the agent to complain", BOUND, || {
            let (_, said) = machine.command(&["status"])?;
            if right.is_missed_in(&said)? { Ok(Some(())) } else { bail!("{said}") }
        })?;
        Ok(machine)
    })?;
    machine.await_state(&format!("shop/{service}"), "registered", "")?;
    ensure!(machine.process.stop()?, "the agent did not end on SIGTERM");
    Ok(())
}

/// What it registered stays while nobody may delete it, and goes then.
fn a_machine_stays(shop: &Shop, right: &Right, service: &str) -> Result<()> {
    let mut machine = machine(shop, service)?;
    machine.await_state(&format!("shop/{service}"), "registered", "")?;
    somebody_complains(shop, std::slice::from_ref(right), || {
        machine.process.terminate();
        Ok(())
    })?;
    clock::wait_until("what nobody might delete to be gone", BOUND, || Ok(shop.agents_left(service)?.then_some(())))
}

/// What only the controller's own namespace gives, right by right: each is needed before the next is missed.
pub(crate) fn without_own(shop: &Shop) -> Result<()> {
    let rights = roles::all(&shop.kubectl)?;
    for right in rights.iter().filter(|right| right.role == Role::Own && !right.is_covered_by(&rights)) {
        let start = clock::now();
        without_one(shop, right).with_context(|| format!("without {right}"))?;
        println!("    {right}: {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(())
}

fn without_one(shop: &Shop, right: &Right) -> Result<()> {
    let one = std::slice::from_ref(right);
    match (right.resource.as_str(), right.verb.as_str()) {
        ("leases", "get" | "update") => somebody_complains(shop, one, || Ok(()))?,
        ("leases", "delete") => roles::without(&shop.kubectl, one, || who_leaves_complains(shop, right))?,
        ("leases", "create") => somebody_complains(shop, one, || {
            shop.kubectl.delete(&["lease", "rollcall-controller", "-n", install::NAMESPACE])
        })?,
        ("secrets" | "configmaps", "get" | "update") => {
            empty_authority(shop)?;
            let name = format!("controller-without-{}-{}", right.verb, right.resource);
            roles::without(&shop.kubectl, one, || a_new_controller_complains(shop, one, &name, &AUTHORITY))?;
        }
        _ => bail!("this test does not know what the right is for: add what makes the controller use it"),
    }
    if right.resource == "leases" { shop.leader().map(drop) } else { Ok(()) }
}

/// Those that run have listed already, and have their certificate.
fn a_new_controller_complains(shop: &Shop, rights: &[Right], name: &str, flags: &[&str]) -> Result<()> {
    let mut blind = Controller::start(&shop.binaries, &shop.installation, name, shop.folder(), flags)?;
    let (admin, log) = (blind.http, blind.process.log().to_path_buf());
    let serves = rights.iter().all(is_beside);
    blind.process.wait_until(&format!("{name} to complain"), BOUND, || {
        let (status, text) = readyz(admin)?;
        ensure!((status == 200) == serves, "{status}: {text}");
        let said = if serves { std::fs::read_to_string(&log)? } else { text };
        for right in rights {
            ensure!(right.is_missed_in(&said)?, "no word of {right}: {said}");
        }
        Ok(Some(()))
    })
}

/// A replica takes its Lease along when it ends.
fn who_leaves_complains(shop: &Shop, right: &Right) -> Result<()> {
    let mut leaves = Controller::start(&shop.binaries, &shop.installation, "controller-leaves", shop.folder(), &[])?;
    leaves.wait_ready().and_then(|()| leaves.process.stop())?;
    let said = right.is_missed_in(&std::fs::read_to_string(leaves.process.log())?)?;
    if said { Ok(()) } else { bail!("it does not say what it could not remove") }
}

/// Waits for a line about each of the rights in the log of one of the controllers that run, and for the counters of refused
/// writes.
fn somebody_complains(shop: &Shop, rights: &[Right], body: impl FnOnce() -> Result<()>) -> Result<()> {
    let logs: Vec<PathBuf> =
        shop.rollcall.controllers.iter().map(|controller| controller.process.log().to_path_buf()).collect();
    let read = |log: &PathBuf| std::fs::read_to_string(log).with_context(|| log.display().to_string());
    let before = logs.iter().map(|log| Ok(read(log)?.len())).collect::<Result<Vec<_>>>()?;
    let counted: BTreeSet<_> = rights.iter().filter_map(counter).collect();
    let refused_before = counted.iter().map(|object| refused(shop, object)).collect::<Result<Vec<_>>>()?;
    roles::without(&shop.kubectl, rights, || {
        body()?;
        for right in rights {
            clock::wait_until(&format!("a log to say that {} is forbidden", right.complaint()?), BOUND, || {
                for (log, before) in logs.iter().zip(&before) {
                    if right.is_missed_in(read(log)?.get(*before..).unwrap_or_default())? {
                        return Ok(Some(()));
                    }
                }
                Ok(None)
            })?;
        }
        for (object, before) in counted.iter().zip(&refused_before) {
            clock::wait_until(&format!("the refused write of a {object} to be counted"), BOUND, || {
                Ok((refused(shop, object)? > *before).then_some(()))
            })?;
        }
        Ok(())
    })
}

/// The label of the counter of refused writes of what a right is about.
fn counter(right: &Right) -> Option<&'static str> {
    match right.resource.as_str() {
        "endpointslices" => Some("endpointslice"),
        "catalogentries" => Some("catalogentry"),
        "serviceregistrations/status" => Some("status"),
        "discoverypolicies/status" => Some("policystatus"),
        _ => None,
    }
}

/// Writes of a kind that the API server has refused to the leader.
fn refused(shop: &Shop, object: &str) -> Result<f64> {
    let admin = shop.rollcall.controllers[shop.leader()?].http;
    let page = http::get(admin, "/metrics")?.body;
    let sample = format!("rollcall_writeback_writes_total{{object=\"{object}\",result=\"refused\"}}");
    let value = page.lines().find_map(|line| line.strip_prefix(&sample)).map(|value| value.trim().parse());
    // A counter appears when it first counts.
    Ok(value.transpose().context("a metric that is no number")?.unwrap_or(0.0))
}
