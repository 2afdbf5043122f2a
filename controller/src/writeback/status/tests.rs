//! Tests: the status of a registration.

use std::sync::Arc;

use jiff::Timestamp;
use rollcall_catalog::input::{CheckVerdict, Families, Input, OriginKind, ServiceFacts, ServiceKind, Verdict};
use rollcall_catalog::model::{Health, HealthSource};
use serde_json::json;

use super::*;
use crate::registration::Reader;
use crate::testing::*;
use crate::writeback::observed::Seen;

const NOON: &str = "2026-11-21T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The status that the registration `vms` should have.
fn desired(
    seen: &SeenRegistration,
    service: &Service,
    publication: &Publication,
    now: Timestamp,
) -> ServiceRegistrationStatus {
    let registered = service.registrations.iter().find(|registered| &*registered.origin.name == "vms");
    super::desired(seen, service, registered.expect("vms speaks of it"), publication, now)
}

fn spec(endpoints: &[(&str, &str)]) -> serde_json::Value {
    let endpoints: Vec<_> = endpoints.iter().map(|(name, ip)| json!({ "name": name, "addresses": [ip] })).collect();
    json!({ "service": "payments", "ports": [{ "name": "http", "port": 8080 }], "endpoints": endpoints })
}

fn seen(spec: serde_json::Value, status: Option<&ServiceRegistrationStatus>) -> SeenRegistration {
    let mut object = registration(spec);
    object.status = status.cloned();
    match Seen::registration(&object) {
        Seen::Registration(_, seen) => *seen,
        other => panic!("{other:?}"),
    }
}

fn verdict(name: &str, ip: &str, health: Health) -> Input {
    let verdict = Verdict {
        health,
        since_ms: time("2026-11-21T11:00:00Z").as_millisecond(),
        reason: format!("check web: {health}").into(),
        addresses: ip.parse::<std::net::IpAddr>().expect("an address").into(),
        checks: Arc::default(),
    };
    Input::Verdict(origin(OriginKind::ServiceRegistration, "vms"), name.into(), Some(verdict))
}

/// A verdict on `vm-1` of one check that failed at this second and said this.
fn checked_at(second: i64, reason: &str) -> Input {
    let Input::Verdict(origin, name, Some(verdict)) = verdict("vm-1", "198.51.100.1", Health::Critical) else {
        panic!("a verdict")
    };
    let since_ms = time(NOON).as_millisecond() + second * 1000 + 7;
    let check = CheckVerdict {
        name: "web".into(),
        health: Health::Critical,
        since_ms,
        reason: reason.into(),
        on_machine: false,
    };
    Input::Verdict(origin, name, Some(Verdict { checks: [check].into(), ..verdict }))
}

#[test]
fn each_check_of_an_endpoint_has_its_health_since_when_and_the_beginning_of_its_reason() {
    let spec = spec(&[("vm-1", "198.51.100.1")]);
    let with = |verdict| {
        let endpoints = vec![offered("vm-1", "198.51.100.1", HealthSource::Verdict)];
        merged([cluster_ip("payments"), registered("payments", endpoints), verdict])
    };
    let long = format!("check web: {}", "ä".repeat(300));
    let status = desired(&seen(spec.clone(), None), &with(checked_at(0, &long)), &Publication::Stands, time(NOON));
    let check = &status.endpoints[0].checks[0];
    assert_eq!((&*check.name, check.health, check.since.0), ("web", ApiHealth::Critical, time(NOON)));
    assert!(check.reason.len() <= 128 && long.starts_with(&check.reason), "{}", check.reason);

    // Of more than there is place for those that fail are kept: without them a restart would give callers the endpoint again.
    let Input::Verdict(origin, name, Some(verdict)) = checked_at(0, "full") else { panic!("a verdict") };
    let check = |n: u8| CheckVerdict {
        name: format!("c{n:02}").into(),
        health: if n == 19 { Health::Critical } else { Health::Passing },
        on_machine: n > 8,
        ..verdict.checks[0].clone()
    };
    let many = Verdict { checks: (0..20).map(check).collect(), ..verdict.clone() };
    let service = with(Input::Verdict(origin, name, Some(many)));
    let kept = &desired(&seen(spec.clone(), None), &service, &Publication::Stands, time(NOON)).endpoints[0].checks;
    assert_eq!((kept.len(), &*kept[15].name, kept[15].on_machine), (16, "c19", true));

    // The same as another replica decided it is no news; a later one is.
    let again = |second| {
        let service = with(checked_at(second, &long));
        desired(&seen(spec.clone(), Some(&status)), &service, &Publication::Stands, time(NOON)).endpoints[0].checks[0]
            .since
            .0
    };
    assert_eq!((again(9), again(60) > time(NOON)), (time(NOON), true));
}

fn condition<'a>(status: &'a ServiceRegistrationStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).expect("every condition is set");
    (&found.status, &found.reason, &found.message)
}

#[test]
fn each_endpoint_has_its_health_since_when_and_why() {
    let spec = spec(&[("vm-1", "198.51.100.1"), ("vm-2", "198.51.100.2")]);
    let endpoints = vec![
        offered("vm-1", "198.51.100.1", HealthSource::Verdict),
        offered("vm-2", "198.51.100.2", HealthSource::Verdict),
    ];
    let service = merged([
        cluster_ip("payments"),
        registered("payments", endpoints),
        verdict("vm-1", "198.51.100.1", Health::Passing),
        verdict("vm-2", "198.51.100.2", Health::Critical),
    ]);
    let status = desired(&seen(spec, None), &service, &Publication::Stands, time(NOON));
    assert_eq!(status.callable, "1/2");
    assert_eq!(status.endpoints[1].health, ApiHealth::Critical);
    assert_eq!(status.endpoints[1].since.0, time("2026-11-21T11:00:00Z"));
    assert_eq!(condition(&status, "Ready"), ("False", "SomeFailing", "vm-2: check web: Critical"));
    assert_eq!(condition(&status, "Published").1, "Published");
    assert_eq!(condition(&status, "Accepted").0, "True");
}

#[test]
fn without_a_service_a_condition_says_why_no_slice_was_written() {
    let service = merged([registered("payments", vec![vm("vm-1", "198.51.100.1")])]);
    let status = desired(&seen(spec(&[("vm-1", "198.51.100.1")]), None), &service, &Publication::Stands, time(NOON));
    let (said, reason, message) = condition(&status, "Published");
    assert_eq!((said, reason), ("False", "NoService"));
    assert!(message.contains("there is no Service of this name"));
    assert_eq!(condition(&status, "Ready").0, "True");
}

#[test]
fn what_is_left_out_is_named_with_the_remedy_and_the_others_stay() {
    let spec = spec(&[("vm-1", "169.254.1.2"), ("vm-2", "198.51.100.2")]);
    let service = merged([
        cluster_ip("payments"),
        registered("payments", vec![vm("vm-1", "169.254.1.2"), vm("vm-2", "198.51.100.2")]),
    ]);
    let status = desired(&seen(spec, None), &service, &Publication::Stands, time(NOON));
    assert_eq!(
        condition(&status, "Accepted"),
        (
            "False",
            "AddressNotAllowed",
            "endpoint vm-1: address 169.254.1.2 is link-local; give one that other nodes can reach"
        )
    );
    assert_eq!(status.callable, "1/2");
}

#[test]
fn an_unknown_port_of_a_check_or_an_endpoint_is_named() {
    let mut spec = spec(&[("vm-1", "198.51.100.1")]);
    spec["checks"] = json!([{ "name": "web", "http": { "port": "htpt" } }]);
    spec["endpoints"][0]["ports"] = json!([{ "name": "metrics", "port": 9090 }]);
    let contribution = Reader::default().read(&registration(spec.clone())).contribution;
    let service = merged([Input::Contribution(contribution)]);
    let status = desired(&seen(spec, None), &service, &Publication::Stands, time(NOON));
    let (_, reason, message) = condition(&status, "Accepted");
    assert_eq!(reason, "UnknownPort");
    assert!(
        message.contains("check web: there is no port \"htpt\"")
            && message.contains("endpoint vm-1: there is no port \"metrics\"")
    );
}

#[test]
fn the_same_status_a_minute_later_is_the_same_to_the_byte() {
    let spec = spec(&[("vm-1", "198.51.100.1"), ("vm-2", "198.51.100.2")]);
    let endpoints =
        vec![vm("vm-1", "198.51.100.1"), offered("vm-2", "198.51.100.2", HealthSource::Maintenance("upgrade".into()))];
    let service = merged([cluster_ip("payments"), registered("payments", endpoints)]);
    let first = desired(&seen(spec.clone(), None), &service, &Publication::Stands, time(NOON));
    // As it comes back from the API server: through text, and so in whole seconds.
    let stored: ServiceRegistrationStatus =
        serde_json::from_str(&serde_json::to_string(&first).expect("text")).expect("a status");
    let seen = seen(spec, Some(&stored));
    let later = desired(&seen, &service, &Publication::Stands, time("2026-11-21T12:01:00.5Z"));
    assert_eq!(version(&later), seen.status);
}

#[test]
fn a_condition_that_turns_gets_a_new_time_and_the_others_keep_theirs() {
    let spec = spec(&[("vm-1", "198.51.100.1")]);
    let checked = || registered("payments", vec![offered("vm-1", "198.51.100.1", HealthSource::Verdict)]);
    let good = merged([cluster_ip("payments"), checked(), verdict("vm-1", "198.51.100.1", Health::Passing)]);
    let bad = merged([cluster_ip("payments"), checked(), verdict("vm-1", "198.51.100.1", Health::Critical)]);
    let first = desired(&seen(spec.clone(), None), &good, &Publication::Stands, time(NOON));
    let second = desired(&seen(spec, Some(&first)), &bad, &Publication::Stands, time("2026-11-21T13:00:00Z"));
    let times = |status: &ServiceRegistrationStatus| {
        status.conditions.iter().map(|said| said.last_transition_time.0.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(times(&first), [NOON, NOON, NOON]);
    assert_eq!(times(&second), [NOON, NOON, "2026-11-21T13:00:00Z"]);
    assert_eq!(condition(&second, "Ready").1, "NoneCallable");
}

#[test]
fn an_alias_hides_the_machines_and_nothing_says_that_they_can_be_called() {
    let alias = ServiceFacts { kind: ServiceKind::ExternalName("elsewhere.example".into()), ..facts() };
    let service = merged([
        Input::Service(service_key("payments"), Some(Arc::new(alias))),
        registered("payments", vec![vm("vm-1", "198.51.100.1")]),
    ]);
    let status = desired(&seen(spec(&[("vm-1", "198.51.100.1")]), None), &service, &Publication::Stands, time(NOON));
    assert_eq!((status.callable.as_str(), condition(&status, "Accepted").0), ("0/1", "True"));
    assert_eq!(condition(&status, "Published").1, "ServiceHasNoEndpoints");
    assert_eq!((condition(&status, "Ready").0, condition(&status, "Ready").1), ("False", "NotPublished"));
}

#[test]
fn a_machine_without_an_address_of_the_services_family_is_not_published() {
    let v4 = ServiceFacts { families: Families { v4: true, v6: false }, ..facts() };
    let service = merged([
        Input::Service(service_key("payments"), Some(Arc::new(v4))),
        registered("payments", vec![vm("vm-1", "2001:db8::1")]),
    ]);
    let status = desired(&seen(spec(&[("vm-1", "2001:db8::1")]), None), &service, &Publication::Stands, time(NOON));
    assert_eq!(condition(&status, "Accepted").1, "FamilyMismatch");
    assert_eq!((condition(&status, "Published").0, condition(&status, "Ready").0), ("False", "False"));
}

#[test]
fn an_override_of_an_unknown_port_is_not_ready() {
    let mut spec = spec(&[("vm-1", "198.51.100.1")]);
    spec["endpoints"][0]["ports"] = json!([{ "name": "metrics", "port": 9090 }]);
    let contribution = Reader::default().read(&registration(spec.clone())).contribution;
    let service = merged([cluster_ip("payments"), Input::Contribution(contribution)]);
    let status = desired(&seen(spec, None), &service, &Publication::Stands, time(NOON));
    assert_eq!((status.callable.as_str(), condition(&status, "Ready").1), ("1/1", "NotAccepted"));
}

#[test]
fn the_summary_is_the_last_to_give_way_to_conditions_of_others() {
    let theirs = |n: usize| json!({ "type": format!("Theirs{n}"), "status": "True", "reason": "R", "message": "", "lastTransitionTime": NOON });
    let others = json!({ "conditions": (0..31).map(theirs).collect::<Vec<_>>() });
    let before: ServiceRegistrationStatus = serde_json::from_value(others).expect("a status");
    let service = merged([cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])]);
    let seen = seen(spec(&[("vm-1", "198.51.100.1")]), Some(&before));
    let status = desired(&seen, &service, &Publication::Stands, time(NOON));
    assert_eq!(status.conditions.iter().map(|said| said.type_.as_str()).collect::<Vec<_>>(), ["Ready"]);
}

#[test]
fn a_registration_that_leaves_no_room_has_its_failing_endpoints_told_first() {
    let endpoints = vec![vm("vm-1", "198.51.100.1"), offered("vm-2", "198.51.100.2", HealthSource::Verdict)];
    let service = merged([cluster_ip("payments"), registered("payments", endpoints)]);
    let mut seen = seen(spec(&[("vm-1", "198.51.100.1"), ("vm-2", "198.51.100.2")]), None);
    seen.bytes = limits::REGISTRATION_BYTES - 200;
    let status = desired(&seen, &service, &Publication::Stands, time(NOON));
    assert_eq!((status.endpoints[0].name.as_str(), status.endpoints_omitted), ("vm-2", 1));
    assert_eq!(status.callable, "1/2");
}

#[test]
fn a_reason_longer_than_the_api_takes_is_cut() {
    let long = "x".repeat(2000);
    let endpoints = vec![offered("vm-1", "198.51.100.1", HealthSource::Maintenance(long.as_str().into()))];
    let service = merged([cluster_ip("payments"), registered("payments", endpoints)]);
    let status = desired(&seen(spec(&[("vm-1", "198.51.100.1")]), None), &service, &Publication::Stands, time(NOON));
    assert_eq!(status.endpoints[0].reason.chars().count(), 1024);
}

#[test]
fn the_message_of_ready_is_a_column_and_names_one_of_many() {
    let names = ["vm-1", "vm-2", "vm-3"];
    let ips = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
    let pairs: Vec<_> = names.into_iter().zip(ips).collect();
    let mut checked = spec(&pairs);
    checked["checks"] = json!([{ "name": "web", "tcp": {} }]);
    let verdicts = pairs.iter().map(|(name, ip)| verdict(name, ip, Health::Critical));
    let endpoints = pairs.iter().map(|(name, ip)| offered(name, ip, HealthSource::Verdict)).collect();
    let service = merged([cluster_ip("payments"), registered("payments", endpoints)].into_iter().chain(verdicts));
    let status = desired(&seen(checked, None), &service, &Publication::Stands, time(NOON));
    let (_, _, message) = condition(&status, conditions::READY);
    assert_eq!(message, "vm-1: check web: Critical; and 2 more");
}
