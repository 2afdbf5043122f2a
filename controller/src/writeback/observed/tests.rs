//! Tests: what stands in the API.

use super::*;

fn stands(version: &str) -> StandingSlice {
    let stands = Stands { resource_version: version.into(), content: Version(version.parse().unwrap_or(0)) };
    StandingSlice { stands, packed: Packed::default() }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

fn service(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name)
}

#[test]
fn a_watch_that_is_behind_our_own_write_is_not_believed() {
    let mut observed = Observed::default();
    observed.put_slice(&key("s"), Some(service("payments")), stands("10"));
    assert!(observed.put_slice(&key("s"), Some(service("payments")), stands("9")).is_empty());
    assert_eq!(
        observed.slices(&service("payments")).next().map(|(_, slice)| slice.stands.resource_version.as_str()),
        Some("10")
    );
}

#[test]
fn a_slice_that_moves_concerns_both_services() {
    let mut observed = Observed::default();
    observed.put_slice(&key("s"), Some(service("payments")), stands("1"));
    let concerned = observed.put_slice(&key("s"), Some(service("orders")), stands("2"));
    assert_eq!(concerned, [service("payments"), service("orders")]);
    assert_eq!(observed.slices(&service("payments")).count(), 0);
}

#[test]
fn a_slice_whose_label_was_taken_off_still_belongs_to_its_service() {
    let mut observed = Observed::default();
    observed.put_slice(&key("s"), Some(service("payments")), stands("1"));
    observed.put_slice(&key("s"), None, stands("2"));
    assert_eq!(observed.slices(&service("payments")).count(), 1);
}
