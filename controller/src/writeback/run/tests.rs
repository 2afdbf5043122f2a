//! The write-back against an API server that has faults.

use std::time::Duration;

use rollcall_admin::Readiness;
use rollcall_catalog::input::Input;
use rollcall_catalog::{Catalog, Snapshot};
use rollcall_fake_api::{FakeApi, Fault, Refusal, Verb};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::freshness::Source;
use crate::leadership::fence::{Fence, Term};
use crate::testing::*;

/// A leader that writes what a test publishes.
struct Rig {
    api: FakeApi,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    seen: mpsc::Sender<Seen>,
    term: watch::Sender<Option<Term>>,
    catalog: Catalog,
}

async fn rig() -> Rig {
    let api = FakeApi::default();
    let clock = Clock::default();
    let (snapshots, published) = watch::channel(None);
    let (term, terms) = watch::channel(Some(Term { number: 1, until_ms: u64::MAX }));
    let (seen, observations) = mpsc::channel(64);
    for source in [Source::EndpointSlices, Source::ServiceRegistrations, Source::Policies, Source::CatalogEntries] {
        seen.send(Seen::Synced(source)).await.expect("room");
    }
    let applier = Applier {
        client: api.client(),
        fence: Fence::new(terms, clock),
        identity: "replica-1".into(),
        denials: DenialNotices::new(Readiness::default(), clock),
        metrics: Arc::default(),
    };
    let writeback = WriteBack::new(published, observations, applier, clock, Arc::default(), 1000);
    tokio::spawn(writeback.run());
    Rig { api, snapshots, seen, term, catalog: Catalog::default() }
}

impl Rig {
    fn publish(&mut self, inputs: impl IntoIterator<Item = Input>) {
        inputs.into_iter().for_each(|input| self.catalog.apply(input));
        self.catalog.publish(rollcall_catalog::time::Now::default());
        self.snapshots.send_replace(Some(self.catalog.snapshot()));
    }

    /// Waits until the API server has what is asked for.
    async fn until(&self, what: &str, holds: impl Fn(&FakeApi) -> bool) {
        for _ in 0..3000 {
            if holds(&self.api) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not come: {:?}", self.api.writes());
    }
}

fn addresses(api: &FakeApi) -> Vec<String> {
    let slices = api.all("endpointslices");
    let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
    let mut all: Vec<_> =
        endpoints.filter_map(|endpoint| endpoint["addresses"][0].as_str().map(str::to_owned)).collect();
    all.sort();
    all
}

fn vms(list: &[&str]) -> Vec<Arc<rollcall_catalog::Endpoint>> {
    list.iter().map(|ip| vm(&format!("vm-{ip}"), ip)).collect()
}

#[tokio::test]
async fn what_is_published_is_written_and_a_lost_answer_is_made_up_for() {
    let mut rig = rig().await;
    let lost = rig.api.rule({
        let mut first = true;
        move |asked| (asked.is_write() && std::mem::take(&mut first)).then_some(Fault::AnswerLost)
    });
    rig.publish([cluster_ip("payments"), registered("payments", vms(&["198.51.100.1"]))]);
    rig.until("the slice", |api| addresses(api) == ["198.51.100.1"]).await;
    rig.until("the entry", |api| api.all("catalogentries").len() == 1).await;
    rig.api.allow(lost);
}

#[tokio::test]
async fn a_slice_that_is_refused_does_not_keep_another_from_being_written() {
    let mut rig = rig().await;
    let has = |body: &Value, ip: &str| body["endpoints"].to_string().contains(ip);
    rig.api.rule(move |asked| {
        let bad = asked.resource == "endpointslices" && has(&asked.body, "198.51.100.82");
        bad.then(|| Refusal::webhook("no .82").into())
    });
    let bad = vm("bad", "198.51.100.82").with(|described| described.ports = ports(&[("http", 8081)]));
    let with = |good: &str| vec![vm("good", good), Arc::new(bad.clone())];
    rig.publish([cluster_ip("payments"), registered("payments", with("198.51.100.83"))]);
    rig.until("the good slice", |api| addresses(api) == ["198.51.100.83"]).await;
    rig.publish([cluster_ip("payments"), registered("payments", with("198.51.100.99"))]);
    rig.until("the machine that moved", |api| addresses(api) == ["198.51.100.99"]).await;
    let writes = rig.api.writes();
    let slices = writes.iter().filter(|asked| asked.resource == "endpointslices");
    let refused = slices.filter(|asked| has(&asked.body, "198.51.100.82")).count();
    assert!(refused <= 2, "{refused} attempts");
}

#[tokio::test]
async fn an_endpoint_for_which_a_slice_is_refused_keeps_no_other_of_the_slice_out() {
    let mut rig = rig().await;
    let has = |body: &Value, ip: &str| body["endpoints"].to_string().contains(ip);
    rig.api.rule(move |asked| {
        let bad = asked.resource == "endpointslices" && has(&asked.body, "198.51.100.82");
        bad.then(|| Refusal::webhook("no .82").into())
    });
    let mut all: Vec<_> = (1..=40).map(|n| format!("198.51.100.{n}")).collect();
    all.push("198.51.100.82".into());
    let with = |all: &[String]| registered("payments", vms(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    rig.publish([cluster_ip("payments"), with(&all)]);
    rig.until("all but one", |api| addresses(api).len() == 40).await;
    all[0] = "198.51.100.99".into();
    rig.publish([with(&all)]);
    let moved = |api: &FakeApi| {
        let now = addresses(api);
        now.len() == 40 && now.contains(&"198.51.100.99".into()) && !now.contains(&"198.51.100.1".into())
    };
    rig.until("the machine that moved", moved).await;
    // The one that was refused moves: nothing waits.
    all[40] = "198.51.100.84".into();
    rig.publish([with(&all)]);
    rig.until("the one that was refused, elsewhere", |api| addresses(api).contains(&"198.51.100.84".into())).await;
    let writes = rig.api.writes();
    let refused = writes.iter().filter(|asked| has(&asked.body, "198.51.100.82")).count();
    assert!(refused <= 12, "{refused} attempts");
}

#[tokio::test]
async fn an_entry_that_is_refused_is_told_in_an_event_of_its_service() {
    let mut rig = rig().await;
    rig.api.rule(|asked| (asked.resource == "catalogentries").then(|| Refusal::quota(asked).into()));
    rig.publish([cluster_ip("payments")]);
    rig.until("the Event", |api| api.all("events").iter().any(|event| event["reason"] == "WriteRefused")).await;
    let event = rig.api.all("events").remove(0);
    assert!(event["note"].as_str().is_some_and(|note| note.contains("exceeded quota")), "{event}");
    assert_eq!(event["regarding"]["kind"], "Service");
}

#[tokio::test]
async fn a_slice_that_somebody_changes_is_put_right_and_without_a_term_it_is_not() {
    let mut rig = rig().await;
    rig.publish([cluster_ip("payments"), registered("payments", vms(&["198.51.100.1"]))]);
    rig.until("the slice", |api| addresses(api) == ["198.51.100.1"]).await;
    let name = rig.api.all("endpointslices")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let spoil = || {
        let edited = rig.api.edit("discovery.k8s.io/v1", "endpointslices", "shop", &name, |slice| {
            slice["endpoints"] = json!([]);
        });
        Seen::slice(serde_json::from_value(edited.expect("there")).expect("a slice"))
    };
    rig.seen.send(spoil()).await.expect("room");
    rig.until("the endpoint again", |api| addresses(api) == ["198.51.100.1"]).await;
    rig.term.send_replace(None);
    rig.api.forget_asked();
    rig.seen.send(spoil()).await.expect("room");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(rig.api.writes().is_empty(), "another one leads");
    rig.term.send_replace(Some(Term { number: 2, until_ms: u64::MAX }));
    rig.until("the endpoint in the next term", |api| addresses(api) == ["198.51.100.1"]).await;
    assert!(rig.api.writes().iter().all(|asked| asked.verb == Verb::Patch));
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_does_not_keep_is_not_written_again_and_again() {
    let mut rig = rig().await;
    // Definitions older than this controller.
    rig.api.prune("endpointslices", "/ports");
    rig.api.prune("catalogentries", "/spec/endpoints");
    let written = |api: &FakeApi, resource: &str| {
        let writes = api.writes();
        writes.iter().filter(|asked| asked.resource == resource).count()
    };
    rig.publish([cluster_ip("payments"), registered("payments", vms(&["198.51.100.1"]))]);
    rig.until("the slice", |api| addresses(api) == ["198.51.100.1"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(["endpointslices", "catalogentries"].map(|resource| written(&rig.api, resource)), [1, 1]);
    // What changes is written, once.
    rig.publish([registered("payments", vms(&["198.51.100.2"]))]);
    rig.until("the machine that moved", |api| addresses(api) == ["198.51.100.2"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(["endpointslices", "catalogentries"].map(|resource| written(&rig.api, resource)), [2, 2]);
}
