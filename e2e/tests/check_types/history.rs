//! Policies at work: who falls again and again is damped until it has stopped, and who fail all together are held until their
//! registration says that they are gone.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::backend::{Backend, Mode};
use rollcall_e2e::{clock, net};
use serde_json::{Value, json};

use super::support::shop::outside_address;
use super::support::{BOUND, Shop};

/// From one change of its health to the next.
const FLIP: Duration = Duration::from_secs(3);
/// Damped after a few falls, and back within a minute of the last.
const DAMPING: &str = r#"{
    "apiVersion": "rollcall.dev/v1alpha1", "kind": "DiscoveryPolicy",
    "metadata": { "name": "calm", "namespace": "shop" },
    "spec": {
        "target": { "service": "flapping" },
        "damping": { "halfLife": "20s", "suppress": 2200, "reuse": 1500, "maximum": "1m" },
        "confirmation": { "replicas": 0 }
    }
}"#;

/// An endpoint that flips every three seconds is kept out, says why, and comes back once it is quiet.
pub(crate) fn damped(shop: &Shop) -> Result<()> {
    shop.kubectl.apply(DAMPING)?;
    let mut machine = machines("flapping", 1)?.remove(0);
    shop.kubectl.apply(&registration("flapping", std::slice::from_ref(&machine), 1).to_string())?;
    await_status(shop, "flapping", "it to be called", |said| said["health"] == "Passing")?;
    let mut falls = 0;
    let begun = clock::now();
    while !damped_now(shop)? {
        ensure!(begun.elapsed() < BOUND, "not damped after {falls} falls: {}", status(shop, "flapping")?);
        falls += 1;
        flip(shop, &mut machine, Mode::Fail)?;
        flip(shop, &mut machine, Mode::Answer)?;
    }
    machine.set(Mode::Answer)?;
    println!("    damped after {falls} falls, {:.1} s", begun.elapsed().as_secs_f32());
    await_status(shop, "flapping", "it to be kept out although its check passes", |said| {
        let checks = &said["checks"][0]["health"];
        let reason = said["reason"].as_str().unwrap_or_default();
        said["callable"] == false && checks == "Passing" && reason.contains("damped, as it fell")
    })?;
    ensure!(shop.callers.dns("flapping").unwrap_or_default().is_empty(), "DNS gives who is damped");
    let told = policy(shop, |status| status["dampedEndpoints"] == 1)?;
    println!("    in force for {}", told["services"]);
    let in_force = shop.api.registration("flapping")?["status"]["policy"].to_string();
    ensure!(in_force.contains(r#""from":"calm""#), "the registration does not say what is in force: {in_force}");
    await_status(shop, "flapping", "it to be called again", |said| said["callable"] == true)?;
    clock::wait_until("DNS to have it again", BOUND, || {
        Ok((shop.callers.dns("flapping").unwrap_or_default().len() == 1).then_some(()))
    })?;
    policy(shop, |status| status["dampedEndpoints"] == 0)?;
    println!("    called again {:.1} s after its first fall", begun.elapsed().as_secs_f32());
    Ok(())
}

/// All endpoints of a service stop at once; nobody has written a policy for it.
pub(crate) fn held(shop: &Shop) -> Result<()> {
    let mut machines = machines("guarded", 4)?;
    shop.kubectl.apply(&registration("guarded", &machines, 2).to_string())?;
    let dns = |count: usize| {
        clock::wait_until(&format!("DNS to have {count} of them"), BOUND, || {
            let found = shop.callers.dns("guarded").unwrap_or_default();
            if found.len() == count { Ok(Some(())) } else { bail!("{found:?}") }
        })
    };
    shop.api.await_condition("guarded", "Ready", &["True AllPassing"])?;
    dns(4)?;
    for machine in &mut machines {
        machine.set(Mode::Fail)?;
    }
    let said = shop.api.await_condition("guarded", "Ready", &["False Held", "left together"])?;
    println!("    {said}");
    for machine in &machines {
        let name = machine.name();
        clock::wait_until(&format!("{name} to be held"), BOUND, || {
            let said = shop.api.endpoint_status("guarded", name)?;
            let reason = said["reason"].as_str().unwrap_or_default();
            let held = said["health"] == "Warning" && said["callable"] == true && reason.starts_with("held for");
            if held { Ok(Some(())) } else { bail!("{said}") }
        })?;
    }
    dns(4)?;
    clock::wait_until("an Event of it", BOUND, || {
        let events = shop.api.events("guarded")?;
        Ok(events.iter().any(|event| event.contains("EndpointsHeld")).then_some(()))
    })?;
    // Whoever owns them says of two that they are gone, and then of all.
    shop.kubectl.apply(&registration("guarded", &machines[..2], 2).to_string())?;
    dns(2)?;
    shop.kubectl.delete(&["serviceregistration", "guarded", "-n", "shop"])?;
    dns(0)
}

fn machines(name: &str, count: usize) -> Result<Vec<Backend>> {
    let machine = |index: usize| {
        let address = SocketAddr::new(outside_address(index, IpAddr::is_ipv4)?, net::free_port()?);
        Backend::start(&format!("{name}-{index}"), address)
    };
    (0..count).map(machine).collect()
}

fn registration(name: &str, machines: &[Backend], failures: u32) -> Value {
    let endpoint = |machine: &Backend| {
        json!({
            "name": machine.name(),
            "addresses": [machine.address().ip()],
            "ports": [{"name": "http", "port": machine.address().port()}],
        })
    };
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "service": name,
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": machines.iter().map(endpoint).collect::<Vec<_>>(),
            "checks": [{
                "name": "it", "http": {"path": "/healthz"}, "interval": "1s", "timeout": "1s", "failureThreshold": failures,
            }],
        },
    })
}

fn status(shop: &Shop, name: &str) -> Result<Value> {
    shop.api.endpoint_status(name, &format!("{name}-0"))
}

fn await_status(shop: &Shop, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
    clock::wait_until(what, BOUND, || {
        let said = status(shop, name)?;
        if is(&said) { Ok(Some(())) } else { bail!("{said}") }
    })
}

fn damped_now(shop: &Shop) -> Result<bool> {
    Ok(status(shop, "flapping")?["flaps"]["damped"] == true)
}

/// Three seconds of it, or until it is damped.
fn flip(shop: &Shop, machine: &mut Backend, mode: Mode) -> Result<()> {
    machine.set(mode)?;
    let since = clock::now();
    clock::wait_until("three seconds to pass", BOUND, || {
        Ok((since.elapsed() >= FLIP || damped_now(shop)?).then_some(()))
    })
}

/// Waits until the status of the policy says so.
fn policy(shop: &Shop, is: impl Fn(&Value) -> bool) -> Result<Value> {
    clock::wait_until("the status of the policy", BOUND, || {
        let status = shop.kubectl.get(&["discoverypolicy", "calm", "-n", "shop"])?["status"].clone();
        if is(&status) { Ok(Some(status)) } else { bail!("{status}") }
    })
}
