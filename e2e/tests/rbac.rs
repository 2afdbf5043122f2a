//! The rules of the controller are enough, and none of them is too many: the API server's audit log shows that each is
//! used and nothing beside is asked for, and without any one of them something fails and says which.
//! The rules are read from the roles that stand in the API server, wherever those came from.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::agent::{self, Agent, Settings};
use rollcall_e2e::control_plane::audit;
use rollcall_e2e::install::{self, Installation};
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{clock, http};
use serde_json::json;
use support::page::{metric, readyz};
use support::roles::{self, ACCOUNT, DNS_ACCOUNT, Right, Role};
use support::shop::{STEADY, With, unchecked};
use support::{BOUND, Shop, policies, step};

/// A ServiceAccount with Roles in single namespaces and no ClusterRole.
const SCOPED: &str = "rollcall-scoped";
const AUTHORITY: [&str; 4] = ["--tls", "authority", "--tls-dns-name", "localhost"];

#[test]
fn the_rules_are_enough_and_none_is_too_many() -> Result<()> {
    Shop::run("rbac", With::Audit, |shop| {
        step("everything is there and written with the rules of the manifests", || shop.await_written("203.0.113.10"))?;
        step("the accounts may do what their rules say, and nothing beside", || only_the_rules(shop))?;
        step("no registration may claim an address of the ServiceCIDR", || service_addresses_are_kept(shop))?;
        step("the rest of what a controller does is done once", || everything_else(shop))?;
        step("the audit log has each rule in use, and nothing that was forbidden", || each_is_used(shop))?;
        for (what, verbs, role) in [
            ("without a right to list or watch, a controller is not ready and says which", READS, Role::Cluster),
            ("without a right to write, the write fails and says which, and is made up for", WRITES, Role::Cluster),
            ("without a right in its own namespace, it says which", ALL, Role::Own),
        ] {
            step(what, || without_each(shop, verbs, role))?;
        }
        step("without the right to renew the Lease, nobody writes", || nobody_leads(shop))?;
        step("in one namespace, Roles are enough", || in_one_namespace(shop))
    })
}

const READS: &[&str] = &["list", "watch"];
const WRITES: &[&str] = &["create", "patch", "update", "delete", "get"];
const ALL: &[&str] = &["list", "watch", "create", "patch", "update", "delete", "get"];

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
        ensure!(ALL.contains(&right.verb.as_str()), "a verb that this test does not know: {right}");
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
    write_something(shop, "gone")?;
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
        Controller::start(&shop.binaries, &shop.installation, "controller-authority", shop.folder(), &AUTHORITY)?
            .wait_ready()?;
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

/// Takes away one right at a time, does what needs it, and waits until somebody complains.
fn without_each(shop: &Shop, verbs: &[&str], role: Role) -> Result<()> {
    let rights = roles::all(&shop.kubectl)?;
    let alone = |right: &&Right| right.role == role && !right.is_covered_by(&rights);
    for right in rights.iter().filter(alone).filter(|right| verbs.contains(&right.verb.as_str())) {
        without_one(shop, right).with_context(|| format!("without {right}"))?;
        println!("    {right}");
    }
    Ok(())
}

fn without_one(shop: &Shop, right: &Right) -> Result<()> {
    let service = format!("without-{}", label(right));
    match (right.resource.as_str(), right.verb.as_str()) {
        ("leases", "get" | "update") => somebody_complains(shop, right, || Ok(()))?,
        ("leases", "delete") => right.without(&shop.kubectl, || who_leaves_complains(shop, right))?,
        (_, "list" | "watch") => right.without(&shop.kubectl, || a_new_controller_complains(shop, right, &[]))?,
        ("endpointslices" | "catalogentries", "create" | "patch") | ("serviceregistrations/status", "patch") => {
            somebody_complains(shop, right, || write_something(shop, &service))?;
            // With the right back it is made up for.
            shop.api.await_condition(&service, "Published", &["True Published"])?;
            clock::wait_until("its CatalogEntry", BOUND, || Ok((!shop.entry(&service)?.is_empty()).then_some(())))?;
        }
        ("discoverypolicies/status", "patch") => {
            somebody_complains(shop, right, || policies::apply(shop)).and_then(|()| policies::await_status(shop))?;
        }
        ("endpointslices" | "catalogentries", "delete") => without_deletion(shop, right, &service)?,
        ("events", "create") => {
            somebody_complains(shop, right, || maintenance(shop, STEADY, "rules are tested"))?;
            // The status, which Events only retell, says it all the same.
            shop.api.await_condition(STEADY, "Ready", &["False Maintenance", "rules are tested"])?;
        }
        ("tokenreviews" | "subjectaccessreviews", "create") | ("serviceregistrations", "create" | "patch") => {
            a_machine_complains(shop, right)?;
        }
        ("serviceregistrations", "delete") => {
            let mut machine = machine(shop, &service)?;
            machine.await_state(&format!("shop/{service}"), "registered", "")?;
            somebody_complains(shop, right, || {
                machine.process.terminate();
                Ok(())
            })?;
            clock::wait_until("what nobody might delete to be gone", BOUND, || {
                Ok(shop.agents_left(&service)?.then_some(()))
            })?;
        }
        ("leases", "create") => somebody_complains(shop, right, || {
            shop.kubectl.delete(&["lease", "rollcall-controller", "-n", install::NAMESPACE])
        })?,
        ("secrets" | "configmaps", "get" | "update") => {
            empty_authority(shop)?;
            right.without(&shop.kubectl, || a_new_controller_complains(shop, right, &AUTHORITY))?;
        }
        _ => bail!("this test does not know what the right is for: add what makes the controller use it"),
    }
    if right.resource == "leases" { shop.leader().map(drop) } else { Ok(()) }
}

/// An agent that registers a service of this name.
fn machine(shop: &Shop, service: &str) -> Result<Agent> {
    let token = agent::account(&shop.kubectl, "shop", service)?;
    let file = format!(
        "service = \"{service}\"\nnamespace = \"shop\"\naddresses = [\"203.0.113.41\"]\nports = 80\ndrain = \"0s\"\n"
    );
    let settings = Settings {
        machine: service,
        controllers: shop.rollcall.catalogs().iter().map(|address| format!("http://{address}")).collect(),
        token: &token,
        more: "",
        services: &[("service.toml", &file)],
    };
    Agent::start(&shop.binaries.agent, &settings, shop.folder())
}

/// Its status says which right the controllers miss; with the right back it is registered all the same.
fn a_machine_complains(shop: &Shop, right: &Right) -> Result<()> {
    let service = format!("without-{}", label(right));
    let mut machine = right.without(&shop.kubectl, || {
        let machine = machine(shop, &service)?;
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

/// What nobody may delete goes as soon as somebody may: slices with the registration, an entry with the Service, too.
fn without_deletion(shop: &Shop, right: &Right, service: &str) -> Result<()> {
    write_something(shop, service)?;
    shop.api.await_condition(service, "Published", &["True Published"])?;
    clock::wait_until("its CatalogEntry", BOUND, || Ok((!shop.entry(service)?.is_empty()).then_some(())))?;
    let kinds = if right.resource == "endpointslices" { "serviceregistration" } else { "serviceregistration,service" };
    somebody_complains(shop, right, || shop.kubectl.delete(&[kinds, service, "-n", "shop"]))?;
    clock::wait_until("what nobody might delete to be gone", BOUND, || {
        let entry_is_right = right.resource == "endpointslices" || shop.api.entry(service).is_err();
        Ok((entry_is_right && shop.api.our_slices(service)?.is_empty()).then_some(()))
    })
}

fn label(right: &Right) -> String {
    format!("{}-{}", right.verb, right.resource.replace('/', "-"))
}

/// Those that run have listed already.
fn a_new_controller_complains(shop: &Shop, right: &Right, flags: &[&str]) -> Result<()> {
    let name = format!("controller-without-{}", label(right));
    let mut blind = Controller::start(&shop.binaries, &shop.installation, &name, shop.folder(), flags)?;
    let (admin, log) = (blind.http, blind.process.log().to_path_buf());
    // What only the write-back needs keeps nobody from serving.
    let serves = matches!(right.resource.as_str(), "catalogentries" | "leases");
    blind.process.wait_until(&format!("{name} to complain"), BOUND, || {
        let (status, text) = readyz(admin)?;
        let said = if serves { std::fs::read_to_string(&log)? } else { text.clone() };
        if right.is_missed_in(&said)? && (status == 200) == serves { Ok(Some(())) } else { bail!("{status}: {text}") }
    })
}

/// A replica takes its Lease along when it ends.
fn who_leaves_complains(shop: &Shop, right: &Right) -> Result<()> {
    let mut leaves = Controller::start(&shop.binaries, &shop.installation, "controller-leaves", shop.folder(), &[])?;
    leaves.wait_ready().and_then(|()| leaves.process.stop())?;
    let said = right.is_missed_in(&std::fs::read_to_string(leaves.process.log())?)?;
    if said { Ok(()) } else { bail!("it does not say what it could not remove") }
}

/// Waits for a line in the log of one of the controllers that run, and for the counter of refused writes.
fn somebody_complains(shop: &Shop, right: &Right, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let logs: Vec<PathBuf> =
        shop.rollcall.controllers.iter().map(|controller| controller.process.log().to_path_buf()).collect();
    let read = |log: &PathBuf| std::fs::read_to_string(log).with_context(|| log.display().to_string());
    let before = logs.iter().map(|log| Ok(read(log)?.len())).collect::<Result<Vec<_>>>()?;
    let counted = match right.resource.as_str() {
        "endpointslices" => Some("endpointslice"),
        "catalogentries" => Some("catalogentry"),
        "serviceregistrations/status" => Some("status"),
        "discoverypolicies/status" => Some("policystatus"),
        _ => None,
    };
    let refused_before = counted.map(|object| refused(shop, object)).transpose()?.unwrap_or(0.0);
    right.without(&shop.kubectl, || {
        body()?;
        clock::wait_until(&format!("a log to say that {} is forbidden", right.complaint()?), BOUND, || {
            for (log, before) in logs.iter().zip(&before) {
                if right.is_missed_in(read(log)?.get(*before..).unwrap_or_default())? {
                    return Ok(Some(()));
                }
            }
            Ok(None)
        })?;
        let Some(object) = counted else { return Ok(()) };
        clock::wait_until(&format!("the refused write of a {object} to be counted"), BOUND, || {
            Ok((refused(shop, object)? > refused_before).then_some(()))
        })
    })
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
    write_something(shop, "scoped")?;
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

/// Writes of a kind that the API server has refused to the leader.
fn refused(shop: &Shop, object: &str) -> Result<f64> {
    let admin = shop.rollcall.controllers[shop.leader()?].http;
    let page = http::get(admin, "/metrics")?.body;
    let sample = format!("rollcall_writeback_writes_total{{object=\"{object}\",result=\"refused\"}}");
    let value = page.lines().find_map(|line| line.strip_prefix(&sample)).map(|value| value.trim().parse());
    // A counter appears when it first counts.
    Ok(value.transpose().context("a metric that is no number")?.unwrap_or(0.0))
}

/// A Service with a registration: all kinds of objects are written for it.
fn write_something(shop: &Shop, service: &str) -> Result<()> {
    let of_it = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let endpoints = json!([{"name": "only", "addresses": ["203.0.113.40"]}]);
    let both = [of_it, unchecked(service, service, &endpoints)];
    shop.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": both}).to_string()).map(drop)
}

fn maintenance(shop: &Shop, registration: &str, reason: &str) -> Result<()> {
    let patch = json!({"spec": {"maintenance": {"reason": reason}}}).to_string();
    let args = ["patch", "serviceregistration", registration, "-n", "shop", "--type", "merge", "--patch", &patch];
    shop.kubectl.run(&args).map(drop)
}

fn has_authority(shop: &Shop) -> Result<bool> {
    Ok(roles::all(&shop.kubectl)?.iter().any(|right| right.resource == "secrets"))
}

/// The two objects of the authority as an installation makes them: there, without data.
fn empty_authority(shop: &Shop) -> Result<()> {
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        shop.kubectl.delete(&[kind, name, "-n", install::NAMESPACE])?;
        let object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": install::NAMESPACE}});
        shop.kubectl.apply(&object.to_string())?;
    }
    Ok(())
}
