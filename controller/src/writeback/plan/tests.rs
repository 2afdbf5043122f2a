//! Tests: what a target needs.

use std::sync::Arc;

use rollcall_catalog::input::{Input, OriginKind};

use super::*;
use crate::testing::*;
use crate::writeback::observed::Seen;

fn many(count: usize) -> Input {
    registered("payments", (0..count).map(|n| vm(&format!("vm-{n}"), &format!("198.51.100.{n}"))).collect())
}

/// Plans the slices of payments and makes them stand; returns what was written and deleted.
fn write(observed: &mut Observed, snapshot: &Arc<Snapshot>) -> (Vec<String>, Vec<String>) {
    let refused = HashMap::new();
    let planner = Planner { observed, refused: &refused, snapshot };
    let Some(Work::Slices { write, delete }) =
        planner.plan(&Target::Slices(service_key("payments")), Timestamp::UNIX_EPOCH)
    else {
        return Default::default();
    };
    let names = |name: Option<String>| name.unwrap_or_default();
    let written = write.iter().map(|(slice, _)| names(slice.metadata.name.clone())).collect();
    let deleted: Vec<_> = delete.iter().map(|(key, _)| key.name.to_string()).collect();
    for (mut slice, _) in write {
        slice.metadata.resource_version = Some("1".into());
        if let Seen::Slice(key, service, stands) = Seen::slice(&slice) {
            observed.put_slice(&key, service, stands);
        }
    }
    for (key, _) in delete {
        observed.remove_slice(&key);
    }
    (written, deleted)
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
    observed.put_unreadable(ObjectKey { namespace: "shop".into(), name: "odd".into() });
    assert_eq!(write(&mut observed, &gone), (vec![], vec![]), "it may be the one that cannot be read");
    observed.remove_registration(&ObjectKey { namespace: "shop".into(), name: "odd".into() });
    assert_eq!(write(&mut observed, &gone).1.len(), 1);
}
