//! What the API server refuses for reasons of others: an admission policy, a quota, a namespace in deletion.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::clock;
use serde_json::{Value, json};

use crate::support::shop::unchecked;
use crate::support::{BOUND, Shop};

/// An administrator's will that one address is in no EndpointSlice.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: not-that-one}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [discovery.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [endpointslices]}
  validations:
  - expression: "!has(object.endpoints) || object.endpoints.all(one, !('203.0.113.82' in one.addresses))"
    message: 203.0.113.82 is not for this cluster
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: not-that-one}
spec: {policyName: not-that-one, validationActions: [Deny]}
"#;

fn service(name: &str, namespace: &str, more: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let more = more.as_object().into_iter().flatten();
    more.for_each(|(field, value)| service["metadata"][field] = value.clone());
    service
}

fn register(shop: &Shop, registration: &str, address: &str) -> Result<()> {
    let endpoints = json!([{"name": "only", "addresses": [address]}]);
    shop.kubectl.apply(&unchecked(registration, "guarded", &endpoints).to_string()).map(drop)
}

fn await_slices(shop: &Shop, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<_> = expected.iter().map(|address| (*address).to_owned()).collect();
    clock::wait_until(&format!("EndpointSlices to have {expected:?}"), BOUND, || {
        let seen = shop.slices("guarded")?;
        if seen == expected { Ok(Some(())) } else { bail!("{seen:?}") }
    })
}

/// Of two registrations in one slice, one has an address that a policy is against.
pub(crate) fn one_address(shop: &Shop) -> Result<()> {
    shop.kubectl.apply(POLICY)?;
    let probe = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "probe", "namespace": "shop"}, "endpoints": [{"addresses": ["203.0.113.82"]}],
    });
    clock::wait_until("the policy to be in force", BOUND, || {
        let args = ["create", "--dry-run=server", "-f", "-"];
        match shop.kubectl.run_with_input(&args, &probe.to_string()) {
            Err(error) if error.to_string().contains("not for this cluster") => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })?;
    shop.kubectl.apply(&service("guarded", "shop", &Value::Null).to_string())?;
    register(shop, "good", "203.0.113.83")?;
    await_slices(shop, &["203.0.113.83"])?;
    register(shop, "bad", "203.0.113.82")?;
    let words = ["False WriteFailed", "203.0.113.82 is not for this cluster"];
    println!("    {}", shop.api.await_condition("bad", "Published", &words)?);
    // The machine of the other one moves, and fails, as if nothing were.
    register(shop, "good", "203.0.113.99")?;
    await_slices(shop, &["203.0.113.99"])?;
    shop.api.await_condition("good", "Published", &["True Published"])?;
    clock::wait_until("an Event of the refusal", BOUND, || {
        let events = shop.api.events("bad")?;
        Ok(events.iter().any(|event| event.contains("Warning WriteRefused")).then_some(()))
    })?;
    let told = shop.api.events("good")?.into_iter().find(|event| event.contains("WriteRefused"));
    ensure!(told.is_none(), "the refusal is told of the wrong one: {told:?}");
    register(shop, "bad", "203.0.113.84")?;
    await_slices(shop, &["203.0.113.84", "203.0.113.99"])?;
    shop.api.await_condition("bad", "Published", &["True Published"])?;
    shop.kubectl.delete(&["validatingadmissionpolicybinding,validatingadmissionpolicy", "not-that-one"])
}

/// A namespace that may have no CatalogEntry: the rest is written all the same.
pub(crate) fn quota(shop: &Shop) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tight"}});
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-entries", "namespace": "tight"},
        "spec": {"hard": {"count/catalogentries.rollcall.dev": "0"}},
    });
    shop.kubectl.apply(&namespace.to_string())?;
    shop.kubectl.apply(&quota.to_string())?;
    let mut registration = unchecked("vms", "db", &json!([{"name": "only", "addresses": ["203.0.113.90"]}]));
    registration["metadata"]["namespace"] = json!("tight");
    let objects = [service("db", "tight", &Value::Null), registration.clone()];
    shop.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    const API: &str = "/apis/discovery.k8s.io/v1/namespaces/tight/endpointslices";
    clock::wait_until("the slice", BOUND, || Ok((!shop.api.list(API)?.is_empty()).then_some(())))?;
    clock::wait_until("an Event about the Service", BOUND, || {
        let events = shop.api.list("/apis/events.k8s.io/v1/namespaces/tight/events")?;
        let is_it = |event: &&Value| {
            let note = event["note"].as_str().unwrap_or_default();
            event["reason"] == "WriteRefused" && note.contains("quota: no-entries")
        };
        let event = events.iter().find(is_it).map(|event| event["regarding"]["kind"].clone());
        ensure!(event.as_ref().is_none_or(|kind| kind == "Service"), "it is about {event:?}");
        Ok(event)
    })?;
    shop.kubectl.delete(&["resourcequota", "no-entries", "-n", "tight"])?;
    // Something else is tried soon.
    registration["spec"]["endpoints"][0]["addresses"] = json!(["203.0.113.91"]);
    shop.kubectl.apply(&registration.to_string())?;
    clock::wait_until("the entry", BOUND, || {
        let entry = shop.api.get("/apis/rollcall.dev/v1alpha1/namespaces/tight/catalogentries/db")?;
        if entry["callable"] == "1/1" { Ok(Some(())) } else { bail!("{entry}") }
    })?;
    shop.kubectl.delete(&["namespace", "tight"])
}

/// Finalizers keep Services in a namespace in deletion.
pub(crate) fn ending(shop: &Shop) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}});
    shop.kubectl.apply(&namespace.to_string())?;
    let held = json!({"finalizers": ["example.com/hold"]});
    let items: Vec<_> = (0..20).map(|n| service(&format!("s{n}"), "ending", &held)).collect();
    shop.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    let entries = || shop.api.list("/apis/rollcall.dev/v1alpha1/namespaces/ending/catalogentries");
    clock::wait_until("20 entries", BOUND, || Ok((entries()?.len() == 20).then_some(())))?;
    shop.kubectl.run(&["delete", "namespace", "ending", "--wait=false"])?;
    // The namespace controller deletes the entries; each would be made anew.
    clock::wait_until("the entries to be gone", BOUND, || Ok(entries()?.is_empty().then_some(())))?;
    let lines = || -> Result<usize> {
        let mut lines = 0;
        for controller in &shop.rollcall.controllers {
            let log = std::fs::read_to_string(controller.process.log())?;
            lines += log.lines().filter(|line| line.contains("being terminated")).count();
        }
        Ok(lines)
    };
    clock::wait_until("the log to say it", BOUND, || Ok((lines()? > 0).then_some(())))?;
    // Everything else goes on, and by then each of the entries has had its turn.
    shop.await_written("203.0.113.30")?;
    ensure!(lines()? <= 2, "{} lines about one namespace", lines()?);
    let all = shop.kubectl.run(&["get", "services", "-n", "ending", "-o", "name"])?;
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let names: Vec<&str> = all.split_whitespace().collect();
    let args = [&["patch", "-n", "ending", "--type=merge", "--patch", patch], &names[..]].concat();
    shop.kubectl.run(&args)?;
    clock::wait_until("the namespace to be gone", BOUND, || {
        Ok(shop.api.get("/api/v1/namespaces/ending").is_err().then_some(()))
    })
}
