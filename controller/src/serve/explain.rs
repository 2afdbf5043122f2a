//! One service as JSON: every endpoint with its origin, its health and the reason, and what was kept out and why.

use rollcall_admin::{Ask, Reply};
use rollcall_catalog::model::{Attributes, Endpoint, ServiceKey};
use rollcall_catalog::policy::Section;
use rollcall_catalog::service::Service;
use serde_json::{Value, json};

use crate::policy::words;
use crate::writer::Snapshots;

/// Answers `/debug/catalog/NAMESPACE/NAME`; without a name, the list of services.
pub fn page(snapshots: &Snapshots, ask: Ask<'_>) -> Reply {
    let Some(snapshot) = snapshots.borrow().clone() else {
        return Reply::text("not synced yet; see /readyz\n").with_status(http::StatusCode::SERVICE_UNAVAILABLE);
    };
    let service = |(namespace, name): (&str, &str)| {
        snapshot.get(&ServiceKey::new(namespace, name)).map(|service| explain(service))
    };
    let body = match ask.rest.split_once('/') {
        None => {
            let mut keys: Vec<_> = snapshot.services().map(|service| service.key.to_string()).collect();
            keys.sort_unstable();
            json!({ "revision": snapshot.revision().0, "services": keys })
        }
        Some(key) => match service(key) {
            Some(explained) => explained,
            None => return Reply::not_found(format!("no service {}; /debug/catalog/ lists them all", ask.rest)),
        },
    };
    Reply::json(format!("{body:#}\n"))
}

fn explain(service: &Service) -> Value {
    let members = service.endpoints.iter().map(|member| {
        let mut said = endpoint(&member.endpoint, &member.attributes);
        said["id"] = format!("{:016x}", member.id.0).into();
        said["origin"] = member.origin.to_string().into();
        said["zone"] = member.zone.as_deref().into();
        said["region"] = member.region.as_deref().into();
        said["health"] = member.health.to_string().into();
        said["reason"] = (&*member.reason).into();
        said["since_ms"] = member.since_ms.into();
        said["ready"] = member.conditions.ready.into();
        said["serving"] = member.conditions.serving.into();
        if let Some(treatment) = &member.treatment {
            said["held"] = treatment.held.into();
            said["damped"] = treatment.damped.into();
            said["penalty"] =
                treatment.penalty.map(|penalty| json!({ "value": penalty.value, "at_ms": penalty.at_ms })).into();
        }
        said["machine"] = member.attributes.machine.as_deref().into();
        said["terminating"] = member.conditions.terminating.into();
        said
    });
    let excluded = service.excluded.iter().map(|excluded| {
        let unusable = || json!({ "name": &*excluded.name });
        let mut said = excluded.endpoint.as_deref().map_or_else(unusable, |said| endpoint(said, &said.attributes));
        said["origin"] = excluded.origin.to_string().into();
        said["why"] = excluded.why.to_string().into();
        said
    });
    let registrations = service.registrations.iter().map(|registered| {
        json!({
            "origin": registered.origin.to_string(),
            "generation": registered.generation,
            "problems": registered.problems.iter().map(|problem| &*problem.words).collect::<Vec<_>>(),
        })
    });
    json!({
        "service": service.key.to_string(),
        "version": service.version.to_string(),
        "exists": service.exists(),
        "stale_since_s": service.stale,
        "damped": service.damped,
        "policy": policy(service),
        "held": service.held,
        "time_to_evict_ms": service.time_to_evict().map(|time| time.total().as_millis() as u64),
        "buckets": service.buckets(),
        "endpoints": members.collect::<Vec<_>>(),
        "excluded": excluded.collect::<Vec<_>>(),
        "registrations": registrations.collect::<Vec<_>>(),
    })
}

/// Every section, those of the cluster's default included.
fn policy(service: &Service) -> Value {
    let section = |section: Section| {
        let from = service.policy.source(section).map(|name| format!("DiscoveryPolicy/{name}"));
        let from = from.unwrap_or_else(|| "the cluster's default".to_owned());
        (section.as_str().to_owned(), json!({ "from": from, "says": words::says(&service.policy, section) }))
    };
    Section::ALL.into_iter().map(section).collect::<serde_json::Map<_, _>>().into()
}

fn endpoint(endpoint: &Endpoint, attributes: &Attributes) -> Value {
    json!({
        "name": &*endpoint.name(),
        "addresses": endpoint.addresses.iter().map(|ip| ip.to_string()).collect::<Vec<_>>(),
        "ports": endpoint.ports.iter().map(|port| json!({ "name": &*port.name, "port": port.number, "protocol": port.protocol.to_string() })).collect::<Vec<_>>(),
        "hostname": endpoint.hostname.as_deref(),
        "node": endpoint.node.as_deref(),
        "weight": endpoint.weight,
        "tags": attributes.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "metadata": attributes.metadata.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect::<serde_json::Map<_, _>>(),
    })
}
