//! Who is who in the merge: pods, addresses, slices and registrations that name the same.

mod support;

use std::sync::Arc;

use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::input::{Exposed, Input, PodFacts, ServiceFacts};
use rollcall_catalog::model::{Addresses, Conditions, Endpoint, Health, HealthSource, PodRef};
use rollcall_catalog::service::{Service, Why};
use rollcall_catalog::time::Now;
use support::*;

/// The ways in which an order of statements may differ.
fn in_every_order(inputs: &[Input], check: impl Fn(&Service)) {
    let reversed: Vec<_> = inputs.iter().rev().cloned().collect();
    for inputs in [inputs.to_vec(), reversed] {
        let mut catalog = Catalog::default();
        inputs.into_iter().chain([headless("payments")]).for_each(|input| catalog.apply(input));
        catalog.publish(Now::default());
        check(catalog.snapshot().get(&key("payments")).expect("payments is there"));
    }
}

fn callable(service: &Service) -> Vec<String> {
    let mut names: Vec<_> = service.callable().map(|member| member.endpoint.name().to_string()).collect();
    names.sort();
    names
}

fn leaving(mut endpoint: Endpoint) -> Endpoint {
    endpoint.conditions = Conditions { ready: false, serving: true, terminating: true };
    endpoint
}

fn not_ready(mut endpoint: Endpoint) -> Endpoint {
    endpoint.conditions = Conditions::NOT_READY;
    endpoint
}

fn with_ports(mut endpoint: Endpoint, list: &[(&str, u16)]) -> Endpoint {
    endpoint.ports = ports(list);
    endpoint
}

#[test]
fn a_pod_that_leaves_does_not_take_the_address_from_the_one_that_follows_it() {
    let (old, new) = (leaving(pod("old", "192.0.2.119")), pod("new", "192.0.2.119"));
    in_every_order(&[said(&slice("web-1"), "payments", vec![old.clone(), new.clone()])], |service| {
        assert_eq!((callable(service), service.endpoints.len()), (vec!["new".into()], 2));
    });
    in_every_order(&[said(&slice("web-1"), "payments", vec![new.clone(), old.clone()])], |service| {
        assert_eq!(callable(service), ["new"]);
    });
    let two = [said(&slice("web-1"), "payments", vec![old]), said(&slice("web-2"), "payments", vec![new])];
    in_every_order(&two, |service| assert_eq!(callable(service), ["new"]));
}

#[test]
fn the_same_address_without_a_pod_is_ready_if_one_slice_says_so() {
    let (stale, fresh) = (not_ready(address("192.0.2.7")), address("192.0.2.7"));
    in_every_order(&[said(&slice("a"), "payments", vec![stale.clone(), fresh.clone()])], |service| {
        assert_eq!(callable(service), ["192.0.2.7"]);
    });
    let two = [said(&slice("a"), "payments", vec![fresh]), said(&slice("b"), "payments", vec![stale])];
    in_every_order(&two, |service| {
        assert_eq!((callable(service), service.endpoints.len()), (vec!["192.0.2.7".into()], 1));
    });
}

#[test]
fn two_live_pods_with_one_address_are_both_there_also_without_ports_and_when_one_is_not_ready() {
    for list in [&[("http", 8080)][..], &[]] {
        let (a, b) = (with_ports(pod("a", "192.0.2.9"), list), with_ports(pod("b", "192.0.2.9"), list));
        in_every_order(&[said(&slice("web"), "payments", vec![a.clone(), b.clone()])], |service| {
            assert_eq!(callable(service), ["a", "b"]);
        });
        in_every_order(&[said(&slice("web"), "payments", vec![not_ready(a), b])], |service| {
            assert_eq!((callable(service), service.endpoints.len()), (vec!["b".into()], 2));
        });
    }
}

#[test]
fn a_pod_in_two_slices_with_other_ports_is_ready_for_those_of_which_it_is_said() {
    let a = not_ready(with_ports(pod("p", "192.0.2.137"), &[("a", 8080)]));
    let b = with_ports(pod("p", "192.0.2.137"), &[("b", 8082)]);
    let two = [said(&slice("two-1"), "payments", vec![a]), said(&slice("two-2"), "payments", vec![b])];
    in_every_order(&two, |service| {
        let given: Vec<_> = service.callable().flat_map(|member| member.endpoint.ports.iter()).collect();
        assert_eq!(given.iter().map(|port| port.number).collect::<Vec<_>>(), [8082]);
        assert_ne!(service.endpoints[0].id, service.endpoints[1].id);
    });
}

#[test]
fn of_two_origins_the_callable_one_has_the_address() {
    let machine = registration("machines");
    let failing = [
        said(&machine, "payments", vec![checked("vm", "192.0.2.5")]),
        said(&registration("others"), "payments", vec![vm("other", "192.0.2.5")]),
        verdict(&machine, "vm", "192.0.2.5", Health::Critical),
    ];
    // A verdict about what is not there yet is nobody's: it is said last.
    let mut catalog = Catalog::default();
    [headless("payments")].into_iter().chain(failing).for_each(|input| catalog.apply(input));
    let snapshot = catalog.publish(Now::default()).snapshot.expect("news");
    let service = snapshot.get(&key("payments")).expect("payments is there");
    assert_eq!(callable(service), ["other"]);
    assert!(matches!(&service.excluded[0].why, Why::Claimed { winner, .. } if &*winner.name == "others"));
    catalog.apply(verdict(&machine, "vm", "192.0.2.5", Health::Passing));
    let snapshot = catalog.publish(Now::default()).snapshot.expect("news");
    assert_eq!(callable(snapshot.get(&key("payments")).expect("payments is there")).len(), 1);

    let out = endpoint("vm", "192.0.2.5", HealthSource::Maintenance("upgrade".into()));
    let two = [
        said(&registration("a"), "payments", vec![out]),
        said(&registration("b"), "payments", vec![vm("vm", "192.0.2.5")]),
    ];
    in_every_order(&two, |service| assert_eq!(service.callable().next().map(|member| &*member.origin.name), Some("b")));
    let pod_is_down = [
        said(&slice("web"), "payments", vec![not_ready(pod("a", "192.0.2.5"))]),
        said(&registration("b"), "payments", vec![vm("vm", "192.0.2.5")]),
    ];
    in_every_order(&pod_is_down, |service| assert_eq!(callable(service), ["vm"]));
}

#[test]
fn a_pod_that_was_seen_and_is_gone_stays_out_until_its_slice_says_something_else() {
    let named = said(&slice("g-1"), "payments", vec![pod_of("g", "1", "192.0.2.8")]);
    let mut catalog = Catalog::default();
    let told = |catalog: &mut Catalog, input: Input| {
        catalog.apply(input);
        catalog.publish(Now::default());
        let snapshot = catalog.snapshot();
        snapshot.get(&key("payments")).map(|service| callable(service))
    };
    told(&mut catalog, headless("payments"));
    assert_eq!(told(&mut catalog, named.clone()), Some(vec!["g".into()]), "never seen: as the slice says");
    assert_eq!(told(&mut catalog, pod_is("g", Some(pod_facts("1")))), Some(vec!["g".into()]));
    let ending = PodFacts { terminating: true, ..pod_facts("1") };
    assert_eq!(told(&mut catalog, pod_is("g", Some(ending))), Some(vec![]));
    assert_eq!(told(&mut catalog, pod_is("g", None)), Some(vec![]), "gone is gone");
    assert_eq!(told(&mut catalog, named.clone()), Some(vec![]), "also when the slice is read again");
    assert_eq!(told(&mut catalog, pod_is("g", Some(pod_facts("2")))), Some(vec![]), "another pod of that name");
    let follower = said(&slice("g-1"), "payments", vec![pod_of("g", "2", "192.0.2.9")]);
    assert_eq!(told(&mut catalog, follower), Some(vec!["g".into()]));
}

#[test]
fn a_pod_that_was_killed_is_out_at_once() {
    let mut catalog = Catalog::default();
    let said = said(&slice("g-1"), "payments", vec![pod_of("g", "1", "192.0.2.8")]);
    for input in [headless("payments"), said, pod_is("g", Some(pod_facts("1"))), pod_is("g", None)] {
        catalog.apply(input);
        catalog.publish(Now::default());
    }
    let snapshot = catalog.snapshot();
    let service = snapshot.get(&key("payments")).expect("payments is there");
    // Not among those that are not ready either: there are Services that publish those.
    assert_eq!((service.endpoints.len(), &service.excluded[0].why), (0, &Why::PodGone));
}

#[test]
fn labels_and_the_end_of_a_pod_are_those_of_the_pod_that_is_meant() {
    let mut labelled = pod_facts("2");
    labelled.attributes = Arc::new(rollcall_catalog::model::Attributes {
        metadata: [("app".into(), "new".into())].into(),
        ..Default::default()
    });
    labelled.finished = true;
    let old = said(&slice("g-1"), "payments", vec![pod_of("g", "1", "192.0.2.8")]);
    in_every_order(&[old, pod_is("g", Some(labelled.clone()))], |service| {
        assert_eq!((callable(service).len(), service.endpoints[0].attributes.metadata.len()), (1, 0));
    });
    let elsewhere = PodRef { namespace: Some("elsewhere".into()), uid: None };
    let other = endpoint("g", "192.0.2.8", HealthSource::Conditions { pod: Some(elsewhere) });
    in_every_order(&[said(&slice("g-1"), "payments", vec![other]), pod_is("g", Some(labelled))], |service| {
        assert_eq!((callable(service).len(), service.endpoints[0].attributes.metadata.len()), (1, 0));
    });
}

#[test]
fn slices_wait_for_their_service() {
    let mut catalog = Catalog::default();
    catalog.apply(said(&slice("db-1"), "payments", vec![pod("a", "192.0.2.70")]));
    let alone = catalog.publish(Now::default()).snapshot.expect("news");
    let service = alone.get(&key("payments")).expect("known");
    assert!(!service.exists() && service.endpoints.is_empty() && service.excluded[0].why == Why::NoService);

    catalog.apply(said(&registration("vms"), "payments", vec![vm("vm", "192.0.2.70")]));
    let registered = catalog.publish(Now::default()).snapshot.expect("news");
    let service = registered.get(&key("payments")).expect("known");
    assert_eq!((service.exists(), callable(service)), (true, vec!["vm".into()]));

    catalog.apply(headless("payments"));
    let both = catalog.publish(Now::default()).snapshot.expect("news");
    assert_eq!(callable(both.get(&key("payments")).expect("known")), ["a"]);
}

#[test]
fn a_registered_machine_has_the_families_of_its_service() {
    let four = || cluster_ip("payments", &[("http", 80)]);
    let both =
        said(&registration("vms"), "payments", vec![vm("both", "192.0.2.1 2001:db8::1"), vm("six", "2001:db8::2")]);
    let mut catalog = Catalog::default();
    [four(), both].into_iter().for_each(|input| catalog.apply(input));
    let snapshot = catalog.publish(Now::default()).snapshot.expect("news");
    let service = snapshot.get(&key("payments")).expect("known");
    assert_eq!(service.endpoints[0].endpoint.addresses, addresses("192.0.2.1"));
    assert_eq!((service.endpoints.len(), service.excluded.len()), (1, 1));
    assert!(service.excluded[0].why.to_string().contains("the Service is for IPv4"), "{}", service.excluded[0].why);
}

#[test]
fn many_endpoints_on_one_address_are_all_told_apart() {
    // As one object may say a thousand times: the same pod, the same address, other ports.
    let pods = (0..1_000_u16).map(|n| with_ports(pod("p", "192.0.2.1"), &[("http", 1_000 + n)])).collect();
    in_every_order(&[said(&slice("web"), "payments", pods)], |service| {
        assert_eq!((service.endpoints.len(), service.callable().count()), (1_000, 1_000));
        assert!(service.endpoints.iter().is_sorted_by(|a, b| a.id < b.id));
    });
    let machines = |name: &str| (0..1_000).map(|n| vm(&format!("{name}-{n}"), "192.0.2.1")).collect();
    let two =
        [said(&registration("a"), "payments", machines("a")), said(&registration("b"), "payments", machines("b"))];
    in_every_order(&two, |service| assert_eq!((service.endpoints.len(), service.excluded.len()), (1, 1_999)));
}

#[test]
fn a_service_made_again_is_news_although_callers_are_told_the_same() {
    let mut catalog = Catalog::default();
    catalog.apply(headless("payments"));
    let before = catalog.publish(Now::default()).snapshot.expect("news");
    let Input::Service(key, Some(facts)) = headless("payments") else { panic!("a Service") };
    let again = ServiceFacts { uid: "another uid".into(), ..(*facts).clone() };
    catalog.apply(Input::Service(key.clone(), Some(Arc::new(again))));
    let after = catalog.publish(Now::default()).snapshot.expect("owner references have to be written anew");
    let version = |snapshot: &rollcall_catalog::Snapshot| snapshot.get(&key).map(|service| service.version);
    assert_eq!(version(&before), version(&after));
}

#[test]
fn callers_are_told_anew_when_a_service_is_reached_from_outside_and_versions_of_others_stay() {
    let Input::Service(key, Some(facts)) = headless("payments") else { panic!("a Service") };
    let version = |exposed: Option<Exposed>| {
        let mut catalog = Catalog::default();
        let facts = ServiceFacts { exposed: exposed.map(Arc::new), ..(*facts).clone() };
        catalog.apply(Input::Service(key.clone(), Some(Arc::new(facts))));
        catalog.publish(Now::default()).snapshot.expect("news").get(&key).expect("the service").version
    };
    let at = |ip: &str| Exposed { addresses: vec![ip.parse().expect("an address")], names: Vec::new() };
    let named = Exposed { names: vec!["lb.example.com".into()], ..Exposed::default() };
    let all = [None, Some(at("192.0.2.1")), Some(at("192.0.2.2")), Some(named)].map(version);
    assert!(all.iter().enumerate().all(|(n, one)| !all[..n].contains(one)), "{all:?}");
}

#[test]
fn addresses_of_pods_and_nodes_may_not_be_claimed_by_registrations() {
    let facts = PodFacts { addresses: Some(Addresses::V4([192, 0, 2, 33].into())), ..pod_facts("1") };
    let inputs = [
        said(&registration("vms"), "payments", vec![vm("vm", "192.0.2.33"), vm("vm-2", "192.0.2.34")]),
        pod_is("g", Some(facts)),
    ];
    in_every_order(&inputs, |service| {
        assert_eq!(callable(service), ["vm-2"]);
        assert!(service.excluded[0].why.to_string().contains("a pod of this cluster"), "{}", service.excluded[0].why);
    });
}
