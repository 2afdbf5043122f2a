//! One group, in every hierarchy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock;

/// What is passed on to groups below, where it is there. Not all: RDMA and the like concern nobody here.
const WANTED_V2: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];

/// The leaf for processes of a group of version 2 that passes controllers on.
const LEAF: &str = "processes";

/// How long the kernel may take to let go of a group whose processes were killed.
const REMOVE_BOUND: Duration = Duration::from_secs(60);
/// The same for groups of others that were killed: what is left then, a later run removes.
const SWEEP_BOUND: Duration = Duration::from_secs(10);

/// A group of our own. It stays until [`Group::remove`].
#[derive(Clone, Debug)]
pub(in crate::node) struct Group {
    /// One for each hierarchy.
    folders: Vec<PathBuf>,
    /// Where processes go, in each hierarchy.
    members: Vec<PathBuf>,
    is_v2: bool,
}

// === impl Group ===

impl Group {
    pub(super) fn v1(folders: Vec<PathBuf>) -> Result<Self> {
        for folder in &folders {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("making the control group {}", folder.display()))?;
            copy_cpuset(folder)?;
        }
        Ok(Self { members: folders.clone(), folders, is_v2: false })
    }

    /// The parent passes controllers on from now on.
    pub(super) fn v2(folder: PathBuf) -> Result<Self> {
        if let Some(parent) = folder.parent() {
            pass_on(parent)?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("making the control group {}", folder.display()))?;
        Ok(Self { members: vec![folder.clone()], folders: vec![folder], is_v2: true })
    }

    /// A group below this one.
    pub(in crate::node) fn child(&self, name: &str) -> Result<Self> {
        if let (true, [folder]) = (self.is_v2, self.folders.as_slice()) {
            return Self::v2(folder.join(name));
        }
        Self::v1(self.folders.iter().map(|folder| folder.join(name)).collect())
    }

    /// The files to which a process writes its id to be in the group.
    pub(in crate::node) fn doors(&self) -> Vec<PathBuf> {
        self.members.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Readies the group to have groups below, now that namespaces have it as their root. With version 2 that cannot be
    /// done earlier: the root of a namespace is where a process is, and then no process may be there.
    pub(in crate::node) fn delegate(&mut self) -> Result<()> {
        if let (true, [folder]) = (self.is_v2, self.folders.as_slice()) {
            self.members = vec![empty_into_leaf(folder)?];
            pass_on(folder)?;
        }
        Ok(())
    }

    /// Removes the group and all below, once the kernel has let go of its processes.
    pub(in crate::node) fn remove(&self) -> Result<()> {
        remove_trees(&self.folders, REMOVE_BOUND)
    }
}

/// Removes groups that nobody else will remove, and all below, as far as that can be done soon.
pub(super) fn sweep(folders: &[PathBuf]) {
    // What cannot be removed hinders nobody, and is tried again by the next.
    let _ = remove_trees(folders, SWEEP_BOUND);
}

fn remove_trees(folders: &[PathBuf], bound: Duration) -> Result<()> {
    let start = clock::now();
    loop {
        folders.iter().for_each(|folder| remove_tree(folder));
        let Some(left) = folders.iter().find(|folder| folder.exists()) else { return Ok(()) };
        if start.elapsed() > bound {
            bail!("the control group {} cannot be removed: see cgroup.procs in it", left.display());
        }
        // Not `wait_until`: an interrupt is often why it shall go.
        clock::pause(Duration::from_millis(10));
    }
}

/// Removes a group and those below as far as they are empty. Groups are folders whose files cannot be removed and need not.
fn remove_tree(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // Busy for a moment after its last process; the caller looks again.
    let _ = std::fs::remove_dir(folder);
}

/// A fresh group of a `cpuset` hierarchy may use no CPU and no memory, and refuses processes until it is told which.
fn copy_cpuset(folder: &Path) -> Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(value) = std::fs::read_to_string(parent.join(name)) else { continue };
        std::fs::write(folder.join(name), value.trim())
            .with_context(|| format!("setting {name} of {}", folder.display()))?;
    }
    Ok(())
}

/// Makes a group of version 2 pass its controllers on. If processes are in it and in the way, they go into a leaf below.
fn pass_on(folder: &Path) -> Result<()> {
    let (there, passed) = (words(&folder.join("cgroup.controllers")), words(&folder.join("cgroup.subtree_control")));
    let missing: Vec<&str> = WANTED_V2
        .into_iter()
        .filter(|name| there.iter().any(|its| its == name) && !passed.iter().any(|its| its == name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    // The root of all, which alone has no type, may have both processes and controllers below.
    if folder.join("cgroup.type").exists() {
        empty_into_leaf(folder)?;
    }
    let orders: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
    std::fs::write(folder.join("cgroup.subtree_control"), orders.join(" "))
        .with_context(|| format!("passing {} on below the control group {}", missing.join(", "), folder.display()))
}

/// Moves the processes of a group into a leaf below it, and returns that.
fn empty_into_leaf(folder: &Path) -> Result<PathBuf> {
    const ROUNDS: usize = 20;
    let leaf = folder.join(LEAF);
    std::fs::create_dir_all(&leaf).with_context(|| format!("making the control group {}", leaf.display()))?;
    let mut moved = BTreeSet::new();
    // Again, for those that were started meanwhile.
    for _ in 0..ROUNDS {
        let fresh: Vec<String> =
            words(&folder.join("cgroup.procs")).into_iter().filter(|pid| moved.insert(pid.clone())).collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            // It may have ended, and then need not move.
            let _ = std::fs::write(leaf.join("cgroup.procs"), &pid);
        }
    }
    Ok(leaf)
}

/// The words of a file; none if it cannot be read.
pub(super) fn words(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(String::from).collect()
}
