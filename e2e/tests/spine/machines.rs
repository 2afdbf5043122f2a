//! Names of nodes and machines, by the forms of a registry.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::clock;
use serde_json::{Value, json};

use crate::support::shop::{outside_address, unchecked};
use crate::support::{BOUND, Shop};

/// A node is found by its name and zone, a machine in its namespace; it gets another name, and goes.
pub(crate) fn named(shop: &Shop) -> Result<()> {
    let nodes = shop.kubectl.list(&["nodes"])?;
    let node = nodes.first().context("there is no node")?;
    let (name, zone) = (text(&node["metadata"]["name"])?, text(&node["metadata"]["labels"][ZONE])?);
    let said = node["status"]["addresses"].as_array().into_iter().flatten();
    let internal: Vec<_> = said.filter(|said| said["type"] == "InternalIP").map(|said| &said["address"]).collect();
    let [address] = &internal[..] else { bail!("one address of {name}: {node}") };
    let racked = outside_address(2, IpAddr::is_ipv4)?.to_string();
    let on_machine = |machine: &str| {
        let endpoint = json!({"name": "vm-9", "addresses": [racked], "machine": machine});
        unchecked("racked-vm", "racked", &json!([endpoint])).to_string()
    };
    shop.kubectl.apply(&on_machine("Rack-7"))?;
    await_answers(shop, &format!("{name}.node.rollcall."), "A", &[text(address)?])?;
    await_answers(shop, &format!("{name}.node.{zone}.dc.rollcall."), "A", &[text(address)?])?;
    await_answers(shop, "rack-7.node.shop.ns.rollcall.", "A", &[&racked])?;
    for (name, kind, rcode) in [
        (format!("{name}.node.rollcall."), "AAAA", "NOERROR"),
        (format!("{name}.node.nowhere.dc.rollcall."), "A", "NXDOMAIN"),
        // It is a namespace's, and nobody's else.
        ("rack-7.node.rollcall.".to_owned(), "A", "NXDOMAIN"),
    ] {
        let answer = shop.callers.kdig.ask(&name, kind)?;
        ensure!(answer.rcode == rcode && answer.answer.is_empty(), "{name} {kind}: {answer:?}, not {rcode}");
    }
    shop.kubectl.apply(&on_machine("rack-8"))?;
    await_answers(shop, "rack-7.node.shop.ns.rollcall.", "A", &[])?;
    await_answers(shop, "rack-8.node.shop.ns.rollcall.", "A", &[&racked])?;
    shop.kubectl.delete(&["serviceregistration", "racked-vm", "--namespace", "shop"])?;
    await_answers(shop, "rack-8.node.shop.ns.rollcall.", "A", &[])
}

const ZONE: &str = "topology.kubernetes.io/zone";

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("it is no text")
}

/// Without data there is to be no such name.
fn await_answers(shop: &Shop, name: &str, kind: &str, expected: &[&str]) -> Result<()> {
    clock::wait_until(&format!("{name} {kind} to be {expected:?}"), BOUND, || {
        let answer = shop.callers.kdig.ask(name, kind)?;
        let rcode = if expected.is_empty() { "NXDOMAIN" } else { "NOERROR" };
        ensure!(answer.rcode == rcode && answer.data(kind) == expected, "{answer:?}");
        Ok(Some(()))
    })
}
