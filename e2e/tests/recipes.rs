//! The commands of `docs/recipes.md`, one after the other, and what each must bring about.

mod support;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::{clock, layout};
use serde_json::{Value, json};
use support::commands::{self, Terminal};
use support::shop::{PAYMENTS, With, unchecked};
use support::{BOUND, Shop, step};

const PAGE: &str = "docs/recipes.md";

/// What a block of commands must have brought about.
type Check = fn(&Shop, &Typed<'_>) -> Result<()>;

/// A block of commands that was typed.
struct Typed<'a> {
    terminal: &'a Terminal,
    commands: &'a str,
    /// What they printed.
    said: String,
}

/// Each heading with a check for each of its blocks.
const RECIPES: [(&str, &[Check]); 8] = [
    ("See every endpoint of a service", &[every_endpoint, every_machine]),
    ("See every registration of a service", &[every_registration]),
    ("Find healthy instances by tag and zone", &[by_tag_and_zone]),
    ("Take one machine out for maintenance", &[one_is_out, one_is_back]),
    ("Take a whole registration out", &[all_are_out, all_are_back]),
    ("Wait until machines can be called", &[waited]),
    ("Watch a service change", &[changes_are_shown, events_are_shown]),
    ("Let a machine register itself at boot", &[account_is_narrow, registered, registered_no_more]),
];

#[test]
fn every_recipe_does_what_it_says() -> Result<()> {
    Shop::run("recipes", With::NoEnvoy, |shop| {
        step("everything is there and written", || shop.await_written("203.0.113.10"))?;
        shop.api.await_condition("payments-vm", "Ready", &["True AllPassing"])?;
        step("two canaries, one of them in zone-b", || canaries(shop))?;
        let terminal = Terminal::open(&shop.kubectl, shop.folder())?;
        let sections = commands::sections(PAGE)?;
        let headings: Vec<_> = sections.iter().map(|section| section.heading.as_str()).collect();
        ensure!(
            headings == RECIPES.map(|(heading, _)| heading),
            "{PAGE} has other recipes than this test: {headings:?}"
        );
        for (section, (heading, checks)) in sections.iter().zip(RECIPES) {
            ensure!(section.commands.len() == checks.len(), "{PAGE}, {heading}: a check for each block of commands");
            for (commands, check) in section.commands.iter().zip(checks) {
                step(heading, || check(shop, &Typed { terminal: &terminal, commands, said: terminal.run(commands)? }))?;
            }
        }
        step("a file that nobody changed is unchanged for kubectl", || unchanged(shop))
    })
}

fn canaries(shop: &Shop) -> Result<()> {
    let endpoints = json!([
        {"name": "c-1", "addresses": ["203.0.113.71"], "zone": "zone-a", "tags": ["canary"]},
        {"name": "c-2", "addresses": ["203.0.113.72"], "zone": "zone-b", "tags": ["canary", "green"]},
        {"name": "c-3", "addresses": ["203.0.113.73"], "zone": "zone-b"},
    ]);
    shop.kubectl.apply(&unchecked("canaries", PAYMENTS, &endpoints).to_string())?;
    clock::wait_until("the CatalogEntry to have them", BOUND, || {
        let entry = shop.api.entry(PAYMENTS)?;
        Ok((entry["callable"] == "7/7").then_some(()))
    })
}

/// That there is a line with all words of each of `lines`.
fn has_lines(said: &str, lines: &[&[&str]]) -> Result<()> {
    for words in lines {
        let found = said.lines().any(|line| words.iter().all(|word| line.contains(word)));
        ensure!(found, "no line with {words:?} in:\n{said}");
    }
    Ok(())
}

fn every_endpoint(shop: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    ensure!(said.lines().count() == 7, "two pods, two machines and three canaries are expected:\n{said}");
    let (first, second) = (shop.ip(0), shop.ip(1));
    let origin = "ServiceRegistration/payments-vm";
    has_lines(said, &[&["vm-1", &first, "Passing", origin], &["vm-2", &second, "Passing", origin], &["EndpointSlice/"]])
}

fn every_machine(_: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    has_lines(said, &[&["vm-1", "Passing", "check healthz"], &["vm-2", "Passing", "check healthz"]])
}

fn every_registration(_: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    has_lines(said, &[&["payments-vm", "True", "2/2"], &["canaries", "True", "3/3"]])?;
    ensure!(said.lines().count() == 3, "more than the registrations of {PAYMENTS}:\n{said}");
    Ok(())
}

fn by_tag_and_zone(_: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    ensure!(said.trim() == "203.0.113.72", "expected the one canary in zone-b, got {said:?}");
    Ok(())
}

/// Waits until an endpoint of `payments-vm` has a health.
fn await_health(shop: &Shop, endpoint: &str, health: &str) -> Result<Value> {
    clock::wait_until(&format!("{endpoint} to be {health}"), BOUND, || {
        let said = shop.api.endpoint_status("payments-vm", endpoint)?;
        if said["health"] == health { Ok(Some(said)) } else { bail!("{said}") }
    })
}

fn one_is_out(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    let said = await_health(shop, "vm-1", "Maintenance")?;
    ensure!(said["reason"].as_str().is_some_and(|reason| reason.contains("kernel update")), "{said}");
    ensure!(shop.api.endpoint_status("payments-vm", "vm-2")?["callable"] == true, "vm-2 went out as well");
    // The owner applies the file again.
    let found = shop.api.registration("payments-vm")?;
    let mut endpoints = found["spec"]["endpoints"].clone();
    for endpoint in endpoints.as_array_mut().into_iter().flatten() {
        endpoint.as_object_mut().and_then(|endpoint| endpoint.remove("maintenance"));
    }
    let mut file = unchecked("payments-vm", PAYMENTS, &endpoints);
    file["spec"]["checks"] = found["spec"]["checks"].clone();
    shop.kubectl.apply(&file.to_string())?;
    let after = shop.api.registration("payments-vm")?;
    ensure!(after["spec"] == found["spec"], "the owner's file ended the maintenance: {}", after["spec"]);
    Ok(())
}

fn one_is_back(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    await_health(shop, "vm-1", "Passing")?;
    let endpoints = &shop.api.registration("payments-vm")?["spec"]["endpoints"];
    let names: BTreeSet<_> =
        endpoints.as_array().into_iter().flatten().filter_map(|endpoint| endpoint["name"].as_str()).collect();
    ensure!(names == BTreeSet::from(["vm-1", "vm-2"]), "endpoints were lost: {endpoints}");
    Ok(())
}

fn all_are_out(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    shop.api.await_condition("payments-vm", "Ready", &["False Maintenance", "moving racks"]).map(drop)
}

fn all_are_back(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    shop.api.await_condition("payments-vm", "Ready", &["True AllPassing"]).map(drop)
}

fn waited(shop: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    ensure!(said.contains("condition met"), "{said}");
    // Without a Service of its name as well.
    shop.kubectl.run(&[
        "wait",
        "serviceregistration",
        "outside",
        "-n",
        "shop",
        "--for=condition=Ready",
        "--timeout=60s",
    ])?;
    shop.api.await_condition("outside", "Published", &["False NoService"]).map(drop)
}

fn changes_are_shown(_: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    has_lines(said, &[&["CALLABLE", "CRITICAL", "CHANGED"]])
}

fn events_are_shown(_: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    has_lines(said, &[&["REASON", "MESSAGE"]])
}

fn account_is_narrow(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    let may = |verb: &str, what: &str| {
        let account = "system:serviceaccount:shop:payments-vm-3";
        shop.kubectl.run(&["auth", "can-i", verb, what, "-n", "shop", "--as", account]).is_ok()
    };
    ensure!(may("patch", "serviceregistrations/payments-vm-3"), "it cannot write its own registration");
    for (verb, what) in [
        ("patch", "serviceregistrations/payments-vm"),
        ("create", "serviceregistrations/other"),
        ("delete", "serviceregistrations/payments-vm"),
        ("list", "serviceregistrations"),
        ("get", "secrets"),
    ] {
        ensure!(!may(verb, what), "it may {verb} {what}");
    }
    Ok(())
}

fn registered(shop: &Shop, typed: &Typed<'_>) -> Result<()> {
    let said = &typed.said;
    let answer: Value = serde_json::from_str(said)?;
    ensure!(answer["spec"]["endpoints"][0]["name"] == "vm-3", "{answer}");
    clock::wait_until("the catalog to have vm-3", BOUND, || {
        shop.api.endpoint_status("payments-vm-3", "vm-3").map(Some)
    })?;
    let second: Value = serde_json::from_str(&typed.terminal.run(typed.commands)?)?;
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    ensure!(generation(&second) == generation(&answer), "the same registration again was a change: {second}");
    Ok(())
}

fn registered_no_more(shop: &Shop, _: &Typed<'_>) -> Result<()> {
    ensure!(shop.api.registration("payments-vm-3").is_err(), "the registration is still there");
    clock::wait_until("the catalog to be without vm-3", BOUND, || {
        let entry = shop.api.entry(PAYMENTS)?;
        Ok((!entry["endpoints"].to_string().contains("vm-3")).then_some(()))
    })
}

fn unchanged(shop: &Shop) -> Result<()> {
    for example in ["dual-stack", "maintenance", "registration-only"] {
        let file = layout::root().join(format!("manifests/examples/{example}.yaml"));
        let file = file.display().to_string();
        let apply = || shop.kubectl.run(&["apply", "--namespace", "default", "--filename", &file]);
        apply()?;
        let said = apply()?;
        ensure!(said.lines().all(|line| line.ends_with(" unchanged")), "{example} applied a second time:\n{said}");
    }
    Ok(())
}
