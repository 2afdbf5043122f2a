//! What holds for every order and repetition of inputs.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rollcall_catalog::bucket;
use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::digest::Version;
use rollcall_catalog::input::{Input, NodeFacts, OriginKind, PodFacts};
use rollcall_catalog::model::{Conditions, Endpoint, Health, HealthSource, ServiceKey};
use rollcall_catalog::service::Why;
use rollcall_catalog::snapshot::Changes;
use rollcall_catalog::time::Now;
use support::*;

const SERVICES: [&str; 3] = ["payments", "orders", "stock"];

/// Sets of ports that overlap.
const PORTS: [&[(&str, u16)]; 4] = [&[("http", 8080)], &[("http", 8081)], &[("http", 8080), ("metrics", 9090)], &[]];

fn make(own: bool, name: u8, ip: u8, flag: bool) -> Endpoint {
    let ip = match ip % 5 {
        0 => format!("2001:db8::{ip}"),
        1 => format!("198.51.100.{ip} 2001:db8::{}", ip - 1),
        _ => format!("198.51.100.{ip}"),
    };
    match (own, flag) {
        (true, ready) => {
            let mut endpoint = match name % 3 {
                0 => pod(&format!("pod-{name}"), &ip),
                1 => pod_of(&format!("pod-{name}"), if ready { "1" } else { "2" }, &ip),
                _ => address(ip.split(' ').next().unwrap_or_default()),
            };
            endpoint.conditions = if ready { Conditions::READY } else { Conditions::NOT_READY };
            endpoint.node = Some(format!("node-{}", name % 4).into());
            endpoint
        }
        (false, true) => checked(&format!("vm-{name}"), &ip),
        (false, false) => vm(&format!("vm-{name}"), &ip),
    }
}

/// What each origin, pod and verdict says in the end: the set that a merge is a function of.
fn statements() -> impl Strategy<Value = Vec<Input>> {
    let endpoints = prop::collection::vec((0..12_u8, 0..20_u8, any::<bool>(), 0..4_usize), 0..8);
    let contribution = (0..5_u8, any::<bool>(), 0..3_usize, 0..3_i64, endpoints).prop_map(
        |(origin, own, service, created, endpoints)| {
            let origin = if own { slice(&format!("slice-{origin}")) } else { registration(&format!("reg-{origin}")) };
            let mut named = BTreeMap::new();
            let mut list = Vec::new();
            for (name, ip, flag, ports) in endpoints {
                let mut made = make(own, name, ip, flag);
                made.ports = support::ports(PORTS[ports]);
                // A registration has each name once; a slice may name a pod as often as it likes.
                if own || named.insert(name, ()).is_none() {
                    list.push(made);
                }
            }
            let mut said = contribution(&origin, SERVICES[service], list);
            said.created = created;
            Input::Contribution(said)
        },
    );
    let pod = (0..12_u8, any::<bool>()).prop_map(|(name, terminating)| {
        let facts = PodFacts { terminating, ..pod_facts("1") };
        Input::Pod("shop".into(), format!("pod-{name}").into(), Some(Arc::new(facts)))
    });
    let service = (0..3_usize, any::<bool>()).prop_map(|(service, open)| match open {
        true => headless(SERVICES[service]),
        false => cluster_ip(SERVICES[service], &[("http", 80)]),
    });
    let node = (0..4_u8, 0..3_u8, 0..6_u8).prop_map(|(name, zone, block)| {
        let facts = NodeFacts {
            zone: (zone > 0).then(|| format!("zone-{zone}").into()),
            region: None,
            addresses: [format!("198.51.100.{}", block * 3).parse().expect("an address")].into(),
            reached_at: Box::default(),
            pod_cidrs: vec![format!("198.51.100.{}/31", block * 2).parse().expect("a block")],
            maintenance: None,
        };
        Input::Node(format!("node-{name}").into(), Some(Arc::new(facts)))
    });
    let service_cidr = (0..2_u8, 0..6_u8).prop_map(|(name, block)| {
        let block = format!("198.51.100.{}/30", block * 4).parse().expect("a block");
        Input::ServiceCidr(format!("services-{name}").into(), Some([block].into()))
    });
    let any = prop_oneof![6 => contribution, 2 => pod, 3 => service, 1 => service_cidr, 1 => node];
    prop::collection::vec(any, 0..24).prop_map(last_of_each)
}

fn last_of_each(inputs: Vec<Input>) -> Vec<Input> {
    let mut last = BTreeMap::new();
    for input in inputs {
        let subject = match &input {
            Input::Contribution(said) => format!("{}/{}", said.origin.kind, said.origin.name),
            Input::Pod(_, name, _) => format!("pod {name}"),
            Input::Service(key, _) => format!("service {key}"),
            Input::ServiceCidr(name, _) => format!("service cidr {name}"),
            Input::Node(name, _) => format!("node {name}"),
            other => format!("{other:?}"),
        };
        last.insert(subject, input);
    }
    last.into_values().collect()
}

fn gone(input: &Input) -> Input {
    match input.clone() {
        Input::Contribution(said) => Input::Gone(said.origin),
        Input::Pod(namespace, name, _) => Input::Pod(namespace, name, None),
        Input::Service(key, _) => Input::Service(key, None),
        Input::ServiceCidr(name, _) => Input::ServiceCidr(name, None),
        Input::Node(name, _) => Input::Node(name, None),
        other => other,
    }
}

fn verdicts() -> impl Strategy<Value = Vec<Input>> {
    let verdict = (0..5_u8, 0..12_u8, 0..20_u8, any::<bool>()).prop_map(|(origin, name, ip, passing)| {
        let health = if passing { Health::Passing } else { Health::Critical };
        verdict(&registration(&format!("reg-{origin}")), &format!("vm-{name}"), &format!("198.51.100.{ip}"), health)
    });
    prop::collection::vec(verdict, 0..6)
}

fn versions(catalog: &Catalog) -> BTreeMap<ServiceKey, (Version, Version)> {
    catalog.snapshot().services().map(|service| (service.key.clone(), (service.version, service.story))).collect()
}

fn applied(inputs: impl IntoIterator<Item = Input>) -> Catalog {
    let mut catalog = Catalog::default();
    for input in inputs {
        catalog.apply(input);
    }
    catalog.publish(Now::default());
    catalog
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_order_of_arrival_does_not_matter(order in statements().prop_flat_map(|inputs| (Just(inputs.clone()), Just(inputs).prop_shuffle()))) {
        prop_assert_eq!(versions(&applied(order.0)), versions(&applied(order.1)));
    }

    #[test]
    fn batches_and_repetition_do_not_matter(inputs in statements(), verdicts in verdicts()) {
        let all: Vec<_> = inputs.into_iter().chain(verdicts).collect();
        let at_once = applied(all.clone());
        let mut one_by_one = Catalog::default();
        for input in all.iter().chain(&all) {
            one_by_one.apply(input.clone());
            one_by_one.publish(Now::default());
        }
        prop_assert_eq!(versions(&at_once), versions(&one_by_one));
        for input in all {
            one_by_one.apply(input);
        }
        prop_assert!(one_by_one.publish(Now::default()).snapshot.is_none(), "saying the same again is no change");
    }

    #[test]
    fn a_detour_leaves_no_trace(detour in statements(), inputs in statements()) {
        // Pods that were seen and are gone are remembered: those of the detour have no uid to be remembered by.
        let other = |input: &Input| match input.clone() {
            Input::Pod(namespace, name, Some(_)) => Input::Pod(namespace, name, Some(Arc::new(pod_facts("")))),
            input => input,
        };
        let detour: Vec<_> = detour.iter().map(other).collect();
        let mut catalog = applied(detour.clone());
        for input in &detour {
            catalog.apply(gone(input));
        }
        catalog.publish(Now::default());
        prop_assert!(catalog.snapshot().is_empty());
        prop_assert_eq!(catalog.snapshot().totals(), Default::default());
        for input in inputs.clone() {
            catalog.apply(input);
        }
        catalog.publish(Now::default());
        prop_assert_eq!(versions(&catalog), versions(&applied(inputs)));
    }

    #[test]
    fn what_is_kept_of_earlier_merges_changes_nothing(inputs in statements(), more in statements(), verdicts in verdicts()) {
        let (mut kept, mut anew) = (Catalog::with_drafts_above(0), Catalog::with_drafts_above(usize::MAX));
        let all = inputs.into_iter().chain(verdicts).chain(more.clone()).chain(more.iter().map(gone));
        for (step, input) in all.enumerate() {
            kept.apply(input.clone());
            anew.apply(input.clone());
            kept.publish(Now::default());
            anew.publish(Now::default());
            prop_assert_eq!(versions(&kept), versions(&anew), "at step {}: {:?}", step, input);
            prop_assert_eq!(kept.snapshot().totals(), anew.snapshot().totals());
        }
    }

    #[test]
    fn no_address_and_port_is_given_to_two_origins_unless_both_are_slices(inputs in statements(), verdicts in verdicts()) {
        for service in applied(inputs.into_iter().chain(verdicts)).snapshot().services() {
            let mut sockets: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for member in &service.endpoints {
                for ip in member.endpoint.addresses.iter() {
                    for port in member.endpoint.ports.iter() {
                        sockets.entry((ip, port.number)).or_default().push(member.origin.kind);
                    }
                }
            }
            for (socket, kinds) in sockets {
                let alone = kinds.len() == 1 || kinds.iter().all(|kind| *kind == OriginKind::EndpointSlice);
                prop_assert!(alone, "{:?} belongs to {:?}", socket, kinds);
            }
            prop_assert!(service.endpoints.iter().is_sorted_by(|a, b| a.id < b.id));
            let sum: usize = service.endpoints.buckets().map(|bucket| bucket.members.len()).sum();
            prop_assert_eq!(sum, service.endpoints.len());
            prop_assert_eq!(service.buckets(), bucket::count(service.endpoints.len()));
        }
    }

    #[test]
    fn nobody_callable_is_kept_out_by_one_who_is_not(inputs in statements(), verdicts in verdicts()) {
        for service in applied(inputs.into_iter().chain(verdicts)).snapshot().services() {
            for excluded in service.excluded.iter() {
                let Why::Claimed { address, winner, name } = &excluded.why else { continue };
                let wins = service.endpoints.iter().any(|member| {
                    member.origin == *winner && *member.endpoint.name() == **name && member.endpoint.addresses.contains(*address)
                });
                prop_assert!(wins, "{:?} is not in the service", excluded.why);
                let unchecked = excluded.endpoint.as_ref().is_some_and(|said| said.health_source == HealthSource::Unchecked);
                let passing = service.endpoints.iter().any(|member| member.origin == *winner && *member.endpoint.name() == **name && member.conditions.ready);
                prop_assert!(!unchecked || passing, "a callable endpoint lost to {} {}", winner, name);
            }
        }
    }

    #[test]
    fn the_ring_names_every_service_that_changed(first in statements(), second in statements()) {
        let mut catalog = applied(first);
        let before = catalog.snapshot();
        for input in second {
            catalog.apply(input);
        }
        catalog.publish(Now::default());
        let now = catalog.snapshot();
        let old: BTreeMap<_, _> = before.services().map(|service| (service.key.clone(), service.story)).collect();
        let mut differing: Vec<_> = now.services().filter(|service| old.get(&service.key) != Some(&service.story)).map(|service| service.key.clone()).collect();
        differing.extend(old.into_keys().filter(|key| now.get(key).is_none()));
        differing.sort();
        prop_assert_eq!(now.changes_since(before.revision()), Changes::Services(differing));
    }
}
