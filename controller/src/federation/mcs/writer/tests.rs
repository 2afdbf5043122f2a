//! ServiceImports and derived Services are written once, whatever the API server keeps of them.

use rollcall_catalog::input::Manner;
use rollcall_fake_api::{FakeApi, Fault, Refusal};

use super::*;
use crate::federation::mcs::said::{IpFamily, Said};
use crate::federation::mcs::union::{Export, union};
use crate::kubernetes::informer::Handler;
use crate::leadership::fence::Term;
use crate::testing::{facts, ports, service_key};

const MCS: &str = "multicluster.x-k8s.io/v1beta1";

fn writes(api: &FakeApi, resource: &str) -> usize {
    api.writes().iter().filter(|asked| asked.resource == resource).count()
}

/// What is exported, to be called by zone.
fn exported(port: u16) -> Arc<Union> {
    let manner = Manner { traffic: Some("PreferSameZone".into()), ..Manner::default() };
    let said = Said { families: vec![IpFamily::V4], manner, ..Said::default() };
    let export = Export { cluster: "east".into(), created: 1, ports: ports(&[("http", port)]), said };
    Arc::new(union(&[export]).expect("one exports it"))
}

/// The Service with these ports, as an API server has it that knows of no `trafficDistribution`.
fn plan(port: u16) -> Plan {
    let derived = ServiceFacts { ports: ports(&[("http", port)]), ..facts() };
    Plan { union: Some(exported(port)), derived: Some(Arc::new(derived)), has_endpoints: true }
}

/// Tells what stands, as the watch does.
async fn follow(api: FakeApi, mut seen: Seen) {
    let mut version = String::new();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(import) = api.get(MCS, "serviceimports", "shop", "payments") else { continue };
        if import["metadata"]["resourceVersion"] != *version {
            version = import["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
            seen.apply(serde_json::from_value(import).expect("an import")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_older_than_this_controller_has_nothing_written_again_and_again() {
    let api = FakeApi::default();
    for (resource, field) in [
        ("serviceimports", "/status/endpointSliceObjects"),
        ("serviceimports", "/spec/trafficDistribution"),
        ("services", "/spec/trafficDistribution"),
    ] {
        api.prune(resource, field);
    }
    let (clock, plans, seen, key) = (Clock::default(), Plans::default(), Seen::default(), service_key("payments"));
    let (_term, terms) = tokio::sync::watch::channel(Some(Term { number: 1, until_ms: u64::MAX }));
    plans.wanted.put(&key, Some(plan(80)));
    plans.wanted.complete();
    seen.complete();
    let writer = Writer::new(api.client(), Fence::new(terms, clock), clock, plans.clone(), seen.clone());
    tokio::spawn(writer.run());
    tokio::spawn(follow(api.clone(), seen));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let import = api.get(MCS, "serviceimports", "shop", "payments").expect("it is written");
    assert_eq!(import["status"]["conditions"][0]["status"], "True", "{import}");
    assert_eq!((writes(&api, "serviceimports"), writes(&api, "services")), (2, 1), "spec and status, once each");
    // Another port is written, and that is all.
    plans.wanted.put(&key, Some(Plan { derived: plan(80).derived, ..plan(81) }));
    tokio::time::sleep(Duration::from_secs(2)).await;
    plans.wanted.put(&key, Some(plan(81)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ports = api.all("services")[0]["spec"]["ports"].clone();
    assert_eq!(ports[0]["port"], 81, "{ports}");
    let (imports, services) = (writes(&api, "serviceimports"), writes(&api, "services"));
    assert!(imports <= 4 && services <= 3, "{imports} of the import, {services} of the Service");
}

#[tokio::test(start_paused = true)]
async fn a_word_of_a_newer_cluster_is_left_out_where_the_api_server_refuses_it() {
    let api = FakeApi::default();
    api.rule(|asked| {
        let word = asked.resource == "services" && !asked.body["spec"]["trafficDistribution"].is_null();
        let why = "spec.trafficDistribution: Unsupported value: \"PreferSameZone\"";
        word.then(|| Fault::Refused(Refusal::invalid(asked, why)))
    });
    let (clock, plans, seen, key) = (Clock::default(), Plans::default(), Seen::default(), service_key("payments"));
    let (_term, terms) = tokio::sync::watch::channel(Some(Term { number: 1, until_ms: u64::MAX }));
    plans.wanted.put(&key, Some(Plan { derived: None, ..plan(80) }));
    plans.wanted.complete();
    seen.complete();
    let writer = Writer::new(api.client(), Fence::new(terms, clock), clock, plans.clone(), seen.clone());
    tokio::spawn(writer.run());
    tokio::spawn(follow(api.clone(), seen));
    tokio::time::sleep(Duration::from_secs(2)).await;
    plans.wanted.put(&key, Some(plan(80)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let services = api.all("services");
    assert_eq!(services[0]["spec"]["ports"][0]["port"], 80, "{services:?}");
    assert!(writes(&api, "services") <= 4, "it is not written again and again: {}", writes(&api, "services"));
    assert_eq!(plans.refused.get(&key), None);
}
