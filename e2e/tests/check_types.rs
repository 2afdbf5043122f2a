//! Every kind of check, against real servers: what it finds passes, fails and recovers in status, EndpointSlices and DNS.
//! And what history makes of it: damping and the guard.

mod support;

#[path = "check_types/history.rs"]
mod history;
#[path = "check_types/hole.rs"]
mod hole;
#[path = "check_types/servers.rs"]
mod servers;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail, ensure};
use rollcall_e2e::{clock, net};
use serde_json::{Value, json};
use servers::{Mode, Servers};
use support::shop::{With, outside_address};
use support::{BOUND, Shop, page, step};

/// A kind of check: its service, what is checked, and words of its reason when it passes and when it fails.
struct Kind {
    name: &'static str,
    protocol: &'static str,
    check: Value,
    passes: &'static str,
    fails: &'static str,
}

fn kinds(servers: &Servers) -> Vec<Kind> {
    let tls = json!({"caBundle": servers.authority(), "serverName": "pay.example"});
    let kind = |name, protocol, check, passes, fails| Kind { name, protocol, check, passes, fails };
    let contains =
        json!({"path": "/ready", "method": "POST", "body": "ping", "bodyContains": "ready", "statuses": [200]});
    vec![
        kind("http", "TCP", json!({"http": contains}), "answered 200", "answered 503: \\\"out of disk\\\""),
        kind("https", "TCP", json!({"http": {"path": "/", "tls": tls}}), "answered 200", "answered 503"),
        kind("tcp", "TCP", json!({"tcp": {"send": "PING\r\n", "expect": "+PONG"}}), "answered", "does not contain"),
        kind("tls", "TCP", json!({"tls": tls}), "lasts until", "expired on"),
        kind("grpc", "TCP", json!({"grpc": {"service": "shop.v1.Pay"}}), "answered SERVING", "answered NOT_SERVING"),
        kind("http2", "TCP", json!({"http2": {}}), "answered the ping", "HTTP/2 with"),
        kind("udp", "UDP", json!({"udp": {"send": "ping", "expect": "pong"}}), "answered", "got no answer within"),
    ]
}

/// The ways in which a server answers and is not well.
fn ways() -> [Kind; 3] {
    let kind = |name, check, fails| Kind { name, protocol: "TCP", check, passes: "answered 200", fails };
    [
        kind("hung", json!({"http": {"path": "/"}}), "got no answer within"),
        kind("slow", json!({"http": {"path": "/", "bodyContains": "ready"}}), "and no more within"),
        kind("loops", json!({"http": {"path": "/", "followRedirects": 2}}), "was redirected more than 2 times"),
    ]
}

#[test]
fn every_kind_of_check_passes_fails_and_recovers() -> Result<()> {
    Shop::run("check-types", With::NoEnvoy, |shop| {
        let address = outside_address(2, IpAddr::is_ipv4)?;
        let mut servers = Servers::new()?;
        let kinds = kinds(&servers);
        for kind in &kinds {
            servers.start(kind.name, SocketAddr::new(address, net::free_port()?))?;
            shop.kubectl.apply(&registration(kind, &servers)?.to_string())?;
        }
        shop.kubectl.apply(&alias(address).to_string())?;
        let all: Vec<_> = kinds.iter().map(|kind| (kind.name, kind.passes, kind.fails)).collect();
        let all = [&all[..], &[("alias", "has endpoints that pass", "that passes")]].concat();
        step("each kind passes", || all.iter().try_for_each(|(name, passes, _)| is(shop, name, "Passing", passes)))?;
        let failed = clock::now();
        servers.set(Mode::Fails);
        step("each kind fails, with its reason", || {
            all.iter().try_for_each(|(name, _, fails)| is(shop, name, "Critical", fails))
        })?;
        println!("    all {} out of status and DNS after {:.1} s", all.len(), failed.elapsed().as_secs_f32());
        step("each eviction is measured, by the replica that decided it", || measured(shop, all.len()))?;
        servers.set(Mode::Passes);
        step("each kind recovers", || all.iter().try_for_each(|(name, passes, _)| is(shop, name, "Passing", passes)))?;
        step("a hung server, a body that never ends and a redirect loop fail, and recover", || tried(shop, address))?;
        step("what swallows all packets fails by its timeout, and recovers", || hole::tried(shop))?;
        step("a certificate that ends soon is a Warning, and is given to callers", || {
            servers.set(Mode::EndsSoon);
            is(shop, "tls", "Warning", "in 5 days; renew it")
        })?;
        step("a Secret that may not be read is said with its remedy, and the others go on", || {
            secret(shop, &kinds[1], &servers)
        })?;
        step("how long it takes until one is out is told term by term", || terms(shop))?;
        step("who flips every three seconds is damped, says why, and comes back", || history::damped(shop))?;
        step("all of a service fail at once: they are held, say so, and go when their registration says so", || {
            history::held(shop)
        })
    })
}

fn registration(kind: &Kind, servers: &Servers) -> Result<Value> {
    let address = servers.address(kind.name)?;
    let mut check = kind.check.clone();
    check["name"] = "it".into();
    check["interval"] = "1s".into();
    check["timeout"] = "1s".into();
    Ok(json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": kind.name, "namespace": "shop"},
        "spec": {
            "service": kind.name,
            "ports": [{"name": "main", "port": address.port(), "protocol": kind.protocol}],
            "endpoints": [{"name": "vm", "addresses": [address.ip()]}],
            "checks": [check],
        },
    }))
}

fn alias(address: IpAddr) -> Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": "alias", "namespace": "shop"},
        "spec": {
            "service": "alias",
            "ports": [{"port": 1}],
            "endpoints": [{"name": "vm", "addresses": [address]}],
            "checks": [{"name": "it", "interval": "1s", "alias": {"service": "http"}}],
        },
    })
}

/// Each of the ways: it passes, fails for its reason, and recovers.
fn tried(shop: &Shop, address: IpAddr) -> Result<()> {
    let mut servers = Servers::new()?;
    for way in ways() {
        servers.start(way.name, SocketAddr::new(address, net::free_port()?))?;
        shop.kubectl.apply(&registration(&way, &servers)?.to_string())?;
    }
    let passes = || ways().iter().try_for_each(|way| is(shop, way.name, "Passing", way.passes));
    passes()?;
    servers.set(Mode::Fails);
    ways().iter().try_for_each(|way| is(shop, way.name, "Critical", way.fails))?;
    servers.set(Mode::Passes);
    passes()
}

/// Waits until the status says so for that reason, and DNS gives the endpoint exactly if callers are to get it.
fn is(shop: &Shop, name: &str, health: &str, reason: &str) -> Result<()> {
    clock::wait_until(&format!("{name} to be {health} for {reason:?}"), BOUND, || {
        let said = shop.api.endpoint_status(name, "vm")?;
        ensure!(said["health"] == health && said["reason"].to_string().contains(reason), "{said}");
        let callable = said["callable"] == true;
        ensure!(callable == matches!(health, "Passing" | "Warning"), "{said}");
        // A name without an endpoint is NXDOMAIN, which is no answer.
        let found: BTreeSet<_> =
            if callable { shop.callers.dns(name)? } else { shop.callers.dns(name).unwrap_or_default() };
        ensure!(found.len() == usize::from(callable), "DNS has {found:?}");
        Ok(Some(()))
    })
}

fn secret(shop: &Shop, https: &Kind, servers: &Servers) -> Result<()> {
    let mut with_secret = registration(https, servers)?;
    with_secret["metadata"]["name"] = "secret".into();
    with_secret["spec"]["service"] = "secret".into();
    with_secret["spec"]["checks"][0]["http"]["tls"]["secretName"] = "probe".into();
    // Another address: two registrations may not claim the same.
    with_secret["spec"]["endpoints"][0]["addresses"] = json!([outside_address(3, IpAddr::is_ipv4)?]);
    shop.kubectl.apply(&with_secret.to_string())?;
    is(shop, "secret", "Unknown", "controller.checkSecrets: {shop: [probe]}")?;
    is(shop, "https", "Passing", "answered 200")
}

fn measured(shop: &Shop, evictions: usize) -> Result<()> {
    clock::wait_until("as many measurements at each stage", BOUND, || {
        for stage in ["detected", "decided", "served"] {
            let count = |http| page::metric(http, "rollcall_evictions_seconds_count", stage);
            let counts: Result<Vec<_>> = shop.rollcall.controllers.iter().map(|replica| count(replica.http)).collect();
            let sum: f64 = counts?.iter().sum();
            ensure!(sum >= evictions as f64, "{sum} of {evictions} {stage}");
        }
        Ok(Some(()))
    })
}

fn terms(shop: &Shop) -> Result<()> {
    let said = shop.api.registration("http")?["status"]["timeToEvict"].clone();
    // interval 1s + 2 x timeout 1s, 500 ms for others who are asked, 100 ms to the streams. Lateness comes on top on a busy machine.
    let expected = [("detection", "3s"), ("confirmation", "500ms"), ("serve", "100ms"), ("write", "1s")];
    for (term, value) in expected {
        if said[term] != value {
            bail!("{term} is not {value}: {said}");
        }
    }
    let entry = shop.api.entry("http")?;
    ensure!(entry["timeToEvict"] == entry["timeToEvictTerms"]["total"], "{entry}");
    Ok(())
}
