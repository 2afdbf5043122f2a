//! Events: every transition of an endpoint, where people look for it (`kubectl describe`).

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};
use rollcall_crds::{Health, ServiceRegistrationStatus};

use super::observed::SeenRegistration;
use crate::sources::ObjectKey;

/// The Events between what a registration's status says and what it is about to say, each with what it is about.
pub fn transitions(
    key: &ObjectKey,
    seen: &SeenRegistration,
    desired: &ServiceRegistrationStatus,
) -> Vec<(Event, ObjectReference)> {
    let changed = desired.endpoints.iter().filter_map(|endpoint| {
        let before = seen.since.get(endpoint.name.as_str()).map(|(health, _)| *health);
        let (type_, reason) = match (before, endpoint.health) {
            (before, now) if before == Some(now) => return None,
            (_, Health::Critical) => (EventType::Warning, "EndpointCritical"),
            (None, Health::Unknown) | (None, Health::Passing | Health::Warning) => return None,
            (_, Health::Unknown) => (EventType::Normal, "EndpointUnknown"),
            (_, Health::Passing | Health::Warning) => (EventType::Normal, "EndpointCallable"),
            (_, Health::Maintenance) => (EventType::Normal, "EndpointInMaintenance"),
        };
        let before = before.map_or_else(|| "new".to_owned(), |before| before.to_string());
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(format!("endpoint {}: {before} -> {}: {}", endpoint.name, endpoint.health, endpoint.reason)),
            action: "Check".to_owned(),
            secondary: None,
        };
        Some((event, regarding(key, seen, &endpoint.name)))
    });
    changed.collect()
}

/// One endpoint of a registration, as it stood. Without the path, Events of two endpoints would be counted as one that
/// repeats; without the version, two transitions of one endpoint would, and the note of the first would stand for both.
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
