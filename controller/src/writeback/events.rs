//! Events: every transition of an endpoint, where people look for it (`kubectl describe`).
//!
//! Each is an object of its own with a name that follows from what it tells: told twice, it is there once. kube's
//! `Recorder` would count a second failure of an endpoint as a repetition of the first and keep that one's reason.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use rollcall_catalog::digest::Digest;
use rollcall_catalog::service::Service;
use rollcall_crds::conditions::{self, published, ready};
use rollcall_crds::{EndpointStatus, Health, ServiceRegistrationStatus};

use super::limits;
use super::observed::{SeenRegistration, Told};
use crate::kubernetes::{ObjectKey, REPORTING_CONTROLLER};

/// An Event without its surroundings.
struct Tale {
    warns: bool,
    reason: &'static str,
    note: String,
    /// What its name follows from, beside the object.
    id: String,
}

/// The Events between what a registration's status says and what it is about to say.
pub fn transitions(
    key: &ObjectKey,
    seen: &SeenRegistration,
    desired: &ServiceRegistrationStatus,
    now: Timestamp,
) -> Vec<Event> {
    let changed = desired.endpoints.iter().filter_map(|endpoint| {
        let before = seen.told(&endpoint.name);
        let tale = changed(before, endpoint)?;
        Some(event(tale, regarding(key, seen, Some(&endpoint.name)), now))
    });
    let listed: BTreeSet<_> = desired.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let in_spec = |name: &str| seen.endpoints.iter().any(|own| &*own.name == name);
    let gone = seen.told.iter().filter(|(name, _)| !listed.contains(&**name) && !in_spec(name));
    let gone = gone.map(|(name, told)| {
        let note = format!("endpoint {name}: {} -> gone: it was taken out of the registration", told.health);
        let id = format!("{name} gone {:?}", seen.generation);
        let tale = Tale { warns: false, reason: "EndpointRemoved", note, id };
        event(tale, regarding(key, seen, Some(name)), now)
    });
    let whole = [published(seen, desired), held(seen, desired)].into_iter().flatten();
    let whole = whole.map(|tale| event(tale, regarding(key, seen, None), now));
    changed.chain(gone).chain(whole).collect()
}

/// A status or an entry that the API server refused: nothing else could say it.
pub fn refused(object: &str, words: &str, regarding: ObjectReference, now: Timestamp) -> Event {
    let note = format!("{object} cannot be written: {words}; it is tried again when it changes, and now and then");
    let id = format!("{object} refused {words}");
    event(Tale { warns: true, reason: "WriteRefused", note, id }, regarding, now)
}

/// What an Event about a Service refers to; `None` when there is no such Service.
pub fn of_service(service: &Service) -> Option<ObjectReference> {
    let facts = service.facts.as_deref()?;
    Some(ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        name: Some(service.key.name.to_string()),
        namespace: Some(service.key.namespace.to_string()),
        uid: Some(facts.uid.to_string()),
        ..ObjectReference::default()
    })
}

/// What an Event about a registration, or one of its endpoints, refers to.
pub fn regarding(key: &ObjectKey, seen: &SeenRegistration, endpoint: Option<&str>) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", rollcall_crds::GROUP, rollcall_crds::VERSION)),
        field_path: endpoint.map(|endpoint| format!("spec.endpoints{{{endpoint}}}")),
        kind: Some("ServiceRegistration".to_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        resource_version: Some(seen.resource_version.clone()),
        uid: Some(seen.uid.clone()),
    }
}

/// What changed about an endpoint, with both ends and the reason.
fn changed(before: Option<&Told>, endpoint: &EndpointStatus) -> Option<Tale> {
    let left_out = endpoint.message.as_deref();
    let was_left_out = before.is_some_and(|before| before.left_out);
    if before.is_some_and(|before| before.health == endpoint.health) && left_out.is_some() == was_left_out {
        return None;
    }
    let (warns, reason) = match (left_out, endpoint.health) {
        (Some(_), _) => (true, "EndpointLeftOut"),
        (None, Health::Critical) => (true, "EndpointCritical"),
        // It is told when it is decided.
        (None, Health::Unknown) if before.is_none() => return None,
        (None, Health::Unknown) => (false, "EndpointUnknown"),
        (None, Health::Passing | Health::Warning) => (false, "EndpointCallable"),
        (None, Health::Maintenance) => (false, "EndpointInMaintenance"),
    };
    let from = match before {
        None => "new".to_owned(),
        Some(_) if was_left_out => "left out".to_owned(),
        Some(before) => before.health.to_string(),
    };
    let (to, why) = match left_out {
        Some(message) => ("left out".to_owned(), message),
        None => (endpoint.health.to_string(), endpoint.reason.as_str()),
    };
    let note = format!("endpoint {}: {from} -> {to}: {why}", endpoint.name);
    // An endpoint that returns may have had its health for long: when it was left out is part of what happened.
    let id = match left_out.is_some() || was_left_out {
        true => format!("{} {to} {} {why}", endpoint.name, endpoint.since.0),
        false => format!("{} {} {}", endpoint.name, endpoint.health, endpoint.since.0),
    };
    Some(Tale { warns, reason, note, id })
}

/// Whether the slices could be written, if that has changed.
fn published(seen: &SeenRegistration, desired: &ServiceRegistrationStatus) -> Option<Tale> {
    let stands = seen.conditions();
    let before = stands.iter().find(|said| said.type_ == conditions::PUBLISHED);
    let now = desired.conditions.iter().find(|said| said.type_ == conditions::PUBLISHED)?;
    let (was, is) = (before.map(|said| said.reason.as_str()), now.reason.as_str());
    let failed = published::WRITE_FAILED;
    if was == Some(is) || (was != Some(failed) && is != failed) {
        return None;
    }
    let id = format!("published {} {}", is, now.last_transition_time.0);
    let reason = if is == failed { "WriteRefused" } else { "Published" };
    Some(Tale { warns: is == failed, reason, note: now.message.clone(), id })
}

/// That the guard holds endpoints, as it begins to.
fn held(seen: &SeenRegistration, desired: &ServiceRegistrationStatus) -> Option<Tale> {
    let was_held = seen.conditions().iter().any(|said| said.type_ == conditions::READY && said.reason == ready::HELD);
    let now = desired.conditions.iter().find(|said| said.type_ == conditions::READY)?;
    if was_held || now.reason != ready::HELD {
        return None;
    }
    let id = format!("held {} {}", now.last_transition_time.0, now.message);
    Some(Tale { warns: true, reason: "EndpointsHeld", note: now.message.clone(), id })
}

fn event(tale: Tale, regarding: ObjectReference, now: Timestamp) -> Event {
    let mut digest = Digest::default();
    digest.text(regarding.uid.as_deref().unwrap_or_default()).text(&tale.id);
    let name = regarding.name.clone().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            // Of the object and what is told.
            name: Some(format!("{name}.{}", digest.finish())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some("Check".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(limits::EVENT_NOTE.cut(&tale.note)),
        reason: Some(tale.reason.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
        type_: Some(if tale.warns { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
