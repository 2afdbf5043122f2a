//! Pods that a policy has checked: a verdict takes back what Kubernetes gives, and nothing else.

mod support;

use std::sync::Arc;

use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::evict::TimeToEvict;
use rollcall_catalog::input::{CheckVerdict, Input, PodFacts, Verdict};
use rollcall_catalog::model::{Conditions, Endpoint, Health};
use rollcall_catalog::policy::{PodChecks, PolicyKey, Statement};
use rollcall_catalog::service::Service;
use rollcall_catalog::time::Now;
use support::*;

const IP: &str = "10.1.0.4";

fn says(health: Health) -> Input {
    let check = CheckVerdict {
        name: "web".into(),
        health,
        since_ms: 7,
        reason: format!("check web: {health}").into(),
        on_machine: false,
    };
    let (since_ms, reason) = (7, Arc::clone(&check.reason));
    let verdict = Verdict { health, since_ms, reason, addresses: addresses(IP), checks: Arc::new([check]) };
    Input::PodVerdict(key("payments"), "a".into(), Some(verdict))
}

fn runs() -> PodFacts {
    PodFacts { addresses: Some(addresses(IP)), ..pod_facts("1") }
}

fn asks() -> Input {
    let time_to_evict = TimeToEvict { detection: std::time::Duration::from_secs(2), ..TimeToEvict::default() };
    let checks = PodChecks { says: "pods are checked: web".into(), version: 1, time_to_evict };
    let statement = Statement { pod_checks: Some(Some(Arc::new(checks))), ..Statement::default() };
    Input::Policy(PolicyKey::new("shop", "pods"), Some(Arc::new(statement)))
}

fn merged(said_of: Endpoint, inputs: impl IntoIterator<Item = Input>) -> Arc<Service> {
    let mut catalog = Catalog::default();
    let slice = said(&slice("payments-x7"), "payments", vec![said_of]);
    for input in [headless("payments"), asks(), slice, pod_is("a", Some(runs()))].into_iter().chain(inputs) {
        catalog.apply(input);
    }
    catalog.publish(Now::default());
    Arc::clone(catalog.snapshot().get(&key("payments")).expect("payments is there"))
}

fn health(service: &Service) -> (Health, bool, &str) {
    let member = &service.endpoints[0];
    (member.health, member.conditions.ready, &member.reason)
}

#[test]
fn a_check_that_fails_takes_a_ready_pod_back_and_says_why() {
    let service = merged(pod_of("a", "1", IP), [says(Health::Critical)]);
    assert_eq!(health(&service), (Health::Critical, false, "check web: Critical"));
    assert_eq!(service.time_to_evict().map(|time| time.detection.as_secs()), Some(2));
    for said in [Health::Passing, Health::Unknown] {
        assert_eq!(health(&merged(pod_of("a", "1", IP), [says(said)])), (Health::Passing, true, "ready"), "{said}");
    }
    let warned = merged(pod_of("a", "1", IP), [says(Health::Warning)]);
    assert_eq!(health(&warned), (Health::Warning, true, "check web: Warning"));
    let gone = [says(Health::Critical), Input::PodVerdict(key("payments"), "a".into(), None)];
    assert_eq!(health(&merged(pod_of("a", "1", IP), gone)), (Health::Passing, true, "ready"));
}

#[test]
fn it_cannot_give_what_kubernetes_does_not_nor_speak_of_others() {
    let not_ready = pod_of("a", "1", IP).with(|described| described.conditions = Conditions::NOT_READY);
    let service = merged(not_ready, [says(Health::Passing)]);
    assert_eq!(health(&service), (Health::Critical, false, "not ready, as its EndpointSlice says"));
    // Another pod of the name; an address that the pod has not; one that ends.
    let other = pod_is("a", Some(PodFacts { addresses: Some(addresses("10.1.0.9")), ..pod_facts("1") }));
    let service = merged(pod_of("a", "1", IP), [says(Health::Critical), other]);
    assert_eq!((health(&service).0, service.endpoints[0].is_pod_there), (Health::Passing, false));
    let service = merged(pod_of("a", "1", "10.1.0.9"), [says(Health::Critical)]);
    assert_eq!((health(&service).0, service.endpoints[0].is_pod_there), (Health::Passing, false));
    let ends = pod_is("a", Some(PodFacts { terminating: true, ..runs() }));
    assert!(!merged(pod_of("a", "1", IP), [ends]).endpoints[0].is_pod_there);
}

#[test]
fn pods_that_fail_are_reported_with_the_policy() {
    let mut catalog = Catalog::default();
    let slice = said(&slice("payments-x7"), "payments", vec![pod_of("a", "1", IP)]);
    for input in [headless("payments"), asks(), slice, pod_is("a", Some(runs())), says(Health::Critical)] {
        catalog.apply(input);
    }
    catalog.publish(Now::default());
    let report = |catalog: &Catalog| catalog.snapshot().policies().get(&PolicyKey::new("shop", "pods")).cloned();
    let told = report(&catalog).expect("a report");
    let failing: Vec<_> = told.failing.iter().map(|pod| (&*pod.service, &*pod.pod, pod.checks.len())).collect();
    assert_eq!((failing, told.failing_total), (vec![("payments", "a", 1)], 1));
    catalog.apply(says(Health::Passing));
    catalog.publish(Now::default());
    assert_eq!(report(&catalog).map(|told| told.failing_total), Some(0));
}
