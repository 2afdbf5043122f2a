//! Tests: the one writer.

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::input::{Contribution, Input, OriginKind};
use rollcall_catalog::model::HealthSource;
use rollcall_catalog::policy::{Policy, RemovalGuard};

use super::*;
use crate::testing::*;

#[tokio::test]
async fn what_the_catalog_holds_is_let_go_when_its_time_has_come() {
    let (writer, inbox, mut snapshots) = Writer::new(BTreeSet::new(), Clock::default());
    tokio::spawn(writer.run());
    let hold = Duration::from_millis(300);
    let guard = RemovalGuard { percent_max: 50, endpoints_min: 2, window: hold, hold, ..RemovalGuard::default() };
    let policy = Policy { removal: Some(guard), ..Policy::default() };
    let slice = |names: &[u8]| {
        let pods: Vec<_> = names
            .iter()
            .map(|n| offered(&format!("10.1.0.{n}"), &format!("10.1.0.{n}"), HealthSource::Conditions { pod: None }))
            .collect();
        Input::Contribution(Contribution {
            ports: ports(&[("http", 8080)]),
            endpoints: pods.into(),
            ..Contribution::new(origin(OriginKind::EndpointSlice, "payments-x7"), service_key("payments"))
        })
    };
    let callable = |snapshot: &Option<Arc<Snapshot>>| {
        let snapshot = snapshot.as_ref()?;
        snapshot.get(&service_key("payments")).map(|service| service.callable().count())
    };
    let start = [cluster_ip("payments"), Input::DefaultPolicy(Arc::new(policy)), slice(&[1, 2, 3, 4])];
    for input in start {
        inbox.send(Message::Say(input)).await;
    }
    snapshots.wait_for(|snapshot| callable(snapshot) == Some(4)).await.expect("a writer");
    inbox.send(Message::Say(slice(&[1]))).await;
    let held = |snapshot: &Option<Arc<Snapshot>>| {
        snapshot.as_ref().and_then(|snapshot| snapshot.get(&service_key("payments")).map(|service| service.held))
            == Some(3)
    };
    assert_eq!(callable(&snapshots.wait_for(held).await.expect("a writer").clone()), Some(4));
    // Nothing more is said: the writer comes back by itself.
    snapshots.wait_for(|snapshot| callable(snapshot) == Some(1)).await.expect("a writer");
}
