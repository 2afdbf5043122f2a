//! `GET /v1/services` and `GET /v1/namespaces/NS/services`: which services there are.

use std::sync::Arc;

use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::service::Service;
use serde::Serialize;

use super::super::answer::Answer;
use super::super::ask::Ask;
use super::super::problem::Problem;
use super::Desk;
use super::told::{CountsTold, duration};

#[derive(Serialize)]
struct Body<'a> {
    services: Vec<ServiceTold<'a>>,
}

/// A service, in a line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceTold<'a> {
    namespace: &'a str,
    name: &'a str,
    service_kind: &'static str,
    stale: bool,
    counts: CountsTold,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_evict: Option<String>,
    revision: String,
}

/// Answers with all services, or with those of the namespace.
pub(super) fn answer(desk: &Arc<Desk>, ask: Ask) -> Result<Answer, Problem> {
    ask.query.only(&[])?;
    let (snapshot, namespace) = (desk.snapshot()?, ask.name("namespace"));
    let asked =
        |service: &&Arc<Service>| service.exists() && (namespace.is_empty() || *service.key.namespace == *namespace);
    let mut services: Vec<_> = snapshot.services().filter(asked).collect();
    services.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(Answer::json(&Body { services: services.into_iter().map(|service| ServiceTold::new(service)).collect() }))
}

// === impl ServiceTold ===

impl<'a> ServiceTold<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self {
            namespace: &service.key.namespace,
            name: &service.key.name,
            service_kind: kind(service),
            stale: service.stale.is_some(),
            counts: service.counts().into(),
            time_to_evict: service.time_to_evict().map(|time| duration(time.total())),
            revision: service.version.to_string(),
        }
    }
}

/// In the words of CatalogEntry.
fn kind(service: &Service) -> &'static str {
    match service.facts.as_deref().map(|facts| &facts.kind) {
        Some(ServiceKind::ClusterIp(_)) => "ClusterIP",
        Some(ServiceKind::Headless) => "Headless",
        Some(ServiceKind::ExternalName(_)) => "ExternalName",
        None => "Registered",
    }
}
