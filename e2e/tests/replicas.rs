//! Three replicas share the checks, tell each other what they find, also while the API server is away, and take over from one
//! that is killed. One that reaches no machine evicts nobody, and one that the API server does not hear goes on.

#[path = "replicas/cut.rs"]
mod cut;
#[path = "replicas/frozen.rs"]
mod frozen;
mod support;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::rollcall::Dns;
use rollcall_e2e::{Component, clock};
use support::page::metric;
use support::shop::{DIRECT, With, name};
use support::{BOUND, Shop, step};

/// vm-1 and vm-2 in three registrations.
const CHECKS: f64 = 6.0;

#[test]
fn replicas_share_the_checks_and_tell_each_other_what_they_find() -> Result<()> {
    Shop::run("replicas", With::NoEnvoy, |shop| {
        let (third, way) = cut::third(shop)?;
        shop.rollcall.controllers.push(third);
        shop.rollcall.controllers[2].wait_ready()?;
        let clients = step("each replica has a client of its own", || clients(shop))?;
        step("they find each other, and each check has one owner", || shared(shop, 3))?;
        step("all clients have everything", || all_have(&clients, &shop.all()?))?;
        let (rest, all) = (shop.all_but(0)?, shop.all()?);
        step("one is cut off from all machines: nobody is evicted", || cut::from_machines(shop, &clients))?;
        step("one is cut off from the API server: it goes on, and is not taken for dead", || {
            cut::from_the_api_server(shop, &clients, &way)
        })?;
        step(
            "the API server hangs; a machine that one replica checks fails, and the clients of all stop getting it",
            || frozen::machine_fails(shop, &clients, &rest),
        )?;
        step("it returns, and every client gets it again", || {
            shop.machines[0].set(Mode::Answer)?;
            let seen = all_have(&clients, &all);
            shop.plane.process(Component::ApiServer)?.thaw();
            seen
        })?;
        step("one is killed: the others take its checks over, and no endpoint is lost", || {
            shop.rollcall.controllers[2].process.kill()?;
            let begun = clock::now();
            shared(shop, 2)?;
            println!("    after {:.1} s", begun.elapsed().as_secs_f32());
            all_have(&clients[..2], &all)
        })?;
        step("a machine that fails then is found all the same", || {
            shop.machines[1].set(Mode::Fail)?;
            all_have(&clients[..2], &shop.all_but(1)?)?;
            shop.machines[1].set(Mode::Answer)?;
            all_have(&clients[..2], &all)
        })?;
        step("it comes back, and has its share again", || {
            shop.rollcall.controllers[2].start_again()?;
            shop.rollcall.controllers[2].wait_ready()?;
            shared(shop, 3)?;
            all_have(&clients, &all)
        })
    })
}

/// A DNS server for each replica alone: what it answers is what that replica tells.
fn clients(shop: &mut Shop) -> Result<Vec<Kdig>> {
    let mut clients = Vec::new();
    for (index, catalog) in shop.rollcall.catalogs().into_iter().enumerate() {
        let name = format!("dns-of-{index}");
        let mut dns = Dns::start(&shop.binaries, &shop.installation, &name, &[catalog], shop.folder(), &[])?;
        dns.wait_ready()?;
        clients.push(Kdig::new(dns.listen)?);
        shop.rollcall.dns.push(dns);
    }
    Ok(clients)
}

fn all_have(clients: &[Kdig], expected: &BTreeSet<String>) -> Result<()> {
    for (index, client) in clients.iter().enumerate() {
        clock::wait_until(&format!("the client of replica {index} to have {expected:?}"), BOUND, || {
            let seen: BTreeSet<String> = client.data(&name(DIRECT), "A")?.into_iter().collect();
            if seen == *expected { Ok(Some(())) } else { bail!("{seen:?}") }
        })?;
    }
    Ok(())
}

/// Waits until the first so many replicas see and hear each other, and all checks are shared between them.
fn shared(shop: &Shop, replicas: usize) -> Result<()> {
    let running = &shop.rollcall.controllers[..replicas];
    clock::wait_until(&format!("{replicas} replicas to share the checks"), BOUND, || {
        let mut scheduled = 0.0;
        for controller in running {
            let read = |name: &str| metric(controller.http, name, "");
            let (live, heard) = (read("rollcall_replicas_live")?, read("rollcall_replicas_heard")?);
            ensure!((live, heard) == (replicas as f64, replicas as f64 - 1.0), "{live} live, {heard} heard");
            ensure!(read("rollcall_checks_known")? == CHECKS, "{} known", read("rollcall_checks_known")?);
            scheduled += read("rollcall_checks_scheduled")?;
        }
        if scheduled == CHECKS { Ok(Some(())) } else { bail!("{scheduled} checks on all of them") }
    })
}
