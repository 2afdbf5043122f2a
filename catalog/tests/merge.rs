//! The merge, rule by rule.

mod support;

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::evict::TimeToEvict;
use rollcall_catalog::guard::{Cidr, Guard, Refusal, Reserved};
use rollcall_catalog::input::{CheckVerdict, Input, NodeFacts, PodFacts, ServiceKind, Verdict};
use rollcall_catalog::model::{Conditions, Health, HealthSource};
use rollcall_catalog::service::{Service, Why};
use rollcall_catalog::snapshot::Snapshot;
use rollcall_catalog::time::Now;
use support::*;

fn merged(inputs: impl IntoIterator<Item = Input>) -> Arc<Service> {
    let mut catalog = Catalog::default();
    for input in [headless("payments")].into_iter().chain(inputs) {
        catalog.apply(input);
    }
    catalog.publish(Now::default());
    Arc::clone(catalog.snapshot().get(&key("payments")).expect("payments is there"))
}

fn names(service: &Service) -> Vec<String> {
    let mut names: Vec<_> = service.callable().map(|member| member.endpoint.name().to_string()).collect();
    names.sort();
    names
}

#[test]
fn pods_and_registered_endpoints_appear_together() {
    let service = merged([
        said(&slice("payments-x7"), "payments", vec![pod("a", "10.1.0.4")]),
        said(&registration("vms"), "payments", vec![vm("vm-1", "198.51.100.11")]),
    ]);
    assert_eq!(names(&service), ["a", "vm-1"]);
}

#[test]
fn the_same_address_belongs_to_the_pod_and_the_loser_is_kept_for_explain() {
    let service = merged([
        said(&registration("vms"), "payments", vec![vm("vm-1", "10.1.0.4")]),
        said(&slice("payments-x7"), "payments", vec![pod("a", "10.1.0.4")]),
    ]);
    assert_eq!(names(&service), ["a"]);
    assert_eq!(
        service.excluded[0].why.to_string(),
        "address 10.1.0.4 is claimed by EndpointSlice/payments-x7 (endpoint a) already; give it up in one of the two"
    );
}

#[test]
fn of_two_registrations_that_claim_one_address_the_older_wins() {
    let (mut old, mut new) = (
        contribution(&registration("z-old"), "payments", vec![vm("vm", "198.51.100.11")]),
        contribution(&registration("a-new"), "payments", vec![vm("vm", "198.51.100.11")]),
    );
    (old.created, new.created) = (100, 200);
    let service = merged([Input::Contribution(new), Input::Contribution(old)]);
    assert_eq!(service.endpoints[0].origin.to_string(), "ServiceRegistration/z-old");
    assert!(matches!(&service.excluded[0].why, Why::Claimed { winner, .. } if &*winner.name == "z-old"));
}

#[test]
fn one_machine_may_run_two_instances_on_different_ports() {
    let mut second = vm("vm-2", "198.51.100.11");
    second.ports = ports(&[("http", 8081)]);
    let service = merged([said(&registration("vms"), "payments", vec![vm("vm-1", "198.51.100.11"), second])]);
    assert_eq!(names(&service), ["vm-1", "vm-2"]);
}

#[test]
fn the_two_families_of_a_pod_are_one_endpoint() {
    let service = merged([
        said(&slice("payments-v4"), "payments", vec![pod("a", "10.1.0.4")]),
        said(&slice("payments-v6"), "payments", vec![pod("a", "2001:db8::4")]),
    ]);
    assert_eq!(service.endpoints.len(), 1);
    assert_eq!(service.endpoints[0].endpoint.addresses, addresses("10.1.0.4 2001:db8::4"));
}

#[test]
fn a_pod_in_two_slices_with_different_addresses_is_two_endpoints_until_one_is_gone() {
    let both = [
        said(&slice("payments-a"), "payments", vec![pod("a", "10.1.0.4")]),
        said(&slice("payments-b"), "payments", vec![pod("a", "10.1.0.5")]),
    ];
    let service = merged(both.clone());
    assert_eq!(service.endpoints.len(), 2);
    assert_ne!(service.endpoints[0].id, service.endpoints[1].id);
    assert_eq!(merged(both.into_iter().rev()).version, service.version);
}

#[test]
fn a_verdict_decides_and_until_the_first_the_endpoint_is_unknown() {
    let vms = registration("vms");
    let registered = said(&vms, "payments", vec![checked("vm-1", "198.51.100.11"), vm("vm-2", "198.51.100.12")]);
    assert_eq!(names(&merged([registered.clone()])), ["vm-2"]);
    let passing = verdict(&vms, "vm-1", "198.51.100.11", Health::Passing);
    assert_eq!(names(&merged([registered.clone(), passing])), ["vm-1", "vm-2"]);
    let service = merged([registered, verdict(&vms, "vm-1", "198.51.100.11", Health::Critical)]);
    assert_eq!((names(&service), service.counts().critical), (vec!["vm-2".to_owned()], 1));
}

#[test]
fn a_verdict_about_another_address_is_about_another_machine() {
    let vms = registration("vms");
    let at = |ips| said(&vms, "payments", vec![checked("vm-1", ips)]);
    let passing = verdict(&vms, "vm-1", "198.51.100.11", Health::Passing);
    assert_eq!(names(&merged([at("198.51.100.11"), passing.clone()])), ["vm-1"]);
    assert!(names(&merged([at("198.51.100.12"), passing.clone()])).is_empty());
    assert!(names(&merged([at("198.51.100.11 2001:db8::11"), passing])).is_empty(), "the second is not judged");
}

#[test]
fn what_each_check_says_is_told_also_in_maintenance() {
    let vms = registration("vms");
    let check = CheckVerdict {
        name: "web".into(),
        health: Health::Critical,
        since_ms: 7,
        reason: "refused".into(),
        on_machine: false,
    };
    let Input::Verdict(_, _, Some(verdict)) = verdict(&vms, "vm-1", "198.51.100.11", Health::Critical) else {
        panic!("a verdict")
    };
    let verdict = |checks: Vec<CheckVerdict>| {
        Input::Verdict(Arc::clone(&vms), "vm-1".into(), Some(Verdict { checks: checks.into(), ..verdict.clone() }))
    };
    for source in [HealthSource::Verdict, HealthSource::Maintenance("upgrade".into())] {
        let registered = said(&vms, "payments", vec![endpoint("vm-1", "198.51.100.11", source)]);
        let without = merged([registered.clone(), verdict(vec![])]);
        let with = merged([registered, verdict(vec![check.clone()])]);
        assert_eq!(&with.endpoints[0].checks[..], std::slice::from_ref(&check));
        assert!(with.story != without.story && with.version == without.version);
    }
}

#[test]
fn maintenance_takes_out_for_everybody() {
    let out = endpoint("vm-1", "198.51.100.11", HealthSource::Maintenance("kernel upgrade".into()));
    let service = merged([said(&registration("vms"), "payments", vec![out])]);
    let member = &service.endpoints[0];
    assert_eq!(
        (member.health, member.conditions.ready, member.conditions.serving),
        (Health::Maintenance, false, false)
    );
    assert_eq!(&*member.reason, "kernel upgrade");
}

#[test]
fn a_pod_that_is_being_deleted_leaves_before_its_slice_says_so() {
    let gone = PodFacts { terminating: true, ..pod_facts("1") };
    let service = merged([
        said(&slice("payments-x7"), "payments", vec![pod("a", "10.1.0.4"), pod("b", "10.1.0.5")]),
        Input::Pod("shop".into(), "a".into(), Some(Arc::new(gone))),
    ]);
    assert_eq!(names(&service), ["b"]);
    assert!(
        service
            .endpoints
            .iter()
            .any(|member| member.conditions == Conditions { ready: false, serving: true, terminating: true })
    );
}

#[test]
fn a_node_gives_its_zone_and_guards_its_pod_addresses() {
    let mut on_node = pod("a", "10.244.1.4");
    on_node.node = Some("node-a".into());
    let node = NodeFacts {
        zone: Some("zone-a".into()),
        region: Some("region-1".into()),
        addresses: ["192.0.2.7".parse().expect("an address")].into(),
        reached_at: Box::default(),
        pod_cidrs: vec!["10.244.1.0/24".parse().expect("a block")],
        maintenance: None,
    };
    let service = merged([
        said(&slice("payments-x7"), "payments", vec![on_node]),
        said(&registration("vms"), "payments", vec![vm("vm-1", "10.244.1.9")]),
        Input::Node("node-a".into(), Some(Arc::new(node))),
    ]);
    assert_eq!(service.endpoints[0].zone.as_deref(), Some("zone-a"));
    assert!(
        matches!(&service.excluded[0].why, Why::Refused(_, Refusal::Reserved(Reserved { owner, .. })) if &**owner == "the pods of node node-a")
    );
}

#[test]
fn a_service_cidr_guards_its_addresses_until_it_is_gone() {
    let mut catalog = Catalog::default();
    let blocks: Arc<[Cidr]> = ["10.96.0.0/16", "fd00:96::/112"].map(|block| block.parse().expect("a block")).into();
    catalog.apply(said(&registration("vms"), "payments", vec![vm("vm-1", "10.96.0.9")]));
    catalog.apply(Input::ServiceCidr("kubernetes".into(), Some(blocks)));
    let guarded = catalog.publish(Now::default()).snapshot.expect("news");
    let why = &guarded.get(&key("payments")).expect("payments is there").excluded[0].why;
    assert!(
        why.to_string()
            .contains("in 10.96.0.0/16, which belongs to the Services of this cluster (ServiceCIDR kubernetes)"),
        "{why}"
    );
    catalog.apply(Input::ServiceCidr("kubernetes".into(), None));
    let free = catalog.publish(Now::default()).snapshot.expect("news");
    assert_eq!(names(free.get(&key("payments")).expect("payments is there")), ["vm-1"]);
}

#[test]
fn a_refused_address_keeps_its_endpoint_out_and_the_others_stay() {
    let service = merged([
        Input::Guard(Guard::default()),
        said(&registration("vms"), "payments", vec![vm("vm-1", "169.254.1.2"), vm("vm-2", "198.51.100.12")]),
    ]);
    assert_eq!(names(&service), ["vm-2"]);
    assert_eq!(
        service.excluded[0].why.to_string(),
        "address 169.254.1.2 is link-local; give one that other nodes can reach"
    );
}

#[test]
fn a_port_that_the_service_does_not_have_is_left_out_and_with_none_left_the_endpoint() {
    let mut two = vm("vm-1", "198.51.100.11");
    two.ports = ports(&[("http", 8080), ("metrics", 9090)]);
    let mut none = vm("vm-2", "198.51.100.12");
    none.ports = ports(&[("grpc", 50051)]);
    let service =
        merged([cluster_ip("payments", &[("http", 80)]), said(&registration("vms"), "payments", vec![two, none])]);
    assert_eq!(names(&service), ["vm-1"]);
    assert_eq!(service.endpoints[0].endpoint.ports, ports(&[("http", 8080)]));
    assert!(service.excluded[0].why.to_string().contains("no port named \"grpc\""));
}

#[test]
fn what_lasts_of_the_lateness_of_probes_is_in_the_time_to_evict_and_in_no_version() {
    let mut checks = contribution(&registration("vms"), "payments", vec![checked("vm-1", "198.51.100.11")]);
    checks.time_to_evict = Some(TimeToEvict { detection: Duration::from_secs(2), ..TimeToEvict::default() });
    let mut catalog = Catalog::default();
    catalog.apply(Input::Contribution(checks));
    catalog.apply(said(&registration("others"), "orders", vec![vm("vm-2", "198.51.100.12")]));
    let before = catalog.publish(Now::default()).snapshot.expect("the first");
    catalog.apply(Input::Lateness(Duration::from_secs(5)));
    let after = catalog.publish(Now::default()).snapshot.expect("news");
    let of = |snapshot: &Snapshot, name| {
        let service = snapshot.get(&key(name)).expect("it is there");
        (service.time_to_evict().map(|time| time.total().as_secs()), service.version)
    };
    assert_eq!(of(&before, "payments").0, Some(2));
    assert_eq!(of(&after, "payments"), (Some(7), of(&before, "payments").1));
    assert_eq!(of(&after, "orders"), (None, of(&before, "orders").1));
    catalog.apply(Input::Lateness(Duration::from_secs(5)));
    assert!(catalog.publish(Now::default()).snapshot.is_none(), "the same is no news");
}

#[test]
fn an_alias_that_is_no_name_is_kept_out_with_its_reason() {
    let alias = |target: &str| {
        let facts = facts_of(ServiceKind::ExternalName(target.into()));
        let mut catalog = Catalog::default();
        catalog.apply(Input::Service(key("elsewhere"), Some(Arc::new(facts))));
        let snapshot = catalog.publish(Now::default()).snapshot.expect("the first");
        let service = Arc::clone(snapshot.get(&key("elsewhere")).expect("it is there"));
        service.excluded.iter().map(|out| format!("{}: {}", out.origin, out.why)).collect::<Vec<_>>()
    };
    assert_eq!(alias("db.example.net"), [""; 0]);
    let long = alias(&format!("{}.example.net", "a".repeat(64)));
    assert!(long[0].starts_with("Service/elsewhere: spec.externalName has a label of 64 characters"), "{long:?}");
    assert_eq!(alias("").len(), 1);
}
