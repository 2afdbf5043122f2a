//! What the stream says of a service that is stale: metadata of its resources, beside their content.

use jiff::Timestamp;
use prost::Message;
use rollcall_catalog::policy::WhenStale;
use rollcall_catalog::service::Service;
use rollcall_xds::resource::{Resource, ResourceType};

use super::envoy::metadata::Metadata;

/// The resource of a service, with the reason in its metadata if the service is stale:
/// `{"rollcall.dev": {stale_since: "2026-11-28T10:00:00Z", reason: "…"}}`.
pub fn marked(ty: ResourceType, resource: Resource, service: &Service) -> Resource {
    let (Some(since_s), Some(staleness)) = (service.stale, &service.policy.staleness) else { return resource };
    let since = Timestamp::from_second(since_s).unwrap_or_default();
    let then = match staleness.then {
        WhenStale::Serve => "what was known before is served on",
        WhenStale::Refuse => "its policy refuses old endpoints",
    };
    let reason = format!("a source of it has been silent for more than {} s; {then}", staleness.after.as_secs());
    let metadata = Metadata::of_texts([("stale_since", since.to_string()), ("reason", reason)]);
    resource.with_metadata(ty, metadata.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rollcall_catalog::policy::{Policy, Staleness};
    use rollcall_catalog::source::{SourceId, SourceKind};
    use rollcall_catalog::time::Now;
    use rollcall_catalog::{Catalog, Input};
    use rollcall_xds::proto::rollcall::v1;

    use super::*;
    use crate::serve::{envoy, rollcall, served};
    use crate::testing::*;

    /// The service `payments` under a policy, so many seconds after the last word of its source.
    fn aged(policy: Policy, age_s: u64) -> Arc<Service> {
        let mut catalog = Catalog::default();
        let heard = Input::Contact(SourceId::only(SourceKind::ServiceRegistrations), 1_000);
        let vms = registered("payments", vec![vm("vm-1", "198.51.100.11")]);
        for input in [Input::DefaultPolicy(Arc::new(policy)), heard, cluster_ip("payments"), vms] {
            catalog.apply(input);
        }
        let wall_ms = 1_000_000 + i64::try_from(age_s).unwrap_or(0) * 1_000;
        catalog.publish(Now { mono_ms: 1_000 + age_s * 1_000, wall_ms });
        Arc::clone(catalog.snapshot().get(&service_key("payments")).expect("payments"))
    }

    fn policy(then: WhenStale) -> Policy {
        let staleness = Staleness { after: Duration::from_secs(30), then };
        Policy { staleness: Some(staleness), ..Policy::default() }
    }

    fn told(service: &Service) -> v1::Service {
        v1::Service::decode(rollcall::service(service).body()).expect("a service")
    }

    #[test]
    fn without_a_bound_nothing_on_the_wire_is_other_than_before() {
        let (fresh, old) = (aged(Policy::default(), 0), aged(Policy::default(), 9_000));
        assert_eq!((fresh.version, told(&fresh).staleness), (old.version, None));
        assert_eq!(rollcall::service(&fresh), rollcall::service(&old));
    }

    #[test]
    fn the_bound_comes_with_the_service_and_since_when_it_is_exceeded() {
        let (fresh, stale) = (aged(policy(WhenStale::Serve), 5), aged(policy(WhenStale::Serve), 40));
        let bound = |since_s| Some(v1::Staleness { after_ms: 30_000, refuse: false, since_s });
        assert_eq!((told(&fresh).staleness, told(&stale).staleness), (bound(0), bound(1_030)));
        let (fresh, stale) = (rollcall::service(&fresh), rollcall::service(&stale));
        assert_ne!(fresh.version, stale.version);
        let said = String::from_utf8_lossy(&stale.wire).into_owned();
        assert!(said.contains("stale_since") && said.contains("1970-01-01T00:17:10Z"), "{said}");
        assert!(!String::from_utf8_lossy(&fresh.wire).contains("stale_since"));
    }

    #[test]
    fn a_service_that_refuses_has_an_empty_assignment_with_the_reason() {
        let service = aged(policy(WhenStale::Refuse), 40);
        assert_eq!(service.callable().count(), 0);
        let mut cache = rollcall_xds::cache::Cache::new();
        served::Served::update(None, &service, &mut cache);
        let port = envoy::ports(&service).next().expect("a port");
        let snapshot = cache.publish();
        let assignment =
            snapshot.get(ResourceType::Endpoints, &envoy::cluster_name(&service, port)).expect("it is there");
        let said = String::from_utf8_lossy(&assignment.wire).into_owned();
        assert!(said.contains("its policy refuses old endpoints"), "{said}");
        // As a client that nobody here wrote reads it.
        let read = envoy_types::pb::envoy::service::discovery::v3::Resource::decode(&*assignment.wire).expect("one");
        let about = read.metadata.expect("metadata").filter_metadata.remove("rollcall.dev").expect("ours");
        assert!(about.fields.contains_key("reason") && read.resource_name.is_none(), "{about:?}");
        let body = envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment::decode(assignment.body())
            .expect("one");
        assert_eq!(body.endpoints.len(), 0);
    }
}
