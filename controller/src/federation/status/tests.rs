//! When a status is worth a write, and what it says.

use rollcall_crds::{LinkCounts, LinkState};
use rollcall_fake_api::FakeApi;

use super::*;
use crate::federation::mcs::union::Conflict;
use crate::kubernetes::informer::Handler;
use crate::leadership::fence::Term;

fn report() -> Report {
    Report {
        generation: Some(1),
        state: LinkState::Connected,
        since_ms: 100_500,
        heard_ms: Some(200_000),
        imported: LinkCounts { services: 1, endpoints: 2 },
        ..Report::default()
    }
}

#[test]
fn a_link_is_written_when_something_changed_or_the_heartbeat_is_old() {
    let first = link_status(&report()).expect("nothing stands");
    assert_eq!(first.since.as_ref().expect("set").0.as_second(), 100);
    let stands = |change: fn(&mut Report)| {
        let mut report = Report { stands: Some(first.clone()), ..report() };
        change(&mut report);
        link_status(&report)
    };
    assert_eq!(stands(|_| {}), None);
    assert_eq!(stands(|report| report.heard_ms = Some(229_999)), None);
    let later = stands(|report| report.heard_ms = Some(230_000)).expect("half a minute later");
    assert_eq!(later.last_heartbeat_time.expect("set").0.as_second(), 230);
    let before = stands(|report| report.heard_ms = Some(150_000)).expect("what stands is from the future");
    assert_eq!(before.last_heartbeat_time.expect("set").0.as_second(), 150);
    assert!(stands(|report| report.imported.endpoints = 3).is_some());
    // What changes all the time goes with the others.
    let moving = |report: &mut Report| (report.version, report.bytes_per_second) = ("01".to_owned(), 9);
    assert_eq!(stands(moving), None);
    let later = stands(|report| {
        (report.version, report.bytes_per_second) = ("01".to_owned(), 9);
        report.imported.endpoints = 3;
    });
    let later = later.expect("something else changed");
    assert_eq!((&*later.version, later.bytes_per_second), ("01", 9));
    let told = |services| Some(LinkExported { services, endpoints: 1, version: "02".to_owned() });
    assert!(stands(|report| report.exported = Some(LinkExported::default())).is_some());
    let first =
        stands(|report| report.exported = Some(LinkExported { services: 1, endpoints: 1, version: "01".into() }));
    let mut next = Report { stands: first, exported: told(1), ..report() };
    assert_eq!(link_status(&next), None, "another version alone waits");
    next.exported = told(2);
    assert!(link_status(&next).is_some());
    assert!(stands(|report| report.state = LinkState::Suspect).is_some());
    // Another leader heard it at other times, and changes nothing.
    assert_eq!(stands(|report| (report.since_ms, report.heard_ms) = (150_000, None)), None);
}

fn export(conditions: Vec<Condition>) -> Export {
    Export { created: 0, generation: Some(1), with: std::sync::Arc::default(), conditions }
}

#[test]
fn an_export_says_whether_it_can_be_and_is() {
    let at = |second: i64| Timestamp::from_second(second).expect("a time");
    let said = |said| {
        let conditions = export_conditions(&export(Vec::new()), said, Here::default(), at(1));
        conditions.into_iter().map(|one| (one.type_, one.status, one.reason)).collect::<Vec<_>>()
    };
    let of = |all: [(&str, &str, &str); 2]| all.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).to_vec();
    assert_eq!(said(Ok(())), of([("Valid", "True", "Valid"), ("Ready", "True", "Ready")]));
    assert_eq!(
        said(Err(Unexportable::ExternalName)),
        of([("Valid", "False", "InvalidServiceType"), ("Ready", "False", "Pending")])
    );
    assert_eq!(said(Err(Unexportable::NoService))[0].2, "NoService");
    let stands = export_conditions(&export(Vec::new()), Ok(()), Here::default(), at(1));
    let again = export_conditions(&export(stands.clone()), Ok(()), Here::default(), at(2));
    assert_eq!(again, stands, "its time stays");
    assert!(!differ(&stands, &again));
    assert!(differ(
        &stands,
        &export_conditions(&export(stands.clone()), Err(Unexportable::NoService), Here::default(), at(3))
    ));

    // What several clusters do not agree about stands on the export of each.
    let union = Union {
        said: crate::federation::mcs::said::Said::default(),
        ports: Vec::new(),
        clusters: std::collections::BTreeSet::new(),
        conflicts: [(Conflict::Port, "a and b".to_owned()), (Conflict::Type, "c".to_owned())].into(),
    };
    let here = Here { union: Some(&union), refused: Some("no") };
    let said: Vec<_> = export_conditions(&export(Vec::new()), Ok(()), here, at(1));
    let said: Vec<_> = said.iter().map(|one| (&*one.type_, &*one.status, &*one.reason, &*one.message)).collect();
    assert_eq!(said[1], ("Ready", "False", "Failed", "no"));
    assert_eq!(said[2], ("Conflict", "True", "PortConflict,TypeConflict", "a and b. c"));
}

/// Tells what it writes back, as its watches do.
async fn follow(api: &FakeApi, exports: &mut Exports, reports: &Reports, seconds: u64) {
    let mut versions = [String::new(), String::new()];
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let all = [api.all("clusterlinks"), api.all("serviceexports")].map(|mut all| all.remove(0));
        let now = all.clone().map(|object| object["metadata"]["resourceVersion"].to_string());
        if now == versions {
            continue;
        }
        versions = now;
        let [link, export] = all;
        let status = serde_json::from_value(link["status"].clone()).expect("a status, or none");
        reports.change(&"east".into(), |report| report.stands = status);
        exports.apply(serde_json::from_value(export).expect("an export")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_older_than_this_controller_has_no_status_written_again_and_again() {
    let api = FakeApi::default();
    api.prune("clusterlinks", "/status/exported");
    api.prune("serviceexports", "/status/conditions");
    let metadata = json!({ "name": "east", "generation": 1 });
    api.put(json!({ "apiVersion": ClusterLink::api_version(&()), "kind": "ClusterLink", "metadata": metadata,
        "spec": { "addresses": ["192.0.2.1:18000"], "secretName": "link-east", "import": { "namespaces": ["shop"] } } }));
    let metadata = json!({ "name": "payments", "namespace": "shop" });
    api.put(json!({ "apiVersion": ServiceExport::api_version(&()), "kind": "ServiceExport", "metadata": metadata, "spec": {} }));
    let (clock, told, reports, mut exports) =
        (Clock::default(), Told::default(), Reports::default(), Exports::default());
    let (_term, terms) = tokio::sync::watch::channel(Some(Term { number: 1, until_ms: u64::MAX }));
    let exported = |services| Some(LinkExported { services, endpoints: 1, version: "01".to_owned() });
    reports.put(&"east".into(), Some(Report { exported: exported(1), ..report() }));
    told.put(&ServiceKey::new("shop", "payments"), Some(Ok(())));
    told.complete();
    let rooms = (exports.clone(), reports.clone(), Plans::default(), told);
    tokio::spawn(Teller::new(api.client(), Fence::new(terms, clock), clock, rooms).run());
    let writes = || {
        let of = |resource| api.writes().iter().filter(|asked| asked.resource == resource).count();
        (of("clusterlinks"), of("serviceexports"))
    };
    follow(&api, &mut exports, &reports, 60).await;
    assert_eq!(writes(), (1, 1));
    // What changes is written, once, though nothing of it is kept.
    reports.change(&"east".into(), |report| report.exported = exported(2));
    follow(&api, &mut exports, &reports, 60).await;
    assert_eq!(writes(), (2, 1));
    // Somebody else's words do not stay.
    api.edit(ClusterLink::api_version(&()).as_ref(), "clusterlinks", "", "east", |link| {
        link["status"]["state"] = json!("Expired");
    });
    follow(&api, &mut exports, &reports, 60).await;
    assert_eq!(writes(), (3, 1));
}
