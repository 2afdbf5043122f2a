//! Tests: what is written when.

use kube::core::Status;
use rollcall_catalog::digest::Version;
use rollcall_catalog::input::Input;

use super::*;
use crate::testing::*;
use crate::writeback::apply::{Done, Failed, Failure};

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, wall: Timestamp::UNIX_EPOCH }
}

fn synced() -> Desk {
    let mut desk = Desk::new(1000);
    for source in [Source::EndpointSlices, Source::ServiceRegistrations, Source::Policies, Source::CatalogEntries] {
        desk.observe(Seen::Synced(source), 0);
    }
    desk
}

fn payments() -> Arc<Snapshot> {
    snapshot([cluster_ip("payments"), registered("payments", vec![vm("vm-1", "198.51.100.1")])])
}

fn refusal(code: u16, message: &str) -> Failure {
    Failure::Kube(kube::Error::Api(Box::new(Status::failure(message, "Forbidden").with_code(code))))
}

/// What came of a work of which nothing could be written.
fn refused(work: &Work, failure: impl Fn() -> Failure) -> Done {
    let failed =
        |name: &str, content| Failed { name: name.into(), content, addresses: BTreeSet::new(), failure: failure() };
    let failures = match work {
        Work::Slices { create, .. } => create
            .iter()
            .map(|slice| {
                failed(slice.metadata.name.as_deref().unwrap_or_default(), super::super::slices::version(slice))
            })
            .collect(),
        Work::Entry(entry, _) => vec![failed("payments", super::super::entries::version(entry))],
        Work::Status(..) | Work::Policy(..) | Work::RemoveEntry(..) => vec![failed("payments", Version::default())],
    };
    Done { failures, ..Done::default() }
}

#[test]
fn nothing_is_written_before_all_was_seen_or_without_a_term() {
    let mut desk = Desk::new(1000);
    assert!(desk.work(&payments(), Some(1), at(0)).is_empty());
    let mut desk = synced();
    assert!(desk.work(&payments(), None, at(0)).is_empty());
    assert_eq!(desk.work(&payments(), Some(1), at(0)).len(), 2, "the slices and the entry");
}

#[test]
fn what_is_refused_is_tried_again_after_a_long_pause_and_said_once() {
    let mut desk = synced();
    let snapshot = payments();
    let (mut attempts, mut said) = (0, 0);
    for second in 0..120 {
        for (target, work) in desk.work(&snapshot, Some(1), at(second * 1000)) {
            attempts += 1;
            let done = refused(&work, || refusal(422, "is invalid"));
            said += desk.finished(target, done, Some(&snapshot), at(second * 1000)).0.len();
        }
    }
    assert_eq!(said, 2, "of the slice and of the entry");
    assert!((4..=6).contains(&attempts), "{attempts}: at once, after half a minute, after another minute");
}

#[test]
fn a_namespace_in_deletion_is_said_once_and_left_alone() {
    let mut desk = synced();
    let services = (0..50).map(|n| Input::Service(ServiceKey::new("shop", format!("s{n}")), Some(Arc::new(facts()))));
    let snapshot = snapshot(services);
    let ending = || {
        refusal(403, "x is forbidden: unable to create new content in namespace shop because it is being terminated")
    };
    let (mut attempts, mut said) = (0, 0);
    for second in 0..20 {
        for (target, work) in desk.work(&snapshot, Some(1), at(second * 1000)) {
            attempts += 1;
            said += desk.finished(target, refused(&work, ending), Some(&snapshot), at(second * 1000)).0.len();
        }
    }
    assert_eq!(said, 1);
    assert_eq!(attempts, BUSY_MAX, "those that were under way");
}

#[test]
fn an_entry_that_changes_all_the_time_is_written_at_its_pace() {
    let mut desk = synced();
    let mut written = 0;
    for tenth in 0..600 {
        let vms = vec![vm("vm-1", &format!("198.51.100.{}", tenth % 200))];
        let snapshot = snapshot([registered("payments", vms)]);
        desk.queue.add(Target::Entry(service_key("payments")), tenth * 100);
        for (target, _) in desk.work(&snapshot, Some(1), at(tenth * 100)) {
            written += 1;
            desk.finished(target, Done::default(), Some(&snapshot), at(tenth * 100));
        }
    }
    assert!((15..=25).contains(&written), "{written} in a minute: ten at once and one each five seconds");
}

#[test]
fn events_of_one_namespace_have_a_share() {
    let mut desk = synced();
    let told = (0..1000).filter(|_| desk.may_tell(&"shop".into(), 1000)).count();
    assert_eq!((told, desk.untold()), (200, 800));
    assert!(desk.may_tell(&"other".into(), 1000));
}
