//! What names across clusters have otherwise than a cluster's own: the version, and to where SRV records lead.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Asking, Service};
use crate::zone::apex::Apex;
use crate::zone::reading::{Reading, clusterset};

// === impl Asking ===

impl Asking<'_> {
    /// Kubernetes DNS specification 1.1.0, 2.2.
    pub(super) fn version(&mut self, apex: &Apex, owner: &Name) {
        if self.rtype != RecordType::TXT {
            return;
        }
        let (version, ttl) = match apex.reading() {
            Reading::Clusterset => clusterset::VERSION,
            _ => ("1.1.0", self.ttl()),
        };
        let data = RData::TXT(TXT::new(vec![version.to_owned()]));
        self.found.answers.push(Record::from_rdata(owner.clone(), ttl, data));
    }

    /// The name of the service that `owner` is or is below, to which SRV records lead.
    pub(super) fn below(&self, apex: &Apex, owner: &Name, service: &Service) -> Option<Name> {
        match apex.reading() {
            Reading::Clusterset => Some(clusterset::service_name(apex, owner)),
            _ => self.apexes.service_name(apex, service),
        }
    }
}
