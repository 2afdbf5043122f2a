//! Start-up, memory, and how long a change takes to callers, on a real control plane.
//!
//! `cargo xtask bench` runs it. It prints a table and writes `target/bench/end_to_end.json`.

mod figures;
mod latency;
mod scale;
mod watcher;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use rollcall_e2e::control_plane::Binaries as ControlPlaneBinaries;
use rollcall_e2e::layout;
use rollcall_e2e::rollcall::{Binaries, Profile};
use serde_json::{Value, json};

use figures::Figures;
use scale::Scale;

/// The numbers of services to measure with, when none are given as arguments.
const SERVICES: [usize; 2] = [1_000, 10_000];
/// Endpoints of each service.
const EACH: usize = 10;

/// What the design asks for at the largest scale.
const GOALS: [(&str, f64); 7] = [
    ("start to ready, s", 5.0),
    ("controller, MB", 300.0),
    ("DNS server, MB", 120.0),
    ("registration to stream, p99 ms", 20.0),
    ("registration to DNS, p99 ms", 50.0),
    ("slice to stream, p99 ms", 20.0),
    ("slice to DNS, p99 ms", 50.0),
];

fn main() -> Result<()> {
    let scales = scales()?;
    let control_plane = ControlPlaneBinaries::find()?;
    let rollcall = Binaries::build(Profile::Release)?;
    let measured = scales
        .iter()
        .map(|scale| scale.measure(&control_plane, &rollcall).with_context(|| format!("measuring {scale}")))
        .collect::<Result<Vec<Figures>>>()?;
    print(&scales, &measured);
    write(&scales, &measured)
}

fn scales() -> Result<Vec<Scale>> {
    let given = std::env::args().skip(1).map(|word| word.parse().with_context(|| format!("{word} is no number")));
    let mut services = given.collect::<Result<Vec<usize>>>()?;
    if services.is_empty() {
        services.extend(SERVICES);
    }
    Ok(services.into_iter().map(|services| Scale { services, each: EACH }).collect())
}

fn print(scales: &[Scale], measured: &[Figures]) {
    let headings: String = scales.iter().map(|scale| format!("{:>18}", scale.to_string())).collect();
    println!("\n{:<36}{headings}{:>10}", "", "goal");
    let Some(first) = measured.first() else { return };
    for (row, (name, _)) in first.iter().enumerate() {
        let cells: String = measured.iter().map(|figures| format!("{:>18.2}", figures[row].1)).collect();
        let goal = goal(name).map_or_else(String::new, |goal| format!("{goal:>10}"));
        println!("{name:<36}{cells}{goal}{}", verdict(measured, row, name));
    }
}

/// Whether the largest scale, the last, meets its goal.
fn verdict(measured: &[Figures], row: usize, name: &str) -> &'static str {
    match goal(name).zip(measured.last()) {
        Some((goal, figures)) if figures[row].1 > goal => "  MISSED",
        _ => "",
    }
}

fn goal(name: &str) -> Option<f64> {
    GOALS.iter().find(|(its, _)| *its == name).map(|(_, goal)| *goal)
}

fn write(scales: &[Scale], measured: &[Figures]) -> Result<()> {
    let figures: Vec<Value> = scales
        .iter()
        .zip(measured)
        .map(|(scale, figures)| {
            let figures: serde_json::Map<_, _> =
                figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({"services": scale.services, "endpoints": scale.endpoints(), "figures": figures})
        })
        .collect();
    let folder = layout::target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let text = format!("{:#}\n", json!({ "scales": figures }));
    std::fs::write(folder.join("end_to_end.json"), text).context("writing target/bench/end_to_end.json")
}

/// Where the measured processes are reached.
#[derive(Clone, Copy, Debug)]
struct Targets {
    /// The controller's stream.
    stream: SocketAddr,
    /// The DNS server.
    dns: SocketAddr,
}
