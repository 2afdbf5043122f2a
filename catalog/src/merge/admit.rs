//! Whether an endpoint may stand in its service at all, and with which addresses and ports.

use std::sync::Arc;

use super::{Context, Lookup};
use crate::input::{Families, Origin, OriginKind, ServiceFacts, ServiceKind};
use crate::model::{Addresses, Endpoint, HealthSource, Name, Port};
use crate::port_mismatch::PortMismatch;
use crate::service::Why;

impl<L: Lookup> Context<'_, L> {
    /// The endpoint as it stands in the service, or why it does not.
    pub(crate) fn admit(&self, origin: &Origin, endpoint: &Arc<Endpoint>) -> Result<Arc<Endpoint>, Why> {
        let facts = self.statements.facts.as_deref();
        match (origin.kind, facts) {
            // The slices of a Service that is gone go too, only later; until then nobody is given their endpoints.
            (OriginKind::EndpointSlice | OriginKind::Service, None) => Err(Why::NoService),
            (OriginKind::EndpointSlice | OriginKind::Service, Some(_)) => Ok(Arc::clone(endpoint)),
            (OriginKind::ServiceRegistration | OriginKind::Import, facts) => {
                // Its own pods and machines have been looked at where they are from.
                let own = matches!(endpoint.health_source, HealthSource::Imported { own: true, .. });
                for ip in endpoint.addresses.iter().filter(|_| !own) {
                    self.lookup.guard().check(&self.key.namespace, ip).map_err(|refusal| Why::Refused(ip, refusal))?;
                }
                match facts {
                    Some(facts) => fitting(facts, endpoint),
                    None => Ok(Arc::clone(endpoint)),
                }
            }
        }
    }
}

/// Leaves of a registered endpoint what the Service has: its families and its ports.
fn fitting(facts: &ServiceFacts, endpoint: &Arc<Endpoint>) -> Result<Arc<Endpoint>, Why> {
    if let ServiceKind::ExternalName(target) = &facts.kind {
        return Err(Why::Alias(Name::clone(target)));
    }
    let addresses = within(endpoint.addresses, facts.families).ok_or(Why::Family(facts.families))?;
    let known = |port: &Port| {
        facts.ports.is_empty() || facts.ports.iter().any(|own| own.name == port.name && own.protocol == port.protocol)
    };
    let unknown = endpoint.ports.iter().filter(|port| !known(port)).count();
    if unknown == 0 && addresses == endpoint.addresses {
        return Ok(Arc::clone(endpoint));
    }
    if unknown > 0 && unknown == endpoint.ports.len() {
        return Err(Why::UnknownPorts(PortMismatch::new(&endpoint.ports, &facts.ports)));
    }
    let ports = match unknown {
        0 => Arc::clone(&endpoint.ports),
        _ => endpoint.ports.iter().filter(|port| known(port)).cloned().collect(),
    };
    let fitting = endpoint.with(|described| {
        described.ports = ports;
        if addresses.first() != endpoint.addresses.first() {
            // It is called as its origin calls it.
            described.named = Some(endpoint.name().to_name());
        }
    });
    Ok(Arc::new(Endpoint { addresses, ..fitting }))
}

/// The addresses of some families. A Service that names none has no wish.
fn within(addresses: Addresses, families: Families) -> Option<Addresses> {
    let kept = addresses.iter().filter(|ip| match families {
        Families { v4: false, v6: false } => true,
        Families { v4, v6 } => {
            if ip.is_ipv4() {
                v4
            } else {
                v6
            }
        }
    });
    Addresses::from_ips(kept)
}
