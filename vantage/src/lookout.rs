//! By which names those are asked who are no replicas.

use rollcall_catalog::model::Name;

/// Who is no replica and may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookout {
    /// The agent of a machine.
    Agent,
    /// The DNS server of a node.
    DnsServer,
}

// === impl Lookout ===

impl Lookout {
    /// Before the slash.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::DnsServer => "dns",
        }
    }

    /// By which name somebody is asked.
    pub fn named(self, name: &str) -> Name {
        format!("{}/{name}", self.as_str()).into()
    }

    /// Who that is, in words.
    pub fn says(name: &str) -> String {
        match name.split_once('/') {
            Some(("agent", machine)) => format!("the agent of {machine}"),
            Some(("dns", node)) => format!("the DNS server of {node}"),
            _ => format!("replica {name}"),
        }
    }
}
