//! What the example's callers are told, by every way of asking, and what to try next.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hickory_proto::rr::RecordType;
use rollcall_e2e::process::Process;
use rollcall_e2e::rollcall::{CLUSTER_DOMAIN, Rollcall};
use rollcall_e2e::{Kubectl, clock, http, tools};
use serde_json::Value;

use super::example::{NAMESPACE, SERVICE};
use super::{resolve, state};
use crate::terminal::{self, Paint, paint};

/// How long the table waits for all endpoints.
const COMPLETE_BOUND: Duration = Duration::from_secs(20);
const MACHINES: usize = 2;

/// What the ways of asking say of one endpoint.
#[derive(Default)]
struct Row {
    from: String,
    slice: String,
    stream: String,
}

/// Prints the endpoints of the example by EndpointSlices and stream, and what DNS answers.
pub(super) fn example(kubectl: &Kubectl, rollcall: &Rollcall) -> Result<()> {
    let mut rows = BTreeMap::new();
    let complete = clock::wait_until("all endpoints", COMPLETE_BOUND, || {
        rows = endpoints(kubectl, rollcall)?;
        let outside = rows.values().filter(|row| !row.slice.is_empty() && !row.from.starts_with("Pod ")).count();
        Ok((outside >= MACHINES && rows.values().all(|row| !row.slice.is_empty())).then_some(()))
    });
    clock::check_interrupt()?;
    println!("\n{}", paint(&format!("Service {NAMESPACE}/{SERVICE}, as its callers find it:"), Paint::Bold));
    let cells = rows.into_iter().map(|(endpoint, row)| {
        let or_absent = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
        vec![endpoint, or_absent(row.from), or_absent(row.slice), or_absent(row.stream)]
    });
    print!("{}", terminal::table(&["ENDPOINT", "FROM", "ENDPOINTSLICES", "STREAM"], &cells.collect::<Vec<_>>()));
    if complete.is_err() {
        terminal::note("  Not every endpoint is in the EndpointSlices yet; see the logs in target/up.");
    }
    println!();
    print!("{}", terminal::table(&["DNS QUESTION", "ANSWER"], &dns(rollcall)));
    Ok(())
}

/// Prints commands that are worth a try.
pub(super) fn commands(kubectl: &Kubectl, rollcall: &Rollcall, backends: &[Process], example: bool) {
    println!("{}", paint("To try:", Paint::Bold));
    println!("  source {}", state::shown(&state::folder().join("env")));
    println!("  kubectl get rollcall --all-namespaces");
    let Some((dns, controller)) = rollcall.dns.first().zip(rollcall.controllers.first()) else { return };
    let dig = if tools::on_path("dig").is_some() { "dig" } else { "kdig" };
    let at = format!("{dig} @{} -p {}", dns.listen.ip(), dns.listen.port());
    if example {
        println!("  kubectl get endpointslices --namespace {NAMESPACE}");
        println!("  kubectl describe serviceregistration payments-vm --namespace {NAMESPACE}");
        println!("  {at} {SERVICE}.{NAMESPACE}.svc.{CLUSTER_DOMAIN}");
        println!("  curl http://{}/debug/catalog/{NAMESPACE}/{SERVICE}", controller.http);
        let asked = format!("https://$ROLLCALL_API/v1/namespaces/{NAMESPACE}/services/{SERVICE}/endpoints");
        println!("  curl --cacert $ROLLCALL_CA -H \"Authorization: Bearer $ROLLCALL_TOKEN\" {asked}");
        println!("  kubectl rollcall explain {SERVICE} --namespace {NAMESPACE}");
        let agent = state::shown(&state::folder().join("agent-vm-1/agent.toml"));
        println!(
            "  target/debug/rollcall-agent status --config {agent}    # the agent of vm-1, which registers ledger"
        );
    } else {
        println!("  {at} service-0.load-0.svc.{CLUSTER_DOMAIN}");
        println!("  curl http://{}/debug/catalog/load-0/service-0", controller.http);
    }
    println!("  curl http://{}/metrics", controller.http);
    if let Some((name, pid)) = backends.first().and_then(|process| Some((process.name(), process.pid()?))) {
        println!("  kill -STOP {pid}    # {name} hangs, and soon it is in no answer; kill -CONT {pid} brings it back");
    }
    let beats = backends.iter().find(|process| process.name().ends_with("-beats"));
    if let Some((name, pid)) = beats.and_then(|process| Some((process.name(), process.pid()?))) {
        println!("  kill {pid}    # {name} end, and 3.4 s later stock.{NAMESPACE} has no endpoint any more");
    }
    println!("{}", paint(&format!("(kubectl is {})", kubectl.words()), Paint::Faint));
}

fn endpoints(kubectl: &Kubectl, rollcall: &Rollcall) -> Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    let of_service = format!("kubernetes.io/service-name={SERVICE}");
    for slice in kubectl.list(&["endpointslices", "--namespace", NAMESPACE, "--selector", &of_service])? {
        for endpoint in array(&slice["endpoints"]) {
            let target = &endpoint["targetRef"];
            for port in array(&slice["ports"]) {
                let key = format!("{}:{}", text(&endpoint["addresses"][0]), port["port"]);
                let row: &mut Row = rows.entry(key).or_default();
                row.slice = if endpoint["conditions"]["ready"] == true { "ready" } else { "not ready" }.into();
                if target.is_object() {
                    row.from = format!("{} {}", text(&target["kind"]), text(&target["name"]));
                }
            }
        }
    }
    // The page is for people; an `up` without it is still of use.
    if let Some(controller) = rollcall.controllers.first() {
        let page = http::get_json(controller.http, &format!("/debug/catalog/{NAMESPACE}/{SERVICE}"));
        page.iter().flat_map(|page| array(&page["endpoints"])).for_each(|endpoint| add_catalog(&mut rows, endpoint));
    }
    Ok(rows)
}

/// An endpoint of the catalog: `{name, addresses, ports, health, origin, …}`.
fn add_catalog(rows: &mut BTreeMap<String, Row>, endpoint: &Value) {
    for address in array(&endpoint["addresses"]).iter().filter_map(Value::as_str) {
        for port in array(&endpoint["ports"]) {
            let port = if port.is_object() { &port["port"] } else { port };
            let row = rows.entry(format!("{address}:{port}")).or_default();
            row.stream = text(&endpoint["health"]).to_owned();
            if row.from.is_empty() {
                row.from = format!("{}, {}", text(&endpoint["origin"]), text(&endpoint["name"]));
            }
        }
    }
}

fn dns(rollcall: &Rollcall) -> Vec<Vec<String>> {
    let Some(dns) = rollcall.dns.first() else { return Vec::new() };
    let service = format!("{SERVICE}.{NAMESPACE}.svc.{CLUSTER_DOMAIN}.");
    let questions = [(service.clone(), RecordType::A), (format!("_http._tcp.{service}"), RecordType::SRV)];
    let row = |(name, kind): (String, RecordType)| {
        let answer = resolve::resolve(dns.listen, &name, kind).unwrap_or_else(|error| format!("{error:#}"));
        vec![format!("{name} {kind}"), answer]
    };
    questions.into_iter().map(row).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
