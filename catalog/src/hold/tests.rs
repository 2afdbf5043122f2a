//! Tests: what a merge needs history or a clock for.

mod imports;
mod machines;

use std::sync::Arc;
use std::time::Duration;

use crate::Catalog;
use crate::input::{
    Contribution, Families, Input, Origin, OriginKind, PodFacts, ServiceFacts, ServiceKind, TrafficDistribution,
};
use crate::model::{Addresses, Conditions, Description, Endpoint, HealthSource, PodRef, ServiceKey, Uid};
use crate::policy::{PolicyKey, RemovalGuard, Scope, Staleness, Statement, WhenStale};
use crate::source::{SourceId, SourceKind};
use crate::time::Now;

fn key() -> ServiceKey {
    ServiceKey::new("shop", "web")
}

fn service() -> Input {
    let facts = ServiceFacts {
        uid: "uid".into(),
        kind: ServiceKind::Headless,
        ports: [].into(),
        publish_not_ready: false,
        traffic: TrafficDistribution::Any,
        families: Families { v4: true, v6: true },
        topology_auto: false,
        labels: Arc::default(),
        manner: None,
        exposed: None,
    };
    Input::Service(key(), Some(Arc::new(facts)))
}

/// A slice of these pods; those of even number are in zone a, the others in zone b.
fn slice(ready: &[u8]) -> Input {
    let pod = |n: &u8| {
        let pod = PodRef { namespace: None, uid: Uid::of(&format!("uid-{n}")) };
        Arc::new(Endpoint {
            addresses: Addresses::V4([192, 0, 2, *n].into()),
            described: Arc::new(Description {
                named: Some(format!("pod-{n}").into()),
                ports: [].into(),
                hostname: None,
                zone: Some(if n.is_multiple_of(2) { "zone-a" } else { "zone-b" }.into()),
                region: None,
                node: None,
                weight: 1,
                conditions: Conditions::READY,
                health_source: HealthSource::Conditions { pod: Some(pod) },
                attributes: Arc::default(),
            }),
        })
    };
    Input::Contribution(Contribution {
        endpoints: ready.iter().map(pod).collect(),
        ..Contribution::new(Arc::new(Origin::here(OriginKind::EndpointSlice, "shop", "web-1")), key())
    })
}

fn pod_is(n: u8, there: bool) -> Input {
    let facts = PodFacts {
        uid: Uid::of(&format!("uid-{n}")),
        addresses: None,
        attributes: Arc::default(),
        terminating: false,
        finished: false,
    };
    Input::Pod("shop".into(), format!("pod-{n}").into(), there.then(|| Arc::new(facts)))
}

fn policy(statement: Statement) -> Input {
    let statement = Statement { service: Some("web".into()), ..statement };
    Input::Policy(PolicyKey::new("shop", "web"), Some(Arc::new(statement)))
}

const GUARD: RemovalGuard = RemovalGuard {
    percent_max: 50,
    endpoints_min: 4,
    window: Duration::from_secs(10),
    hold: Duration::from_secs(60),
    scope: Scope::All,
};

/// Half of four or more, within 10 s, held for 60 s.
fn guarded() -> Input {
    policy(Statement { removal: Some(Some(GUARD)), ..Statement::default() })
}

/// What is said when, and then (callable, held, when to ask again), times in seconds.
type Step<'a> = (u64, &'a [Input], (usize, usize, Option<u64>));

fn play(steps: &[Step<'_>]) {
    let mut catalog = Catalog::default();
    for (at, inputs, expected) in steps {
        inputs.iter().cloned().for_each(|input| catalog.apply(input));
        let again = catalog.publish(Now { mono_ms: at * 1_000, wall_ms: 0 }).again_ms;
        let snapshot = catalog.snapshot();
        let (callable, held) =
            snapshot.get(&key()).map_or((0, 0), |service| (service.callable().count(), service.held));
        assert_eq!((callable, held, again.map(|ms| ms / 1_000)), *expected, "at {at} s");
    }
}

const ZONE_A: [u8; 4] = [2, 4, 6, 8];

#[test]
fn without_a_policy_what_is_gone_is_gone() {
    play(&[(0, &[service(), slice(&ZONE_A)], (4, 0, None)), (1, &[slice(&[])], (0, 0, None))]);
}

#[test]
fn what_leaves_all_at_once_is_held_for_a_while_and_then_let_go() {
    play(&[
        (0, &[service(), guarded(), slice(&ZONE_A)], (4, 0, None)),
        (1, &[slice(&[2])], (4, 3, Some(61))),
        (60, &[], (4, 3, Some(61))),
        (61, &[], (1, 0, None)),
    ]);
}

#[test]
fn what_leaves_one_after_the_other_is_let_go() {
    play(&[
        (0, &[service(), guarded(), slice(&[2, 4, 6, 8, 10, 12])], (6, 0, None)),
        (1, &[slice(&[2, 4, 6, 8, 10])], (5, 0, None)),
        (20, &[slice(&[2, 4, 6, 8])], (4, 0, None)),
        (40, &[slice(&[2, 4, 6])], (3, 0, None)),
    ]);
}

#[test]
fn what_returns_is_not_held_any_more() {
    play(&[
        (0, &[service(), guarded(), slice(&ZONE_A)], (4, 0, None)),
        (1, &[slice(&[])], (4, 4, Some(61))),
        (2, &[slice(&ZONE_A)], (4, 0, None)),
    ]);
}

#[test]
fn a_failure_domain_is_struck_for_itself() {
    // Four of the zone, but only a quarter of the service.
    let all: Vec<u8> = (0..12).map(|n| n * 2 + 1).chain(ZONE_A).collect();
    let rest: Vec<u8> = (0..12).map(|n| n * 2 + 1).collect();
    play(&[(0, &[service(), guarded(), slice(&all)], (16, 0, None)), (1, &[slice(&rest)], (16, 4, Some(61)))]);
}

#[test]
fn the_hold_ends_where_the_owner_of_the_instances_says_that_they_are_gone() {
    let there = |yes: bool| ZONE_A.map(|n| pod_is(n, yes));
    play(&[
        (0, &there(true), (0, 0, None)),
        (1, &[service(), guarded(), slice(&ZONE_A)], (4, 0, None)),
        (2, &[slice(&[])], (4, 4, Some(62))),
        (3, &there(false)[..1], (3, 3, Some(62))),
        (4, &there(false)[1..], (0, 0, Some(303))),
    ]);
}

#[test]
fn a_silent_source_makes_stale_and_its_word_makes_fresh_again() {
    let stale = |then| {
        policy(Statement {
            staleness: Some(Some(Staleness { after: Duration::from_secs(30), then })),
            ..Statement::default()
        })
    };
    let heard = |at: u64| Input::Contact(SourceId::only(SourceKind::EndpointSlices), at * 1_000);
    play(&[
        (0, &[service(), stale(WhenStale::Refuse), slice(&ZONE_A), heard(0)], (4, 0, Some(30))),
        (30, &[], (0, 0, None)),
        (31, &[heard(31)], (4, 0, Some(61))),
        (61, &[stale(WhenStale::Serve)], (4, 0, None)),
    ]);
}
