//! The core at size: apply, merge, snapshot and memory of 100,000 endpoints in 10,000 services.
//!
//! `cargo bench --workspace --bench core` prints a table and writes `target/bench/core.json`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rollcall_catalog::catalog::Catalog;
use rollcall_catalog::input::{Input, NodeFacts, PodFacts};
use rollcall_catalog::model::Health;
use rollcall_catalog::snapshot::Changes;
use rollcall_catalog::time::Now;
use support::*;

/// As the programs have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;
const CHANGES: usize = 20_000;

fn main() {
    let before = resident_bytes();
    let inputs: Vec<_> = (0..SERVICES).flat_map(statements).collect();

    let mut catalog = Catalog::default();
    let start = Instant::now();
    for input in inputs {
        catalog.apply(input);
    }
    let apply = start.elapsed();
    let start = Instant::now();
    catalog.publish(Now::default());
    let merge = start.elapsed();
    assert_eq!(catalog.snapshot().totals().endpoints, SERVICES * ENDPOINTS);
    let memory = resident_bytes() - before;

    let mut changes: Vec<_> = (0..CHANGES).map(|n| one_change(&mut catalog, n)).collect();
    changes.sort_unstable();
    let snapshot = time(1_000, || drop(catalog.snapshot()));

    let rows = [
        ("apply, each of 30,000 statements", apply / (3 * SERVICES) as u32),
        ("merge and first publication, whole catalog", merge),
        ("one verdict to its snapshot and ring, p50", changes[CHANGES / 2]),
        ("one verdict to its snapshot and ring, p99", changes[CHANGES * 99 / 100]),
        ("snapshot, shared", snapshot),
    ];
    let sizes = [10, 1_000, 5_000].map(|endpoints| (endpoints, of_one_service(endpoints)));
    let nodes = nodes_join();
    let node = one_node_joins_registered();
    let crowd = one_address(4_000);
    println!("catalog of {} endpoints in {SERVICES} services, {} MB", SERVICES * ENDPOINTS, memory / 1_000_000);
    for (what, took) in &rows {
        println!("  {what:<46}{took:>12.1?}");
    }
    println!("one change of a service of so many endpoints: apply, merge and publication, mean");
    for (endpoints, [verdict, slice, pod]) in sizes {
        println!("  {endpoints:>6}   verdict {verdict:>10.1?}   slice of 100 {slice:>10.1?}   pod {pod:>10.1?}");
    }
    println!("  {:<46}{nodes:>12.1?}", "5,000 nodes join 100,000 endpoints, in all");
    println!("  {:<46}{node:>12.1?}", "a node joins 5,000, 10,000 registered endpoints");
    println!("  {:<46}{crowd:>12.1?}", "4,000 endpoints on one address, one changed");
    let rows = rows.into_iter().chain([
        ("change of 10 endpoints", sizes[0].1[0]),
        ("change of 1,000 endpoints", sizes[1].1[0]),
        ("change of 5,000 endpoints", sizes[2].1[0]),
        ("5,000 nodes join 100,000 endpoints", nodes),
        ("a node joins 10,000 registered endpoints", node),
        ("4,000 endpoints on one address", crowd),
    ]);
    let figures: serde_json::Map<_, _> =
        rows.map(|(what, took)| (what.to_owned(), (took.as_nanos() as u64).into())).collect();
    let json = serde_json::json!({ "unit": "ns", "endpoints": SERVICES * ENDPOINTS, "services": SERVICES, "resident_bytes": memory, "figures": figures });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("core.json"), format!("{json:#}\n")).unwrap();
}

/// A Service, a slice of pods and a registration with checks, half of the endpoints each.
fn statements(service: usize) -> [Input; 3] {
    let name = format!("service-{service}");
    let ip = |block: usize, n: usize| format!("{}.{}.{}.{n}", 10 + block, service / 250, service % 250);
    let pods = (0..ENDPOINTS / 2).map(|n| pod(&format!("{name}-{n}"), &ip(0, n))).collect();
    let vms = (0..ENDPOINTS / 2).map(|n| checked(&format!("vm-{n}"), &ip(88, n))).collect();
    [headless(&name), said(&slice(&format!("{name}-x7")), &name, pods), said(&registration(&name), &name, vms)]
}

/// From a verdict to the reader's list of what changed.
fn one_change(catalog: &mut Catalog, n: usize) -> Duration {
    let service = n.wrapping_mul(7919) % SERVICES;
    let seen = catalog.snapshot().revision();
    let health = if (n / SERVICES).is_multiple_of(2) { Health::Passing } else { Health::Critical };
    let ip = format!("98.{}.{}.0", service / 250, service % 250);
    let input = verdict(&registration(&format!("service-{service}")), "vm-0", &ip, health);
    let start = Instant::now();
    catalog.apply(input);
    let snapshot = catalog.publish(Now::default()).snapshot.expect("a verdict is a change");
    let changes = snapshot.changes_since(seen);
    let took = start.elapsed();
    assert!(matches!(changes, Changes::Services(keys) if keys.len() == 1));
    took
}

/// A verdict, a slice with one endpoint changed, and a pod, in a service of half pods and half registered endpoints.
fn of_one_service(endpoints: usize) -> [Duration; 3] {
    let mut catalog = Catalog::default();
    let half = endpoints / 2;
    let pods = |slice: usize, changed: Option<usize>| {
        let range = slice * 100..half.min(slice * 100 + 100);
        let make = |n: usize| {
            let mut pod = pod(&format!("pod-{n}"), &format!("10.1.{}.{}", n / 250, n % 250));
            pod.weight = if changed == Some(n) { 2 } else { 1 };
            pod
        };
        said(&slice_of(slice), "large", range.map(make).collect())
    };
    let machines = |at: usize| {
        let make = |n| checked(&format!("vm-{n}"), &format!("198.18.{}.{}", n / 250, n % 250));
        said(&registration(&format!("vms-{at}")), "large", (at * 100..half.min(at * 100 + 100)).map(make).collect())
    };
    catalog.apply(headless("large"));
    (0..half.div_ceil(100)).flat_map(|at| [pods(at, None), machines(at)]).for_each(|input| catalog.apply(input));
    catalog.publish(Now::default());
    let health = |n| if n % 2 == 0 { Health::Passing } else { Health::Critical };
    let verdicts = (0..200).map(|n| verdict(&registration("vms-0"), "vm-1", "198.18.0.1", health(n)));
    let slices = (0..200).map(|n| pods(0, (n % 2 == 0).then_some(1)));
    let pods = (0..200).map(|n| {
        let facts = PodFacts { terminating: n % 2 == 0, ..pod_facts("1") };
        pod_is("pod-2", Some(facts))
    });
    [verdicts.collect(), slices.collect(), pods.collect()].map(|inputs| mean(&mut catalog, inputs))
}

fn slice_of(n: usize) -> std::sync::Arc<rollcall_catalog::input::Origin> {
    slice(&format!("large-{n}"))
}

fn mean(catalog: &mut Catalog, inputs: Vec<Input>) -> Duration {
    let count = inputs.len() as u32;
    let start = Instant::now();
    for input in inputs {
        catalog.apply(input);
        assert!(catalog.publish(Now::default()).snapshot.is_some(), "a change");
    }
    start.elapsed() / count
}

/// 5,000 nodes after 100,000 endpoints in 1,000 services, one publication for each batch of 100 nodes.
fn nodes_join() -> Duration {
    let mut catalog = Catalog::default();
    for service in 0..1_000 {
        let name = format!("service-{service}");
        let make = |n: usize| {
            let at = service * 100 + n;
            let mut pod = pod(&format!("{name}-{n}"), &format!("10.{}.{}.{}", at / 62_500, at / 250 % 250, at % 250));
            pod.node = Some(format!("node-{}", at % 5_000).into());
            pod
        };
        catalog.apply(headless(&name));
        catalog.apply(said(&slice(&format!("{name}-x7")), &name, (0..100).map(make).collect()));
    }
    catalog.publish(Now::default());
    let nodes: Vec<_> = (0..5_000).map(node).collect();
    let start = Instant::now();
    for nodes in nodes.chunks(100) {
        nodes.iter().cloned().for_each(|input| catalog.apply(input));
        catalog.publish(Now::default());
    }
    start.elapsed()
}

fn one_node_joins_registered() -> Duration {
    let mut catalog = Catalog::default();
    (0..5_000).map(node).for_each(|input| catalog.apply(input));
    for service in 0..1_000 {
        let name = format!("service-{service}");
        let make = |n: usize| vm(&format!("vm-{n}"), &format!("198.18.{}.{}", service / 4, service % 4 * 50 + n));
        catalog.apply(said(&registration(&name), &name, (0..10).map(make).collect()));
    }
    catalog.publish(Now::default());
    let start = Instant::now();
    for n in 5_000..5_100 {
        catalog.apply(node(n));
        catalog.publish(Now::default());
    }
    start.elapsed() / 100
}

fn node(n: usize) -> Input {
    let facts = NodeFacts {
        zone: Some(format!("zone-{}", n % 3).into()),
        region: None,
        addresses: [format!("172.16.{}.{}", n / 250, n % 250).parse().unwrap()].into(),
        reached_at: Box::default(),
        pod_cidrs: vec![format!("100.{}.{}.0/24", 64 + n / 250, n % 250).parse().unwrap()],
        maintenance: None,
    };
    Input::Node(format!("node-{n}").into(), Some(std::sync::Arc::new(facts)))
}

/// Endpoints of two registrations that all claim one address.
fn one_address(endpoints: usize) -> Duration {
    let mut catalog = Catalog::default();
    let machines = |name: &str| (0..endpoints / 2).map(|n| checked(&format!("{name}-{n}"), "198.18.0.1")).collect();
    catalog.apply(said(&registration("a"), "crowd", machines("a")));
    catalog.apply(said(&registration("b"), "crowd", machines("b")));
    catalog.publish(Now::default());
    let health = |n| if n % 2 == 0 { Health::Passing } else { Health::Critical };
    mean(&mut catalog, (0..50).map(|n| verdict(&registration("b"), "b-7", "198.18.0.1", health(n))).collect())
}

fn time(runs: u32, mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        work();
    }
    start.elapsed() / runs
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
