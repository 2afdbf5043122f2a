//! Rollcall's DNS server beside CoreDNS, on the same control plane, and Knot, which holds the same names as a zone.
//!
//! `cargo xtask bench --dns` runs it. It prints a table and writes `target/bench/dns.json`. Each server has the first core alone, as
//! far as the machine lets it; dnsperf has the last.

mod load;
mod measure;
mod server;

use anyhow::{Context as _, Result};
use rollcall_e2e::control_plane::Binaries as ControlPlaneBinaries;
use rollcall_e2e::install::install;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::rollcall::{Binaries, Controller, Profile};
use rollcall_e2e::{ControlPlane, layout};
use serde_json::{Map, Value, json};

use load::Load;
use measure::{Case, Measured};
use server::{Ground, Kind, Server};

fn main() -> Result<()> {
    let binaries = Binaries::build(Profile::Release)?;
    let scratch = Scratch::new("bench-dns")?;
    let folder = scratch.path();
    println!("filling a control plane");
    let plane = ControlPlane::start_from(ControlPlaneBinaries::find()?, folder)?;
    let installation = install(plane.kubectl(), folder)?;
    let load = Load::create(plane.kubectl(), folder)?;
    let mut controller = Controller::start(&binaries, &installation, "controller-0", folder, &[])?;
    controller.wait_ready()?;
    let (mut upstream_process, upstream) = server::start_upstream(&load, folder)?;
    server::write_certificate(folder)?;
    let (kubeconfig, catalog) = (plane.kubectl().kubeconfig(), controller.grpc);
    let ground = Ground { binaries: &binaries, kubeconfig, catalog, upstream, load: &load, folder };
    let measured = kinds().into_iter().map(|kind| all(kind, &ground)).collect::<Result<Vec<_>>>()?;
    print(&measured);
    write(&measured)?;
    upstream_process.stop()?;
    controller.process.stop()?;
    drop(plane);
    scratch.remove()
}

/// All cases of one server.
fn all(kind: Kind, ground: &Ground<'_>) -> Result<Row> {
    println!("{}", kind.name());
    let mut server = Server::start(kind, ground)?;
    ground.load.wait_answered(server.listen, &mut server.process)?;
    let mut of_kind = Vec::new();
    for case in Case::all() {
        if !case.is_for(kind) {
            of_kind.push(None);
            continue;
        }
        let figures = measure::one(&server, case, ground.load).with_context(|| format!("{}, {case}", kind.name()))?;
        println!("  {case:<22}{figures}");
        of_kind.push(Some(figures));
    }
    let resident_mb = server.resident_mb()?;
    server.process.stop()?;
    Ok((kind, resident_mb, of_kind))
}

/// Those named as arguments; all of them, when none is.
fn kinds() -> Vec<Kind> {
    let named: Vec<String> = std::env::args().skip(1).map(|word| word.to_lowercase()).collect();
    let is_named = |kind: &Kind| named.is_empty() || named.contains(&kind.name().to_lowercase());
    Kind::ALL.into_iter().filter(is_named).collect()
}

/// A server, its memory in MB, and what it did in each case that is for it.
type Row = (Kind, f64, Vec<Option<Measured>>);

fn print(measured: &[Row]) {
    let headings: String = measured.iter().map(|(kind, ..)| format!("{:>22}", kind.name())).collect();
    println!("\n{:<22}{headings}{:>12}{:>12}", "queries/s, CPU a query", "x CoreDNS", "x Knot");
    let of = |kind: Kind, at: usize| measured.iter().find(|(its, ..)| *its == kind).and_then(|(.., all)| all[at]);
    let shown = |figures: &Option<Measured>| {
        figures.map_or_else(|| "-".to_owned(), |its| format!("{:.0}  {:.1} us", its.queries_s, its.cpu_us))
    };
    for (at, case) in Case::all().into_iter().enumerate() {
        let cells: String = measured.iter().map(|(.., all)| format!("{:>22}", shown(&all[at]))).collect();
        let times = |other| {
            let (Some(ours), Some(other)) = (of(Kind::Rollcall, at), of(other, at)) else { return "-".to_owned() };
            format!("{:.1}", other.cpu_us / ours.cpu_us)
        };
        println!("{:<22}{cells}{:>12}{:>12}", case.to_string(), times(Kind::CoreDns), times(Kind::Knot));
    }
    let memory: String = measured.iter().map(|(_, mb, _)| format!("{:>22}", format!("{mb:.0} MB"))).collect();
    println!("{:<22}{memory}", "resident memory");
    println!("the last two columns: CPU a query of the others, in that of Rollcall");
}

fn write(measured: &[Row]) -> Result<()> {
    let of = |(kind, mb, all): &Row| {
        let cases: Map<String, Value> = Case::all()
            .into_iter()
            .zip(all)
            .filter_map(|(case, its)| its.map(|its| (case, its)))
            .map(|(case, its)| (case.to_string(), json!({"queries_s": its.queries_s, "cpu_us": its.cpu_us})))
            .collect();
        (kind.name().to_owned(), json!({"resident_mb": mb, "cases": cases}))
    };
    let folder = layout::target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let all: Map<String, Value> = measured.iter().map(of).collect();
    std::fs::write(folder.join("dns.json"), format!("{:#}\n", Value::Object(all))).context("writing dns.json")
}
