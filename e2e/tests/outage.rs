//! The API server and etcd away: what is known goes on being served and checked, and nothing is rewritten afterwards.

#[path = "outage/aged.rs"]
mod aged;
mod support;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{Component, clock, http};
use support::api::{Versions, changed};
use support::page::{metric, readyz};
use support::shop::{DIRECT, MARKER, OUTSIDE, STEADY, With};
use support::{BOUND, Shop, Vigil, step};

/// How long the API server and etcd are away: longer than a watch may be silent, so that each is broken and begun anew.
const OUTAGE: Duration = Duration::from_secs(45);
/// What the controller watches. The last one holds up nobody's readiness: it is only written.
const SOURCES: [&str; 6] = ["services", "endpointslices", "pods", "nodes", "serviceregistrations", "catalogentries"];

#[test]
fn an_outage_of_the_kubernetes_api_shrinks_no_answer() -> Result<()> {
    Shop::run("outage", With::Envoy, |shop| {
        step("everything is there and written", || {
            shop.everywhere(&shop.all()?, clock::now())?;
            shop.await_written("203.0.113.10")
        })?;
        aged::register(shop)?;
        step("a watch on which nothing happens is not old", || aged::stay_fresh(shop))?;
        let before = shop.api.versions()?;
        step("the API server stops, and etcd too; DNS and Envoy go on", || {
            shop.plane.stop(Component::ApiServer)?;
            shop.plane.stop(Component::Etcd)
        })?;
        let begun = clock::now();
        step("a machine that fails leaves DNS and Envoy all the same, and returns", || fails_meanwhile(shop))?;
        step("what is older than its policy allows is marked in DNS, or refused", || aged::are(shop, aged::STALE))?;
        let mut late = step("a controller that starts now waits, not ready, and says why", || starts_meanwhile(shop))?;
        step("nobody sees less for as long, and the age of the watches tells", || rest_of_outage(shop, begun))?;
        step("both return: nothing is rewritten", || back_again(shop, &before))?;
        step("and fresh again", || aged::are(shop, aged::FRESH))?;
        step("the controller that waited becomes ready and gives the same answers", || {
            late.wait_ready()?;
            ensure!(late.process.stop()?, "it did not end on SIGTERM");
            Ok(())
        })?;
        step("etcd alone is killed and returns: only what really changed is written", || etcd(shop))
    })
}

/// What DNS and Envoy say, which is all that there is without an API server.
fn callers_have(shop: &Shop, expected: &std::collections::BTreeSet<String>) -> Result<()> {
    clock::wait_until(&format!("DNS and Envoy to have {expected:?}"), BOUND, || {
        let (dns, envoy) = (shop.callers.dns(DIRECT)?, shop.callers.envoy(DIRECT)?);
        if dns != *expected || envoy != *expected {
            bail!("DNS {dns:?}, Envoy {envoy:?}");
        }
        Ok(Some(()))
    })
}

/// The addresses of all, of which the pods are read from Envoy: the API server cannot be asked.
fn fails_meanwhile(shop: &mut Shop) -> Result<()> {
    let all = shop.callers.envoy(DIRECT)?;
    let (fails, stays) = (shop.ip(0), shop.ip(1));
    ensure!(all.len() == 4 && all.contains(&stays), "Envoy has {all:?} right after the API server went");
    let mut rest = all.clone();
    rest.remove(&fails);
    let failed = clock::now();
    shop.machines[0].set(Mode::Fail)?;
    callers_have(shop, &rest)?;
    println!("    out of DNS and Envoy after {:.1} s", failed.elapsed().as_secs_f32());
    let healed = clock::now();
    shop.machines[0].set(Mode::Answer)?;
    callers_have(shop, &all)?;
    println!("    back after {:.1} s", healed.elapsed().as_secs_f32());
    Ok(())
}

fn starts_meanwhile(shop: &Shop) -> Result<Controller> {
    let mut late = Controller::start(&shop.binaries, &shop.installation, "controller-late", shop.folder(), &[])?;
    let admin = late.http;
    let text = late.process.wait_until("/readyz to name every source and why", BOUND, || {
        let (status, text) = readyz(admin)?;
        ensure!(status != 200, "ready without an API server: {text}");
        let line = |source: &&str| {
            text.lines().any(|line| line.contains(&format!("not ready: {source}: listing {source} fails: ")))
        };
        let missing: Vec<_> = SOURCES[..5].iter().filter(|source| !line(source)).collect();
        if missing.is_empty() { Ok(Some(text)) } else { bail!("nothing about {missing:?} in:\n{text}") }
    })?;
    println!("    {}", text.lines().next().unwrap_or_default());
    ensure!(http::get(admin, "/livez")?.status == 200, "a controller that waits for the API server is to be alive");
    Ok(late)
}

fn rest_of_outage(shop: &Shop, begun: std::time::Instant) -> Result<()> {
    let all = shop.callers.envoy(DIRECT)?;
    let vigil = Vigil::start(shop.callers.clone());
    let over = clock::wait_until("the outage to last", OUTAGE * 2, || Ok((begun.elapsed() >= OUTAGE).then_some(())));
    let seen = vigil.end()?;
    over?;
    println!("    asked {} times; the smallest answers were whole", seen.looks);
    seen.expect_all(&all)?;
    seen.expect_no_failure()?;
    for controller in &shop.rollcall.controllers {
        let (status, text) = readyz(controller.http)?;
        ensure!(
            status == 200,
            "{} serves the last data and says that it is not ready: {text}",
            controller.process.name()
        );
        for source in SOURCES {
            let age = metric(controller.http, "rollcall_source_age_seconds", &format!("\"{source}\""))?;
            // Nobody has answered since it began; what was said before may have been read some seconds later.
            ensure!(
                age > 35.0,
                "the watch of {source} claims an age of {age} s after {OUTAGE:?} without an API server"
            );
        }
    }
    Ok(())
}

fn back_again(shop: &mut Shop, before: &Versions) -> Result<()> {
    let all = shop.callers.envoy(DIRECT)?;
    let vigil = Vigil::start(shop.callers.clone());
    let back = clock::now();
    let outcome = shop.plane.start_again(Component::Etcd);
    let outcome = outcome.and_then(|()| shop.plane.start_again(Component::ApiServer));
    let outcome = outcome.and_then(|()| settled(shop, "203.0.113.11"));
    let seen = vigil.end()?;
    outcome?;
    println!("    written to again {:.1} s after its start; {} looks", back.elapsed().as_secs_f32(), seen.looks);
    seen.expect_all(&all)?;
    seen.expect_no_failure()?;
    ensure!(shop.pods()?.is_subset(&all), "the pods changed during the outage: {:?}, not of {all:?}", shop.pods()?);
    // vm-1 failed and returned meanwhile: since when it is Passing is news, in the status of its registrations alone.
    let news = ["serviceregistrations shop/payments", "serviceregistrations shop/outside", MARKER, "shop/aged-"];
    let rewritten = changed(before, &shop.api.versions()?, &news);
    ensure!(rewritten.is_empty(), "written although nothing had changed: {rewritten:#?}");
    let events = shop.api.events("payments-vm")?;
    let told = events.iter().find(|event| event.contains("EndpointCritical"));
    told.map_or(Ok(()), |event| bail!("an Event of a failure that was over before it could be written: {event}"))
}

/// Waits until the watches are fresh and everything is written.
fn settled(shop: &Shop, marker: &str) -> Result<()> {
    for controller in &shop.rollcall.controllers {
        for source in SOURCES {
            clock::wait_until(&format!("a fresh watch of {source}"), BOUND, || {
                let age = metric(controller.http, "rollcall_source_age_seconds", &format!("\"{source}\""))?;
                if age < 40.0 { Ok(Some(())) } else { bail!("{} is {age} s old", controller.process.name()) }
            })?;
        }
    }
    shop.await_written(marker)
}

fn etcd(shop: &mut Shop) -> Result<()> {
    let (all, rest) = (shop.all()?, shop.all_but(1)?);
    let before = shop.api.versions()?;
    shop.plane.kill(Component::Etcd)?;
    let failed = clock::now();
    shop.machines[1].set(Mode::Refuse)?;
    callers_have(shop, &rest)?;
    println!("    out of DNS and Envoy after {:.1} s without etcd", failed.elapsed().as_secs_f32());
    let vigil = Vigil::start(shop.callers.clone());
    let outcome = shop.plane.start_again(Component::Etcd).and_then(|()| shop.plane.wait_ready(Component::ApiServer));
    let outcome = outcome.and_then(|()| settled(shop, "203.0.113.12")).and_then(|()| {
        println!("    at all stations: {}", shop.everywhere(&rest, failed)?);
        Ok(())
    });
    let seen = vigil.end()?;
    outcome?;
    seen.expect_all(&rest)?;
    let after = shop.api.versions()?;
    let news = ["shop/payments", "shop/outside", MARKER, "shop/aged-"];
    let rewritten = changed(&before, &after, &news);
    ensure!(rewritten.is_empty(), "written although nothing had changed: {rewritten:#?}");
    let untouched = [STEADY, OUTSIDE].map(|name| shop.api.entry(name).is_ok());
    ensure!(untouched == [true, true], "a CatalogEntry is gone after the outage: {untouched:?}");
    shop.machines[1].set(Mode::Answer)?;
    shop.everywhere(&all, clock::now()).map(drop)
}
