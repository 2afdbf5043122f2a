//! How many may be served at a time.

use rollcall_admin::descriptors::Share;
use rollcall_admin::{Descriptors, Gate};

use crate::args::Args;

/// How many connections and forwarded questions there may be, as the flags say and the limit of open files allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seating {
    fronts: usize,
    connections: usize,
    forwards: usize,
}

// === impl Seating ===

impl Seating {
    pub(super) fn of(args: &Args, fronts: usize) -> Self {
        let forwards = if args.forward.is_empty() && args.forwarding.stub_domain.is_empty() {
            0
        } else {
            args.forward_in_flight as usize
        };
        Self { fronts: fronts.max(1), connections: args.tcp_connections as usize, forwards }
    }

    /// Files that each part wants. A question from a TCP connection, which takes no seat while it waits, holds that and
    /// its own socket.
    fn wanted(self) -> [(Share, usize); 2] {
        [(Share::DnsClients, self.connections * self.fronts), (Share::DnsForwards, 2 * self.forwards)]
    }

    pub(super) fn tell(self, gate: &Gate) {
        Descriptors::current().tell(gate, &self.wanted());
    }

    /// Of each address.
    pub(super) fn connections(self) -> usize {
        let [(share, wanted), _] = self.wanted();
        Descriptors::current().share(share, wanted) / self.fronts
    }

    pub(super) fn forwards(self) -> usize {
        let [_, (share, wanted)] = self.wanted();
        Descriptors::current().share(share, wanted) / 2
    }
}
