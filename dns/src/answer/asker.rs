//! Who asks, and how this server treats whoever does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rollcall_catalog::guard::Cidr;

use super::completion::Completion;
use super::edns::cookie::Secret;
use super::kept::Gives;
use super::{Outside, Transport};
use crate::hosts::Table;

/// Who asks, how and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// How the query came.
    pub transport: Transport,
    /// From where.
    pub from: IpAddr,
    /// When, in seconds since the epoch, which may wrap.
    pub now_s: u32,
}

/// How this server answers, whatever is asked.
#[derive(Clone)]
pub struct Manner {
    /// What becomes of other names.
    pub outside: Outside,
    /// Who is answered. Everybody else is refused.
    pub clients: Networks,
    /// Who may have zones whole.
    pub transfer_to: Networks,
    /// Whose names are completed.
    pub completion: Completion,
    /// This server's name, for those who ask for it; of at most 255 bytes, and empty for none.
    pub nsid: &'static [u8],
    /// Of cookies: the same on all servers that are to take each other's.
    pub secret: Secret,
    /// Names of a hosts file.
    pub hosts: Table,
    /// Answers of other servers that are kept.
    pub kept: Option<Arc<dyn Gives>>,
}

/// Blocks of addresses; `None` is all there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Option<Arc<[Cidr]>>);

// === impl Asker ===

impl From<Transport> for Asker {
    /// Somebody, at the beginning of time.
    fn from(transport: Transport) -> Self {
        Self { transport, from: Ipv4Addr::UNSPECIFIED.into(), now_s: 0 }
    }
}

// === impl Manner ===

impl From<Outside> for Manner {
    /// Everybody is answered.
    fn from(outside: Outside) -> Self {
        Self {
            outside,
            clients: Networks::all(),
            transfer_to: Networks::none(),
            completion: Completion::Off,
            nsid: &[],
            secret: Secret::default(),
            hosts: Table::default(),
            kept: None,
        }
    }
}

impl fmt::Debug for Manner {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manner").field("outside", &self.outside).field("clients", &self.clients).finish_non_exhaustive()
    }
}

// === impl Networks ===

impl Networks {
    /// All addresses.
    pub fn all() -> Self {
        Self(None)
    }

    /// None.
    pub fn none() -> Self {
        Self::of(&[])
    }

    /// Those of these blocks.
    pub fn of(blocks: &[Cidr]) -> Self {
        Self(Some(blocks.into()))
    }

    /// Whether an address is one of them. One of IPv4 that a socket of IPv6 has is one of IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.as_ref().is_none_or(|blocks| blocks.iter().any(|block| block.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_or_not() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let networks = Networks::of(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (address, expected) in
            [("10.1.2.3", true), ("11.1.2.3", false), ("fd00::1", true), ("fe80::1", false), ("::ffff:10.1.2.3", true)]
        {
            assert_eq!(networks.contain(ip(address)), expected, "{address}");
        }
        assert!(Networks::all().contain(ip("::1")) && !Networks::of(&[]).contain(ip("::1")));
    }
}
