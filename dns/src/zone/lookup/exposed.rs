//! Services that are reached from outside the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Asking, Role, Service};
use crate::zone::apex::Apex;
use crate::zone::reading::exposed::service_name;

// === impl Asking ===

impl Asking<'_> {
    /// A service's addresses out there, or the name that stands for it: then the target of the CNAME, if it is to be followed. Its ports
    /// lead to either.
    pub(super) fn exposed(
        &mut self,
        apex: &Apex,
        owner: &Name,
        service: &Service,
        port: Option<usize>,
    ) -> Option<Name> {
        let exposed = service.exposed()?;
        match (self.rtype, port, exposed.alias()) {
            (RecordType::SRV, ..) => self.exposed_ports(apex, owner, service, port),
            (_, None, Some(target)) => return self.cname(owner, target),
            (RecordType::A | RecordType::AAAA, None, None) => {
                self.some_of(owner, self.of_type(&exposed.addresses));
            }
            (_, _, _) => {}
        }
        None
    }

    fn exposed_ports(&mut self, apex: &Apex, owner: &Name, service: &Service, port: Option<usize>) {
        let Some(exposed) = service.exposed() else { return };
        let numbers: BTreeSet<u16> = exposed.numbers(port).collect();
        let own = service_name(apex.origin(), service.key()).filter(|_| !exposed.addresses.is_empty());
        let targets: Vec<&Name> = own.iter().chain(&exposed.names).collect();
        // All are as good: nothing to weigh.
        let at = |number| targets.iter().map(move |target| RData::SRV(SRV::new(0, 0, number, (*target).clone())));
        let records: Vec<_> = numbers.into_iter().flat_map(at).collect();
        if let Some(own) = own.as_ref().filter(|_| !records.is_empty()) {
            self.add(own, &exposed.addresses);
        }
        self.some_of(owner, records);
    }

    /// The names of services that are reached by an address, in the first of the domains.
    pub(super) fn exposed_names(&mut self, holders: &[(Role, Arc<str>)]) -> Vec<Name> {
        let Some(domain) = self.zone.settings.outward.domains.first() else { return Vec::new() };
        let some = self.rng.choose_from(holders, self.max);
        some.iter().filter_map(|(_, key)| service_name(domain, key)).collect()
    }
}
