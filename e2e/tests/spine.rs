//! The whole way: pods and registered endpoints appear together at every station, leave when they fail, and return.

#[path = "spine/machines.rs"]
mod machines;
mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::clock;
use rollcall_e2e::dns::reverse;
use serde_json::json;
use support::shop::{DIRECT, OUTSIDE, OUTSIDE_PATH, PAYMENTS, With, name, outside_address, unchecked};
use support::{BOUND, Shop, step};

#[test]
fn what_is_registered_is_found_everywhere_and_only_while_it_is_well() -> Result<()> {
    Shop::run("spine", With::EnvoyAndQuickChecks, |shop| {
        step("pods and machines appear together at all four stations", || appear(shop))?;
        step("DNS answers A, SRV and PTR", || {
            clock::wait_until("all of them with both machines", BOUND, || dns_answers(shop).map(Some))
        })?;
        step("machines of both families are in slices of both and in A and AAAA", || dual_stack(shop))?;
        step("nodes, and machines that registrations name, have names of a registry", || machines::named(shop))?;
        step("requests through Envoy arrive at the machines", || requests_arrive(shop))?;
        step("Envoy speaks HTTP/2 to a port that says so, and knows what owners say", || speaks_http2(shop))?;
        for (mode, reason) in [
            (Mode::Fail, "answered 503"),
            (Mode::Refuse, "was refused: nothing listens there"),
            (Mode::Hang, "got no answer within 0.5 s"),
        ] {
            step(&format!("a machine that fails ({mode:?}) leaves and returns"), || {
                fail_and_return(shop, mode, reason)
            })?;
        }
        step("a machine in maintenance leaves and returns", || maintenance(shop))?;
        step("a deleted registration takes its endpoints along, and no other", || deletion(shop))
    })
}

fn appear(shop: &Shop) -> Result<()> {
    let since = clock::now();
    let stations = shop.everywhere(&shop.all()?, since)?;
    println!("    {stations}");
    shop.api.await_condition("payments-vm", "Accepted", &["True Accepted"])?;
    shop.api.await_condition("payments-vm", "Published", &["True Published"])?;
    shop.api.await_condition("payments-vm", "Ready", &["True AllPassing"])?;
    shop.api.await_condition(OUTSIDE, "Published", &["False NoService"])?;
    for slice in shop.api.our_slices(PAYMENTS)? {
        ensure!(slice["metadata"]["ownerReferences"][0]["kind"] == "Service", "not owned by its Service: {slice}");
        let pods =
            slice["endpoints"].as_array().into_iter().flatten().find(|endpoint| endpoint["targetRef"].is_object());
        ensure!(pods.is_none(), "Rollcall published a pod of this cluster: {pods:?}");
    }
    Ok(())
}

fn dns_answers(shop: &Shop) -> Result<()> {
    let kdig = &shop.callers.kdig;
    let service = shop.api.get(&format!("/api/v1/namespaces/shop/services/{PAYMENTS}"))?;
    let virtual_ip = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    ensure!(kdig.data(&name(PAYMENTS), "A")? == [virtual_ip.clone()], "the A record is not {virtual_ip}");
    ensure!(kdig.data(&reverse(&virtual_ip)?, "PTR")? == [name(PAYMENTS)], "the PTR record of {virtual_ip} is wrong");

    let machines = BTreeSet::from([shop.ip(0), shop.ip(1)]);
    let found = shop.callers.dns(OUTSIDE)?;
    ensure!(found == machines, "a service that is only registered: {found:?}, not {machines:?}");

    let answer = kdig.ask(&format!("_http._tcp.{}", name(DIRECT)), "SRV")?;
    let targets = answer.data("SRV");
    ensure!(targets.len() == 4 && answer.authoritative, "SRV of two pods and two machines: {answer:#?}");
    for machine in &shop.machines {
        let (ip, port) = (machine.address().ip().to_string(), machine.address().port());
        let owner = kdig.data(&reverse(&ip)?, "PTR")?;
        ensure!(!owner.is_empty(), "{ip} has no PTR record");
        let target = targets.iter().find(|target| {
            let mut words = target.split(' ').skip(2);
            let at_port = words.next() == Some(&port.to_string());
            at_port && words.next().is_some_and(|host| kdig.data(host, "A").is_ok_and(|found| found == [ip.clone()]))
        });
        ensure!(target.is_some(), "no SRV record leads to {ip}, port {port}: {targets:?}");
    }

    let missing = kdig.ask(&name("nobody"), "A")?;
    ensure!(missing.rcode == "NXDOMAIN" && missing.authority.iter().any(|soa| soa.kind == "SOA"), "{missing:?}");
    let no_data = kdig.ask(&name(DIRECT), "AAAA")?;
    ensure!(no_data.rcode == "NOERROR" && no_data.answer.is_empty() && !no_data.authority.is_empty(), "{no_data:?}");
    Ok(())
}

fn dual_stack(shop: &Shop) -> Result<()> {
    const REPORTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: reports, namespace: shop}
spec:
  clusterIP: None
  ipFamilyPolicy: RequireDualStack
  ports: [{name: http, port: 80}]
";
    let (v4, v6) = (outside_address(2, IpAddr::is_ipv4)?.to_string(), outside_address(0, IpAddr::is_ipv6)?.to_string());
    shop.kubectl.apply(REPORTS)?;
    let endpoints = json!([{"name": "vm-1", "addresses": [v4, v6]}]);
    shop.kubectl.apply(&unchecked("reports-vm", "reports", &endpoints).to_string())?;
    shop.api.await_condition("reports-vm", "Published", &["True Published"])?;

    let mut families = BTreeSet::new();
    for slice in shop.api.our_slices("reports")? {
        families.insert(format!("{} {}", slice["addressType"], slice["endpoints"][0]["addresses"][0]).replace('"', ""));
    }
    ensure!(families == BTreeSet::from([format!("IPv4 {v4}"), format!("IPv6 {v6}")]), "slices: {families:?}");
    clock::wait_until("A and AAAA of reports", BOUND, || {
        let kdig = &shop.callers.kdig;
        let (a, aaaa) = (kdig.data(&name("reports"), "A")?, kdig.data(&name("reports"), "AAAA")?);
        if a != [v4.clone()] || aaaa != [v6.clone()] {
            bail!("A {a:?}, AAAA {aaaa:?}");
        }
        let owner = kdig.data(&reverse(&v6)?, "PTR")?;
        Ok((!owner.is_empty()).then_some(()))
    })
}

fn requests_arrive(shop: &Shop) -> Result<()> {
    let before = shop.machines.each_ref().map(rollcall_e2e::backend::Backend::requests);
    clock::wait_until("requests through Envoy at both machines", BOUND, || {
        let answer = shop.callers.request(OUTSIDE_PATH)?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body.trim());
        let arrived = shop.machines.iter().zip(before).all(|(machine, before)| machine.requests() > before);
        Ok(arrived.then_some(()))
    })?;
    let envoy = shop.callers.of_envoy()?;
    for rejected in ["cluster_manager.cds.update_rejected", "cluster_manager.update_merge_cancelled"] {
        ensure!(envoy.stat(rejected)? == 0, "Envoy counts {rejected}");
    }
    Ok(())
}

fn speaks_http2(shop: &Shop) -> Result<()> {
    const CHAT: &str = "
apiVersion: v1
kind: Service
metadata: {name: chat, namespace: shop}
spec:
  ports:
  - {name: grpc, port: 80, appProtocol: kubernetes.io/h2c}
  - {name: http, port: 81}
";
    shop.kubectl.apply(CHAT)?;
    let machine = outside_address(2, IpAddr::is_ipv4)?.to_string();
    let mut chat = unchecked("chat-vm", "chat", &json!([{"name": "vm-1", "addresses": [machine], "tags": ["canary"]}]));
    chat["spec"]["ports"] = json!([{"name": "grpc", "port": 50061}, {"name": "http", "port": 8080}]);
    shop.kubectl.apply(&chat.to_string())?;
    let envoy = shop.callers.of_envoy()?;
    clock::wait_until("Envoy to have both ports of chat, one as HTTP/2", BOUND, || {
        let dump = envoy.config_dump()?;
        let (mut clusters, mut endpoints) = (Vec::new(), Vec::new());
        for config in dump["configs"].as_array().into_iter().flatten() {
            clusters.extend(config["dynamic_active_clusters"].as_array().into_iter().flatten());
            endpoints.extend(config["dynamic_endpoint_configs"].as_array().into_iter().flatten());
        }
        let options = |name: &str| {
            let found = clusters.iter().find(|found| found["cluster"]["name"] == name)?;
            let options = &found["cluster"]["typed_extension_protocol_options"];
            Some(&options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["explicit_http_config"])
        };
        let (Some(grpc), Some(http)) = (options("chat.shop:grpc"), options("chat.shop:http")) else {
            bail!("not both clusters yet");
        };
        ensure!(grpc["http2_protocol_options"].is_object() && http.is_null(), "grpc {grpc}, http {http}");
        let chat = endpoints.iter().find(|found| found["endpoint_config"]["cluster_name"] == "chat.shop:grpc");
        let host = chat.map(|found| &found["endpoint_config"]["endpoints"][0]["lb_endpoints"][0]);
        let said = host.map(|host| host["metadata"]["filter_metadata"]["envoy.lb"]["tags"][0].clone());
        ensure!(said == Some(json!("canary")), "the endpoint's metadata: {host:?}");
        Ok(Some(()))
    })?;
    ensure!(envoy.stat("cluster_manager.cds.update_rejected")? == 0, "Envoy rejected clusters");
    Ok(())
}

/// Fails the first machine, waits until it is out of all answers, and heals it.
fn fail_and_return(shop: &mut Shop, mode: Mode, reason: &str) -> Result<()> {
    let (all, rest) = (shop.all()?, shop.all_but(0)?);
    let events = shop.api.events("payments-vm")?;
    let failed = clock::now();
    shop.machines[0].set(mode)?;
    let stations = shop.everywhere(&rest, failed)?;
    println!("    out: {stations}");
    let said = shop.await_health("vm-1", "Critical")?;
    ensure!(said.contains(reason), "the reason in the status is {said:?}, without {reason:?}");
    shop.await_event(&["Warning", "EndpointCritical", "vm-1", reason])?;
    shop.api.await_condition("payments-vm", "Ready", &["False SomeFailing", "vm-1", reason])?;
    clock::wait_until("vm-2, which is well, to be callable", BOUND, || {
        let steady = shop.api.endpoint_status("payments-vm", "vm-2")?;
        ensure!(steady["callable"] == true, "{steady}");
        Ok(Some(()))
    })?;
    stations.tell_slow_eviction();

    let healed = clock::now();
    shop.machines[0].set(Mode::Answer)?;
    println!("    back: {}", shop.everywhere(&all, healed)?);
    let said = shop.await_health("vm-1", "Passing")?;
    ensure!(said.contains("answered 200"), "the reason in the status is {said:?}");
    shop.await_event(&["Normal", "EndpointCallable", "vm-1", "Critical -> Passing"])?;
    shop.api.await_condition("payments-vm", "Ready", &["True AllPassing"])?;
    let more = shop.api.events("payments-vm")?;
    ensure!(more != events, "no new Event: {events:#?}");
    Ok(())
}

/// Maintenance of a machine in both registrations, set and taken back as a user does.
fn maintenance(shop: &Shop) -> Result<()> {
    let patch = |maintenance: &serde_json::Value| -> Result<()> {
        let patch = json!([{"op": "add", "path": "/spec/endpoints/1/maintenance", "value": maintenance}]).to_string();
        let patch = if maintenance.is_null() { patch.replace("\"add\"", "\"remove\"") } else { patch };
        for registration in ["payments-vm", "payments-direct-vm"] {
            let object = ["patch", "serviceregistration", registration, "-n", "shop"];
            shop.kubectl.run(&[&object[..], &["--type", "json", "--patch", &patch]].concat())?;
        }
        Ok(())
    };
    let begun = clock::now();
    patch(&json!({"reason": "kernel update"}))?;
    println!("    out: {}", shop.everywhere(&shop.all_but(1)?, begun)?);
    let said = shop.await_health("vm-2", "Maintenance")?;
    ensure!(said.contains("kernel update"), "the reason in the status is {said:?}");
    shop.await_event(&["EndpointInMaintenance", "vm-2", "kernel update"])?;
    let ended = clock::now();
    patch(&serde_json::Value::Null)?;
    println!("    back: {}", shop.everywhere(&shop.all()?, ended)?);
    shop.await_health("vm-2", "Passing").map(drop)
}

fn deletion(shop: &Shop) -> Result<()> {
    let deleted = clock::now();
    for registration in ["payments-vm", "payments-direct-vm"] {
        shop.kubectl.delete(&["serviceregistration", registration, "-n", "shop"])?;
    }
    println!("    {}", shop.everywhere(&shop.pods()?, deleted)?);
    clock::wait_until("the EndpointSlices of both registrations to be deleted", BOUND, || {
        let left = [shop.api.our_slices(PAYMENTS)?, shop.api.our_slices(DIRECT)?].concat();
        if left.is_empty() { Ok(Some(())) } else { bail!("{left:?}") }
    })?;
    clock::wait_until("both machines in another registration of them", BOUND, || {
        let left = shop.callers.dns(OUTSIDE)?;
        ensure!(left.len() == 2, "{left:?}");
        Ok(Some(()))
    })?;
    shop.kubectl.delete(&["serviceregistration", OUTSIDE, "-n", "shop"])?;
    clock::wait_until("NXDOMAIN and no CatalogEntry for a service that is gone", BOUND, || {
        let gone = shop.callers.kdig.ask(&name(OUTSIDE), "A")?.rcode == "NXDOMAIN";
        Ok((gone && shop.api.entry(OUTSIDE).is_err()).then_some(()))
    })
}
