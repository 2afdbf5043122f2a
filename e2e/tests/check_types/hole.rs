//! A black hole: a machine whose network swallows what is sent to it, without a word.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::backend::Backend;
use rollcall_e2e::net;
use serde_json::json;

use super::is;
use super::support::Shop;
use super::support::shop::outside_address;

/// An address that no other test has.
const ADDRESS: &str = "198.51.100.77";
const NAME: &str = "hole";

/// Only in a network of this test's own, whose addresses and routes it may change.
pub(crate) fn tried(shop: &Shop) -> Result<()> {
    if std::env::var_os(net::ADDRESSES).is_none() {
        println!("    left out: this network is not the test's own");
        return Ok(());
    }
    let own = outside_address(0, std::net::IpAddr::is_ipv4)?;
    // A cable on whose far end nobody has the hardware address that frames are sent to.
    ip(&format!("link add {NAME} type veth peer name {NAME}-end"))?;
    ip(&format!("link set {NAME} up"))?;
    ip(&format!("link set {NAME}-end up"))?;
    ip(&format!("neigh add {ADDRESS} lladdr 02:00:00:00:00:77 dev {NAME} nud permanent"))?;
    ip(&format!("route add {ADDRESS}/32 dev {NAME} src {own}"))?;
    ip(&format!("address add {ADDRESS}/32 dev lo"))?;
    let machine = Backend::start(NAME, format!("{ADDRESS}:{}", net::free_port()?).parse()?)?;
    shop.kubectl.apply(&registration(machine.address().port()).to_string())?;
    is(shop, NAME, "Passing", "accepted")?;
    ip(&format!("address del {ADDRESS}/32 dev lo"))?;
    is(shop, NAME, "Critical", "got no answer within 1 s")?;
    ip(&format!("address add {ADDRESS}/32 dev lo"))?;
    is(shop, NAME, "Passing", "accepted")
}

fn registration(port: u16) -> serde_json::Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": NAME, "namespace": "shop"},
        "spec": {
            "service": NAME,
            "ports": [{"name": "main", "port": port}],
            "endpoints": [{"name": "vm", "addresses": [ADDRESS]}],
            "checks": [{"name": "it", "tcp": {}, "interval": "1s", "timeout": "1s"}],
        },
    })
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("starting ip")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
