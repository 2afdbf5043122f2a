//! Addresses and routes: one bridge, to which the control plane, the nodes and the machines outside the cluster are
//! connected. Nothing of the machine's own network is used or changed.

use anyhow::{Context, Result};

use super::addresses::{Addresses, OUTSIDE_COUNT};
use super::space::Space;

/// How the names of all network devices begin that are made here. Should one escape from its namespace, it is known by it.
pub const LINK_PREFIX: &str = "rollcall";

const BRIDGE: &str = LINK_PREFIX;
/// The bridge of a node's pods, which the plugin `bridge` makes.
pub(super) const POD_BRIDGE: &str = "rollcall-pods";

/// The network of the control plane and of the machines outside the cluster.
///
/// The way to pods leads through their node, and that to ClusterIPs through the first: what runs outside of the cluster
/// can call its Services, and the API server its webhooks.
pub(super) fn set_up_control(space: &Space, of: Addresses, nodes: u8) -> Result<()> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("link add {BRIDGE} type bridge"),
        format!("address add {}/24 dev {BRIDGE}", of.control()),
        format!("link set {BRIDGE} up"),
        format!("route add {} via {}", of.services(), of.node(1)),
    ];
    lines.extend((0..OUTSIDE_COUNT).map(|index| format!("address add {}/24 dev {BRIDGE}", of.outside(index))));
    lines.extend((1..=nodes).map(|index| format!("route add {} via {}", of.pods_of(index), of.node(index))));
    ip(space, &lines)
}

/// The network of a node, connected to the bridge.
pub(super) fn set_up_node(control: &Space, space: &Space, of: Addresses, index: u8, nodes: u8) -> Result<()> {
    let cable = cable(index);
    let pid = space.pid();
    ip(
        control,
        &[
            format!("link add {cable} type veth peer name eth0 netns {pid}"),
            format!("link set {cable} master {BRIDGE} up"),
        ],
    )?;
    let mut lines = vec![
        "link set lo up".to_owned(),
        "link set eth0 up".to_owned(),
        format!("address add {}/24 dev eth0", of.node(index)),
        format!("route add default via {}", of.control()),
    ];
    let others = (1..=nodes).filter(|other| *other != index);
    lines.extend(others.map(|other| format!("route add {} via {}", of.pods_of(other), of.node(other))));
    ip(space, &lines)?;
    // What a cluster's administrator sets: nodes forward for their pods, and kube-proxy sees what crosses the bridge.
    ["ipv4/ip_forward", "bridge/bridge-nf-call-iptables"].iter().try_for_each(|name| set(space, name))
}

/// Turns a setting of the network on.
fn set(space: &Space, name: &str) -> Result<()> {
    space.inside(|| {
        let file = format!("/proc/sys/net/{name}");
        std::fs::write(&file, "1").with_context(|| format!("writing {file}"))
    })
}

/// Connects the networks of two clusters as a flat one: nodes, pods and machines of each are reached from the other at their own
/// addresses. ClusterIPs are each cluster's own.
pub(super) fn connect(one: (&Space, Addresses), other: (&Space, Addresses)) -> Result<()> {
    let device = |to: Addresses| format!("{LINK_PREFIX}-to-{}", to.number());
    let (there, here) = (device(other.1), device(one.1));
    let pid = other.0.pid();
    ip(one.0, &[format!("link add {there} type veth peer name {here} netns {pid}")])?;
    for ((space, own), (_, peer)) in [(one, other), (other, one)] {
        let (device, gateway) = (device(peer), peer.control());
        let route = |range: String| format!("route add {range} via {gateway} dev {device} onlink");
        ip(
            space,
            &[
                format!("address add {} peer {gateway}/32 dev {device}", own.control()),
                format!("link set {device} up"),
                route(peer.network()),
                route(peer.pods()),
            ],
        )?;
        // What nodes send to the other cluster goes through the control plane's network.
        set(space, "ipv4/ip_forward")?;
    }
    Ok(())
}

/// Pulls a node's cable, or puts it in again.
pub(super) fn set_link(control: &Space, index: u8, state: &str) -> Result<()> {
    ip(control, &[format!("link set {} {state}", cable(index))])
}

fn cable(index: u8) -> String {
    format!("{LINK_PREFIX}-node{index}")
}

/// One ip(8) for all lines.
fn ip(space: &Space, lines: &[String]) -> Result<()> {
    use std::io::Write;
    use std::process::Stdio;

    let mut ip = space
        .network_command("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting nsenter")?;
    if let Some(mut input) = ip.stdin.take() {
        input.write_all((lines.join("\n") + "\n").as_bytes()).context("talking to ip")?;
    }
    let output = ip.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "setting up the network: {}", error.trim());
    Ok(())
}
