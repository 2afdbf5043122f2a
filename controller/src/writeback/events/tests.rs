//! Tests: events.

use rollcall_crds::ServiceRegistrationStatus;
use serde_json::json;

use super::*;
use crate::testing::registration;
use crate::writeback::observed::Seen;

fn status(health: &str, since: &str) -> ServiceRegistrationStatus {
    let endpoint = json!({ "name": "vm-1", "health": health, "since": since, "reason": format!("was {health}") });
    serde_json::from_value(json!({ "endpoints": [endpoint] })).expect("a status")
}

fn told(before: Option<ServiceRegistrationStatus>, after: &ServiceRegistrationStatus) -> Vec<Event> {
    let spec = json!({ "service": "payments", "ports": [{ "port": 80 }], "endpoints": [{ "name": "vm-1", "addresses": ["198.51.100.1"] }] });
    let mut object = registration(spec);
    object.status = before;
    let Seen::Registration(key, seen) = Seen::registration(&object) else { panic!("a registration") };
    transitions(&key, &seen, after, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_transition_is_told_with_both_ends_and_the_reason() {
    let (good, bad) = (status("Passing", "2026-11-21T12:00:00Z"), status("Critical", "2026-11-21T12:01:00Z"));
    let events = told(Some(good.clone()), &bad);
    assert_eq!(events[0].note.as_deref(), Some("endpoint vm-1: Passing -> Critical: was Critical"));
    assert_eq!((events[0].type_.as_deref(), events[0].reason.as_deref()), (Some("Warning"), Some("EndpointCritical")));
    assert!(told(Some(good.clone()), &good).is_empty());
}

#[test]
fn the_same_transition_has_the_same_name_and_a_later_one_another() {
    let good = status("Passing", "2026-11-21T12:00:00Z");
    let name = |since| told(Some(good.clone()), &status("Critical", since))[0].metadata.name.clone();
    assert_eq!(name("2026-11-21T12:01:00Z"), name("2026-11-21T12:01:00Z"));
    assert_ne!(name("2026-11-21T12:01:00Z"), name("2026-11-21T12:05:00Z"));
}

#[test]
fn a_new_endpoint_is_told_of_once_it_is_decided() {
    let events = told(None, &status("Passing", "2026-11-21T12:00:00Z"));
    assert_eq!(events[0].note.as_deref(), Some("endpoint vm-1: new -> Passing: was Passing"));
    assert!(told(None, &status("Unknown", "2026-11-21T12:00:00Z")).is_empty());
}

#[test]
fn removal_and_return_say_why() {
    let good = status("Passing", "2026-11-21T12:00:00Z");
    let mut out = status("Unknown", "2026-11-21T12:01:00Z");
    out.endpoints[0].message = Some("the Service has no port named \"http\"".into());
    let left = told(Some(good.clone()), &out);
    assert_eq!(
        left[0].note.as_deref(),
        Some("endpoint vm-1: Passing -> left out: the Service has no port named \"http\"")
    );
    assert_eq!((left[0].type_.as_deref(), left[0].reason.as_deref()), (Some("Warning"), Some("EndpointLeftOut")));
    let back = told(Some(out), &good);
    assert_eq!(back[0].note.as_deref(), Some("endpoint vm-1: left out -> Passing: was Passing"));
    let mut gone = good.clone();
    gone.endpoints[0].name = "vm-0".into();
    let events = told(Some(gone), &good);
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("EndpointRemoved")), "{events:?}");
}

#[test]
fn that_endpoints_are_held_is_told_once() {
    let condition = |reason: &str| {
        let mut status = status("Warning", "2026-11-21T12:00:00Z");
        let said = json!({
            "type": "Ready", "status": "False", "reason": reason, "message": "3 of 4 endpoints left together",
            "lastTransitionTime": "2026-11-21T12:00:00Z",
        });
        status.conditions = vec![serde_json::from_value(said).expect("a condition")];
        status
    };
    let events = told(Some(condition("SomeFailing")), &condition("Held"));
    let [held] = &*events else { panic!("{events:?}") };
    assert_eq!((held.type_.as_deref(), held.reason.as_deref()), (Some("Warning"), Some("EndpointsHeld")));
    assert_eq!(held.note.as_deref(), Some("3 of 4 endpoints left together"));
    assert!(told(Some(condition("Held")), &condition("Held")).is_empty());
}
