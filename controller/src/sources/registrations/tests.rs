//! Tests: ServiceRegistrations.

use rollcall_catalog::model::Health;
use rollcall_health::Plan;
use serde_json::json;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::replicas::Roster;
use crate::testing::registration;
use crate::time::clock::Clock;

struct Rig {
    source: Registrations,
    orders: Receiver<Order>,
    _seen: Receiver<Seen>,
}

fn rig() -> Rig {
    let (sender, orders) = mpsc::channel(16);
    let (observations, seen) = Observations::new();
    let hearing = Hearing::new(Roster::alone("a"), Clock::default(), crate::beats::Metrics::default());
    Rig { source: Registrations::new(sender, hearing, observations), orders, _seen: seen }
}

impl Rig {
    fn plan(&mut self) -> Plan {
        match self.orders.try_recv() {
            Ok(Order::Register(registration)) => registration.1,
            other => panic!("{other:?}"),
        }
    }

    /// What is restored: of which endpoint, how it is, what its checks say, and whether they are as they were.
    fn restored(&mut self) -> Vec<(String, Health, Vec<Health>, bool)> {
        let restored = self.plan().restored.into_iter();
        restored
            .map(|(endpoint, restored)| {
                let checks = restored.verdict.checks.iter().map(|check| check.health).collect();
                (endpoint.to_string(), restored.verdict.health, checks, restored.current)
            })
            .collect()
    }

    fn targets(&mut self) -> Vec<String> {
        self.plan().targets.iter().map(|target| target.address.to_string()).collect()
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
    let status = json!({ "endpoints": [{ "name": "vm-2", "addresses": addresses, "health": "Critical", "callable": false, "since": "2026-11-01T00:00:00Z", "reason": "refused", "checks": [{ "name": "up", "health": "Critical", "since": "2026-11-01T00:00:00Z" }] }] });
    object.status = Some(serde_json::from_value(status).expect("a status"));
    object.status.as_mut().expect("a status").observed_generation = object.metadata.generation;
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
    assert_eq!(rig.restored(), [("vm-2".to_owned(), Health::Critical, vec![Health::Critical], true)]);
    rig.source.apply(with_status(&["198.51.100.2"])).await;
    assert!(rig.restored().is_empty(), "from then on it is our own word coming back");
}

#[tokio::test]
async fn a_verdict_on_another_address_is_not_taken_up() {
    let mut rig = rig();
    rig.source.apply(with_status(&["198.51.100.99"])).await;
    assert!(rig.restored().is_empty());
}

#[tokio::test]
async fn what_was_said_of_an_earlier_generation_is_taken_up_as_such() {
    let mut rig = rig();
    let mut object = with_status(&["198.51.100.2"]);
    object.metadata.generation = Some(3);
    object.status.as_mut().expect("a status").observed_generation = Some(2);
    rig.source.apply(object).await;
    assert!(!rig.restored()[0].3, "its checks may be others by now");
}

#[tokio::test]
async fn in_maintenance_what_the_checks_say_is_taken_up_all_the_same() {
    let mut rig = rig();
    let mut object = with_status(&["198.51.100.2"]);
    object.status.as_mut().expect("a status").endpoints[0].health = rollcall_crds::Health::Maintenance;
    rig.source.apply(object).await;
    assert_eq!(rig.restored(), [("vm-2".to_owned(), Health::Unknown, vec![Health::Critical], true)]);
}

#[tokio::test]
async fn a_longer_timeout_from_before_the_bound_stays_in_use_with_it() {
    let mut spec = spec();
    spec["checks"][0]["interval"] = "1h".into();
    spec["checks"][0]["timeout"] = "1h".into();
    let mut rig = rig();
    rig.source.apply(registration(spec)).await;
    let check = std::sync::Arc::clone(&rig.plan().targets[0].check);
    assert_eq!((check.timeout.as_secs(), check.retry_interval.as_secs()), (60, 1));
}

#[tokio::test]
async fn a_check_of_an_unknown_port_is_not_run() {
    let mut spec = spec();
    spec["checks"][0]["http"]["port"] = "nowhere".into();
    let mut rig = rig();
    rig.source.apply(registration(spec)).await;
    assert!(rig.targets().is_empty());
}
