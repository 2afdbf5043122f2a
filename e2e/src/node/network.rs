//! Addresses and routes: one bridge, to which the control plane, the nodes and the machines outside the cluster are
//! connected. Nothing of the machine's own network is used or changed.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};

use super::space::Space;

/// The control plane.
pub(super) const CONTROL: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// The range of ClusterIPs.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The range of all pods.
pub const POD_RANGE: &str = "10.244.0.0/16";
/// How many addresses there are for machines outside the cluster.
pub const OUTSIDE_COUNT: u8 = 20;

/// How the names of all network devices begin that are made here. Should one escape from its namespace, it is known by it.
pub const LINK_PREFIX: &str = "rollcall";

const BRIDGE: &str = LINK_PREFIX;
/// The bridge of a node's pods, which the plugin `bridge` makes.
pub(super) const POD_BRIDGE: &str = "rollcall-pods";

/// The address of a node; nodes are counted from 1.
pub(super) fn node(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, 10 + index)
}

/// The pods of a node.
pub(super) fn pods(index: u8) -> String {
    format!("10.244.{index}.0/24")
}

/// An address outside the cluster, which pods reach; counted from 0, below [`OUTSIDE_COUNT`].
pub(super) fn outside(index: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(172, 30, 0, 100 + index))
}

/// The network of the control plane and of the machines outside the cluster.
///
/// The way to pods leads through their node, and that to ClusterIPs through the first: what runs outside of the cluster
/// can call its Services, and the API server its webhooks.
pub(super) fn set_up_control(space: &Space, nodes: u8) -> Result<()> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("link add {BRIDGE} type bridge"),
        format!("address add {CONTROL}/24 dev {BRIDGE}"),
        format!("link set {BRIDGE} up"),
        format!("route add {SERVICE_RANGE} via {}", node(1)),
    ];
    lines.extend((0..OUTSIDE_COUNT).map(|index| format!("address add {}/24 dev {BRIDGE}", outside(index))));
    lines.extend((1..=nodes).map(|index| format!("route add {} via {}", pods(index), node(index))));
    ip(space, &lines)
}

/// The network of a node, connected to the bridge.
pub(super) fn set_up_node(control: &Space, space: &Space, index: u8, nodes: u8) -> Result<()> {
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
        format!("address add {}/24 dev eth0", node(index)),
        format!("route add default via {CONTROL}"),
    ];
    let others = (1..=nodes).filter(|other| *other != index);
    lines.extend(others.map(|other| format!("route add {} via {}", pods(other), node(other))));
    ip(space, &lines)?;
    space.inside(|| {
        // What a cluster's administrator sets: nodes forward for their pods, and kube-proxy sees what crosses the bridge.
        for name in ["ipv4/ip_forward", "bridge/bridge-nf-call-iptables"] {
            let file = format!("/proc/sys/net/{name}");
            std::fs::write(&file, "1").with_context(|| format!("writing {file}"))?;
        }
        Ok(())
    })
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
