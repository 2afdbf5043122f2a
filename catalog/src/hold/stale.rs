//! Staleness: what a source said that has been silent for longer than a policy trusts it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::hashed::HashMap;
use crate::input::{Origin, OriginKind, Place};
use crate::model::Name;
use crate::policy::{Staleness, WhenStale};
use crate::service::Service;
use crate::source::{SourceId, SourceKind};

/// When each source was last heard.
#[derive(Debug, Default)]
pub(crate) struct Contacts(HashMap<SourceId, u64>);

/// Whose source has been silent for too long.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    pub(crate) origins: BTreeSet<Arc<Origin>>,
    /// Since when the longest silent one is trusted no more, on the monotonic clock.
    pub(crate) since_ms: Option<u64>,
    /// When a further source will have been.
    pub(crate) again_ms: Option<u64>,
}

// === impl Contacts ===

impl Contacts {
    /// Whether that is news.
    pub(crate) fn heard(&mut self, source: SourceId, at_ms: u64) -> bool {
        let last = self.0.entry(source).or_default();
        at_ms > std::mem::replace(last, at_ms.max(*last))
    }

    /// A source of which nothing was ever told is not judged yet.
    pub(crate) fn silent<'a>(
        &self,
        origins: impl Iterator<Item = &'a Arc<Origin>>,
        staleness: &Staleness,
        now_ms: u64,
    ) -> Silent {
        let after_ms = u64::try_from(staleness.after.as_millis()).unwrap_or(u64::MAX);
        let mut silent = Silent::default();
        for origin in origins {
            // Of what nothing was told yet it is not known how old it is: it is looked at again once it could be too old.
            let last = sources(origin).iter().find_map(|source| self.0.get(source)).unwrap_or(&now_ms);
            let until = last.saturating_add(after_ms);
            if until <= now_ms {
                silent.origins.insert(Arc::clone(origin));
                silent.since_ms = Some(silent.since_ms.map_or(until, |since_ms| since_ms.min(until)));
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
        (Place::Here, OriginKind::ServiceRegistration | OriginKind::Import) => SourceKind::ServiceRegistrations,
        (Place::Cluster(_), _) => SourceKind::Clusters,
        (Place::Registry(_), _) => SourceKind::Registries,
    };
    let instance = match &origin.place {
        Place::Here => &origin.namespace,
        Place::Cluster(name) | Place::Registry(name) => name,
    };
    [SourceId::of(kind, Name::clone(instance)), SourceId::only(kind)]
}

/// Says of a service since when it is stale, in seconds since the epoch, and takes the endpoints of silent origins from
/// callers if its policy wants that.
pub(crate) fn mark(service: &mut Service, staleness: &Staleness, silent: &BTreeSet<Arc<Origin>>, since_s: i64) {
    service.stale = Some(since_s);
    match staleness.then {
        WhenStale::Serve => {}
        WhenStale::Refuse => {
            let reason = Name::from(format!(
                "stale: its source has been silent for more than {}",
                crate::time::words(staleness.after)
            ));
            let refused = service.endpoints.iter().filter(|member| member.conditions.ready);
            let refused = refused.filter(|member| silent.contains(&member.origin)).map(|member| {
                let mut refused = member.clone();
                refused.conditions.ready = false;
                refused.reason = Name::clone(&reason);
                refused
            });
            let refused: Vec<_> = refused.collect();
            service.endpoints = service.endpoints.with(refused.iter().map(|member| member.id).collect(), refused);
        }
    }
}
