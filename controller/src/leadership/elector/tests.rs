//! Tests: reads and writes the Lease by the rules of the election.

use rollcall_admin::Readiness;
use rollcall_fake_api::{Asked, FakeApi, Fault, Refusal, Verb};
use tokio::task::JoinHandle;

use super::*;
use crate::leadership::fence::Fence;

const NAMESPACE: &str = "rollcall-system";

/// A candidate that runs.
struct Replica {
    fence: Fence,
    concerns: Readiness,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Replica ===

impl Replica {
    fn start(api: &FakeApi, identity: &str) -> Self {
        let (clock, concerns, stop) = (Clock::default(), Readiness::default(), CancellationToken::new());
        let denials = DenialNotices::new(concerns.clone(), clock);
        let (elector, term) = Elector::new(api.client(), NAMESPACE, identity.to_owned(), clock, denials);
        Self { fence: Fence::new(term, clock), concerns, stop: stop.clone(), task: tokio::spawn(elector.run(stop)) }
    }

    async fn stops(self) {
        self.stop.cancel();
        self.task.await.expect("it ends");
    }
}

/// Lets time pass until `done`; the number of steps of 100 ms that it took. At no time may two of `replicas` write.
async fn until(replicas: &[&Replica], done: impl Fn() -> bool) -> u32 {
    for step in 0..1000 {
        assert!(replicas.iter().filter(|replica| replica.fence.is_open()).count() <= 1, "two write at once");
        if done() {
            return step;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not come about in 100 s");
}

fn lease(api: &FakeApi) -> serde_json::Value {
    api.get("coordination.k8s.io/v1", "leases", NAMESPACE, LEASE_NAME).unwrap_or_default()
}

fn of(asked: &Asked, identity: &str) -> bool {
    asked.is_write() && asked.body["spec"]["holderIdentity"] == identity
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_follows_at_once_when_it_stops() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until(&[&first], || first.fence.is_open()).await;
    let second = Replica::start(&api, "b");
    tokio::time::sleep(LEASE * 3).await;
    assert!(first.fence.is_open() && !second.fence.is_open(), "a lease that is renewed is not taken");
    assert_eq!(lease(&api)["spec"]["holderIdentity"], "a");
    first.stops().await;
    assert_eq!(lease(&api)["spec"]["holderIdentity"], "", "given back");
    let steps = until(&[&second], || second.fence.is_open()).await;
    assert!(steps <= 20, "{steps}: the end of the lease need not be waited for");
    assert_eq!(lease(&api)["spec"]["leaseTransitions"], 1);
    second.stops().await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_writing_before_another_begins() {
    let api = FakeApi::default();
    let (first, second) = (Replica::start(&api, "a"), Replica::start(&api, "b"));
    until(&[&first, &second], || first.fence.is_open() || second.fence.is_open()).await;
    let (holder, heir, cut_off) = match first.fence.is_open() {
        true => (&first, &second, "a"),
        false => (&second, &first, "b"),
    };
    let rule = api.rule(move |asked| of(asked, cut_off).then_some(Fault::Silent));
    until(&[&first, &second], || heir.fence.is_open()).await;
    assert!(!holder.fence.is_open());
    api.allow(rule);
    tokio::time::sleep(LEASE * 2).await;
    assert!(heir.fence.is_open() && !holder.fence.is_open(), "who comes back follows");
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_was_lost_is_found_to_be_ours() {
    let api = FakeApi::default();
    let mut lost = false;
    api.rule(move |asked| {
        (asked.verb == Verb::Create && !std::mem::replace(&mut lost, true)).then_some(Fault::AnswerLost)
    });
    let replica = Replica::start(&api, "a");
    until(&[&replica], || replica.fence.is_open()).await;
    assert_eq!((api.all("leases").len(), &lease(&api)["spec"]["leaseTransitions"]), (1, &serde_json::json!(0)));
    let acquired = lease(&api)["spec"]["acquireTime"].clone();
    tokio::time::sleep(LEASE).await;
    assert_eq!(lease(&api)["spec"]["acquireTime"], acquired, "one term");
    replica.stops().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_that_write_at_once_one_has_a_conflict_and_waits() {
    let api = FakeApi::default();
    api.put(serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": LEASE_NAME, "namespace": NAMESPACE },
        "spec": { "holderIdentity": "", "leaseTransitions": 7 },
    }));
    let replicas: Vec<_> = ["a", "b", "c"].iter().map(|identity| Replica::start(&api, identity)).collect();
    let all: Vec<_> = replicas.iter().collect();
    until(&all, || all.iter().any(|replica| replica.fence.is_open())).await;
    tokio::time::sleep(LEASE).await;
    until(&all, || all.iter().filter(|replica| replica.fence.is_open()).count() == 1).await;
    assert_eq!(lease(&api)["spec"]["leaseTransitions"], 8, "taken once");
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_and_healed_when_it_is_given() {
    let api = FakeApi::default();
    let rule = api.rule(|asked| (asked.resource == "leases").then(|| Refusal::forbidden(asked).into()));
    let replica = Replica::start(&api, "a");
    until(&[&replica], || !replica.concerns.is_ready()).await;
    let closed = replica.concerns.closed()[0].to_string();
    assert!(closed.contains("leases in namespace rollcall-system is forbidden"), "{closed}");
    api.allow(rule);
    until(&[&replica], || replica.fence.is_open()).await;
    replica.stops().await;
}
