//! The address guard: which addresses a registration may not claim.
//!
//! Whoever may create a ServiceRegistration chooses where callers of that Service connect to. Without a guard that
//! re-opens CVE-2021-25740: steering traffic to addresses that the author could not reach himself.

use std::fmt;
use std::net::IpAddr;

use crate::hashed::HashMap;
use crate::model::Name;

mod blocks;
mod cidr;
mod special;

use self::blocks::Blocks;
pub use self::cidr::{Cidr, InvalidCidr};
pub(crate) use self::special::all_of;
use self::special::special;

/// What registrations may not claim, beside the addresses that no EndpointSlice may hold. A check costs the same
/// however many blocks and hosts there are.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    blocks: Blocks,
    /// The nodes of an address, sorted; and how many pods have one: there are many of those, so they are not named.
    nodes: HashMap<IpAddr, Vec<Name>>,
    pods: HashMap<IpAddr, u32>,
    allowed: Vec<(Name, Cidr)>,
}

/// A block that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reserved {
    /// The block.
    pub block: Cidr,
    /// Whose it is, as a noun phrase: "the pods of node-a", "the Services of this cluster".
    pub owner: Name,
}

/// Who has an address of his own in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A node.
    Node(Name),
    /// A pod.
    Pod,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 0.0.0.0 or ::.
    Unspecified,
    /// 127.0.0.0/8 or ::1: the caller's own machine.
    Loopback,
    /// 169.254.0.0/16 or fe80::/10: reachable from its own link only, and where clouds keep instance credentials.
    LinkLocal,
    /// An address for many.
    Multicast,
    /// Where a cloud answers its machines, with credentials too.
    Metadata,
    /// In 0.0.0.0/8 or 240.0.0.0/4: no machine has it.
    NoHost,
    /// Inside a block of the cluster itself.
    Reserved(Reserved),
    /// The address of a node or pod.
    Taken(IpAddr, Host),
}

// === impl Guard ===

impl Guard {
    /// A guard of `reserved` blocks, with exceptions that hold for one namespace each.
    pub fn new(reserved: Vec<Reserved>, allowed: Vec<(Name, Cidr)>) -> Self {
        let mut guard = Self { allowed, ..Self::default() };
        reserved.into_iter().for_each(|reserved| guard.reserve(reserved));
        guard
    }

    /// Reserves a block; as often as it is reserved, it has to be released.
    pub fn reserve(&mut self, reserved: Reserved) {
        self.blocks.insert(reserved);
    }

    /// Takes a reservation back.
    pub fn release(&mut self, reserved: &Reserved) {
        self.blocks.remove(reserved);
    }

    /// Keeps an address for whom it belongs to; as often as it is taken, it has to be given back. Whether a refusal would
    /// read differently now.
    pub fn take(&mut self, ip: IpAddr, host: Host) -> bool {
        let before = self.host(ip);
        match host {
            Host::Node(name) => {
                let names = self.nodes.entry(ip).or_default();
                let at = names.partition_point(|other| *other < name);
                names.insert(at, name);
            }
            Host::Pod => *self.pods.entry(ip).or_default() += 1,
        }
        self.host(ip) != before
    }

    /// An address is its host's no more. Whether a refusal would read differently now.
    pub fn give_back(&mut self, ip: IpAddr, host: &Host) -> bool {
        let before = self.host(ip);
        match host {
            Host::Node(name) => {
                let names = self.nodes.entry(ip).or_default();
                if let Ok(at) = names.binary_search(name) {
                    names.remove(at);
                }
                if names.is_empty() {
                    self.nodes.remove(&ip);
                }
            }
            Host::Pod => match self.pods.get_mut(&ip) {
                Some(count) if *count > 1 => *count -= 1,
                _ => _ = self.pods.remove(&ip),
            },
        }
        self.host(ip) != before
    }

    fn host(&self, ip: IpAddr) -> Option<Host> {
        let node = self.nodes.get(&ip).and_then(|names| names.first());
        node.map(|name| Host::Node(Name::clone(name))).or_else(|| self.pods.get(&ip).map(|_| Host::Pod))
    }

    /// The exceptions: each holds for one namespace.
    pub fn allow(&mut self, allowed: Vec<(Name, Cidr)>) {
        self.allowed = allowed;
    }

    /// Whether a registration in `namespace` may claim `ip`.
    ///
    /// # Errors
    /// The reason for which it may not. Loopback and link-local addresses are never allowed: the API server refuses
    /// EndpointSlices that hold them. An IPv6 address that carries an IPv4 address is judged by both.
    pub fn check(&self, namespace: &str, ip: IpAddr) -> Result<(), Refusal> {
        self.check_one(namespace, ip)?;
        special::embedded(ip).map_or(Ok(()), |carried| self.check_one(namespace, carried))
    }

    fn check_one(&self, namespace: &str, ip: IpAddr) -> Result<(), Refusal> {
        if let Some(refusal) = special(ip) {
            return Err(refusal);
        }
        if self.allowed.iter().any(|(allowed, block)| &**allowed == namespace && block.contains(ip)) {
            return Ok(());
        }
        if let Some(reserved) = self.blocks.find(ip) {
            return Err(Refusal::Reserved(reserved.clone()));
        }
        match self.host(ip) {
            Some(host) => Err(Refusal::Taken(ip, host)),
            None => Ok(()),
        }
    }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => f.write_str("is unspecified; give the address that the machine listens on"),
            Self::Loopback => f.write_str("is a loopback address; give one that other nodes can reach"),
            Self::LinkLocal => f.write_str("is link-local; give one that other nodes can reach"),
            Self::Multicast => f.write_str("is a multicast address; give the address of one machine"),
            Self::Metadata => {
                f.write_str("is where the cloud tells its machines their credentials; give the address of a machine")
            }
            Self::NoHost => {
                f.write_str("is in a range that no machine has (0.0.0.0/8, 240.0.0.0/4); give the address of a machine")
            }
            Self::Reserved(Reserved { block, owner }) => write!(
                f,
                "is in {block}, which belongs to {owner}; give an address outside the cluster, or allow the block: with the \
                 chart's value controller.allowedCIDRs={{NAMESPACE: [{block}]}}, or the controller's flag --allow-cidr \
                 NAMESPACE={block}"
            ),
            Self::Taken(ip, host) => {
                let block = format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
                write!(
                    f,
                    "is the address of {host}; give an address outside the cluster, or allow it: with the chart's value \
                     controller.allowedCIDRs={{NAMESPACE: [{block}]}}, or the controller's flag --allow-cidr NAMESPACE={block}"
                )
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node {name}"),
            Self::Pod => f.write_str("a pod of this cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_that_no_slice_may_hold_are_refused_everywhere() {
        let guard = Guard::new(vec![], vec![("shop".into(), "0.0.0.0/0".parse().expect("a block"))]);
        let refused = ["0.0.0.0", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1"]
            .map(|text| guard.check("shop", ip(text)));
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        assert_eq!(guard.check("shop", ip("198.51.100.7")), Ok(()));
    }

    #[test]
    fn a_block_of_the_cluster_is_refused_unless_allowed_for_that_namespace() {
        let pods =
            Reserved { block: "10.244.0.0/16".parse().expect("a block"), owner: "the pods of this cluster".into() };
        let guard = Guard::new(vec![pods.clone()], vec![("lab".into(), "10.244.9.0/24".parse().expect("a block"))]);
        assert_eq!(guard.check("shop", ip("10.244.9.1")), Err(Refusal::Reserved(pods.clone())));
        assert_eq!(guard.check("lab", ip("10.244.9.1")), Ok(()));
        assert_eq!(guard.check("lab", ip("10.244.8.1")), Err(Refusal::Reserved(pods)));
        assert_eq!(guard.check("shop", ip("10.245.0.1")), Ok(()));
    }

    #[test]
    fn addresses_of_no_machine_and_of_clouds_are_refused_in_every_dress() {
        let guard =
            Guard::new(vec![], ["0.0.0.0/0", "::/0"].map(|all| ("shop".into(), all.parse().expect("a block"))).into());
        let refused = [
            "0.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:42::42",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:127.0.0.1",
        ];
        for text in refused {
            assert!(guard.check("shop", ip(text)).is_err(), "{text} is allowed");
        }
        assert_eq!(guard.check("shop", ip("64:ff9b::c633:6407")), Ok(()));
    }

    #[test]
    fn the_addresses_of_nodes_and_pods_are_theirs_until_they_give_them_back() {
        let mut guard = Guard::default();
        let (node, pod) = (Host::Node("node-a".into()), Host::Pod);
        assert!(guard.take(ip("192.0.2.1"), node.clone()) && !guard.take(ip("192.0.2.1"), pod.clone()));
        let refusal = guard.check("shop", ip("192.0.2.1")).expect_err("taken");
        assert!(
            refusal.to_string().contains("node node-a") && refusal.to_string().contains("=192.0.2.1/32"),
            "{refusal}"
        );
        assert!(guard.give_back(ip("192.0.2.1"), &node) && guard.give_back(ip("192.0.2.1"), &pod));
        assert_eq!(guard.check("shop", ip("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_block_is_reserved_until_each_owner_has_released_it() {
        let mut guard = Guard::default();
        let of = |owner: &str| Reserved { block: "10.1.0.0/16".parse().expect("a block"), owner: owner.into() };
        for owner in ["a", "b", "b"] {
            guard.reserve(of(owner));
        }
        for owner in ["b", "a", "b"] {
            assert!(guard.check("shop", ip("10.1.2.3")).is_err());
            guard.release(&of(owner));
        }
        assert_eq!(guard.check("shop", ip("10.1.2.3")), Ok(()));
    }
}
