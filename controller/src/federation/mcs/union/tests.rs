//! Exports of several clusters, whatever their order, become one service.

use proptest::prelude::*;
use rollcall_catalog::input::Manner;

use super::*;
use crate::testing::{offered, ports as port_list};
use rollcall_catalog::model::{Health, HealthSource};

fn export(cluster: &str, created: i64, ports: &[(&str, u16)]) -> Export {
    let said = Said { families: vec![IpFamily::V4], ..Said::default() };
    Export { cluster: cluster.into(), created, ports: port_list(ports), said }
}

fn reasons(union: &Union) -> Vec<&'static str> {
    union.conflicts.keys().map(|conflict| conflict.reason()).collect()
}

#[test]
fn ports_are_united_and_the_oldest_export_wins_what_excludes_each_other() {
    let old = export("west", 10, &[("http", 80)]);
    let young = export("east", 20, &[("admin", 9000), ("http", 8080)]);
    let both = union(&[young.clone(), old.clone()]).unwrap();
    assert_eq!(both.ports, port_list(&[("http", 80), ("admin", 9000)]).to_vec());
    assert_eq!(reasons(&both), ["PortConflict"]);
    let words = &both.conflicts[&Conflict::Port];
    assert!(words.contains("port \"http\" (8080/TCP) of east and \"http\" (80/TCP) of west"), "{words}");
    // Of one second the name decides.
    let both = union(&[Export { created: 10, ..young }, old]).unwrap();
    assert_eq!(both.ports[1].number, 8080, "{both:?}");
}

#[test]
fn a_port_that_some_have_is_told_and_kept() {
    let (old, young) = (export("east", 10, &[("http", 80)]), export("west", 20, &[("http", 80), ("admin", 9000)]));
    let both = union(&[old, young]).unwrap();
    assert_eq!(both.ports, port_list(&[("http", 80), ("admin", 9000)]).to_vec());
    let words = "east has no port \"admin\" (9000/TCP); the service has the ports of all";
    assert_eq!((reasons(&both), &*both.conflicts[&Conflict::Port]), (vec!["PortConflict"], words));
}

#[test]
fn a_port_in_dispute_leads_to_no_endpoint_of_who_lost_it() {
    let old = export("east", 10, &[("http", 80)]);
    let young = export("west", 20, &[("admin", 9000), ("http", 8080)]);
    let both = union(&[old.clone(), young.clone()]).unwrap();
    let health_source = HealthSource::Imported { health: Health::Passing, suspect_since_ms: None, own: false };
    let mut endpoint = (*offered("a", "10.0.0.1", health_source)).clone();
    endpoint.ports = port_list(&[("admin", 9001), ("http", 8081)]);
    assert_eq!(both.fit(&young.ports, &endpoint), Some(port_list(&[("admin", 9001)])));
    assert_eq!(both.fit(&old.ports, &endpoint), Some(port_list(&[("http", 8081)])));
    endpoint.ports = port_list(&[("http", 8081)]);
    assert_eq!(both.fit(&young.ports, &endpoint), None);
}

#[test]
fn all_else_is_the_winners_and_every_difference_has_its_reason() {
    let winner = export("east", 1, &[("http", 80)]);
    let other = |said: Said| union(&[winner.clone(), Export { said, ..export("west", 2, &[("http", 80)]) }]).unwrap();
    let with = |manner: Manner| Said { manner, ..winner.said.clone() };
    for (said, reason) in [
        (Said { headless: true, ..winner.said.clone() }, "TypeConflict"),
        (with(Manner { affinity_s: Some(9), ..Manner::default() }), "SessionAffinityConflict"),
        (with(Manner { internal_local: true, ..Manner::default() }), "InternalTrafficPolicyConflict"),
        (with(Manner { traffic: Some("PreferClose".into()), ..Manner::default() }), "TrafficDistributionConflict"),
        (Said { families: vec![IpFamily::V6], ..winner.said.clone() }, "IPFamilyConflict"),
    ] {
        let both = other(said);
        assert_eq!(reasons(&both), [reason]);
        assert_eq!(both.said, winner.said);
    }
    assert_eq!(reasons(&other(winner.said.clone())), [""; 0]);
    let dual = Said { families: vec![IpFamily::V6, IpFamily::V4], ..winner.said.clone() };
    assert_eq!(reasons(&other(dual)), [""; 0], "all can be reached by IPv4");
}

/// Since when, ports, and whether it is headless, of IPv6 and of local traffic.
type Drawn = (i64, Vec<(&'static str, u16)>, (bool, bool, bool));

fn arbitrary() -> impl Strategy<Value = Vec<Export>> {
    let port = (prop::sample::select(vec!["", "http", "grpc"]), 80_u16..83);
    let one = (0_i64..4, prop::collection::vec(port, 0..3), any::<(bool, bool, bool)>());
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let export = |(at, one): (usize, Drawn)| {
            let (created, ports, (headless, v6, local)) = one;
            let families = if v6 { vec![IpFamily::V6] } else { vec![IpFamily::V4] };
            let manner = Manner { internal_local: local, ..Manner::default() };
            let said = Said { headless, families, manner, ..Said::default() };
            // A Service has no two ports of one name or number.
            let mut own: Vec<(&str, u16)> = Vec::new();
            for port in ports {
                if own.iter().all(|(name, number)| *name != port.0 && *number != port.1) {
                    own.push(port);
                }
            }
            Export { cluster: format!("c{at}").into(), created, ports: port_list(&own), said }
        };
        all.into_iter().enumerate().map(export).collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_arrival_and_repetition_change_nothing(exports in arbitrary(), turn in 0_usize..5) {
        let mut turned = exports.clone();
        turned.rotate_left(turn % exports.len());
        prop_assert_eq!(union(&exports), union(&turned));
        turned.reverse();
        prop_assert_eq!(union(&exports), union(&turned));
        // A cluster that is heard by two streams says the same twice.
        turned.extend(exports.clone());
        prop_assert_eq!(union(&exports), union(&turned));
    }

    #[test]
    fn clocks_that_all_go_wrong_alike_change_nothing(exports in arbitrary(), skew_s in -300_i64..300) {
        let skewed: Vec<_> =
            exports.iter().map(|one| Export { created: one.created + skew_s, ..one.clone() }).collect();
        prop_assert_eq!(union(&exports), union(&skewed));
    }

    /// Each by up to five minutes, and each otherwise: who wins may be another, but who exports, and what nobody disputes, is not.
    #[test]
    fn clocks_that_differ_between_clusters_change_no_more_than_who_wins(
        exports in arbitrary(),
        skews_s in proptest::collection::vec(-300_i64..=300, 8),
    ) {
        let skewed: Vec<_> = exports
            .iter()
            .zip(skews_s.iter().cycle())
            .map(|(one, skew_s)| Export { created: one.created + skew_s, ..one.clone() })
            .collect();
        let (before, after) = (union(&exports).unwrap(), union(&skewed).unwrap());
        prop_assert_eq!(&before.clusters, &after.clusters);
        prop_assert_eq!(before.conflicts.contains_key(&Conflict::Port), after.conflicts.contains_key(&Conflict::Port));
        if !before.conflicts.contains_key(&Conflict::Port) {
            let sorted = |union: &Union| {
                let mut ports = union.ports.clone();
                ports.sort_unstable();
                ports
            };
            prop_assert_eq!(sorted(&before), sorted(&after));
        }
    }

    #[test]
    fn no_two_ports_have_one_name_or_one_number_and_the_winner_keeps_all_of_its_own(exports in arbitrary()) {
        let both = union(&exports).unwrap();
        for (at, port) in both.ports.iter().enumerate() {
            for other in &both.ports[..at] {
                prop_assert!(port.name != other.name && (port.protocol, port.number) != (other.protocol, other.number));
            }
        }
        let winner = exports.iter().min_by_key(|one| (one.created, one.cluster.clone())).unwrap();
        prop_assert!(winner.ports.iter().all(|port| both.ports.contains(port)));
        prop_assert_eq!(both.said.headless, winner.said.headless);
    }

    #[test]
    fn what_all_agree_about_is_no_conflict(exports in arbitrary()) {
        let first = exports[0].clone();
        let same: Vec<_> = exports
            .iter()
            .map(|one| Export { ports: first.ports.clone(), said: first.said.clone(), ..one.clone() })
            .collect();
        prop_assert!(union(&same).unwrap().conflicts.is_empty());
    }
}

#[test]
fn a_port_without_a_name_gets_one_that_no_other_has() {
    let unnamed = export("east", 1, &[("", 80)]);
    let named = export("west", 2, &[("port-80", 81), ("http", 82)]);
    let both = union(&[unnamed, named]).unwrap();
    let names: Vec<_> = both.ports.iter().map(|port| both.called(port).to_string()).collect();
    assert_eq!(names, ["port-80-x", "port-80", "http"]);
}
