//! Beats at size: what 10,000 of them a second cost, and what an instance keeps.
//!
//! `cargo bench --workspace --bench beats` prints a table and writes `target/bench/beats.json`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::Addresses;
use rollcall_catalog::time::Now;
use rollcall_health::beat::awake::TICK_MS;
use rollcall_health::beat::hearsay::BATCH_MS;
use rollcall_health::beat::{Beating, Beats, Detector, Heard, Heartbeat, Phi, Said};

/// Each beats once a second.
const INSTANCES: usize = 10_000;
/// Endpoints of a registration.
const ENDPOINTS: usize = 100;
/// Simulated seconds: every window is full after them.
const SECONDS: u64 = 240;

/// What a core may be busy with 10,000 beats a second, and what an instance may keep.
const AIM_CORE: f64 = 0.25;
const AIM_BYTES: usize = 1024;

struct Figures {
    /// Of a core.
    core: f64,
    bytes: usize,
    batches: usize,
}

fn main() {
    let second = Duration::from_secs(1);
    let ttl = Heartbeat::default();
    let phi = Heartbeat::new(second, Detector::Phi(Phi { window: Phi::WINDOW_MAX, ..Phi::of(second) }));
    println!("{INSTANCES} instances, a beat each second; aims: {AIM_CORE} of a core, {AIM_BYTES} B an instance");
    let mut rows = Vec::new();
    for (what, heartbeat, owned) in
        [("ttl", &ttl, true), ("phi, window of 200", &phi, true), ("ttl, owned by other replicas", &ttl, false)]
    {
        let figures = measure(heartbeat, owned);
        let (core, bytes, told) = (figures.core, figures.bytes, figures.batches / SECONDS as usize);
        // What the measurements before gave back is used again by the last, so that its memory would look like none.
        let json = if owned {
            println!("  {what:<32}{core:>8.4} of a core{bytes:>8} B an instance");
            serde_json::json!({ "core": core, "bytes_an_instance": bytes })
        } else {
            println!("  {what:<32}{core:>8.4} of a core{told:>8} told to other replicas a second");
            serde_json::json!({ "core": core, "told_a_second": told })
        };
        rows.push((what.to_owned(), json));
    }
    let json = serde_json::json!({ "instances": INSTANCES, "figures": serde_json::Map::from_iter(rows) });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("beats.json"), format!("{json:#}\n")).unwrap();
}

fn measure(heartbeat: &Heartbeat, owned: bool) -> Figures {
    let before = resident_bytes();
    let heartbeat = Arc::new(heartbeat.clone());
    let mut beats = Beats::default();
    let mut now = Now::default();
    let origins: Vec<_> = (0..INSTANCES / ENDPOINTS)
        .map(|n| Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", format!("vms-{n}"))))
        .collect();
    let names: Vec<String> = (0..ENDPOINTS).map(|n| format!("vm-{n}")).collect();
    for origin in &origins {
        let beating = |name: &String| Beating {
            name: name.as_str().into(),
            addresses: Addresses::V4([198, 51, 100, 1].into()),
            vouched: false,
        };
        let endpoints: Vec<_> = names.iter().map(beating).collect();
        beats.register(origin, Some(Arc::clone(&heartbeat)), &endpoints, &|_, _| owned, now);
    }
    let (mut busy, mut batches) = (Duration::ZERO, 0);
    for step in 0..SECONDS * 1_000 / TICK_MS {
        now.mono_ms = (step + 1) * TICK_MS;
        now.wall_ms = now.mono_ms as i64;
        let start = Instant::now();
        // Each instance at its place in the second.
        let (parts, part) = ((1_000 / TICK_MS) as usize, (step % (1_000 / TICK_MS)) as usize);
        for origin in &origins {
            for name in names.iter().skip(part).step_by(parts) {
                beats.heard(origin, name, &Said::PASS, Heard::Here, now).unwrap();
            }
        }
        assert!(beats.tick(now).is_empty(), "all of them live");
        if step % (BATCH_MS / TICK_MS) == 0 {
            batches += beats.batch(now).iter().map(|(_, told)| told.len()).sum::<usize>();
        }
        busy += start.elapsed();
    }
    let bytes = resident_bytes().saturating_sub(before) / INSTANCES;
    drop(beats);
    Figures { core: busy.as_secs_f64() / SECONDS as f64, bytes, batches }
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
