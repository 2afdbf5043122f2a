//! Tests: what a target needs.

use std::sync::Arc;

use rollcall_catalog::input::{Contribution, Input, OriginKind};
use rollcall_catalog::model::HealthSource;
use serde_json::json;

use super::*;
use crate::kubernetes::guarded::Bad;
use crate::testing::*;
use crate::writeback::observed::{Seen, SeenEntry, Unreadable};

/// A registration `odd` that cannot be decoded.
fn put_unreadable(observed: &mut Observed) {
    let bad = json!({ "metadata": { "name": "odd", "namespace": "shop", "resourceVersion": "7" } });
    let bad = Bad { words: "no".into(), ..serde_json::from_value(bad).expect("metadata") };
    let Seen::Unreadable(key, seen) = Seen::unreadable(&bad) else { panic!("it is unreadable") };
    assert!(observed.put_unreadable(key.clone(), Unreadable::clone(&seen)), "it is news");
    assert!(!observed.put_unreadable(key, *seen), "once");
}

fn many(count: usize) -> Input {
    registered("payments", (0..count).map(|n| vm(&format!("vm-{n}"), &format!("198.51.100.{n}"))).collect())
}

/// Plans the slices of payments and makes them stand; returns what was written and deleted.
fn write(observed: &mut Observed, snapshot: &Arc<Snapshot>) -> (Vec<String>, Vec<String>) {
    write_with(observed, &Setbacks::default(), snapshot)
}

fn write_with(observed: &mut Observed, setbacks: &Setbacks, snapshot: &Arc<Snapshot>) -> (Vec<String>, Vec<String>) {
    let planner = Planner { observed, setbacks, snapshot, now_ms: 0 };
    let work = planner.plan(&Target::Slices(service_key("payments")), Timestamp::UNIX_EPOCH).work;
    let Some(Work::Slices { create, change, delete }) = work else { return Default::default() };
    let all: Vec<_> = create.into_iter().chain(change.into_iter().map(|(slice, _)| slice)).collect();
    let written = all.iter().map(|slice| slice.metadata.name.clone().unwrap_or_default()).collect();
    let deleted: Vec<_> = delete.iter().map(|(key, _)| key.name.to_string()).collect();
    for mut slice in all {
        slice.metadata.resource_version = Some("1".into());
        if let Seen::Slice(key, service, slice) = Seen::slice(slice) {
            observed.put_slice(&key, service, slice);
        }
    }
    for (key, _) in delete {
        observed.remove_slice(&key);
    }
    (written, deleted)
}

/// Address and readiness of every endpoint that stands.
fn standing(observed: &Observed) -> Vec<(String, Option<bool>)> {
    let service = service_key("payments");
    let slices = observed.slices(&service).flat_map(|(_, standing)| standing.slice().endpoints.unwrap_or_default());
    let mut all: Vec<_> = slices
        .map(|endpoint| (endpoint.addresses[0].clone(), endpoint.conditions.and_then(|conditions| conditions.ready)))
        .collect();
    all.sort();
    all
}

#[test]
fn what_stands_as_it_should_is_not_written_again() {
    let mut observed = Observed::default();
    let snapshot = snapshot([cluster_ip("payments"), many(3)]);
    assert_eq!(write(&mut observed, &snapshot).0.len(), 1);
    assert_eq!(write(&mut observed, &snapshot), (vec![], vec![]));
}

#[test]
fn a_new_cut_is_written_before_the_old_one_is_deleted() {
    let mut observed = Observed::default();
    let (old, _) = write(&mut observed, &snapshot([cluster_ip("payments"), many(64)]));
    let (new, deleted) = write(&mut observed, &snapshot([cluster_ip("payments"), many(65)]));
    assert_eq!((new.len(), deleted), (2, old));
}

#[test]
fn slices_of_a_registration_that_is_gone_are_deleted_unless_one_cannot_be_read() {
    let mut observed = Observed::default();
    write(&mut observed, &snapshot([cluster_ip("payments"), many(3)]));
    let gone = snapshot([cluster_ip("payments"), many(3), Input::Gone(origin(OriginKind::ServiceRegistration, "vms"))]);
    put_unreadable(&mut observed);
    assert_eq!(write(&mut observed, &gone), (vec![], vec![]), "it may be the one that cannot be read");
    observed.remove_registration(&ObjectKey { namespace: "shop".into(), name: "odd".into() });
    assert_eq!(write(&mut observed, &gone).1.len(), 1);
}

#[test]
fn endpoints_of_a_registration_that_cannot_be_read_stay_where_another_one_is_written() {
    let mut observed = Observed::default();
    write(&mut observed, &snapshot([cluster_ip("payments"), many(2)]));
    put_unreadable(&mut observed);
    let one = snapshot([cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])]);
    write(&mut observed, &one);
    assert_eq!(standing(&observed).len(), 2, "198.51.100.0 may be of the one that cannot be read");
    assert_eq!(write(&mut observed, &one), (vec![], vec![]));
}

#[test]
fn slices_that_are_held_do_not_keep_what_has_its_place_elsewhere() {
    let mut observed = Observed::default();
    write(&mut observed, &snapshot([cluster_ip("payments"), many(64)]));
    put_unreadable(&mut observed);
    write(&mut observed, &snapshot([cluster_ip("payments"), many(65)]));
    let standing = standing(&observed);
    assert_eq!(standing.len(), 65, "each once: no stale copy in the slices before the new cut");
}

#[test]
fn an_endpoint_whose_new_slice_is_refused_stays_in_the_old_one_as_it_is_by_now() {
    let mut observed = Observed::default();
    let machines = |ports| {
        let endpoint = offered("vm-1", "198.51.100.1", HealthSource::Verdict);
        Arc::new(endpoint.with(|described| described.ports = ports))
    };
    let before = [cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])];
    write(&mut observed, &snapshot(before));
    let failing = snapshot([cluster_ip("payments"), registered("payments", vec![machines(ports(&[("http", 9090)]))])]);
    let cut = slices::desired(failing.get(&service_key("payments")).expect("there")).remove(0).slice;
    let mut setbacks = Setbacks::default();
    let name = Name::from(cut.metadata.name.as_deref().expect("a name"));
    setbacks.refused(&Target::Slices(service_key("payments")), &name, slices::version(&cut), "no".into(), 0);
    let (written, deleted) = write_with(&mut observed, &setbacks, &failing);
    assert_eq!((written.len(), deleted.len()), (1, 0));
    assert_eq!(standing(&observed), [("198.51.100.1".to_owned(), Some(false))]);
}

#[test]
fn what_exists_through_slices_alone_has_no_entry() {
    let mut observed = Observed::default();
    let alone = || {
        let Input::Contribution(of_vms) = registered("payments", vec![vm("pod", "10.1.0.1")]) else { panic!("one") };
        Input::Contribution(Contribution { origin: origin(OriginKind::EndpointSlice, "payments-1"), ..of_vms })
    };
    let plan = |observed: &Observed, snapshot: &Arc<Snapshot>| {
        let setbacks = Setbacks::default();
        let planner = Planner { observed, setbacks: &setbacks, snapshot, now_ms: 0 };
        planner.plan(&Target::Entry(service_key("payments")), Timestamp::UNIX_EPOCH).work
    };
    let with_service = snapshot([cluster_ip("payments"), alone()]);
    let Some(Work::Entry(mut entry, None)) = plan(&observed, &with_service) else { panic!("an entry of the Service") };
    entry.metadata.resource_version = Some("1".into());
    observed.put_entry(service_key("payments"), SeenEntry::of(&entry));
    let without = snapshot([alone()]);
    assert!(matches!(plan(&observed, &without), Some(Work::RemoveEntry(..))), "the Service is gone");
    assert!(plan(&Observed::default(), &without).is_none());
}

#[test]
fn a_status_does_not_carry_a_generation_that_the_catalog_has_not_got() {
    let mut observed = Observed::default();
    let mut object = registration(serde_json::json!({
        "service": "payments", "ports": [{ "name": "http", "port": 8080 }],
        "endpoints": [{ "name": "vm-1", "addresses": ["198.51.100.1"] }],
    }));
    let snapshot = snapshot([cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])]);
    let key = ObjectKey { namespace: "shop".into(), name: "vms".into() };
    let planned = |object: &rollcall_crds::ServiceRegistration, observed: &mut Observed| {
        let Seen::Registration(key, seen) = Seen::registration(object) else { panic!("a registration") };
        observed.put_registration(key.clone(), *seen);
        let setbacks = Setbacks::default();
        let planner = Planner { observed, setbacks: &setbacks, snapshot: &snapshot, now_ms: 0 };
        planner.plan(&Target::Status(key), Timestamp::UNIX_EPOCH).work.is_some()
    };
    object.metadata.generation = Some(3);
    object.metadata.resource_version = Some("8".into());
    assert!(!planned(&object, &mut observed), "the catalog has generation 2");
    observed.remove_registration(&key);
    object.metadata.generation = Some(2);
    assert!(planned(&object, &mut observed));
}

#[test]
fn a_registration_that_cannot_be_read_says_so_although_it_was_never_published() {
    let mut observed = Observed::default();
    put_unreadable(&mut observed);
    let snapshot = snapshot([cluster_ip("payments")]);
    let setbacks = Setbacks::default();
    let planner = Planner { observed: &observed, setbacks: &setbacks, snapshot: &snapshot, now_ms: 0 };
    let key = ObjectKey { namespace: "shop".into(), name: "odd".into() };
    let plan = planner.plan(&Target::Status(key.clone()), Timestamp::UNIX_EPOCH);
    let Some(Work::Status(of, version, status, _)) = plan.work else { panic!("{plan:?}") };
    assert_eq!((of, &*version), (key.clone(), "7"), "over the version that cannot be read");
    assert!(status.conditions.iter().all(|said| said.status == "False"), "{status:?}");
    assert!(observed.registrations().any(|known| *known == key), "who leads next plans it, too");
}
