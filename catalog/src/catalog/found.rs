//! Which endpoints have to do with a pod, a node or an address: entered with what is said, and found again when one of those changes.

use std::sync::Arc;

use super::Catalog;
use super::statements::{Change, Details, differences};
use super::surroundings::Effect;
use crate::guard::Cidr;
use crate::model::ServiceKey;

impl Catalog {
    /// Touches the registered endpoints that an effect is about.
    pub(super) fn touch_registered(&mut self, effect: &Effect) {
        let of_blocks = effect.blocks.iter().flat_map(|block| self.by_address.within(block.range()));
        let of_addresses = effect.addresses.iter().flat_map(|ip| self.by_address.of(*ip));
        let registered = of_blocks.chain(of_addresses).map(|(service, id)| (Arc::clone(service), id));
        let ranges = effect.blocks.iter().copied().map(Cidr::range).chain(effect.addresses.iter().map(|ip| *ip..=*ip));
        let (imported, said) = (&self.imported, &self.services);
        let imported = ranges.flat_map(|ips| {
            let services = imported.within(&ips).into_iter();
            services.flat_map(move |service| {
                let ids = said.get(&service).map(|entry| entry.statements.imported_within(&ips));
                ids.unwrap_or_default().into_iter().map(move |id| (Arc::clone(&service), id))
            })
        });
        let touched: Vec<_> = registered.chain(imported).collect();
        self.touch(touched);
    }

    /// Enters what is new and takes out what is old; most of it is the same.
    pub(super) fn index(&mut self, key: &Arc<ServiceKey>, old: &Details, new: &Details) {
        differences(&old.pods, &new.pods, |(pod, uid), change| match change {
            Change::Added => self.by_pod.add(pod, key, uid),
            Change::Removed => self.by_pod.remove(pod, key, uid),
        });
        differences(&old.nodes, &new.nodes, |(node, id), change| match change {
            Change::Added => self.by_node.add(node, key, id),
            Change::Removed => self.by_node.remove(node, key, id),
        });
        differences(&old.addresses, &new.addresses, |(ip, id), change| match change {
            Change::Added => self.by_address.add(ip, key, id),
            Change::Removed => self.by_address.remove(ip, key, id),
        });
        differences(&old.imported, &new.imported, |ip, change| match change {
            Change::Added => self.imported.add(ip, key),
            Change::Removed => self.imported.remove(ip, key),
        });
    }
}
