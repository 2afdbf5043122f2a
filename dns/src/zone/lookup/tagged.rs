//! Some of a service's endpoints, by a tag.

use hickory_proto::rr::{Name, RecordType};

use super::{Asking, Wanted};
use crate::zone::apex::Apex;
use crate::zone::record::Record as Service;

// === impl Asking ===

impl Asking<'_> {
    /// `places` are among the instances of the service.
    pub(super) fn tagged(&mut self, apex: &Apex, owner: &Name, service: &Service, places: &[u32]) {
        let endpoint = |at: usize| service.instances().get(*places.get(at)? as usize);
        match self.rtype {
            RecordType::A | RecordType::AAAA => {
                let some = self.rng.places(places.len(), self.looks()).into_iter().filter_map(endpoint);
                let mut addresses: Vec<_> = some.flat_map(|endpoint| endpoint.addresses.iter()).collect();
                addresses.sort_unstable();
                addresses.dedup();
                self.some_of(owner, self.of_type(&addresses));
            }
            RecordType::SRV => {
                if let Some(below) = self.apexes.service_name(apex, service) {
                    self.targets(&below, owner, service, (places.len(), endpoint), Wanted::All);
                }
            }
            _ => {}
        }
    }
}
