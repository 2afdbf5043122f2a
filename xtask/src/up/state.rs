//! What `up` leaves in `target/up` for the user's shell and for `down`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rollcall_e2e::process::{Identity, Process};
use rollcall_e2e::rollcall::{Binaries, Rollcall};
use rollcall_e2e::{Kubectl, layout, tools};
use serde::{Deserialize, Serialize};

use super::api_access::ApiAccess;
use super::cluster::Cluster;

/// Which processes are up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The one that holds all others.
    pub(super) supervisor: Identity,
    /// The others.
    pub(super) processes: Vec<Identity>,
    /// The context of the user's cluster, while something of ours may be in it.
    #[serde(default)]
    pub(super) context: Option<String>,
}

/// The folder of all that `up` writes.
pub(super) fn folder() -> PathBuf {
    layout::target().join("up")
}

/// An error when another `up` is up, or has left something in the user's cluster.
pub(super) fn refuse_second() -> Result<()> {
    match State::read()? {
        Some(state) if state.supervisor.is_alive() => bail!(
            "it is up already (process {}). To use it: source {}. To end it: cargo xtask down",
            state.supervisor.pid,
            shown(&folder().join("env"))
        ),
        Some(State { context: Some(context), .. }) => bail!(
            "the last one was killed before it removed Rollcall from the cluster of context {context}; do that first: \
             cargo xtask down"
        ),
        _ => Ok(()),
    }
}

/// Empties the folder.
pub(super) fn clear() -> Result<()> {
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Tells the process in the foreground that all is up.
pub(super) fn mark_ready() -> Result<()> {
    std::fs::write(ready_mark(), "").context("writing the mark that all is up")
}

/// The file that [`mark_ready`] writes.
pub(super) fn ready_mark() -> PathBuf {
    folder().join("ready")
}

/// A path as the user would type it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

// === impl State ===

impl State {
    /// What is known before anything runs, so that a second `up` and `down` find this one.
    pub(super) fn begin(context: Option<String>) -> Result<()> {
        Self { supervisor: own()?, processes: Vec::new(), context }.write_json()
    }

    pub(super) fn new(
        cluster: &mut Cluster,
        rollcall: &mut Rollcall,
        backends: &[Process],
        context: Option<String>,
    ) -> Result<Self> {
        let mut processes: Vec<Identity> = rollcall.processes().filter_map(|process| process.identity()).collect();
        processes.extend(cluster.processes().filter_map(|process| process.identity()));
        processes.extend(backends.iter().filter_map(Process::identity));
        Ok(Self { supervisor: own()?, processes, context })
    }

    /// With processes that are all that is up.
    pub(super) fn of<'a>(processes: impl Iterator<Item = &'a mut Process>) -> Result<Self> {
        let processes = processes.filter_map(|process| process.identity()).collect();
        Ok(Self { supervisor: own()?, processes, context: None })
    }

    /// What the last `up` wrote, if anything.
    pub(super) fn read() -> Result<Option<Self>> {
        let path = folder().join("state.json");
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| {
                let folder = folder();
                format!("{} is damaged; end what it started by hand, and remove {}", path.display(), folder.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes `state.json`, and `env` for the user's shell.
    pub(super) fn write(
        &self,
        kubectl: &Kubectl,
        rollcall: &Rollcall,
        binaries: &Binaries,
        access: &ApiAccess,
    ) -> Result<()> {
        self.write_env("env", kubectl, rollcall, binaries, access)?;
        self.write_json()
    }

    /// The file of this name for the user's shell.
    pub(super) fn write_env(
        &self,
        file: &str,
        kubectl: &Kubectl,
        rollcall: &Rollcall,
        binaries: &Binaries,
        access: &ApiAccess,
    ) -> Result<()> {
        let pids: Vec<String> =
            self.processes.iter().map(|process| format!("{}={}", process.name, process.pid)).collect();
        let mut lines = vec![export("KUBECONFIG", kubectl.kubeconfig().display())];
        for (index, controller) in rollcall.controllers.iter().enumerate() {
            let suffix = if index == 0 { String::new() } else { format!("_{index}") };
            lines.push(export(&format!("ROLLCALL_GRPC{suffix}"), controller.grpc));
            lines.push(export(&format!("ROLLCALL_HTTP{suffix}"), controller.http));
            lines.push(export(&format!("ROLLCALL_API{suffix}"), controller.api));
        }
        for dns in &rollcall.dns {
            lines.push(export("ROLLCALL_DNS", dns.listen));
            lines.push(export("ROLLCALL_DNS_HTTP", dns.http));
        }
        lines.push(export("ROLLCALL_PIDS", pids.join(" ")));
        lines.push(export("ROLLCALL_TOKEN", &access.token));
        lines.push(export("ROLLCALL_CA", access.ca.display()));
        let mut programs = vec![("kubectl-rollcall", binaries.cli.display().to_string())];
        if tools::on_path("kubectl").is_none() {
            programs.push(("kubectl", kubectl.words()));
        }
        lines.push(put_on_path("bin", &programs)?);
        std::fs::write(folder().join(file), lines.join("\n") + "\n")
            .with_context(|| format!("writing target/up/{file}"))
    }

    /// The file of this name for the user's shell, with these programs (a name, and the words that start it) in place of the
    /// user's.
    pub(super) fn write_programs(&self, file: &str, kubectl: &Kubectl, programs: &[(&str, String)]) -> Result<()> {
        let cache = kubectl.kubeconfig().with_extension("cache");
        let lines = [
            export("KUBECONFIG", kubectl.kubeconfig().display()),
            // The next cluster has the same address, and other resources.
            export("KUBECACHEDIR", cache.display()),
            put_on_path(&file.replacen("env", "bin", 1), programs)?,
        ];
        std::fs::write(folder().join(file), lines.join("\n") + "\n")
            .with_context(|| format!("writing target/up/{file}"))
    }

    pub(super) fn write_json(&self) -> Result<()> {
        let folder = folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)?;
        // Whole or not at all: `down` may read it at any moment.
        let fresh = folder.join("state.json.new");
        std::fs::write(&fresh, json)
            .and_then(|()| std::fs::rename(&fresh, folder.join("state.json")))
            .context("writing target/up/state.json")
    }
}

fn own() -> Result<Identity> {
    Identity::own("up").context("this process is not in /proc: `up` needs Linux")
}

fn export(name: &str, value: impl std::fmt::Display) -> String {
    format!("export {name}='{value}'")
}

/// Writes programs into the folder of this name, and returns the line that puts that on the search path.
fn put_on_path(name: &str, programs: &[(&str, String)]) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;

    let bin = folder().join(name);
    std::fs::create_dir_all(&bin).with_context(|| format!("making {}", bin.display()))?;
    for (name, words) in programs {
        let script = bin.join(name);
        std::fs::write(&script, format!("#!/bin/sh\nexec {words} \"$@\"\n"))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(format!("export PATH='{}':\"$PATH\"", bin.display()))
}
