//! Rollcall's server of the stream beside go-control-plane, with the same resources, the same streams and the same load.
//!
//! `cargo xtask bench --xds` runs it. It prints a table and writes `target/bench/xds.json`. The load comes from one thread of this
//! process, the servers are processes of their own. By itself it takes names of servers and of steps, and measures those alone:
//! `rollcall-bench-xds Rollcall fan-out`.

mod certificate;
mod load;
mod measure;
mod serve;
mod server;
mod wire;

use anyhow::{Context as _, Result, bail};
use rollcall_e2e::{layout, tools};
use serde_json::{Map, Value, json};

use measure::{Figures, STEPS, Step};
use server::Kind;

/// What ships: musl's own allocator has one lock for all threads. The same wherever it is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Servers under measurement: ours, and go-control-plane with each of its caches.
const SERVERS: [&str; 3] = ["Rollcall", "linear", "snapshot"];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.first().is_some_and(|word| word == "serve") {
        return tokio::runtime::Runtime::new()?.block_on(serve::run(wanted.iter().any(|word| word == "tls")));
    }
    if let Some(unknown) = wanted.iter().find(|word| !names().any(|name| name == **word)) {
        bail!("{unknown:?} is no server and no step; there are: {}", names().collect::<Vec<_>>().join(", "));
    }
    let among = |all: &[&str], name: &str| {
        wanted.iter().any(|word| word == name) || !all.iter().any(|any| wanted.iter().any(|word| word == any))
    };
    let kinds: Vec<Kind> = SERVERS.into_iter().filter(|name| among(&SERVERS, name)).map(kind).collect::<Result<_>>()?;
    let all = STEPS.each_ref().map(|step| step.name);
    let steps: Vec<&Step> = STEPS.iter().filter(|step| among(&all, step.name)).collect();
    let measured: Vec<Vec<Figures>> =
        kinds.iter().map(|kind| steps.iter().map(|step| measure::measure(step, kind)).collect()).collect();
    print(&kinds, &steps, &measured);
    write(&kinds, &steps, &measured)
}

fn names() -> impl Iterator<Item = &'static str> {
    SERVERS.into_iter().chain(STEPS.iter().map(|step| step.name))
}

fn kind(name: &'static str) -> Result<Kind> {
    if name == SERVERS[0] {
        let program = std::env::current_exe().context("finding this program")?;
        return Ok(Kind { name, program, argument: "serve", has_tls: true });
    }
    Ok(Kind { name, program: tools::go_control_plane()?, argument: name, has_tls: false })
}

/// Markdown, as docs/sizing.md has it.
fn print(kinds: &[Kind], steps: &[&Step], measured: &[Vec<Figures>]) {
    let headings: String = kinds.iter().map(|kind| format!(" {} |", kind.name)).collect();
    println!("\n| |{headings} aim |\n| --- |{} --- |", " --- |".repeat(kinds.len()));
    for (at, step) in steps.iter().enumerate() {
        for (row, (name, aim)) in step.figures.iter().enumerate() {
            let cell =
                |all: &Vec<Figures>| all[at][row].map_or_else(|| " \u{2013} |".to_owned(), |it| format!(" {it:.1} |"));
            let cells: String = measured.iter().map(cell).collect();
            println!("| {name} |{cells} {aim} |");
        }
    }
    println!(
        "\nlinear and snapshot are the caches of go-control-plane; \u{2013} where a step did not come to its end in a minute and a half."
    );
}

fn write(kinds: &[Kind], steps: &[&Step], measured: &[Vec<Figures>]) -> Result<()> {
    let of = |all: &Vec<Figures>| -> Value {
        let of_step = |(step, figures): (&&Step, &Figures)| {
            let named = step.figures.iter().zip(figures).map(|((name, _), figure)| ((*name).to_owned(), json!(figure)));
            (step.name.to_owned(), Value::Object(named.collect()))
        };
        steps.iter().zip(all).map(of_step).collect::<Map<_, _>>().into()
    };
    let all: Map<_, _> = kinds.iter().zip(measured).map(|(kind, its)| (kind.name.to_owned(), of(its))).collect();
    let folder = layout::target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(folder.join("xds.json"), format!("{:#}\n", Value::Object(all))).context("writing xds.json")
}
