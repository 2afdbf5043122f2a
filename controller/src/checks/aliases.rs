//! The health of another service, as a check that follows it sees it.

use rollcall_catalog::model::Health;
use rollcall_catalog::service::{Member, Service};
use rollcall_health::Outcome;
use rollcall_health::definition::Alias;

/// What an alias of this service, or of an endpoint of it, is to be taken for.
pub(super) fn look(service: Option<&Service>, alias: &Alias) -> Outcome {
    let Some(service) = service else {
        let namespace = &alias.service.namespace;
        return Outcome::Failure(format!("is not there; name a service of namespace {namespace}").into());
    };
    match &alias.endpoint {
        Some(name) => endpoint(service, name),
        None => whole(service),
    }
}

/// Of several endpoints with one name, such as those of two registrations, the best counts.
fn endpoint(service: &Service, name: &str) -> Outcome {
    let named = service.endpoints.iter().filter(|member| &*member.endpoint.name() == name);
    if let Some(best) = named.min_by_key(|member| member.health) {
        return said(best);
    }
    match service.excluded.iter().find(|excluded| &*excluded.name == name) {
        Some(excluded) => Outcome::Failure(format!("is left out: {}", excluded.why).into()),
        None => Outcome::Failure("is not there; name one of the service's endpoints".into()),
    }
}

fn said(member: &Member) -> Outcome {
    let words = || format!("is {}: {}", member.health, member.reason).into();
    match member.health {
        Health::Passing => Outcome::Success("is Passing".into()),
        Health::Warning => Outcome::Warning(words()),
        Health::Critical | Health::Unknown | Health::Maintenance => Outcome::Failure(words()),
    }
}

/// As well as the best of its endpoints.
fn whole(service: &Service) -> Outcome {
    match service.endpoints.iter().map(|member| member.health).min() {
        Some(Health::Passing) => Outcome::Success("has endpoints that pass".into()),
        Some(Health::Warning) => Outcome::Warning("has only endpoints with a Warning".into()),
        Some(Health::Critical | Health::Unknown | Health::Maintenance) => {
            Outcome::Failure(format!("has no endpoint of {} that passes", service.endpoints.len()).into())
        }
        None => Outcome::Failure("has no endpoints".into()),
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::model::HealthSource;

    use super::*;
    use crate::testing::{offered, registered, service_key, snapshot};

    fn ask(endpoint: Option<&str>) -> String {
        let out = HealthSource::Maintenance("upgrade".into());
        let vms = registered(
            "db",
            vec![offered("vm-1", "198.51.100.1", HealthSource::Unchecked), offered("vm-2", "198.51.100.2", out)],
        );
        let alias = Alias { service: service_key("db"), endpoint: endpoint.map(Into::into) };
        match look(snapshot([vms]).get(&alias.service).map(|service| &**service), &alias) {
            Outcome::Success(saw) => format!("ok: {saw}"),
            Outcome::Warning(saw) => format!("warns: {saw}"),
            Outcome::Failure(saw) | Outcome::LocalFault(_, saw) => format!("bad: {saw}"),
        }
    }

    #[test]
    fn an_endpoint_is_as_it_is_and_a_service_as_its_best() {
        assert_eq!(ask(None), "ok: has endpoints that pass");
        assert_eq!(ask(Some("vm-1")), "ok: is Passing");
        assert!(ask(Some("vm-2")).starts_with("bad: is Maintenance: "), "{}", ask(Some("vm-2")));
        assert_eq!(ask(Some("vm-3")), "bad: is not there; name one of the service's endpoints");
        let alias = Alias { service: service_key("none"), endpoint: None };
        assert!(look(None, &alias).saw().contains("name a service of namespace shop"));
    }
}
