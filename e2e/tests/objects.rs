//! Objects that are bad, edited or missing: each harms itself at most, and says so in plain words.

mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::{clock, install, layout};
use serde_json::{Value, json};
use support::page::metric;
use support::shop::{DIRECT, PAYMENTS, STEADY, With, name, unchecked};
use support::{BOUND, Shop, step};

#[test]
fn a_bad_object_harms_only_itself() -> Result<()> {
    Shop::run("objects", With::NoEnvoy, |shop| {
        step("everything is there and written", || shop.await_written("203.0.113.10"))?;
        step("every refused object is refused with the sentence of its first line", || refused(shop))?;
        step("every example applies", || examples(shop))?;
        step("every object in the documentation is taken", || documented(shop))?;
        step("addresses that nobody may register are kept out, and no other", || addresses_kept_out(shop))?;
        step("a port that the Service does not have", || unknown_port(shop))?;
        step("of two registrations of one address the older one counts", || two_claim_one(shop))?;
        step("a registration without a Service is in DNS and says why not in slices", || no_service(shop))?;
        step("EndpointSlices and CatalogEntries that somebody edits or deletes are put right", || put_right(shop))?;
        step("an object that cannot be decoded harms only itself", || undecodable(shop))
    })
}

fn refused(shop: &Shop) -> Result<()> {
    let files = files(&layout::root().join("crds/tests/refused"), "yaml")?;
    ensure!(files.len() > 20, "only {} files in crds/tests/refused", files.len());
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let expected = first.with_context(|| format!("{}: no sentence in the first line", file.display()))?;
        match shop.kubectl.apply(&text) {
            Ok(said) => bail!("{} was accepted: {}", file.display(), said.trim()),
            Err(error) => {
                let said = error.to_string();
                ensure!(said.contains(expected), "{}: expected {expected:?}, got: {said}", file.display());
            }
        }
    }
    println!("    {} files", files.len());
    Ok(())
}

fn examples(shop: &Shop) -> Result<()> {
    for file in files(&layout::root().join("manifests/examples"), "yaml")? {
        let path = file.to_str().context("a path that is not UTF-8")?;
        // Into a namespace of its own, but for the one that brings its own.
        let namespace = if path.ends_with("shop.yaml") { "shop" } else { "default" };
        let dry_run: &[&str] = if namespace == "shop" { &["--dry-run=server", "--force-conflicts"] } else { &[] };
        shop.kubectl.run(&[&["apply", "--server-side", "--namespace", namespace, "-f", path], dry_run].concat())?;
    }
    clock::wait_until("a CatalogEntry for each example", BOUND, || {
        let entries = shop.api.list("/apis/rollcall.dev/v1alpha1/namespaces/default/catalogentries")?;
        let names: Vec<_> = entries.iter().filter_map(|entry| entry["metadata"]["name"].as_str()).collect();
        let missing: Vec<_> =
            ["ledger-db", "reports", "search"].into_iter().filter(|name| !names.contains(name)).collect();
        if missing.is_empty() { Ok(Some(())) } else { bail!("no CatalogEntry {missing:?}, only {names:?}") }
    })
}

/// What people copy from the pages, as the API server sees it.
fn documented(shop: &Shop) -> Result<()> {
    let mut objects = 0;
    for page in files(&layout::root().join("docs"), "md")? {
        let text = std::fs::read_to_string(&page)?;
        let blocks = text.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
        for (block, _) in blocks.filter(|(block, _)| block.starts_with("apiVersion:")) {
            let file = shop.folder().join("documented.yaml");
            std::fs::write(&file, block)?;
            let path = file.to_str().context("a path that is not UTF-8")?;
            let taken = shop.kubectl.run(&["apply", "--dry-run=server", "--namespace", "shop", "-f", path]);
            taken.with_context(|| format!("{}:\n{block}", page.display()))?;
            objects += 1;
        }
    }
    ensure!(objects >= 12, "only {objects} objects in the documentation");
    println!("    {objects} objects");
    Ok(())
}

/// Registers `endpoints` for the Service that has nothing else than one steady endpoint.
fn register(shop: &Shop, registration: &str, endpoints: &Value) -> Result<()> {
    shop.kubectl.apply(&unchecked(registration, STEADY, endpoints).to_string()).map(drop)
}

fn addresses_kept_out(shop: &Shop) -> Result<()> {
    let endpoint = |name: &str, ip: &str| json!({"name": name, "addresses": [ip]});
    let endpoints = json!([
        endpoint("link", "169.254.169.254"),
        endpoint("loop", "127.0.0.1"),
        endpoint("pod", "10.244.16.9"),
        endpoint("fine", "203.0.113.21"),
    ]);
    register(shop, "kept-out", &endpoints)?;
    let words = [
        "False",
        "AddressNotAllowed",
        "endpoint link: address 169.254.169.254 is link-local; give one that other nodes can reach",
        "endpoint loop: address 127.0.0.1 is a loopback address",
        "endpoint pod: address 10.244.16.9 is in 10.244.16.0/20",
        "node-b",
    ];
    println!("    {}", shop.api.await_condition("kept-out", "Accepted", &words)?);
    await_slices(shop, STEADY, &["203.0.113.1", "203.0.113.21"])?;
    shop.api.await_condition("kept-out", "Published", &["True Published"])?;
    shop.api.await_condition(STEADY, "Accepted", &["True Accepted"])?;
    shop.kubectl.delete(&["serviceregistration", "kept-out", "-n", "shop"])?;
    await_slices(shop, STEADY, &["203.0.113.1"])
}

fn unknown_port(shop: &Shop) -> Result<()> {
    let mut registration = unchecked("odd-port", STEADY, &json!([{"name": "a", "addresses": ["203.0.113.22"]}]));
    registration["spec"]["ports"] = json!([{"name": "grpc", "port": 9000}]);
    shop.kubectl.apply(&registration.to_string())?;
    let words =
        ["False UnknownPort", "endpoint a: the Service has no port named \"grpc\"", "name ports as the Service does"];
    println!("    {}", shop.api.await_condition("odd-port", "Accepted", &words)?);
    shop.api.await_condition("odd-port", "Published", &["False NothingToPublish"])?;

    let endpoints = json!([
        {"name": "b", "addresses": ["203.0.113.23"], "ports": [{"name": "htpp", "port": 81}]},
        {"name": "c", "addresses": ["203.0.113.24"]},
    ]);
    register(shop, "misspelt-port", &endpoints)?;
    let words = ["False UnknownPort", "endpoint b: there is no port \"htpp\" in spec.ports; name one of those"];
    shop.api.await_condition("misspelt-port", "Accepted", &words)?;
    // Everything else of it goes on: `c`, and `b` on the port that the registration has.
    await_slices(shop, STEADY, &["203.0.113.1", "203.0.113.23", "203.0.113.24"])?;
    shop.kubectl.delete(&["serviceregistration", "odd-port", "misspelt-port", "-n", "shop"])
}

fn two_claim_one(shop: &Shop) -> Result<()> {
    let endpoints =
        json!([{"name": "twice", "addresses": ["203.0.113.1"]}, {"name": "own", "addresses": ["203.0.113.25"]}]);
    register(shop, "claims-too", &endpoints)?;
    let words = [
        "False AddressConflict",
        "endpoint twice: address 203.0.113.1 is claimed by ServiceRegistration/steady (endpoint only) already",
        "give it up in one of the two",
    ];
    println!("    {}", shop.api.await_condition("claims-too", "Accepted", &words)?);
    shop.api.await_condition(STEADY, "Accepted", &["True Accepted"])?;
    await_slices(shop, STEADY, &["203.0.113.1", "203.0.113.25"])?;
    // Entries that change often are written with pauses.
    clock::wait_until("the CatalogEntry to name the winner", BOUND, || {
        let entry = shop.api.entry(STEADY)?;
        let winner = &entry["conflicts"][0]["winner"];
        if winner == "ServiceRegistration/steady" { Ok(Some(())) } else { bail!("no word of it: {entry}") }
    })?;
    shop.kubectl.delete(&["serviceregistration", "claims-too", "-n", "shop"])
}

fn no_service(shop: &Shop) -> Result<()> {
    shop.api.await_condition("outside", "Published", &["False NoService", "there is no Service of this name"])?;
    ensure!(shop.api.slices("outside")?.is_empty(), "EndpointSlices without a Service");
    let found = shop.callers.dns("outside")?;
    ensure!(found.len() == 2, "DNS answers {found:?} for a service that is only registered");
    Ok(())
}

/// Waits until the ready addresses in the EndpointSlices of a Service are these.
fn await_slices(shop: &Shop, service: &str, expected: &[&str]) -> Result<()> {
    let expected = expected.iter().map(|address| (*address).to_owned()).collect();
    clock::wait_until(&format!("EndpointSlices of {service} to have {expected:?}"), BOUND, || {
        let seen = shop.slices(service)?;
        if seen == expected { Ok(Some(())) } else { bail!("{seen:?}") }
    })
}

fn put_right(shop: &Shop) -> Result<()> {
    let slice = || -> Result<Value> {
        let slices = shop.api.our_slices(STEADY)?;
        slices.into_iter().next().context("Rollcall has no EndpointSlice of steady")
    };
    let before = slice()?;
    let name = before["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let restored = |what: &str| {
        clock::wait_until(&format!("the EndpointSlice to be as before it was {what}"), BOUND, || {
            let now = slice()?;
            let same = ["endpoints", "ports", "addressType"].iter().all(|field| now[field] == before[field])
                && now["metadata"]["labels"] == before["metadata"]["labels"];
            if same { Ok(Some(())) } else { bail!("{now}") }
        })
    };
    let patch = |kind: &str, name: &str, patch: &Value| {
        let args = ["patch", kind, name, "-n", "shop", "--type", "merge", "--patch", &patch.to_string()];
        shop.kubectl.run(&args).map(drop)
    };
    patch("endpointslice", &name, &json!({"endpoints": []}))?;
    restored("emptied")?;
    patch("endpointslice", &name, &json!({"metadata": {"labels": {"kubernetes.io/service-name": "payments"}}}))?;
    restored("given to another Service")?;
    let mine = |slice: &Value| slice["metadata"]["name"] == name;
    ensure!(!shop.api.our_slices(PAYMENTS)?.iter().any(mine), "the slice of {STEADY} still counts for {PAYMENTS}");
    for managed_by in [json!("somebody-else"), Value::Null] {
        let labels = json!({"endpointslice.kubernetes.io/managed-by": managed_by});
        patch("endpointslice", &name, &json!({"metadata": {"labels": labels}}))?;
        restored(&format!("said to be managed by {managed_by}"))?;
    }
    shop.kubectl.delete(&["endpointslice", &name, "-n", "shop"])?;
    restored("deleted")?;

    let entry = shop.api.entry(DIRECT)?;
    let as_before = |what: &str| {
        clock::wait_until(&format!("the CatalogEntry to be as before it was {what}"), BOUND, || {
            let now = shop.api.entry(DIRECT)?;
            let same = ["callable", "endpoints", "counts", "revision"].iter().all(|field| now[field] == entry[field]);
            if same { Ok(Some(())) } else { bail!("{now}") }
        })
    };
    patch("catalogentry", DIRECT, &json!({"callable": "0/0", "counts": {"callable": 0}}))?;
    as_before("edited")?;
    shop.kubectl.delete(&["catalogentry", DIRECT, "-n", "shop"])?;
    as_before("deleted")
}

/// A CRD without a schema, as an older or newer version may have been, lets anything pass.
fn undecodable(shop: &mut Shop) -> Result<()> {
    let mut crd = shop.kubectl.get(&["customresourcedefinition", "serviceregistrations.rollcall.dev"])?;
    let version = &mut crd["spec"]["versions"][0];
    // The API server wants to know the type of what objects are selected by.
    version.as_object_mut().context("a version")?.remove("selectableFields");
    version["schema"] = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    crd["metadata"] = json!({"name": "serviceregistrations.rollcall.dev"});
    let crd =
        json!({"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": crd["metadata"], "spec": crd["spec"]});
    shop.kubectl.run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &crd.to_string())?;

    let before = shop.entry(STEADY)?;
    // The schema changes a moment later.
    clock::wait_until("the API server to accept an odd object", BOUND, || {
        let odd = unchecked("odd", STEADY, &json!("not a list"));
        shop.kubectl.apply(&odd.to_string()).map(Some)
    })?;
    for controller in &shop.rollcall.controllers {
        clock::wait_until("the odd object to be counted", BOUND, || {
            let label = "\"serviceregistrations\"";
            let counted = metric(controller.http, "rollcall_source_undecodable_objects_total", label)?;
            Ok((counted > 0.0).then_some(()))
        })?;
        // It counts first.
        let line = clock::wait_until("the log to tell that an object cannot be decoded", BOUND, || {
            let log = std::fs::read_to_string(controller.process.log())?;
            Ok(log.lines().find(|line| line.contains("object cannot be decoded")).map(str::to_owned))
        })?;
        ensure!(line.contains("namespace=shop name=odd"), "the log does not name the object: {line}");
    }
    // Others go on, also in a controller that starts now and finds the odd object in its first list.
    shop.await_written("203.0.113.30")?;
    let leader = shop.leader()?;
    let standby = 1 - leader;
    ensure!(shop.rollcall.controllers[standby].process.stop()?, "the standby did not end on SIGTERM");
    shop.rollcall.controllers[standby].start_again()?;
    shop.rollcall.controllers[standby].wait_ready()?;
    for name in ["rollcall_catalog_services", "rollcall_catalog_endpoints"] {
        let what =
            format!("{name} to be the same in a controller that started with the odd object and in one before it");
        clock::wait_until(&what, BOUND, || {
            let [old, new] = [leader, standby].map(|index| metric(shop.rollcall.controllers[index].http, name, ""));
            let (old, new) = (old?, new?);
            ensure!(old == new, "{new} in the one that started with it, {old} in the other");
            Ok(Some(()))
        })?;
    }
    ensure!(shop.entry(STEADY)? == before, "steady lost something because of the odd object");
    let answer = shop.callers.kdig.data(&name("outside"), "A")?;
    ensure!(answer.len() == 2, "DNS answers {answer:?}");
    shop.kubectl.delete(&["serviceregistration", "odd", "-n", "shop"])?;
    install::crds(&shop.kubectl)
}

/// All files of a kind, such as yaml, below a folder, sorted.
fn files(folder: &Path, kind: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path, kind)?);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
