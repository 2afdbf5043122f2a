//! What the rules of the definitions cost the API server: it takes each kind's greatest object when every rule is there
//! [`TIMES`] times, so the rules cost less than that part of its budgets (10,000,000 units of CEL for all rules on one object,
//! 1,000,000 for one rule; and 100,000,000 and 10,000,000 by its estimate of the largest object, when a definition is applied).

use anyhow::{Result, bail, ensure};
use rollcall_e2e::clock;
use serde_json::{Value, json};

use crate::support::{BOUND, Shop};

const TIMES: usize = 3;
/// Where the definitions with more rules stand.
const GROUP: &str = "cost.rollcall.dev";

/// A schema with every rule several times: alike but for spaces, since no two may be the same.
fn repeated(schema: &mut Value) -> usize {
    let mut count = 0;
    match schema {
        Value::Array(items) => count += items.iter_mut().map(repeated).sum::<usize>(),
        Value::Object(map) => {
            count += map.values_mut().map(repeated).sum::<usize>();
            if let Some(Value::Array(rules)) = map.get_mut("x-kubernetes-validations") {
                let again = |rule: &Value, time: usize| {
                    let mut rule = rule.clone();
                    rule["rule"] = json!(format!("{}{}", rule["rule"].as_str().unwrap_or_default(), " ".repeat(time)));
                    rule
                };
                count += rules.len();
                *rules = (0..TIMES).flat_map(|time| rules.iter().map(move |rule| again(rule, time))).collect();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    count
}

/// A text of that length of which nothing repeats.
fn text(length: usize, index: usize) -> String {
    format!("{}{index:03}", "a".repeat(length - 3))
}

fn address(index: usize) -> [String; 2] {
    [format!("203.0.113.{index}"), format!("2001:0db8:ffff:ffff:ffff:ffff:ffff:{index:04x}")]
}

fn check(index: usize) -> Value {
    let header = |index: usize| json!({"name": text(128, index), "value": "v".repeat(1024)});
    let bundle = format!("{}-----BEGIN CERTIFICATE-----", "x".repeat(32_000));
    json!({
        "name": text(63, index), "interval": "59m59s999ms", "timeout": "59s999ms", "retryInterval": "59m59s999ms",
        "failureThreshold": 10, "successThreshold": 10,
        "http": {
            "path": format!("/{}", "p".repeat(1023)), "port": text(63, 1), "host": "h".repeat(261), "method": "M".repeat(16),
            "headers": (0..16).map(header).collect::<Vec<_>>(), "body": "b".repeat(4096), "bodyContains": "c".repeat(512),
            "statuses": (0..16).map(|index| json!(format!("200-2{index:02}"))).collect::<Vec<_>>(), "followRedirects": 10,
            "tls": {"caBundle": bundle, "secretName": text(253, 0), "serverName": text(253, 0)},
        },
    })
}

/// With addresses, or with a name in their place: an endpoint has one of the two.
fn registration(has_host: bool) -> Value {
    let port = |index: usize| json!({"name": text(63, index), "port": 65_535 - index, "appProtocol": format!("{}/{}", "d".repeat(180), "p".repeat(63))});
    let own = |index: usize| json!({"name": text(63, index), "port": 65_535 - index});
    let metadata: serde_json::Map<_, _> = (0..32).map(|index| (text(20, index), json!("v".repeat(20)))).collect();
    let endpoint = |index: usize| {
        let mut endpoint = json!({
            "name": text(63, index), "hostname": text(63, index), "zone": "z".repeat(63), "weight": 65_535,
            "machine": "m".repeat(253), "maintenance": {"reason": "r".repeat(256)}, "metadata": metadata,
            "tags": (0..16).map(|tag| text(63, tag)).collect::<Vec<_>>(), "ports": (0..16).map(own).collect::<Vec<_>>(),
        });
        match has_host {
            true => endpoint["host"] = json!(format!("{}.{:03}.example", "h".repeat(230), index)),
            false => endpoint["addresses"] = json!(address(index)),
        }
        endpoint
    };
    json!({"spec": {
        "service": "s".repeat(63), "ports": (0..16).map(port).collect::<Vec<_>>(), "deregisterAfter": "719h59m59s999ms",
        "endpoints": (0..100).map(endpoint).collect::<Vec<_>>(), "checks": (0..8).map(check).collect::<Vec<_>>(),
        "heartbeat": {"interval": "1s", "phi": {
            "threshold": 16, "window": 200, "minDeviation": "59s999ms", "acceptablePause": "59m59s999ms", "hardDeadline": "23h59m59s",
        }},
    }})
}

fn confirmation() -> Value {
    let names = |bytes: usize| (0..8).map(|index| text(bytes, index)).collect::<Vec<_>>();
    json!({"replicas": 3, "dnsNodes": names(253), "agents": names(63)})
}

fn policy() -> Value {
    json!({"spec": {
        "target": {"service": "s".repeat(63)}, "confirmation": confirmation(), "warning": {"percent": 100}, "staleness": {"after": "23h59m59s", "then": "Refuse"},
        "guard": {"hold": "23h59m59s", "window": "59m59s999ms", "minimum": 1000, "percent": 99},
        "damping": {"halfLife": "23h59m59s", "maximum": "23h59m59s", "penalty": 1_000_000, "reuse": 99_999_999, "suppress": 100_000_000},
        "maintenance": {"machines": (0..100).map(|index| text(253, index)).collect::<Vec<_>>(), "reason": "r".repeat(256)},
        "podChecks": {"port": 65_535, "checks": (0..8).map(check).collect::<Vec<_>>()},
    }})
}

fn selector() -> Value {
    let labels: serde_json::Map<_, _> = (0..32).map(|index| (text(63, index), json!("v".repeat(63)))).collect();
    let values: Vec<_> = (0..64).map(|index| text(63, index)).collect();
    let one = |index: usize| json!({"key": format!("{}/{}", text(253, index), text(63, index)), "operator": "In", "values": values});
    json!({"matchLabels": labels, "matchExpressions": (0..32).map(one).collect::<Vec<_>>()})
}

fn link(by_profile: bool) -> Value {
    let mut link = json!({"spec": {
        "addresses": (0..8).map(|index| format!("{}:65535", text(250, index))).collect::<Vec<_>>(),
        "secretName": text(253, 0), "serverName": text(253, 0), "limits": {"endpoints": 1_000_000, "services": 100_000},
        "import": {"namespaces": (0..256).map(|index| text(63, index)).collect::<Vec<_>>(), "namespaceSelector": selector()},
        "whenSilent": {"expireAfter": "719h59m59s", "suspectAfter": "23h59m59s", "then": "Keep"},
    }});
    if let Some(spec) = link["spec"].as_object_mut().filter(|_| by_profile) {
        spec.remove("addresses");
        spec.insert("clusterProfile".into(), json!({"name": text(253, 0), "namespace": text(63, 0)}));
    }
    link
}

pub(crate) fn all(shop: &Shop) -> Result<()> {
    for (plural, objects) in [
        ("serviceregistrations", vec![registration(false), registration(true)]),
        ("discoverypolicies", vec![policy()]),
        ("clusterlinks", vec![link(false), link(true)]),
    ] {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.rollcall.dev");
        let own = shop.api.get(&path)?;
        let (mut spec, name) = (own["spec"].clone(), format!("{plural}.{GROUP}"));
        spec["group"] = json!(GROUP);
        // The same short names twice would be in each other's way.
        for field in ["shortNames", "categories"] {
            spec["names"].as_object_mut().map(|names| names.remove(field));
        }
        let rules = repeated(&mut spec["versions"]);
        ensure!(rules > 5, "only {rules} rules in {plural}");
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": spec});
        let create = |object: &Value| shop.kubectl.run_with_input(&["create", "-f", "-"], &object.to_string());
        create(&definition)?;
        shop.kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", &name])?;
        for mut object in objects {
            object["apiVersion"] = json!(format!("{GROUP}/v1alpha1"));
            object["kind"] = own["spec"]["names"]["kind"].clone();
            object["metadata"] = json!({"name": "greatest"});
            if own["spec"]["scope"] == "Namespaced" {
                object["metadata"]["namespace"] = json!("shop");
            }
            // It is served a moment after it is established.
            clock::wait_until(
                &format!("the greatest object of {plural}, with each rule {TIMES} times"),
                BOUND,
                || {
                    let args = ["create", "--dry-run=server", "--validate=ignore", "-f", "-"];
                    match shop.kubectl.run_with_input(&args, &object.to_string()) {
                        Ok(_) => Ok(Some(())),
                        Err(error) if error.to_string().contains("no matches for kind") => bail!("{error}"),
                        Err(error) if error.to_string().contains("could not find the requested resource") => {
                            bail!("{error}")
                        }
                        Err(error) => Err(clock::fatal(&error.context("it is refused"))),
                    }
                },
            )?;
            println!("    {plural}: {rules} rules, {} bytes", object.to_string().len());
        }
        shop.kubectl.delete(&["crd", &name])?;
    }
    Ok(())
}
