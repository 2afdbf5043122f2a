//! One of three replicas that is cut off: from the machines, or from the API server.

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::install::{Installation, NAMESPACE};
use rollcall_e2e::relay::Relay;
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{clock, kubeconfig, net};

use super::support::page::metric;
use super::support::{BOUND, Shop};
use super::{all_have, shared};

/// The way of the third replica to the API server.
pub(crate) struct Way {
    relay: Relay,
    server: std::net::SocketAddr,
}

/// The source that tells how long a replica has not heard the API server.
const SOURCE: &str = "\"serviceregistrations\"";
/// Some times as long as a Lease that is not renewed speaks for its replica, in seconds.
const SILENCE_S: f64 = 12.0;

/// Starts it. It need not be ready on return.
pub(crate) fn third(shop: &Shop) -> Result<(Controller, Way)> {
    let mut cluster = kubeconfig::cluster(&shop.kubectl)?;
    let server = cluster["server"].as_str().and_then(|url| url.strip_prefix("https://")).context("no server")?;
    let server = server.parse().with_context(|| format!("the address of the API server, {server}"))?;
    let relay = Relay::start(server)?;
    cluster["server"] = format!("https://{}", relay.address()).into();
    let token = ["create", "token", "rollcall-controller", "--namespace", NAMESPACE, "--duration", "24h"];
    let controller = shop.folder().join("third.kubeconfig");
    kubeconfig::write(&controller, &cluster, "rollcall-controller", shop.kubectl.run(&token)?.trim())?;
    let installation = Installation { controller, ..shop.installation.clone() };
    let third = Controller::start(&shop.binaries, &installation, "controller-2", shop.folder(), &[])?;
    Ok((third, Way { relay, server }))
}

/// It renews its Lease and is heard by the others, and none of its probes is answered.
pub(crate) fn from_machines(shop: &mut Shop, clients: &[Kdig]) -> Result<()> {
    let (third, all) = (shop.rollcall.controllers[2].http, shop.all()?);
    let own = metric(third, "rollcall_checks_scheduled", "")?;
    ensure!(own > 0.0, "the third replica owns nothing: it could not evict anybody");
    let before = evictions(shop);
    let process = shop.rollcall.controllers[2].process.pid().context("the third replica does not run")?;
    shop.machines.iter_mut().try_for_each(|machine| machine.set(Mode::HangFor(process)))?;
    clock::wait_until("others to contradict it, or it to suspect itself", BOUND, || {
        all_have(clients, &all)?;
        let denied = metric(third, "rollcall_checks_confirmations_total", "\"denied\"").unwrap_or_default();
        let suspects = metric(third, "rollcall_checks_self_suspicion", "")?;
        Ok((denied + suspects > 0.0).then_some(()))
    })?;
    let since = clock::now();
    clock::wait_until("what it would have evicted by now", BOUND, || {
        all_have(clients, &all)?;
        Ok((since.elapsed().as_secs_f64() > SILENCE_S).then_some(()))
    })?;
    shop.machines.iter_mut().try_for_each(|machine| machine.set(Mode::Answer))?;
    let now = evictions(shop);
    ensure!(now == before, "{now} endpoints evicted, of which {before} were before");
    clock::wait_until("it to trust itself again", BOUND, || {
        Ok((metric(third, "rollcall_checks_self_suspicion", "")? == 0.0).then_some(()))
    })?;
    shared(shop, 3)
}

/// It reaches machines and the other replicas, and renews no Lease.
pub(crate) fn from_the_api_server(shop: &mut Shop, clients: &[Kdig], way: &Way) -> Result<()> {
    let (third, all, rest) = (shop.rollcall.controllers[2].http, shop.all()?, shop.all_but(0)?);
    way.relay.move_to(net::free_loopback()?);
    clock::wait_until("it not to have heard the API server for a while", BOUND, || {
        all_have(clients, &all)?;
        let age = metric(third, "rollcall_source_age_seconds", SOURCE)?;
        if age > SILENCE_S { Ok(Some(())) } else { bail!("{age} s") }
    })?;
    shared(shop, 3).context("its stream is to speak for it")?;
    shop.machines[0].set(Mode::Fail)?;
    all_have(clients, &rest)?;
    shop.machines[0].set(Mode::Answer)?;
    all_have(clients, &all)?;
    way.relay.move_to(way.server);
    clock::wait_until("it to hear the API server again", BOUND, || {
        Ok((metric(third, "rollcall_source_age_seconds", SOURCE)? < SILENCE_S).then_some(()))
    })
}

/// By all replicas so far; one that has decided none yet counts none.
fn evictions(shop: &Shop) -> f64 {
    let of = |replica: &Controller| metric(replica.http, "rollcall_checks_transitions_total", "\"critical\"");
    shop.rollcall.controllers.iter().filter_map(|replica| of(replica).ok()).sum()
}
