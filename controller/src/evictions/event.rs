//! An Event about an eviction that took longer than its registration says: on the registration, where people look for it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use rollcall_catalog::digest::Digest;
use rollcall_crds::ServiceRegistration;
use tracing::debug;

use super::pending::Measured;
use crate::kubernetes::REPORTING_CONTROLLER;

/// Nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who tells it.
#[derive(Clone)]
pub struct Teller {
    /// A client of the cluster.
    pub client: Client,
    /// This replica's name.
    pub identity: String,
}

/// `reportingInstance` has so many bytes at most.
const INSTANCE_BYTES_MAX: usize = 128;

/// Tells it at `now`. For people: what cannot be told is in the log and in the metric all the same.
pub async fn tell(teller: Teller, late: Measured, computed: Duration, now: Timestamp) {
    match tokio::time::timeout(PATIENCE, write(&teller, &late, computed, now)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "no Event about an eviction that was late"),
        Err(_) => debug!("the API server took too long for an Event about an eviction that was late"),
    }
}

async fn write(
    Teller { client, identity }: &Teller,
    late: &Measured,
    computed: Duration,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let origin = &late.decided.origin;
    let registrations: Api<ServiceRegistration> = Api::namespaced(client.clone(), &origin.namespace);
    // `list` is a right that the controller has; `get` is none.
    let named = ListParams::default().fields(&format!("metadata.name={}", origin.name)).limit(1);
    let Some(registration) = registrations.list(&named).await?.items.into_iter().next() else { return Ok(()) };
    let instance = identity.get(..INSTANCE_BYTES_MAX).unwrap_or(identity);
    let event = Event { reporting_instance: Some(instance.to_owned()), ..event(&registration, late, computed, now) };
    let events: Api<Event> = Api::namespaced(client.clone(), &origin.namespace);
    events.create(&PostParams::default(), &event).await.map(drop)
}

fn event(registration: &ServiceRegistration, late: &Measured, computed: Duration, now: Timestamp) -> Event {
    let (name, endpoint) = (registration.name_any(), &late.decided.endpoint);
    let note = format!(
        "endpoint {endpoint}: it took {:.1} s until callers did not get it any more; timeToEvict says {:.1} s. \
         rollcall_evictions_seconds has the stage, and probes that begin late are in rollcall_checks_lateness_seconds",
        late.took.as_secs_f64(),
        computed.as_secs_f64(),
    );
    let mut digest = Digest::default();
    digest.text(&registration.uid().unwrap_or_default()).text(endpoint).text(&now.to_string());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{}", digest.finish())),
            namespace: registration.namespace(),
            ..ObjectMeta::default()
        },
        action: Some("Check".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some("EvictionLate".to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(format!("{}/{}", rollcall_crds::GROUP, rollcall_crds::VERSION)),
            field_path: Some(format!("spec.endpoints{{{endpoint}}}")),
            kind: Some("ServiceRegistration".to_owned()),
            name: Some(name),
            namespace: registration.namespace(),
            resource_version: registration.resource_version(),
            uid: registration.uid(),
        }),
        reporting_controller: Some(REPORTING_CONTROLLER.to_owned()),
        type_: Some("Warning".to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::input::OriginKind;
    use serde_json::json;

    use super::*;
    use crate::evictions::Decided;
    use crate::testing::{origin, registration, service_key};

    #[test]
    fn it_says_both_times_on_the_registration() {
        let decided = Decided {
            origin: origin(OriginKind::ServiceRegistration, "vms"),
            service: service_key("payments"),
            endpoint: "vm-1".into(),
            alive_ms: 0,
            failed_ms: 4_000,
            decided_ms: 5_000,
            longest: None,
        };
        let late = Measured { decided, served: Duration::from_millis(20), took: Duration::from_millis(5_020) };
        let spec = json!({ "service": "payments", "ports": [{ "port": 80 }], "endpoints": [] });
        let told = event(&registration(spec), &late, Duration::from_millis(3_100), Timestamp::UNIX_EPOCH);
        let note = told.note.unwrap_or_default();
        assert!(note.starts_with("endpoint vm-1: it took 5.0 s until callers"), "{note}");
        assert!(note.contains("timeToEvict says 3.1 s"), "{note}");
        assert_eq!((told.reason.as_deref(), told.type_.as_deref()), (Some("EvictionLate"), Some("Warning")));
        assert_eq!(told.regarding.and_then(|of| of.field_path).as_deref(), Some("spec.endpoints{vm-1}"));
    }
}
