//! Events: every transition of an endpoint, where people look for it (`kubectl describe`).
//!
//! Each is an object of its own with a name that follows from what it tells: told twice, it is there once. kube's
//! `Recorder` would count a second failure of an endpoint as a repetition of the first and keep that one's reason.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use rollcall_catalog::digest::Digest;
use rollcall_crds::{EndpointStatus, Health, ServiceRegistrationStatus};

use super::observed::SeenRegistration;
use crate::kubernetes::ObjectKey;

/// Who tells it: `reportingController` of every Event.
pub const REPORTING_CONTROLLER: &str = "rollcall.dev/controller";

/// The Events between what a registration's status says and what it is about to say.
pub fn transitions(
    key: &ObjectKey,
    seen: &SeenRegistration,
    desired: &ServiceRegistrationStatus,
    now: Timestamp,
) -> Vec<Event> {
    let changed = desired.endpoints.iter().filter_map(|endpoint| {
        let before = seen.since.get(endpoint.name.as_str()).map(|(health, _)| *health);
        let (type_, reason) = match (before, endpoint.health) {
            (before, now) if before == Some(now) => return None,
            (_, Health::Critical) => ("Warning", "EndpointCritical"),
            (None, Health::Unknown) | (None, Health::Passing | Health::Warning) => return None,
            (_, Health::Unknown) => ("Normal", "EndpointUnknown"),
            (_, Health::Passing | Health::Warning) => ("Normal", "EndpointCallable"),
            (_, Health::Maintenance) => ("Normal", "EndpointInMaintenance"),
        };
        let before = before.map_or_else(|| "new".to_owned(), |before| before.to_string());
        Some(Event {
            metadata: ObjectMeta {
                name: Some(name(key, seen, endpoint)),
                namespace: Some(key.namespace.to_string()),
                ..ObjectMeta::default()
            },
            action: Some("Check".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(format!("endpoint {}: {before} -> {}: {}", endpoint.name, endpoint.health, endpoint.reason)),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding(key, seen, &endpoint.name)),
            reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
            type_: Some(type_.to_owned()),
            ..Event::default()
        })
    });
    changed.collect()
}

/// `REGISTRATION.HASH`: of the object, the endpoint, what it turned to and when.
fn name(key: &ObjectKey, seen: &SeenRegistration, endpoint: &EndpointStatus) -> String {
    let mut digest = Digest::default();
    digest.text(&seen.uid).text(&endpoint.name).text(endpoint.health.as_str()).text(&endpoint.since.0.to_string());
    format!("{}.{}", key.name, digest.finish())
}

fn regarding(key: &ObjectKey, seen: &SeenRegistration, endpoint: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", rollcall_crds::GROUP, rollcall_crds::VERSION)),
        field_path: Some(format!("spec.endpoints{{{endpoint}}}")),
        kind: Some("ServiceRegistration".to_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        resource_version: Some(seen.resource_version.clone()),
        uid: Some(seen.uid.clone()),
    }
}

#[cfg(test)]
mod tests;
