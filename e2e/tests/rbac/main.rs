//! The rules of the controller are enough, and none of them is too many: the API server's audit log shows that each is
//! used and nothing beside is asked for, and without any one of them something fails and says which.
//! The rules are read from the roles that stand in the API server, wherever those came from.
//!
//! ```text
//! missing  without a right: who says it, and where
//! work     what makes a controller use its rights
//! ```

mod missing;
#[path = "../support/mod.rs"]
mod support;
mod work;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::control_plane::audit;
use rollcall_e2e::install::{self, Installation};
use rollcall_e2e::rollcall::Controller;
use serde_json::json;
use support::page::{metric, readyz};
use support::roles::{self, ACCOUNT, DNS_ACCOUNT, Right, Role};
use support::shop::{With, unchecked};
use support::{BOUND, Shop, policies, step};
use work::{AUTHORITY, empty_authority, has_authority, machine, maintenance, write_something};

/// A ServiceAccount with Roles in single namespaces and no ClusterRole.
const SCOPED: &str = "rollcall-scoped";

#[test]
fn the_rules_are_enough_and_none_is_too_many() -> Result<()> {
    Shop::run("rbac", With::Audit, |shop| {
        step("everything is there and written with the rules of the manifests", || shop.await_written("203.0.113.10"))?;
        step("the accounts may do what their rules say, and nothing beside", || only_the_rules(shop))?;
        step("no registration may claim an address of the ServiceCIDR", || service_addresses_are_kept(shop))?;
        step("the rest of what a controller does is done once", || everything_else(shop))?;
        step("the audit log has each rule in use, and nothing that was forbidden", || each_is_used(shop))?;
        step("without rights to list or watch, a controller is not ready and says which", || {
            missing::without_reads(shop)
        })?;
        step("without rights to write, writes fail, and say which", || missing::without_writes(shop))?;
        step("without a right that machines lean on, their status says which", || missing::without_machines(shop))?;
        step("without a right in its own namespace, it says which", || missing::without_own(shop))?;
        step("with the rights back, all is made up for", || missing::made_up_for(shop))?;
        step("without the right to renew the Lease, nobody writes", || nobody_leads(shop))?;
        step("in one namespace, Roles are enough", || in_one_namespace(shop))
    })
}

fn only_the_rules(shop: &Shop) -> Result<()> {
    let rights = roles::all(&shop.kubectl)?;
    let may = |namespace| -> Result<Vec<bool>> {
        let questions: Vec<_> = rights.iter().map(|right| right.question(ACCOUNT, namespace)).collect();
        roles::answers(&shop.kubectl, &questions)
    };
    for ((right, here), elsewhere) in rights.iter().zip(may(None)?).zip(may(Some("default"))?) {
        ensure!(here, "the controller may not {right}");
        let everywhere = right.role == Role::Cluster || right.is_covered_by(&rights);
        ensure!(elsewhere == everywhere, "the controller may {right} elsewhere: {elsewhere}");
        ensure!(missing::VERBS.contains(&right.verb.as_str()), "a verb that this test does not know: {right}");
    }
    let beside = [
        ("get", "", "secrets"),
        ("list", "", "secrets"),
        ("list", "", "configmaps"),
        ("update", "", "services"),
        ("delete", "", "pods"),
        ("update", "rollcall.dev", "serviceregistrations"),
        ("patch", "rollcall.dev", "discoverypolicies"),
        ("patch", "coordination.k8s.io", "leases"),
    ];
    let mut questions = Vec::new();
    for (verb, group, resource) in beside {
        for (account, namespace) in
            [ACCOUNT, DNS_ACCOUNT].iter().flat_map(|its| [(its, "shop"), (its, install::NAMESPACE)])
        {
            questions.push(roles::question(account, verb, group, resource, None, namespace));
        }
    }
    let answers = roles::answers(&shop.kubectl, &questions)?;
    let wrong = questions.iter().zip(answers).find(|(_, allowed)| *allowed);
    ensure!(wrong.is_none(), "beside the rules: {wrong:?}");
    Ok(())
}

/// Nobody gave `--reserved-cidr`.
fn service_addresses_are_kept(shop: &Shop) -> Result<()> {
    let address = shop.kubectl.get(&["service", "payments", "-n", "shop"])?["spec"]["clusterIP"].clone();
    let endpoints = json!([{"name": "thief", "addresses": [address]}]);
    shop.kubectl.apply(&unchecked("thief", "thief", &endpoints).to_string())?;
    shop.api.await_condition(
        "thief",
        "Accepted",
        &["False", "the Services of this cluster (ServiceCIDR kubernetes)"],
    )?;
    shop.kubectl.delete(&["serviceregistration", "thief", "-n", "shop"])
}

/// Deletions, Events, a machine and a policy that come and go, and the authority: what a start and a first write do not need.
fn everything_else(shop: &Shop) -> Result<()> {
    write_something(shop, "shop", "gone")?;
    shop.api.await_condition("gone", "Published", &["True Published"])?;
    maintenance(shop, "gone", "rights are tested")?;
    clock::wait_until("the Event of it", BOUND, || {
        Ok(shop.api.events("gone")?.iter().any(|event| event.contains("rights are tested")).then_some(()))
    })?;
    shop.kubectl.delete(&["serviceregistration,service", "gone", "-n", "shop"])?;
    clock::wait_until("what was written of it to be gone", BOUND, || {
        Ok((shop.api.entry("gone").is_err() && shop.api.our_slices("gone")?.is_empty()).then_some(()))
    })?;
    let mut machine = machine(shop, "machine")?;
    machine.await_state("shop/machine", "registered", "")?;
    ensure!(machine.process.stop()?, "the agent did not end on SIGTERM");
    policies::come_and_go(shop)?;
    if has_authority(shop)? {
        empty_authority(shop)?;
        let mut one =
            Controller::start(&shop.binaries, &shop.installation, "controller-authority", shop.folder(), &AUTHORITY)?;
        one.wait_ready()?;
        // Not killed: a replica that ends takes its Lease along, at once.
        ensure!(one.process.stop()?, "it did not end on SIGTERM");
    }
    Ok(())
}

fn each_is_used(shop: &Shop) -> Result<()> {
    let rights = roles::all(&shop.kubectl)?;
    clock::wait_until("each right to be in the audit log", BOUND, || {
        let asked = audit::read(shop.folder())?;
        let used = |right: &Right| {
            asked.iter().filter(|request| request.user == ACCOUNT && !request.is_forbidden()).any(|request| {
                request.verbs().contains(&right.verb.as_str())
                    && (&request.group, &request.resource) == (&right.group, &right.resource)
                    && right.name.as_ref().is_none_or(|name| *name == request.name)
            })
        };
        let unused: Vec<_> = rights.iter().filter(|right| !used(right)).map(ToString::to_string).collect();
        if unused.is_empty() { Ok(Some(())) } else { bail!("never used: {unused:?}") }
    })?;
    let asked = audit::read(shop.folder())?;
    let forbidden: Vec<_> = asked.iter().filter(|request| request.is_forbidden()).map(ToString::to_string).collect();
    ensure!(forbidden.is_empty(), "forbidden: {forbidden:#?}");
    ensure!(!asked.iter().any(|request| request.user == DNS_ACCOUNT), "the DNS server asked the API server");
    println!("    {} rights, {} requests", rights.len(), asked.len());
    Ok(())
}

/// Whoever cannot renew the Lease stops writing before it runs out.
fn nobody_leads(shop: &Shop) -> Result<()> {
    let leaders = || -> Result<f64> {
        shop.rollcall.controllers.iter().map(|controller| metric(controller.http, "rollcall_leader", "")).sum()
    };
    let rights = roles::all(&shop.kubectl)?;
    let renew = rights.iter().find(|right| right.resource == "leases" && right.verb == "update").context("no rule")?;
    renew.without(&shop.kubectl, || {
        clock::wait_until("nobody to lead", BOUND, || Ok((leaders()? == 0.0).then_some(())))
    })?;
    clock::wait_until("one to lead again", BOUND, || Ok((leaders()? == 1.0).then_some(())))
}

/// `--watch-namespace`, with Roles alone: it serves and writes there, and asks for nothing else.
fn in_one_namespace(shop: &mut Shop) -> Result<()> {
    shop.kubectl.run(&["create", "namespace", "billing"])?;
    roles::scoped_account(&shop.kubectl, SCOPED, &["shop"])?;
    let kubeconfig = install::service_account(&shop.kubectl, SCOPED, shop.folder())?;
    let installation = Installation { controller: kubeconfig, ..shop.installation.clone() };
    let start = |name: &str, namespaces: &str| {
        let flags = ["--watch-namespace", namespaces, "--node-zones", "false", "--service-cidrs", "false"];
        Controller::start(&shop.binaries, &installation, name, shop.folder(), &flags)
    };
    let mut two = start("scoped-two", "shop,billing")?;
    let admin = two.http;
    two.process.wait_until("/readyz to name the namespace without a Role", BOUND, || {
        let (_, text) = readyz(admin)?;
        let said = ["pods/billing: listing pods in namespace billing is forbidden", "take billing off"];
        let others = text.lines().filter(|line| line.contains("/shop")).count();
        if said.iter().all(|said| text.contains(said)) && others == 0 { Ok(Some(())) } else { bail!("{text}") }
    })?;
    drop(two);
    let mut one = start("scoped-one", "shop")?;
    one.wait_ready()?;
    let killed = shop.rollcall.stop()?;
    ensure!(killed.is_empty(), "did not end on SIGTERM: {killed:?}");
    write_something(shop, "shop", "scoped")?;
    shop.api.await_condition("scoped", "Published", &["True Published"])?;
    clock::wait_until("its CatalogEntry", BOUND, || Ok((!shop.entry("scoped")?.is_empty()).then_some(())))?;
    ensure!(metric(one.http, "rollcall_source_objects", "namespace=\"shop\"")? > 0.0, "it holds nothing");
    one.process.stop()?;
    let user = format!("system:serviceaccount:{}:{SCOPED}", install::NAMESPACE);
    let mut asked = BTreeMap::new();
    for request in audit::read(shop.folder())?.into_iter().filter(|request| request.user == user) {
        let is_fine = !request.is_forbidden() && ["shop", install::NAMESPACE].contains(&request.namespace.as_str());
        // The other one asked for the namespace that it was told to watch.
        ensure!(is_fine || request.namespace == "billing", "it went beyond its namespaces: {request}");
        *asked.entry(request.namespace).or_insert(0) += 1;
    }
    println!("    requests by namespace: {asked:?}");
    Ok(())
}
