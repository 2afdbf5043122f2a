//! What operators see of the running programs: health, metrics, and an orderly end.

// Not a dependency: all that serves pages would be compiled once more, for this list of rules.
#[path = "../../admin/src/conventions.rs"]
#[allow(dead_code, unreachable_pub)]
mod naming;
mod support;

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::rollcall::{Binaries, Controller};
use rollcall_e2e::{Process, clock, http};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use support::page::{metric, readyz};
use support::shop::{OUTSIDE, STEADY, With, unchecked};
use support::{BOUND, Shop, step};

#[test]
fn programs_show_how_they_are_and_end_in_order() -> Result<()> {
    Shop::run("admin", With::LongLameDuck, |shop| {
        let pages: Vec<_> = addresses(shop);
        step("everything is there and written", || shop.await_written("203.0.113.10"))?;
        step("/livez and /readyz say ok", || pages.iter().try_for_each(|(name, admin)| healthy(name, *admin)))?;
        step("all metrics follow the conventions", || {
            pages.iter().try_for_each(|(name, admin)| conventions(name, *admin))
        })?;
        step("metrics tell what is there", || metrics_tell(shop))?;
        step("/debug/catalog explains an endpoint", || explained(shop))?;
        step("SIGTERM closes readiness first; a second one cuts the delay short, and all end with code 0", || {
            ends_in_order(shop)
        })?;
        step("with few open files, a thousand idle clients keep no check from running", || few_files(shop))?;
        step("a reader of the log that has stopped reading holds up nothing", || stalled_log(shop))
    })
}

fn addresses(shop: &Shop) -> Vec<(String, SocketAddr)> {
    let controllers = shop.rollcall.controllers.iter().map(|its| (its.process.name().to_owned(), its.http));
    controllers.chain(shop.rollcall.dns.iter().map(|its| (its.process.name().to_owned(), its.http))).collect()
}

fn healthy(name: &str, admin: SocketAddr) -> Result<()> {
    let (livez, readyz) = (http::get(admin, "/livez")?, http::get(admin, "/readyz")?);
    ensure!(livez.status == 200 && livez.body == "ok\n", "{name}: /livez says {livez:?}");
    ensure!(readyz.status == 200 && readyz.body.starts_with("ok\n"), "{name}: /readyz says {readyz:?}");
    let missing = http::get(admin, "/nothing")?;
    ensure!(missing.status == 404, "{name}: a page that does not exist answers {missing:?}");
    Ok(())
}

fn conventions(name: &str, admin: SocketAddr) -> Result<()> {
    let page = http::get(admin, "/metrics")?.body;
    let breaches = naming::breaches(&page);
    ensure!(breaches.is_empty(), "{name}: {breaches:#?}");
    ensure!(page.ends_with("# EOF\n"), "{name}: the page is cut off: …{:?}", page.lines().last());
    println!("    {name}: {} metrics", page.lines().filter(|line| line.starts_with("# TYPE ")).count());
    Ok(())
}

fn metrics_tell(shop: &Shop) -> Result<()> {
    clock::wait_until("gauges that show all that is there", BOUND, || gauges_tell(shop).map(Some))?;
    for controller in &shop.rollcall.controllers {
        let undecodable = metric(controller.http, "rollcall_source_undecodable_objects_total", "")?;
        ensure!(undecodable == 0.0, "{undecodable} undecodable objects in a clean cluster");
    }
    let dns = shop.rollcall.dns[0].http;
    let before = metric(dns, "rollcall_dns_queries_total", "").unwrap_or(0.0);
    shop.callers.dns("outside")?;
    clock::wait_until("a query to be counted", BOUND, || {
        let after = metric(dns, "rollcall_dns_queries_total", "")?;
        ensure!(after > before, "{before} before it, {after} after it");
        Ok(Some(()))
    })
}

/// Each program comes to the same state by itself, none at the same moment.
fn gauges_tell(shop: &Shop) -> Result<()> {
    let mut leaders = 0.0;
    for controller in &shop.rollcall.controllers {
        let read = |name: &str| metric(controller.http, name, "");
        leaders += read("rollcall_leader")?;
        // vm-1 and vm-2 in three registrations.
        ensure!(read("rollcall_checks_known")? == 6.0, "checks: {}", read("rollcall_checks_known")?);
        let services = read("rollcall_catalog_services")?;
        ensure!(services >= 6.0, "{services} services");
    }
    ensure!(leaders == 1.0, "{leaders} leaders");
    clock::wait_until("the replicas to share the checks, each done once", BOUND, || {
        let scheduled = |controller: &Controller| metric(controller.http, "rollcall_checks_scheduled", "");
        let all: f64 = shop.rollcall.controllers.iter().map(scheduled).sum::<Result<f64>>()?;
        if all == 6.0 { Ok(Some(())) } else { bail!("{all} on all of them") }
    })?;
    let dns = shop.rollcall.dns[0].http;
    let (services, connected) =
        (metric(dns, "rollcall_dns_services", "")?, metric(dns, "rollcall_dns_stream_connected", "")?);
    ensure!(services >= 6.0 && connected == 1.0, "DNS holds {services} services, connected: {connected}");
    Ok(())
}

fn explained(shop: &Shop) -> Result<()> {
    clock::wait_until("an explanation of vm-1", BOUND, || {
        let page = http::get_json(shop.rollcall.controllers[0].http, "/debug/catalog/shop/payments")?;
        let endpoints = page["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        match endpoints.iter().find(|endpoint| endpoint["name"] == "vm-1") {
            Some(vm) if vm["origin"] == "ServiceRegistration/payments-vm" && vm["health"] == "Passing" => Ok(Some(())),
            _ => bail!("{page}"),
        }
    })
}

fn ends_in_order(shop: &mut Shop) -> Result<()> {
    for (name, admin) in addresses(shop) {
        let process = shop.rollcall.processes().find(|process| process.name() == name);
        let Some(process) = process else { bail!("no process {name}") };
        ends(process, admin)?;
    }
    Ok(())
}

/// While it drains it is not ready and alive, for longer than any look may take; then it is gone when asked again.
fn ends(process: &mut Process, admin: SocketAddr) -> Result<()> {
    let name = process.name().to_owned();
    process.terminate();
    let said = clock::wait_until(&format!("{name} to say that it shuts down"), BOUND, || {
        let (status, text) = readyz(admin).map_err(|error| clock::fatal(&error))?;
        Ok((status == 503).then_some(text))
    })?;
    ensure!(said.contains("not ready: shutdown: shutting down"), "{name}: /readyz says {said:?}");
    ensure!(http::get(admin, "/livez")?.status == 200, "{name} drains and says that it is not alive");
    process.terminate();
    let status = clock::wait_until(&format!("{name} to end"), BOUND, || {
        if process.is_running() {
            return Ok(None);
        }
        Ok(process.ended())
    })?;
    ensure!(status.code() == Some(0), "{name} ended with {status} (signal {:?})", status.signal());
    Ok(())
}

/// A controller that a shell starts in its own way: `$0` is the program, `$@` its arguments.
fn started_by(shop: &Shop, name: &str, script: &str, flags: &[&str]) -> Result<Controller> {
    let file = shop.folder().join(format!("{name}.sh"));
    let program = shop.binaries.controller.display();
    std::fs::write(&file, format!("#!/bin/sh\nset -- '{program}' \"$@\"\n{script}\n"))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    let binaries = Binaries { controller: file, ..shop.binaries.clone() };
    let mut controller = Controller::start(&binaries, &shop.installation, name, shop.folder(), flags)?;
    controller.wait_ready()?;
    Ok(controller)
}

/// The health of the two machines, as a controller explains it.
fn both_pass(controller: &Controller) -> Result<()> {
    let page = http::get_json(controller.http, &format!("/debug/catalog/shop/{OUTSIDE}"))?;
    let endpoints = page["endpoints"].as_array().context("endpoints")?;
    let passing = endpoints.iter().filter(|endpoint| endpoint["health"] == "Passing").count();
    ensure!(passing == 2, "{page:#}");
    Ok(())
}

/// Nobody else runs: this controller makes every probe.
fn few_files(shop: &Shop) -> Result<()> {
    const CLIENTS: usize = 1010;
    let own = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, maximum: own.maximum }).context("raising the limit")?;
    let mut narrow = started_by(shop, "narrow", "ulimit -n 1024\nexec \"$@\"", &[])?;
    let (_, said) = readyz(narrow.http)?;
    ensure!(said.contains("with 1024 open files at most there is room for "), "{said}");
    clock::wait_until("both machines to pass", BOUND, || both_pass(&narrow).map(Some))?;
    // Those beyond its share are closed as they come.
    let clients: Vec<_> = (0..CLIENTS).filter_map(|_| TcpStream::connect(narrow.grpc).ok()).collect();
    ensure!(clients.len() > 600, "only {} connections", clients.len());
    let probes = || metric(narrow.http, "rollcall_checks_probes_total", "");
    let before = probes()?;
    clock::wait_until("a dozen probes beside them", BOUND, || {
        both_pass(&narrow).map_err(|error| clock::fatal(&error))?;
        Ok((probes()? >= before + 12.0).then_some(()))
    })?;
    let faults = metric(narrow.http, "rollcall_checks_local_faults_total", "").unwrap_or(0.0);
    ensure!(faults == 0.0, "{faults} probes could not be made");
    drop(clients);
    ensure!(narrow.process.stop()?, "it did not end on SIGTERM");
    Ok(())
}

fn stalled_log(shop: &Shop) -> Result<()> {
    let script = "\"$@\" 2>&1 | sleep 3600";
    let mut mute = started_by(shop, "mute", script, &["--log-level", "trace"])?;
    let written = || metric(mute.http, "rollcall_log_lines_total", "written");
    let (mut last, mut same) = (written()?, 0);
    // Each look is a line of the log at least.
    clock::wait_until("the pipe to be full", BOUND, || {
        let now = written()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        clock::pause(Duration::from_millis(50));
        Ok((same >= 20).then_some(()))
    })?;
    ensure!(http::get(mute.http, "/livez")?.status == 200, "it says that it is not alive");
    let endpoints = json!([{"name": "only", "addresses": ["203.0.113.77"]}]);
    shop.kubectl.apply(&unchecked(STEADY, STEADY, &endpoints).to_string())?;
    clock::wait_until("news to be told on", BOUND, || {
        let page = http::get(mute.http, &format!("/debug/catalog/shop/{STEADY}"))?.body;
        if page.contains("203.0.113.77") { Ok(Some(())) } else { bail!("{page}") }
    })?;
    both_pass(&mute)?;
    mute.process.kill()
}
