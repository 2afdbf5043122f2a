//! The addresses of a cluster: ranges by its number, so that clusters that reach each other have none in common.

use std::net::{IpAddr, Ipv4Addr};

/// Where a cluster has its control plane, nodes, pods and Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Counted from 0.
    number: u8,
}

/// How many addresses there are for machines outside the cluster.
pub const OUTSIDE_COUNT: u8 = 20;

// === impl Addresses ===

impl Addresses {
    /// How many clusters may be numbered.
    pub const COUNT: u8 = 4;

    /// Those of the cluster of this number, counted from 0 and below [`Self::COUNT`].
    pub fn of(number: u8) -> Self {
        assert!(number < Self::COUNT, "clusters are numbered from 0 to {}", Self::COUNT - 1);
        Self { number }
    }

    /// The cluster's number.
    pub fn number(self) -> u8 {
        self.number
    }

    /// The control plane: the gateway of nodes, and, at port 53, the name server of their `resolv.conf`.
    pub fn control(self) -> Ipv4Addr {
        self.of_network(1)
    }

    /// The control plane, the nodes and the machines outside the cluster.
    pub fn network(self) -> String {
        format!("{}/24", self.of_network(0))
    }

    /// A node; nodes are counted from 1.
    pub fn node(self, index: u8) -> Ipv4Addr {
        self.of_network(10 + index)
    }

    /// A machine outside the cluster, which pods reach; counted from 0, below [`OUTSIDE_COUNT`].
    pub fn outside(self, index: u8) -> IpAddr {
        IpAddr::V4(self.of_network(100 + index))
    }

    /// The range of all pods.
    pub fn pods(self) -> String {
        format!("10.{}.0.0/16", 244 + self.number)
    }

    /// The pods of a node.
    pub fn pods_of(self, index: u8) -> String {
        format!("10.{}.{index}.0/24", 244 + self.number)
    }

    /// The range of ClusterIPs.
    pub fn services(self) -> String {
        format!("{}/16", self.of_services(0))
    }

    /// The ClusterIP of the API server.
    pub fn api(self) -> Ipv4Addr {
        self.of_services(1)
    }

    /// The ClusterIP that pods have as their name server.
    pub fn dns(self) -> Ipv4Addr {
        self.of_services(10)
    }

    fn of_network(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.number, last)
    }

    fn of_services(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 96 + self.number, 0, last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_clusters_have_a_range_in_common() {
        let ranges = |number| {
            let of = Addresses::of(number);
            [of.network(), of.pods(), of.services()]
        };
        let all: BTreeSet<_> = (0..Addresses::COUNT).flat_map(ranges).collect();
        assert_eq!(all.len(), usize::from(Addresses::COUNT) * 3, "{all:?}");
    }
}
