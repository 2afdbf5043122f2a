//! Control groups of our own: every process of a node cluster is in them, and its namespaces see nothing above them.
//!
//! Two layouts exist. With version 1 (also "hybrid", where version 2 is mounted without controllers) each controller has a
//! hierarchy of its own, and ours is a child of the group that this process is in. With version 2 there is one hierarchy,
//! in which a group either holds processes or passes controllers on: ours lies below the root, its processes in a leaf.
//!
//! Everything works on the paths that `/proc/self/mountinfo` names, so that the tests run on trees of plain files.

mod group;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::Identity;

pub(super) use group::Group;

/// What the kubelet, containerd and runc cannot do without.
const REQUIRED_V1: [&str; 7] = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"];
const REQUIRED_V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// Our groups begin so; who made one follows, so that a later run knows which may go.
const PREFIX: &str = "rollcall-node-";

/// How control groups are mounted on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A hierarchy for each controller, or for a few together.
    V1(Vec<Hierarchy>),
    /// One hierarchy. Its root as it is seen here.
    V2(PathBuf),
}

/// A hierarchy of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// As in `/proc/self/cgroup`: `memory`, `cpu,cpuacct`, `name=systemd`.
    pub(super) controllers: String,
    /// The group that this process is in, as a folder.
    pub(super) own: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// That of this machine.
    pub(super) fn read() -> Result<Self> {
        let file = |name: &str| std::fs::read_to_string(name).with_context(|| format!("reading {name}"));
        Self::parse(&file("/proc/self/mountinfo")?, &file("/proc/self/cgroup")?)
    }

    /// From the text of `/proc/self/mountinfo` (proc(5)) and `/proc/self/cgroup` (cgroups(7)).
    pub(super) fn parse(mountinfo: &str, memberships: &str) -> Result<Self> {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
        let hierarchies: Vec<Hierarchy> =
            memberships.lines().filter_map(|line| Hierarchy::find(line, &mounts)).collect();
        let with_controllers = |its: &Hierarchy| REQUIRED_V1.iter().any(|name| its.has(name));
        if hierarchies.iter().any(with_controllers) {
            return Ok(Self::V1(hierarchies));
        }
        let unified = mounts.iter().find(|mount| mount.kind == "cgroup2");
        let unified = unified.context("no control groups are mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")?;
        Ok(Self::V2(unified.point.into()))
    }

    /// What a node needs and this machine does not have, in words.
    pub(super) fn missing(&self) -> Option<String> {
        let (missing, version): (Vec<&str>, _) = match self {
            Self::V1(hierarchies) => {
                let has = |name: &&str| hierarchies.iter().any(|hierarchy| hierarchy.has(name));
                (REQUIRED_V1.into_iter().filter(|name| !has(name)).collect(), 1)
            }
            Self::V2(root) => {
                let there = group::words(&root.join("cgroup.controllers"));
                (REQUIRED_V2.into_iter().filter(|name| !there.iter().any(|its| its == name)).collect(), 2)
            }
        };
        if missing.is_empty() {
            return None;
        }
        let names = missing.join(", ");
        Some(format!(
            "control groups (version {version}) without {names}: the kernel, or the container around, lacks them"
        ))
    }

    /// Makes a group of our own in every hierarchy; the name must not be in use.
    pub(super) fn create(&self, name: &str) -> Result<Group> {
        let own = Identity::own("maker").context("this process is not in /proc")?;
        let name = groups_of(&own) + name;
        match self {
            Self::V1(hierarchies) => Group::v1(hierarchies.iter().map(|hierarchy| hierarchy.own.join(&name)).collect()),
            Self::V2(root) => Group::v2(root.join(&name)),
        }
    }

    /// Removes the groups of runs that were killed. Their processes died with them, or are about to.
    pub(super) fn sweep(&self) {
        let parents: Vec<&Path> = match self {
            Self::V1(hierarchies) => hierarchies.iter().map(|hierarchy| hierarchy.own.as_path()).collect(),
            Self::V2(root) => vec![root],
        };
        let entries = parents.into_iter().filter_map(|parent| parent.read_dir().ok()).flatten().flatten();
        let is_orphan = |name: &str| maker(name).is_some_and(|maker| !maker.is_alive());
        let orphans = entries.filter(|entry| is_orphan(&entry.file_name().to_string_lossy()));
        let orphans: Vec<PathBuf> = orphans.map(|entry| entry.path()).collect();
        group::sweep(&orphans);
    }

    /// Mounts, as arguments of mount(8), that show a fresh control group namespace its own groups in `/sys/fs/cgroup`.
    pub(super) fn mounts(&self) -> Vec<Vec<String>> {
        const AT: &str = "/sys/fs/cgroup";
        let mount = |options: &str, kind: &str, at: &str| -> Vec<String> {
            ["-o", options, "-t", kind, kind, at].map(String::from).to_vec()
        };
        match self {
            Self::V1(hierarchies) => {
                let each = hierarchies.iter().map(|hierarchy| {
                    let options = format!("X-mount.mkdir,{}", hierarchy.mount_options());
                    mount(&options, "cgroup", &format!("{AT}/{}", hierarchy.folder()))
                });
                std::iter::once(mount("mode=755", "tmpfs", AT)).chain(each).collect()
            }
            Self::V2(_) => vec![mount("rw", "cgroup2", AT)],
        }
    }
}

/// How the names of all groups of a process begin: with its id and, since ids are used again, its start time.
pub fn groups_of(maker: &Identity) -> String {
    format!("{PREFIX}{}-{}-", maker.pid, maker.start_ticks)
}

/// The process that made a group of this name, if it is one of ours.
fn maker(name: &str) -> Option<Identity> {
    let mut fields = name.strip_prefix(PREFIX)?.split('-');
    let (pid, start_ticks) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next().map(|_| Identity { name: name.into(), pid, start_ticks })
}

// === impl Hierarchy ===

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|its| its == controller)
    }

    /// From a line of `/proc/self/cgroup`, `4:memory:/user`. That of version 2, `0::/`, is none.
    fn find(membership: &str, mounts: &[Mount<'_>]) -> Option<Self> {
        let mut fields = membership.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_it = |mount: &&Mount<'_>| {
            let mut options = mount.options.split(',');
            mount.kind == "cgroup" && controllers.split(',').all(|its| options.any(|option| option == its))
        };
        let mount = mounts.iter().filter(|_| !controllers.is_empty()).find(is_it)?;
        // A container may see a part of the hierarchy only: the group from which on it is mounted.
        let below = Path::new(path).strip_prefix(mount.root).ok()?;
        Some(Self { controllers: controllers.into(), own: Path::new(mount.point).join(below) })
    }

    fn mount_options(&self) -> String {
        if self.controllers.starts_with("name=") {
            return format!("none,{}", self.controllers);
        }
        self.controllers.clone()
    }

    fn folder(&self) -> &str {
        self.controllers.strip_prefix("name=").unwrap_or(&self.controllers)
    }
}

/// A line of `/proc/self/mountinfo`.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

// === impl Mount ===

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut filesystem = filesystem.split(' ');
        Some(Self { root: mount.next()?, point: mount.next()?, kind: filesystem.next()?, options: filesystem.nth(1)? })
    }
}
