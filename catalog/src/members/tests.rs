//! Tests: the endpoints of a service, in buckets that successive versions of the service share.

use std::sync::Arc;

use super::*;
use crate::input::{Origin, OriginKind};
use crate::model::{Addresses, Conditions, Description, Endpoint, Health, HealthSource};
use crate::service::Particulars;

fn member(id: u64, reason: &str) -> Member {
    let endpoint = Endpoint {
        addresses: Addresses::V4([198, 51, 100, 1].into()),
        described: Arc::new(Description {
            named: Some("vm".into()),
            ports: [].into(),
            hostname: None,
            zone: None,
            region: None,
            node: None,
            weight: 1,
            conditions: Conditions::READY,
            health_source: HealthSource::Unchecked,
            attributes: Arc::default(),
        }),
    };
    Member {
        // Spread over all buckets.
        id: EndpointId(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        endpoint: Arc::new(endpoint),
        health: Health::Passing,
        conditions: Conditions::READY,
        is_pod_there: false,
        particulars: Arc::new(Particulars {
            origin: Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms")),
            zone: None,
            region: None,
            attributes: Arc::default(),
            since_ms: None,
            reason: reason.into(),
            checks: Arc::default(),
            treatment: None,
        }),
    }
}

fn versions(members: &Members) -> Vec<(Version, Version)> {
    members.buckets().map(|bucket| (bucket.version, bucket.story)).collect()
}

#[test]
fn what_is_put_in_and_taken_out_is_as_if_made_anew() {
    let mut members = Members::default();
    for step in 0..400_u64 {
        let put: Vec<_> = (0..step % 7).map(|n| member(step * 10 + n, "put")).collect();
        let out: Vec<_> = members.iter().map(|member| member.id).filter(|id| id.0 % 397 == step % 397).collect();
        let anew: Vec<_> = members.iter().filter(|member| !out.contains(&member.id)).chain(&put).cloned().collect();
        members = members.with(out, put);
        let anew = Members::new(anew);
        assert_eq!((members.len(), members.counts()), (anew.len(), anew.counts()));
        assert_eq!(versions(&members), versions(&anew), "at step {step}");
        assert!(members.iter().is_sorted_by(|a, b| a.id < b.id));
    }
    assert!(members.len() > 300, "{} members", members.len());
}

#[test]
fn one_change_of_5000_touches_one_bucket() {
    let before = Members::new((0..5000).map(|id| member(id, "as it was")).collect());
    let changed = member(77, "as it is");
    let after = before.with(vec![changed.id], vec![changed]);
    let touched = before.buckets().zip(after.buckets()).filter(|(old, new)| !Arc::ptr_eq(old, new));
    assert_eq!((before.buckets().len(), touched.count(), after.len()), (128, 1, 5000));
}
