//! What a machine lacks to run nodes, in words: so that those who cannot run them know why.

use std::path::Path;
use std::process::Command;

use super::cgroups::Layout;
use super::mounts;
use crate::{layout, tools};

/// Programs of other packages than nft, which [`tools::node`] installs where it may.
const PROGRAMS: [(&str, &str); 8] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "util-linux or mount"),
    ("umount", "util-linux or mount"),
    ("hostname", "hostname"),
    ("ip", "iproute2"),
    ("sh", "dash or bash"),
];

/// Namespaces as a node needs them, with what is done in them first.
const NAMESPACES: [&str; 9] =
    ["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--mount-proc", "--propagation=private"];

/// Everything that is missing, each as a sentence without a full stop. Empty where nodes can run. Changes nothing.
pub fn missing() -> Vec<String> {
    if !cfg!(target_os = "linux") {
        return vec!["nodes need Linux".into()];
    }
    if !rustix::process::getuid().is_root() {
        return vec!["nodes need root: namespaces of mounts, networks and control groups are made".into()];
    }
    let mut missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, _)| tools::on_path(program).is_none())
        .map(|(program, package)| format!("the program {program} is missing: install the package {package}"))
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    missing.extend(control_groups());
    missing.extend(kernel());
    missing.extend(hidden(&layout::root()));
    missing
}

fn control_groups() -> Option<String> {
    match Layout::read() {
        Ok(layout) => layout.missing(),
        Err(error) => Some(format!("{error:#}")),
    }
}

/// What the kernel, or the container that this runs in, refuses. Tried in namespaces that end at once.
fn kernel() -> Vec<String> {
    let refuses = |script: &str| {
        let tried = Command::new("unshare").args(NAMESPACES).args(["sh", "-ec", script]).output();
        let Ok(output) = tried else { return Some("unshare cannot be started".to_owned()) };
        let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
        (!output.status.success()).then_some(said)
    };
    if let Some(said) = refuses("true") {
        return vec![format!("namespaces are refused, as in a container without privileges: {said}")];
    }
    let probes = [
        ("mount -t sysfs sysfs /sys", "mounts are refused, as in a container without privileges"),
        ("ip link add name test0 type bridge", "the kernel has no bridge: modprobe bridge"),
        ("ip link add name test1 type veth peer name test2", "the kernel has no veth: modprobe veth"),
        (
            "test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
            "packets between pods of a node bypass kube-proxy's rules: modprobe br_netfilter",
        ),
        ("test -e /proc/sys/kernel/seccomp/actions_avail", "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"),
        ("test -c /dev/kmsg", "/dev/kmsg is missing, from which the kubelet learns who ran out of memory"),
        (NFT, "the kernel lacks nftables with NAT: modprobe nft_chain_nat nft_masq nft_fib nft_numgen"),
    ];
    let answers = probes.into_iter().filter_map(|(script, words)| Some((words, refuses(script)?)));
    answers.map(|(words, said)| if said.is_empty() { words.to_owned() } else { format!("{words} ({said})") }).collect()
}

/// A rule of each kind that kube-proxy writes. Where nft is not there yet, there is nothing to try.
const NFT: &str = "command -v nft > /dev/null || exit 0; nft 'table ip t {
    chain n { type nat hook prerouting priority dstnat; numgen random mod 2 vmap { 0 : accept }; }
    chain p { type nat hook postrouting priority srcnat; fib daddr type local masquerade; }
}'";

/// The node hides some folders of the machine from itself; what it runs must not be in them.
fn hidden(root: &Path) -> Option<String> {
    let folder = mounts::HIDDEN.into_iter().find(|hidden| root.starts_with(hidden))?;
    Some(format!("the working copy is in {folder}, which a node replaces by a folder of its own: use another place"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_copy_in_a_folder_that_nodes_hide_is_refused_in_words() {
        assert!(hidden(Path::new("/var/lib/ci/rollcall")).unwrap().contains("/var/lib"));
        assert_eq!(hidden(Path::new("/home/me/rollcall")), None);
    }
}
