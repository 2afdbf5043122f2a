//! What a cluster could leave behind on this machine.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

/// What is there of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    mounts: BTreeSet<String>,
    groups: BTreeSet<String>,
    links: BTreeSet<String>,
    processes: BTreeSet<String>,
    settings: Vec<(&'static str, String)>,
}

/// Settings of the whole machine that kubelets and kube-proxies like to change.
const SETTINGS: [&str; 5] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
];

// === impl Traces ===

impl Traces {
    /// What is there now.
    pub(crate) fn now() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let links = Path::new("/sys/class/net").read_dir()?;
        let setting = |name| (name, std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default());
        Ok(Self {
            mounts: mounts.lines().map(String::from).collect(),
            groups: groups(),
            links: links.flatten().map(|link| link.file_name().to_string_lossy().into_owned()).collect(),
            processes: processes(),
            settings: SETTINGS.map(setting).to_vec(),
        })
    }

    /// An error that names the difference when there is one by now.
    pub(crate) fn expect_same(&self) -> Result<()> {
        let now = Self::now()?;
        let left = now.groups.difference(&self.groups).collect::<Vec<_>>();
        ensure!(left.is_empty(), "control groups are left: {left:?}");
        self.compare(&now)
    }

    /// The same, but for control groups.
    pub(crate) fn expect_same_but_groups(&self) -> Result<()> {
        self.compare(&Self::now()?)
    }

    fn compare(&self, now: &Self) -> Result<()> {
        let left = |ours: &BTreeSet<String>, now: &BTreeSet<String>| -> Vec<String> {
            now.difference(ours).cloned().collect()
        };
        let mounts = left(&self.mounts, &now.mounts);
        ensure!(mounts.is_empty(), "mounts are left: {mounts:#?}");
        let links = left(&self.links, &now.links);
        ensure!(links.is_empty(), "network devices are left: {links:?}");
        let processes = left(&self.processes, &now.processes);
        ensure!(processes.is_empty(), "processes are left: {processes:#?}");
        ensure!(self.settings == now.settings, "settings were {:?} and are {:?}", self.settings, now.settings);
        Ok(())
    }
}

/// Our control groups, of any hierarchy.
fn groups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(Path::new("/sys/fs/cgroup"), 6, &mut found);
    found
}

fn collect(folder: &Path, depth: u32, found: &mut BTreeSet<String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path().display().to_string();
        if is_of_a_cluster(&path) {
            found.insert(path);
        } else if depth > 0 {
            collect(&entry.path(), depth - 1, found);
        }
    }
}

/// Processes in our control groups: all that a cluster runs is in them.
fn processes() -> BTreeSet<String> {
    let entries = Path::new("/proc").read_dir().into_iter().flatten().flatten();
    let ours = entries.filter_map(|entry| {
        let groups = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
        let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?.replace('\0', " ");
        is_of_a_cluster(&groups).then(|| format!("{}: {command}", entry.file_name().to_string_lossy()))
    });
    ours.collect()
}

/// Whether a path names a control group of this process, or of one that is gone. Other runs, beside this one, have theirs.
fn is_of_a_cluster(path: &str) -> bool {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let Some(maker) = path.split("rollcall-node-").nth(1).map(digits) else { return false };
    maker == std::process::id().to_string() || !Path::new("/proc").join(maker).exists()
}
