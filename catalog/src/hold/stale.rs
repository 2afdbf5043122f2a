//! Staleness: what a source said that has been silent for longer than a policy trusts it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::input::{Origin, OriginKind, Place};
use crate::model::{Conditions, Name};
use crate::policy::{Staleness, WhenStale};
use crate::service::{Member, Service};
use crate::source::{SourceId, SourceKind};

/// When each source was last heard.
#[derive(Debug, Default)]
pub(crate) struct Contacts(HashMap<SourceId, u64>);

/// Whose source has been silent for too long.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    pub(crate) origins: BTreeSet<Arc<Origin>>,
    /// When a further source will have been.
    pub(crate) again_ms: Option<u64>,
}

// === impl Contacts ===

impl Contacts {
    pub(crate) fn heard(&mut self, source: SourceId, at_ms: u64) {
        let last = self.0.entry(source).or_default();
        *last = at_ms.max(*last);
    }

    /// A source of which nothing was ever told is not judged.
    pub(crate) fn silent<'a>(
        &self,
        origins: impl Iterator<Item = &'a Arc<Origin>>,
        staleness: &Staleness,
        now_ms: u64,
    ) -> Silent {
        let after_ms = u64::try_from(staleness.after.as_millis()).unwrap_or(u64::MAX);
        let mut silent = Silent::default();
        for origin in origins {
            let Some(last) = sources(origin).iter().find_map(|source| self.0.get(source)) else { continue };
            let until = last.saturating_add(after_ms);
            if until <= now_ms {
                silent.origins.insert(Arc::clone(origin));
            } else {
                silent.again_ms = Some(silent.again_ms.map_or(until, |at| at.min(until)));
            }
        }
        silent
    }
}

/// The sources that may have told of an origin: of its namespace, else of all.
fn sources(origin: &Origin) -> [SourceId; 2] {
    let kind = match (&origin.place, origin.kind) {
        (Place::Here, OriginKind::EndpointSlice) => SourceKind::EndpointSlices,
        (Place::Here, OriginKind::Service) => SourceKind::Services,
        (Place::Here, OriginKind::ServiceRegistration) => SourceKind::ServiceRegistrations,
        (Place::Cluster(_), _) => SourceKind::Clusters,
        (Place::Registry(_), _) => SourceKind::Registries,
    };
    let instance = match &origin.place {
        Place::Here => &origin.namespace,
        Place::Cluster(name) | Place::Registry(name) => name,
    };
    [SourceId::of(kind, Name::clone(instance)), SourceId::only(kind)]
}

/// Says of a service that it is stale, and takes the endpoints of silent origins from callers if its policy wants that.
pub(crate) fn mark(service: &mut Service, staleness: &Staleness, silent: &BTreeSet<Arc<Origin>>) {
    service.stale = true;
    match staleness.then {
        WhenStale::Serve => {}
        WhenStale::Refuse => {
            let reason = Name::from(format!("stale: its source has been silent for {} s", staleness.after.as_secs()));
            let refuse = |member: &Member| match silent.contains(&member.origin) && member.conditions.ready {
                true => Member {
                    conditions: Conditions { ready: false, ..member.conditions },
                    reason: Name::clone(&reason),
                    ..member.clone()
                },
                false => member.clone(),
            };
            service.endpoints = service.endpoints.iter().map(refuse).collect();
        }
    }
}
