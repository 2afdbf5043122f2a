//! The core at size: apply, merge, snapshot and memory of 100,000 endpoints in 10,000 services.
//!
//! `cargo bench -p rollcall-catalog` prints a table and writes `target/bench/core.json`.
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
use rollcall_catalog::input::Input;
use rollcall_catalog::model::Health;
use rollcall_catalog::snapshot::Changes;
use rollcall_catalog::time::Now;
use support::*;

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
    println!("catalog of {} endpoints in {SERVICES} services, {} MB", SERVICES * ENDPOINTS, memory / 1_000_000);
    for (what, took) in rows {
        println!("  {what:<46}{took:>12.1?}");
    }
    let figures: serde_json::Map<_, _> =
        rows.iter().map(|(what, took)| ((*what).to_owned(), (took.as_nanos() as u64).into())).collect();
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
