//! The agent on a machine outside the cluster: it registers, checks, beats, and leaves; and what it does when something else
//! is away.

#[path = "agent/secured.rs"]
mod secured;
mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::agent::{self, Agent, Settings};
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::process::STOP_BOUND;
use rollcall_e2e::{Component, clock, net};
use support::api::NAMESPACE;
use support::shop::With;
use support::{BOUND, Shop, step};

/// The service that the machine offers, without any Kubernetes Service.
const ORDERS: &str = "orders";
const ADDRESS: &str = "203.0.113.71";
const INSTANCE: &str = "shop/orders";

#[test]
fn a_machine_registers_itself_and_leaves_by_itself() -> Result<()> {
    Shop::run("agent", With::NoEnvoy, |shop| {
        let flag = shop.folder().join("disk-is-fine");
        std::fs::write(&flag, "")?;
        let dns = net::free_loopback()?;
        let mut machine = step("a machine registers itself, and callers get it", || registers(shop, &flag, dns))?;
        step("its script fails and callers lose it; it passes and they have it again", || {
            std::fs::remove_file(&flag)?;
            callers_have(shop, &[])?;
            let said = machine.status()?["services"][INSTANCE]["checks"]["disk"].to_string();
            ensure!(said.contains("critical") && said.contains("no disk"), "the status does not say why: {said}");
            told_check_by_check(shop)?;
            std::fs::write(&flag, "")?;
            callers_have(shop, &[ADDRESS])
        })?;
        step("an operator takes it out and back", || maintenance(shop, &machine))?;
        step("the agent is killed and started again: callers never lose it", || {
            machine.process.kill()?;
            machine.process.start()?;
            kept_until(shop, || Ok(machine.status()?["services"][INSTANCE]["state"] == "registered"))
        })?;
        step("both controllers start anew: callers never lose it, and it is heard again", || {
            controllers_anew(shop)?;
            machine.await_state(INSTANCE, "registered", "")?;
            still_beats(shop, &machine)
        })?;
        step("the API server freezes: it beats on, and what is new waits and says so", || frozen(shop, &mut machine))?;
        step("a wrong token, and one without the right, are refused in words", || strangers(shop))?;
        step("over TLS: by the token of a ServiceAccount, by a client certificate, and neither", || {
            secured::both_credentials(shop, &agent::token(&shop.kubectl, NAMESPACE, "machines")?)
        })?;
        step("a service file with a wrong key harms only itself, and is named by its line", || wrong_key(&machine))?;
        step("everything is away and the machine starts anew: its own DNS still answers", || {
            starts_alone(shop, &mut machine, dns)
        })?;
        step("SIGTERM: first out of the answers, then out of the API", || leaves(shop, &mut machine))
    })
}

fn service(name: &str, flag: &std::path::Path) -> String {
    format!(
        "service = \"{name}\"\nnamespace = \"{NAMESPACE}\"\naddresses = [\"{ADDRESS}\"]\nports = 80\n\
         heartbeat = {{ interval = \"1s\", ttl = \"30s\" }}\ndrain = \"1s\"\n\
         [[local_check]]\nname = \"disk\"\nscript = [\"/bin/sh\", \"-c\", \"test -e {} || {{ echo no disk; exit 2; }}\"]\n\
         interval = \"500ms\"\n",
        flag.display()
    )
}

fn start(shop: &Shop, machine: &str, token: &str, services: &[(&str, &str)], dns: Option<SocketAddr>) -> Result<Agent> {
    let more = dns.map(|listen| format!("[dns]\nlisten = [\"{listen}\"]")).unwrap_or_default();
    let controllers = shop.rollcall.catalogs().iter().map(|address| format!("http://{address}")).collect();
    let more = format!("{more}\n[scripts]\nallow = true\nallow_root = true");
    let settings = Settings { machine, controllers, token, more: &more, services };
    Agent::start(&shop.binaries.agent, &settings, shop.folder())
}

fn registers(shop: &Shop, flag: &std::path::Path, dns: SocketAddr) -> Result<Agent> {
    let token = agent::account(&shop.kubectl, NAMESPACE, "machines")?;
    let mut machine = start(shop, "vm-71", &token, &[("orders.toml", &service(ORDERS, flag))], Some(dns))?;
    machine.await_state(INSTANCE, "registered", "orders-")?;
    callers_have(shop, &[ADDRESS])?;
    let labelled = shop.kubectl.list(&["serviceregistrations", "-n", NAMESPACE, "-l", "machine.rollcall.dev/vm-71"])?;
    ensure!(labelled.len() == 1, "kubectl finds {} registrations by the machine's label", labelled.len());
    let endpoint = &labelled[0]["spec"]["endpoints"][0];
    ensure!(endpoint["name"] == "vm-71" && endpoint["addresses"][0] == ADDRESS, "it says {endpoint}");
    Ok(machine)
}

/// The check on the machine stands by itself, beside the heartbeat, which is well.
fn told_check_by_check(shop: &Shop) -> Result<()> {
    let list = || shop.kubectl.list(&["serviceregistrations", "-n", NAMESPACE, "-l", "machine.rollcall.dev/vm-71"]);
    clock::wait_until("the status to tell the check on the machine apart", BOUND, || {
        let checks = list()?[0]["status"]["endpoints"][0]["checks"].clone();
        let (disk, beats) = (&checks[0], &checks[1]);
        let apart = disk["name"] == "disk" && disk["onMachine"] == true && disk["health"] == "Critical";
        ensure!(apart && beats["name"] == "heartbeat" && beats["health"] == "Passing", "it says {checks}");
        Ok(Some(()))
    })
}

fn callers_have(shop: &Shop, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
    clock::wait_until(&format!("DNS to have {expected:?}"), BOUND, || {
        // A name of which nobody can be called does not exist.
        let dns = match shop.callers.dns(ORDERS) {
            Err(error) if format!("{error:#}").contains("NXDOMAIN") => BTreeSet::new(),
            dns => dns?,
        };
        if dns == expected { Ok(Some(())) } else { bail!("{dns:?}") }
    })
}

/// Asks until something is so; no answer may be without the machine.
fn kept_until(shop: &Shop, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    clock::wait_until("what was begun", BOUND, || {
        let dns = shop.callers.dns_at_once(ORDERS)?;
        if !dns.contains(ADDRESS) {
            return Err(clock::fatal(&anyhow::anyhow!("callers lost the machine: {dns:?}")));
        }
        Ok(is_so()?.then_some(()))
    })
}

fn maintenance(shop: &Shop, machine: &Agent) -> Result<()> {
    let (done, said) = machine.command(&["maintenance", "on", "orders", "--reason", "a new disk"])?;
    ensure!(done && said.contains("shop/orders: in maintenance"), "{said}");
    callers_have(shop, &[])?;
    let said = || -> Result<serde_json::Value> {
        let list = ["serviceregistrations", "-n", NAMESPACE, "-l", "machine.rollcall.dev/vm-71"];
        Ok(shop.kubectl.list(&list)?.swap_remove(0))
    };
    clock::wait_until("kubectl to show the maintenance and its reason", BOUND, || {
        let object = said()?;
        let (spec, status) = (&object["spec"]["endpoints"][0], &object["status"]["endpoints"][0]);
        let is_shown = spec["maintenance"]["reason"] == "a new disk" && status["health"] == "Maintenance";
        ensure!(is_shown, "it says {spec} and {status}");
        Ok(Some(()))
    })?;
    let (_, table) = machine.command(&["status"])?;
    ensure!(table.contains(INSTANCE) && table.contains("a new disk"), "the table of status says {table}");
    let (done, said) = machine.command(&["maintenance", "off"])?;
    ensure!(done && said.contains("out of maintenance"), "{said}");
    callers_have(shop, &[ADDRESS])
}

fn controllers_anew(shop: &mut Shop) -> Result<()> {
    for index in 0..shop.rollcall.controllers.len() {
        let process = &mut shop.rollcall.controllers[index].process;
        process.terminate();
        ensure!(process.join(STOP_BOUND)?, "{} did not end on SIGTERM", process.name());
        shop.rollcall.controllers[index].start_again()?;
        shop.rollcall.controllers[index].wait_ready()?;
        let dns = shop.callers.dns(ORDERS)?;
        ensure!(dns.contains(ADDRESS), "callers lost the machine: {dns:?}");
    }
    Ok(())
}

/// Killed with both controllers and started without any: what it knew is on its disk. Then all come back.
fn starts_alone(shop: &mut Shop, machine: &mut Agent, dns: SocketAddr) -> Result<()> {
    let (kdig, name) = (Kdig::new(dns)?, support::shop::name(ORDERS));
    let answers = |stale: bool| {
        clock::wait_until("the DNS of the machine to answer", BOUND, || {
            let answer = kdig.ask_with(&name, "A", &["+edns"])?;
            let told = answer.answer.first().map(|record| record.data.as_str()) == Some(ADDRESS);
            let is_so = told && answer.extended_errors.contains(&3) == stale;
            if is_so { Ok(Some(())) } else { bail!("{answer:?}") }
        })
    };
    answers(false)?;
    let file = machine.folder.join("catalog");
    clock::wait_until("the catalog on the disk of the machine", BOUND, || {
        let text = std::fs::read(&file)?;
        Ok(text.windows(ORDERS.len()).any(|part| part == ORDERS.as_bytes()).then_some(()))
    })?;
    for controller in &mut shop.rollcall.controllers {
        controller.process.kill()?;
    }
    machine.process.kill()?;
    machine.process.start()?;
    answers(true)?;
    for controller in &mut shop.rollcall.controllers {
        controller.start_again()?;
        controller.wait_ready()?;
    }
    machine.await_state(INSTANCE, "registered", "")?;
    answers(false)?;
    callers_have(shop, &[ADDRESS])
}

/// More beats than before, while callers have it.
fn still_beats(shop: &Shop, machine: &Agent) -> Result<()> {
    let beats = || -> Result<u64> { Ok(machine.status()?["beats"].as_u64().unwrap_or_default()) };
    let before = beats()?;
    kept_until(shop, || Ok(beats()? > before + 2))
}

fn frozen(shop: &mut Shop, machine: &mut Agent) -> Result<()> {
    shop.plane.process(Component::ApiServer)?.freeze();
    still_beats(shop, machine)?;
    let late = service("late", &shop.folder().join("disk-is-fine"));
    std::fs::write(machine.folder.join("services.d/late.toml"), late)?;
    machine.await_state("shop/late", "waiting", "")?;
    still_beats(shop, machine)?;
    shop.plane.process(Component::ApiServer)?.thaw();
    machine.await_state("shop/late", "registered", "late-")?;
    std::fs::remove_file(machine.folder.join("services.d/late.toml"))?;
    clock::wait_until("what was left out of the files to be deregistered", BOUND, || {
        Ok(machines(shop)?.iter().all(|name| !name.starts_with("late-")).then_some(()))
    })
}

/// The names of the registrations of agents.
fn machines(shop: &Shop) -> Result<Vec<String>> {
    let label = "app.kubernetes.io/managed-by=rollcall-agents";
    let all = shop.kubectl.list(&["serviceregistrations", "-n", NAMESPACE, "-l", label])?;
    Ok(all.iter().filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

fn strangers(shop: &Shop) -> Result<()> {
    let flag = PathBuf::from("/dev/null");
    let mut forger = start(shop, "vm-72", "not-a-token", &[("orders.toml", &service(ORDERS, &flag))], None)?;
    let metrics = forger.folder.clone();
    forger.process.wait_until("the refusal of a wrong token", BOUND, || {
        let config = metrics.join("agent.toml").display().to_string();
        let output = std::process::Command::new(&shop.binaries.agent).args(["status", "--config", &config]).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains("does not know this token") { Ok(Some(())) } else { bail!("{said}") }
    })?;
    shop.kubectl.run(&["create", "serviceaccount", "nobody", "--namespace", NAMESPACE])?;
    let token = agent::token(&shop.kubectl, NAMESPACE, "nobody")?;
    let mut nobody = start(shop, "vm-73", &token, &[("orders.toml", &service(ORDERS, &flag))], None)?;
    nobody.await_state(INSTANCE, "refused", "may not create serviceregistrations.rollcall.dev/agent orders")?;
    ensure!(nobody.process.stop()? && forger.process.stop()?, "they did not end on SIGTERM");
    callers_have(shop, &[ADDRESS])
}

fn wrong_key(machine: &Agent) -> Result<()> {
    let file = machine.folder.join("services.d/wrong.toml");
    std::fs::write(&file, "service = \"wrong\"\nnamespace = \"shop\"\nport = 80\n")?;
    let (is_good, said) = machine.command(&["check-config"])?;
    std::fs::remove_file(&file)?;
    let expected = "services.d/wrong.toml:3: port: there is no such key; did you mean `ports`?";
    ensure!(!is_good && said.contains(expected), "check-config says {said}");
    Ok(())
}

fn leaves(shop: &Shop, machine: &mut Agent) -> Result<()> {
    machine.process.terminate();
    callers_have(shop, &[])?;
    ensure!(machine.process.join(STOP_BOUND)?, "it did not end on SIGTERM");
    clock::wait_until("its registration to be gone", BOUND, || Ok(machines(shop)?.is_empty().then_some(())))
}
