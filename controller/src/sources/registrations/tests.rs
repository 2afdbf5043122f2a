use rollcall_catalog::model::Health;
use serde_json::json;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::testing::registration;
use crate::writer::Detached;

struct Rig {
    source: Registrations,
    told: Detached,
    orders: Receiver<Order>,
    _seen: Receiver<Seen>,
}

fn rig() -> Rig {
    let (inbox, told) = Inbox::detached();
    let (sender, orders) = mpsc::channel(16);
    let (observations, seen) = Observations::new();
    Rig { source: Registrations::new(inbox, sender, observations), told, orders, _seen: seen }
}

impl Rig {
    fn verdicts(&mut self) -> Vec<(String, Health)> {
        let mut verdicts = Vec::new();
        while let Ok(message) = self.told.try_recv() {
            if let Message::Say(Input::Verdict(_, endpoint, Some(verdict))) = message {
                verdicts.push((endpoint.to_string(), verdict.health));
            }
        }
        verdicts
    }

    fn targets(&mut self) -> Vec<String> {
        match self.orders.try_recv() {
            Ok(Order::Plan(plan)) => plan.probes.iter().map(|probe| probe.target.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn spec() -> serde_json::Value {
    json!({
        "service": "payments",
        "ports": [{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9090 }],
        "endpoints": [
            { "name": "vm-1", "addresses": ["198.51.100.1", "2001:db8::1"] },
            { "name": "vm-2", "addresses": ["198.51.100.2"], "ports": [{ "name": "admin", "port": 9191 }] },
        ],
        "checks": [{ "name": "up", "http": { "path": "/up", "port": "admin" }, "interval": "1s" }],
    })
}

fn with_status(addresses: &[&str]) -> ServiceRegistration {
    let mut object = registration(spec());
    let status = json!({ "endpoints": [{ "name": "vm-2", "addresses": addresses, "health": "Critical", "callable": false, "since": "2026-11-01T00:00:00Z", "reason": "refused" }] });
    object.status = Some(serde_json::from_value(status).expect("a status"));
    object
}

#[tokio::test]
async fn every_address_is_checked_at_the_port_that_the_endpoint_has() {
    let mut rig = rig();
    rig.source.apply(registration(spec())).await;
    assert_eq!(rig.targets(), ["198.51.100.1:9090", "[2001:db8::1]:9090", "198.51.100.2:9191"]);
}

#[tokio::test]
async fn verdicts_in_the_status_are_taken_up_once() {
    let mut rig = rig();
    rig.source.apply(with_status(&["198.51.100.2"])).await;
    assert_eq!(rig.verdicts(), [("vm-2".to_owned(), Health::Critical)]);
    rig.source.apply(with_status(&["198.51.100.2"])).await;
    assert!(rig.verdicts().is_empty(), "from then on it is our own word coming back");
}

#[tokio::test]
async fn a_verdict_on_another_address_is_not_taken_up() {
    let mut rig = rig();
    rig.source.apply(with_status(&["198.51.100.99"])).await;
    assert!(rig.verdicts().is_empty());
}

#[tokio::test]
async fn a_check_of_an_unknown_port_is_not_run() {
    let mut spec = spec();
    spec["checks"][0]["http"]["port"] = "nowhere".into();
    let mut rig = rig();
    rig.source.apply(registration(spec)).await;
    assert!(rig.targets().is_empty());
}
