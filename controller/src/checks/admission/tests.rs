//! Tests: nothing is dialled that may not be published.

use rollcall_catalog::Input;
use rollcall_catalog::guard::Guard;
use rollcall_catalog::input::OriginKind;
use rollcall_catalog::model::HealthSource;
use tokio::sync::watch;

use super::*;
use crate::testing::{offered, origin, registered, service_key, snapshot};

/// What is said of the addresses of `vm-1` of the registration `vms`, of generation 2 in the catalog.
fn admits(inputs: impl IntoIterator<Item = Input>, generation: i64, ip: &str) -> Admission {
    let (_sender, snapshots) = watch::channel(Some(snapshot(inputs)));
    Admissions::new(snapshots).admit(Candidate {
        origin: &origin(OriginKind::ServiceRegistration, "vms"),
        service: &service_key("payments"),
        generation: Some(generation),
        endpoint: &"vm-1".into(),
        ip: ip.parse().expect("an address"),
    })
}

fn at(ips: &str) -> Input {
    registered("payments", vec![offered("vm-1", ips, HealthSource::Verdict)])
}

#[test]
fn what_the_catalog_has_is_dialled() {
    assert_eq!(admits([at("198.51.100.1 2001:db8::1")], 2, "2001:db8::1"), Admission::Admitted);
}

#[test]
fn what_the_guard_refuses_is_not_dialled() {
    let guard = || Input::Guard(Guard::default());
    for refused in ["127.0.0.1", "::1", "0.0.0.0"] {
        assert_eq!(admits([guard(), at(refused)], 2, refused), Admission::Withheld, "{refused}");
    }
}

#[test]
fn what_the_catalog_does_not_have_yet_is_awaited() {
    assert_eq!(admits([], 2, "198.51.100.1"), Admission::Awaited);
    assert_eq!(admits([at("198.51.100.1")], 3, "198.51.100.1"), Admission::Awaited, "of an older generation");
    let (_sender, snapshots) = watch::channel(None);
    let vms = origin(OriginKind::ServiceRegistration, "vms");
    let admission = Admissions::new(snapshots).admit(Candidate {
        origin: &vms,
        service: &service_key("payments"),
        generation: None,
        endpoint: &"vm-1".into(),
        ip: "198.51.100.1".parse().expect("an address"),
    });
    assert_eq!(admission, Admission::Awaited, "before every source is synced");
}

#[test]
fn an_address_that_another_has_is_dialled_so_that_it_can_take_over() {
    let older = |name| {
        let Input::Contribution(said) = at("198.51.100.1") else { panic!("a contribution") };
        let origin = origin(OriginKind::ServiceRegistration, name);
        Input::Contribution(rollcall_catalog::input::Contribution { origin, created: -1, ..said })
    };
    assert_eq!(admits([older("aaa"), at("198.51.100.1")], 2, "198.51.100.1"), Admission::Admitted);
}

#[test]
fn a_new_service_is_read_anew() {
    let (sender, snapshots) = watch::channel(Some(snapshot([at("127.0.0.1")])));
    let mut admissions = Admissions::new(snapshots);
    let vms = origin(OriginKind::ServiceRegistration, "vms");
    let mut ask = |ip: &str| {
        admissions.admit(Candidate {
            origin: &vms,
            service: &service_key("payments"),
            generation: Some(2),
            endpoint: &"vm-1".into(),
            ip: ip.parse().expect("an address"),
        })
    };
    assert_eq!(ask("127.0.0.1"), Admission::Withheld);
    sender.send_replace(Some(snapshot([at("198.51.100.1")])));
    assert_eq!(ask("198.51.100.1"), Admission::Admitted);
}
