//! Tests: the status of a policy, and what is told of policies elsewhere.

use std::sync::Arc;

use rollcall_catalog::Input;
use rollcall_catalog::policy::{PolicyKey, RemovalGuard, Statement};

use super::*;
use crate::testing::*;

fn seen() -> SeenPolicy {
    SeenPolicy {
        resource_version: "7".into(),
        generation: Some(3),
        status: Version::default(),
        conditions: Vec::new(),
        failing: Vec::new(),
    }
}

fn policy(name: &str, created: i64, service: Option<&str>) -> Input {
    let statement = Statement {
        generation: Some(3),
        created,
        service: service.map(Into::into),
        removal: Some(Some(RemovalGuard::default())),
        ..Statement::default()
    };
    Input::Policy(PolicyKey::new("shop", name), Some(Arc::new(statement)))
}

/// The status of the policy `web`, as (status, reason, message) of InForce and the services.
fn told(inputs: Vec<Input>) -> (String, String, String, Vec<GovernedService>) {
    let snapshot = snapshot(inputs);
    let status = desired(&seen(), &snapshot.policies()[&PolicyKey::new("shop", "web")], Timestamp::UNIX_EPOCH);
    let said = status.conditions.iter().find(|said| said.type_ == IN_FORCE).expect("InForce").clone();
    assert_eq!(status.conditions.len(), 2);
    (said.status, said.reason, said.message, status.services)
}

#[test]
fn a_policy_says_for_which_services_it_is_in_force() {
    let vms = || registered("payments", vec![vm("vm-1", "198.51.100.11")]);
    let (status, reason, message, services) = told(vec![vms(), policy("web", 1, None)]);
    assert_eq!((&*status, &*reason, &*message), ("True", "InForce", "for 1 service of the namespace"));
    assert_eq!(services, [GovernedService { name: "payments".into(), sections: vec!["guard".into()] }]);

    let (status, reason, message, _) = told(vec![policy("web", 1, Some("payments"))]);
    assert_eq!((&*status, &*reason), ("False", "NoService"));
    assert!(message.starts_with("there is no service payments"), "{message}");

    let (status, reason, ..) = told(vec![vms(), policy("web", 1, None), policy("own", 1, Some("payments"))]);
    assert_eq!((&*status, &*reason), ("False", "NoService"), "a nearer one decides all of it");
}

#[test]
fn of_two_with_one_target_the_younger_is_told() {
    let vms = registered("payments", vec![vm("vm-1", "198.51.100.11")]);
    let (status, reason, message, services) = told(vec![vms, policy("web", 2, None), policy("old", 1, None)]);
    assert_eq!((&*status, &*reason, services.len()), ("False", "Conflict", 0));
    assert!(message.starts_with("DiscoveryPolicy old is for all services of the namespace"), "{message}");
}

#[test]
fn machines_in_maintenance_need_no_service() {
    let maintenance = vec![("vm-7".into(), "disk swap".into())];
    let statement = Statement { generation: Some(3), maintenance, ..Statement::default() };
    let (status, reason, message, _) =
        told(vec![Input::Policy(PolicyKey::new("shop", "web"), Some(Arc::new(statement)))]);
    assert_eq!((&*status, &*reason, &*message), ("True", "Maintenance", "machine vm-7 is in maintenance"));
}

#[test]
fn objects_tell_the_sections_that_are_from_a_policy_and_no_others() {
    let vms = || registered("payments", vec![vm("vm-1", "198.51.100.11")]);
    assert_eq!(in_force(&merged([vms()])), []);
    let service = merged([vms(), policy("web", 1, Some("payments"))]);
    let says = "more than 50 % of 4 or more endpoints that leave within 30s are held for 5m".to_owned();
    assert_eq!(in_force(&service), [PolicyInForce { section: "guard".into(), from: "web".into(), says }]);
}
