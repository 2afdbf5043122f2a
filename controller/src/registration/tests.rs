//! Tests: a ServiceRegistration, read once.

use serde_json::{Value, json};

use super::*;
use crate::testing::registration;

fn spec() -> Value {
    json!({
        "service": "payments",
        "ports": [{ "name": "http", "port": 8080 }, { "name": "dns", "port": 53, "protocol": "UDP" }],
        "endpoints": [
            { "name": "vm-1", "addresses": ["198.51.100.1"] },
            { "name": "vm-2", "addresses": ["198.51.100.2"], "maintenance": { "reason": "upgrade" } },
        ],
        "checks": [{ "name": "up", "tcp": {}, "interval": "1s" }],
    })
}

fn read(spec: Value) -> Reading {
    Reader::default().read(&registration(spec))
}

fn problems(reading: &Reading) -> Vec<&str> {
    reading.contribution.problems.iter().map(|problem| &*problem.words).collect()
}

fn unusable(reading: &Reading) -> Vec<(&str, &str)> {
    let unusable = reading.contribution.unusable.iter();
    unusable.map(|unusable| (&*unusable.name, &*unusable.problem.words)).collect()
}

#[test]
fn what_can_be_used_is_contributed_with_its_generation_and_its_time_to_evict() {
    let reading = read(spec());
    assert!(problems(&reading).is_empty() && unusable(&reading).is_empty());
    assert_eq!((reading.contribution.endpoints.len(), reading.plan.targets.len()), (2, 2));
    assert_eq!(reading.contribution.generation, Some(2));
    assert!(reading.contribution.time_to_evict.is_some());
}

#[test]
fn an_endpoint_that_cannot_be_used_is_named_with_its_remedy_and_the_others_stay() {
    let mut spec = spec();
    spec["endpoints"][0]["addresses"] = json!(["198.51.100.1", "198.51.100.2"]);
    let reading = read(spec);
    assert_eq!(unusable(&reading), [("vm-1", "give at most one IPv4 and one IPv6 address")]);
    assert_eq!(reading.contribution.endpoints.len(), 1);
}

#[test]
fn where_no_check_can_be_run_an_endpoint_is_left_out_and_says_why() {
    let mut spec = spec();
    spec["checks"][0]["tcp"]["port"] = "htpt".into();
    let reading = read(spec);
    let why = "check up: there is no port \"htpt\" in spec.ports; name one of those";
    assert_eq!(problems(&reading), [why]);
    assert_eq!(unusable(&reading), [("vm-1", &*format!("none of its checks can be run; {why}"))]);
    assert_eq!(reading.contribution.endpoints.len(), 1, "maintenance does not ask for a check");
}

#[test]
fn a_slip_that_breaks_all_checks_takes_no_endpoint_out_that_was_judged() {
    let (mut reader, mut slip) = (Reader::default(), spec());
    reader.read(&registration(spec()));
    slip["checks"][0]["tcp"]["port"] = "htpt".into();
    let more = json!({ "name": "vm-3", "addresses": ["198.51.100.3"] });
    slip["endpoints"].as_array_mut().expect("a list").push(more);
    for _ in 0..2 {
        let reading = reader.read(&registration(slip.clone()));
        assert_eq!((reading.contribution.endpoints.len(), reading.plan.targets.len()), (2, 0));
        assert_eq!(reading.plan.stuck, ["up".into()]);
        assert!(unusable(&reading)[0].1.starts_with("none of its checks can be run"), "{:?}", unusable(&reading));
        assert_eq!(unusable(&reading)[0].0, "vm-3", "nobody has ever judged it");
        let said = problems(&reading);
        assert!(said[0].contains("htpt") && said[1].contains("judged before stay as they are"), "{said:?}");
    }
    assert!(reader.read(&registration(spec())).plan.stuck.is_empty());
    // Known by the process before.
    let mut known = registration(slip);
    known.status = serde_json::from_value(json!({ "observedGeneration": 1, "endpoints": [{
        "name": "vm-1", "addresses": ["198.51.100.1"], "health": "Passing", "since": "2026-01-01T00:00:00Z",
        "reason": "answered", "callable": true,
    }] }))
    .expect("a status");
    let reading = Reader::default().read(&known);
    assert_eq!((reading.contribution.endpoints.len(), reading.plan.restored.len()), (2, 1));
    assert_eq!(unusable(&reading).len(), 1);
}

#[test]
fn one_check_that_cannot_be_run_leaves_the_decision_to_the_others() {
    let mut spec = spec();
    spec["checks"] = json!([
        { "name": "up", "tcp": { "port": "dns" }, "interval": "1s" },
        { "name": "web", "http": {}, "interval": "1s" },
    ]);
    let reading = read(spec);
    assert_eq!(
        problems(&reading),
        ["check up: it needs a TCP port, and port \"dns\" is UDP; name a TCP port"],
        "a connection to a UDP port is refused by every healthy server"
    );
    assert_eq!((unusable(&reading).len(), reading.plan.targets.len()), (0, 2));
}

#[test]
fn a_port_of_an_endpoint_that_the_spec_has_not_is_named() {
    let mut spec = spec();
    spec["endpoints"][0]["ports"] = json!([{ "name": "metrics", "port": 9090 }]);
    let said = "endpoint vm-1: there is no port \"metrics\" in spec.ports; name one of those";
    assert_eq!(problems(&read(spec)), [said]);
}

#[test]
fn a_protocol_name_that_kubernetes_does_not_take_is_left_out_and_named() {
    let mut spec = spec();
    spec["ports"][0]["appProtocol"] = "my protocol".into();
    let reading = read(spec);
    assert!(problems(&reading)[0].contains("appProtocol \"my protocol\" is left out"), "{:?}", problems(&reading));
    assert!(reading.contribution.ports.iter().all(|port| port.app_protocol.is_none()));
}
