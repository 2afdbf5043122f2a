//! Some of a service's endpoints, by a tag.

use hickory_proto::rr::{Name, RecordType};

use super::{Asking, Wanted};
use crate::zone::apex::Apex;
use crate::zone::reading::Reading;
use crate::zone::record::{Places, Record as Service};

// === impl Asking ===

impl Asking<'_> {
    /// `places` are among the instances of the service.
    pub(super) fn tagged(&mut self, apex: &Apex, owner: &Name, service: &Service, places: &Places) {
        let endpoint = |at: usize| service.instance(places.get(at)?);
        match self.rtype {
            RecordType::A | RecordType::AAAA => {
                let addresses = self.addresses((places.len(), endpoint));
                self.some_of(owner, self.of_type(&addresses));
            }
            RecordType::SRV => {
                if let Some(below) = self.below(apex, owner, service) {
                    self.targets(&below, owner, service, (places.len(), endpoint), Wanted::All);
                }
            }
            RecordType::TXT if apex.reading() == Reading::Registry => {
                let some = self.rng.places(places.len(), self.looks()).into_iter().filter_map(endpoint);
                self.texts(owner, some);
            }
            _ => {}
        }
    }
}
