//! Rollcall's server of the stream beside go-control-plane, with the same resources, the same streams and the same load.
//!
//! `cargo xtask bench --xds` runs it. It prints a table and writes `target/bench/xds.json`. The load comes from one thread of this
//! process, the servers are processes of their own.

mod load;
mod measure;
mod serve;
mod server;
mod wire;

use anyhow::{Context as _, Result};
use rollcall_e2e::{layout, tools};
use serde_json::{Map, Value, json};

use measure::Figures;
use server::Kind;

/// What ships: musl's own allocator has one lock for all threads. The same wherever it is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the design asks for, of Rollcall.
const AIMS: [(&str, &str); 6] = [
    ("idle wildcard stream, KB", "16"),
    ("a change to all of 1,000 streams, p99 ms", "20"),
    ("CPU of a change to 1,000 streams, ms", "a tenth"),
    ("the same, p99 ms", "200"),
    ("5,000 return knowing all but one of 1,000, s", "2"),
    ("sent to all of them, KB", "1000"),
];

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return tokio::runtime::Runtime::new()?.block_on(serve::run());
    }
    let go = tools::go_control_plane()?;
    let ours = std::env::current_exe().context("finding this program")?;
    let kinds = [
        Kind { name: "Rollcall", program: ours, argument: "serve" },
        Kind { name: "linear", program: go.clone(), argument: "linear" },
        Kind { name: "snapshot", program: go, argument: "snapshot" },
    ];
    let measured = kinds.iter().map(measure::all).collect::<Result<Vec<Figures>>>()?;
    print(&kinds, &measured);
    write(&kinds, &measured)
}

fn print(kinds: &[Kind], measured: &[Figures]) {
    let headings: String = kinds.iter().map(|kind| format!("{:>12}", kind.name)).collect();
    println!("\n{:<56}{headings}{:>10}", "", "aim");
    let Some(first) = measured.first() else { return };
    for (row, (name, _)) in first.iter().enumerate() {
        let cell =
            |figures: &Figures| figures[row].1.map_or_else(|| format!("{:>12}", "-"), |it| format!("{it:>12.2}"));
        let cells: String = measured.iter().map(cell).collect();
        let aim = AIMS.iter().find(|(its, _)| its == name).map_or("", |(_, aim)| *aim);
        println!("{name:<56}{cells}{aim:>10}");
    }
    println!(
        "linear and snapshot are the caches of go-control-plane; `-` where it did not come to an end in two minutes"
    );
}

fn write(kinds: &[Kind], measured: &[Figures]) -> Result<()> {
    let of = |figures: &Figures| -> Value {
        figures.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect::<Map<_, _>>().into()
    };
    let all: Map<_, _> = kinds.iter().zip(measured).map(|(kind, its)| (kind.name.to_owned(), of(its))).collect();
    let folder = layout::target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(folder.join("xds.json"), format!("{:#}\n", Value::Object(all))).context("writing xds.json")
}
