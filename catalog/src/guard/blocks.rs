//! Reserved blocks, found by address: as many looks as there are lengths of prefix, however many blocks there are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::cidr::leading;
use super::{Cidr, Reserved};
use crate::hashed::HashMap;

/// Blocks by family, length of prefix and leading bits. The same block may be reserved more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    v4: Family,
    v6: Family,
}

/// The shortest prefix first: of nested blocks the widest is named.
type Family = BTreeMap<u8, HashMap<u128, Vec<Reserved>>>;

// === impl Blocks ===

impl Blocks {
    /// The widest block that holds `ip`.
    pub(super) fn find(&self, ip: IpAddr) -> Option<&Reserved> {
        let family = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        family.iter().find_map(|(prefix, blocks)| blocks.get(&leading(ip, *prefix))?.first())
    }

    pub(super) fn insert(&mut self, reserved: Reserved) {
        let blocks = self.family(reserved.block).entry(reserved.block.prefix()).or_default();
        let owners = blocks.entry(reserved.block.leading()).or_default();
        let at = owners.partition_point(|other| *other < reserved);
        owners.insert(at, reserved);
    }

    pub(super) fn remove(&mut self, reserved: &Reserved) {
        let family = self.family(reserved.block);
        let Some(blocks) = family.get_mut(&reserved.block.prefix()) else { return };
        let Some(owners) = blocks.get_mut(&reserved.block.leading()) else { return };
        if let Ok(at) = owners.binary_search(reserved) {
            owners.remove(at);
        }
        if owners.is_empty() {
            blocks.remove(&reserved.block.leading());
        }
        if blocks.is_empty() {
            family.remove(&reserved.block.prefix());
        }
    }

    fn family(&mut self, block: Cidr) -> &mut Family {
        if block.is_v4() { &mut self.v4 } else { &mut self.v6 }
    }
}
