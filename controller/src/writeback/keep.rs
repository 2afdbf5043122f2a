//! What must stay in slices that are to go or to change: an endpoint is never in none because it could not be written
//! where it belongs, or because its registration cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::Endpoint;
use rollcall_catalog::model::Name;
use rollcall_catalog::service::Service;

use super::observed::StandingSlice;
use super::slices::{self, Cut};

/// Which endpoints of standing slices stay.
#[derive(Debug, Default)]
pub struct Keep<'a> {
    /// Endpoints that belong into slices which the API server refuses: they stay where they are, as they are by now.
    homeless: BTreeMap<&'a str, &'a Endpoint>,
    /// Addresses that have their place.
    placed: BTreeSet<&'a str>,
    /// Addresses of which the catalog knows why they are in no slice.
    known: BTreeSet<String>,
    /// A registration in the namespace cannot be read: what nobody else accounts for may be its.
    unread: bool,
}

// === impl Keep ===

impl<'a> Keep<'a> {
    /// What stays, when `refused` of the desired slices cannot be written, or not as a whole.
    pub fn new(
        service: Option<&Service>,
        desired: &'a [Cut],
        standing: &BTreeMap<&Name, &StandingSlice>,
        refused: &BTreeSet<Name>,
        unread: bool,
    ) -> Self {
        let mut keep = Self { unread, ..Self::default() };
        for cut in desired {
            let name = cut.name();
            let lost = match refused.contains(&name) {
                true => slices::new_addresses(&cut.slice, standing.get(&name).map(|stands| stands.slice()).as_ref()),
                false => BTreeSet::new(),
            };
            for endpoint in cut.slice.endpoints.iter().flatten() {
                let address = slices::address(endpoint);
                if lost.contains(address) {
                    keep.homeless.insert(address, endpoint);
                } else {
                    keep.placed.insert(address);
                }
            }
        }
        if unread && let Some(service) = service {
            let members = service.endpoints.iter().map(|member| member.endpoint.addresses);
            let excluded = service.excluded.iter().filter_map(|excluded| Some(excluded.endpoint.as_ref()?.addresses));
            let all = members.chain(excluded).flat_map(rollcall_catalog::model::Addresses::iter);
            keep.known = all.map(|ip| ip.to_string()).collect();
        }
        keep
    }

    /// The endpoints of a standing slice that stay in it, beside what should be there.
    pub fn of(&self, standing: &StandingSlice) -> Vec<Endpoint> {
        if self.homeless.is_empty() && !self.unread {
            return Vec::new();
        }
        let stays = |endpoint: &Endpoint| {
            let address = slices::address(endpoint);
            if self.placed.contains(address) {
                None
            } else if let Some(now) = self.homeless.get(address) {
                Some(Endpoint { conditions: now.conditions.clone(), ..endpoint.clone() })
            } else {
                (self.unread && !self.known.contains(address)).then(|| endpoint.clone())
            }
        };
        standing.slice().endpoints.iter().flatten().filter_map(stays).collect()
    }
}
