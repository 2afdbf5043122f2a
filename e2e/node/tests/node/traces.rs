//! What a cluster could leave behind on this machine.
//!
//! Others work on the machine at the same time, with clusters like ours, too. So only what bears the mark of given clusters
//! counts: their makers' control groups, their folders' mounts, and devices and settings as only a cluster makes them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, ensure};
use rollcall_e2e::node::{LINK_PREFIX, groups_of};
use rollcall_e2e::process::Identity;

/// How the machine was before the first cluster.
#[derive(Debug)]
pub(crate) struct Traces {
    links: BTreeSet<String>,
    settings: Vec<String>,
}

/// What the clusters are known by whose traces are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks<'a> {
    /// The processes that started them.
    pub(crate) makers: &'a [Identity],
    /// Their folders, of names that nothing else has.
    pub(crate) folders: &'a [&'a Path],
}

/// Settings of the whole machine that kubelets and kube-proxies like to change, and to what.
fn settings() -> [(&'static str, String); 7] {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    [
        ("vm/overcommit_memory", "1".to_owned()),
        ("kernel/panic", "10".to_owned()),
        ("kernel/panic_on_oops", "1".to_owned()),
        ("kernel/keys/root_maxkeys", "1000000".to_owned()),
        ("kernel/keys/root_maxbytes", "25000000".to_owned()),
        ("net/ipv4/ip_forward", "1".to_owned()),
        // kube-proxy's `conntrack.maxPerCore` and `conntrack.min` by default.
        ("net/netfilter/nf_conntrack_max", (32_768 * cpus).max(131_072).to_string()),
    ]
}

// === impl Traces ===

impl Traces {
    /// What is there now.
    pub(crate) fn now() -> Result<Self> {
        let links = Path::new("/sys/class/net").read_dir()?.flatten();
        let links = links.map(|link| link.file_name().to_string_lossy().into_owned());
        let value = |name| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
        Ok(Self {
            links: links.filter(|link| link.starts_with(LINK_PREFIX)).collect(),
            settings: settings().iter().map(|(name, _)| value(name)).collect(),
        })
    }

    /// An error that names what the clusters have left.
    pub(crate) fn expect_nothing_of(&self, of: Marks<'_>) -> Result<()> {
        let groups = groups(of.makers);
        ensure!(groups.is_empty(), "control groups are left: {groups:#?}");
        self.expect_groups_alone_of(of)
    }

    /// The same, but for control groups.
    pub(crate) fn expect_groups_alone_of(&self, of: Marks<'_>) -> Result<()> {
        let now = Self::now()?;
        let mounts = mounts(of.folders)?;
        ensure!(mounts.is_empty(), "mounts are left: {mounts:#?}");
        let links: Vec<_> = now.links.difference(&self.links).collect();
        ensure!(links.is_empty(), "network devices are left: {links:?}");
        let processes = processes(of.makers);
        ensure!(processes.is_empty(), "processes are left: {processes:#?}");
        for ((name, of_clusters), (before, now)) in settings().iter().zip(self.settings.iter().zip(&now.settings)) {
            ensure!(now == before || now != of_clusters, "the setting {name} was {before:?} and is {now:?}");
        }
        Ok(())
    }
}

/// Mounts that name one of these folders: as what is mounted, as where, or as a layer.
fn mounts(folders: &[&Path]) -> Result<Vec<String>> {
    let names: Vec<&str> = folders.iter().filter_map(|folder| folder.file_name().and_then(OsStr::to_str)).collect();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let is_named = |line: &&str| line.split(['/', ' ', ',', ':', '=']).any(|word| names.contains(&word));
    Ok(mounts.lines().filter(is_named).map(String::from).collect())
}

/// Control groups of these makers, of any hierarchy.
fn groups(makers: &[Identity]) -> Vec<String> {
    let mut found = Vec::new();
    collect(Path::new("/sys/fs/cgroup"), 6, makers, &mut found);
    found
}

fn collect(folder: &Path, depth: u32, makers: &[Identity], found: &mut Vec<String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path().display().to_string();
        if is_of(makers, &path) {
            found.push(path);
        } else if depth > 0 {
            collect(&entry.path(), depth - 1, makers, found);
        }
    }
}

/// Processes in control groups of these makers: all that a cluster runs is in them.
fn processes(makers: &[Identity]) -> Vec<String> {
    let entries = Path::new("/proc").read_dir().into_iter().flatten().flatten();
    let ours = entries.filter_map(|entry| {
        let groups = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
        let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?.replace('\0', " ");
        is_of(makers, &groups).then(|| format!("{}: {command}", entry.file_name().to_string_lossy()))
    });
    ours.collect()
}

/// Whether paths of control groups name one of these makers.
fn is_of(makers: &[Identity], paths: &str) -> bool {
    makers.iter().any(|maker| paths.contains(&format!("/{}", groups_of(maker))))
}
