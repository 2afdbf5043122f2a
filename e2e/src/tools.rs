//! The programs that the harness runs: found, or built once and cached under `target/tools`.
//!
//! Each built tool has a stamp beside it: the text of everything that it was built from. It is built again when that
//! changes. Every failure says what to try next.

mod debian;
mod envoy;
mod go;
mod helm;
mod kdig;
mod name_servers;
mod node;
mod operator_crds;
mod prometheus;
mod xds_clients;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

pub use envoy::envoy;
pub use go::{controlplane, h2spec, kwok, pki};
pub use helm::{helm, helm4};
pub use kdig::kdig;
pub use name_servers::{coredns, coredns_in_front, dnsperf, knotd};
pub use node::{NodeTools, node, workload};
pub use operator_crds::operator_crds;
pub use prometheus::promcheck;
pub use xds_clients::{
    go_control_plane, xds_client_java, xds_client_node, xds_client_python, xds_client_rust, xds_clients_go,
};

use crate::{clock, layout};

/// Makes everything ready that the end-to-end suite needs, while there is a network.
pub fn all() -> Result<()> {
    crate::control_plane::Binaries::find()?;
    envoy()?;
    kdig()?;
    knotd()?;
    coredns_in_front()?;
    h2spec()?;
    helm()?;
    helm4()?;
    operator_crds()?;
    promcheck()?;
    workload()?;
    xds_clients()
}

/// The servers that xDS clients call, and those of the clients that can be had here: the table of clients says which
/// cannot, and why.
fn xds_clients() -> Result<()> {
    xds_clients_go()?;
    for client in [xds_client_python, xds_client_node, xds_client_java, xds_client_rust] {
        if let Err(error) = client() {
            say(&format!("{error:#}"));
        }
    }
    Ok(())
}

/// Takes over what is said while tools are made: from then on `say` is called with it, from whatever thread.
pub fn say_by(say: fn(&str)) {
    let _ = SAY.set(say); // The first one counts.
}

static SAY: OnceLock<fn(&str)> = OnceLock::new();

fn say(text: &str) {
    match SAY.get() {
        Some(say) => say(text),
        None => eprintln!("{text}"),
    }
}

/// The program `name` of the search path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn folder() -> PathBuf {
    layout::target().join("tools")
}

/// A tool that is made from known inputs.
struct Recipe<'a> {
    /// Its file or folder in `target/tools`.
    name: &'a str,
    /// The file to run, in `target/tools`.
    binary: &'a str,
    /// Everything that it is made from; when this changes, it is made again.
    inputs: Vec<u8>,
    /// What is being done, for the one who waits.
    doing: &'a str,
    /// How long that takes.
    takes: &'a str,
    /// What to try when it fails.
    remedy: &'a str,
}

// === impl Recipe ===

impl Recipe<'_> {
    /// The tool's path, after `make` has put it there if necessary.
    fn ready(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let binary = folder.join(self.binary);
        let stamp = folder.join(format!("{}.stamp", self.name));
        let fresh = || binary.is_file() && std::fs::read(&stamp).is_ok_and(|made_from| made_from == self.inputs);
        if fresh() {
            return Ok(binary);
        }
        // Two runs at once: the second waits and finds it made.
        let lock = File::create(folder.join(format!("{}.lock", self.name)))?;
        lock.lock().with_context(|| format!("locking {}", self.name))?;
        if fresh() {
            return Ok(binary);
        }
        say(&format!("{}: {} the first time …", self.doing, self.takes));
        let start = clock::now();
        make(&folder).with_context(|| format!("{} failed. {}", self.doing, self.remedy))?;
        if !binary.is_file() {
            bail!("{} left no {}. {}", self.doing, binary.display(), self.remedy);
        }
        std::fs::write(&stamp, &self.inputs).with_context(|| format!("writing {}", stamp.display()))?;
        say(&format!("{}: done in {:.0} s", self.doing, start.elapsed().as_secs_f32()));
        Ok(binary)
    }
}

/// Runs a build step. Its output appears only when it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started: is it installed and on the PATH?"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(anyhow!("{program} ended with {}:\n{end}", output.status))
}
