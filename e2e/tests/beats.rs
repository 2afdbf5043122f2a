//! Instances that say themselves that they live: by curl, and by a Lease with kubectl.

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::process::Program;
use rollcall_e2e::{Process, clock, http};
use serde_json::{Value, json};
use support::shop::{DIRECT, PAYMENTS, With, outside_address, unchecked};
use support::{BOUND, Shop, step};

/// Who may beat for the registrations of this test, and for no other.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: machine, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: machine-beats, namespace: shop}
rules:
- apiGroups: [rollcall.dev]
  resources: [serviceregistrations/beat]
  resourceNames: [beating, beating-direct, nobody]
  verbs: [update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: machine-beats, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: machine-beats}
subjects: [{kind: ServiceAccount, name: machine, namespace: shop}]
";

#[test]
fn an_instance_that_beats_is_found_everywhere_until_it_falls_silent() -> Result<()> {
    Shop::run("beats", With::Envoy, |shop| {
        shop.kubectl.apply(RIGHTS)?;
        let [machine, stranger] = ["machine", "stranger"].map(|account| token(shop, account));
        let (machine, stranger) = (machine?, stranger?);
        let address = outside_address(2, IpAddr::is_ipv4)?.to_string();
        step("who was never heard is Unknown, and no caller gets it", || never_heard(shop, &address))?;
        step("what may not beat, and for what nobody may, is refused with what to do", || {
            refused(shop, &machine, &stranger)
        })?;
        step("beats by curl bring it everywhere, and a hard death takes it out", || {
            lives_and_dies(shop, &machine, &address)
        })?;
        step("it says how it finds itself, and when it stops", || says(shop, &machine))?;
        step("a Lease that kubectl renews is a heartbeat, too", || lease(shop))
    })
}

fn token(shop: &Shop, account: &str) -> Result<String> {
    let token = shop.kubectl.run(&["create", "token", account, "--namespace", "shop", "--duration", "1h"])?;
    Ok(token.trim().to_owned())
}

/// One instance of both services, as two registrations.
fn register(shop: &Shop, address: &str) -> Result<()> {
    for (name, service) in [("beating", PAYMENTS), ("beating-direct", DIRECT)] {
        let mut registration = unchecked(name, service, &json!([{"name": "vm-9", "addresses": [address]}]));
        registration["spec"]["heartbeat"] = json!({"interval": "1s", "ttl": "3s"});
        shop.kubectl.apply(&registration.to_string())?;
    }
    Ok(())
}

fn never_heard(shop: &Shop, address: &str) -> Result<()> {
    register(shop, address)?;
    let said = await_health(shop, "beating", "vm-9", "Unknown")?;
    ensure!(said["reason"].as_str().is_some_and(|why| why.starts_with("no heartbeat yet")), "{said}");
    shop.everywhere(&shop.all()?, clock::now())?;
    Ok(())
}

/// Puts a beat to the first replica.
fn put(shop: &Shop, token: &str, registration: &str, endpoint: &str, body: &str) -> Result<http::Response> {
    let path = format!("/v1/namespaces/shop/registrations/{registration}/endpoints/{endpoint}/beat");
    http::ask_as(token, shop.rollcall.controllers[0].api, &path, Some(body))
}

fn refused(shop: &Shop, machine: &str, stranger: &str) -> Result<()> {
    let expect = |response: http::Response, status: u16, words: &str| {
        ensure!(
            response.status == status && response.body.contains(words),
            "{response:?}, not {status} with {words:?}"
        );
        Ok(())
    };
    expect(put(shop, "nonsense", "beating", "vm-9", "")?, 401, "it may have expired")?;
    expect(put(shop, stranger, "beating", "vm-9", "")?, 403, "bind a Role that allows it")?;
    expect(put(shop, machine, "payments-vm", "vm-1", "")?, 403, "may not update")?;
    expect(put(shop, machine, "nobody", "vm-9", "")?, 404, "create it first")?;
    expect(put(shop, machine, "beating", "vm-10", "")?, 404, "spec.endpoints")?;
    expect(put(shop, machine, "beating", "vm-9", "{\"status\": \"well\"}")?, 400, "pass, warn, fail or stopped")
}

/// An instance: a shell that beats with curl, now to this replica and now to that one.
fn instance(shop: &Shop, token: &str) -> Result<Process> {
    let [first, second] = [0, 1].map(|index| shop.rollcall.controllers[index].api);
    let script = format!(
        "while :; do for api in {first} {second}; do for name in beating beating-direct; do \
         curl --silent --show-error --max-time 5 --output /dev/null --request PUT --header \"Authorization: Bearer $TOKEN\" \
         http://$api/v1/namespaces/shop/registrations/$name/endpoints/vm-9/beat; done; sleep 1; done; done"
    );
    Program::new("instance", "/bin/sh", shop.folder()).args(["-c", &script]).env("TOKEN", token).start()
}

fn lives_and_dies(shop: &Shop, token: &str, address: &str) -> Result<()> {
    let mut instance = instance(shop, token)?;
    let mut with = shop.all()?;
    with.insert(address.to_owned());
    let stations = shop.everywhere(&with, clock::now())?;
    println!("    heard: {stations}");
    let since = clock::now();
    instance.kill()?;
    let stations = shop.everywhere(&shop.all()?, since)?;
    println!("    killed hard: {stations}; 3.4 s are computed until it is decided");
    let said = await_health(shop, "beating", "vm-9", "Critical")?;
    ensure!(said["reason"].as_str().is_some_and(|why| why.starts_with("no heartbeat for 3")), "{said}");
    let entry = shop.api.entry(DIRECT)?;
    ensure!(entry["timeToEvict"].is_string(), "no time to evict: {entry}");
    Ok(())
}

fn says(shop: &Shop, token: &str) -> Result<()> {
    // A note that lasts for as long as this test looks at it: its detector would be quicker.
    let mut patient = unchecked("beating", PAYMENTS, &json!([{"name": "vm-9", "addresses": ["198.51.100.99"]}]));
    patient["spec"]["endpoints"][0]["addresses"] = json!([outside_address(2, IpAddr::is_ipv4)?]);
    patient["spec"]["heartbeat"] = json!({"ttl": "1h"});
    shop.kubectl.apply(&patient.to_string())?;
    let say = |body: Value| -> Result<()> {
        // Both replicas, whichever decides.
        for controller in &shop.rollcall.controllers {
            let path = "/v1/namespaces/shop/registrations/beating/endpoints/vm-9/beat";
            let answer = http::ask_as(token, controller.api, path, Some(&body.to_string()))?;
            let next: Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
            ensure!(
                answer.status == 200 && next["withinSeconds"].as_f64().is_some_and(|within| within > 0.0),
                "{answer:?}"
            );
        }
        Ok(())
    };
    say(json!({"status": "warn", "note": "disk 91 %"}))?;
    let said = await_health(shop, "beating", "vm-9", "Warning")?;
    ensure!(said["reason"] == "heartbeat says warn: disk 91 %" && said["callable"] == true, "{said}");
    say(json!({"status": "stopped"}))?;
    let said = await_health(shop, "beating", "vm-9", "Critical")?;
    ensure!(said["reason"] == "said that it stops", "{said}");
    Ok(())
}

fn lease(shop: &Shop) -> Result<()> {
    let mut registration = unchecked("leased", "leased", &json!([]));
    registration["spec"]["endpoints"] = json!([{"name": "vm-8", "addresses": [outside_address(3, IpAddr::is_ipv4)?]}]);
    registration["spec"]["heartbeat"] = json!({"interval": "1s", "ttl": "5s"});
    shop.kubectl.apply(&registration.to_string())?;
    await_health(shop, "leased", "vm-8", "Unknown")?;
    shop.kubectl.apply(
        &json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "vm-8", "namespace": "shop", "labels": {"rollcall.dev/registration": "leased"}},
        })
        .to_string(),
    )?;
    let mut renewals = 0;
    clock::wait_until("the Lease's renewals to be heard", BOUND, || {
        renewals += 1;
        // A clock that nobody else has.
        let patch = json!({"spec": {"renewTime": format!("1999-01-01T00:{:02}:{:02}.000000Z", renewals / 60 % 60, renewals % 60)}});
        let patch = patch.to_string();
        shop.kubectl.run(&["--namespace", "shop", "patch", "lease", "vm-8", "--type", "merge", "--patch", &patch])?;
        let found = shop.callers.dns("leased").unwrap_or_default();
        Ok((found == BTreeSet::from([outside_address(3, IpAddr::is_ipv4)?.to_string()])).then_some(()))
    })?;
    let since = clock::now();
    let said = await_health(shop, "leased", "vm-8", "Critical")?;
    println!(
        "    after {renewals} renewals the last: Critical in the status after {:.1} s",
        since.elapsed().as_secs_f32()
    );
    ensure!(said["reason"].as_str().is_some_and(|why| why.starts_with("no heartbeat for 5")), "{said}");
    Ok(())
}

/// Waits until the health of an endpoint is so in its registration's status.
fn await_health(shop: &Shop, registration: &str, endpoint: &str, health: &str) -> Result<Value> {
    clock::wait_until(&format!("{registration}/{endpoint} to be {health}"), BOUND, || {
        let said = shop.api.endpoint_status(registration, endpoint)?;
        ensure!(said["health"] == health, "{said}");
        Ok(Some(said))
    })
}
