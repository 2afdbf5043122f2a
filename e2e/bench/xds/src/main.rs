//! Rollcall's server of the stream beside go-control-plane, with the same resources, the same streams and the same load.
//!
//! `cargo xtask bench --xds` runs it. The load comes from one thread of this process, the servers are processes of their own. It takes
//! names of servers and of steps, and measures those alone: `cargo xtask bench --xds -- Rollcall fan-out`. It writes
//! `target/bench/xds.json`, where what was measured earlier stays until it is measured again, and prints all of it as a table.

mod certificate;
mod known;
mod load;
mod measure;
mod serve;
mod server;
mod wire;

use anyhow::{Context as _, Result, bail};
use rollcall_e2e::tools;

use known::Known;
use measure::{STEPS, Step};
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
    let mut known = Known::read()?;
    for kind in &kinds {
        for step in &steps {
            known.note(kind.name, step, &measure::measure(step, kind));
            known.write()?; // the whole takes minutes, and may be ended
        }
    }
    known.print();
    Ok(())
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
