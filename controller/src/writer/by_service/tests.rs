//! Tests: which services have metrics of their own.

use rollcall_catalog::Input;
use rollcall_catalog::input::Contribution;
use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::ServiceKey;

use super::*;
use crate::testing::{facts, origin, ports, snapshot, vm};

fn service(namespace: &str, name: &str) -> Input {
    Input::Service(ServiceKey::new(namespace, name), Some(Arc::new(facts())))
}

fn registered(namespace: &str, name: &str) -> Input {
    Input::Contribution(Contribution {
        origin: Arc::new(rollcall_catalog::input::Origin::here(OriginKind::ServiceRegistration, namespace, name)),
        service: ServiceKey::new(namespace, name),
        ..contribution()
    })
}

fn contribution() -> Contribution {
    Contribution {
        generation: Some(1),
        ports: ports(&[("http", 8080)]),
        endpoints: [vm("vm-1", "192.0.2.1")].into(),
        ..Contribution::new(origin(OriginKind::ServiceRegistration, "vms"), ServiceKey::new("shop", "payments"))
    }
}

/// The names that are chosen, and how many are left out.
fn chosen(inputs: Vec<Input>, namespaces: &[&str], max: usize) -> (Vec<String>, usize) {
    let namespaces = namespaces.iter().map(|name| Name::from(*name)).collect();
    let chosen = Chosen::of(&snapshot(inputs), &namespaces, max);
    (chosen.services.iter().map(|service| service.key.to_string()).collect(), chosen.left_out)
}

#[test]
fn those_with_registered_endpoints_go_first_and_namespaces_have_equal_shares() {
    let many = || {
        let mut inputs: Vec<_> = (0..9).map(|n| service("aaa", &format!("svc-{n}"))).collect();
        inputs.extend([service("shop", "web"), registered("shop", "payments"), registered("zoo", "cats")]);
        inputs
    };
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(chosen(many(), &[], 1), (names(&["shop/payments"]), 11));
    assert_eq!(chosen(many(), &[], 2), (names(&["shop/payments", "zoo/cats"]), 10));
    // One namespace of many services takes no other's share.
    assert_eq!(chosen(many(), &[], 4), (names(&["aaa/svc-0", "shop/payments", "shop/web", "zoo/cats"]), 8));
    let six = names(&["aaa/svc-0", "aaa/svc-1", "aaa/svc-2", "shop/payments", "shop/web", "zoo/cats"]);
    assert_eq!(chosen(many(), &[], 6), (six, 6));
    assert_eq!(chosen(many(), &[], 200).1, 0);
}

#[test]
fn only_the_namespaces_that_were_named_count() {
    let inputs = vec![service("aaa", "web"), registered("shop", "payments"), service("shop", "web")];
    assert_eq!(chosen(inputs, &["aaa"], 5), (vec!["aaa/web".to_owned()], 0));
}

#[test]
fn an_alias_and_what_has_no_service_have_none() {
    let alias = ServiceKind::ExternalName("example.net".into());
    let alias = Arc::new(rollcall_catalog::input::ServiceFacts { kind: alias, ..facts() });
    assert_eq!(chosen(vec![Input::Service(ServiceKey::new("shop", "db"), Some(alias))], &[], 5), (Vec::new(), 0));
}

#[test]
fn small_groups_leave_their_share_to_the_others() {
    for (sizes, room, expected) in [
        (vec![9, 1, 1], 4, 2),
        (vec![9, 1, 1], 3, 1),
        (vec![5, 5], 1, 0),
        (vec![1, 2], 5, usize::MAX),
        (vec![], 3, usize::MAX),
    ] {
        assert_eq!(level(sizes.clone(), room), expected, "{sizes:?} in {room}");
    }
}
