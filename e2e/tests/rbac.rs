//! The rules in `manifests/rbac.yaml` are enough, as every other test shows, and none of them is too many: without any
//! one of them something fails, and says so.

mod support;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{Kubectl, clock, http};
use serde_json::{Value, json};
use support::page::{metric, readyz};
use support::shop::{STEADY, With, unchecked};
use support::{BOUND, Shop, step};

const ACCOUNT: &str = "system:serviceaccount:rollcall-system:rollcall-controller";
const DNS_ACCOUNT: &str = "system:serviceaccount:rollcall-system:rollcall-dns";

/// One rule of a role: what may be done to what.
#[derive(Debug)]
struct Rule {
    verb: String,
    group: String,
    resource: String,
}

#[test]
fn the_rules_are_enough_and_none_is_too_many() -> Result<()> {
    Shop::run("rbac", With::NoEnvoy, |shop| {
        step("everything is there and written with the rules of the manifests", || shop.await_written("203.0.113.10"))?;
        step("the accounts may do what their rules say, and nothing beside", || only_the_rules(shop))?;
        step("without a rule to read, a controller is not ready and says which", || without_reading(shop))?;
        step("without a rule to write, the write fails and is counted, and made up for", || without_writing(shop))?;
        step("without a rule to delete, too", || without_deleting(shop))?;
        step("without a rule for Events, the log says so and the status is written", || without_events(shop))?;
        step("without a rule for the Lease, nobody writes", || without_lease(shop))
    })
}

fn rules(role: &Value) -> Vec<Rule> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let of_rule = |rule: &Value| {
        let (groups, resources, verbs) = (words(&rule["apiGroups"]), words(&rule["resources"]), words(&rule["verbs"]));
        let mut all = Vec::new();
        for group in &groups {
            for resource in &resources {
                let rule =
                    |verb: &String| Rule { verb: verb.clone(), group: group.clone(), resource: resource.clone() };
                all.extend(verbs.iter().map(rule));
            }
        }
        all
    };
    role["rules"].as_array().into_iter().flatten().flat_map(of_rule).collect()
}

fn may(kubectl: &Kubectl, account: &str, rule: &Rule, namespace: &str) -> bool {
    let (resource, sub) = rule.resource.split_once('/').unwrap_or((&rule.resource, ""));
    let target = if rule.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", rule.group) };
    // It ends with 1 for no.
    let ask = ["auth", "can-i", &rule.verb, &target, "--subresource", sub, "--as", account, "-n", namespace, "--quiet"];
    kubectl.run(&ask).is_ok()
}

fn only_the_rules(shop: &Shop) -> Result<()> {
    let role = shop.kubectl.get(&["clusterrole", "rollcall-controller"])?;
    for rule in rules(&role) {
        ensure!(may(&shop.kubectl, ACCOUNT, &rule, "shop"), "the controller may not {rule:?}");
    }
    let lease = shop.kubectl.get(&["role", "rollcall-controller", "-n", "rollcall-system"])?;
    let leases = rules(&lease);
    ensure!(leases.len() == 3, "the Role has other rules than those of the Lease: {leases:?}");
    for rule in leases {
        ensure!(may(&shop.kubectl, ACCOUNT, &rule, "rollcall-system"), "the controller may not {rule:?} where it is");
        ensure!(!may(&shop.kubectl, ACCOUNT, &rule, "shop"), "the controller may {rule:?} in other namespaces");
    }
    let refused = [
        ("get", "", "secrets"),
        ("list", "", "configmaps"),
        ("update", "", "services"),
        ("delete", "", "pods"),
        ("patch", "rollcall.dev", "serviceregistrations"),
        ("delete", "rollcall.dev", "serviceregistrations"),
    ];
    for (verb, group, resource) in refused {
        let rule = Rule { verb: verb.into(), group: group.into(), resource: resource.into() };
        ensure!(!may(&shop.kubectl, ACCOUNT, &rule, "shop"), "the controller may {rule:?}");
        ensure!(!may(&shop.kubectl, DNS_ACCOUNT, &rule, "shop"), "the DNS server may {rule:?}");
    }
    Ok(())
}

/// Does something while the ClusterRole lacks `verb` on `resource`.
fn without<T>(shop: &Shop, verb: &str, resource: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let whole = shop.kubectl.get(&["clusterrole", "rollcall-controller"])?["rules"].take();
    let mut less = whole.clone();
    for rule in less.as_array_mut().into_iter().flatten() {
        let of_it = rule["resources"].as_array().is_some_and(|resources| resources.iter().any(|its| its == resource));
        if of_it && let Some(verbs) = rule["verbs"].as_array_mut() {
            verbs.retain(|its| its != verb);
        }
    }
    // A rule without verbs is refused.
    if let Some(rules) = less.as_array_mut() {
        rules.retain(|rule| rule["verbs"] != json!([]));
    }
    ensure!(less != whole, "no rule of the ClusterRole says {verb} {resource}");
    let patch = |rules: &Value| {
        let patch = json!({"rules": rules}).to_string();
        shop.kubectl.run(&["patch", "clusterrole", "rollcall-controller", "--type", "merge", "--patch", &patch])
    };
    patch(&less)?;
    let outcome = await_rule(shop, verb, resource, false).and_then(|()| body());
    patch(&whole)?;
    await_rule(shop, verb, resource, true)?;
    outcome
}

/// The authorizer learns of a changed role by a watch, a moment later.
fn await_rule(shop: &Shop, verb: &str, resource: &str, holds: bool) -> Result<()> {
    let group = match resource {
        "services" | "pods" | "nodes" => "",
        "endpointslices" => "discovery.k8s.io",
        "events" => "events.k8s.io",
        _ => "rollcall.dev",
    };
    let rule = Rule { verb: verb.into(), group: group.into(), resource: resource.into() };
    let what = format!("{rule:?} to be {}", if holds { "back" } else { "gone" });
    clock::wait_until(&what, BOUND, || Ok((may(&shop.kubectl, ACCOUNT, &rule, "shop") == holds).then_some(())))
}

/// A new controller for each rule that is taken away: those that run have listed already.
fn without_reading(shop: &Shop) -> Result<()> {
    for resource in ["services", "pods", "nodes", "endpointslices", "serviceregistrations"] {
        without(shop, "list", resource, || {
            let name = format!("controller-without-{resource}");
            let mut blind = Controller::start(&shop.binaries, &shop.installation, &name, shop.folder(), &[])?;
            let admin = blind.http;
            blind.process.wait_until(&format!("/readyz to say that {resource} cannot be listed"), BOUND, || {
                let (status, text) = readyz(admin)?;
                let said = text.contains(&format!("not ready: {resource}: listing {resource} fails"))
                    && text.contains("forbidden");
                if status != 200 && said { Ok(Some(())) } else { bail!("{status}: {text}") }
            })
        })?;
    }
    Ok(())
}

fn without_writing(shop: &Shop) -> Result<()> {
    let cases = [
        ("create", "endpointslices", "endpointslice"),
        ("patch", "endpointslices", "endpointslice"),
        ("create", "catalogentries", "catalogentry"),
        ("patch", "catalogentries", "catalogentry"),
        ("patch", "serviceregistrations/status", "status"),
    ];
    for (index, (verb, resource, object)) in cases.into_iter().enumerate() {
        let service = format!("new-{index}");
        without(shop, verb, resource, || {
            let before = refused(shop, object)?;
            write_something(shop, &service)?;
            await_refused(shop, object, before).with_context(|| format!("without {verb} {resource}"))
        })?;
        // With the rule back it is made up for.
        shop.api.await_condition(&service, "Published", &["True Published"])?;
        clock::wait_until(&format!("the CatalogEntry of {service}"), BOUND, || {
            Ok((!shop.entry(&service)?.is_empty()).then_some(()))
        })?;
    }
    ensure!(!shop.entry(STEADY)?.is_empty(), "something else was harmed");
    Ok(())
}

fn without_deleting(shop: &Shop) -> Result<()> {
    // Slices go with the registration while the Service stays, and the CatalogEntry when both are gone.
    let cases = [
        ("new-0", "serviceregistration", "endpointslices", "endpointslice"),
        ("new-1", "serviceregistration,service", "catalogentries", "catalogentry"),
    ];
    for (service, deleted, resource, object) in cases {
        without(shop, "delete", resource, || {
            let before = refused(shop, object)?;
            shop.kubectl.delete(&[deleted, service, "-n", "shop"])?;
            await_refused(shop, object, before).with_context(|| format!("without delete {resource}"))
        })?;
        clock::wait_until(&format!("what nobody may delete of {service} to be gone"), BOUND, || {
            let gone = if object == "catalogentry" { shop.api.entry(service).is_err() } else { true };
            Ok((gone && shop.api.our_slices(service)?.is_empty()).then_some(()))
        })?;
    }
    Ok(())
}

fn without_events(shop: &Shop) -> Result<()> {
    without(shop, "create", "events", || {
        let log = shop.rollcall.controllers[shop.leader()?].process.log().to_path_buf();
        let path =
            json!([{"op": "add", "path": "/spec/maintenance", "value": {"reason": "rules are tested"}}]).to_string();
        let patch = ["patch", "serviceregistration", STEADY, "-n", "shop", "--type", "json", "--patch", &path];
        shop.kubectl.run(&patch)?;
        clock::wait_until("the log to say that an Event could not be published", BOUND, || {
            let log = std::fs::read_to_string(&log)?;
            Ok(log
                .lines()
                .any(|line| line.contains("event could not be published") && line.contains("forbidden"))
                .then_some(()))
        })
    })?;
    // The status, which Events only retell, says it all the same.
    shop.api.await_condition(STEADY, "Ready", &["False Maintenance", "rules are tested"]).map(drop)
}

/// The Role of the Lease. Whoever cannot renew it stops writing before it runs out.
fn without_lease(shop: &Shop) -> Result<()> {
    let patch = |verbs: &Value| {
        let rules = json!([{"op": "replace", "path": "/rules/0/verbs", "value": verbs}]).to_string();
        let role =
            ["patch", "role", "rollcall-controller", "-n", "rollcall-system", "--type", "json", "--patch", &rules];
        shop.kubectl.run(&role)
    };
    let leaders = || -> Result<f64> {
        shop.rollcall.controllers.iter().map(|controller| metric(controller.http, "rollcall_leader", "")).sum()
    };
    patch(&json!(["get", "create"]))?;
    clock::wait_until("nobody to lead without update leases", BOUND, || Ok((leaders()? == 0.0).then_some(())))?;
    patch(&json!(["get", "create", "update"]))?;
    clock::wait_until("one to lead again", BOUND, || Ok((leaders()? == 1.0).then_some(())))
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

fn await_refused(shop: &Shop, object: &str, before: f64) -> Result<()> {
    clock::wait_until(&format!("a refused write of a {object}"), BOUND, || {
        Ok((refused(shop, object)? > before).then_some(()))
    })
}

/// A Service with a registration: all kinds of objects are written for it.
fn write_something(shop: &Shop, service: &str) -> Result<()> {
    let of_it = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    shop.kubectl.apply(&of_it.to_string())?;
    let endpoints = json!([{"name": "only", "addresses": ["203.0.113.40"]}]);
    shop.kubectl.apply(&unchecked(service, service, &endpoints).to_string()).map(drop)
}
