//! What holds for every order and repetition of inputs.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rollcall_catalog::bucket;
use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::digest::Version;
use rollcall_catalog::input::{Input, PodFacts};
use rollcall_catalog::model::{Endpoint, Health, ServiceKey};
use rollcall_catalog::snapshot::Changes;
use support::*;

const SERVICES: [&str; 3] = ["payments", "orders", "stock"];

/// What each origin, pod and verdict says in the end: the set that a merge is a function of.
fn statements() -> impl Strategy<Value = Vec<Input>> {
    let endpoints = prop::collection::btree_map(0..12_u8, (0..20_u8, any::<bool>()), 0..8);
    let contribution = (0..5_u8, any::<bool>(), 0..3_usize, 0..3_i64, endpoints).prop_map(
        |(origin, own, service, created, endpoints)| {
            let origin = if own { slice(&format!("slice-{origin}")) } else { registration(&format!("reg-{origin}")) };
            let make = |(name, (ip, checks)): (u8, (u8, bool))| -> Endpoint {
                let ip = format!("198.51.100.{ip}");
                match (own, checks) {
                    (true, _) => pod(&format!("pod-{name}"), &ip),
                    (false, true) => checked(&format!("vm-{name}"), &ip),
                    (false, false) => vm(&format!("vm-{name}"), &ip),
                }
            };
            let mut said = contribution(&origin, SERVICES[service], endpoints.into_iter().map(make).collect());
            said.created = created;
            Input::Contribution(said)
        },
    );
    let pod = (0..12_u8, any::<bool>()).prop_map(|(name, terminating)| {
        let facts = PodFacts { attributes: Arc::default(), terminating, finished: false };
        Input::Pod("shop".into(), format!("pod-{name}").into(), Some(Arc::new(facts)))
    });
    let service = (0..3_usize).prop_map(|service| cluster_ip(SERVICES[service], &[("http", 80)]));
    let service_cidr = (0..2_u8, 0..6_u8).prop_map(|(name, block)| {
        let block = format!("198.51.100.{}/30", block * 4).parse().expect("a block");
        Input::ServiceCidr(format!("services-{name}").into(), Some([block].into()))
    });
    let any = prop_oneof![4 => contribution, 2 => pod, 1 => service, 1 => service_cidr];
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
            other => format!("{other:?}"),
        };
        last.insert(subject, input);
    }
    last.into_values().collect()
}

fn verdicts() -> impl Strategy<Value = Vec<Input>> {
    let verdict = (0..5_u8, 0..12_u8, any::<bool>()).prop_map(|(origin, name, passing)| {
        let health = if passing { Health::Passing } else { Health::Critical };
        verdict(&registration(&format!("reg-{origin}")), &format!("vm-{name}"), health)
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
    catalog.publish();
    catalog
}

proptest! {
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
            one_by_one.publish();
        }
        prop_assert_eq!(versions(&at_once), versions(&one_by_one));
        for input in all {
            one_by_one.apply(input);
        }
        prop_assert!(one_by_one.publish().is_none(), "saying the same again is no change");
    }

    #[test]
    fn a_detour_leaves_no_trace(detour in statements(), inputs in statements()) {
        let mut catalog = applied(detour.clone());
        for input in &detour {
            catalog.apply(match input.clone() {
                Input::Contribution(said) => Input::Gone(said.origin),
                Input::Pod(namespace, name, _) => Input::Pod(namespace, name, None),
                Input::Service(key, _) => Input::Service(key, None),
                Input::ServiceCidr(name, _) => Input::ServiceCidr(name, None),
                other => other,
            });
        }
        catalog.publish();
        prop_assert!(catalog.snapshot().is_empty());
        prop_assert_eq!(catalog.snapshot().totals(), Default::default());
        for input in inputs.clone() {
            catalog.apply(input);
        }
        catalog.publish();
        prop_assert_eq!(versions(&catalog), versions(&applied(inputs)));
    }

    #[test]
    fn no_address_and_port_is_given_twice_and_no_identity(inputs in statements()) {
        for service in applied(inputs).snapshot().services() {
            let mut sockets: Vec<_> = service.endpoints.iter().flat_map(|member| member.endpoint.addresses.iter()).collect();
            let count = sockets.len();
            sockets.sort();
            sockets.dedup();
            prop_assert_eq!(sockets.len(), count);
            prop_assert!(service.endpoints.is_sorted_by(|a, b| a.id < b.id));
            let runs: usize = service.bucket_runs().map(|run| run.len()).sum();
            prop_assert_eq!(runs, service.endpoints.len());
            prop_assert_eq!(service.buckets(), bucket::count(service.endpoints.len()));
        }
    }

    #[test]
    fn the_ring_names_every_service_that_changed(first in statements(), second in statements()) {
        let mut catalog = applied(first);
        let before = catalog.snapshot();
        for input in second {
            catalog.apply(input);
        }
        catalog.publish();
        let now = catalog.snapshot();
        let old: BTreeMap<_, _> = before.services().map(|service| (service.key.clone(), service.story)).collect();
        let mut differing: Vec<_> = now.services().filter(|service| old.get(&service.key) != Some(&service.story)).map(|service| service.key.clone()).collect();
        differing.extend(old.into_keys().filter(|key| now.get(key).is_none()));
        differing.sort();
        prop_assert_eq!(now.changes_since(before.revision()), Changes::Services(differing));
    }
}
