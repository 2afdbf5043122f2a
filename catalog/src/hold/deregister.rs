//! `deregisterAfter`: an endpoint that has been Critical for that long is taken out of the catalog. It is checked on, and
//! returns when it passes.

use std::sync::Arc;
use std::time::Duration;

use crate::input::Origin;
use crate::model::{EndpointId, Health, Name};
use crate::policy::sections::ms;
use crate::service::{Deregistered, Excluded, Member, Service, Why};
use crate::time::Now;

/// Takes out of a service who is Critical for longer than its registration allows. When the next one will be.
pub(crate) fn apply(service: &mut Service, now: Now) -> Option<u64> {
    let bounds: Vec<(&Arc<Origin>, Duration)> = service
        .registrations
        .iter()
        .filter_map(|registered| Some((&registered.origin, registered.deregister_after?)))
        .collect();
    if bounds.is_empty() {
        return None;
    }
    let (mut out, mut again_ms): (Vec<(EndpointId, Excluded)>, Option<u64>) = (Vec::new(), None);
    let failing = service.endpoints.buckets().filter(|bucket| bucket.counts.critical > 0);
    for member in failing.flat_map(|bucket| bucket.members.iter()).filter(|member| member.health == Health::Critical) {
        let bound = bounds.iter().find(|(origin, _)| **origin == member.origin);
        let Some((since_ms, (_, after))) = member.since_ms.zip(bound) else { continue };
        // A wall clock that was set back makes it younger, never older than the process has seen.
        let age_ms = u64::try_from(now.wall_ms.saturating_sub(since_ms)).unwrap_or(0);
        match ms(*after).checked_sub(age_ms).filter(|rest_ms| *rest_ms > 0) {
            Some(rest_ms) => {
                let at_ms = now.mono_ms.saturating_add(rest_ms);
                again_ms = Some(again_ms.map_or(at_ms, |again_ms| again_ms.min(at_ms)));
            }
            None => out.push((member.id, excluded(member, since_ms, *after))),
        }
    }
    if !out.is_empty() {
        let (ids, excluded): (Vec<_>, Vec<_>) = out.into_iter().unzip();
        service.endpoints = service.endpoints.with(ids, Vec::new());
        service.excluded = service.excluded.iter().cloned().chain(excluded).collect();
    }
    again_ms
}

fn excluded(member: &Member, since_ms: i64, after: Duration) -> Excluded {
    let deregistered =
        Deregistered { after, since_ms, reason: Name::clone(&member.reason), checks: Arc::clone(&member.checks) };
    Excluded {
        name: member.endpoint.name().to_name(),
        endpoint: Some(Arc::clone(&member.endpoint)),
        origin: Arc::clone(&member.origin),
        why: Why::Deregistered(Box::new(deregistered)),
    }
}
