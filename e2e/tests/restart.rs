//! Restarts of Rollcall's own parts: nobody notices, and nothing is written.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::clock;
use rollcall_e2e::process::STOP_BOUND;
use support::api::{Versions, changed};
use support::page::{metric, readyz};
use support::shop::{DIRECT, MARKER, PAYMENTS, With, cluster};
use support::{BOUND, Shop, Vigil, step};

/// The lease holds for 10 s; a candidate looks each second, then lists nothing and writes. Told when it takes longer, not
/// asserted: this machine may be loaded.
const TAKE_OVER_S: f32 = 10.0;

#[test]
fn a_restart_of_any_part_is_invisible() -> Result<()> {
    Shop::run("restart", With::Envoy, |shop| {
        step("everything is there and written", || {
            shop.everywhere(&shop.all()?, clock::now())?;
            shop.await_written("203.0.113.10")
        })?;
        step("the leader stops and starts: the standby takes over, nobody notices", || {
            let leader = shop.leader()?;
            unnoticed(shop, "203.0.113.11", |shop| stop_and_start(shop, &[leader]))
        })?;
        step("all controllers stop and start: nobody notices", || {
            unnoticed(shop, "203.0.113.12", |shop| stop_and_start(shop, &[0, 1]))
        })?;
        step("the DNS server starts anew and has everything when it is ready", || dns_restart(shop))?;
        step("the leader is killed: the standby takes over and writes", || leader_killed(shop))
    })
}

/// Does something to the controllers during which no caller may see less and nothing may be written.
fn unnoticed(shop: &mut Shop, marker: &str, body: impl FnOnce(&mut Shop) -> Result<()>) -> Result<()> {
    let all = shop.all()?;
    let (versions, counters) = at_rest(shop)?;
    let vigil = Vigil::start(shop.callers.clone());
    let outcome = body(shop).and_then(|()| shop.await_written(marker));
    let seen = vigil.end()?;
    outcome?;
    println!("    asked {} times; the smallest answers were whole", seen.looks);
    seen.expect_all(&all)?;
    seen.expect_no_failure()?;
    let rewritten = changed(&versions, &shop.api.versions()?, &[MARKER]);
    ensure!(rewritten.is_empty(), "written although nothing had changed: {rewritten:#?}");
    let after = envoy_counters(shop)?;
    ensure!(counters == after, "Envoy's counters went from {counters:?} to {after:?}");
    Ok(())
}

/// What is written, and Envoy's counters, once what was just changed has arrived everywhere: a second passes in which
/// neither moves.
fn at_rest(shop: &Shop) -> Result<(Versions, Vec<(String, u64)>)> {
    let look = || anyhow::Ok((shop.api.versions()?, envoy_counters(shop)?));
    let mut last = look()?;
    clock::wait_until("a second in which nothing is written and nothing comes to Envoy", BOUND, || {
        clock::pause(Duration::from_secs(1));
        let before = std::mem::replace(&mut last, look()?);
        Ok((before == last).then(|| last.clone()))
    })
}

/// Clusters that came, changed and went, and changes of the hosts of two clusters.
fn envoy_counters(shop: &Shop) -> Result<Vec<(String, u64)>> {
    let stats = ["added", "modified", "removed"].map(|change| format!("cluster_manager.cluster_{change}"));
    let hosts = [PAYMENTS, DIRECT].map(|service| {
        // Envoy writes a colon in a cluster's name as an underscore in its statistics.
        format!("cluster.{}.membership_change", cluster(service).replace(':', "_"))
    });
    let envoy = shop.callers.of_envoy()?;
    // The marker is a cluster like any other; only its endpoints change.
    stats.into_iter().chain(hosts).map(|name| envoy.stat(&name).map(|value| (name, value))).collect()
}

/// Stops controllers, waits until they are gone, and starts them again.
fn stop_and_start(shop: &mut Shop, which: &[usize]) -> Result<()> {
    for index in which {
        shop.rollcall.controllers[*index].process.terminate();
    }
    for index in which {
        let process = &mut shop.rollcall.controllers[*index].process;
        // Not `stop`, which would send a second signal: that cuts the drain short.
        ensure!(process.join(STOP_BOUND)?, "{} did not end on SIGTERM", process.name());
    }
    for index in which {
        shop.rollcall.controllers[*index].start_again()?;
    }
    for index in which {
        shop.rollcall.controllers[*index].wait_ready()?;
    }
    Ok(())
}

fn dns_restart(shop: &mut Shop) -> Result<()> {
    let all = shop.all()?;
    let dns = &mut shop.rollcall.dns[0];
    ensure!(dns.process.stop()?, "the DNS server did not end on SIGTERM");
    dns.start_again()?;
    clock::wait_until("the first answer of the DNS server that is no SERVFAIL", BOUND, || {
        let answer = shop.callers.kdig.ask(&support::shop::name(DIRECT), "A")?;
        if answer.rcode == "SERVFAIL" {
            return Ok(None);
        }
        let found = answer.data("A");
        if found.iter().cloned().collect::<std::collections::BTreeSet<_>>() == all {
            return Ok(Some(()));
        }
        Err(clock::fatal(&anyhow::anyhow!("the first answer was {} {found:?}, not {all:?}", answer.rcode)))
    })?;
    shop.rollcall.dns[0].wait_ready()
}

fn leader_killed(shop: &mut Shop) -> Result<()> {
    let leader = shop.leader()?;
    let standby = 1 - leader;
    let (all, rest) = (shop.all()?, shop.all_but(0)?);
    ensure!(readyz(shop.rollcall.controllers[standby].http)?.0 == 200, "the standby is not ready");
    let vigil = Vigil::start(shop.callers.clone());
    let killed = clock::now();
    shop.rollcall.controllers[leader].process.kill()?;
    shop.machines[0].set(Mode::Fail)?;
    let stations = shop.everywhere(&rest, killed);
    let seen = vigil.end()?;
    let stations = stations?;
    println!("    a machine that failed at that moment was out: {stations}");
    let said = shop.await_health("vm-1", "Critical")?;
    ensure!(said.contains("answered 503"), "the reason in the status is {said:?}");
    let took = stations.slices.as_secs_f32();
    if took > TAKE_OVER_S + 2.0 {
        println!(
            "    WARNING: written after {took:.1} s, more than the lease time of {TAKE_OVER_S} s and two looks at it"
        );
    }
    ensure!(shop.leader()? == standby, "somebody else than the standby leads");
    let writes = metric(shop.rollcall.controllers[standby].http, "rollcall_writeback_writes_total", "written")?;
    ensure!(writes > 0.0, "the standby leads and has written nothing");
    // Callers lost what failed, and nothing else.
    seen.expect_all(&rest)?;

    let started = clock::now();
    shop.rollcall.controllers[leader].start_again()?;
    shop.rollcall.controllers[leader].wait_ready()?;
    shop.machines[0].set(Mode::Answer)?;
    println!("    back: {}", shop.everywhere(&all, started)?);
    Ok(())
}
