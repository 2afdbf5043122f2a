//! Tests: endpoints of other clusters, which are held while those are silent.

use super::*;
use crate::input::{Place, Silence};
use crate::model::{Health, Name};

fn east() -> Arc<Origin> {
    Arc::new(Origin { place: Place::Cluster("east".into()), ..Origin::here(OriginKind::Import, "shop", "web") })
}

fn imported() -> Input {
    let described = Arc::new(Description {
        named: None,
        ports: [].into(),
        hostname: None,
        zone: Some("zone-a".into()),
        region: None,
        node: None,
        weight: 1,
        conditions: Conditions::READY,
        health_source: HealthSource::Imported { health: Health::Passing, suspect_since_ms: None, own: false },
        attributes: Arc::default(),
    });
    let endpoint = |n: &u8| {
        let addresses = Addresses::V4([203, 0, 113, *n].into());
        Arc::new(Endpoint { addresses, described: Arc::clone(&described) })
    };
    Input::Contribution(Contribution {
        endpoints: ZONE_A.iter().map(endpoint).collect(),
        ..Contribution::new(east(), key())
    })
}

/// It is, and these namespaces are imported from it.
fn silent(namespaces: &[&str]) -> Input {
    let names = namespaces.iter().map(|name| Name::from(*name)).collect();
    Input::Silent("east".into(), Silence::TooLong(Some(Arc::new(names))))
}

#[test]
fn what_a_heard_cluster_leaves_out_is_gone_and_what_a_silent_one_takes_along_is_held_until_it_is_heard() {
    let heard = Input::Silent("east".into(), Silence::Not);
    play(&[
        (0, &[service(), guarded(), imported()], (4, 0, None)),
        (1, &[Input::Gone(east())], (0, 0, None)),
        (2, &[imported()], (4, 0, None)),
        (3, &[Input::Silent("east".into(), Silence::TooLong(None)), Input::Gone(east())], (4, 4, Some(63))),
        (4, &[heard], (0, 0, None)),
    ]);
}

#[test]
fn what_is_held_of_a_silent_cluster_goes_when_its_namespace_is_imported_no_more() {
    let gone = Input::Gone(east());
    play(&[
        (0, &[service(), guarded(), imported()], (4, 0, None)),
        (1, &[silent(&["bank", "shop"]), gone], (4, 4, Some(61))),
        (2, &[silent(&["shop"])], (4, 4, Some(61))),
        (3, &[silent(&["bank"])], (0, 0, None)),
    ]);
}
