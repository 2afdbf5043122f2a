//! What this cluster exports, as one of those that do.

use std::sync::Arc;

use rollcall_catalog::model::{Endpoint, HealthSource, Name};
use rollcall_catalog::service::{Member, Service};

use super::offers::Offer;
use super::said::Said;
use super::union::Export;
use crate::federation::encode;
use crate::federation::exports;

/// A service of this cluster that is exported; `None` when it cannot be.
pub fn offer(me: &Name, service: &Service, export: &exports::Export) -> Option<Offer> {
    encode::exportable(service).ok()?;
    let said = Said::of(service, &export.with);
    let export = Export { cluster: Name::clone(me), created: export.created, ports: Arc::clone(&service.ports), said };
    let members = service.endpoints.iter().filter(|member| encode::is_own(member));
    Some(Offer { export, endpoints: members.map(endpoint).map(Arc::new).collect() })
}

/// As its own cluster has decided about it.
fn endpoint(member: &Member) -> Endpoint {
    member.endpoint.with(|described| {
        // Its address, which is what its written EndpointSlice says as well: so both have the same identity.
        described.named = None;
        (described.zone, described.conditions) = (member.zone.clone(), member.conditions);
        described.health_source = HealthSource::Imported { health: member.health, suspect_since_ms: None, own: true };
        described.attributes = encode::told(member).map_or_else(Arc::default, |_| Arc::clone(&member.attributes));
    })
}
