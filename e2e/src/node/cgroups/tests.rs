//! Tests: control groups of our own.

use std::path::{Path, PathBuf};

use super::*;
use crate::layout::Scratch;

const MOUNTS_V1: &str = "\
31 24 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:30 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:31 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
36 31 0:32 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:33 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
38 31 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd";

const OWN_V1: &str = "\
8:freezer:/
7:devices:/
6:pids:/user
5:cpuset:/
4:memory:/user/session
3:cpu,cpuacct:/
1:name=systemd:/user/session
";

const UNIFIED: &str = "\n39 31 0:35 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

fn own<'a>(layout: &'a Layout, controllers: &str) -> Option<&'a Path> {
    let Layout::V1(hierarchies) = layout else { return None };
    let found = hierarchies.iter().find(|hierarchy| hierarchy.controllers == controllers);
    found.map(|hierarchy| hierarchy.own.as_path())
}

#[test]
fn with_version_1_our_group_is_below_the_one_that_we_are_in() {
    let layout = Layout::parse(MOUNTS_V1, OWN_V1).unwrap();
    assert_eq!(own(&layout, "memory"), Some(Path::new("/sys/fs/cgroup/memory/user/session")));
    assert_eq!(own(&layout, "cpu,cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
    assert_eq!(own(&layout, "name=systemd"), Some(Path::new("/sys/fs/cgroup/systemd/user/session")));
    assert_eq!(layout.missing(), None);
}

#[test]
fn version_2_without_controllers_beside_version_1_is_left_alone() {
    let hybrid = Layout::parse(&format!("{MOUNTS_V1}{UNIFIED}"), &format!("{OWN_V1}0::/user/session\n")).unwrap();
    assert_eq!(hybrid, Layout::parse(MOUNTS_V1, OWN_V1).unwrap());
}

#[test]
fn version_2_beside_a_version_1_that_only_names_processes_is_version_2() {
    let mounts = "38 31 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd".to_owned() + UNIFIED;
    let layout = Layout::parse(&mounts, "1:name=systemd:/\n0::/user\n").unwrap();
    assert_eq!(layout, Layout::V2("/sys/fs/cgroup/unified".into()));
}

#[test]
fn a_container_that_sees_a_part_of_the_hierarchy_finds_itself_in_it() {
    let mounts = "33 31 0:29 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
    let layout = Layout::parse(mounts, "4:memory:/docker/c1/inner\n").unwrap();
    assert_eq!(own(&layout, "memory"), Some(Path::new("/sys/fs/cgroup/memory/inner")));
    let missing = layout.missing().unwrap();
    assert!(missing.contains("version 1") && missing.contains("pids") && !missing.contains("memory"), "{missing}");
}

#[test]
fn no_control_groups_at_all_is_said_with_the_remedy() {
    let error = Layout::parse("24 1 8:1 / / rw - ext4 /dev/sda1 rw", "0::/\n").unwrap_err().to_string();
    assert!(error.contains("mount -t cgroup2"), "{error}");
}

#[test]
fn namespaces_see_each_hierarchy_under_its_own_name() {
    let mounts = Layout::parse(MOUNTS_V1, OWN_V1).unwrap().mounts();
    let lines: Vec<String> = mounts.iter().map(|mount| mount.join(" ")).collect();
    assert_eq!(lines[0], "-o mode=755 -t tmpfs tmpfs /sys/fs/cgroup");
    assert!(lines.contains(&"-o X-mount.mkdir,cpu,cpuacct -t cgroup cgroup /sys/fs/cgroup/cpu,cpuacct".into()));
    assert!(lines.contains(&"-o X-mount.mkdir,none,name=systemd -t cgroup cgroup /sys/fs/cgroup/systemd".into()));
    assert_eq!(Layout::V2("/cg".into()).mounts(), [["-o", "rw", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]]);
}

/// A folder that looks like the root of version 2, on a machine or, with `cgroup.type`, in a container.
fn unified(name: &str, files: &[(&str, &str)]) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name).unwrap();
    let root = scratch.path().to_path_buf();
    for (file, text) in files {
        std::fs::write(root.join(file), text).unwrap();
    }
    (scratch, root)
}

/// The name of a group that this process makes.
fn own_group(name: &str) -> String {
    groups_of(&Identity::own("test").unwrap()) + name
}

fn read(file: PathBuf) -> String {
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn on_a_machine_of_version_2_processes_of_others_stay_where_they_are() {
    let files = [
        ("cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma\n"),
        ("cgroup.subtree_control", "memory pids\n"),
        ("cgroup.procs", "1\n2\n"),
    ];
    let (scratch, root) = unified("cgroup-root", &files);
    let layout = Layout::V2(root.clone());
    assert_eq!(layout.missing(), None);
    let group = layout.create("a").unwrap();
    assert_eq!(read(root.join("cgroup.subtree_control")), "+cpu +cpuset +hugetlb +io");
    assert!(!root.join("processes").exists());
    assert_eq!(group.doors(), [root.join(own_group("a")).join("cgroup.procs")]);
    scratch.remove().unwrap();
}

#[test]
fn in_a_container_of_version_2_its_processes_make_way_first() {
    let files = [
        ("cgroup.controllers", "cpuset cpu memory pids\n"),
        ("cgroup.subtree_control", "\n"),
        ("cgroup.procs", "1\n7\n"),
        ("cgroup.type", "domain\n"),
    ];
    let (scratch, root) = unified("cgroup-container", &files);
    Layout::V2(root.clone()).create("a").unwrap();
    assert_eq!(read(root.join("processes/cgroup.procs")), "7", "the one moved last");
    assert_eq!(read(root.join("cgroup.subtree_control")), "+cpu +cpuset +memory +pids");
    scratch.remove().unwrap();
}

#[test]
fn a_group_of_version_2_is_delegated_once_its_processes_are_in_a_leaf() {
    let (scratch, root) = unified("cgroup-delegate", &[("cgroup.controllers", "cpuset cpu memory pids\n")]);
    let mut group = Layout::V2(root.clone()).create("a").unwrap();
    let folder = group.doors()[0].parent().unwrap().to_path_buf();
    // What the kernel would have put there.
    std::fs::write(folder.join("cgroup.controllers"), "cpuset cpu memory pids\n").unwrap();
    std::fs::write(folder.join("cgroup.type"), "domain\n").unwrap();
    std::fs::write(folder.join("cgroup.procs"), "42\n").unwrap();
    group.delegate().unwrap();
    assert_eq!(read(folder.join("processes/cgroup.procs")), "42");
    assert_eq!(read(folder.join("cgroup.subtree_control")), "+cpu +cpuset +memory +pids");
    assert_eq!(group.doors(), [folder.join("processes/cgroup.procs")]);
    let child = group.child("node1").unwrap();
    assert_eq!(child.doors(), [folder.join("node1/cgroup.procs")]);
    scratch.remove().unwrap();
}

#[test]
fn a_group_of_version_1_may_use_the_cpus_of_its_parent() {
    let (scratch, root) = unified("cgroup-cpuset", &[("cpuset.cpus", "0-1\n"), ("cpuset.mems", "0\n")]);
    let layout = Layout::V1(vec![Hierarchy { controllers: "cpuset".into(), own: root.clone() }]);
    let mut group = layout.create("a").unwrap();
    let folder = group.doors()[0].parent().unwrap().to_path_buf();
    assert_eq!((read(folder.join("cpuset.cpus")), read(folder.join("cpuset.mems"))), ("0-1".into(), "0".into()));
    group.delegate().unwrap();
    let child = group.child("node1").unwrap();
    assert_eq!(read(folder.join("node1/cpuset.cpus")), "0-1");
    assert_eq!(child.doors(), [folder.join("node1/cgroup.procs")]);
    scratch.remove().unwrap();
}

#[test]
fn groups_of_runs_that_are_gone_are_swept_and_no_others() {
    let (scratch, root) = unified("cgroup-sweep", &[]);
    // No process has an id beyond the kernel's limit of 2^22.
    let (gone, ours) = ("rollcall-node-4194999-1-a", own_group("a"));
    // The id of a process that is gone was given to this one.
    let own = Identity::own("test").unwrap();
    let before_us = groups_of(&Identity { start_ticks: own.start_ticks - 1, ..own }) + "a";
    for name in [gone, &before_us, &ours, "rollcall-node-other", "user.slice"] {
        std::fs::create_dir_all(root.join(name).join("below")).unwrap();
    }
    Layout::V2(root.clone()).sweep();
    let left = |name: &str| root.join(name).exists();
    assert!(!left(gone) && !left(&before_us), "of processes that are gone");
    assert!(left(&ours) && left("rollcall-node-other") && left("user.slice"));
    scratch.remove().unwrap();
}
