//! Objects beyond what entries and statuses hold: what is written of them is accepted, and says how much was left out.

use anyhow::{Result, bail};
use rollcall_e2e::clock;
use serde_json::{Value, json};

use crate::support::shop::unchecked;
use crate::support::{BOUND, Shop};

fn service(name: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "None", "ports": ports},
    })
}

fn slice(name: &str, family: &str, ports: &Value, endpoints: &Value) -> Value {
    let labels = json!({"kubernetes.io/service-name": name});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family, "ports": ports,
        "metadata": {"name": format!("{name}-{}", family.to_lowercase()), "namespace": "shop", "labels": labels},
        "endpoints": endpoints,
    })
}

fn objects() -> Vec<Value> {
    let http = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let ports: Value =
        (0..405).map(|n| json!({"name": format!("p{n}"), "port": 30_000 + n, "protocol": "UDP"})).collect();
    let odd: Value = (0..16).map(|n| json!({"name": format!("p{n:02}{}", "a".repeat(60)), "port": 1000 + n})).collect();
    let mut long_names = unchecked("long-names", "long-zone", &json!([{"name": "m", "addresses": ["203.0.113.50"]}]));
    long_names["spec"]["ports"] = odd;
    let both = json!([{
        "addresses": ["2001:db8::60"], "zone": "ä".repeat(64),
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "p".repeat(254)},
    }]);
    let mut all = vec![
        service("many-ports", &ports),
        slice("many-ports", "IPv4", &ports, &json!([{"addresses": ["192.0.2.60"]}])),
        service("long-zone", &http),
        slice("long-zone", "IPv4", &http, &json!([{"addresses": ["192.0.2.61"], "zone": "z".repeat(1000)}])),
        slice("long-zone", "IPv6", &http, &both),
        long_names,
        service("many-origins", &http),
    ];
    // Each has an endpoint of its own, and one that all others claim as well.
    all.extend((0..110).map(|n| {
        let own = json!({"name": "own", "addresses": [format!("203.0.113.{}", 60 + n)]});
        let claimed = json!({"name": "claimed", "addresses": ["203.0.113.59"]});
        unchecked(&format!("origin-{n}"), "many-origins", &json!([own, claimed]))
    }));
    all
}

pub(crate) fn all(shop: &Shop) -> Result<()> {
    shop.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects()}).to_string())?;
    let entry = |service: &str, expected: &Value| {
        clock::wait_until(&format!("the entry of {service} to hold {expected}"), BOUND, || {
            let entry = shop.api.entry(service)?;
            let differs =
                expected.as_object().into_iter().flatten().find(|(path, value)| entry.pointer(path) != Some(value));
            match differs {
                None => Ok(Some(())),
                Some((path, _)) => bail!("{path} is {:?}, callable {}", entry.pointer(path), entry["callable"]),
            }
        })
    };
    entry("many-ports", &json!({"/callable": "1/1", "/endpoints/0/portsOmitted": 305}))?;
    entry("long-zone", &json!({"/callable": "2/2", "/textsCut": 3}))?;
    let many = json!({"/callable": "111/111", "/endpointsOmitted": 11, "/originsOmitted": 10, "/conflictsOmitted": 89});
    entry("many-origins", &many)?;
    let said = shop.api.await_condition("long-names", "Accepted", &["False UnknownPort"])?;
    println!("    {} characters", said.chars().count());
    let selected = ["get", "serviceregistrations", "-n", "shop", "--field-selector", "spec.service=many-origins"];
    let names = shop.kubectl.run(&[&selected[..], &["-o", "name"]].concat())?;
    let names: Vec<_> = names.split_whitespace().collect();
    shop.kubectl.delete(&[&names[..], &["-n", "shop", "--wait=false"]].concat())
}
